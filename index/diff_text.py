"""How a comparison is put into words and numbers, the same in the terminal and on the page."""

from __future__ import annotations

import re
from collections.abc import Sequence

from index.diff import Difference, GateChange, PinChange
from index.diff_measures import Measure
from index.diff_tags import TagChanges
from index.gate_words import asked, measured_value
from index.report import Gate
from index.report_page.document import apart, counted, percent, plain, share, size

GROUPS = {"size": "Size", "tags": "Tags", "recall": "Recall", "drift": "Index and drift"}
_MEMBERS = ("image_keys", "caption_key", "json_key", "caption_json_fields", "tag_fields")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DASH = "–"


def measured(measure: Measure, value: float | None) -> str:
    """A number in the unit of its measure."""
    if value is None:
        return _DASH
    match measure.unit:
        case "count":
            return f"{value:,.0f}"
        case "bytes":
            return size(int(value))
        case "share":
            return share(value)
        case "ms":
            return f"{plain(value, 3)} ms"
    return plain(value)


def change(measure: Measure) -> str:
    """The difference with its sign; of counts, bytes and times also as a share of what was."""
    moved = measure.change
    if moved is None:
        return _DASH
    if not moved:
        return "same"
    if abs(moved) < 0.0005 * abs(measure.before):
        return "about the same"
    sign = "+" if moved > 0 else "−"
    said = sign + measured(measure, abs(moved))
    if measure.before and measure.unit != "share":
        said += f" ({sign}{percent(abs(moved / measure.before))})"
    return said


def images_with(count: int, images: int) -> str:
    """How many images have a tag, and what share of all that is."""
    return f"{count:,} ({percent(count / max(images, 1))})" if count else "0"


def gate_state(gate: Gate | None) -> str:
    """Whether a gate holds, what was measured and what was asked."""
    if gate is None:
        return "not asked"
    value, limit = apart(gate.value, gate.limit)
    said = ", ".join(filter(None, (measured_value(gate, value), asked(gate, limit))))
    if gate.value is None and gate.passed:
        return said
    return f"{'✓ holds' if gate.passed else '✗ fails'}: {said}"


def pin_value(value: str) -> str:
    """A pin, its hashes cut to what one compares by eye."""
    return _SHA256.sub(lambda found: found[0][:12], value) or _DASH


def pin_field(change: PinChange) -> str:
    """What is pinned; "maker" would say little to a reader."""
    return "all options, hashed" if change.field == "maker" else change.field


def shift_words(tags: TagChanges) -> str:
    """The counts of tags in a sentence or two."""
    were = "was" if tags.gained == 1 else "were"
    said = f"{counted(tags.gained, 'tag')} {were} gained, {tags.lost:,} lost; B has {tags.after:,}."
    if tags.shift is None:
        return said
    differ = f"{percent(tags.shift)} (100\u00a0%: nothing in common)"
    return f"{said} Their shares of all uses differ by {differ}."


def summary(difference: Difference) -> list[str]:
    """What changed, in a few lines without any text of strangers."""
    lines = []
    if difference.parts is not None:
        parts = difference.parts
        lines.append(
            f"Images: {parts.gained:,} gained, {parts.lost:,} lost. Parts: {len(parts.changes):,} "
            f"{'differs' if len(parts.changes) == 1 else 'differ'}, {parts.same:,} the same."
        )
    if difference.tags is not None:
        lines.append(f"Tags: {shift_words(difference.tags)}")
    if difference.gates is not None:
        lines.append(_gate_words(difference.gates))
    worse = [one.name for one in difference.measures if one.worse]
    better = [one.name for one in difference.measures if one.worse is False]
    if worse:
        lines.append(f"Worse: {', '.join(worse)}.")
    if better:
        lines.append(f"Better: {', '.join(better)}.")
    pins = _made_otherwise(difference)
    lines.append(f"Made otherwise: {', '.join(pins)}." if pins else "Made with the same pins.")
    return lines


def _gate_words(changes: Sequence[GateChange]) -> str:
    broken = sum(_state(g.before) is not False and _state(g.after) is False for g in changes)
    mended = sum(_state(g.before) is False and _state(g.after) is True for g in changes)
    said = []
    if broken:
        fail = "fails" if broken == 1 else "fail"
        said.append(f"{counted(broken, 'gate')} {fail} in B that did not in A")
    if mended:
        hold = "holds" if mended == 1 else "hold"
        said.append(f"{counted(mended, 'gate')} {hold} in B that did not in A")
    return f"Gates: {'; '.join(said) or 'the same verdict wherever both ask'}."


def _made_otherwise(difference: Difference) -> list[str]:
    """The pins that differ; where the model is the same, which of its options do."""
    changed: dict[str, list[str]] = {}
    for one in difference.pins:
        changed.setdefault(one.pin, []).append(one.field)
    recorded = difference.before.datastore and difference.after.datastore
    # The encoder's pin has no fields for the members that it reads; the tagger's has them.
    members = [field for field in changed.get("tagger", []) if field in _MEMBERS]
    names = []
    for pin, fields in sorted(changed.items()):
        if pin not in ("tagger", "encoder") or not recorded or "fingerprint" in fields:
            names.append(pin)
            continue
        options = [field for field in fields if field != "maker"]
        options = options or (members if pin == "encoder" else [])
        names.append(f"{pin} options" + (f" ({', '.join(options)})" if options else ""))
    return names


def _state(gate: Gate | None) -> bool | None:
    return None if gate is None else gate.passed
