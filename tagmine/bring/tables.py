"""A table of images in a folder: CSV, TSV or JSON lines."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from tagmine.annotations import join_key
from tagmine.bring.options import BringOptions, Columns, choose_columns
from tagmine.bring.picture import FolderPictures
from tagmine.bring.rows import BadRow, Collection, Row, plain_fields, texts_of
from tagmine.captions import SampleRejected
from tagmine.errors import ConfigurationError
from tagmine.table_rows import read_csv, read_json_lines

_LOOKED_AT = 50
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_TRY_ENCODING = "Give the encoding of the table as --encoding, such as cp1252."


def open_tables(options: BringOptions, paths: tuple[Path, ...]) -> Collection:
    """Look into text tables of one kind.

    Raises:
        ConfigurationError: for a table that cannot be read, lacks a column, or an image folder
            that has none of the first images.
    """
    options.refuse("poses", "split", why="is not for tables.")
    if paths[0].suffix.lower() not in _DELIMITERS:
        options.refuse("encoding", why="is for CSV and TSV; JSON is UTF-8.")
    listed = ", ".join(path.name for path in paths)
    columns = choose_columns(options, listed, _column_names(options, paths, listed))
    folder = Path(options.image_folder or paths[0].parent).absolute()
    reader = TableRows(paths, columns, options.encoding)
    pictures = FolderPictures(str(folder))
    check_pictures(reader(), pictures, f"{listed}: the folder {folder}")
    return Collection(
        "table",
        f"{listed}; {columns}",
        reader,
        pictures,
        options.tag_fields or (),
        options.vocabulary_fields or (),
    )


def _column_names(options: BringOptions, paths: Sequence[Path], listed: str) -> tuple[str, ...]:
    """The columns of the first rows, and those that are asked for of any row.

    Raises:
        ConfigurationError: for tables without rows, or whose first rows cannot be used.
    """
    names: dict[str, None] = {}
    problems: list[ValueError] = []
    for path in paths:
        with _readable(path):
            for row in itertools.islice(_read(path, options.encoding), _LOOKED_AT):
                if isinstance(row, ValueError):
                    problems.append(row)
                else:
                    names.update(dict.fromkeys(row))
    if not names and not problems:
        raise ConfigurationError(f"{listed}: the table has no rows.")
    if not names:
        hint = " " + _TRY_ENCODING if isinstance(problems[0], UnicodeError) else ""
        raise ConfigurationError(
            f"{listed}: none of the first {len(problems):,} rows can be used, the first for "
            f"{problems[0]}.{hint}"
        )
    missing = set(options.named_columns) - names.keys()
    # Lines of JSON may leave out what they have no value of.
    if missing and paths[0].suffix.lower() not in _DELIMITERS:
        names.update(dict.fromkeys(_names_anywhere(paths, missing)))
    return tuple(names)


def _names_anywhere(paths: Sequence[Path], wanted: Set[str]) -> list[str]:
    """Which of the wanted names the rows have; reads until each was found."""
    missing = set(wanted)
    for path in paths:
        with _readable(path):
            for row in _read(path, None):
                missing -= row.keys() if isinstance(row, dict) else set()
                if not missing:
                    return sorted(wanted)
    return sorted(wanted - missing)


@dataclasses.dataclass(frozen=True, slots=True)
class TableRows:
    """Reads the rows of tables, one after the other."""

    paths: tuple[Path, ...]
    columns: Columns
    encoding: str | None

    def __call__(self) -> Iterator[Row | BadRow]:
        for path in self.paths:
            with _readable(path):
                for row in _read(path, self.encoding):
                    if isinstance(row, UnicodeError):
                        yield BadRow("bad_encoding", str(row))
                    elif isinstance(row, ValueError):
                        yield BadRow("bad_row", str(row))
                    else:
                        yield read_row(row, self.columns)


def read_row(row: Mapping[str, Any], columns: Columns, image: str | None = None) -> Row | BadRow:
    """A row of a table as one of a collection.

    Args:
        row: its cells by column.
        columns: which are what.
        image: what its picture is known by, where the table holds the picture itself.
    """
    key = "" if columns.key is None else join_key(row.get(columns.key))
    if columns.key is not None and not key:
        return BadRow("bad_key", f"column {columns.key} holds {row.get(columns.key)!r:.80}")
    image = join_key(row.get(columns.image)) if image is None else image
    if not image:
        return BadRow("no_image", f"column {columns.image} is empty", key)
    try:
        captions = [text for name in columns.captions for text in texts_of(row.get(name))]
        fields = plain_fields(row)
    except (ValueError, RecursionError) as error:
        return BadRow("bad_row", str(error), key)
    if not captions:
        return BadRow("empty_caption", f"nothing in {', '.join(columns.captions)}", key)
    return Row(image, tuple(captions), fields, key)


def check_pictures(rows: Iterator[Row | BadRow], pictures: FolderPictures, what: str) -> None:
    """Refuse a folder that has none of the first images: it is most likely the wrong one.

    Raises:
        ConfigurationError: naming an image that was looked for.
    """
    good = (row for row in rows if isinstance(row, Row))
    images = [row.image for row in itertools.islice(good, _LOOKED_AT)]
    if not images:
        return
    for found in pictures.read(images):
        if not isinstance(found, SampleRejected) or found.reason == "image_too_large":
            return
    if images[0].startswith(("http://", "https://")):
        raise ConfigurationError(
            f"{what}: the images are addresses, such as {images[0]:.100}. Downloading is "
            "img2dataset's work: docs/domains.md shows the command; build from what it writes."
        )
    raise ConfigurationError(
        f"{what} has none of the first {len(images):,} images, such as {images[0]!r:.100}. Give "
        "the folder that these paths begin in as --image-folder, and the column that holds them "
        "as --image-column."
    )


def _read(path: Path, encoding: str | None) -> Iterator[dict[str, Any] | ValueError]:
    suffix = path.suffix.lower()
    if suffix in _DELIMITERS:
        return read_csv(path, encoding or "utf-8", _DELIMITERS[suffix])
    return read_json_lines(path)


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say of which table it is that it cannot be read."""
    try:
        yield
    except (OSError, csv.Error, UnicodeError) as error:
        raise ConfigurationError(
            f"{path} cannot be read: {type(error).__name__}: {error}."
        ) from error
