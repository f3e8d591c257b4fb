"""Pictures of given images, read again from the shards that they came from."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from index.images import ImageLimits, ImageRejected, decode_image
from tagmine.layout import part_of
from tagmine.samples import SampleFields, read_samples
from tagmine.sources import Source
from tagmine.stage import SourceError, open_source

logger = logging.getLogger(__name__)

SIDE = 160
_QUALITY = 80
# Far into a large shard there may be a picture that is not worth reading so much for.
MAX_BYTES_READ = 512 << 20
_THREADS = 8


def read_pictures(source: Source, wanted: Mapping[int, str], fields: SampleFields) -> dict:
    """Encoded pictures of a shard's images, by id.

    They are found by their keys: in a subset, ids are no places in the shard. Reading stops with
    the last one that is wanted, and after half a gibibyte. What has no such key is left out, and so
    is all of a shard that cannot be read.

    Args:
        source: the shard.
        wanted: key of each image, by id.
        fields: which members are images, as of the datastore.
    """
    limits = {key: ImageLimits().max_bytes for key in fields.image_keys}
    found: dict[int, bytes] = {}
    missing = {key: row_id for row_id, key in wanted.items()}
    try:
        with open_source(source) as stream:
            for sample in read_samples(stream, fields, limits):
                # Of two samples with one key, the datastore has the first.
                row_id = missing.pop(f"{source.name}/{sample.key}", None)
                if row_id is not None and not sample.problem:
                    members = (k for k in fields.image_keys if k in sample.members)
                    found.update((row_id, sample.members[key]) for key in list(members)[:1])
                if not missing or stream.bytes_read > MAX_BYTES_READ:
                    break
    except SourceError as error:
        logger.info("no pictures of %s: %s", source.name, error)
    return found


def read_from_shards(
    sources: Sequence[Source], wanted: Mapping[int, str], fields: SampleFields
) -> dict[int, bytes]:
    """`read_pictures` over several shards, some at a time."""
    by_part: dict[int, dict[int, str]] = {}
    for row_id, key in wanted.items():
        by_part.setdefault(part_of(row_id), {})[row_id] = key
    reached = [source for source in sources if source.part in by_part]
    with ThreadPoolExecutor(_THREADS) as pool:
        read = pool.map(lambda s: read_pictures(s, by_part[s.part], fields), reached)
        return {row_id: data for pictures in read for row_id, data in pictures.items()}


def thumbnail(data: bytes) -> str:
    """A JPEG of at most 160 pixels a side, as base64; "" for bytes that are no usable picture."""
    try:
        return base64.b64encode(shrink(data, SIDE)).decode()
    except ImageRejected as rejected:
        logger.info("no thumbnail: %s", rejected)
        return ""


def shrink(data: bytes, side: int) -> bytes:
    """A JPEG of a picture, at most `side` pixels a side, without anything but its pixels.

    Raises:
        ImageRejected: for bytes that are no usable picture.
    """
    image = decode_image(data, ImageLimits(), side)
    image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
