"""`make bench-scale` measures what it says, on a few shards."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from index.search import open_datastore

STAGES = ("mine", "again", "embed", "index", "verify")


def test_the_benchmark_runs_every_stage_and_goes_on_where_it_stopped(tmp_path: Path):
    out = tmp_path / "found.json"
    command = [sys.executable, "-m", "benchmarks.scale", "--shards", "6", "--workers", "1"]
    command += ["--work", str(tmp_path), "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    found = json.loads(out.read_text())
    assert all(found[stage]["cpu_s"] > 0 for stage in STAGES)
    assert found["open"]["manifest_bytes"] > found["bytes_sources"] > 0
    datastore = open_datastore(tmp_path / "store-6")
    assert len(datastore) == 6
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert len(done.stdout.splitlines()) == 1, "only what opening takes is measured again"
