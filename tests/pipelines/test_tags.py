"""`tagmine tags` and the floor for rare tags, over a real datastore, against a plain count."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
from collections import Counter, defaultdict

import pyarrow.parquet as pq
import pytest

from index import load_encoder, open_datastore
from pipelines.main import main
from tagmine.errors import DatastoreError
from tagmine.layout import remove_leftovers

FIELDS = ["--caption-json-field", "captions", "--tag-fields", "brand"]


@pytest.fixture(scope="module")
def built(tmp_path_factory, shards, tiny_clip, write_tar, jpeg):
    """Datastore of two shards and one more, with a rare entity and image-less and bad samples."""
    odd = [
        ("0.jpg", jpeg(90)),
        ("0.json", b'{"captions": ["blue skies over Paris", "a purple kite"], "brand": "Zed"}'),
        ("1.json", b'{"captions": ["blue skies", "a blue sky"]}'),
        ("2.jpg", b"no picture"),
        ("2.json", b'{"captions": ["a green boat on a lake"]}'),
        ("3.jpg", jpeg(91)),
    ]
    folder = tmp_path_factory.mktemp("tags")
    odd_shard = write_tar(folder / "toys/90000.tar", odd)
    root = folder / "store"
    command = ["build", f"{shards}/0000[01].tar", str(odd_shard), "--out", str(root)]
    assert main([*command, "--clip-model", tiny_clip, *FIELDS]) == 0
    return root


@pytest.fixture
def store(built, tmp_path):
    """A copy that a test may change."""
    shutil.copytree(built, tmp_path / "store")
    return tmp_path / "store"


def tag_rows(root, indexed=True) -> list[dict]:
    rows = [row for p in sorted(root.glob("tags/*")) for row in pq.read_table(p).to_pylist()]
    rejects = [*root.glob("rejects/embed/*"), *root.glob("rejects/index/*")] if indexed else []
    gone = {row["id"] for path in rejects for row in pq.read_table(path).to_pylist()}
    return [row for row in rows if row["id"] not in gone]


def key(tag: dict) -> tuple[str, str, str]:
    return tag["kind"], tag["label"], tag["lemma"]


def frequencies(rows) -> Counter:
    return Counter(key(tag) for row in rows for tag in row["tags"])


def commonest_texts(rows) -> dict:
    texts = defaultdict(Counter)
    for tag in (tag for row in rows for tag in row["tags"]):
        texts[key(tag)][tag["text"]] += 1
    return {k: min(c, key=lambda text: (-c[text], text)) for k, c in texts.items()}


def shown(root, capsys, *flags) -> dict:
    capsys.readouterr()
    assert main(["tags", str(root), "--json", "-n", "1000", *flags]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("indexed", [True, False])
def test_the_numbers_are_those_of_a_plain_count(store, capsys, indexed):
    """Before the index there are more images: those without a picture are mined too."""
    if not indexed:
        for name in ("manifest.json", "index", "vocabulary"):
            path = store / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    rows = tag_rows(store, indexed)
    record = shown(store, capsys)
    assert len(rows) == (13 if indexed else 15) == record["images"]
    expected = frequencies(rows)
    assert {key(tag): tag["images"] for tag in record["commonest"]} == expected
    assert {key(tag): tag["text"] for tag in record["rarest"]} == commonest_texts(rows)
    assert record["unique"] == record["selected"]["tags"] == len(expected)
    mean = sum(len(row["tags"]) for row in rows) / len(rows)
    assert record["tags_an_image"]["mean"] == pytest.approx(mean)
    per_kind = Counter((kind, label) for kind, label, _ in expected)
    assert {(g["kind"], g["label"]): g["tags"] for g in record["groups"]} == per_kind
    assert (record["indexed"], record["parts"]) == (indexed, 3)


def test_wordings_are_one_tag_and_shown_by_the_commonest(built, capsys):
    record = shown(built, capsys, "--contains", "blue sky")
    (sky,) = record["commonest"]
    assert (sky["lemma"], sky["text"], sky["kind"]) == ("blue sky", "blue sky", "attribute")
    said = {t["text"] for row in tag_rows(built) for t in row["tags"] if t["lemma"] == "blue sky"}
    assert said == {"blue sky", "blue skies"}
    datastore = open_datastore(built)
    odd = next(row for row in datastore.rows(range(2 << 32, (2 << 32) + 1)).values())
    vector = datastore.embeddings(2).vectors[:1].astype("float32")
    answer = datastore.query(vector, 1)[0]
    assert "blue skies" in {tag["text"] for tag in odd["tags"]}
    assert "blue skies" in {tag.text for tag in answer.neighbours[0].tags}
    pooled = {p.tag.lemma: p.tag.text for p in answer.tags}
    assert pooled["blue sky"] == "blue sky" and "Paris" in pooled.values()


def files(root, folder):
    return {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in (root / folder).rglob("*")}


def test_the_floor_leaves_rare_tags_out_and_refills_nothing(store, tiny_clip, capsys):
    counts = frequencies(tag_rows(store))
    everything = {row["id"]: row["tags"] for row in tag_rows(store)}
    assert 1 in counts.values() and max(counts.values()) >= 4
    before = {name: files(store, name) for name in ("index", "vocabulary", "tags")}
    for floor in (4, 2, 1):
        assert main(["index", str(store), "--min-tag-images", str(floor)]) == 0
        assert main(["verify", str(store)]) == 0
        assert {name: files(store, name) for name in before} == before
        manifest = json.loads((store / "manifest.json").read_text())
        assert manifest["vocabulary"]["min_tag_images"] == floor
        datastore = open_datastore(store, load_encoder(tiny_clip))
        for row_id, row in datastore.rows(list(everything)).items():
            assert row["tags"] == [
                tag
                for tag in everything[row_id]
                if counts[key(tag)] >= floor or tag["kind"] in ("entity", "field")
            ]
        vector = datastore.embeddings(2).vectors[:1].astype("float32")
        (answer,) = datastore.query(vector, 13)
        pooled = {p.tag.merge_key: p.votes for p in answer.tags}
        assert pooled == {
            k: n for k, n in counts.items() if n >= floor or k[0] in ("entity", "field")
        }
        assert pooled["entity", "GPE", "Paris"] == pooled["field", "brand", "Zed"] == 1
        record = shown(store, capsys)
        rare = [k for k, n in counts.items() if n < floor and k[0] not in ("entity", "field")]
        effect = {f["min_tag_images"]: f["tags_left_out"] for f in record["floors"]}
        assert bool(rare) == (floor > 1)
        assert record["min_tag_images"] == floor and effect.get(floor, 0) == len(rare)
        # The vocabulary itself keeps every tag.
        assert record["unique"] == len(counts)


def test_build_takes_the_floor_and_says_what_it_leaves_out(
    built, tmp_path, shards, tiny_clip, capfd
):
    root = tmp_path / "store"
    command = ["build", f"{shards}/00000.tar", "--out", str(root), "--clip-model", tiny_clip]
    assert main([*command, "--min-tag-images", "2"]) == 0
    counts = frequencies(tag_rows(root))
    rare = sum(n < 2 and kind != "entity" for (kind, _, _), n in counts.items())
    said = f"tags   {len(counts)} unique tags; {rare} in fewer than 2 images are left out"
    assert said in capfd.readouterr().err


def test_an_altered_or_missing_vocabulary_is_counted_anew(store, capfd):
    path = store / "vocabulary/tags.arrow"
    data = path.read_bytes()
    place = len(data) // 2
    altered = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
    for content in (altered, data[:-9], None):
        path.unlink() if content is None else path.write_bytes(content)
        for command in ("verify", "tags"):
            capfd.readouterr()
            assert main([command, str(store)]) == 1
            assert "vocabulary/tags.arrow" in capfd.readouterr().err
        with pytest.raises(DatastoreError, match=r"vocabulary/tags.arrow"):
            open_datastore(store)
        assert main(["index", str(store)]) == 0
        assert path.read_bytes() == data and main(["verify", str(store)]) == 0


KILLED_BEFORE_A_RENAME = """
import os, signal, sys
from pipelines.main import main
rename = os.replace
def replace(source, target):
    if str(target).endswith(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target)
