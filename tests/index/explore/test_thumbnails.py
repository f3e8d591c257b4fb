"""Thumbnails that a build keeps: pinned, verified, the same bytes again, and shown."""

from __future__ import annotations

import dataclasses
import io
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from index.explore.options import ExploreOptions
from index.explore.pictures import PictureCache
from index.explore.shard_pictures import NoPictureError
from index.explore.stores import open_stores
from index.stack_plan import parse_stack
from index.thumbnails import THUMBNAILS_SCHEMA
from pipelines.main import main
from tagmine.layout import thumbnails_path
from tagmine.manifest import read_manifest
from tagmine.sources import read_sources, write_sources


@pytest.fixture(scope="module")
def shards(tmp_path_factory, write_tar, jpeg):
    """Two shards; of the first, one picture is broken and one has no caption."""
    folder = tmp_path_factory.mktemp("in") / "toys"
    for shard in range(2):
        members = []
        for number in range(5):
            members += [(f"{number}.jpg", jpeg(shard * 5 + number)), (f"{number}.txt", b"a car")]
        members += [("x.jpg", b"no picture"), ("x.txt", b"a dog"), ("y.jpg", jpeg(99))]
        write_tar(folder / f"{shard}.tar", members)
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory, shards):
    root = tmp_path_factory.mktemp("out") / "store"
    assert main(build(shards, root, "--thumbnails", "32")) == 0
    return root


def build(shards, root, *more: str) -> list[str]:
    return ["build", f"{shards}/*.tar", "--out", str(root), "--clip-model", "demo", *more]


def test_a_picture_for_each_embedded_image(built):
    manifest = read_manifest(built)
    for part in manifest.parts:
        table = pq.read_table(built / part.thumbnails.path)
        assert table.schema.remove_metadata().equals(THUMBNAILS_SCHEMA)
        embedded = part.stages["embed"].written
        assert len(table) == part.thumbnails.rows == embedded == 6
        for picture in table.column("jpeg").to_pylist():
            assert max(Image.open(io.BytesIO(picture)).size) == 32
    assert main(["verify", str(built)]) == 0


def test_built_again_they_are_the_same_bytes(built, shards, tmp_path, capfd):
    root = tmp_path / "store"
    shutil.copytree(built, root)
    before = (root / thumbnails_path(0)).read_bytes()
    (root / thumbnails_path(0)).unlink()
    assert main(build(shards, root, "--thumbnails", "32")) == 0
    assert "1 of 2 parts were finished before" in capfd.readouterr().err
    assert (root / thumbnails_path(0)).read_bytes() == before
    assert (root / "manifest.json").read_bytes() == (built / "manifest.json").read_bytes()
    # A build that does not ask for them keeps those that are there.
    assert main(build(shards, root)) == 0
    assert (root / "manifest.json").read_bytes() == (built / "manifest.json").read_bytes()


def test_those_of_another_shard_go(built, shards, tmp_path, write_tar, jpeg):
    root, moved = tmp_path / "store", tmp_path / "toys"
    shutil.copytree(built, root)
    shutil.copytree(shards, moved)
    write_tar(moved / "1.tar", [("0.jpg", jpeg(50)), ("0.txt", b"a boat")])
    assert main(build(moved, root)) == 0
    assert [part.thumbnails is None for part in read_manifest(root).parts] == [False, True]
    assert not (root / thumbnails_path(1)).exists()


def test_they_are_shown_without_the_shards(built, tmp_path, jpeg):
    root = tmp_path / "store"
    shutil.copytree(built, root)
    moved = [dataclasses.replace(source, url="/gone.tar") for source in read_sources(root)]
    write_sources(root, moved)
    (store,) = open_stores(ExploreOptions(parse_stack([str(root)])))
    for size in ("small", "large"):
        shown = Image.open(io.BytesIO(PictureCache().get(store, 3, size)))
        assert shown.size == (32, 27)


def test_a_picture_that_is_taken_out_is_in_no_file_any_more(built, shards, tmp_path):
    root = tmp_path / "store"
    shutil.copytree(built, root)
    taken, *others = pq.read_table(root / thumbnails_path(0)).to_pylist()
    (tmp_path / "keys.txt").write_text(f"id:{taken['id']}")
    assert main(["remove", str(root), "--keys", str(tmp_path / "keys.txt")]) == 0
    (store,) = open_stores(ExploreOptions(parse_stack([str(root)])))
    with pytest.raises(NoPictureError):
        PictureCache().get(store, taken["id"], "small")
    assert taken["id"] not in store.samples()
    assert main(["compact", str(root)]) == 0 == main(["verify", str(root)])
    assert pq.read_table(root / thumbnails_path(0)).to_pylist() == others
    files = [path for path in root.rglob("*") if path.is_file()]
    assert not [path for path in files if taken["jpeg"] in path.read_bytes()]
    before = (root / thumbnails_path(0)).read_bytes()
    assert main(build(shards, root, "--thumbnails", "32")) == 0
    assert (root / thumbnails_path(0)).read_bytes() == before


@pytest.mark.parametrize(
    "alter, says",
    [
        (lambda table: table.slice(1), "one picture for each embedded image"),
        (lambda table: table.set_column(1, "jpeg", [[b"GIF89a"] * len(table)]), "no JPEG"),
        (lambda table: table.select(["id"]), "cannot be read as thumbnails"),
    ],
)
def test_what_is_no_thumbnail_is_found_by_verify(built, tmp_path, repin, capfd, alter, says):
    root = tmp_path / "store"
    shutil.copytree(built, root)
    path = root / thumbnails_path(0)
    table = pq.read_table(path)
    altered = alter(table).replace_schema_metadata(table.schema.metadata)
    fields = [f.with_nullable(False) for f in altered.schema]
    schema = pa.schema(fields, altered.schema.metadata)
    pq.write_table(altered.cast(schema), path, write_page_checksum=True)
    repin(root, thumbnails_path(0), rows=len(altered))
    assert main(["verify", str(root)]) == 1
    assert says in capfd.readouterr().err


def test_sizes_that_make_no_sense(shards, tmp_path, capfd):
    for side in ("0", "5000"):
        assert main(build(shards, tmp_path / "x", "--thumbnails", side)) == 1
        assert "16 to 1024" in capfd.readouterr().err
    assert not (tmp_path / "x").exists()
