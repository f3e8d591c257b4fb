"""All rows of a collection without their pictures, in one SQLite file.

A collection may have millions of rows, and the rows of one image may stand far apart. They are read
once; then any process reads those of its shard by number, and memory does not grow with the table.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import sqlite3
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tagmine.bring.rows import BadRow, Row
from tagmine.captions import MAX_CAPTIONS, MAX_JSON_BYTES
from tagmine.field_tags import field_tags

_INSERTED_TOGETHER = 10_000
# Rows that cannot be used are held in memory until their shard is finished.
_BAD_ROWS_A_SAMPLE = 16

_TABLES = """
pragma journal_mode = off;
pragma synchronous = off;
create table row (
  row integer primary key, reason text, detail text, key text, image text, captions text,
  fields text, words_from integer);
create table name (field text, name text, images integer, primary key (field, name))
  without rowid;
"""
# Photos that share the words of a row of which these cannot be used.
_SHARED = """
update row set reason = 'bad_row', fields = null, captions = null, image = null, words_from = null,
  detail = (select 'of row ' || w.row || ': ' || w.detail from row w where w.row = row.words_from)
where reason is null and words_from <> row
  and (select w.reason from row w where w.row = row.words_from) = 'bad_row';
"""
# After the rows: one by one, the index would cost more than they do.
_INDEXES = """
create index by_image on row (image) where reason is null;
create index by_key on row (key) where reason is null and key <> '';
"""
_FIRST = "(select min(b.row) from row b where b.image = a.image and b.reason is null)"


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One row of the catalogue.

    Attributes:
        row: its number in the collection.
        reason: why it cannot be used, "" where it can.
        detail: what was found.
        key: name of the sample, "" for one that its number names.
        image: what its picture is known by.
        captions: each caption of the image once, of whatever row.
        fields: its fields; of several rows of one image, every value.
    """

    row: int
    reason: str
    detail: str
    key: str
    image: str = ""
    captions: tuple[str, ...] = ()
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.key or f"{self.row:09d}"


def write_catalogue(
    rows: Iterable[Row | BadRow],
    target: Path,
    tag_fields: Sequence[str],
    vocabulary_fields: Sequence[str],
) -> tuple[str, ...]:
    """Read rows into a catalogue at `target`, which must not exist.

    Args:
        rows: the rows, in order.
        target: the file.
        tag_fields: fields whose values must be such as make tags.
        vocabulary_fields: fields whose values are counted.

    Returns:
        Those of `tag_fields` that no row has a value of.
    """
    silent = dict.fromkeys(tag_fields)
    with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as connection:
        connection.executescript(_TABLES)
        numbered = enumerate(rows)
        while batch := list(itertools.islice(numbered, _INSERTED_TOGETHER)):
            connection.execute("begin")
            records = [_record(number, row, tag_fields) for number, row in batch]
            connection.executemany("insert into row values (?, ?, ?, ?, ?, ?, ?, ?)", records)
            silent = {field: None for field in silent if not _say_something(batch, field)}
            for field, name in _names(batch, vocabulary_fields):
                connection.execute(
                    "insert into name values (?, ?, 1) "
                    "on conflict do update set images = images + 1",
                    (field, name),
                )
            connection.execute("commit")
        connection.executescript(_SHARED)
        connection.executescript(_INDEXES)
    return tuple(silent)


def _say_something(batch: Sequence[tuple[int, Row | BadRow]], field: str) -> bool:
    words = (_words_of(row) for _, row in batch)
    return any(field in said.fields for said in words if said is not None)


def _record(number: int, row: Row | BadRow, tag_fields: Sequence[str]) -> tuple:
    words, captions, fields = _words_of(row), None, None
    if words is not None:
        try:
            captions, fields = _json(words.captions), _json(words.fields)
            field_tags(words.fields, tag_fields)
        except (ValueError, RecursionError) as error:
            row = BadRow("bad_row", str(error), words.key)
    if isinstance(row, Row):
        words_from = number if row.words_from is None else row.words_from
        return (number, None, None, row.key, row.image, captions, fields, words_from)
    return (number, row.reason, _text(row.detail), _text(row.key), None, captions, fields, None)


def _words_of(row: Row | BadRow) -> Row | None:
    return row if isinstance(row, Row) else row.words


def _text(value: str) -> str:
    return value.encode("utf-8", "replace").decode()


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    size = len(text.encode())
    if size > MAX_JSON_BYTES // 2:
        raise ValueError(f"{size:,} bytes of text; the limit is {MAX_JSON_BYTES // 2:,}")
    return text


