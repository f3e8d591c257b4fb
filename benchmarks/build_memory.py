"""Peak memory of `tagmine build` over 1, 4 and 16 shards.

    python -m benchmarks.build_memory [--images 250]

The baseline, measured in the same run, is a process that loads the tagger, the encoder and FAISS
and tags and embeds once: the models aside, what a build adds should not grow with its shards.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from demo.shards import ShardOptions, write_shards

_BASELINE = """
import apache_beam, faiss
import numpy as np
from index import load_encoder
from tagmine import load_tagger
list(load_tagger().tag(["a red car"]))
encoder = load_encoder("demo")
encoder.embed_images(np.zeros((64, encoder.image_size, encoder.image_size, 3), np.uint8))
"""
_SCALES = (1, 4, 16)


def peak_bytes(command: list[str]) -> int:
    """Largest resident set of a command and the processes it waited for, in bytes."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise RuntimeError(f"{' '.join(command)} failed with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_maxrss * 1024


def measure(images: int) -> dict[str, int]:
    """Peaks in bytes: of the baseline, and of a build at each scale."""
    peaks = {"baseline": peak_bytes([sys.executable, "-c", _BASELINE])}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        options = ShardOptions(out=root / "one", count=images, domain="street", shard_size=images)
        shard = write_shards(options)[0]
        for scale in _SCALES:
            shards = root / f"x{scale}"
            shards.mkdir()
            for number in range(scale):
                shutil.copy(shard, shards / f"{number:05d}.tar")
            command = [sys.executable, "-m", "pipelines.main", "build", f"{shards}/*.tar"]
            command += ["--out", str(root / f"store{scale}"), "--clip-model", "demo"]
            peaks[f"{scale}x"] = peak_bytes(command)
    return peaks


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=250, help="images a shard")
    images = parser.parse_args().images
    peaks = measure(images)
    for name, peak in peaks.items():
        over = peak - peaks["baseline"]
        print(f"{name:<10} {peak / 2**20:8.0f} MiB  {over / 2**20:+8.0f} MiB over the models")
    growth = (peaks["16x"] - peaks["baseline"]) / max(peaks["1x"] - peaks["baseline"], 1)
    print(f"16x over 1x, the models aside: {growth:.2f}")
    print(json.dumps({"images_a_shard": images, "peak_bytes": peaks, "growth": growth}))


if __name__ == "__main__":
    main()
