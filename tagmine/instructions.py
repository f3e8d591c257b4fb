"""Which images a file of instructions in LLaVA's form names: JSON or JSONL, read row by row."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

from tagmine.errors import ConfigurationError

SUFFIXES = (".json", ".jsonl")
MAX_ROW = 8 << 20
"""Bytes of one row; LLaVA-665K's longest conversation has under 1 MiB."""
MAX_NAME = 4096

_PIECE = 1 << 20
_START = 1 << 16
_SPACE = re.compile(r"[ \t\n\r]*")
_ESCAPED = re.compile("[\udc80-\udcff]")
_MAX_DIGITS = 4000


def _whole_number(digits: str) -> int | float:
    # As int, one of 5,000 digits would be an error.
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


DECODER = json.JSONDecoder(parse_int=_whole_number)
"""Parses rows, for retrieval and training alike."""


class BadRowError(ValueError):
    """A row that is no instruction; its text says what was found."""


@dataclasses.dataclass(frozen=True, slots=True)
class InstructionImages:
    """What the rows of a file name.

    Attributes:
        images: each `image` once, exactly as the file has it, in order of first mention.
        with_image: rows that name one.
        text_only: rows that name none.
        bad_rows: number of each row that cannot be used, from 0, and why.
    """

    images: tuple[str, ...]
    with_image: int
    text_only: int
    bad_rows: tuple[tuple[int, str], ...]

    @property
    def rows(self) -> int:
        return self.with_image + self.text_only + len(self.bad_rows)


def read_instruction_images(path: Path) -> InstructionImages:
    """The images that a file of instructions names.

    The file is a JSON list of objects, or has one object a line. `image` is a path, or a list of
    one; a row without it is text only. Of each row nothing else is kept, so that memory does not
    grow with the conversations.

    Raises:
        ConfigurationError: for a file that cannot be read, or a list that is damaged, after which
            nobody knows where the next row begins. A damaged line is a bad row.
    """
    images: dict[str, None] = {}
    with_image = text_only = 0
    bad: list[tuple[int, str]] = []
    try:
        for number, row in enumerate(_rows(path)):
            try:
                named = image_of_row(row)
            except BadRowError as error:
                bad.append((number, str(error)))
                continue
            if named is None:
                text_only += 1
            else:
                with_image += 1
                images[named] = None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
    return InstructionImages(tuple(images), with_image, text_only, tuple(bad))


def image_of_row(row: object) -> str | None:
    """The image that a row names; None for one of text only.

    What is read here is what a training reads, so that each row that retrieval takes for one with
    an image is that to the training, too.

    Raises:
        BadRowError: for a row or an `image` of another form, or several images.
    """
    if isinstance(row, BadRowError):
        raise row
    if not isinstance(row, dict):
        raise BadRowError(f"the row is a {type(row).__name__}, expected an object")
    image = row.get("image")
    if isinstance(image, list):
        if len(image) > 1:
            raise BadRowError(f"image lists {len(image):,} paths, expected one at most")
        image = image[0] if image else None
    if image is None or image == "":
        return None
    if not isinstance(image, str):
        raise BadRowError(f"image is {str(row['image'])[:80]!r}, expected a path or a list of one")
    if len(image) > MAX_NAME:
        raise BadRowError(f"image has {len(image):,} characters, the limit is {MAX_NAME:,}")
    if not image.isascii() and any("\ud800" <= letter <= "\udfff" for letter in image):
        raise BadRowError("image is no valid text: it has half of a surrogate pair")
    return image


def _rows(path: Path) -> Iterator[object]:
    """Each row, or a `BadRowError` in its place."""
    with path.open("rb") as stream:
        start = stream.read(_START).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if start == b"[":
        with path.open(encoding="utf-8-sig", errors="surrogateescape") as stream:
            yield from _ListReader(path, stream)
        return
    with path.open("rb") as stream:
        yield from _lines(stream)


def _lines(stream: BinaryIO) -> Iterator[object]:
    first = True
    while line := stream.readline(MAX_ROW + 1):
        if len(line) > MAX_ROW:
            while line and not line.endswith(b"\n"):
                line = stream.readline(MAX_ROW)
            yield BadRowError(f"the line is longer than {MAX_ROW:,} bytes")
            continue
        text = line.removeprefix(b"\xef\xbb\xbf") if first else line
        first = False
        if text.strip():
            yield _parse_line(text)


def _parse_line(line: bytes) -> object:
    try:
        text = line.decode().strip()
        row, end = DECODER.raw_decode(text)
    except (ValueError, RecursionError) as error:
        return BadRowError(f"the line is no JSON ({type(error).__name__}: {str(error)[:120]})")
    return row if end == len(text) else BadRowError("the line holds more than one JSON value")


def _too_long(size: int) -> BadRowError:
    return BadRowError(f"the row has {size:,} bytes; the limit is {MAX_ROW:,}")


class _ListReader:
    """The elements of a JSON list, decoded one at a time."""

    def __init__(self, path: Path, stream: TextIO) -> None:
        self._path = path
        self._stream = stream
        self._text = ""
        self._at = 0
        self._before = 0

    def __iter__(self) -> Iterator[object]:
        row = 0
        try:
            self._take("[", row)
            if self._peek() == "]":
                return
            while True:
                yield self._value()
                row += 1
                if self._peek() == "]":
                    return
                self._take(",", row)
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._damaged(row, f"{type(error).__name__}: {str(error)[:120]}") from error

    def _damaged(self, row: int, what: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self._path} is damaged at row {row:,}, after character {self._before + self._at:,} "
            f"({what}). Get the file again, or write it as JSONL, one row a line, of which a "
            "damaged line costs only itself."
        )

    def _more(self) -> bool:
        piece = self._stream.read(_PIECE)
        self._before += self._at
        self._text, self._at = self._text[self._at :] + piece, 0
        return bool(piece)

    def _peek(self) -> str:
        while True:
            self._at = _SPACE.match(self._text, self._at).end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _take(self, symbol: str, row: int) -> None:
        found = self._peek()
        if found != symbol:
            what = f"{found!r}" if found else "the end of the file"
            raise self._damaged(row, f"found {what}, expected {symbol!r}")
        self._at += 1

    def _value(self) -> object:
        self._peek()
        while True:
            try:
                value, end = DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                if len(self._text) - self._at > MAX_ROW or not self._more():
                    raise
                continue
            length = end - self._at
            text = self._text[self._at : end]
            if not text.isascii() and _ESCAPED.search(text):
                value = BadRowError("the row holds bytes that are no UTF-8")
            # A character has at most four bytes.
            if 4 * length > MAX_ROW:
                size = len(text.encode("utf-8", "surrogateescape"))
                value = value if size <= MAX_ROW else _too_long(size)
            # A number may go on in the next piece.
            if end < len(self._text) or not self._more():
                self._at += length
                return value
