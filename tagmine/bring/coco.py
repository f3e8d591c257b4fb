"""COCO's annotation JSON: captions, and the categories of instances as fields."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ijson

from tagmine.annotations import join_key
from tagmine.bring.options import BringOptions
from tagmine.bring.picture import FolderPictures
from tagmine.bring.rows import BadRow, Collection, Row, plain_fields
from tagmine.bring.tables import check_pictures
from tagmine.errors import ConfigurationError

CATEGORIES = ("categories", "supercategories")


def open_coco(options: BringOptions, paths: tuple[Path, ...]) -> Collection:
    """Look into COCO's annotation files, which may share their images.

    Raises:
        ConfigurationError: for a file that is none, has no images, or images that are not in the
            folder.
    """
    why = "is not for COCO's JSON, which names its images and keys."
    options.refuse("image_column", "key_column", "poses", "encoding", "split", why=why)
    first = [next(_items(path, "annotations"), None) for path in paths]
    captions = any(isinstance(item, dict) and "caption" in item for item in first)
    instances = any(isinstance(item, dict) and "category_id" in item for item in first)
    if not captions and not instances:
        raise ConfigurationError(
            f"{paths[0]}: its annotations have neither caption nor category_id; is it one of "
            "COCO's captions_ or instances_ files?"
        )
    columns = options.caption_columns or (("captions",) if captions else CATEGORIES[:1])
    strangers = sorted({*columns} - {"captions", *CATEGORIES})
    if strangers:
        raise ConfigurationError(
            f"--caption-columns {strangers[0]}: of COCO give captions, categories or "
            "supercategories."
        )
    fields = CATEGORIES if instances else ()
    folder = Path(options.image_folder or paths[0].parent).absolute()
    reader = CocoRows(paths, columns)
    pictures = FolderPictures(str(folder))
    listed = ", ".join(path.name for path in paths)
    check_pictures(_first_images(paths), pictures, f"{listed}: the folder {folder}")
    return Collection(
        "coco",
        f"{listed}; captions from {', '.join(columns)}",
        reader,
        pictures,
        fields[:1] if options.tag_fields is None else options.tag_fields,
        options.vocabulary_fields or (),
    )


def _items(path: Path, section: str) -> Iterator[Any]:
    """The elements of a list of the file, one at a time."""
    try:
        with path.open("rb") as stream:
            yield from ijson.items(stream, f"{section}.item", use_float=True)
    except (OSError, ijson.JSONError, UnicodeError) as error:
        raise ConfigurationError(
            f"{path} cannot be read as JSON: {type(error).__name__}: {str(error)[:200]}."
        ) from error


def _first_images(paths: tuple[Path, ...]) -> Iterator[Row]:
    for item in _items(paths[0], "images"):
        if isinstance(item, dict) and join_key(item.get("file_name")):
            yield Row(join_key(item["file_name"]), (), {})


@dataclasses.dataclass(frozen=True, slots=True)
class CocoRows:
    """Reads the images of COCO's files, in order, each with what any of the files says of it."""

    paths: tuple[Path, ...]
    captions: tuple[str, ...]

    def __call__(self) -> Iterator[Row | BadRow]:
        # A database without a name is a file that is gone when it is closed.
        with contextlib.closing(sqlite3.connect("", isolation_level=None)) as scratch:
            scratch.execute("pragma journal_mode = off")
            scratch.execute("create table image (id text primary key, record text)")
            scratch.execute("create table said (image text, field text, value text, problem text)")
            for path in self.paths:
                self._gather(scratch, path)
            scratch.execute("create index by_image on said (image)")
            images = scratch.execute("select id, record from image order by rowid")
            for number, record in images:
                yield self._row(scratch, number, json.loads(record))
            strangers = scratch.execute(
                "select distinct image from said where image not in (select id from image)"
            )
            for (number,) in strangers:
                yield BadRow("bad_row", f"annotations of image {number}, which is not there")

    def _gather(self, scratch: sqlite3.Connection, path: Path) -> None:
        scratch.execute("begin")
        for item in _items(path, "images"):
            record = plain_fields(item) if isinstance(item, dict) else {}
            row = (join_key(record.get("id")), json.dumps(record))
            scratch.execute("insert or ignore into image values (?, ?)", row)
        categories = {
            join_key(item.get("id")): plain_fields(item)
            for item in _items(path, "categories")
            if isinstance(item, dict)
        }
        for item in _items(path, "annotations"):
            said = _said(item, categories) if isinstance(item, dict) else []
            image = join_key(item.get("image_id")) if isinstance(item, dict) else ""
            rows = [(image, *one) for one in said]
            scratch.executemany("insert into said values (?, ?, ?, ?)", rows)
        scratch.execute("commit")

    def _row(self, scratch: sqlite3.Connection, number: str, record: dict) -> Row | BadRow:
        key = number.zfill(12)
        image = join_key(record.get("file_name"))
        if not number or not image:
            return BadRow("bad_row", f"an image without id or file_name: {record!r:.80}")
        fields: dict[str, Any] = {}
        found = scratch.execute(
            "select field, value, problem from said where image = ? order by rowid", (number,)
        )
        for field, value, problem in found:
            if problem:
                return BadRow("bad_row", problem, key)
            values = fields.setdefault(field, [])
            if field == "captions" or value not in values:
                values.append(value)
        captions = [text for name in self.captions for text in fields.get(name, [])]
        return Row(image, tuple(captions), record | fields, key)


def _said(item: dict[str, Any], categories: dict[str, dict]) -> list[tuple[str, str, str]]:
    """(field, value, problem) of what an annotation says of its image."""
    if isinstance(item.get("caption"), str):
        return [("captions", _text(item["caption"]), "")]
    number = join_key(item.get("category_id"))
    if not number:
        return []
    category = categories.get(number, {})
    if not isinstance(category.get("name"), str):
        return [("categories", "", f"category {number} is not among the file's categories")]
    names = [("categories", _text(category["name"]), "")]
    if isinstance(category.get("supercategory"), str):
        names.append(("supercategories", _text(category["supercategory"]), ""))
    return names


def _text(value: str) -> str:
    # JSON may escape half of a surrogate pair, which no database can hold.
    return value.encode("utf-8", "replace").decode()
