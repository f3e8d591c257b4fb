"""Whether a datastore's vectors are those that its encoder makes of its pictures."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from index.images import ImageLimits, ImageRejected, decode_image
from index.pictures import read_from_shards
from index.search import Datastore
from tagmine.layout import part_of
from tagmine.samples import SampleFields
from tagmine.sources import Source

if TYPE_CHECKING:
    from index.encoder import Encoder

logger = logging.getLogger(__name__)

PARTS = 32
IMAGES_A_PART = 3


@dataclasses.dataclass(frozen=True, slots=True)
class SameEmbedding:
    """How near the stored vectors are to new ones.

    Attributes:
        images: how many pictures were embedded again.
        lowest: the least mean cosine of a part; None where there was no picture.
        source: the source of that part.
    """

    images: int
    lowest: float | None
    source: str


def embed_again(
    datastore: Datastore,
    encoder: Encoder,
    sources: Sequence[Source],
    fields: SampleFields,
    seed: int,
) -> SameEmbedding:
    """Embed the first pictures of up to 32 parts and compare them with what is stored.

    A part is embedded by one encoder at a time, so its first images speak for it, and a shard need
    not be read far.
    """
    rng = np.random.default_rng(seed)
    numbers = [part.part for part in datastore.manifest.parts if part.embeddings.rows]
    chosen = np.sort(rng.choice(numbers, min(PARTS, len(numbers)), replace=False)).tolist()
    wanted: dict[int, str] = {}
    for number in chosen:
        part = datastore.embeddings(number)
        keys = part.keys()[:IMAGES_A_PART].to_pylist()
        wanted.update(zip(part.ids[:IMAGES_A_PART].tolist(), keys, strict=True))
    cosines: dict[int, list[float]] = {}
    for row_id, data in sorted(read_from_shards(sources, wanted, fields).items()):
        vector = _embed(encoder, data)
        part = datastore.embeddings(part_of(row_id))
        stored = part.vectors[part.rows_of(np.array([row_id]))[0]].astype(np.float64)
        if vector is not None:
            norm = np.linalg.norm(stored) or 1.0
            cosines.setdefault(part_of(row_id), []).append(float(stored @ vector / norm))
    if not cosines:
        return SameEmbedding(0, None, "")
    means = {number: float(np.mean(values)) for number, values in cosines.items()}
    worst = min(means, key=lambda number: (means[number], number))
    name = next(part.source for part in datastore.manifest.parts if part.part == worst)
    return SameEmbedding(sum(map(len, cosines.values())), means[worst], name)


def _embed(encoder: Encoder, data: bytes) -> np.ndarray | None:
    try:
        image = decode_image(data, ImageLimits(), encoder.image_size)
    except ImageRejected as rejected:
        logger.info("not embedded again: %s", rejected)
        return None
    vector = encoder.embed_images(encoder.preprocess(image)[None])[0].astype(np.float64)
    return vector / np.linalg.norm(vector)
