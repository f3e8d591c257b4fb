"""Tags of structured fields, whose values are tags already."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence

from tagmine.tags import Tag

MAX_FIELD_VALUES = 256
MAX_FIELD_CHARACTERS = 1_000


def field_tags(fields: Mapping[str, object], names: Sequence[str]) -> list[Tag]:
    """Tags of structured fields, whose values are tags already.

    Args:
        fields: a sample's fields, as JSON gives them.
        names: the fields to read, in order. A field that is absent gives no tag.

    Returns:
        One tag for each value (a list has several), of kind "field", labelled with the field's
        name. None, NaN and empty text give none; 2011.0 is "2011".

    Raises:
        ValueError: for a field whose value is a mapping, a list within a list, no text, or
            larger than its limit.
    """
    tags: dict[tuple[str, str, str], Tag] = {}
    for name in names:
        value = fields.get(name)
        values = value if isinstance(value, list | tuple) else [value]
        if len(values) > MAX_FIELD_VALUES:
            raise ValueError(
                f"field {name!r} holds {len(values):,} values; the limit is {MAX_FIELD_VALUES}"
            )
        for text in (_field_text(name, item) for item in values):
            if text:
                tag = Tag(text=text, lemma=text, kind="field", head=text, label=name)
                tags.setdefault(tag.merge_key, tag)
    return list(tags.values())


def _field_text(name: str, value: object) -> str:
    if isinstance(value, Mapping | list | tuple):
        raise ValueError(
            f"field {name!r} holds a {type(value).__name__} ({value!r:.60}); a field of tags "
            f"holds a text, a number or a list of them"
        )
    if value is None or (isinstance(value, numbers.Real) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = " ".join(str(value).split())
    if len(text) > MAX_FIELD_CHARACTERS:
        raise ValueError(
            f"field {name!r} holds {len(text):,} characters; the limit is {MAX_FIELD_CHARACTERS}"
        )
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"field {name!r} holds half a surrogate pair, which is no text")
    return text
