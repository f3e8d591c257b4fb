"""`tagmine mine --show`: what the miner makes of the first samples, to look at."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from pipelines.mine import annotation_table, tagger_inputs
from pipelines.options import ShowOptions
from tagmine.annotations import AnnotationCounts, index_annotations, open_annotations
from tagmine.caption_filters import load_judge
from tagmine.errors import ConfigurationError
from tagmine.image_text import ImageReader
from tagmine.layout import write_atomically
from tagmine.preview import preview_shards
from tagmine.printable import printable
from tagmine.show import (
    KIND_MEANINGS,
    Piece,
    ShownCaption,
    ShownImage,
    label,
    nest,
    show_samples,
)
from tagmine.show_html import render_page
from tagmine.sources import expand_shards, number_sources
from tagmine.tags import Tag

_STYLES = {
    "object": "blue",
    "attribute": "green",
    "entity": "yellow",
    "relation": "magenta",
    "field": "cyan",
}


def run(options: ShowOptions, console: Console) -> None:
    """Mine the first samples and print them; nothing is written but the page that was asked for.

    Raises:
        ConfigurationError: for shards, a pipeline or annotations that cannot be used, or a page
            that cannot be written.
    """
    mine = options.mine
    fields = mine.inputs.fields
    sources = number_sources(expand_shards(mine.inputs.shards), mine.inputs.dataset, [])
    table = annotation_table(mine)
    judge = load_judge(mine.filters) if mine.filters.active else None
    tagger = tagger_inputs(mine).load()
    preview_shards(sources, fields)
    with tempfile.TemporaryDirectory(prefix="tagmine-") as folder:
        index = None
        if table is not None:
            index = Path(folder) / "annotations"
            _print_table(console, index_annotations(table, index))
        with open_annotations(index) as annotations:
            found = show_samples(sources, ImageReader(fields, judge, annotations), tagger)
            images = list(itertools.islice(found, options.samples))
    noun = "sample" if len(images) == 1 else "samples"
    subtitle = f"{len(images):,} {noun}; {tagger.card.pipeline} {tagger.card.version}"
    if options.html is not None:
        _write(options.html, render_page(images, "Captions and their tags", subtitle))
    _print_legend(console)
    for image in images:
        _print_image(console, image)
    console.print(subtitle + (f"; written to {options.html}" if options.html else ""))


def _print_table(console: Console, counts: AnnotationCounts) -> None:
    """What the table of annotations holds, and keys of it, for who wonders why none is shown."""
    keys = ", ".join(repr(key) for key in counts.first_keys) or "none"
    said = f"annotations: {counts.rows:,} rows for {counts.keys:,} keys such as {keys}"
    if counts.unusable:
        said += f"; {counts.unusable:,} rows cannot be used ({counts.first_unusable})"
    console.print(Text(printable(said)), soft_wrap=True)


def _write(file: str, page: str) -> None:
    path = Path(file)
    if not path.parent.is_dir() or path.is_dir():
        raise ConfigurationError(
            f"--show-html {file}: give the name of a file in a folder that is there."
        )
    try:
        write_atomically(path, page.encode())
    except OSError as error:
        raise ConfigurationError(
            f"--show-html {file}: the page cannot be written: {error}."
        ) from error


def _print_legend(console: Console) -> None:
    line = Text()
    for kind, meaning in KIND_MEANINGS.items():
        line.append(kind.upper(), f"bold {_STYLES[kind]}").append(f" {meaning}; ")
    line.append("[car (OBJECT)] said, but not kept as a tag; ×2 votes")
    console.print(line)
    console.print()


def _print_image(console: Console, image: ShownImage) -> None:
    console.print(Text(image.key, style="bold"))
    if image.rejected:
        reason, detail = image.rejected
        text = f"rejected: {reason}" + (f": {detail}" if detail else "")
        console.print(Padding(Text(text, style="red"), (0, 0, 1, 2), expand=False))
        return
    for caption in image.captions:
        console.print(Padding(_caption(caption), (0, 0, 0, 2), expand=False))
    for tag in image.tags:
        console.print(Padding(_tag(tag), (0, 0, 0, 4), expand=False))
    if not image.tags:
        console.print(Padding(Text("no tags", style="red"), (0, 0, 0, 4), expand=False))
    console.print()


def _caption(caption: ShownCaption) -> Text:
    line = Text()
    _mark(line, caption.text, 0, len(caption.text), nest(caption.spans))
    return line.append(f"  ({', '.join(caption.notes)})", "dim")


def _mark(line: Text, text: str, start: int, end: int, pieces: Sequence[Piece]) -> None:
    """Append text[start:end]: "a [red car ATTRIBUTE]", which reads without colour, too."""
    for piece in pieces:
        line.append(text[start : piece.start])
        style = _STYLES[piece.span.tag.kind] if piece.span.kept else "dim"
        line.append("[", style)
        first = len(line)
        _mark(line, text, piece.start, piece.end, piece.inner)
        if not piece.inner:
            line.stylize(f"{style} underline", first, len(line))
        named = label(piece.span.tag)
        named = f" {named}" if piece.span.kept else f" ({named})"
        line.append(f"{named if piece.last else ' …'}]", f"bold {style}")
        start = piece.end
    line.append(text[start:end])


def _tag(tag: Tag) -> Text:
    line = Text(f"×{tag.count:<3} ")
    line.append(printable(tag.text), _STYLES[tag.kind])
    line.append(f"  {label(tag)}", f"bold {_STYLES[tag.kind]}")
    if tag.attributes:
        line.append(printable(f"  {tag.head}: {', '.join(tag.attributes)}"), "dim")
    return line