def _names(
    batch: Sequence[tuple[int, Row | BadRow]], fields: Sequence[str]
) -> Iterator[tuple[str, str]]:
    for _, row in batch:
        words = _words_of(row)
        for field in fields if words is not None else ():
            value = words.fields.get(field)
            for name in value if isinstance(value, list) else [value]:
                if isinstance(name, str):
                    yield field, _text(name)


class Catalogue:
    """A finished catalogue, opened for reading by any number of processes."""

    def __init__(self, path: Path) -> None:
        address = f"file:{urllib.parse.quote(str(path))}?mode=ro&immutable=1"
        self._connection = sqlite3.connect(address, uri=True)

    def close(self) -> None:
        self._connection.close()

    @property
    def rows(self) -> int:
        return self._connection.execute("select count(*) from row").fetchone()[0]

    def names(self, field: str) -> Iterator[tuple[str, int]]:
        """Every value of a field of the vocabulary and how many rows have it, commonest first."""
        yield from self._connection.execute(
            "select name, images from name where field = ? order by images desc, name", (field,)
        )

    def cut(self, samples: int) -> list[tuple[int, int]]:
        """The collection in shards of so many samples: the first row of each, and the one after
        its last."""
        found = self._connection.execute(
            f"select a.row, a.reason is not null, a.row > {_FIRST} from row a order by a.row"
        )
        starts, good, bad = [0], 0, 0
        for row, is_bad, is_more in found:
            if is_more:
                continue
            if good == samples or bad == _BAD_ROWS_A_SAMPLE * samples:
                starts.append(row)
                good = bad = 0
            good, bad = good + (not is_bad), bad + is_bad
        return list(itertools.pairwise([*starts, self.rows])) if self.rows else []

    def read(self, start: int, stop: int) -> Iterator[Entry | None]:
        """The entries of rows `start` to `stop`; None for a row that an earlier one has merged,
        since both are of one image."""
        found = self._connection.execute(
            f"select a.row, a.reason, a.detail, a.key, a.image, {_FIRST} from row a "
            "where a.row >= ? and a.row < ? order by a.row",
            (start, stop),
        )
        for row, reason, detail, key, image, first in found:
            if reason is not None:
                yield Entry(row, reason, detail, key)
            elif first < row:
                yield None
            elif (before := self._same_key(key, row)) is not None:
                detail = f"row {before} has the key {key!r}, too"
                yield Entry(row, "duplicate_key", detail, key)
            else:
                yield self._whole(row, key, image)

    def _same_key(self, key: str, row: int) -> int | None:
        if not key:
            return None
        query = "select min(row) from row where key = ? and reason is null and key <> ''"
        before = self._connection.execute(query, (key,)).fetchone()[0]
        return before if before < row else None

    def _whole(self, row: int, key: str, image: str) -> Entry:
        words = [
            (json.loads(said), json.loads(shared) | json.loads(own))
            for said, shared, own in self._words(image)
        ]
        captions = dict.fromkeys(text for said, _ in words for text in said)
        if len(captions) > MAX_CAPTIONS or len(words) > MAX_CAPTIONS:
            detail = f"more than {MAX_CAPTIONS} captions or rows"
            return Entry(row, "too_many_captions", detail, key)
        if not captions:
            return Entry(row, "empty_caption", "nothing is said of it", key)
        fields = words[0][1] if len(words) == 1 else _merge([fields for _, fields in words])
        return Entry(row, "", "", key, image, tuple(captions), fields)

    def _words(self, image: str) -> Iterator[tuple[str, str, str]]:
        """(captions, fields shared, own fields) of each row of an image."""
        return self._connection.execute(
            "select w.captions, w.fields, a.fields from row a join row w on w.row = a.words_from "
            "where a.image = ? and a.reason is null order by a.row limit ?",
            (image, MAX_CAPTIONS + 1),
        )


def _merge(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The fields of several rows of one image: a list where they differ."""
    merged: dict[str, Any] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row[name] for row in rows if name in row]
        if all(value == values[0] for value in values):
            merged[name] = values[0]
            continue
        listed = [
            item for value in values for item in (value if isinstance(value, list) else [value])
        ]
        merged[name] = [item for at, item in enumerate(listed) if item not in listed[:at]]
    return merged


@contextlib.contextmanager
def open_catalogue(path: Path) -> Iterator[Catalogue]:
    """What `write_catalogue` wrote."""
    catalogue = Catalogue(path)
    try:
        yield catalogue
    finally:
        catalogue.close()
