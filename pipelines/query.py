"""`tagmine query`: the nearest images of a photo, and their tags."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from index.encoder import load_encoder
from index.images import ImageLimits, ImageRejected, decode_image
from index.search import Answer, open_datastore
from pipelines.options import QueryOptions
from tagmine.errors import ConfigurationError

_TAGS_SHOWN = 24


def run(options: QueryOptions, console: Console) -> None:
    """Embed the photos, search, and print the answers.

    Raises:
        ConfigurationError: for a photo that cannot be read.
        DatastoreError: for a datastore that cannot be opened.
    """
    encoder = load_encoder(options.clip_model) if options.clip_model else None
    datastore = open_datastore(options.datastore, encoder)
    images = [_read_photo(photo) for photo in options.photos]
    answers = datastore.query_images(images, options.k)
    if options.json:
        records = [
            _record(photo, answer) for photo, answer in zip(options.photos, answers, strict=True)
        ]
        json.dump(records, sys.stdout, indent=1, ensure_ascii=False)
        sys.stdout.write("\n")
        return
    for photo, answer in zip(options.photos, answers, strict=True):
        _print_answer(console, photo, answer)


def _read_photo(path: str):
    try:
        return decode_image(Path(path).read_bytes(), ImageLimits())
    except OSError as error:
        raise ConfigurationError(f"{path}: the photo cannot be read: {error.strerror}.") from error
    except ImageRejected as rejected:
        raise ConfigurationError(
            f"{path}: the photo cannot be used: {rejected.reason}: {rejected.detail}"
        ) from rejected


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


def _print_answer(console: Console, photo: str, answer: Answer) -> None:
    near = Table(title=escape(_printable(photo)), title_justify="left", title_style="bold")
    near.add_column("score", justify="right")
    near.add_column("image", overflow="fold")
    near.add_column("caption", overflow="fold", ratio=2)
    near.add_column("tags", overflow="fold", ratio=2)
    for neighbour in answer.neighbours:
        tags = ", ".join(tag.text for tag in neighbour.tags)
        row = (neighbour.key, neighbour.captions[0], tags)
        near.add_row(f"{neighbour.score:.3f}", *(escape(_printable(cell)) for cell in row))
    console.print(near)
    pooled = Table(title="their tags, pooled", title_justify="left", title_style="bold")
    for name in ("tag", "kind", "votes", "score"):
        pooled.add_column(name, justify="right" if name in ("votes", "score") else "left")
    for weighed in answer.tags[:_TAGS_SHOWN]:
        tag = weighed.tag
        kind = f"{tag.kind} {tag.label}" if tag.label else tag.kind
        cells = (tag.text, kind, str(weighed.votes), f"{weighed.score:.2f}")
        pooled.add_row(*(escape(_printable(cell)) for cell in cells))
    console.print(pooled)


def _printable(text: str) -> str:
    """Text of strangers without what would steer a terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
