"""SIGKILL of Flink task managers in every stage; bytes and report must come out alike."""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from campaigns.contents import read_datastore
from campaigns.kills import wait_for_orphans, write_shards
from campaigns.launched import Launched, start
from engines.fetch import EngineError, MissingEngineError
from engines.flink import FlinkCluster, flink_cluster
from pipelines.job_log import JOBS

_TASK_MANAGERS = 2
_RESTARTED = "from state RUNNING to RESTARTING"
# A draw that falls after the job's end kills nothing; most of them would be a broken campaign.
_MOST_TRIES_A_KILL = 2
_PATIENCE_SECONDS = 900.0


def stages(shards: str, folder: Path, runner: list[str]) -> dict[str, list[str]]:
    """The command of each stage that is a job of Beam's, on a datastore in this folder."""
    root, report = str(folder / "store"), str(folder / "report")
    encoder = ["--clip-model", "demo"]
    # Drawn pictures are much alike; it is the numbers that are compared.
    lenient = ["--max-duplicates", "1", "--min-recall", "0"]
    return {
        "mine": ["mine", shards, "--out", root, *runner],
        "embed": ["embed", shards, "--out", root, *encoder, *runner],
        "index": ["index", root, *runner],
        "validate": ["validate", root, "--out", report, "--sample", "100", *lenient, *runner],
    }


def read_results(folder: Path) -> dict[str, bytes | str]:
    """Every file of the datastore, and the report but for what was timed."""
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
        AssertionError: when the command does not end well, or not within a quarter of an hour.
    """
    before = restarts(cluster)
    launched = start(command, log)
    if not _gets_a_job(launched, cluster):
        return False
    time.sleep(chance.random() * seconds)
    number = chance.randrange(_TASK_MANAGERS)
    cluster.kill_task_manager(number)
    cluster.start_task_manager(number)
    launched.wait("only a task manager was killed", _PATIENCE_SECONDS)
    cluster.wait_for_task_managers(_TASK_MANAGERS)
    return restarts(cluster) > before


def restarts(cluster: FlinkCluster) -> int:
    """How often the job manager has started a job again."""
    return (cluster.logs / "job-manager.log").read_text(errors="replace").count(_RESTARTED)


def job_seconds(cluster: FlinkCluster, command: list[str], log: Path) -> float:
    """Run the command undisturbed; seconds from when its job runs until it ends.

    Raises:
        AssertionError: as for `disturb`, or when its job was never seen.
    """
    launched = start(command, log)
    assert _gets_a_job(launched, cluster), f"{command[0]} had no job on the cluster"
    began = time.monotonic()
    launched.wait("nothing disturbs it", _PATIENCE_SECONDS)
    return time.monotonic() - began


def _gets_a_job(launched: Launched, cluster: FlinkCluster) -> bool:
    """Whether it had one on the cluster before it ended."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not launched.ended():
        # A busy job manager may not answer in time.
        with contextlib.suppress(OSError):
            if cluster.overview()["jobs-running"]:
                return True
        if time.monotonic() > deadline:
            launched.kill()
            raise AssertionError(f"no job after {_PATIENCE_SECONDS:g} s; see {launched.log}")
        time.sleep(0.05)
    return False


def run(kills: int, seed: int, work: Path) -> Counter[str]:
    """Build on a cluster under kills, and compare each result with that of a local build.

    Returns:
        How many kills made a job start again, by stage: as many as asked for at least, and one of
        each stage.

    Raises:
        AssertionError: when a result differs, or a command does not end well.
        EngineError: where there is no cluster to be had.
    """
    chance = random.Random(seed)
    shards = write_shards(work / "in" / "drawn")
    log = work / "command.log"
    killed: Counter[str] = Counter()
    with flink_cluster(work / "cluster", _TASK_MANAGERS) as cluster:
        for command in stages(shards, work / "here", []).values():
            start(command, log).wait("nothing disturbs it")
        expected = read_results(work / "here")
        runner = ["--runner=PortableRunner", f"--job_endpoint={cluster.start_job_server()}"]
        commands = stages(shards, work / "there", [*runner, *cluster.worker_flags()])
        seconds = {name: job_seconds(cluster, command, log) for name, command in commands.items()}
        compare(work / "there", expected, log)
        most, tries = _MOST_TRIES_A_KILL * max(kills, len(commands)), 0
        while killed.total() < kills or not all(killed[name] for name in commands):
            assert tries < most, f"of {tries} kills only these met a job: {dict(killed)}"
            for name, command in commands.items():
                killed[name] += disturb(cluster, command, seconds[name], chance, log)
            tries += len(commands)
            compare(work / "there", expected, log)
            print(f"{killed.total()} of {tries} kills met a job: {dict(killed)}", flush=True)
    return killed


def compare(folder: Path, expected: dict[str, bytes | str], log: Path) -> None:
    """Verify a datastore and compare it and its report; they are gone thereafter.

    Raises:
        AssertionError: naming the files that differ, or the job whose record is not of its end.
    """
    store = folder / "store"
    wait_for_orphans(store)
    start(["verify", str(store)], log).wait(f"{store} was finished")
    records = sorted((store / JOBS).glob("*.json"))
    states = {path.name: json.loads(path.read_text())["state"] for path in records}
    assert states and set(states.values()) == {"finished"}, f"{store / JOBS}: {states}"
    found = read_results(folder)
    different = sorted(n for n in expected.keys() | found if expected.get(n) != found.get(n))
    assert not different, f"{store}: {', '.join(different)} differ"
    shutil.rmtree(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=12, metavar="N", help="(default: 12)")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the moments (default: 0)"
    )
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="tagmine-kills-") as work:
            killed = run(options.kills, options.seed, Path(work))
    except MissingEngineError as missing:
        print(f"skipped, since there is no Flink cluster here: {missing}")
        return 0
    print(
        f"task managers were killed during {dict(killed)}; every job was finished by the engine, "
        "and every datastore has the bytes, and every report the numbers, of a local one"
    )
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except EngineError as problem:
        sys.exit(f"campaigns.task_managers: {problem}")
