"""`tagmine remove` and `compact` over real shards: gone from every byte, and not coming back."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import faiss
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from index.explore.tagged import Place, find_tagged
from index.pictures import shrink
from index.search import open_datastore
from index.shards import stored_ids
from pipelines.main import main
from tagmine.manifest import read_manifest
from tagmine.removed import newest_record

ROWS = 40
# Shard, row, and how each is asked for.
VICTIMS = {(0, 7): "key", (0, 8): "id", (1, 20): "url", (1, 21): "image", (2, 30): "glob"}
WORDS = {7: "zeppelin", 8: "xylophone", 20: "quokka", 21: "yurt", 30: "bagpipe"}
PLAIN = ("a red car by a wall", "two dogs on a beach", "a bowl of apples", "an old man reading")


def url_of(shard: int, row: int) -> str:
    return f"https://pictures.example/{shard}/{row}.jpg"


def key_of(shard: int, row: int) -> str:
    return f"photos/{shard:05d}/img{row:04d}"


@pytest.fixture(scope="module")
def photos(tmp_path_factory, write_tar, jpeg) -> Path:
    """Three shards as img2dataset writes them, a few captions of which are like no other."""
    folder = tmp_path_factory.mktemp("input") / "photos"
    for shard in range(3):
        members = []
        for row in range(ROWS):
            word = WORDS[row] if (shard, row) in VICTIMS else None
            caption = f"a {word} in the garden" if word else f"{PLAIN[row % 4]} {row % 7}"
            name = f"img{row:04d}"
            record = {"url": url_of(shard, row), "key": name}
            text = caption.encode() if row != 35 else b"\xff\xfe unreadable"
            members += [
                (f"{name}.jpg", jpeg(shard * ROWS + row)),
                (f"{name}.txt", text),
                (f"{name}.json", json.dumps(record).encode()),
            ]
        write_tar(folder / f"{shard:05d}.tar", members)
    return folder


@pytest.fixture(scope="module")
def command(photos) -> list[str]:
    shards = [str(photos / f"{shard:05d}.tar") for shard in range(3)]
    flags = ["--clip-model", "demo", "--index-key", "IVF2,Flat", "--thumbnails", "32"]
    return ["build", *shards, *flags]


@pytest.fixture(scope="module")
def built(tmp_path_factory, command) -> Path:
    """The datastore with its report, never to be written to."""
    root = tmp_path_factory.mktemp("built") / "store"
    assert main([*command, "--out", str(root)]) == 0
    validate = ["validate", str(root), "--sample", "110", "--gallery", "100", "-k", "1,3", "--at=3"]
    main(validate)
    return root


@pytest.fixture
def store(built, tmp_path) -> Path:
    root = tmp_path / "store"
    shutil.copytree(built, root)
    return root


@pytest.fixture
def takedown(built, photos, tmp_path, jpeg) -> Path:
    """A file that asks for each victim in another way."""
    lines = {
        "key": key_of(0, 7),
        "id": f"id:{open_datastore(built).ids_of([key_of(0, 8)])[0]}",
        "url": url_of(1, 20),
        "image": hashlib.sha256(jpeg(ROWS + 21)).hexdigest().upper(),
        "glob": "photos/00002/img003[0]",
    }
    path = tmp_path / "takedown.txt"
    path.write_text("\n".join(lines[kind] for kind in VICTIMS.values()) + "\n")
    return path


def victims(root: Path) -> dict[int, list[bytes]]:
    """The victims' ids, each with the bytes of its embedding, in half and in single precision."""
    datastore = open_datastore(root)
    ids = datastore.ids_of([key_of(*victim) for victim in VICTIMS])
    assert len(ids) == len(VICTIMS)
    vectors = {}
    for row_id in ids.tolist():
        part = datastore.embeddings(row_id >> 32)
        vector = part.vectors[part.rows_of(ids[ids == row_id])[0]]
        vectors[row_id] = [vector.tobytes(), vector.astype("float32").tobytes()]
    return vectors


