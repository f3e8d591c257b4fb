"""Retrievals: what becomes of an answer, what is left out, and the Parquet that keeps them."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from index.image_files import ImageChunk, ImageFiles, read_image_file
from index.images import ImageLimits, ImageRejected
from index.pooling import Answer, Neighbour, pool_tags
from index.retrieval_folder import InstructionRows, RetrievalPin, RetrievalSummary
from index.retrievals import (
    EMPTY,
    GROUP_ROWS,
    RETRIEVALS_SCHEMA,
    RETRIEVED_NEIGHBOUR_TYPE,
    RETRIEVED_TAG_TYPE,
    Retrieval,
    RetrievedNeighbour,
    RetrievedTag,
    read_retrievals,
    retrieval_of_answer,
    write_retrievals,
)
from index.retrieve import LookUp, look_up
from index.search import open_datastore
from tagmine.errors import DatastoreError
from tagmine.tags import Tag


def neighbour(number: int, score: float, *tags: Tag) -> Neighbour:
    return Neighbour(number, f"d/s/{number}", "d/s", score, ("said", "more"), tags)


CAR = Tag("car", "car", "object", "car")
PARIS = Tag("Paris", "Paris", "entity", "Paris", label="GPE")
PARIS_FIELD = Tag("PARIS", "PARIS", "field", "PARIS", label="city")
SKY = Tag("sky", "sky", "object", "sky")


def test_an_answer_becomes_tags_by_weight_with_their_voters():
    near = (neighbour(4, 0.9, CAR, SKY), neighbour(7, 0.6, SKY), neighbour(9, 0.5, CAR))
    found = retrieval_of_answer(Answer(near, pool_tags(near)), 24)
    assert [(n.id, n.key, n.source, n.score, n.captions) for n in found.neighbours] == [
        (n.id, n.key, "d/s", n.score, ("said", "more")) for n in near
    ]
    assert [(t.text, t.votes, t.neighbours) for t in found.tags] == [
        ("sky", 2, (0, 1)),
        ("car", 2, (0, 2)),
    ]
    assert [t.score for t in found.tags] == [p.score for p in pool_tags(near)]


def test_tags_of_one_wording_are_one_with_the_votes_of_both():
    near = (
        neighbour(1, 0.8, PARIS, PARIS_FIELD),
        neighbour(2, 0.4, SKY),
        neighbour(3, 0.8, PARIS_FIELD),
    )
    found = retrieval_of_answer(Answer(near, pool_tags(near)), 24)
    paris, sky = found.tags
    assert (paris.text.casefold(), paris.votes, paris.neighbours) == ("paris", 2, (0, 2))
    assert paris.kind == "field" and paris.score == pytest.approx(0.8)
    assert (sky.text, sky.score) == ("sky", pytest.approx(0.2))


def test_the_heaviest_are_kept_and_none_is_no_number():
    near = (neighbour(1, 0.8, CAR), neighbour(2, 0.4, SKY))
    answer = Answer(near, pool_tags(near))
    assert [t.text for t in retrieval_of_answer(answer, 1).tags] == ["car"]
    with pytest.raises(ValueError, match="max_tags"):
        retrieval_of_answer(answer, 0)
    assert retrieval_of_answer(Answer((), ()), 5) == EMPTY


def rows_of(count: int) -> list[tuple[str, Retrieval]]:
    def row(number: int) -> Retrieval:
        near = RetrievedNeighbour(
            number << 32, f"d/s/{number}", "d/s", float(np.float32(0.7)), ("é",)
        )
        tags = (RetrievedTag(f"tag {number}", "object", 1, 1 / 3, (0,)),) * (number % 2)
        return Retrieval(tags, (near,))

    return [(f"a/{number}.jpg", row(number)) for number in range(count)]


def test_what_is_written_is_read_back_in_groups_and_with_its_footer(tmp_path):
    rows = [*rows_of(GROUP_ROWS + 3), ("empty", EMPTY)]
    path = tmp_path / "r.parquet"
    said = []
    footer = {b"tagmine": b"x"}
    written = write_retrievals(path, iter(rows), lambda count: said.append(count) or footer)
    assert written == len(rows) and said == [len(rows)]
    assert list(read_retrievals(path)) == rows
    opened = pq.ParquetFile(path)
    assert opened.num_row_groups == 2 and opened.metadata.metadata[b"tagmine"] == b"x"
    again = tmp_path / "again.parquet"
    write_retrievals(again, rows, lambda count: footer)
    assert again.read_bytes() == path.read_bytes()


def test_a_write_that_fails_leaves_nothing(tmp_path):
    def broken():
        yield from rows_of(GROUP_ROWS * 2)
        raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"):
        write_retrievals(tmp_path / "r.parquet", broken())
    assert list(tmp_path.iterdir()) == []


def test_damage_is_named(tmp_path):
    path = tmp_path / "r.parquet"
    write_retrievals(path, rows_of(GROUP_ROWS))
    whole = path.read_bytes()
    place = whole.index(b"\x28\xb5\x2f\xfd") + 9  # inside the first zstd page
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
    with pytest.raises(DatastoreError, match="cannot be read as retrievals"):
        list(read_retrievals(path))
    path.write_bytes(whole[:100])
    with pytest.raises(DatastoreError, match="cannot be read as retrievals"):
        list(read_retrievals(path))
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(DatastoreError, match="holds no retrievals; its columns are a"):
        list(read_retrievals(path))
    lie = RetrievedTag("t", "object", 1, 1.0, (3,))
    write_retrievals(path, [("k", Retrieval((lie,), ()))])
    with pytest.raises(DatastoreError, match="'t' of 'k' names a neighbour that is not there"):
        list(read_retrievals(path))


def test_own_key_and_copies_are_left_out_and_counted(make_datastore):
    made = make_datastore(sizes=(300, 200))
    datastore = open_datastore(made.root)
    vectors = made.vectors[:40].astype(np.float32)
    keys = [(origin.key,) for origin in datastore.locate(made.ids[:40]).values()]
    plain, copies, _ = look_up(datastore, vectors, LookUp(5))
    assert copies == 0 and [a.neighbours[0].id for a in plain] == made.ids[:40].tolist()
    by_key, copies, own = look_up(datastore, vectors, LookUp(5, exclude_own_key=True), keys)
    by_cosine, copied, none = look_up(datastore, vectors, LookUp(5, exclude_above=0.999), keys)
    assert (copies, own, copied, none) == (0, 40, 40, 0)
    # A flat index is exact: what is left is what stood behind the image itself.
    six = look_up(datastore, vectors, LookUp(6)).answers
    behind = [[n.id for n in answer.neighbours[1:]] for answer in six]
    for answers in (by_key, by_cosine):
        assert [[n.id for n in answer.neighbours] for answer in answers] == behind
    strangers = look_up(datastore, vectors, LookUp(5, exclude_own_key=True), [("d/s0",)] * 40)
    assert strangers == (plain, 0, 0)


def test_only_images_with_copies_are_counted(make_datastore):
    made = make_datastore(sizes=(300,))
    datastore = open_datastore(made.root)
    vectors = made.vectors[:4].astype(np.float32)
    vectors[2:] = np.roll(vectors[2:], 1, axis=1)
    found, copies, _ = look_up(datastore, vectors, LookUp(3, exclude_above=0.99))
    assert copies == 2 and all(len(answer.neighbours) == 3 for answer in found)
    assert max(n.score for answer in found for n in answer.neighbours) < 0.99


@pytest.mark.parametrize("numbers", [{"k": 0}, {"max_tags": 0}])
def test_numbers_that_cannot_be(numbers):
    with pytest.raises(ValueError, match="at least 1"):
        LookUp(**numbers)


def test_files_are_read_from_below_the_folder_only(tmp_path):
    folder = tmp_path / "images"
    (folder / "deep").mkdir(parents=True)
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (folder / "deep/a.jpg").write_bytes(b"picture")
    os.mkfifo(folder / "pipe.jpg")
    limits = ImageLimits(max_bytes=7)
    assert read_image_file(folder, "deep/a.jpg", limits) == b"picture"
    assert read_image_file(folder, "./deep//a.jpg", limits) == b"picture"
    (folder / "big.jpg").write_bytes(b"pictures")
    cases = {
        "../secret.jpg": "unsafe_image_path",
        "deep/../../secret.jpg": "unsafe_image_path",
        str(tmp_path / "secret.jpg"): "unsafe_image_path",
        "deep/a\0.jpg": "unsafe_image_path",
        "none.jpg": "image_missing",
        "deep": "image_missing",
        "pipe.jpg": "image_missing",
        "x" * 4000: "image_missing",
        "deep/a.jpg/b": "image_missing",
        "big.jpg": "image_too_large",
    }
    for image, reason in cases.items():
        with pytest.raises(ImageRejected) as caught:
            read_image_file(folder, image, limits)
        assert caught.value.reason == reason, image


def test_the_hash_of_a_chunk_sees_names_and_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")

    def drain(*images: str) -> str:
        return ImageFiles(ImageChunk(0, "n", str(tmp_path), images=images), ImageLimits()).drain()

    hashes = {drain("a", "b"), drain("b", "a"), drain("a"), drain("a", "c")}
    files = ImageFiles(ImageChunk(0, "n", str(tmp_path), images=("a", "b")), ImageLimits())
    assert [found for _, found in files] == [b"1", b"2"]
    assert files.drain() == drain("a", "b") and files.bytes_read == 2
    (tmp_path / "b").write_bytes(b"3")
    assert len(hashes | {drain("a", "b")}) == 5


def test_files_of_before_there_were_stacks_are_read(tmp_path):
    neighbour = RetrievedNeighbour(1, "d/s/1", "d/s", 0.5, ("said",), "store")
    path = tmp_path / "part.parquet"
    write_retrievals(path, [("a.jpg", Retrieval((), (neighbour,)))])
    table = pq.read_table(path)
    fields = [RETRIEVED_NEIGHBOUR_TYPE.field(n) for n in range(5)]
    kinds = table.schema.set(2, table.schema.field(2).with_type(pa.list_(pa.struct(fields))))
    rows = table.to_pylist()
    del rows[0]["neighbours"][0]["datastore"]
    pq.write_table(pa.Table.from_pylist(rows, kinds), path)
    ((_, found),) = read_retrievals(path)
    assert found.neighbours == (dataclasses.replace(neighbour, datastore=""),)


def test_the_format_page_names_every_column_and_field():
    page = (Path(__file__).parents[2] / "docs/format.md").read_text()
    section = page.split("# Retrievals on disk")[1]
    names = list(RETRIEVALS_SCHEMA.names)
    for kind in (RETRIEVED_TAG_TYPE, RETRIEVED_NEIGHBOUR_TYPE):
        names += [kind.field(place).name for place in range(kind.num_fields)]
    for kind in (RetrievalPin, RetrievalSummary, InstructionRows):
        names += [field.name for field in dataclasses.fields(kind)]
    assert all(re.search(rf"`{name}`", section) for name in names)
    for kind, record in (
        (RETRIEVED_TAG_TYPE, RetrievedTag),
        (RETRIEVED_NEIGHBOUR_TYPE, RetrievedNeighbour),
    ):
        fields = [kind.field(place).name for place in range(kind.num_fields)]
        assert fields == [field.name for field in dataclasses.fields(record)]


def test_rows_of_instructions_reconcile():
    with pytest.raises(ValueError, match="10 read is not 5"):
        InstructionRows(10, 5, 4, 0)
