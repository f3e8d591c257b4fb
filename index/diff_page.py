"""A comparison as one page that needs nothing else; it looks as the report's page does."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from index.diff import Difference, GateChange, SideCard
from index.diff_measures import Measure
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
    shift_words,
    summary,
)
from index.report_page.document import (
    Cell,
    counted,
    document,
    name_cell,
    number_cell,
    section,
    table,
    text,
)
from tagmine.layout import write_atomically

_NOTE_LENGTH = 500
_HEAD = ("", "A", "B", "change")
_REPORTS = {
    "current": "a datastore with a report of its present state",
    "outdated": "a datastore that has changed since its report was made",
    "none": "a datastore without a report",
}


def render_page(difference: Difference) -> str:
    """The page as HTML; texts of strangers are escaped and cut to a bounded length."""
    sections = {
        "summary": ("Summary", _summary(difference)),
        "gates": ("Gates", _gates(difference.gates)),
        "numbers": ("Numbers", _measures(difference.measures)),
        "tags": ("Tags", _tags(difference.tags)),
        "parts": ("Parts and images", _parts(difference.parts)),
        "pins": ("What they were made with", _pins(difference)),
    }
    shown = {ident: entry for ident, entry in sections.items() if entry[1]}
    body = "\n".join(section(ident, name, content) for ident, (name, content) in shown.items())
    links = [(ident, name) for ident, (name, _) in shown.items()]
    title = f"{difference.before.name} and {difference.after.name}, compared"
    lead = '<p class="lead">What changed from A, the first, to B, the second.</p>'
    return document(title, lead, body, links)


def write_page(difference: Difference, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        OSError: when the file cannot be written.
    """
    write_atomically(path, render_page(difference).encode())


def _summary(difference: Difference) -> str:
    sides = "".join(
        f"<dt>{letter}</dt><dd>{_side(card)}</dd>"
        for letter, card in (("A", difference.before), ("B", difference.after))
    )
    lines = "".join(f"<li>{escape(line)}</li>" for line in summary(difference))
    notes = "".join(f"<li>{text(note, _NOTE_LENGTH)}</li>" for note in difference.notes)
    minded = f'<ul class="cautions">{notes}</ul>' if notes else ""
    return f'<dl class="facts">{sides}</dl>{minded}<ul>{lines}</ul>'


def _side(card: SideCard) -> str:
    what = _REPORTS[card.report] if card.datastore else "a report alone"
    path = f" (<code>{text(card.path, 300)}</code>)" if card.path != card.name else ""
    return f"<strong>{text(card.name)}</strong>{path}, {what}"


def _gates(changes: Sequence[GateChange] | None) -> str:
    if changes is None:
        return ""
    if not changes:
        return "<p>No gate changed.</p>"
    rows = [
        [name_cell(one.name), Cell(_gate(one.before)), Cell(_gate(one.after))] for one in changes
    ]
    return table("Gates that changed", ("gate", "A", "B"), rows)


def _gate(gate) -> str:
    state = escape(gate_state(gate))
    if gate is None:
        return state
    return f'<span class="badge {"good" if gate.passed else "bad"}">{state}</span>'


def _measures(measures: Sequence[Measure]) -> str:
    tables = []
    for group, name in GROUPS.items():
        rows = [
            [
                name_cell(one.name),
                number_cell(measured(one, one.before)),
                number_cell(measured(one, one.after)),
                Cell(_change(one), "change"),
            ]
            for one in measures
            if one.group == group
        ]
        if rows:
            tables.append(f"<h3>{name}</h3>{table(name, _HEAD, rows, spoken=True)}")
    return "".join(tables)


def _change(measure: Measure) -> str:
    said = escape(change(measure))
    if measure.worse is None:
        return said
    kind, word = ("bad", "worse") if measure.worse else ("good", "better")
    return f'<span class="badge {kind}">{said} {word}</span>'


def _tags(tags: TagChanges | None) -> str:
    if tags is None:
        return ""
    kinds = [
        [
            name_cell(one.kind),
            *(number_cell(f"{n:,}") for n in (one.before, one.after, one.gained, one.lost)),
        ]
        for one in tags.kinds
    ]
    head = ("kind", "A", "B", "gained", "lost")
    counts = table("Unique tags by kind", head, kinds) if kinds else ""
    lists = [
        ("Gained", tags.top_gained),
        ("Lost", tags.top_lost),
        ("Moved most, by their share of the images", tags.top_moved),
    ]
    sizes = tags.images_before, tags.images_after
    tops = "".join(f"<div>{_top(name, entries, sizes)}</div>" for name, entries in lists if entries)
    return f'<p>{escape(shift_words(tags))}</p>{counts}<div class="two">{tops}</div>'


def _top(name: str, entries: Sequence[TagChange], sizes: tuple[int, int]) -> str:
    rows = [
        [
            name_cell(one.text),
            name_cell(f"{one.kind} {one.label}".strip()),
            Cell(images_with(one.before, sizes[0]), "change"),
            Cell(images_with(one.after, sizes[1]), "change"),
        ]
        for one in entries
    ]
    head = ("tag", "kind", "images in A", "in B")
    return f"<h3>{name}</h3>{table(name, head, rows, spoken=True)}"


def _parts(parts: PartChanges | None) -> str:
    if parts is None:
        return ""
    said = (
        f"<p>{counted(parts.before, 'part')} in A, {parts.after:,} in B; {parts.same:,} the same "
        f"in both. Images: {parts.gained:,} gained, {parts.lost:,} lost.</p>"
    )
    rows = [
        [
            name_cell(one.source),
            name_cell(one.state),
            *(number_cell(f"{n:,}") for n in (one.before, one.after, one.gained, one.lost)),
        ]
        for one in parts.changes
    ]
    head = ("part", "state", "images in A", "in B", "gained", "lost")
    return said + (table("Parts that differ", head, rows) if rows else "")


def _pins(difference: Difference) -> str:
    rows = [
        [
            name_cell(f"{one.pin}: {pin_field(one)}"),
            Cell(text(pin_value(one.before))),
            Cell(text(pin_value(one.after))),
        ]
        for one in difference.pins
    ]
    return table("Pins that differ", ("", "A", "B"), rows) if rows else ""
