"""`tagmine tags`: the vocabulary of a datastore, how common its tags are, and what is rare."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipelines.tables import make_table
from pipelines.tags_options import TagsOptions
from tagmine.count_tags import write_vocabulary
from tagmine.errors import ConfigurationError, DatastoreError
from tagmine.layout import MANIFEST
from tagmine.manifest import fingerprint, read_manifest
from tagmine.opened import local_folder
from tagmine.parts import file_sha256
from tagmine.printable import printable
from tagmine.removed import newest_record
from tagmine.vocabulary import Vocabulary, VocabularyEntry, open_vocabulary
from tagmine.vocabulary_summary import (
    FLOORS,
    Selection,
    VocabularySummary,
    export_tags,
    summarize,
)

_GROUPS_SHOWN = 30
# Narrower, the two lists would hide their numbers beside each other.
_WIDTH_OF_TWO = 120
_PART_NAME = re.compile(r"part-\d{5,}\.parquet")


@dataclasses.dataclass(frozen=True, slots=True)
class _Counted:
    """A vocabulary, the floor that its datastore sets, and how many parts it was counted from."""

    vocabulary: Vocabulary
    min_tag_images: int
    parts: int
    indexed: bool


def run(options: TagsOptions, console: Console) -> None:
    """Print the summary, or write the tags to a file.

    Raises:
        ConfigurationError: when the file cannot be written.
        DatastoreError: when there are no tags, or the vocabulary is damaged.
    """
    selection = Selection(options.kind, options.label, options.contains)
    with _count(local_folder(options.datastore)) as counted:
        if options.write is not None:
            _write(options.write, counted, selection)
        floors = sorted({*FLOORS, counted.min_tag_images} - {1})
        summary = summarize(counted.vocabulary, selection, options.count, floors)
    if options.json:
        json.dump(_record(summary, counted), sys.stdout, indent=1, ensure_ascii=False)
        sys.stdout.write("\n")
        return
    _print_summary(console, summary, counted, options)
    if options.write is not None:
        console.print(f"written: {summary.selected.tags:,} tags to {printable(options.write)}")


@contextlib.contextmanager
def _count(root: Path) -> Iterator[_Counted]:
    """The vocabulary that the manifest pins, or one counted now from what is mined so far."""
    if (root / MANIFEST).exists():
        manifest = read_manifest(root)
        card = manifest.vocabulary
        path = root / card.file.path
        if not path.is_file() or file_sha256(path) != card.file.sha256:
            raise DatastoreError(
                f"{path} is missing, or has been altered since the manifest was written. Run "
                "tagmine index again; it counts the tags anew."
            )
        opened = open_vocabulary(path, card.maker)
        yield _Counted(opened, card.min_tag_images, len(manifest.parts), True)
        return
    parts = sorted(p for p in root.glob("tags/part-*") if _PART_NAME.fullmatch(p.name))
    if not parts:
        raise DatastoreError(f"{root} holds no tags; run tagmine mine or build with it as --out.")
    with tempfile.TemporaryDirectory(prefix="tagmine-tags-") as scratch:
        target = Path(scratch) / "tags.arrow"
        record = newest_record(root)
        removed = root / record if record else None
        write_vocabulary(target, parts, (), fingerprint("unpinned"), removed=removed)
        yield _Counted(open_vocabulary(target), 1, len(parts), False)


def _write(name: str, counted: _Counted, selection: Selection) -> None:
    try:
        export_tags(counted.vocabulary, selection, counted.min_tag_images, Path(name).absolute())
    except OSError as error:
        raise ConfigurationError(
            f"--write {name}: the file cannot be written ({error.strerror}). Give a file in a "
            "folder that you may write to."
        ) from error


def _record(summary: VocabularySummary, counted: _Counted) -> dict:
    selected = dataclasses.asdict(summary.selected)
    del selected["kind"], selected["label"]
    return {
        "indexed": counted.indexed,
        "parts": counted.parts,
        "min_tag_images": counted.min_tag_images,
        "selected": selected,
        **dataclasses.asdict(summary),
    }


def _print_summary(
    console: Console, summary: VocabularySummary, counted: _Counted, options: TagsOptions
) -> None:
    where = "in the index" if counted.indexed else "mined so far, and not indexed"
    console.print(Text(printable(options.datastore), style="bold"))
    console.print(f"  {summary.images:,} images {where}, of {counted.parts:,} parts")
    console.print(f"  {summary.unique:,} unique tags{_chosen(summary, options)}")
    tags = summary.tags_an_image
    console.print(
        f"  {tags.mean:.1f} tags an image (median {tags.median:,}, 95 % have at most "
        f"{tags.p95:,}, most {tags.most:,}); {tags.images_without:,} images without tags\n"
    )
    if not summary.selected.tags:
        return
    tables = [_group_table(summary), _floor_table(summary, counted.min_tag_images)]
    if options.count:
        ends = [_entry_table("commonest", summary.commonest)]
        ends.append(_entry_table("rarest", summary.rarest))
        if console.width >= _WIDTH_OF_TWO:
            beside = Table.grid(padding=(0, 3))
            beside.add_row(*ends)
            ends = [beside]
        tables += ends
    for table in tables:
        console.print(Padding(table, (0, 0, 1, 2), expand=False))


def _chosen(summary: VocabularySummary, options: TagsOptions) -> str:
    if options.kind is options.label is options.contains is None:
        return ""
    return f", {summary.selected.tags:,} of them as asked for"


def _table(title: str, left: Sequence[str], right: Sequence[str]) -> Table:
    table = make_table(title)
    for name in left:
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _group_table(summary: VocabularySummary) -> Table:
    table = _table("kinds", ("kind", "label"), ("unique", "share", "uses", "in one image only"))
    total = summary.selected
    for group in [*summary.groups[:_GROUPS_SHOWN], total]:
        table.add_row(
            Text(printable(group.kind) or "all"),
            Text(printable(group.label), style="cyan"),
            f"{group.tags:,}",
            f"{group.tags / total.tags:.1%}",
            f"{group.uses:,}",
            f"{group.singletons / group.tags:.0%}",
            style="bold" if group is total else "",
            end_section=group is summary.groups[:_GROUPS_SHOWN][-1],
        )
    hidden = len(summary.groups) - _GROUPS_SHOWN
    if hidden > 0:
        table.caption_justify = "left"
        table.caption = f"{hidden:,} smaller groups are not shown; --json prints all"
    return table


def _floor_table(summary: VocabularySummary, current: int) -> Table:
    table = _table(
        "what tagmine index --min-tag-images leaves out",
        ("fewer images than",),
        ("tags left out", "tags left", "uses left out"),
    )
    table.caption = "entities and fields are never left out"
    table.caption_justify = "left"
    total = summary.selected
    for floor in summary.floors:
        now = floor.min_tag_images == current
        table.add_row(
            f"{floor.min_tag_images:,}{' (now)' if now else ''}",
            f"{floor.tags_left_out:,} ({floor.tags_left_out / total.tags:.1%})",
            f"{total.tags - floor.tags_left_out:,}",
            f"{floor.uses_left_out:,} ({floor.uses_left_out / total.uses:.1%})",
            style="bold" if now else "",
        )
    return table


def _entry_table(title: str, entries: Sequence[VocabularyEntry]) -> Table:
    table = _table(title, ("tag", "kind"), ("images",))
    table.columns[0].max_width = 44
    for entry in entries:
        kind = f"{entry.kind} {entry.label}" if entry.label else entry.kind
        table.add_row(
            Text(printable(entry.text), style="green"), Text(printable(kind)), f"{entry.images:,}"
        )
    return table
