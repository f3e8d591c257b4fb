"""LLaVA's instruction files, JSON or JSON Lines, read row by row in bounded memory."""

from __future__ import annotations

import codecs
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tagmine.errors import ConfigurationError
from tagmine.instructions import DECODER, MAX_ROW

MAX_ROW_BYTES = MAX_ROW

_CHUNK_BYTES = 2**20
_MAX_WORDS_OF_ERROR = 200
_SPACE = " \t\r\n"
_BOM = codecs.BOM_UTF8


class BadRow(Exception):  # noqa: N818 - an outcome of the data, not a fault
    """Bytes that are no JSON; its text says why."""


@dataclasses.dataclass(frozen=True, slots=True)
class RowPlace:
    """The bytes of a row in its file."""

    offset: int
    length: int


def row_places(path: Path) -> Iterator[RowPlace]:
    """Where the rows of a file of instructions are, in its order.

    Memory stays bounded by `MAX_ROW_BYTES`, whatever the file's size. A line of JSON Lines is a row
    whatever it says; empty ones are skipped.

    Args:
        path: a JSON list of objects, or JSON Lines.

    Raises:
        ConfigurationError: for a file that cannot be opened or is neither, and for a list whose
            syntax breaks, since nothing says where its next row starts.
    """
    try:
        with path.open("rb") as file:
            start = _first_byte(file)
            if start == b"[":
                yield from _places_of_list(path, file)
            elif start == b"{":
                yield from _places_of_lines(file)
            else:
                raise ConfigurationError(
                    f"{path}: it is neither a JSON list nor JSON Lines; it starts with {start!r}. "
                    "Give a file in LLaVA's form: [{id, image, conversations}, …]."
                )
    except OSError as error:
        raise ConfigurationError(
            f"{path}: the file cannot be read ({error.strerror}). Give a file in LLaVA's form."
        ) from error


class RowReader:
    """Reads single rows of a file by their place; safe across threads and forked processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def read(self, place: RowPlace) -> object:
        """What the row says.

        Raises:
            BadRow: where the bytes are no JSON, or more than `MAX_ROW_BYTES`.
        """
        if place.length > MAX_ROW_BYTES:
            raise BadRow(f"{place.length} bytes; the limit is {MAX_ROW_BYTES}")
        if self._handle is None:
            self._handle = os.open(self._path, os.O_RDONLY)
        # No seek: forked processes share the file's position.
        data = os.pread(self._handle, place.length, place.offset)
        try:
            return DECODER.decode(data.decode())
        except RecursionError:
            raise BadRow("nested too deep") from None
        except ValueError as error:
            raise BadRow(str(error)[:_MAX_WORDS_OF_ERROR]) from None

    def __getstate__(self) -> Path:
        return self._path

    def __setstate__(self, path: Path) -> None:
        self._path, self._handle = path, None

    def __del__(self) -> None:
        if self._handle is not None:
            os.close(self._handle)


def _first_byte(file: BinaryIO) -> bytes:
    """The first byte that says something; leaves `file` at it."""
    if file.read(len(_BOM)) != _BOM:
        file.seek(0)
    while byte := file.read(1):
        if byte not in _SPACE.encode():
            file.seek(-1, os.SEEK_CUR)
            return byte
    return b""


def _places_of_lines(file: BinaryIO) -> Iterator[RowPlace]:
    offset = file.tell()
    while line := file.readline(_CHUNK_BYTES):
        length, said = len(line), bool(line.strip())
        while line and not line.endswith(b"\n"):
            line = file.readline(_CHUNK_BYTES)
            length, said = length + len(line), said or bool(line.strip())
        if said:
            yield RowPlace(offset, length)
        offset += length


class _Window:
    """The part of a file that is being parsed, as text."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        self._text, self._at = "", 0
        self._offset = file.tell()
        self._ended = False
        self._parse = DECODER.raw_decode

    def more(self) -> bool:
        """Read on; False at the end of the file."""
        if self._ended:
            return False
        data = self._file.read(_CHUNK_BYTES)
        self._ended = not data
        self._text = self._text[self._at :] + self._decode(data, final=self._ended)
        self._at = 0
        return not self._ended

    def skip(self, end: int) -> int:
        """Move on to the character `end` of the text; returns how many bytes that is."""
        size = len(self._text[self._at : end].encode("utf-8", "surrogateescape"))
        self._offset += size
        self._at = end
        return size

    def sign(self) -> str:
        """The next character that is not white space; empty at the end of the file."""
        while True:
            end = self._at
            while end < len(self._text) and self._text[end] in _SPACE:
                end += 1
            self.skip(end)
            if end < len(self._text):
                return self._text[end]
            if not self.more():
                return ""

    def take(self, expected: str, number: int) -> None:
        """Move past one of the characters in `expected`."""
        if (sign := self.sign()) not in tuple(expected):
            self.fail(number, f"found {sign!r} where one of {expected!r} must be")
        self.skip(self._at + 1)

    def row(self, number: int) -> RowPlace:
        self.sign()
        while True:
            try:
                _, end = self._parse(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if len(self._text) - self._at > MAX_ROW_BYTES:
                    self.fail(number, f"the row has more than {MAX_ROW_BYTES} bytes")
                if not self.more():
                    self.fail(number, str(error))
                continue
            size = end - self._at
            # "12" may be the start of "123".
            if end < len(self._text) or not self.more():
                offset = self._offset
                return RowPlace(offset, self.skip(self._at + size))

    def fail(self, number: int, fault: str) -> None:
        raise ConfigurationError(
            f"{self._path}: the JSON list breaks in row {number} (from 0), which starts at byte "
            f"{self._offset}: {fault[:_MAX_WORDS_OF_ERROR]}. Mend it there, or write one row a "
            "line (JSON Lines), where a bad line costs that line only."
        )


def _places_of_list(path: Path, file: BinaryIO) -> Iterator[RowPlace]:
    window = _Window(path, file)
    window.take("[", 0)
    number = 0
    while window.sign() != "]":
        if number:
            window.take(",", number)
        yield window.row(number)
        number += 1
    window.take("]", number)
    if sign := window.sign():
        window.fail(number, f"found {sign!r} after the list's end")
