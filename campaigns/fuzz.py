"""Coverage-guided fuzzing of one target, or of each in turn: `python -m campaigns.fuzz`."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from campaigns.targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--runs", type=int, default=-1, help="most inputs of each, -1 for any")
    parser.add_argument("--work", type=Path, help="folder of inputs that are kept between runs")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    options = parser.parse_args()
    unknown = set(options.targets) - set(TARGETS)
    if unknown:
        parser.error(
            f"unknown targets {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}"
        )
    with tempfile.TemporaryDirectory(prefix="tagmine-fuzz-") as scratch:
        work = options.work or Path(scratch)
        failed = []
        names = options.targets or list(TARGETS)
        for number, name in enumerate(names, 1):
            print(f"{name}, {number} of {len(names)}: {options.seconds} s at most", flush=True)
            # A process each: a fuzzer ends its process, at the latest when its time is up.
            if subprocess.call(_command(name, work / name, options.seconds, options.runs)):
                failed.append(name)
    print(f"faults in: {', '.join(failed)}" if failed else "no faults found")
    return bool(failed)


def _command(name: str, work: Path, seconds: int, runs: int) -> list[str]:
    work.mkdir(parents=True, exist_ok=True)
    limits = [f"-max_total_time={seconds}", f"-runs={runs}", "-rss_limit_mb=4096", "-timeout=60"]
    limits += ["-max_len=65536", "-print_final_stats=1"]
    own = [sys.executable, "-m", "campaigns.fuzz_one", name, "-seed=1", "-verbosity=0"]
    return [*own, *limits, f"-artifact_prefix={work}/", str(work)]


if __name__ == "__main__":
    sys.exit(main())
