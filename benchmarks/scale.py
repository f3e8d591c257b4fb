"""What 100,000 parts cost: the launcher, the manifest, opening and verifying, on tiny shards.

    python -m benchmarks.scale [--shards 100000] [--workers 2] [--work FOLDER] [--out FILE]

Every shard holds one drawn picture of 32 pixels and a short caption, so that what is measured is
what a part costs whatever is in it. Each stage is the real command. A stage that is finished is
measured once; a run that was stopped goes on after it. Parts are flushed to disk one by one, so
give --work a folder in memory (/dev/shm: 40 KB a shard) to measure ours and not the disk.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
import PIL.Image

from benchmarks.index_measure import kibibytes

_THINGS = ("dog", "cat", "car", "tree", "boat", "house", "bird", "chair", "table", "bicycle")
_COLOURS = ("red", "blue", "green", "yellow", "white", "black", "brown", "grey")
_OPEN = """
import json, resource, sys, time
from tagmine.manifest import read_manifest
from pathlib import Path
root = Path(sys.argv[1])
import index.search
began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.process_time(); manifest = read_manifest(root)
parsed = time.process_time() - start
held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - began
del manifest
start = time.process_time(); datastore = index.search.open_datastore(root)
opened = time.process_time() - start
vector = datastore.embeddings(0).vectors[:1].astype("float32")
start = time.process_time(); datastore.search(vector, 5)
print(json.dumps({"parse_cpu_s": parsed, "parse_bytes": held * 1024, "open_cpu_s": opened,
    "search_cpu_s": time.process_time() - start,
    "manifest_bytes": (root / "manifest.json").stat().st_size}))
"""


def draw_shards(folder: Path, count: int) -> None:
    """Tiny shards, those that are there kept; the same ones each time."""
    folder.mkdir(parents=True, exist_ok=True)
    present = len(list(folder.glob("*.tar")))
    for number in range(present, count):
        chance = random.Random(number)
        thing, place = chance.sample(_THINGS, 2)
        caption = f"a {chance.choice(_COLOURS)} {thing} by a {place}"
        pixels = np.random.default_rng(number).integers(0, 256, (4, 4, 3), np.uint8)
        picture = io.BytesIO()
        PIL.Image.fromarray(pixels).resize((32, 32)).save(picture, "JPEG")
        path = folder / f"{number:06d}.tar"
        with tarfile.open(path.with_suffix(".new"), "w") as tar:
            for name, data in (("0.jpg", picture.getvalue()), ("0.txt", caption.encode())):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        path.with_suffix(".new").rename(path)


def run_launcher(command: list[str]) -> dict[str, float]:
    """Seconds of a command, and the largest resident set of its own process, workers aside."""
    with tempfile.TemporaryFile() as messages:
        start = time.perf_counter()
        before = os.times()
        child = subprocess.Popen(command, stdout=messages, stderr=messages)
        peak = 0
        while child.poll() is None:
            peak = max(peak, kibibytes(child.pid, "VmHWM") * 1024)
            time.sleep(0.2)
        after = os.times()
        if child.returncode != 0:
            messages.seek(0)
            raise RuntimeError(messages.read().decode(errors="replace")[-3000:])
    cpu = sum(after[2:4]) - sum(before[2:4])
    return {"wall_s": time.perf_counter() - start, "cpu_s": cpu, "launcher_peak_bytes": peak}


def measure_open(root: Path) -> dict[str, float]:
    """What opening the datastore and a search of it take, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _OPEN, str(root)], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def stages(shards: Path, root: Path, count: int, workers: int) -> dict[str, list[str]]:
    """The command of each stage; `again` is mine over finished parts."""
    tagmine = [sys.executable, "-m", "pipelines.main"]
    inputs = [f"{shards}/{{000000..{count - 1:06d}}}.tar", "--out", str(root)]
    processes = ["--num-workers", str(workers)]
    mine = [*tagmine, "mine", *inputs, *processes]
    return {
        "mine": mine,
        "again": mine,
        "embed": [*tagmine, "embed", *inputs, "--clip-model", "demo", *processes],
        "index": [*tagmine, "index", str(root)],
        "verify": [*tagmine, "verify", str(root)],
    }


def measure(work: Path, count: int, workers: int, found: dict, out: Path) -> None:
    """Run what is not measured yet, and write down each result as it comes."""
    start = time.process_time()
    draw_shards(work / "tiny", count)
    found.setdefault("draw", {"cpu_s": time.process_time() - start})
    root = work / f"store-{count}"
    for name, command in stages(work / "tiny", root, count, workers).items():
        if name not in found:
            found[name] = run_launcher(command)
            print(f"{count:,} shards, {name}: {found[name]}", flush=True)
            out.write_text(json.dumps(found, indent=1) + "\n")
    found["open"] = measure_open(root)
    for name in ("tags", "embeddings", "rejects", "index", "vocabulary"):
        files = [path.stat().st_size for path in (root / name).rglob("*") if path.is_file()]
        found[f"bytes_{name}"] = sum(files)
    found["bytes_sources"] = (root / "sources.json").stat().st_size
    out.write_text(json.dumps(found, indent=1) + "\n")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, default=100_000, help="how many tiny shards")
    parser.add_argument("--workers", type=int, default=2, help="worker processes of mine and embed")
    parser.add_argument("--work", type=Path, default=Path("scale-out"), help="where all goes")
    parser.add_argument("--out", type=Path, help="JSON of what is measured; continued if there")
    options = parser.parse_args()
    out = options.out or options.work / f"scale-{options.shards}.json"
    options.work.mkdir(parents=True, exist_ok=True)
    found = json.loads(out.read_text()) if out.exists() else {"shards": options.shards}
    measure(options.work, options.shards, options.workers, found, out)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
