"""The rows of a text table, one after the other: CSV, TSV or JSON lines."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MAX_LINE_BYTES = 4 << 20
_QUOTED = re.compile(r'"(?:[^"]|"")*+"')

Row = dict[str, Any]


def read_json_lines(path: Path) -> Iterator[Row | ValueError]:
    """The objects of a file, one a line; a line that is none is the error that says why.

    Raises:
        OSError: when the file cannot be read.
    """
    with path.open("rb") as stream:
        while line := stream.readline(MAX_LINE_BYTES):
            if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
                while line and not line.endswith(b"\n"):
                    line = stream.readline(MAX_LINE_BYTES)
                yield ValueError(f"a line of more than {MAX_LINE_BYTES:,} bytes")
            elif line.strip():
                yield _parse_line(line)


def _parse_line(line: bytes) -> Row | ValueError:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return ValueError(f"no JSON: {error}")
    return row if isinstance(row, dict) else ValueError("no JSON object")


def read_csv(
    path: Path, encoding: str = "utf-8", delimiter: str = ","
) -> Iterator[Row | ValueError]:
    """The rows of a file with a header, as texts; one that is none is the error that says why, a
    UnicodeError where it is written in another encoding.

    Args:
        path: the file; quotes are as spreadsheets write them.
        encoding: how its characters are written; a byte order mark of UTF-8 is passed over.
        delimiter: what stands between two cells. Between tabs a row is a line, and a quote that no
            other closes is text, as in the lists of CC3M: it would take the rows behind it along.

    Raises:
        OSError, csv.Error: when the file, or its header, cannot be read.
    """
    name = "utf-8-sig" if encoding.replace("_", "-").lower() in ("utf-8", "utf8") else encoding
    tabs = delimiter == "\t"
    quoting = csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL
    with path.open(encoding=name, errors="surrogateescape", newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter, quoting=quoting)
        header = [*map(_unquoted, next(reader, []))] if tabs else next(reader, [])
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                # The reader has let go of that row, and reads on behind it.
                yield ValueError(str(error))
                continue
            if cells:
                yield _row(header, [*map(_unquoted, cells)] if tabs else cells, encoding)


def _unquoted(cell: str) -> str:
    """A cell without its quotes, where it is quoted as a whole, as spreadsheets write some."""
    return cell[1:-1].replace('""', '"') if _QUOTED.fullmatch(cell) else cell


def _row(header: list[str], cells: list[str], encoding: str) -> Row | ValueError:
    if len(cells) > len(header):
        return ValueError("more cells than columns")
    row = dict.fromkeys(header) | dict(zip(header, cells, strict=False))
    if any("\udc80" <= letter <= "\udcff" for cell in cells for letter in cell):
        return UnicodeError(f"a cell that is no {encoding}")
    return row