os.replace = replace
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("moment", ["tags.arrow", "manifest.json"])
def test_killed_while_publishing_and_started_again(store, read_folder, moment):
    whole = read_folder(store)
    for name in ("manifest.json", "vocabulary/tags.arrow"):
        (store / name).unlink()
    words = [sys.executable, "-c", KILLED_BEFORE_A_RENAME, moment, "index", str(store)]
    assert subprocess.run(words, capture_output=True).returncode == -signal.SIGKILL
    assert (store / "vocabulary/tags.arrow").exists() == (moment == "manifest.json")
    assert main(["index", str(store)]) == 0 and main(["verify", str(store)]) == 0
    # A job takes away what killed ones left.
    assert remove_leftovers(store) == 0
    assert read_folder(store) == whole


def test_the_table_for_people(built, capsys):
    assert main(["tags", str(built), "-n", "3"]) == 0
    printed = capsys.readouterr().out
    for words in ("13 images in the index", "unique tags", "tags an image", "commonest", "rarest"):
        assert words in printed
    for words in ("--min-tag-images", "entity", "GPE", "brand", "images without tags"):
        assert words in printed
    assert main(["tags", str(built), "--contains", "no such thing"]) == 0
    assert "0 of them as asked for" in capsys.readouterr().out


def test_a_narrow_terminal_shows_the_numbers_too(built):
    """Where two lists have no room beside each other, one stands below the other."""
    import io

    from rich.console import Console

    from pipelines.tags import run
    from pipelines.tags_options import TagsOptions

    printed = {}
    for width in (80, 160):
        stream = io.StringIO()
        run(TagsOptions(str(built), 3), Console(file=stream, width=width, markup=False))
        printed[width] = stream.getvalue().splitlines()
        assert max(map(len, printed[width])) <= width and "…" not in stream.getvalue()
    assert any("commonest" in line and "rarest" in line for line in printed[160])
    assert not any("commonest" in line and "rarest" in line for line in printed[80])


