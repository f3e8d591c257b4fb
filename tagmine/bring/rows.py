"""One row of a collection, as every kind of collection gives it."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from tagmine.bring.picture import Picture
from tagmine.captions import SampleRejected


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A row that can be used.

    Attributes:
        image: what the collection's pictures know the image by: rows that agree in it are rows of
            one image.
        captions: what is said of it.
        fields: its structured fields, as JSON has them.
        key: a name for the sample, "" for the row's number.
        words_from: number of the row whose captions and fields it shares; None for its own.
    """

    image: str
    captions: tuple[str, ...]
    fields: Mapping[str, Any]
    key: str = ""
    words_from: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is no sample.

    Attributes:
        reason: a key of `tagmine.rejects.REASONS`.
        detail: what was found.
        key: its key, as far as it is known.
        words: the row whose words others share all the same.
    """

    reason: str
    detail: str
    key: str = ""
    words: Row | None = None


class PictureReader(Protocol):
    """Opened pictures."""

    def read(self, images: Sequence[str]) -> Iterable[Picture | SampleRejected]:
        """The picture of each, or why there is none; rows come in ascending order."""


class Pictures(Protocol):
    """Where the pictures of a collection are; it travels to the processes that read them."""

    def open(self) -> AbstractContextManager[PictureReader]:
        """Open them in this process."""


class RowReader(Protocol):
    """What reads the rows of a collection, from the first, as often as it is called."""

    def __call__(self) -> Iterator[Row | BadRow]: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Collection:
    """What somebody has, looked into and ready to be read.

    Attributes:
        kind: "fashiongen", "table", "coco" or "datasets".
        found: a line that says what was found.
        rows: reads its rows, in order.
        pictures: where its pictures are.
        tag_fields: the fields whose values are tags.
        vocabulary_fields: the fields whose values are names to look for in texts.
    """

    kind: str
    found: str
    rows: RowReader
    pictures: Pictures
    tag_fields: tuple[str, ...] = ()
    vocabulary_fields: tuple[str, ...] = ()


def plain_value(value: Any) -> Any:
    """A value as JSON can hold it; None for what is empty, or holds bytes."""
    if isinstance(value, float):
        return None if math.isnan(value) or math.isinf(value) else value
    if isinstance(value, str):
        return value if value.strip() else None
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Mapping):
        return {str(name): plain_value(item) for name, item in value.items()} or None
    if isinstance(value, list | tuple):
        kept = [plain_value(item) for item in value]
        return [item for item in kept if item is not None] or None
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return None


def plain_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a row that hold something, as JSON can hold it."""
    plain = {str(name): plain_value(value) for name, value in row.items()}
    return {name: value for name, value in plain.items() if value is not None}


def texts_of(value: Any) -> list[str]:
    """The captions that a cell holds: a text, or a list of texts.

    Raises:
        ValueError: for a cell that holds neither.
    """
    values = value if isinstance(value, list | tuple) else [value]
    texts = []
    for item in values:
        if item is None:
            continue
        if not isinstance(item, str):
            raise ValueError(f"a caption is a {type(item).__name__}, not text")
        if item.strip():
            texts.append(item.strip())
    return texts
