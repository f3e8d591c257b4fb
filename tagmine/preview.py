"""Look into the first shard before any work: are the members there that were asked for?"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence

from tagmine.archive import HashingReader
from tagmine.captions import MAX_JSON_BYTES
from tagmine.errors import ConfigurationError
from tagmine.samples import Sample, SampleFields, read_samples
from tagmine.sources import Source
from tagmine.stage import open_source

_LOOKED_AT = 50
_SHARDS_TRIED = 5


def preview_shards(
    sources: Sequence[Source], fields: SampleFields, need_captions: bool = True
) -> str:
    """A line that says what the samples look like.

    The first shard that holds a readable sample is looked at, among the first five.

    Args:
        sources: the shards.
        fields: which members are read.
        need_captions: whether samples must have captions.

    Raises:
        ConfigurationError: naming the member or field that is missing, and those that are there.
        SourceError: when a shard cannot be read.
    """
    samples: list[Sample] = []
    for source in sources[:_SHARDS_TRIED]:
        with open_source(source) as stream:
            samples = _first_samples(stream, fields)
        if samples:
            break
    if not samples:
        tried = ", ".join(source.url for source in sources[:_SHARDS_TRIED])
        raise ConfigurationError(
            f"no sample can be read from {tried}. Is it an uncompressed tar in webdataset layout "
            "(000.jpg, 000.txt, 001.jpg, …)?"
        )
    _check_members(source, samples, fields, need_captions)
    if fields.needs_json:
        _check_json(source, samples, fields)
    members = ", ".join("." + e for e in _extensions(samples))
    return f"{source.name} has samples of {members}"


def _first_samples(stream: HashingReader, fields: SampleFields) -> list[Sample]:
    limits = {fields.json_key: MAX_JSON_BYTES} if fields.needs_json else {}
    first = itertools.islice(read_samples(stream, fields, limits), _LOOKED_AT)
    return [sample for sample in first if sample.problem is None]


def _extensions(samples: Sequence[Sample]) -> list[str]:
    return sorted({extension for sample in samples for extension in sample.extensions})


def _check_members(
    source: Source, samples: Sequence[Sample], fields: SampleFields, need_captions: bool
) -> None:
    found = _extensions(samples)
    listed = ", ".join("." + extension for extension in found)
    if not set(fields.image_keys) & set(found):
        wanted = ", ".join("." + key for key in fields.image_keys)
        raise ConfigurationError(
            f"{source.url}: no sample has an image member ({wanted}); the first samples have "
            f"{listed}. Name the image's extension with --image-key."
        )
    if need_captions and fields.caption_member not in found:
        raise ConfigurationError(
            f"{source.url}: no sample has a caption member (.{fields.caption_member}); the first "
            f"samples have {listed}. Name the caption's extension with --caption-key, or its field "
            "in the JSON with --caption-json-field."
        )


def _check_json(source: Source, samples: Sequence[Sample], fields: SampleFields) -> None:
    names: set[str] = set()
    for sample in samples:
        try:
            record = json.loads(sample.members.get(fields.json_key, b"{}"))
        except (ValueError, RecursionError):
            continue
        names.update(record if isinstance(record, dict) else ())
    asked = {name: "--tag-fields" for name in fields.tag_fields}
    asked |= {name: "--caption-json-field" for name in fields.caption_json_fields}
    if fields.annotations_key is not None:
        asked[fields.annotations_key] = "--annotations-key"
    listed = ", ".join(sorted(names)) or "none"
    for name, flag in asked.items():
        if name not in names:
            raise ConfigurationError(
                f"{source.url}: none of the first {len(samples):,} samples has the field {name!r} "
                f"that {flag} names in its .{fields.json_key}; they have {listed}."
            )
