"""Seconds from typing `tagmine --help` to its end, beside a Python that does nothing.

python -m benchmarks.startup_time
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

_RUNS = 7


def seconds(command: list[str]) -> float:
    """Wall seconds of one run."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Measure in turn, print the medians."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    commands = {
        "python": [sys.executable, "-c", "pass"],
        "tagmine --help": [sys.executable, "-m", "pipelines.main", "--help"],
        "tagmine build --help": [sys.executable, "-m", "pipelines.main", "build", "--help"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(_RUNS):
        for name, command in commands.items():
            times[name].append(seconds(command))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        print(f"{name:<22} {median:6.3f} s  {median / medians['python']:5.1f} x python")
    print(json.dumps(medians))


if __name__ == "__main__":
    main()
