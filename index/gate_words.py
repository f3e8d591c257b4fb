"""A gate of the verdict in words, the same on every page and in the terminal."""

from __future__ import annotations

from index.report import Gate


def measured_value(gate: Gate, number: str) -> str:
    """What was measured; `number` is the value as it is written, unless it counts problems."""
    if gate.value is None:
        return "not measured"
    if not gate.counts:
        return number
    count = int(gate.value)
    return f"{count:,} problem{'' if count == 1 else 's'}" if count else "no problems"


def asked(gate: Gate, number: str) -> str:
    """What was asked for, "" where it need not be said; `number` is the limit as it is written."""
    if gate.counts:
        return ""
    return f"at {'least' if gate.at_least else 'most'} {number}"