def readable(path: Path) -> bytes:
    """A file's bytes, and what they say to those who can read it."""
    raw = path.read_bytes()
    if path.suffix == ".parquet":
        file = pq.ParquetFile(path)
        raw += repr(file.read().to_pylist()).encode() + repr(file.metadata.metadata).encode()
    elif path.suffix == ".arrow":
        with pa.memory_map(str(path)) as source:
            raw += repr(pa.ipc.open_file(source).read_all().to_pylist()).encode()
    elif path.suffix == ".faiss" and "shard" in path.name:
        raw += repr(stored_ids(faiss.read_index(str(path))).tolist()).encode()
    return raw


def mentions(root: Path, needles: list[bytes]) -> set[tuple[str, bytes]]:
    """Every file below a folder that has one of the needles in it, names of files included."""
    found = set()
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        name = path.relative_to(root).as_posix()
        text = readable(path) + name.encode()
        found |= {(name, needle) for needle in needles if needle in text}
    return found


def needles_of(vectors: dict[int, list[bytes]], jpeg) -> list[bytes]:
    texts = [key_of(*victim) for victim in VICTIMS] + [url_of(*victim) for victim in VICTIMS]
    texts += [*WORDS.values(), *(f"{row_id}," for row_id in vectors if row_id > 1 << 32)]
    texts += [hashlib.sha256(jpeg(ROWS + 21)).hexdigest()]
    pictures = [shrink(jpeg(shard * ROWS + row), 32) for shard, row in VICTIMS]
    texts += [hashlib.sha256(key_of(*victim).encode()).hexdigest() for victim in VICTIMS]
    return [text.encode() for text in texts] + sum(vectors.values(), pictures)


def test_after_compacting_no_byte_is_about_them(store, takedown, jpeg, capfd):
    vectors = victims(store)
    needles = needles_of(vectors, jpeg)
    before = mentions(store, needles)
    places = {path.split("/")[0] for path, _ in before}
    assert places >= {"tags", "embeddings", "index", "vocabulary", "report", "thumbnails"}
    rows = {row["id"]: row for part in (0, 1, 2) for row in rows_of(store, part)}
    assert find_tagged(open_datastore(store), ("object", "", WORDS[7]), Place(), 9).ids == (7,)
    assert main(["remove", str(store), "--keys", str(takedown)]) == 0
    assert "5 asked for, 5 found: 5 samples, of which 5 images" in capfd.readouterr().err
    hidden = open_datastore(store)
    assert find_tagged(hidden, ("object", "", WORDS[7]), Place(), 9).ids == ()
    assert len(hidden) == 3 * ROWS - 3 - 5 and hidden.rows(list(vectors)) == {}
    assert main(["tags", str(store), "-n", "1000"]) == 0
    assert not [word for word in WORDS.values() if word in capfd.readouterr().out]
    assert main(["verify", str(store)]) == 0
    assert main(["compact", str(store)]) == 0
    assert "5 samples are gone from 3 parts and 1 index shards" in capfd.readouterr().err
    assert mentions(store, needles) == set()
    assert main(["verify", str(store)]) == 0
    left = {row["id"]: row for part in (0, 1, 2) for row in rows_of(store, part)}
    assert left == {row_id: row for row_id, row in rows.items() if row_id not in vectors}
    report = json.loads((store / "report/report.json").read_text())
    assert 0 < len(report["gallery"]) < 100
    counts = read_manifest(store).totals
    assert counts["mine"].rejected["removed"] == counts["embed"].rejected["removed"] == 5


def rows_of(root: Path, part: int) -> list[dict]:
    return pq.read_table(root / f"tags/part-{part:05d}.parquet").to_pylist()


def test_a_build_does_not_bring_them_back(store, takedown, command, read_folder, jpeg):
    needles = needles_of(victims(store), jpeg)
    assert main(["remove", str(store), "--keys", str(takedown)]) == 0
    assert main([*command, "--out", str(store)]) == 0
    assert len(open_datastore(store)) == 3 * ROWS - 3 - 5
    assert main(["compact", str(store)]) == 0
    forgotten = read_folder(store)
    assert main([*command, "--out", str(store)]) == 0
    assert read_folder(store) == forgotten
    for path in ("tags/part-00001.parquet", "embeddings/part-00001.arrow"):
        (store / path).unlink()
    (store / "rejects/mine/part-00001.parquet").unlink()
    assert main([*command, "--out", str(store)]) == 0
    assert read_folder(store) == forgotten
    assert mentions(store, needles) == set()


