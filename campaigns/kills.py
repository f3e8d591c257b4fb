"""SIGKILL at random moments of every stage, until so many kills; the bytes must come out alike."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import os
import random
import shutil
import signal
import sys
import tarfile
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from campaigns.contents import read_datastore
from campaigns.launched import start

_CAPTIONS = ("a red car", "two dogs on a beach", "an old man in a striped shirt", "a green apple")
_SHARDS, _SAMPLES = 6, 40
_KILLS_A_BUILD = 9
# One in so many is of a build with worker processes, which take seconds to start.
_WITH_WORKERS = 8
_ORPHAN_SECONDS = 60.0


@dataclasses.dataclass(slots=True)
class Tally:
    """What was killed, and what was under way."""

    launchers: int = 0
    workers: int = 0
    stages: Counter[str] = dataclasses.field(default_factory=Counter)

    @property
    def kills(self) -> int:
        return self.launchers + self.workers


def write_shards(folder: Path) -> str:
    """Small shards of drawn pictures; returns the glob that names them."""
    folder.mkdir(parents=True)
    chance = np.random.default_rng(0)
    for shard in range(_SHARDS):
        with tarfile.open(folder / f"{shard:05d}.tar", "w") as archive:
            for number in range(_SAMPLES):
                picture = io.BytesIO()
                blocks = chance.integers(0, 255, (4, 4, 3), dtype=np.uint8)
                Image.fromarray(blocks).resize((96, 80)).save(picture, "JPEG")
                caption = f"{_CAPTIONS[number % 4]} and a number {number}".encode()
                for name, data in (("jpg", picture.getvalue()), ("txt", caption)):
                    info = tarfile.TarInfo(f"{number:04d}.{name}")
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
    return f"{folder}/*.tar"


def wait_for_orphans(root: Path, seconds: float = _ORPHAN_SECONDS) -> None:
    """Until nobody writes: workers of killed launchers end at their next sample.

    Raises:
        AssertionError: naming the files that are still being written, or were left, after so long.
    """
    deadline = time.monotonic() + seconds
    while left := sorted(root.rglob(".*.tmp-*")):
        assert time.monotonic() < deadline, f"left after {seconds:g} s: {', '.join(map(str, left))}"
        time.sleep(0.2)


def stage_of(root: Path) -> str:
    """What is being written at this moment."""
    writing = sorted(path.parent.name for path in root.rglob(".*.tmp-*"))
    marked = sorted(path.parent.name for path in root.rglob(".*.under-way"))
    return next(iter([*writing, *marked]), "between files")


def workers_of(launcher: int) -> list[int]:
    """Processes of Beam's workers that a launcher has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
            session = os.getsid(int(folder.name))
        except (OSError, ProcessLookupError):
            continue
        if session == launcher and b"sdk_worker_main" in words and not words.startswith(b"/bin/sh"):
            found.append(int(folder.name))
    return found


def disturb(root: Path, command: list[str], seconds: float, chance: random.Random, tally: Tally):
    """Start the command and kill it, or a worker of it, at a random moment.

    Raises:
        AssertionError: when it does not end well although it was not killed, or only a worker was.
    """
    with_workers = tally.kills % _WITH_WORKERS == _WITH_WORKERS - 1
    width = ["--num-workers", "2"] if with_workers else []
    launcher = start([*command, *width], root.parent.with_suffix(".log"))
    wait = chance.random() * seconds * (4 if with_workers else 1)
    deadline = time.monotonic() + wait
    while time.monotonic() < deadline:
        if launcher.ended():
            return
        time.sleep(0.01)
    workers = workers_of(launcher.process.pid)
    stage = stage_of(root)
    if workers and chance.random() < 0.5:
        # Nothing is left to kill of a worker that has just ended.
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(workers), signal.SIGKILL)
            tally.workers += 1
            tally.stages[stage] += 1
        # The job starts what was lost again by itself.
        launcher.wait("only a worker of it was killed")
    elif launcher.kill():
        tally.launchers += 1
        tally.stages[stage] += 1


def run(kills: int, seed: int, work: Path) -> Tally:
    """Build again and again under kills, and compare each result with an undisturbed build.

    Raises:
        AssertionError: when a result differs, or does not verify.
    """
    chance = random.Random(seed)
    shards = write_shards(work / "in" / "drawn")
    undisturbed = work / "undisturbed" / "store"
    command = ["build", shards, "--clip-model", "demo", "--out"]
    log = work / "quiet.log"
    # The first one waits for all imports, which are no part of a build's time.
    start(["--version"], log).wait("nothing can disturb it")
    began = time.monotonic()
    start([*command, str(undisturbed)], log).wait("it was not disturbed")
    seconds = time.monotonic() - began
    expected = read_datastore(undisturbed)
    tally = Tally()
    while tally.kills < kills:
        root = work / "killed" / "store"
        goal = min(kills, tally.kills + _KILLS_A_BUILD)
        while tally.kills < goal:
            if (root / "manifest.json").exists():
                shutil.rmtree(root)
            disturb(root, [*command, str(root)], seconds, chance, tally)
        start([*command, str(root)], log).wait(f"it had only to finish {root}")
        wait_for_orphans(root)
        start(["verify", str(root)], log).wait(f"{root} was finished")
        found = read_datastore(root)
        different = sorted(n for n in expected.keys() | found if expected.get(n) != found.get(n))
        assert not different, f"{root}: {', '.join(different)} differ"
        shutil.rmtree(root)
        print(f"{tally.kills} kills, during {dict(tally.stages)}", flush=True)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tagmine-kills-") as work:
        tally = run(options.kills, options.seed, Path(work))
    print(
        f"{tally.launchers} launchers and {tally.workers} workers were killed; every datastore "
        "was finished by the same command, verifies, and has the bytes of an undisturbed build"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
