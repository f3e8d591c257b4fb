"""Mining on a Flink cluster of two task managers: seconds a shard by one of them and by both.

    python -m benchmarks.flink_mining --captions cc3m_val.tsv -n 8000

Needs what `python -m engines.flink` needs. Start-up is left out: time counts from when as many
shards are finished as there are workers, so that each has loaded its models. One and both take
turns, and the ratio of a turn is of runs beside each other.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from benchmarks.mining_speed import read_captions
from engines.flink import FlinkCluster, flink_cluster

_PROJECT = Path(__file__).parents[1]


def write_shards(folder: Path, captions: list[str], shards: int) -> None:
    """The captions dealt out to shards of samples with an empty picture each."""
    folder.mkdir()
    for shard in range(shards):
        with tarfile.open(folder / f"{shard:05d}.tar", "w") as archive:
            for number, caption in enumerate(captions[shard::shards]):
                for name, data in ((f"{number:05d}.jpg", b""), (f"{number:05d}.txt", caption)):
                    content = data.encode() if isinstance(data, str) else data
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))


def seconds_a_shard(cluster: FlinkCluster, endpoint: str, shards: Path, workers: int) -> float:
    """One run of `tagmine mine`, by when its parts were finished."""
    with tempfile.TemporaryDirectory() as out:
        root = Path(out) / "store"
        runner = ["--runner=PortableRunner", f"--job_endpoint={endpoint}"]
        command = ["mine", f"{shards}/*.tar", "--out", str(root), *runner]
        subprocess.run(
            [sys.executable, "-m", "pipelines.main", *command, *cluster.worker_flags(workers)],
            check=True,
            cwd=_PROJECT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        ends = sorted(path.stat().st_mtime for path in (root / "tags").glob("part-*"))
    return (ends[-1] - ends[workers - 1]) / (len(ends) - workers)


def main() -> None:
    """Measure in turns, print each and the median of the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--captions", type=Path, metavar="FILE", help="as mining_speed reads it")
    parser.add_argument("-n", type=int, default=8000, metavar="N", help="how many captions")
    parser.add_argument("--shards", type=int, default=40, metavar="N")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    arguments = parser.parse_args()
    captions = read_captions(arguments.captions, arguments.n)
    with tempfile.TemporaryDirectory(prefix="tagmine-flink-") as folder:
        shards = Path(folder) / "shards"
        write_shards(shards, captions, arguments.shards)
        with flink_cluster(Path(folder) / "cluster") as cluster:
            endpoint = cluster.start_job_server()
            turns = []
            for _ in range(arguments.rounds):
                one, two = (seconds_a_shard(cluster, endpoint, shards, n) for n in (1, 2))
                turns.append({"one": one, "two": two, "ratio": two / one})
                print(f"one {one:.3f} s a shard, two {two:.3f} s, ratio {two / one:.2f}")
    ratio = statistics.median(turn["ratio"] for turn in turns)
    print(json.dumps({"turns": turns, "ratio": ratio, "aim": 0.6}))


if __name__ == "__main__":
    main()
