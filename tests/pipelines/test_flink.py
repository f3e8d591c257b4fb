"""The same commands on a real Flink cluster, whose task managers are machines of their own."""

from __future__ import annotations

import json
import signal
import time

import pytest

from engines.fetch import MissingEngineError
from engines.flink import flink_cluster
from pipelines.job_log import read_jobs
from pipelines.main import main
from tagmine.layout import is_leftover

SHARDS = 16
SAMPLES = 20
CAPTIONS = 15
PATIENCE = 900


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A job manager and two task managers; skipped where they cannot be had."""
    folder = tmp_path_factory.mktemp("flink") / "cluster"
    try:
        with flink_cluster(folder) as running:
            yield running
    except MissingEngineError as error:
        pytest.skip(f"there is no Flink cluster here: {error}")


@pytest.fixture(scope="module")
def portable(cluster):
    """Flags that run a job on the cluster by a job server that is there already."""
    return ["--runner=PortableRunner", f"--job_endpoint={cluster.start_job_server()}"]


@pytest.fixture(scope="module")
def many_captions(tmp_path_factory, write_tar, jpeg, block_captions):
    """Shards that take seconds to mine, and little else."""
    folder = tmp_path_factory.mktemp("input") / "toys"
    for shard in range(SHARDS):
        members = []
        for number in range(SAMPLES):
            seed = shard * SAMPLES + number
            captions = [f"{block_captions[(seed + n) % 5]} {seed} {n}" for n in range(CAPTIONS)]
            members += [
                (f"{number:04d}.jpg", jpeg(seed)),
                (f"{number:04d}.json", json.dumps({"captions": captions}).encode()),
            ]
        write_tar(folder / f"{shard:05d}.tar", members)
    return folder


@pytest.fixture(scope="module")
def build_command(many_captions, tiny_clip):
    """A build, but for --out and the runner."""
    shards = ["build", f"{many_captions}/*.tar", "--caption-json-field", "captions"]
    return [*shards, "--clip-model", tiny_clip, "--index-key", "IVF4,SQ8"]


def wait_until(reached, process, what):
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert process.poll() is None, f"ended before {what}: {process.communicate()}"
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def parts(root):
    return len(list((root / "tags").glob("part-*.parquet")))


def test_a_task_manager_killed_half_way_changes_nothing(
    cluster, portable, build_command, tmp_path, tiny_clip, start_tagmine, read_folder
):
    here, there = tmp_path / "here/store", tmp_path / "there/store"
    assert main([*build_command, "--out", str(here)]) == 0
    process = start_tagmine(*build_command, "--out", str(there), *cluster.flags())
    wait_until(lambda: parts(there) >= SHARDS // 4, process, "a quarter of the parts")
    cluster.kill_task_manager(0)
    assert parts(there) < SHARDS
    # Its counters come at its end, but what it made is seen.
    wait_until(lambda: read_jobs(there)[0].parts_done >= SHARDS // 4, process, "their count")
    assert read_jobs(there)[0].samples_read >= SHARDS // 4 * SAMPLES
    cluster.start_task_manager(0)
    _, printed = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, printed
    # What the job itself made before it was started again was not finished before.
    assert "finished before" not in printed
    assert "RUNNING to RESTARTING" in (cluster.logs / "job-manager.log").read_text()
    for number in range(2):
        assert "Starting worker" in (cluster.logs / f"worker-pool-{number}.log").read_text()
    assert read_folder(there) == read_folder(here)
    assert main(["verify", str(there)]) == 0
    for record in read_jobs(there):
        assert (record.state, record.parts_done) == ("finished", record.parts), record
        assert record.samples_read == SHARDS * SAMPLES or record.stage == "index"

    judge = ["--clip-model", tiny_clip, "--sample", "50"]
    for root, flags in ((here, []), (there, [*portable, *cluster.worker_flags()])):
        # Untrained embeddings pass no gate of recall; the numbers are what is compared.
        main(["validate", str(root), *judge, *flags])
    found = [json.loads((root / "report/report.json").read_text()) for root in (here, there)]
    for row in (row for report in found for row in report["sweep"]):
        row.pop("milliseconds")
    assert found[0]["recall"] and found[0] == found[1]


def test_flags_of_the_engine_and_a_job_that_outlives_its_launcher(
    cluster, portable, build_command, tmp_path, start_tagmine, read_folder, capfd
):
    here, there = tmp_path / "here/store", tmp_path / "there/store"
    command = ["mine", *build_command[1:4]]
    elsewhere = [*command, "--out", str(there), *portable]
    assert main([*elsewhere, "--number_of_execution_retriez=2"]) == 1
    assert "--number_of_execution_retriez=2: neither tagmine nor Beam" in capfd.readouterr().err
    known = [*cluster.worker_flags(), "--number_of_execution_retries=2"]
    # What runs the tests in the background may have made Ctrl-C mean nothing, which processes
    # inherit, unlike a handler.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = start_tagmine(*elsewhere, *known)
    finally:
        signal.signal(signal.SIGINT, before)
    wait_until(lambda: cluster.overview()["jobs-running"] == 1, process, "a running job")
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130 and "interrupted" in printed, printed
    # Flink goes on with it, beside the next one.
    for root in (here, there):
        assert main([*command, "--out", str(root)]) == 0
    deadline = time.monotonic() + PATIENCE
    while cluster.overview()["jobs-running"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    left = {name for name in read_folder(there) if is_leftover(there / name)}
    assert {n: b for n, b in read_folder(there).items() if n not in left} == read_folder(here)
