"""`tagmine query`: the nearest images of a photo, and their tags."""

from __future__ import annotations

import dataclasses
import json
import sys

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from index.encoder import load_encoder
from index.pooling import Answer
from index.stack import open_stack
from pipelines.options import QueryOptions
from tagmine.printable import printable

_TAGS_SHOWN = 24


def run(options: QueryOptions, console: Console) -> None:
    """Embed the photos, search, and print the answers.

    Raises:
        ConfigurationError: for a photo that cannot be read.
        DatastoreError: for a datastore that cannot be opened, or encoders that differ.
    """
    encoder = load_encoder(options.clip_model) if options.clip_model else None
    stack = open_stack(options.datastores, encoder=encoder)
    answers = stack.query_files(options.photos, options.k)
    if options.json:
        records = [
            _record(photo, answer) for photo, answer in zip(options.photos, answers, strict=True)
        ]
        json.dump(records, sys.stdout, indent=1, ensure_ascii=False)
        sys.stdout.write("\n")
        return
    for photo, answer in zip(options.photos, answers, strict=True):
        _print_answer(console, photo, answer, several=len(stack.datastores) > 1)


def _record(photo: str, answer: Answer) -> dict:
    tags = [
        {**dataclasses.asdict(pooled.tag), "votes": pooled.votes, "score": pooled.score}
        for pooled in answer.tags
    ]
    for record in tags:
        # How many captions of one neighbour said it: votes are what counts here.
        del record["count"]
    neighbours = [dataclasses.asdict(neighbour) for neighbour in answer.neighbours]
    return {"photo": photo, "neighbours": neighbours, "tags": tags}


def _print_answer(console: Console, photo: str, answer: Answer, several: bool) -> None:
    console.print(Text(printable(photo), style="bold"))
    for neighbour in answer.neighbours:
        captions = len(neighbour.captions)
        more = f" (+{captions - 1} more captions)" if captions > 1 else ""
        tags = ", ".join(tag.text for tag in neighbour.tags[:_TAGS_SHOWN]) or "no tags"
        place = f"  in {printable(neighbour.datastore)}" if several else ""
        console.print(Text(f"  {neighbour.score:.3f}  {printable(neighbour.key)}{place}"))
        console.print(Padding(Text(printable(neighbour.captions[0]) + more), (0, 0, 0, 9)))
        console.print(Padding(Text(printable(tags), style="green"), (0, 0, 0, 9)))
    pooled = Table(box=None, title="pooled tags", title_justify="left", padding=(0, 2))
    for name in ("tag", "kind", "votes", "score"):
        pooled.add_column(name, justify="right" if name in ("votes", "score") else "left")
    for weighed in answer.tags[:_TAGS_SHOWN]:
        tag = weighed.tag
        kind = f"{tag.kind} {tag.label}" if tag.label else tag.kind
        cells = (tag.text, kind, str(weighed.votes), f"{weighed.score:.2f}")
        pooled.add_row(*(Text(printable(cell)) for cell in cells))
    console.print(Padding(pooled, (0, 0, 1, 1)))
    hidden = len(answer.tags) - _TAGS_SHOWN
    if hidden > 0:
        console.print(f"  {hidden} more tags; --json prints all\n", highlight=False)
