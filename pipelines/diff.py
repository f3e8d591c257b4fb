"""`tagmine diff`: what changed from one datastore or report to another."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from index.diff import Difference, GateChange, compare, open_side
from index.diff_measures import Measure
from index.diff_page import write_page
from index.diff_parts import PartChanges
from index.diff_tags import TagChange, TagChanges
from index.diff_text import (
    GROUPS,
    change,
    gate_state,
    images_with,
    measured,
    pin_field,
    pin_value,
    summary,
)
from pipelines.diff_options import DiffOptions
from pipelines.pages import page_path, write_or_explain
from pipelines.tables import make_table
from tagmine.opened import local_folder
from tagmine.printable import printable

_PARTS_SHOWN = 30
_NAME_WIDTH = 60


def run(options: DiffOptions, console: Console) -> None:
    """Print the comparison, and write it as a page if one was asked for.

    Raises:
        ConfigurationError: when the page cannot be written.
        DatastoreError: for a side that is neither a datastore nor a report, or is damaged.
    """
    page = page_path(options.html)
    sides = [open_side(local_folder(path)) for path in (options.before, options.after)]
    difference = compare(*sides, options.count)
    if page is not None:
        write_or_explain(lambda: write_page(difference, page), page)
    if options.json:
        record = dataclasses.asdict(difference)
        json.dump(record, sys.stdout, indent=1, ensure_ascii=False)
        sys.stdout.write("\n")
        return
    _print(console, difference)
    if page is not None:
        console.print(f"written: {printable(str(page))}")


def _print(console: Console, difference: Difference) -> None:
    for letter, card in (("A", difference.before), ("B", difference.after)):
        console.print(Text(f"{letter}  {printable(card.path)}", style="bold"))
    for note in difference.notes:
        console.print(Text(f"  note: {printable(note)}", style="yellow"))
    for line in summary(difference):
        console.print(f"  {line}")
    console.print()
    tables = [_measures(difference.measures)]
    if difference.gates:
        tables.insert(0, _gates(difference.gates))
    if difference.parts is not None and difference.parts.changes:
        tables.append(_parts(difference.parts))
    if difference.tags is not None:
        tables += _tags(difference.tags)
    if difference.pins:
        tables.append(_pins(difference))
    for table in tables:
        console.print(Padding(table, (0, 0, 1, 2), expand=False))


def _table(title: str, left: Sequence[str], right: Sequence[str] = ()) -> Table:
    table = make_table(title)
    for name in left:
        table.add_column(name, max_width=_NAME_WIDTH, overflow="fold")
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _measures(measures: Sequence[Measure]) -> Table:
    table = _table("numbers", ("", ""), ("A", "B", "change", ""))
    for group, name in GROUPS.items():
        chosen = [one for one in measures if one.group == group]
        for one in chosen:
            verdict = {None: "", True: "worse", False: "better"}[one.worse]
            table.add_row(
                name.lower() if one is chosen[0] else "",
                one.name,
                measured(one, one.before),
                measured(one, one.after),
                change(one),
                Text(verdict, style="red" if one.worse else "green"),
                end_section=one is chosen[-1],
            )
    return table


def _gates(changes: Sequence[GateChange]) -> Table:
    table = _table("gates that changed", ("gate", "A", "B"))
    for one in changes:
        states = [_gate(gate) for gate in (one.before, one.after)]
        table.add_row(Text(printable(one.name)), *states)
    return table


def _gate(gate) -> Text:
    style = "" if gate is None else "green" if gate.passed else "red"
    return Text(gate_state(gate), style=style)


def _parts(parts: PartChanges) -> Table:
    columns = ("images in A", "in B", "gained", "lost")
    table = _table("parts that differ", ("part", "state"), columns)
    for one in parts.changes[:_PARTS_SHOWN]:
        counts = (f"{n:,}" for n in (one.before, one.after, one.gained, one.lost))
        table.add_row(Text(printable(one.source)), one.state, *counts)
    hidden = len(parts.changes) - _PARTS_SHOWN
    if hidden > 0:
        table.caption = f"{hidden:,} more are not shown; --json prints all"
        table.caption_justify = "left"
    return table


def _tags(tags: TagChanges) -> list[Table]:
    kinds = _table("unique tags", ("kind",), ("A", "B", "gained", "lost"))
    for one in tags.kinds:
        counts = (f"{n:,}" for n in (one.before, one.after, one.gained, one.lost))
        kinds.add_row(Text(printable(one.kind)), *counts)
    tops = [
        ("tags gained", tags.top_gained),
        ("tags lost", tags.top_lost),
        ("tags that moved most", tags.top_moved),
    ]
    sizes = tags.images_before, tags.images_after
    return [kinds, *(_top(title, entries, sizes) for title, entries in tops if entries)]


def _top(title: str, entries: Sequence[TagChange], sizes: tuple[int, int]) -> Table:
    table = _table(title, ("tag", "kind"), ("images in A", "in B"))
    for one in entries:
        kind = f"{one.kind} {one.label}".strip()
        table.add_row(
            Text(printable(one.text), style="green"),
            Text(printable(kind)),
            images_with(one.before, sizes[0]),
            images_with(one.after, sizes[1]),
        )
    return table


def _pins(difference: Difference) -> Table:
    table = _table("what they were made with", ("", "", "A", "B"))
    for one in difference.pins:
        values = (Text(printable(pin_value(v)[:200])) for v in (one.before, one.after))
        table.add_row(one.pin, pin_field(one), *values)
    return table
