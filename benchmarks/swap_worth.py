"""What a swap is worth: the tables of docs/domains.md, as `tagmine compare` measures them.

    python -m benchmarks.swap_worth [--shared FOLDER] [--folder SCRATCH]

In the drawn world, a datastore of streets and one of clothes, and held-out pictures of each. Where
FOLDER (../shared/data) is there, COCO's photos, the products of all shards of a catalogue but the
last, and those of the last as queries.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from demo.shards import ShardOptions, write_shards
from index.swap_report import interval_text
from index.swap_scores import Interval
from pipelines.main import main as tagmine

_CAPTIONS = ("--caption-json-field", "captions")
_FIELDS = ("--tag-fields", "articleType,baseColour")
_KINDS = ("precision", "recall")


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """Held-out shards of one domain, and how their known tags are made."""

    name: str
    shards: Sequence[Path]
    flags: Sequence[str]


def drawn_world(folder: Path, count: int, held_out: int) -> list[Question]:
    """Build `general` and `fashion` of `count` pictures each in a folder."""
    questions = []
    for name, domain, store in (
        ("streets", "street", "general"),
        ("clothes", "fashion", "fashion"),
    ):
        shards = write_shards(ShardOptions(folder / "shards", count=count, domain=domain))
        build(folder, store, shards, _CAPTIONS)
        held = ShardOptions(folder / "held-out", count=held_out, domain=domain, split="heldout")
        questions.append(Question(name, write_shards(held), _CAPTIONS))
    return questions


def real_photos(folder: Path, shared: Path) -> list[Question]:
    """Build `coco-tags` and `shop-tags` in a folder."""
    build(folder, "coco-tags", sorted(shared.glob("shards/coco-mini/*.tar")), _CAPTIONS)
    *products, held_out = sorted(shared.glob("shards/fashion/*.tar"))
    build(folder, "shop-tags", products, _FIELDS)
    return [Question("products", [held_out], _FIELDS)]


def build(folder: Path, store: str, shards: Sequence[Path], flags: Sequence[str]) -> None:
    """A datastore of the small encoder that ships with tagmine."""
    run(folder, "build", *map(str, shards), "--out", store, "--clip-model", "demo", *flags)


def table(folder: Path, questions: Sequence[Question], stores: Sequence[str]) -> str:
    """The scores as rows of Markdown: each question to each datastore and to both."""
    lines = []
    sides = [*stores, "+".join(stores)]
    for question in questions:
        shards = map(str, question.shards)
        asked = ["compare", *shards, *question.flags, "--datastores", *sides, "--json"]
        found = json.loads(run(folder, *asked))
        print(
            f"{question.name}: {found['queries']:,} queries, {found['known']:.1f} known tags each"
        )
        for side in found["stores"]:
            values = [Interval(**score[kind]) for kind in _KINDS for score in side["scores"]]
            cells = " | ".join(map(interval_text, values))
            lines.append(f"| {question.name} | {side['name']} | {cells} |")
    return "\n".join(lines)


def run(folder: Path, *words: str) -> str:
    """What a `tagmine` command prints to its standard output, run in a folder."""
    said = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(said):
        status = tagmine(words)
    if status:
        raise SystemExit(status)
    return said.getvalue()


def main(argv: Sequence[str] | None = None) -> int:
    """Build, ask and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    shared = Path(__file__).parents[2] / "shared/data"
    parser.add_argument("--shared", type=Path, default=shared, help="folder of real data")
    parser.add_argument("--count", type=int, default=1000, help="drawn pictures a datastore")
    parser.add_argument("--held-out", type=int, default=300, help="drawn pictures that ask")
    parser.add_argument("--folder", type=Path, help="where the datastores go for the time being")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="tagmine-bench-", dir=options.folder) as name:
        folder = Path(name)
        drawn = drawn_world(folder, options.count, options.held_out)
        print(table(folder, drawn, ("general", "fashion")), flush=True)
        if options.shared.is_dir():
            print(table(folder, real_photos(folder, options.shared), ("coco-tags", "shop-tags")))
        else:
            print(f"{options.shared} is not here, so no photos were asked about")
    return 0


if __name__ == "__main__":
    sys.exit(main())
