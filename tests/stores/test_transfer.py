"""push, pull and the cache of opened datastores, against a real S3 server."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
import s3fs

import tagmine.opened
from index.search import open_datastore
from pipelines.main import main
from tagmine.errors import ConfigurationError, DatastoreError
from tagmine.opened import local_folder
from tagmine.stores import open_store


@pytest.fixture
def store_with_pictures(local_store, bucket, build, small_clip, tmp_path) -> Path:
    """A datastore that keeps thumbnails, with a report that shows pictures."""
    root = tmp_path / "ds"
    shutil.copytree(local_store, root)
    assert build(bucket.local_shards, str(root), "--thumbnails", "32") == 0
    line = ["validate", str(root), "--sample", "3", "-k", "1", "--at", "1", "--gallery", "2"]
    assert main([*line, "--clip-model", small_clip]) in (0, 1)
    assert b"data:image/jpeg" in (root / "report/index.html").read_bytes()
    assert (root / "thumbnails/part-00000.parquet").is_file()
    (root / "private.txt").write_text("not of the format")
    return root


@pytest.fixture
def pushed(door, bucket, local_store, request) -> str:
    place = f"bkt/{request.node.name.replace('[', '-').strip(']')}/ds"
    assert main(["push", str(local_store), f"s3://{place}"]) == 0
    door.reset()
    return f"s3://{place}"


def puts(door) -> list[str]:
    return [path for method, path in door.seen if method == "PUT" and "lease" not in path]


def test_there_and_back(pushed, door, local_store, read_files, tmp_path, capfd):
    assert main(["push", str(local_store), pushed]) == 0
    assert puts(door) == []
    assert "push   0 files" in capfd.readouterr().err
    assert main(["pull", pushed, str(tmp_path / "back")]) == 0
    assert read_files(tmp_path / "back") == read_files(local_store)
    door.reset()
    (tmp_path / "back/tags/part-00001.parquet").write_bytes(b"damaged")
    (tmp_path / "back/index/shard-00007.faiss").write_bytes(b"of another manifest")
    assert main(["pull", pushed, str(tmp_path / "back")]) == 0
    got = {path for method, path in door.seen if method == "GET" and "part-" in path}
    assert all("tags/part-00001" in path for path in got) and got
    assert read_files(tmp_path / "back") == read_files(local_store)


def test_pictures_stay_here_unless_asked(store_with_pictures, door, read_store):
    root = str(store_with_pictures)
    with (store_with_pictures / "README.md").open("a") as card:
        card.write("Ask Jane about these.\n")
    assert main(["push", root, "s3://bkt/shown/ds"]) == 0
    objects = read_store("bkt/shown/ds")
    without, files = objects["README.md"].decode(), json.loads(objects["manifest.json"])["parts"]
    assert "It holds no\npictures." in without and "thumbnails" not in files[0]
    assert without.endswith("Ask Jane about these.\n")
    assert not [name for name in objects if name.startswith("thumbnails") or "private" in name]
    assert b"data:image/jpeg" not in objects["report/index.html"]
    report = json.loads(objects["report/report.json"])
    assert report["gallery"] and not [e for e in report["gallery"] if e["thumbnail"]]
    assert report["manifest_sha256"] == hashlib.sha256(objects["manifest.json"]).hexdigest()
    assert main(["verify", "s3://bkt/shown/ds"]) == 0
    assert report["recall"] == json.loads(Path(root, "report/report.json").read_bytes())["recall"]
    assert main(["push", root, "s3://bkt/shown/ds", "--with-pictures"]) == 0
    objects = read_store("bkt/shown/ds")
    assert b"data:image/jpeg" in objects["report/index.html"]
    card = objects["README.md"].decode()
    assert card == Path(root, "README.md").read_text()
    assert "It holds small pictures of\n" in card
    # Their bytes are not counted where they are not.
    sizes = [int(re.search(r"bytes \| ([\d,]+)", of)[1].replace(",", "")) for of in (without, card)]
    pictures = sum(path.stat().st_size for path in Path(root, "thumbnails").iterdir())
    assert sizes[1] - sizes[0] == pictures
    kept = "thumbnails/part-00000.parquet"
    assert objects[kept] == Path(root, kept).read_bytes()
    assert "private.txt" not in objects
    # A push without them takes back what a push with them had published.
    assert main(["push", root, "s3://bkt/shown/ds"]) == 0
    assert kept not in read_store("bkt/shown/ds")


def test_a_report_or_a_pin_of_before_goes(door, bucket, local_store, read_files, tmp_path):
    root, back = tmp_path / "ds", tmp_path / "back"
    shutil.copytree(local_store, root)
    (root / "copied.json").write_text('{"command": "subset"}')
    place = "bkt/reported/ds"
    stale = {f"{place}/report/{name}": b"of keys" for name in ("report.json", "index.html")}
    assert main(["push", str(root), f"s3://{place}"]) == 0
    assert main(["pull", f"s3://{place}", str(back)]) == 0
    assert read_files(back) == read_files(root)
    bucket.pipe(stale | {f"{place}/report/notes.txt": b"mine"})
    (root / "copied.json").unlink()
    assert main(["push", str(root), f"s3://{place}"]) == 0
    assert {path for path in bucket.find(place) if "/report/" in path} == {
        f"{place}/report/notes.txt"
    }
    assert not bucket.exists(f"{place}/copied.json")
    # A report of the same manifest was made there, and stays; of another one it goes.
    (back / "report").mkdir()
    (back / "report/report.json").write_text("{}")
    assert main(["pull", f"s3://{place}", str(back)]) == 0
    assert (back / "report/report.json").exists() and (back / "copied.json").exists()
    assert main(["index", str(root), "--min-tag-images", "3"]) == 0
    assert main(["push", str(root), f"s3://{place}"]) == 0
    assert main(["pull", f"s3://{place}", str(back)]) == 0
    assert not (back / "report/report.json").exists() and not (back / "copied.json").exists()


def test_to_a_folder_by_its_url(local_store, read_files, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("TAGMINE_CACHE", str(tmp_path / "cache"))
    place = f"file://{tmp_path}/not/there"
    assert main(["push", str(local_store), place]) == 0
    assert read_files(tmp_path / "not/there") == read_files(local_store)
    assert main(["push", str(local_store), place]) == 0
    assert "push   0 files" in capfd.readouterr().err
    assert main(["verify", place]) == 0
    assert main(["pull", place, str(tmp_path / "back")]) == 0
    assert read_files(tmp_path / "back") == read_files(local_store)


def test_a_second_push_that_is_killed_is_refused_until_it_is_finished(
    pushed, door, local_store, start_tagmine, read_store, tmp_path
):
    root = tmp_path / "ds"
    shutil.copytree(local_store, root)
    (tmp_path / "keys.txt").write_text("toys/1/1\n")
    assert main(["remove", str(root), "--keys", str(tmp_path / "keys.txt")]) == 0
    assert main(["compact", str(root)]) == 0
    started: list = []

    def kill(seen: str, path: str) -> int | None:
        if seen == "PUT" and path.endswith("/manifest.json") and started:
            os.kill(started[0].pid, signal.SIGKILL)
            return 0
        return None

    door.answer = kill
    started.append(start_tagmine("push", str(root), pushed))
    assert started[0].wait(timeout=120) == -signal.SIGKILL
    started[0].communicate()
    door.reset()
    there = read_store(pushed.removeprefix("s3://"))
    assert there["manifest.json"] == (local_store / "manifest.json").read_bytes()
    for refused in (["verify", pushed], ["pull", pushed, str(tmp_path / "back")]):
        assert main(refused) == 1
    with pytest.raises(DatastoreError, match="that the manifest says"):
        open_datastore(pushed)
    assert main(["push", str(root), pushed]) == 0
    assert main(["verify", pushed]) == 0
    assert len(open_datastore(pushed)) == 11


def test_what_was_taken_out_is_not_published(door, local_store, bucket, tmp_path, capfd):
    root = tmp_path / "ds"
    shutil.copytree(local_store, root)
    (tmp_path / "keys.txt").write_text("toys/1/1\n")
    assert main(["remove", str(root), "--keys", str(tmp_path / "keys.txt")]) == 0
    capfd.readouterr()
    assert main(["push", str(root), "s3://bkt/taken/ds"]) == 1
    assert "Run tagmine compact on it first" in capfd.readouterr().err
    assert bucket.find("bkt/taken/ds") == []
    assert main(["compact", str(root)]) == 0
    assert main(["push", str(root), "s3://bkt/taken/ds"]) == 0


@pytest.mark.parametrize("command", ["push", "pull"])
def test_killed_on_the_way(
    command, door, local_store, read_files, read_store, start_tagmine, tmp_path
):
    place = f"bkt/killed-{command}/ds"
    out = tmp_path / "back"
    line = [command, str(local_store), f"s3://{place}"]
    if command == "pull":
        assert main(["push", *line[1:]]) == 0
        line = [command, f"s3://{place}", str(out)]
    started: list = []
    method = {"push": "PUT", "pull": "GET"}[command]

    def kill(seen: str, path: str) -> int | None:
        if seen == method and "embeddings/part-00002" in path and started:
            os.kill(started[0].pid, signal.SIGKILL)
            return 0
        return None

    door.answer = kill
    started.append(start_tagmine(*line))
    assert started[0].wait(timeout=120) == -signal.SIGKILL
    started[0].communicate()
    door.reset()
    there = read_store(place) if command == "push" else read_files(out)
    assert "manifest.json" not in there and "sources.json" in there
    assert main(line) == 0
    there = read_store(place) if command == "push" else read_files(out)
    assert there == read_files(local_store)


def test_what_is_not_pushed_or_pulled(pushed, door, bucket, local_store, tmp_path, capfd):
    damaged = tmp_path / "damaged"
    shutil.copytree(local_store, damaged)
    (damaged / "tags/part-00000.parquet").write_bytes(b"x")
    other = tmp_path / "other"
    shutil.copytree(local_store, other)
    text = (other / "sources.json").read_text().replace("toys/", "holidays/")
    (other / "sources.json").write_text(text)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/holiday.txt").touch()
    bucket.pipe_file("bkt/full/ds/holiday.txt", b"mine")
    for line, says in (
        (["push", str(damaged), "s3://bkt/damaged/ds"], "not what the manifest says"),
        (["push", str(other), pushed], "another datastore"),
        (["push", str(local_store), "s3://bkt/full/ds"], "not a datastore"),
        (["push", str(tmp_path / "none"), "s3://bkt/none/ds"], "no such folder"),
        (["push", pushed, str(local_store)], "in this order"),
        (["pull", pushed, str(tmp_path / "mine")], "not empty"),
        (["pull", pushed, str(other)], "another datastore"),
        (["pull", "s3://bkt/nowhere/ds", str(tmp_path / "new")], "no manifest.json"),
    ):
        assert main(line) == 1, line
        assert says in capfd.readouterr().err
    assert not bucket.exists("bkt/damaged/ds/manifest.json")


def test_an_altered_object_is_never_opened(pushed, door, bucket, tmp_path):
    place = pushed.removeprefix("s3://")
    good = bucket.cat_file(f"{place}/tags/part-00001.parquet")
    bucket.pipe_file(f"{place}/tags/part-00001.parquet", b"?" * len(good))
    with pytest.raises(DatastoreError, match="other bytes"):
        open_datastore(pushed)
    bucket.pipe_file(f"{place}/tags/part-00001.parquet", good)
    assert len(open_datastore(pushed)) == 12
    # verify looks at the store itself, and not at the copy of before.
    bucket.pipe_file(f"{place}/tags/part-00001.parquet", b"?" * len(good))
    assert main(["verify", pushed]) == 1
    bucket.rm_file(f"{place}/tags/part-00001.parquet")
    assert main(["verify", pushed]) == 1


def test_a_damaged_copy_is_fetched_again(pushed, door, read_files):
    root = local_folder(pushed)
    whole = read_files(root)
    door.reset()
    assert local_folder(pushed) == root
    assert not [path for method, path in door.seen if method == "GET" and "part-" in path]
    target = root / "embeddings/part-00000.arrow"
    before = target.stat()
    target.chmod(0o644)
    target.write_bytes(b"?" * before.st_size)
    (root / "index/trained.faiss").unlink()
    assert len(open_datastore(pushed)) == 12
    assert read_files(root) == whole


def test_a_large_copy_is_hashed_where_it_was_touched(pushed, monkeypatch):
    monkeypatch.setattr("tagmine.opened._ALWAYS_HASHED", 0)
    root = local_folder(pushed)
    hashed: list[str] = []
    real = tagmine.opened.file_sha256
    monkeypatch.setattr(
        "tagmine.opened.file_sha256", lambda path: (hashed.append(path.name), real(path))[1]
    )
    local_folder(pushed)
    assert hashed == []
    os.utime(root / "tags/part-00002.parquet")
    local_folder(pushed)
    assert hashed == ["part-00002.parquet"]


def test_a_copy_belongs_to_one_manifest(pushed, local_store, tmp_path, door):
    first = open_datastore(pushed)
    grown = tmp_path / "ds"
    shutil.copytree(local_store, grown)
    assert main(["index", str(grown), "--min-tag-images", "3"]) == 0
    assert main(["push", str(grown), pushed]) == 0
    door.reset()
    second = open_datastore(pushed)
    assert second.root != first.root and second.manifest.vocabulary.min_tag_images == 3
    # Files that did not change are taken from the copy of before.
    assert not [path for method, path in door.seen if method == "GET" and "part-" in path]
    answer = first.query(np.eye(1, first.manifest.index.dim, dtype=np.float32), 3)[0]
    assert len(answer.neighbours) == 3


def test_many_open_at_once(pushed, door, read_files, start_tagmine, local_store):
    found, threads = [], []
    for _ in range(4):
        threads.append(threading.Thread(target=lambda: found.append(local_folder(pushed))))
        threads[-1].start()
    processes = [start_tagmine("tags", pushed, "--json") for _ in range(2)]
    for thread in threads:
        thread.join()
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert json.loads(out)["images"] == 12
    assert len(set(found)) == 1 and len(found) == 4
    whole = read_files(local_store)
    del whole["README.md"]
    assert read_files(found[0]) == whole


def test_the_cache_stays_within_its_bound(pushed, door, tmp_path, monkeypatch, local_store):
    size = sum(path.stat().st_size for path in local_store.rglob("*") if path.is_file())
    monkeypatch.setenv("TAGMINE_CACHE_SIZE", str(size // 2))
    with pytest.raises(ConfigurationError, match="Set TAGMINE_CACHE_SIZE to more"):
        local_folder(pushed)
    old = tmp_path / "cache/opened/0123"
    old.mkdir(parents=True)
    (old / "big").write_bytes(b"\0" * size)
    monkeypatch.setenv("TAGMINE_CACHE_SIZE", str(int(size * 1.5)))
    assert local_folder(pushed).is_dir()
    assert not old.exists()
    monkeypatch.setenv("TAGMINE_CACHE_SIZE", "plenty")
    shutil.rmtree(tmp_path / "cache/opened")
    with pytest.raises(ConfigurationError, match="give a size"):
        local_folder(pushed)


def test_more_names_than_a_page_of_a_listing(door, bucket):
    behind = s3fs.S3FileSystem(endpoint_url="http://{}:{}".format(*door.behind))
    behind.pipe({f"bkt/many/ds/tags/part-{n:05d}.parquet": b"" for n in range(1050)}, batch_size=8)
    listed = open_store("s3://bkt/many/ds", "--out").list()
    assert len(listed) == 1050
    assert len([1 for method, path in door.seen if "list-type=2" in path]) >= 2
