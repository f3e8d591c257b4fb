"""Text of strangers, made harmless for a terminal or a page."""

from __future__ import annotations


def printable(text: str) -> str:
    """Text of strangers, a character for a character, without what would steer a terminal, turn
    the direction of writing round, or cannot be seen."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def is_utf8(text: str) -> bool:
    """Whether UTF-8 can hold the text; it cannot hold lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
