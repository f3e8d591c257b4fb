"""The same build on Beam's other local engines: Prism, and Spark by its job server."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path

import pytest

from engines.fetch import JOB_SERVER_JAR, MissingEngineError, fetch
from pipelines.job_log import read_jobs

pytestmark = pytest.mark.engines


def fetched(name):
    try:
        return fetch(name)
    except MissingEngineError as error:
        pytest.skip(f"{name} cannot be had here: {error}")


def prism():
    return ["--runner=PrismRunner", f"--prism_location={fetched('prism') / 'prism'}"]


def spark():
    jar = fetched("beam-spark") / JOB_SERVER_JAR
    master = ["--runner=SparkRunner", "--spark_master_url=local[2]"]
    return [*master, f"--spark_job_server_jar={jar}"]


def counts_of(record):
    samples = (record.samples_read, record.samples_written, record.rejected)
    return (record.stage, record.state, record.parts, record.parts_done, *samples)


@pytest.fixture(scope="module")
def local_build(tmp_path_factory, shards, tiny_clip, tagmine):
    """The datastore that every engine should make."""
    root = tmp_path_factory.mktemp("here") / "store"
    tagmine("build", f"{shards}/*.tar", "--out", str(root), "--clip-model", tiny_clip)
    return root


@pytest.mark.parametrize("engine", [prism, spark])
def test_an_engine_makes_the_same_bytes(
    engine, tmp_path, shards, tiny_clip, tagmine, local_build, read_folder
):
    root = tmp_path / "store"
    command = ["build", f"{shards}/*.tar", "--out", str(root), "--clip-model", tiny_clip]
    tagmine(*command, *engine())
    assert read_folder(root) == read_folder(local_build)
    found, expected = read_jobs(root), read_jobs(local_build)
    assert [counts_of(record) for record in found] == [counts_of(record) for record in expected]


def test_a_shard_that_prism_cannot_read_is_one_sentence(tmp_path, shards, start_tagmine):
    folder = tmp_path / "toys"
    folder.mkdir()
    (folder / "00000.tar").write_bytes((shards / "00000.tar").read_bytes())
    vanishing = folder / "00001.tar"
    vanishing.write_bytes(b"")
    out = tmp_path / "store"
    process = start_tagmine("mine", f"{folder}/*.tar", "--out", str(out), *prism())
    # Its record stands before the job is submitted, which takes seconds.
    while not (out / "tagger.json").exists():
        assert process.poll() is None, process.communicate()
    vanishing.unlink()
    _, printed = process.communicate(timeout=300)
    assert process.returncode == 1
    assert f"tagmine: the PrismRunner job failed: the shard {vanishing} cannot be read" in printed


# By a scheduler, or by the keys of a terminal.
@pytest.mark.parametrize("interrupt", [os.kill, os.killpg])
def test_prism_and_its_workers_end_at_an_interrupt(
    interrupt, tmp_path, start_tagmine, jpeg, write_tar
):
    members = []
    for number in range(400):
        captions = {"captions": [f"a red car and a dog number {number} {n}" for n in range(15)]}
        members += [
            (f"{number:04d}.jpg", jpeg(number % 8)),
            (f"{number:04d}.json", json.dumps(captions).encode()),
        ]
    for shard in range(8):
        write_tar(tmp_path / "many" / f"{shard:05d}.tar", members)
    command = ["mine", f"{tmp_path}/many/*.tar", "--caption-json-field", "captions"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = start_tagmine(*command, "--out", str(tmp_path / "store"), *prism())
    finally:
        signal.signal(signal.SIGINT, before)
    while not list((tmp_path / "store").glob("tags/.part-*")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    children = {pid for pid in os.listdir("/proc") if pid.isdigit() and parent(pid) == process.pid}
    assert children
    interrupt(process.pid, signal.SIGINT)
    _, printed = process.communicate(timeout=300)
    assert process.returncode == 130 and printed.endswith("run the same command to go on.\n")
    assert read_jobs(tmp_path / "store")[0].state == "interrupted"
    deadline = time.monotonic() + 60
    while children & set(os.listdir("/proc")):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def parent(pid):
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return None