def test_nor_under_another_key_or_after_a_lost_manifest(
    store, takedown, command, write_tar, jpeg, tmp_path
):
    assert main(["remove", str(store), "--keys", str(takedown)]) == 0
    (store / "manifest.json").write_text("{}")
    again = {"url": url_of(1, 20)}
    copies = [
        ("a.jpg", jpeg(9000)),
        ("a.txt", b"a quokka again"),
        ("a.json", json.dumps(again).encode()),
        ("b.jpg", jpeg(ROWS + 21)),
        ("b.txt", b"a yurt again"),
        ("c.jpg", jpeg(9001)),
        ("c.txt", b"a red car"),
    ]
    more = write_tar(tmp_path / "photos/00009.tar", copies)
    assert main([command[0], str(more), *command[1:], "--out", str(store)]) == 0
    datastore = open_datastore(store)
    assert len(datastore) == 3 * ROWS - 3 - 5 + 1
    assert datastore.manifest.parts[3].stages["mine"].rejected == {"removed": 2}
    assert main(["verify", str(store)]) == 0
    assert main(["compact", str(store)]) == 0
    assert mentions(store, [b"quokka", b"yurt"]) == set()


def test_what_is_found_nowhere_is_said_by_kind(store, command, write_tar, jpeg, tmp_path, capfd):
    lines = ["photos/00009/img0001", "photos/00009/img000[23]", f"id:{(3 << 32) + 4}"]
    (tmp_path / "takedown.txt").write_text("\n".join(lines))
    assert main(["remove", str(store), "--keys", str(tmp_path / "takedown.txt")]) == 0
    said = capfd.readouterr().err
    assert "1 found nowhere, and kept out of later builds: photos/00009/img0001\n" in said
    assert "2 globs and ids that fit nothing that is left; they keep nothing more out of" in said
    more = one_more(write_tar, jpeg, tmp_path, 9)
    assert main([command[0], str(more), *command[1:], "--out", str(store)]) == 0
    assert read_manifest(store).parts[3].stages["mine"].rejected == {"removed": 1}
    assert main(["verify", str(store)]) == 0


def test_shards_that_name_no_url_are_said_to_name_none(copied_store, store, tmp_path, capfd):
    (tmp_path / "url.txt").write_text("https://pictures.example/nowhere.jpg")
    for root, said in ((copied_store, True), (store, False)):
        assert main(["remove", str(root), "--keys", str(tmp_path / "url.txt")]) == 0
        printed = capfd.readouterr().err
        assert ("No sample of the shards has a field url in its JSON" in printed) == said
        assert "1 found nowhere, and kept out of later builds" in printed


def one_more(write_tar, jpeg, folder: Path, shard: int) -> Path:
    """A shard of five photos that no datastore has yet."""
    members = []
    for row in range(5):
        record = json.dumps({"url": url_of(shard, row)}).encode()
        name, picture = f"img{row:04d}", jpeg(shard * 1000 + row)
        members += [(f"{name}.jpg", picture), (f"{name}.txt", b"a red car")]
        members.append((f"{name}.json", record))
    return write_tar(folder / f"photos/{shard:05d}.tar", members)


def test_parts_that_a_killed_build_left_do_not_bring_them_back(
    store, command, write_tar, jpeg, tmp_path, capfd
):
    shards = [one_more(write_tar, jpeg, tmp_path, shard) for shard in (6, 7, 8, 9)]
    # As of a build that was killed before its manifest; part 6 was mined alone.
    line = [*map(str, shards), "--out", str(store)]
    assert main(["mine", *line]) == 0
    assert main(["embed", *line[1:], "--clip-model", "demo"]) == 0
    kept = {path: path.read_bytes() for path in store.glob("*/part-00006.*")}
    assert len(kept) == 2
    asked = [url_of(0, 7), url_of(8, 1), "photos/00006/img000[12]", f"id:{(4 << 32) + 4}"]
    (tmp_path / "takedown.txt").write_text("\n".join([*asked, "photos/00007/img0000"]))
    assert main(["remove", str(store), "--keys", str(tmp_path / "takedown.txt")]) == 0
    said = capfd.readouterr().err
    assert "5 asked for, 5 found: 1 samples" in said
    assert "3 parts of an interrupted build held some of them and were deleted" in said
    assert {path: path.read_bytes() for path in store.glob("*/part-0000[3456].*")} == kept
    assert main(["compact", str(store)]) == 0
    assert len(open_datastore(store)) == 3 * ROWS - 3 - 1
    assert main(["build", *line, *command[4:]]) == 0
    assert main(["verify", str(store)]) == 0
    removed = [part.stages["mine"].rejected for part in read_manifest(store).parts[3:]]
    assert removed == [{"removed": 2}, {"removed": 2}, {"removed": 1}, {}]
    assert {path: path.read_bytes() for path in kept} == kept


