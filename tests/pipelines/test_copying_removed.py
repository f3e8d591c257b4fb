"""What was taken out of a datastore stays out of every copy, and out of a copy's own files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from index.search import open_datastore
from index.thumbnails import Thumbnails
from pipelines.main import main
from tagmine.manifest import read_manifest
from tagmine.removed import identify, read_newest

WORDS = ("zeppelin", "harp", "quokka", "lantern", "xylophone", "teapot")


def write_shards(write_tar, jpeg, folder: Path, first: int, shards: int) -> Path:
    for shard in range(shards):
        members = []
        for row in range(6):
            caption = f"a {WORDS[row]} numbered {first + shard * 6 + row}"
            members.append((f"p{row}.jpg", jpeg(first + shard * 6 + row)))
            members.append((f"p{row}.txt", caption.encode()))
        write_tar(folder / f"{shard:05d}.tar", members)
    return folder


@pytest.fixture(scope="module")
def stores(tmp_path_factory, write_tar, jpeg) -> Path:
    """`one` and `other`, of different shards of one name; `same` shares its first with `one`."""
    root = tmp_path_factory.mktemp("stores")
    one = write_shards(write_tar, jpeg, root / "in" / "photos", 0, 2)
    other = write_shards(write_tar, jpeg, root / "in2" / "photos", 50, 1)
    for name, shards in (("one", f"{one}/*.tar"), ("other", f"{other}/*.tar")):
        line = ["build", shards, "--out", str(root / name), "--clip-model", "demo"]
        assert main([*line, "--thumbnails", "32"]) == 0
    line = ["build", f"{one}/00000.tar", "--out", str(root / "same"), "--clip-model", "demo"]
    assert main(line) == 0
    return root


@pytest.fixture
def taken(stores, tmp_path) -> Path:
    """Copies of the three, and one picture taken out of `same`."""
    for name in ("one", "other", "same"):
        shutil.copytree(stores / name, tmp_path / name)
    remove(tmp_path / "same", tmp_path, "photos/00000/p2")
    return tmp_path


def remove(store: Path, folder: Path, *keys: str) -> None:
    listed = folder / "takedown.txt"
    listed.write_text("\n".join(keys) + "\n")
    assert main(["remove", str(store), "--keys", str(listed)]) == 0


def keys_of(root: Path) -> set[str]:
    datastore = open_datastore(root)
    parts = [datastore.embeddings(part.part) for part in datastore.manifest.parts]
    return {key for part in parts for key in part.keys().to_pylist()}


def test_a_merge_leaves_out_what_any_of_its_datastores_took_out(taken, capsys):
    both = taken / "both"
    line = ["merge", str(taken / "one"), str(taken / "same"), str(taken / "other")]
    assert main([*line, "--out", str(both)]) == 0
    found = keys_of(both)
    # The shard is taken from `one`, where nobody took anything out; `other` has another p2.
    assert "photos/00000/p2" not in found
    assert {key for key in found if key.endswith("/p2")} == {
        "photos/00001/p2",
        "other.photos/00000/p2",
    }
    assert main(["verify", str(both)]) == 0
    total = read_manifest(both).totals["mine"]
    assert total.rejected == {"removed": 1}
    for path in sorted(both.rglob("part-00000*")):
        assert b"p2" not in path.read_bytes(), path


@pytest.mark.parametrize("compacted", [False, True])
def test_a_key_that_means_another_image_in_the_merge_hides_none(compacted, taken, tmp_path):
    remove(taken / "other", taken, "photos/00000/p4")
    if compacted:
        assert main(["compact", str(taken / "other")]) == 0
    both = taken / "both"
    line = ["merge", str(taken / "one"), str(taken / "other"), "--out", str(both)]
    assert main(line) == 0
    found = keys_of(both)
    # The photos/00000 of `one` is another shard, whose p4 nobody took out.
    assert {key for key in found if key.endswith("/p4")} == {"photos/00000/p4", "photos/00001/p4"}
    assert main(["verify", str(both)]) == 0
    assert main(line) == 0
    known = read_newest(both).identities.known
    renamed = {identify("key", "other.photos/00000/p4")}
    assert identify("key", "photos/00000/p4") not in known
    assert known == (frozenset() if compacted else renamed)


def test_a_subset_leaves_it_out_too(taken):
    remove(taken / "one", taken, "photos/00001/p4")
    out = taken / "few"
    line = ["subset", str(taken / "one"), "--where", "caption LIKE '%xylophone%'"]
    assert main([*line, "--out", str(out)]) == 0
    assert keys_of(out) == {"photos/00000/p4"}
    assert main(["verify", str(out)]) == 0


def test_compacting_a_copy_strikes_origins_and_pictures(taken):
    both = taken / "both"
    line = ["merge", str(taken / "one"), str(taken / "other"), "--out", str(both)]
    assert main(line) == 0
    gone = int(open_datastore(both).ids_of(["photos/00001/p0"])[0])
    remove(both, taken, "photos/00001/p0")
    assert main(["compact", str(both)]) == 0
    assert main(["verify", str(both)]) == 0
    for path in sorted(both.glob("origins/*.parquet")):
        table = pq.read_table(path)
        assert gone not in table.column("id").to_pylist()
    # The merge is not made again: it would bring the picture back.
    assert main(line) == 1
    assert "photos/00001/p0" not in keys_of(both)


def test_compacting_strikes_thumbnails(taken):
    root = taken / "one"
    datastore = open_datastore(root)
    gone = int(datastore.ids_of(["photos/00000/p1"])[0])
    stays = int(datastore.ids_of(["photos/00000/p3"])[0])
    cards = {part.part: part.thumbnails for part in datastore.manifest.parts}
    before = Thumbnails(root, cards)
    struck, kept = before.read(0, gone), before.read(0, stays)
    assert struck and kept and any(struck in p.read_bytes() for p in root.rglob("*.parquet"))
    remove(root, taken, "photos/00000/p1")
    assert main(["compact", str(root)]) == 0
    assert not any(struck in p.read_bytes() for p in root.rglob("*") if p.is_file())
    after = Thumbnails(root, {p.part: p.thumbnails for p in read_manifest(root).parts})
    assert after.read(0, stays) == kept
    assert main(["verify", str(root)]) == 0
