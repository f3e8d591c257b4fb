"""How well the demo encoder retrieves held-out pictures of the drawn world.

    python -m benchmarks.demo_retrieval [--json FILE]

A query is a held-out picture of one object. Its five nearest pictures are found by exact search
among 2,000 of the default shards' scenes; one is right when it holds an object of the query's
kind. The baseline in the same table is five pictures picked at random.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

from demo.retrieval import CLIP_FOLDER, Study, load_encoder, measure


def table(study: Study) -> str:
    """The scores as lines of text."""
    lines = [f"{'queries':<26}{'n':>5}{'hit@5':>9}{'chance':>9}{'right of 5':>12}"]
    rows = {f"pictures, {name}": value for name, value in study.pictures.items()}
    rows["names of kinds, as text"] = study.names
    for name, value in rows.items():
        lines.append(
            f"{name:<26}{value.queries:>5}{value.hit:>9.3f}{value.chance:>9.3f}"
            f"{value.precision:>12.3f}"
        )
    lines.append(f"{'colour + kind, best picture right':<40}{study.colours:.3f}")
    lines.append(f"{'picture named right among all kinds':<40}{study.naming:.3f}")
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table and the same as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", type=Path, default=CLIP_FOLDER, help="local-dir of open_clip")
    parser.add_argument("--json", type=Path, help="also write the scores here")
    arguments = parser.parse_args()
    study = measure(load_encoder(arguments.encoder), datastore=2000, queries=800)
    print(table(study))
    scores = json.dumps(dataclasses.asdict(study), indent=2)
    print(scores)
    if arguments.json:
        arguments.json.write_text(scores + "\n")


if __name__ == "__main__":
    main()
