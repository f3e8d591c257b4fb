"""Text of strangers, made fit for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text without what would steer a terminal or turn the direction of writing."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
