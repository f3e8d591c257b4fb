"""What a sample says: its captions and structured fields, decoded and bounded."""

from __future__ import annotations

import dataclasses
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from tagmine.questions import read_questions
from tagmine.samples import Sample, SampleFields

MAX_CAPTION_CHARACTERS = 10_000
# Five captions, and the questions that VQA and Visual Dialog ask of an image, a few times over.
MAX_CAPTIONS = 256
# Each a few times what is let through, so that the reject can say what it found.
MAX_TEXT_BYTES = 4 << 20
MAX_JSON_BYTES = 4 << 20

_WORD = re.compile(r"\w+")


class SampleRejected(Exception):  # noqa: N818 - an outcome that is recorded, not an error
    """A sample cannot be used.

    Attributes:
        reason: a key of `tagmine.rejects.REASONS`.
        detail: what was found.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def read_fields(sample: Sample, fields: SampleFields) -> Mapping[str, Any]:
    """The sample's JSON object, or an empty one when no field of it is asked for.

    Raises:
        SampleRejected: "bad_json" when it is no JSON object, or missing though needed.
    """
    if not fields.needs_json:
        return {}
    data = sample.members.get(fields.json_key)
    if data is None:
        raise SampleRejected("bad_json", f"the sample has no .{fields.json_key} member")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        detail = f".{fields.json_key}: {type(error).__name__}: {error}"
        raise SampleRejected("bad_json", detail) from error
    if not isinstance(value, dict):
        detail = f".{fields.json_key} is a {type(value).__name__}, expected an object"
        raise SampleRejected("bad_json", detail)
    return value


@dataclasses.dataclass(frozen=True, slots=True)
class Caption:
    """What one annotation says of an image.

    Attributes:
        text: on one line; for a question and its answer, the statement that they make.
        source: the member's extension or JSON field that it comes from, or the annotations' own
            name of where they are from.
        votes: how many people said so: 1, or those who gave this answer to a question.
    """

    text: str
    source: str
    votes: int = 1


def read_captions(
    sample: Sample, fields: SampleFields, record: Mapping[str, Any], more: Sequence[Caption] = ()
) -> list[Caption]:
    """The captions of a sample, at least one, whitespace folded, empty ones left out.

    Args:
        sample: the sample with its caption member.
        fields: where captions are.
        record: the JSON object that `read_fields` gave.
        more: further annotations of the image; with them, it need not have a caption of its own.

    Raises:
        SampleRejected: for a caption that is missing, empty, too long or no text.
    """
    try:
        captions = _own_captions(sample, fields, record)
    except SampleRejected as rejected:
        if not more or rejected.reason not in ("no_caption", "empty_caption"):
            raise
        captions = []
    captions += more
    if len(captions) > MAX_CAPTIONS:
        detail = f"{len(captions):,} captions and answers; the limit is {MAX_CAPTIONS}"
        raise SampleRejected("too_many_captions", detail)
    return captions


def distinct_captions(captions: Sequence[Caption]) -> list[Caption]:
    """Each text once, so that a caption that several datasets copied does not vote again.

    Texts that differ in nothing but case, punctuation, white space and the form of their
    characters are the same. The first stays, with the most votes that any of them has.
    """
    distinct: dict[str, Caption] = {}
    for caption in captions:
        key = " ".join(_WORD.findall(unicodedata.normalize("NFKC", caption.text).casefold()))
        first = distinct.setdefault(key, caption)
        if caption.votes > first.votes:
            distinct[key] = dataclasses.replace(first, votes=caption.votes)
    return list(distinct.values())


def fold_caption(text: str) -> str:
    """A caption on one line.

    Raises:
        SampleRejected: for one that is too long, or no text.
    """
    if len(text) > MAX_CAPTION_CHARACTERS:
        detail = f"{len(text):,} characters; the limit is {MAX_CAPTION_CHARACTERS:,}"
        raise SampleRejected("caption_too_long", detail)
    # JSON may escape half a surrogate pair, which no UTF-8 file can hold.
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise SampleRejected("caption_not_utf8", "a lone surrogate")
    return " ".join(text.replace("\0", " ").split())


def _own_captions(sample: Sample, fields: SampleFields, record: Mapping[str, Any]) -> list[Caption]:
    if fields.caption_json_fields:
        raw = _json_captions(record, fields.caption_json_fields)
    else:
        raw = [Caption(_text_caption(sample, fields.caption_key), fields.caption_key)]
    captions = [dataclasses.replace(item, text=fold_caption(item.text)) for item in raw]
    captions = [caption for caption in captions if caption.text]
    if not captions:
        raise SampleRejected("empty_caption")
    return captions


def _text_caption(sample: Sample, caption_key: str) -> str:
    data = sample.members.get(caption_key)
    if data is None:
        found = ", ".join("." + extension for extension in sample.extensions)
        raise SampleRejected("no_caption", f"no .{caption_key} among {found}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SampleRejected("caption_not_utf8", str(error)) from error


def _json_captions(record: Mapping[str, Any], names: Sequence[str]) -> list[Caption]:
    if all(record.get(name) is None for name in names):
        listed = " or ".join(repr(name) for name in names)
        raise SampleRejected("no_caption", f"the JSON has no field {listed}")
    captions: list[Caption] = []
    for name in names:
        value = record.get(name, [])
        values = value if isinstance(value, list) else [] if value is None else [value]
        if len(values) > MAX_CAPTIONS:
            detail = f"field {name!r} has {len(values):,} captions; the limit is {MAX_CAPTIONS}"
            raise SampleRejected("bad_json", detail)
        for item in values:
            # Dumps of annotations leave a null where someone said nothing.
            captions += [] if item is None else _json_item(item, name)
    return captions


def _json_item(item: object, name: str) -> list[Caption]:
    if isinstance(item, str):
        return [Caption(item, name)]
    if isinstance(item, dict) and "question" in item:
        try:
            return [Caption(text, name, votes) for text, votes in read_questions(item)]
        except ValueError as error:
            raise SampleRejected("bad_json", f"field {name!r}: {error}") from error
    detail = f"field {name!r} holds neither text, nor questions with their answers, nor a list"
    raise SampleRejected("bad_json", detail)
