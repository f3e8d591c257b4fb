"""What a sample says: its captions and structured fields, decoded and bounded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tagmine.samples import Sample, SampleFields

MAX_CAPTION_CHARACTERS = 10_000
MAX_CAPTIONS = 64
# Each a few times what is let through, so that the reject can say what it found.
MAX_TEXT_BYTES = 4 << 20
MAX_JSON_BYTES = 4 << 20


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


def read_captions(sample: Sample, fields: SampleFields, record: Mapping[str, Any]) -> list[str]:
    """The captions of a sample, at least one, whitespace folded, empty ones left out.

    Args:
        sample: the sample with its caption member.
        fields: where captions are.
        record: the JSON object that `read_fields` gave.

    Raises:
        SampleRejected: for a caption that is missing, empty, too long or no text.
    """
    if fields.caption_json_field is not None:
        raw = _json_captions(record, fields.caption_json_field)
    else:
        raw = [_text_caption(sample, fields.caption_key)]
    for caption in raw:
        if len(caption) > MAX_CAPTION_CHARACTERS:
            detail = f"{len(caption):,} characters; the limit is {MAX_CAPTION_CHARACTERS:,}"
            raise SampleRejected("caption_too_long", detail)
    captions = [" ".join(caption.replace("\0", " ").split()) for caption in raw]
    captions = [caption for caption in captions if caption]
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


def _json_captions(record: Mapping[str, Any], field: str) -> list[str]:
    value = record.get(field)
    if value is None:
        raise SampleRejected("no_caption", f"the JSON has no field {field!r}")
    captions = value if isinstance(value, list) else [value]
    if not all(isinstance(caption, str) for caption in captions):
        detail = f"field {field!r} is neither a string nor a list of strings"
        raise SampleRejected("bad_json", detail)
    if len(captions) > MAX_CAPTIONS:
        detail = f"field {field!r} has {len(captions):,} captions; the limit is {MAX_CAPTIONS}"
        raise SampleRejected("bad_json", detail)
    for caption in captions:
        # JSON may escape half a surrogate pair, which no UTF-8 file can hold.
        if any("\ud800" <= character <= "\udfff" for character in caption):
            raise SampleRejected("caption_not_utf8", f"field {field!r} has a lone surrogate")
    return captions
