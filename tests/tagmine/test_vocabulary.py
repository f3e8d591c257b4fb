"""The vocabulary against a plain count over the same rows, and what a damaged file does."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow as pa
import pytest

from tagmine import count_tags
from tagmine.count_tags import write_vocabulary
from tagmine.errors import DatastoreError
from tagmine.parts import PartFooter, TagRow, TagTableWriter, write_rejects
from tagmine.rejects import Reject
from tagmine.tags import Tag
from tagmine.vocabulary import (
    VOCABULARY_SCHEMA,
    VocabularyEntry,
    VocabularyFooter,
    key_hash,
    open_vocabulary,
)
from tagmine.vocabulary_summary import Selection, export_tags, summarize

SKY = Tag("a blue sky", "blue sky", "attribute", "sky", ("blue",))
SKIES = Tag("blue skies", "blue sky", "attribute", "sky", ("blue",), count=3)
RIGA = Tag("Riga", "Riga", "entity", "Riga", label="GPE")


def write_tags(path: Path, images: list[tuple[Tag, ...]], part: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = TagTableWriter(path)
    for position, tags in enumerate(images):
        writer.add(TagRow(part << 32 | position, f"d/s/{position}", "d/s", ("c",), tags))
    count = len(images)
    writer.finish(PartFooter(1, "mine", part, "d/s", "", 0, "", "", count, count, {}))
    return path


def random_images(seed: int, count: int) -> list[tuple[Tag, ...]]:
    rng = random.Random(seed)
    images = []
    for _ in range(count):
        tags = {}
        for _ in range(rng.randrange(6)):
            number = int(60 * rng.random() ** 2)
            plural = rng.choice(["", "s", "S"])
            words = (f"old {number}{plural}", f"old {number}", "attribute", f"{number}", ("old",))
            tag = Tag(*words, count=rng.randint(1, 5))
            if number % 9 == 0:
                tag = Tag(f"Élan {number}", f"Élan {number}", "field", f"{number}", label="brand")
            tags[tag.merge_key] = tag
        images.append(tuple(tags.values()))
    return images


def oracle(images: list[tuple[Tag, ...]]) -> dict[tuple[str, str, str], VocabularyEntry]:
    found, texts = defaultdict(Counter), defaultdict(Counter)
    for tag in (tag for tags in images for tag in tags):
        found[tag.merge_key].update(images=1, mentions=tag.count)
        texts[tag.merge_key][tag.text, tag.head, tag.attributes] += 1
    entries = {}
    for key, counts in found.items():
        wording = min(texts[key].items(), key=lambda pair: (-pair[1], pair[0]))[0]
        entries[key] = VocabularyEntry(*key, *wording, counts["images"], counts["mentions"])
    return entries


def entries_of(path: Path) -> dict[tuple[str, str, str], VocabularyEntry]:
    rows = pa.Table.from_batches(open_vocabulary(path).batches(), VOCABULARY_SCHEMA).to_pylist()
    for row in rows:
        assert row.pop("hash") == key_hash((row["kind"], row["label"], row["lemma"]))
    entries = [VocabularyEntry(**row | {"attributes": tuple(row["attributes"])}) for row in rows]
    return {(entry.kind, entry.label, entry.lemma): entry for entry in entries}


def test_counts_are_those_of_a_plain_count(tmp_path, monkeypatch):
    # Small, so that tags, variants and hashes go on over the borders of batches.
    monkeypatch.setattr(count_tags, "BATCH_ROWS", 7)
    images = [random_images(seed, 80) for seed in range(3)]
    parts = [write_tags(tmp_path / f"{n}.parquet", rows, n) for n, rows in enumerate(images)]
    target = tmp_path / "v.arrow"
    footer = write_vocabulary(target, parts, (), "m")
    every = sum(images, [])
    expected = oracle(every)
    assert len(expected) > 40 and entries_of(target) == expected
    assert footer.images == 240
    assert dict(footer.tags_an_image) == Counter(len(tags) for tags in every)
    vocabulary = open_vocabulary(target)
    assert len(vocabulary) == len(expected)
    absent = ("object", "", "unicorn")
    assert vocabulary.look_up([*expected, absent]) == [*expected.values(), None]


def test_the_bytes_depend_on_the_rows_alone(tmp_path):
    parts = [write_tags(tmp_path / f"{n}.parquet", random_images(n, 500), n) for n in range(4)]
    written = set()
    for threads, order in ((1, parts), (2, parts[::-1]), (4, parts)):
        write_vocabulary(tmp_path / "v", order, (), "m", threads)
        written.add((tmp_path / "v").read_bytes())
    assert len(written) == 1


def test_a_tag_is_shown_by_its_commonest_text(tmp_path):
    """By images, not by mentions; of equally common texts, the smallest."""
    for images, text in (
        ([(SKY,), (SKY,), (SKIES,)], "a blue sky"),
        ([(SKY,), (SKIES,), (SKIES,)], "blue skies"),
        ([(SKIES,), (SKY,)], "a blue sky"),
    ):
        write_vocabulary(
            tmp_path / "v", [write_tags(tmp_path / "p.parquet", images)], (), "m", threads=1
        )
        (entry,) = entries_of(tmp_path / "v").values()
        assert (entry.text, entry.head, entry.attributes) == (text, "sky", ("blue",))
        assert (entry.images, entry.mentions) == (len(images), sum(t.count for (t,) in images))


def test_one_text_that_was_parsed_in_two_ways(tmp_path):
    """Its images count together, and the commoner of its parses is kept."""
    words = ("light blue car", "light blue car", "attribute")
    two = Tag(*words, "car", ("light", "blue"))
    one = Tag(*words, "car", ("light blue",))
    other = Tag("light blue cars", *words[1:], "car", ("blue",))
    images = [(other,), (two,), (other,), (one,), (two,), (other,), (one,), (one,)]
    write_vocabulary(tmp_path / "v", [write_tags(tmp_path / "p.parquet", images)], (), "m")
    (entry,) = entries_of(tmp_path / "v").values()
    assert (entry.text, entry.attributes, entry.images) == (one.text, one.attributes, 8)


def test_images_that_a_later_stage_rejected_are_not_counted(tmp_path):
    part = write_tags(tmp_path / "a[1]=b*?" / "p.parquet", [(SKY,), (SKY, RIGA), (SKIES,), ()])
    rejects = [tmp_path / "embed.parquet", tmp_path / "index.parquet"]
    write_rejects(rejects[0], [Reject(1, "d/s/1", "embed", "no_image")], "m")
    write_rejects(rejects[1], [Reject(3, "d/s/3", "index", "no_tags_row")], "m")
    footer = write_vocabulary(tmp_path / "v", [part], rejects, "m")
    assert entries_of(tmp_path / "v") == oracle([(SKY,), (SKIES,)])
    assert (footer.images, footer.tags_an_image) == (2, ((1, 2),))


def test_keys_of_one_hash_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(count_tags, "BATCH_ROWS", 3)
    words = [str(number) for number in range(12)]
    splits = [("\x1f".join(words[:n]), "\x1f".join(words[n:])) for n in range(1, 12)]
    twins = [Tag("t", lemma, "entity", lemma, label=label) for label, lemma in splits]
    assert len({key_hash(tag.merge_key) for tag in twins}) == 1
    part = write_tags(tmp_path / "p.parquet", [tuple(twins[n:]) for n in range(11)] + [(SKY,)])
    write_vocabulary(tmp_path / "v", [part], (), "m")
    found = open_vocabulary(tmp_path / "v").look_up([tag.merge_key for tag in twins])
    assert [entry.images for entry in found] == list(range(1, 12))
    assert [(entry.label, entry.lemma) for entry in found] == splits


def test_no_tags_at_all(tmp_path):
    footer = write_vocabulary(
        tmp_path / "v", [write_tags(tmp_path / "p.parquet", [(), ()])], (), "m"
    )
    vocabulary = open_vocabulary(tmp_path / "v")
    assert (len(vocabulary), footer.images) == (0, 2)
    assert vocabulary.look_up([SKY.merge_key]) == [None] and vocabulary.left_out(5) == 0
    summary = summarize(vocabulary, Selection(), 5)
    assert (summary.selected.tags, summary.tags_an_image.images_without) == (0, 2)


def test_damage_is_named_and_never_followed(tmp_path):
    path = tmp_path / "v"
    write_vocabulary(path, [write_tags(tmp_path / "p.parquet", random_images(0, 50))], (), "m")
    data = path.read_bytes()
    with pytest.raises(DatastoreError, match="made of other tags"):
        open_vocabulary(path, "other")
    for size in range(0, len(data) - 1, 211):
        path.write_bytes(data[:size])
        with pytest.raises(DatastoreError, match="cannot be read as a vocabulary"):
            open_vocabulary(path)
    chance = random.Random(0)
    for _ in range(300):
        place = chance.randrange(len(data))
        path.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        try:
            list(open_vocabulary(path).batches())
        except DatastoreError:
            continue
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 no parquet")
    with pytest.raises(DatastoreError, match="cannot be counted"):
        write_vocabulary(path, [broken], (), "m")


def test_summary_against_the_plain_count(tmp_path):
    images = random_images(5, 300)
    write_vocabulary(tmp_path / "v", [write_tags(tmp_path / "p.parquet", images)], (), "m")
    expected = list(oracle(images).values())
    summary = summarize(open_vocabulary(tmp_path / "v"), Selection(), 4, (2, 10))
    assert summary.selected.tags == summary.unique == len(expected)
    assert summary.selected.uses == sum(len(tags) for tags in images)
    assert summary.selected.singletons == sum(entry.images == 1 for entry in expected)
    assert {(g.kind, g.label): g.tags for g in summary.groups} == Counter(
        (entry.kind, entry.label) for entry in expected
    )
    lengths = sorted(len(tags) for tags in images)
    an_image = summary.tags_an_image
    assert an_image.mean == pytest.approx(sum(lengths) / 300)
    assert (an_image.median, an_image.p95, an_image.most) == (lengths[149], lengths[284], 5)
    assert an_image.images_without == lengths.count(0)
    by_use = sorted(expected, key=lambda e: (-e.images, e.lemma))
    assert list(summary.commonest) == by_use[:4]
    assert [entry.images for entry in summary.rarest] == [e.images for e in by_use[:-5:-1]]
    for floor in summary.floors:
        rare = [e for e in expected if e.images < floor.min_tag_images and e.kind != "field"]
        assert (floor.tags_left_out, floor.uses_left_out) == (
            len(rare),
            sum(entry.images for entry in rare),
        )
        assert open_vocabulary(tmp_path / "v").left_out(floor.min_tag_images) == len(rare)


@pytest.mark.parametrize(
    ("selection", "chosen"),
    [
        (Selection(kind="field"), lambda e: e.kind == "field"),
        (Selection(label="brand"), lambda e: e.label == "brand"),
        (Selection(contains="OLD 4"), lambda e: "old 4" in e.lemma),
        (Selection(kind="field", contains="éLAN 1"), lambda e: "Élan 1" in e.text),
        (Selection(contains="%'; --"), lambda e: False),
    ],
)
def test_a_selection(tmp_path, selection, chosen):
    images = random_images(6, 200)
    write_vocabulary(tmp_path / "v", [write_tags(tmp_path / "p.parquet", images)], (), "m")
    summary = summarize(open_vocabulary(tmp_path / "v"), selection, 1000)
    expected = {entry for entry in oracle(images).values() if chosen(entry)}
    assert set(summary.commonest) == set(summary.rarest) == expected
    assert summary.selected.tags == len(expected)


def test_an_export_holds_every_tag(tmp_path):
    import csv

    import pyarrow.parquet as pq

    images = [(SKY, Tag('a "b", c\n=1', "x", "object", "x")), (SKIES, RIGA), (SKIES,)]
    write_vocabulary(tmp_path / "v", [write_tags(tmp_path / "p.parquet", images)], (), "m")
    vocabulary = open_vocabulary(tmp_path / "v")
    for name in ("o'ne.parquet", "o'ne.csv"):
        export_tags(vocabulary, Selection(), 2, tmp_path / name)
    rows = pq.read_table(tmp_path / "o'ne.parquet").to_pylist()
    assert [(r["text"], r["images"], r["kept"]) for r in rows] == [
        ("blue skies", 3, True),
        ("Riga", 1, True),
        ('a "b", c\n=1', 1, False),
    ]
    assert rows[0]["attributes"] == ["blue"]
    with (tmp_path / "o'ne.csv").open(newline="") as stream:
        read = list(csv.DictReader(stream))
    assert [r["text"] for r in read] == [r["text"] for r in rows]
    assert [r["kept"] for r in read] == ["true", "true", "false"]


def test_a_footer_of_another_version_is_refused(tmp_path):
    footer = VocabularyFooter(9, "m", 0, ())
    schema = VOCABULARY_SCHEMA.with_metadata(footer.to_metadata())
    with pa.OSFile(str(tmp_path / "v"), "wb") as sink, pa.ipc.new_file(sink, schema):
        pass
    with pytest.raises(DatastoreError, match="format version 9"):
        open_vocabulary(tmp_path / "v")
