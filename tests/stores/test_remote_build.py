"""A datastore is built in, read from and added to a real S3 server, as in a folder."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from index.search import open_datastore
from pipelines.main import main

SHARDS = "s3://bkt/toys/{0..2}.tar"


def without_sources(files: dict[str, bytes]) -> dict[str, bytes]:
    """What two builds have in common; records of jobs hold times."""
    return {n: data for n, data in files.items() if n != "sources.json" and n[:5] != "jobs/"}


@pytest.fixture(scope="module")
def remote(s3_server, bucket, build, tmp_path_factory) -> str:
    """The same shards in the bucket, built into the bucket."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAGMINE_CACHE", str(tmp_path_factory.mktemp("first") / "cache"))
        s3_server.reset()
        assert build(SHARDS, "s3://bkt/built/ds") == 0
    return "s3://bkt/built/ds"


def test_the_objects_are_the_files_of_a_local_build(remote, local_store, read_store, read_files):
    objects = read_store("bkt/built/ds")
    assert without_sources(objects) == without_sources(read_files(local_store))
    urls = [source["url"] for source in json.loads(objects["sources.json"])["sources"]]
    assert urls == [f"s3://bkt/toys/{n}.tar" for n in range(3)]


def test_every_command_reads_a_url(remote, door, bucket, small_clip, tmp_path, capfd):
    given = ["--clip-model", small_clip]
    assert main(["verify", remote]) == 0
    assert "every checksum, count and id is right" in capfd.readouterr().err
    assert main(["query", remote, bucket.photo, "-k", "2", "--json", *given]) == 0
    answer = json.loads(capfd.readouterr().out)
    assert answer[0]["neighbours"][0]["key"] == "toys/1/1"
    assert main(["tags", remote, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["images"] == 12
    assert main(["diff", remote, remote, "--json"]) == 0
    assert main(["jobs", remote]) == 0
    printed = capfd.readouterr().out
    assert all(stage in printed for stage in ("mine", "embed", "index", "finished"))
    lines = ["--at", "1", "-k", "1", "--min-recall", "0", "--max-untagged", "1"]
    assert main(["validate", remote, "--sample", "3", *lines, *given]) in (0, 1)
    assert "report   s3://bkt/built/ds/report/index.html" in capfd.readouterr().err
    page = bucket.cat_file("bkt/built/ds/report/index.html")
    report = bucket.cat_file("bkt/built/ds/report/report.json")
    assert b"data:image" not in page and b'"thumbnail": "/9' not in report
    out = str(tmp_path / "found")
    shard = bucket.local_shards.replace("{0..2}", "0")
    assert main(["retrieve", shard, "--datastore", remote, "--out", out, *given]) == 0
    bucket.rm("bkt/built/ds/report", recursive=True)


def test_a_machine_without_a_mirror_goes_on_where_another_stopped(
    remote, door, build, capfd, read_store, tmp_path
):
    before = without_sources(read_store("bkt/built/ds"))
    assert build(SHARDS, remote) == 0
    printed = capfd.readouterr().err
    assert printed.count("3 of 3 parts were finished before") == 2
    written = {path for method, path in door.seen if method == "PUT"}
    assert not [path for path in written if "/tags/" in path or "/embeddings/" in path]
    assert without_sources(read_store("bkt/built/ds")) == before
    # What was altered in the mirror is fetched again, and not taken for the store's.
    part = next((tmp_path / "cache/mirrors").glob("*/ds/tags/part-00001.parquet"))
    part.write_bytes(b"junk")
    assert main(["index", remote]) == 0
    assert without_sources(read_store("bkt/built/ds")) == before
    assert part.read_bytes() == before["tags/part-00001.parquet"]


def test_index_and_more_shards_on_a_url(door, bucket, build, small_clip, capfd):
    assert build("s3://bkt/toys/0.tar", "s3://bkt/grown/ds") == 0
    assert main(["mine", "s3://bkt/toys/1.tar", "--out", "s3://bkt/grown/ds"]) == 0
    embed = ["embed", "s3://bkt/toys/1.tar", "--out", "s3://bkt/grown/ds"]
    assert main([*embed, "--clip-model", small_clip]) == 0
    assert main(["index", "s3://bkt/grown/ds", "--min-tag-images", "2"]) == 0
    assert main(["verify", "s3://bkt/grown/ds"]) == 0
    # The shard of one part is of no manifest now, and is gone here and there.
    index = [Path(path).name for path in bucket.find("bkt/grown/ds/index")]
    assert [name for name in index if name.startswith("shard")] == [
        "shard-00001.faiss",
        "shard-00001.json",
    ]
    assert len(open_datastore("s3://bkt/grown/ds")) == 8


def test_killed_in_the_middle_of_an_upload(
    door,
    build,
    bucket,
    small_clip,
    start_tagmine,
    local_store,
    read_store,
    read_files,
    tmp_path,
    monkeypatch,
    capfd,
):
    command = ["embed", SHARDS, "--out", "s3://bkt/killed/ds", "--clip-model", small_clip]
    started: list = []

    def kill(method: str, path: str) -> int | None:
        if method == "PUT" and "embeddings/part-00001" in path:
            os.kill(started[0].pid, signal.SIGKILL)
            return 0
        return None

    door.answer = kill
    started.append(start_tagmine(*command))
    assert started[0].wait(timeout=120) == -signal.SIGKILL
    started[0].communicate()
    door.answer = lambda method, path: None
    objects = read_store("bkt/killed/ds")
    assert "embeddings/part-00001.arrow" not in objects and "manifest.json" not in objects
    # Its record has not left its machine, where `jobs` finds it.
    assert main(["jobs", "s3://bkt/killed/ds"]) == 0
    assert "embed  local   running" in capfd.readouterr().out
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TAGMINE_CACHE", str(tmp_path / "another"))
        assert main(["jobs", "s3://bkt/killed/ds"]) == 1
    assert "is on its own machine" in capfd.readouterr().err
    whole = read_files(local_store)
    assert objects["embeddings/part-00000.arrow"] == whole["embeddings/part-00000.arrow"]
    # The lease of the dead is taken over at once by a job of the same mirror.
    assert build(SHARDS, "s3://bkt/killed/ds") == 0
    assert without_sources(read_store("bkt/killed/ds")) == without_sources(whole)


def test_a_server_that_fails_for_a_while(
    door, build, local_store, read_store, read_files, monkeypatch, capfd
):
    monkeypatch.setattr("tagmine.retries._FIRST_WAIT", 0.05)
    failed: dict[tuple[str, str], int] = {}

    def fail(method: str, path: str) -> int | None:
        # Each of these fails twice: busy, then broken.
        place = (method, path.split("?")[0])
        if not any(kind in path for kind in ("/tags/part", "/toys/1", "manifest", "list-type")):
            return None
        failed[place] = failed.get(place, 0) + 1
        return {1: 503, 2: 500}.get(failed[place])

    door.answer = fail
    assert build(SHARDS, "s3://bkt/failing/ds") == 0
    door.reset()
    assert without_sources(read_store("bkt/failing/ds")) == without_sources(read_files(local_store))
    assert max(failed.values()) > 2


def test_a_source_that_is_slow_or_stands_still(
    door, build, local_store, read_store, read_files, monkeypatch
):
    import s3fs

    monkeypatch.setattr("tagmine.retries._FIRST_WAIT", 0.05)
    monkeypatch.setattr(s3fs.S3FileSystem, "read_timeout", 2)
    s3fs.S3FileSystem.clear_instance_cache()
    asked: Counter[str] = Counter()

    def pause(method: str, path: str) -> float:
        if method != "GET" or "/toys/" not in path:
            return 0.0
        asked[path] += 1
        # The first answer of one shard stops in the middle; the others only take their time.
        return 30.0 if "/toys/1" in path and asked[path] == 1 else 0.3

    door.pause = pause
    try:
        assert build(SHARDS, "s3://bkt/slow/ds") == 0
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
    door.reset()
    assert without_sources(read_store("bkt/slow/ds")) == without_sources(read_files(local_store))
    assert max(asked.values()) > 1


def test_a_store_that_stays_away_is_a_sentence(door, build, monkeypatch, capfd):
    monkeypatch.setattr("tagmine.retries._FIRST_WAIT", 0.01)
    monkeypatch.setattr("tagmine.retries._LONGEST_WAIT", 0.01)
    door.answer = lambda method, path: 503 if "/away/" in path else None
    assert build(SHARDS, "s3://bkt/away/ds") == 1
    said = capfd.readouterr().err
    assert "tagmine: s3://bkt/away/ds cannot be reached or used" in said
    assert "Traceback" not in said


def test_two_builders(door, build, bucket, monkeypatch, capfd):
    from tagmine.lease import LEASE, hold_lease
    from tagmine.stores import open_store

    store = open_store("s3://bkt/two/ds", "--out")
    with hold_lease(store, "another machine"):
        assert build(SHARDS, "s3://bkt/two/ds") == 1
    assert "another tagmine job, on another machine" in capfd.readouterr().err
    assert bucket.find("bkt/two/ds") == []
    # A lease that nobody renews ends by itself, by the server's clock.
    bucket.pipe_file(f"bkt/two/ds/{LEASE}", b'{"holder": "a dead machine", "token": "1"}')
    monkeypatch.setattr("tagmine.lease.LEASE_SECONDS", 1.0)
    time.sleep(2.1)
    assert build("s3://bkt/toys/0.tar", "s3://bkt/two/ds") == 0
    assert not bucket.exists(f"bkt/two/ds/{LEASE}")


def test_a_builder_that_lost_its_lease_publishes_no_manifest(door, bucket, build, capfd):
    from tagmine.lease import LEASE

    def take_over(method: str, path: str) -> int | None:
        if method == "PUT" and "/vocabulary/" in path:
            bucket.pipe_file(f"bkt/lost/ds/{LEASE}", b'{"holder": "other", "token": "2"}')
        return None

    door.answer = take_over
    assert build("s3://bkt/toys/0.tar", "s3://bkt/lost/ds") == 1
    assert "another tagmine job has taken over" in capfd.readouterr().err
    assert not bucket.exists("bkt/lost/ds/manifest.json")


def test_what_lies_there_is_not_mixed_with(door, bucket, build, capfd):
    bucket.pipe_file("bkt/photos/ds/holiday.txt", b"mine")
    assert build(SHARDS, "s3://bkt/photos/ds") == 1
    assert "not a datastore" in capfd.readouterr().err


def test_a_bucket_that_is_not_there_or_empty_is_named(door, build, bucket, local_store, capfd):
    gone = "the bucket nobucket does not exist, or cannot be seen with these credentials"
    for command, says in (
        (["verify", "s3://nobucket/ds"], gone),
        (["mine", "s3://nobucket/in/*.tar", "--out", "s3://bkt/nothing/ds"], gone),
        (["mine", "s3://nobucket/in/0.tar", "--out", "s3://bkt/nothing/ds"], gone),
        (["push", str(local_store), "s3://nobucket/ds"], f"s3://nobucket/ds: {gone}"),
        (["verify", "s3://bkt/nothing/ds"], "there is nothing at this place"),
    ):
        assert main(command) == 1
        assert says in capfd.readouterr().err
    assert build(SHARDS, "s3://nobucket/ds") == 1
    assert f"tagmine: s3://nobucket/ds: {gone}" in capfd.readouterr().err


def test_no_credentials_are_not_a_refusal(door, monkeypatch, capfd):
    import s3fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        assert main(["verify", "s3://bkt/none/ds"]) == 1
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
    assert "No whole credentials were found" in capfd.readouterr().err


def test_no_credential_in_any_file_or_log(
    remote, door, build, bucket, secrets, read_files, read_store, tmp_path, capfd
):
    door.answer = lambda method, path: 403 if method == "PUT" and "/tags/" in path else None
    assert main(["mine", SHARDS, "--out", "s3://bkt/forbidden/ds"]) == 1
    said = capfd.readouterr()
    assert "PermissionError" in said.err
    signed = f"{os.environ['AWS_ENDPOINT_URL']}/bkt/toys/0.tar?X-Amz-Signature=0123456789abcdef"
    assert main(["mine", signed, "--out", str(tmp_path / "signed"), "--dataset", "toys"]) == 0
    assert main(["mine", "s3://me:hunter2@bkt/x.tar", "--out", str(tmp_path / "x")]) == 1
    assert main(["verify", "s3://me:hunter2@bkt/ds"]) == 1
    assert main(["query", "s3://bkt/ds?token=hunter2", bucket.photo]) == 1
    said_too = capfd.readouterr()
    written = {**read_files(tmp_path), **read_store("bkt")}
    text = said.out + said.err + said_too.out + said_too.err
    for secret in (*secrets, "hunter2", "0123456789abcdef"):
        assert secret not in text
        assert not [name for name, data in written.items() if secret.encode() in data]


def test_memory_is_a_store(door, build, bucket, local_store, read_files, capfd):
    import fsspec

    assert build(bucket.local_shards, "memory://built/ds") == 0
    said = capfd.readouterr().err
    assert "memory://built/ds/rejects" in said and "Look at it" not in said
    memory = fsspec.filesystem("memory")
    found = {path.removeprefix("/built/ds/"): memory.cat(path) for path in memory.find("/built/ds")}
    assert without_sources(found) == without_sources(read_files(local_store))
    assert main(["verify", "memory://built/ds"]) == 0
    memory.rm("/built", recursive=True)
