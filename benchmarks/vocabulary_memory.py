"""Peak memory of counting the tags of a datastore: 2 million tags, and four times that.

    python -m benchmarks.vocabulary_memory [--tags 2000000]

Parts of made-up tags are written, of which some are common and most are rare, so that the number
of unique tags grows with the parts; each count runs in a process of its own. The baseline is a
process that counts one part. Looking tags up is timed in the larger vocabulary.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.build_memory import peak_bytes
from tagmine.layout import tags_path
from tagmine.parts import TAG_TYPE
from tagmine.vocabulary import key_hash, open_vocabulary

_COUNT = """
import sys
from pathlib import Path
from tagmine.count_tags import write_vocabulary
target, *parts = map(Path, sys.argv[1:])
write_vocabulary(target, parts, (), "benchmark")
"""
_TAGS_AN_IMAGE = 5
_IMAGES_A_PART = 10_000
_SCALES = (1, 4)


def write_part(path: Path, part: int, unique: int) -> None:
    """A tags part of made-up attribute tags, with the columns that are counted."""
    rng = np.random.default_rng(part)
    # The cube makes low numbers common; the tail beyond any one part's reach is what grows.
    numbers = (unique * rng.random(_IMAGES_A_PART * _TAGS_AN_IMAGE) ** 3).astype(int).tolist()
    plural = rng.random(len(numbers)) < 0.3
    adjectives = [f"adjective{number % 997}" for number in numbers]
    heads = [f"noun{number}" for number in numbers]
    lemmas = [f"{a} {h}" for a, h in zip(adjectives, heads, strict=True)]
    texts = [f"{lemma}s" if many else lemma for lemma, many in zip(lemmas, plural, strict=True)]
    ends = np.arange(len(numbers) + 1, dtype=np.int32)
    columns = {
        "text": pa.array(texts),
        "lemma": pa.array(lemmas),
        "kind": pa.array(["attribute"] * len(numbers)),
        "head": pa.array(heads),
        "attributes": pa.ListArray.from_arrays(pa.array(ends), pa.array(adjectives)),
        "label": pa.array([""] * len(numbers)),
        "count": pa.array(np.ones(len(numbers), np.int32)),
    }
    tags = pa.StructArray.from_arrays(list(columns.values()), fields=list(TAG_TYPE))
    rows = pa.ListArray.from_arrays(pa.array(ends[::_TAGS_AN_IMAGE]), tags)
    ids = (part << 32) + np.arange(_IMAGES_A_PART)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": ids, "tags": rows}), path, compression="zstd")


def look_up_seconds(path: Path) -> tuple[float, float]:
    """Seconds to look 30 tags up: the first time, and the median of later times."""
    vocabulary = open_vocabulary(path)
    numbers = np.random.default_rng(0).integers(0, 10_000, 30).tolist()
    keys = [("attribute", "", f"adjective{n % 997} noun{n}") for n in numbers]
    keys.sort(key=key_hash)
    times = []
    for _ in range(50):
        start = time.perf_counter()
        vocabulary.look_up(keys)
        times.append(time.perf_counter() - start)
    return times[0], statistics.median(times[1:])


def measure(tags: int) -> dict[str, float]:
    """Peaks in bytes and unique tags at each scale, and the seconds of look-ups."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        root, target = Path(folder), Path(folder) / "vocabulary.arrow"
        parts_at_1x = max(tags // (_IMAGES_A_PART * _TAGS_AN_IMAGE), 1)
        parts = [root / tags_path(number) for number in range(parts_at_1x * _SCALES[-1])]
        for number, path in enumerate(parts):
            write_part(path, number, tags // 2)
        command = [sys.executable, "-c", _COUNT, str(target)]
        found["one part"] = peak_bytes([*command, str(parts[0])])
        for scale in _SCALES:
            chosen = [str(path) for path in parts[: parts_at_1x * scale]]
            start = time.perf_counter()
            found[f"{scale}x"] = peak_bytes([*command, *chosen])
            found[f"{scale}x seconds"] = time.perf_counter() - start
            found[f"{scale}x unique"] = len(open_vocabulary(target))
        found["first look-up"], found["look-up"] = look_up_seconds(target)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tags", type=int, default=2_000_000, help="tags of all images at 1x")
    tags = parser.parse_args().tags
    found = measure(tags)
    print(f"one part {found['one part'] / 2**20:6.0f} MiB")
    for scale in _SCALES:
        print(
            f"{scale}x       {found[f'{scale}x'] / 2**20:6.0f} MiB  {tags * scale:,} tags, "
            f"{found[f'{scale}x unique']:,} unique, {found[f'{scale}x seconds']:.1f} s"
        )
    print(
        f"30 tags looked up in {found['look-up'] * 1e6:,.0f} µs, the first time in "
        f"{found['first look-up'] * 1e6:,.0f} µs"
    )
    print(json.dumps({"tags": tags, **found}))


if __name__ == "__main__":
    main()