def test_strangers_neither_steer_nor_style_the_terminal(tmp_path, write_tar, jpeg, capsys):
    hostile = '["\\u001b]0;owned\\u0007", "[bold red]x[/]", "\\u202eevil", "=cmd()"]'
    record = f'{{"f": {hostile}}}'.encode()
    members = [("0.jpg", jpeg(0)), ("0.txt", b"a red car"), ("0.json", record)]
    shard = write_tar(tmp_path / "in" / "0.tar", members)
    out = str(tmp_path / "store")
    assert main(["mine", str(shard), "--out", out, "--tag-fields", "f"]) == 0
    capsys.readouterr()
    assert main(["tags", out, "--label", "f"]) == 0
    printed = capsys.readouterr().out
    assert not {"\x1b", "\x07", "\u202e"} & set(printed)
    assert "[bold red]x[/]" in printed


def test_tags_are_written_to_a_file(built, tmp_path, capfd):
    counts = frequencies(tag_rows(built))
    for name in ("all.csv", "all.parquet"):
        assert main(["tags", str(built), "--write", str(tmp_path / name)]) == 0
    with (tmp_path / "all.csv").open(newline="") as stream:
        read = list(csv.DictReader(stream))
    assert {key(row): int(row["images"]) for row in read} == counts
    rows = pq.read_table(tmp_path / "all.parquet").to_pylist()
    assert {key(row): row["images"] for row in rows} == counts
    assert main(["tags", str(built), "--write", str(built / "manifest.json" / "x.csv")]) == 1
    assert "cannot be written" in capfd.readouterr().err


def test_a_folder_without_tags(tmp_path, capfd):
    (tmp_path / "tags").mkdir()
    (tmp_path / "tags/.part-00000.parquet.tmp-00").touch()
    for folder in (tmp_path, tmp_path / "none"):
        assert main(["tags", str(folder)]) == 1
        assert "holds no tags; run tagmine mine" in capfd.readouterr().err
