"""`make demo`: draw a small world, build a datastore of it, verify, validate and ask it.

    python -m demo [--out demo-out] [--count 2000]

Run again, or after an interruption, it keeps the parts that are finished.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path

from rich.console import Console

from demo.shards import ShardOptions, scenes_of
from demo.shards import main as draw_shards
from demo.world import draw
from pipelines.main import main as tagmine

_QUERIES = 8
_HELD_OUT = 200


def main() -> int:
    """Run the demo; returns the exit status of the first command that fails, or 0."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="folder to write into")
    parser.add_argument("--count", type=int, default=2000, help="pictures to draw")
    arguments = parser.parse_args()
    console = Console(stderr=True, markup=False, highlight=False)
    start = time.monotonic()
    shards = arguments.out / "shards"
    photos = arguments.out / "photos"
    console.print(f"draw   {arguments.count:,} pictures of the drawn world into {shards}")
    draw_shards(["--out", str(shards), "--count", str(arguments.count)])
    pictures = _draw_photos(photos)
    datastore = arguments.out / "datastore"
    command = ["build", f"{shards}/*.tar", "--out", str(datastore), "--clip-model", "demo"]
    command += ["--caption-json-field", "captions"]
    console.print(f"\n$ tagmine {shlex.join(command)}", highlight=False, soft_wrap=True)
    status = tagmine(command)
    if status == 0:
        unseen = arguments.out / "held-out"
        draw_shards(["--out", str(unseen), "--count", str(_HELD_OUT), "--split", "heldout"])
        command = ["validate", str(datastore), "--queries", f"{unseen}/*.tar"]
        console.print(f"\n$ tagmine {shlex.join(command)}", highlight=False, soft_wrap=True)
        status = tagmine(command)
    if status == 0:
        question = ["query", str(datastore), str(pictures[0]), "-k", "3"]
        console.print(f"\n$ tagmine {shlex.join(question)}", highlight=False, soft_wrap=True)
        status = tagmine(question)
    if status == 0:
        page = _show_answers(arguments.out, datastore, pictures)
        took = time.monotonic() - start
        console.print(
            f"Done in {took:,.0f} s. Open {page.absolute().as_uri()} to see {len(pictures)} "
            "photos, their neighbours and their tags,\nand "
            f"{(datastore / 'report/index.html').absolute().as_uri()} to see how good the index is."
            "\nOr ask again: "
            f".venv/bin/tagmine query {shlex.join([str(datastore), str(pictures[-1])])}",
            highlight=False,
            soft_wrap=True,
        )
    return status


def _draw_photos(folder: Path) -> list[Path]:
    """Held-out pictures of one object each, of both domains, as a stranger would photograph it."""
    folder.mkdir(parents=True, exist_ok=True)
    photos = []
    for domain, scenes in scenes_of(ShardOptions(folder, count=80, split="heldout")).items():
        alone = [scene for scene in scenes if len(scene.objects) == 1]
        for number, scene in enumerate(alone[: _QUERIES // 2]):
            path = folder / f"{domain}-{number}-{scene.main.kind.name.replace(' ', '_')}.jpg"
            draw(scene).save(path, "JPEG", quality=90)
            photos.append(path)
    return photos


def _show_answers(out: Path, datastore: Path, photos: list[Path]) -> Path:
    from demo.gallery import write_gallery
    from index import open_datastore

    opened = open_datastore(datastore)
    page = out / "answers.html"
    write_gallery(page, opened, photos, opened.query_files(photos))
    return page


if __name__ == "__main__":
    sys.exit(main())
