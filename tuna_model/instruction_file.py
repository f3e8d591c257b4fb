"""LLaVA's instruction files, JSON or JSON Lines, read row by row in bounded memory."""

from __future__ import annotations

import codecs
import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tagmine.errors import ConfigurationError

MAX_ROW_BYTES = 8 * 2**20
"""LLaVA-665K's longest conversation has under 1 MiB."""

_CHUNK_BYTES = 2**20
_MAX_WORDS_OF_ERROR = 200
_SPACE = " \t\r\n"
_BOM = codecs.BOM_UTF8


@dataclasses.dataclass(frozen=True, slots=True)
class RawRow:
    """A row of the file as it stands there.

    Attributes:
        number: position in the file, from 0; empty lines are not counted.
        offset, length: its bytes.
        value: what the JSON says; None where it cannot be parsed.
        fault: why it cannot be parsed, or None.
    """

    number: int
    offset: int
    length: int
    value: object
    fault: str | None = None


def read_rows(path: Path) -> Iterator[RawRow]:
    """The rows of a file of instructions, in its order.

    Memory stays bounded by `MAX_ROW_BYTES`, whatever the file's size. A bad line of JSON Lines is
    a row with a fault.

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
                yield from _rows_of_list(path, file)
            elif start == b"{":
                yield from _rows_of_lines(file)
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
        self._process: int | None = None

    def read(self, offset: int, length: int) -> object:
        """The row whose bytes are there.

        Raises:
            ConfigurationError: where no row is, since the file has changed.
        """
        if self._handle is None or self._process != os.getpid():
            self._handle, self._process = os.open(self._path, os.O_RDONLY), os.getpid()
        data = os.pread(self._handle, length, offset)
        try:
            return _parse(data.decode("utf-8", "surrogateescape"))
        except ValueError as error:
            raise ConfigurationError(
                f"{self._path}: the row at byte {offset} is not what it was when the training "
                "began; the file has changed. Restore it, or start again with another --output."
            ) from error

    def __getstate__(self) -> dict[str, Path]:
        return {"_path": self._path}

    def __setstate__(self, state: dict[str, Path]) -> None:
        self.__init__(state["_path"])


def _parse(text: str) -> object:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _first_byte(file: BinaryIO) -> bytes:
    """The first byte that says something; leaves `file` at it."""
    if file.read(len(_BOM)) != _BOM:
        file.seek(0)
    while byte := file.read(1):
        if byte not in _SPACE.encode():
            file.seek(-1, os.SEEK_CUR)
            return byte
    return b""


def _rows_of_lines(file: BinaryIO) -> Iterator[RawRow]:
    offset, number = file.tell(), 0
    while line := file.readline(MAX_ROW_BYTES + 1):
        length = len(line)
        if length > MAX_ROW_BYTES:
            while line and not line.endswith(b"\n"):
                line = file.readline(_CHUNK_BYTES)
                length += len(line)
            fault = f"{length} bytes; the limit is {MAX_ROW_BYTES}"
            yield RawRow(number, offset, length, None, fault)
            number += 1
        elif line.strip():
            yield _row_of_line(number, offset, line)
            number += 1
        offset += length


def _row_of_line(number: int, offset: int, line: bytes) -> RawRow:
    try:
        value = _parse(line.decode("utf-8", "surrogateescape"))
    except ValueError as error:
        return RawRow(number, offset, len(line), None, str(error)[:_MAX_WORDS_OF_ERROR])
    return RawRow(number, offset, len(line), value)


class _Window:
    """The part of a file that is being parsed, as text."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        self._text, self._at = "", 0
        self._offset = file.tell()
        self._ended = False
        self._parse = json.JSONDecoder().raw_decode

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

    def row(self, number: int) -> RawRow:
        self.sign()
        while True:
            try:
                value, end = self._parse(self._text, self._at)
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
                return RawRow(number, offset, self.skip(self._at + size), value)

    def fail(self, number: int, fault: str) -> None:
        raise ConfigurationError(
            f"{self._path}: the JSON list breaks in row {number} (from 0), which starts at byte "
            f"{self._offset}: {fault[:_MAX_WORDS_OF_ERROR]}. Mend it there, or write one row a "
            "line (JSON Lines), where a bad line costs that line only."
        )


def _rows_of_list(path: Path, file: BinaryIO) -> Iterator[RawRow]:
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
