"""Peak memory and speed of reading a table's rows into a catalogue and cutting it into shards.

    python -m benchmarks.bring_memory [--rows 1000000]

The rows are made up: one in five is a further row of an image that stands anywhere before it, and
each tenth has a brand of its own. A process of its own reads a thousand of them, another all.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.build_memory import peak_bytes

_READ = """
import sys
from pathlib import Path
from tagmine.bring.catalogue import open_catalogue, write_catalogue
from tagmine.bring.names import write_vocabulary
from tagmine.bring.options import Columns
from tagmine.bring.tables import TableRows
table, target = map(Path, sys.argv[1:])
columns = Columns("image", ("title",), "sku", ("sku", "image", "title", "brand"))
write_catalogue(TableRows((table,), columns, None)(), target, ("brand",), ("brand",))
with open_catalogue(target) as catalogue:
    shards = catalogue.cut(1_000)
    read = sum(1 for start, stop in shards[-2:] for entry in catalogue.read(start, stop))
    write_vocabulary(target.parent, catalogue, "brand")
assert shards and read
"""
_FEW = 1_000


def write_table(path: Path, rows: int) -> None:
    """A table of products as JSON lines."""
    chance = random.Random(0)
    with path.open("w") as stream:
        for number in range(rows):
            image = chance.randrange(number) if number and chance.random() < 0.2 else number
            brand = f"Brand {number}" if number % 10 == 0 else f"Brand {number % 997}"
            title = f"a red cotton shirt with buttons, by {brand}, number {number}"
            row = {"sku": str(image), "image": f"photos/{image}.jpg", "title": title}
            stream.write(json.dumps(row | {"brand": brand}) + "\n")


def main() -> int:
    """Measure, print, and return 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the larger table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for rows in (_FEW, options.rows):
            table = Path(folder) / f"{rows}.jsonl"
            write_table(table, rows)
            started = time.perf_counter()
            target = Path(folder) / f"{rows}.catalogue"
            peak = peak_bytes([sys.executable, "-c", _READ, str(table), str(target)])
            seconds = time.perf_counter() - started
            print(
                f"{rows:>10,} rows  {peak / 2**20:6.0f} MiB  {seconds:6.1f} s  "
                f"catalogue {target.stat().st_size / 2**20:,.0f} MiB",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
