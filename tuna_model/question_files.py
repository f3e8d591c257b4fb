"""Question files of benchmarks: a JSON object a line, and where its picture is."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from index.image_files import read_image_file
from index.images import ImageLimits, ImageRejected, decode_image
from tagmine.errors import ConfigurationError
from tagmine.printable import is_utf8

if TYPE_CHECKING:
    from PIL import Image

MAX_LINE_BYTES = 1 << 20
MAX_ROWS = 5_000_000
_MAX_TEXT = 20_000
_SHOWN = 80
_DETAIL = 300


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """What is asked of one picture.

    Attributes:
        question_id: the file's own number or name of it, as text; no two are the same.
        image: path of the picture below the image folder.
        text: the question.
        category: what the benchmark files it under; "" where it has no such thing.
        label: the right answer where the benchmark has one ("yes" or "no" in POPE), else "".
    """

    question_id: str
    image: str
    text: str
    category: str = ""
    label: str = ""


def read_rows(path: Path) -> Iterator[tuple[int, dict]]:
    """The objects of a JSONL file with their line numbers; empty lines are passed over.

    Raises:
        ConfigurationError: for a file that cannot be read, or a line that is no JSON object or
            longer than a mebibyte.
    """
    try:
        stream = path.open("rb")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
    with stream:
        number = 0
        while line := stream.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES or number > MAX_ROWS:
                raise ConfigurationError(
                    f"{path}, line {number}: longer than {MAX_LINE_BYTES:,} bytes, or past "
                    f"{MAX_ROWS:,} lines. Expected one short JSON object a line."
                )
            if line.strip():
                yield number, _object(path, number, line)


def _object(path: Path, number: int, line: bytes) -> dict:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{path}, line {number}: no JSON ({error}). Expected one JSON object a line."
        ) from error
    if not isinstance(row, dict):
        raise ConfigurationError(
            f"{path}, line {number}: a {type(row).__name__}. Expected a JSON object a line."
        )
    return row


def text_field(path: Path, number: int, row: dict, name: str) -> str:
    """A field that must be text, or a whole number, which is returned as text.

    Raises:
        ConfigurationError: when it is missing, empty, longer than 20,000 characters, neither, or
            holds half a character, as "\\ud800" in JSON is.
    """
    value = row.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip() or len(value) > _MAX_TEXT:
        raise ConfigurationError(
            f"{path}, line {number}: {name!r} is {str(value)[:_SHOWN]!r}. Expected a text of 1 to "
            f"{_MAX_TEXT:,} characters."
        )
    if not is_utf8(value):
        raise ConfigurationError(
            f"{path}, line {number}: {name!r} is {value[:_SHOWN]!a}, which holds half a character "
            "(a lone surrogate). Expected text that UTF-8 can hold."
        )
    return value


def refuse_repeats(path: Path, questions: list[Question]) -> list[Question]:
    """The same questions.

    Raises:
        ConfigurationError: when there are none, or two of one id, of which only one could be
            looked up among the answers.
    """
    if not questions:
        raise ConfigurationError(f"{path} has no questions. Expected one JSON object a line.")
    seen: set[str] = set()
    for question in questions:
        if question.question_id in seen:
            raise ConfigurationError(
                f"{path}: question_id {question.question_id!r} stands twice. Number the questions "
                "through; ids join questions with answers."
            )
        seen.add(question.question_id)
    return questions


class PictureRejected(Exception):  # noqa: N818 - an outcome of the data, not a fault
    """A picture that cannot be used; its reason is a word that can be counted."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def read_picture(folder: Path, name: str, limits: ImageLimits | None = None) -> Image.Image:
    """A picture below the folder, as RGB and upright.

    Links that lie in the folder are followed, since whoever runs this made the folder; a name that
    leads out of it is refused, since the names come from a file of someone else.

    Raises:
        PictureRejected: for the reasons of `index.image_files.read_image_file` and
            `index.images.decode_image`: `unsafe_image_path`, `image_missing`, `image_too_large`,
            `image_undecodable`.
    """
    limits = limits or ImageLimits()
    shown = ascii(name[:_SHOWN])
    try:
        return decode_image(read_image_file(folder, name, limits), limits)
    except ImageRejected as rejected:
        detail = f"{shown}: {rejected.detail[:_DETAIL]}"
        raise PictureRejected(rejected.reason, detail) from rejected
    except ValueError as error:
        # Of a name that no file can have.
        raise PictureRejected("image_missing", f"{shown}: {str(error)[:_DETAIL]}") from error
