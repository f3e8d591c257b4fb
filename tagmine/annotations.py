"""Further annotations of the same images, from other datasets: a table, joined by a key.

The table may have millions of rows, in any order, while samples come one by one. It is read once
into an SQLite file with an index on the key; a sample then costs one look-up, and memory does not
grow with the table.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import sqlite3
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tagmine.annotation_rows import check_columns, read_rows
from tagmine.captions import MAX_CAPTIONS, Caption, SampleRejected, fold_caption
from tagmine.errors import ConfigurationError
from tagmine.parts import file_sha256
from tagmine.questions import read_questions

MAX_KEY_CHARACTERS = 2_048
_INSERTED_TOGETHER = 10_000


@dataclasses.dataclass(frozen=True, slots=True)
class AnnotationTable:
    """A table of annotations that was looked into and can be read.

    Attributes:
        path: the file.
        key: name of its column of keys.
        sha256: hash of the file.
    """

    path: Path
    key: str
    sha256: str


@dataclasses.dataclass(frozen=True, slots=True)
class AnnotationCounts:
    """What a table of annotations holds.

    Attributes:
        rows: all of its rows.
        silent: rows with a question and an answer that together say nothing of the image.
        unusable: rows without a key or a text, or with one that cannot be used.
        first_unusable: what is wrong with the first of them.
        keys: different keys of the rows that say something.
        first_keys: some of these, for who looks for the reason why none matches.
    """

    rows: int
    silent: int
    unusable: int
    first_unusable: str
    keys: int
    first_keys: tuple[str, ...]


def look_up_table(file: str, json_field: str | None) -> AnnotationTable:
    """Look into a table before any work.

    Args:
        file: Parquet, JSONL or CSV with a column `key` (or named as the JSON field), and
            `caption`, or `question` and `answer` or `answers`.
        json_field: the field of the samples' JSON that it is joined by, None for their key.

    Raises:
        ConfigurationError: for a file that is missing, of another kind, or lacks a column.
    """
    path = Path(file)
    if not path.is_file():
        raise ConfigurationError(f"--annotations {file}: there is no such file.")
    return AnnotationTable(path, check_columns(path, json_field), file_sha256(path))


class AnnotationIndex:
    """The annotations of a table by key; opened for reading, by any number of processes."""

    def __init__(self, path: Path) -> None:
        address = f"file:{urllib.parse.quote(str(path))}?mode=ro&immutable=1"
        self._connection = sqlite3.connect(address, uri=True)

    def close(self) -> None:
        self._connection.close()

    def find(self, key: str) -> list[Caption]:
        """The annotations under a key, in the order of the table; one more than the limit at most,
        so that whoever reads them can tell that there are too many."""
        found = self._connection.execute(
            "select text, source, votes from annotation where key = ? order by rowid limit ?",
            (key, MAX_CAPTIONS + 1),
        )
        return [Caption(*row) for row in found]

    @property
    def sha256(self) -> str:
        """Hash of the table that it was made from."""
        return self._connection.execute("select sha256 from made_from").fetchone()[0]


@contextlib.contextmanager
def open_annotations(path: Path | None) -> Iterator[AnnotationIndex | None]:
    """What `index_annotations` wrote at `path`; None where there is none to open."""
    if path is None:
        yield None
        return
    index = AnnotationIndex(path)
    try:
        yield index
    finally:
        index.close()


def index_annotations(table: AnnotationTable, target: Path) -> AnnotationCounts:
    """Read a table into an index at `target`, which must not exist.

    Raises:
        ConfigurationError: when the table is damaged, or changes while it is read.
    """
    counter = _RowReader(table)
    connection = sqlite3.connect(target, isolation_level=None)
    try:
        # Whoever is interrupted starts again with a new file.
        connection.execute("pragma journal_mode = off")
        connection.execute("pragma synchronous = off")
        connection.execute("create table made_from (sha256 text)")
        connection.execute("create table annotation (key text, text text, source text, votes int)")
        for batch in _batched(counter.annotations()):
            connection.execute("begin")
            connection.executemany("insert into annotation values (?, ?, ?, ?)", batch)
            connection.execute("commit")
        connection.execute("create index by_key on annotation (key)")
        connection.execute("insert into made_from values (?)", (table.sha256,))
        keys = connection.execute("select count(distinct key) from annotation").fetchone()[0]
        first = connection.execute("select distinct key from annotation order by key limit 3")
        first_keys = tuple(key for (key,) in first)
    finally:
        connection.close()
    if file_sha256(table.path) != table.sha256:
        raise ConfigurationError(
            f"--annotations {table.path}: the file changed while it was read. Start again when it "
            "is complete."
        )
    return AnnotationCounts(
        counter.rows, counter.silent, counter.unusable, counter.first_unusable, keys, first_keys
    )


class _RowReader:
    """Turns rows into annotations, and counts those that cannot be."""

    def __init__(self, table: AnnotationTable) -> None:
        self._table = table
        self.rows = self.silent = self.unusable = 0
        self.first_unusable = ""

    def annotations(self) -> Iterator[tuple[str, str, str, int]]:
        for row in read_rows(self._table.path, (self._table.key,)):
            self.rows += 1
            try:
                if isinstance(row, ValueError):
                    raise row
                captions = _captions_of(row, self._table.path.stem)
                key = join_key(row.get(self._table.key))
                if not key or len(key) > MAX_KEY_CHARACTERS:
                    raise ValueError("no usable key")
            except (ValueError, SampleRejected) as error:
                self.unusable += 1
                self.first_unusable = self.first_unusable or f"row {self.rows}: {error}"
                continue
            self.silent += not captions
            for caption in captions:
                yield key, caption.text, caption.source, caption.votes


def join_key(value: Any) -> str:
    """A key as text, so that 89232 in a table meets "89232" in a JSON; "" for what is none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str | int) and not isinstance(value, bool):
        text = str(value).strip()
        return text.encode("utf-8", "replace").decode()
    return ""


def _captions_of(row: Mapping[str, Any], name: str) -> list[Caption]:
    source = row.get("source")
    source = fold_caption(source) if isinstance(source, str) and source else name
    caption = row.get("caption")
    if caption:
        if not isinstance(caption, str):
            raise ValueError(f"the caption is a {type(caption).__name__}, not text")
        texts = [(caption, 1)]
    elif row.get("question"):
        texts = read_questions(row)
    else:
        raise ValueError("neither a caption nor a question")
    folded = [Caption(fold_caption(text), source, votes) for text, votes in texts]
    return [caption for caption in folded if caption.text]


def _batched(rows: Iterable[tuple]) -> Iterator[list[tuple]]:
    rows = iter(rows)
    while batch := list(itertools.islice(rows, _INSERTED_TOGETHER)):
        yield batch
