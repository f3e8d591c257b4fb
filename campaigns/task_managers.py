"""SIGKILL of Flink task managers in every stage; bytes and report must come out alike."""

from __future__ import annotations

import argparse
import importlib
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from campaigns.contents import read_datastore
from campaigns.kills import start, write_shards
from engines.fetch import EngineError
from engines.flink import FlinkCluster, flink_cluster
from pipelines.job_log import JOBS

_TASK_MANAGERS = 2
_RESTARTED = "from state RUNNING to RESTARTING"
# A draw that falls after the job's end kills nothing; most of them would be a broken campaign.
_MOST_TRIES_A_KILL = 2


def stages(shards: str, folder: Path, runner: list[str]) -> dict[str, list[str]]:
    """The command of each stage that is a job of Beam's, on a datastore in this folder."""
    root, report = str(folder / "store"), str(folder / "report")
    encoder = ["--clip-model", "demo"]
    lenient = ["--max-duplicates", "1", "--min-recall", "0"]
    return {
        "mine": ["mine", shards, "--out", root, *runner],
        "embed": ["embed", shards, "--out", root, *encoder, *runner],
        "index": ["index", root, *runner],
        # Drawn pictures are much alike; it is the numbers that are compared.
        "validate": ["validate", root, "--out", report, "--sample", "100", *lenient, *runner],
    }


def read_results(folder: Path) -> dict[str, bytes | str]:
    """Every file of the datastore, and the report without what was timed and where it lies."""
    report = json.loads((folder / "report" / "report.json").read_text())
    for row in report["sweep"]:
        del row["milliseconds"]
    found = read_datastore(folder / "store")
    return {**found, "report.json": json.dumps(report, sort_keys=True)}


def disturb(
    cluster: FlinkCluster, command: list[str], seconds: float, chance: random.Random, log: Path
) -> bool:
    """Run the command, and kill a task manager within so many seconds of its job's start.

    Returns:
        Whether the job lost work by it and was started again; False where it had ended before.

    Raises:
        AssertionError: when the command does not end well.
    """
    before = restarts(cluster)
    launched = start(command, log)
    while not cluster.overview()["jobs-running"]:
        if launched.ended():
            return False
        time.sleep(0.05)
    time.sleep(chance.random() * seconds)
    number = chance.randrange(_TASK_MANAGERS)
    cluster.kill_task_manager(number)
    cluster.start_task_manager(number)
    launched.wait(f"only task manager {number} was killed")
    cluster.wait_for_task_managers(_TASK_MANAGERS)
    return restarts(cluster) > before


def restarts(cluster: FlinkCluster) -> int:
    """How often the job manager has started a job again."""
    return (cluster.logs / "job-manager.log").read_text(errors="replace").count(_RESTARTED)


def job_seconds(cluster: FlinkCluster, command: list[str], log: Path) -> float:
    """Run the command undisturbed; seconds from when its job runs until it ends."""
    launched = start(command, log)
    began = None
    while not launched.ended():
        if began is None and cluster.overview()["jobs-running"]:
            began = time.monotonic()
        time.sleep(0.05)
    if began is None:
        raise AssertionError(f"{command[0]} was never seen on the cluster")
    return time.monotonic() - began


def run(kills: int, seed: int, work: Path) -> Counter[str]:
    """Build on a cluster under kills, and compare each result with that of a local build.

    Returns:
        How many kills made a job start again, by stage; each stage was tried as often.

    Raises:
        AssertionError: when a result differs, or a command does not end well.
        EngineError: where there is no cluster to be had.
    """
    chance = random.Random(seed)
    shards = write_shards(work / "in" / "drawn")
    for command in ("mine", "embed", "index", "validate", "verify"):
        importlib.import_module(f"pipelines.{command}")
    log = work / "command.log"
    for command in stages(shards, work / "here", []).values():
        start(command, log).wait("nothing disturbs it")
    expected = read_results(work / "here")
    killed: Counter[str] = Counter()
    with flink_cluster(work / "cluster", _TASK_MANAGERS) as cluster:
        runner = ["--runner=PortableRunner", f"--job_endpoint={cluster.start_job_server()}"]
        commands = stages(shards, work / "there", [*runner, *cluster.worker_flags()])
        seconds = {name: job_seconds(cluster, command, log) for name, command in commands.items()}
        _compare(work / "there", expected, log)
        tries = 0
        while killed.total() < kills:
            for name, command in commands.items():
                killed[name] += disturb(cluster, command, seconds[name], chance, log)
            tries += len(commands)
            _compare(work / "there", expected, log)
            print(f"{killed.total()} of {tries} kills met a job: {dict(killed)}", flush=True)
            most = _MOST_TRIES_A_KILL * max(kills, len(commands))
            assert killed.total() >= kills or tries < most, f"{tries} tries are enough"
    return killed


def _compare(folder: Path, expected: dict[str, bytes | str], log: Path) -> None:
    """Nothing of the result may differ; it is gone thereafter."""
    store = folder / "store"
    start(["verify", str(store)], log).wait(f"{store} was finished")
    for path in (store / JOBS).glob("*.json"):
        state = json.loads(path.read_text())["state"]
        assert state == "finished", f"{path}: {state}"
    found = read_results(folder)
    different = sorted(n for n in expected.keys() | found if expected.get(n) != found.get(n))
    assert not different, f"{store}: {', '.join(different)} differ"
    shutil.rmtree(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--kills", type=int, default=12, help="0: none, and no cluster (default: 12)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    options = parser.parse_args()
    if options.kills:
        with tempfile.TemporaryDirectory(prefix="tagmine-kills-") as work:
            killed = run(options.kills, options.seed, Path(work))
        print(
            f"task managers were killed in {dict(killed)}; every job was finished by the engine, "
            "and every datastore has the bytes, and every report the numbers, of a local one"
        )
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except EngineError as problem:
        sys.exit(f"campaigns.task_managers: {problem}")
