"""`make bench`: every claim of speed, memory and retrieval, one after the other.

    python -m benchmarks [--shared FOLDER]

Real captions and photos are read from FOLDER (../shared/data) where it is there; without it each
script falls back to what the drawn world gives.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path


def plan(shared: Path) -> list[list[str]]:
    """The command lines to run."""
    captions = shared / "captions/cc3m_val.tsv"
    photos = shared / "shards/coco-mini"
    gold = shared / "gold/factual_test.csv"
    teacher = shared / "models/en_core_web_sm-2.2.5-as-v3"
    mining = ["benchmarks.mining_speed"]
    embedding = ["benchmarks.embedding_speed"]
    commands = [["benchmarks.startup_time"], ["benchmarks.demo_retrieval"]]
    if captions.exists():
        mining += ["--captions", str(captions)]
    if photos.exists():
        embedding += ["--shards", f"{photos}/*.tar"]
    cost = ["benchmarks.mining_cost", *mining[1:]]
    commands += [mining, cost, embedding, ["benchmarks.build_memory"]]
    commands.append(["benchmarks.vocabulary_memory"])
    commands.append(["benchmarks.bring_memory"])
    commands.append(["benchmarks.copy_memory"])
    # Short forms; `make bench-index` has the long ones, and autofaiss.
    commands.append(["benchmarks.index_build", "--count", "50000", "--no-autofaiss"])
    commands += [["benchmarks.index_search"], ["benchmarks.index_memory"]]
    commands.append(["benchmarks.take_out_memory"])
    if gold.exists():
        commands.append(
            ["benchmarks.gold_score", "--gold", str(gold), "--spacy-model", str(teacher)]
        )
    return commands


def main() -> int:
    """Run them all; returns how many failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).parents[2] / "shared/data"
    parser.add_argument("--shared", type=Path, default=default, help="folder of real data")
    failed = 0
    for command in plan(parser.parse_args().shared):
        print(f"\n== {' '.join(command)}", flush=True)
        failed += subprocess.run([sys.executable, "-m", *command]).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
