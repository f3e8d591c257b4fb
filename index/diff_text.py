"""How a comparison is put into words and numbers, the same in the terminal and on the page."""

from __future__ import annotations

import re

from index.diff import Difference
from index.diff_measures import Measure
from index.diff_tags import TagChanges
from index.gate_words import asked, measured_value
from index.report import Gate
from index.report_page.document import apart, percent, plain, share, size

GROUPS = {"size": "Size", "tags": "Tags", "recall": "Recall", "drift": "Index and drift"}
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


def shift_words(tags: TagChanges) -> str:
    """The counts of tags in a sentence or two."""
    said = f"{tags.gained:,} tags were gained, {tags.lost:,} lost; {tags.after:,} there are now."
    if tags.shift is None:
        return said
    differ = f"{percent(tags.shift)} (100 %: nothing in common)"
    return f"{said} Their shares of all uses differ by {differ}."


def summary(difference: Difference) -> list[str]:
    """What changed, in a few lines without any text of strangers."""
    lines = []
    if difference.parts is not None:
        parts = difference.parts
        lines.append(
            f"Images: {parts.gained:,} gained, {parts.lost:,} lost; "
            f"{len(parts.changes):,} parts differ, {parts.same:,} are the same."
        )
    if difference.tags is not None:
        lines.append(f"Tags: {shift_words(difference.tags)}")
    if difference.gates is not None:
        broken = sum(
            _state(g.before) is not False and _state(g.after) is False for g in difference.gates
        )
        mended = sum(
            _state(g.before) is False and _state(g.after) is True for g in difference.gates
        )
        lines.append(f"Gates: {broken:,} fail that did not, {mended:,} hold that did not.")
    worse = [one.name for one in difference.measures if one.worse]
    better = [one.name for one in difference.measures if one.worse is False]
    if worse:
        lines.append(f"Worse: {', '.join(worse)}.")
    if better:
        lines.append(f"Better: {', '.join(better)}.")
    pins = sorted({one.pin for one in difference.pins})
    lines.append(f"Made otherwise: {', '.join(pins)}." if pins else "Made with the same pins.")
    return lines


def _state(gate: Gate | None) -> bool | None:
    return None if gate is None else gate.passed