def test_a_reject_that_is_taken_out_loses_its_row(store, tmp_path):
    (tmp_path / "one.txt").write_text(key_of(0, 35))
    assert mentions(store / "rejects", [key_of(0, 35).encode()])
    assert main(["remove", str(store), "--keys", str(tmp_path / "one.txt")]) == 0
    assert main(["compact", str(store)]) == 0
    assert not mentions(store, [key_of(0, 35).encode()])
    counts = read_manifest(store).parts[0].stages
    assert counts["mine"].rejected == {"removed": 1} == counts["embed"].rejected
    assert main(["verify", str(store)]) == 0


def test_shards_that_changed_or_are_gone_are_named(store, tmp_path, photos, capfd):
    (tmp_path / "url.txt").write_text(url_of(0, 1))
    record = json.loads((store / "sources.json").read_text())
    record["sources"][1]["url"] = str(photos / "00000.tar")
    (store / "sources.json").write_text(json.dumps(record))
    assert main(["remove", str(store), "--keys", str(tmp_path / "url.txt")]) == 1
    assert "has changed since the datastore was built" in capfd.readouterr().err
    record["sources"][1]["url"] = str(photos / "gone.tar")
    (store / "sources.json").write_text(json.dumps(record))
    assert main(["remove", str(store), "--keys", str(tmp_path / "url.txt")]) == 1
    assert "gone.tar cannot be read" in capfd.readouterr().err
    assert newest_record(store) is None


# Each call of these makes a file what readers see, or takes one away. Run once to count them, then
# for some in a copy of the datastore, where the process dies at that call.
KILL = """
import os, shutil, signal, sys
from pathlib import Path
import index.compact, pipelines.compact, pipelines.remove
from pipelines.main import main
start, out, *line = sys.argv[1:]
calls = at = 0
def counted(real):
    def call(*args, **kwargs):
        global calls
        calls += 1
        if calls == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return call
def run(store):
    shutil.copytree(start, store)
    if os.fork():
        return os.wait()[1]
    for name in ("replace", "unlink", "link"):
        setattr(os, name, counted(getattr(os, name)))
    status = main([word.format(store) for word in line])
    Path(out, "calls").write_text(str(calls))
    os._exit(status)
assert run(out + "/whole") == 0
total = int(Path(out, "calls").read_text())
# At the first call and the last, and all along between them.
for at in sorted({1, total // 5, 2 * total // 5, 3 * total // 5, 4 * total // 5, total - 2, total}):
    assert run(f"{out}/killed-{at}") == signal.SIGKILL
"""


@pytest.mark.parametrize("step", ["remove", "compact"])
def test_killed_anywhere_it_opens_and_the_next_try_finishes(
    step, store, takedown, tmp_path, read_folder
):
    shown = 3 * ROWS - 3
    line = ["remove", "{}", "--keys", str(takedown)]
    if step == "compact":
        assert main([word.format(store) for word in line]) == 0
        line, shown = ["compact", "{}"], shown - 5
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, "-c", KILL, str(store), str(out), *line]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    finished = read_folder(out / "whole")
    killed = sorted(out.glob("killed-*"))
    assert len(killed) == 7
    for root in killed:
        assert len(open_datastore(root)) in (shown, 3 * ROWS - 3 - 5)
        assert main([word.format(root) for word in line]) == 0
        assert read_folder(root) == finished, root
