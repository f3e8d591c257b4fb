"""A datastore made of clustered vectors, through the real writers, without a model."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from index.build import ShardPlan, fill_shard, plan_shards
from index.publish import assemble_manifest
from index.training import train_index
from tagmine.embeddings import write_embeddings
from tagmine.layout import (
    ENCODER_PIN,
    TAGGER_PIN,
    embeddings_path,
    rejects_path,
    sample_id,
    tags_path,
)
from tagmine.manifest import EncoderPin, TaggerPin, write_manifest, write_pin
from tagmine.parts import PartFooter, TagRow, TagTableWriter, write_rejects
from tagmine.rejects import Reject
from tagmine.sources import Source, write_sources
from tagmine.tags import Tag

DIM = 32
HASH = hashlib.sha256(b"").hexdigest()
TAGGER = TaggerPin(
    "p", "1", "3.8", "b", HASH, (), False, HASH, ("jpg",), "txt", "json", (), (), HASH
)
ENCODER = EncoderPin("demo", "a", HASH, "gelu", "{}", DIM, "float32", HASH, HASH)


@dataclasses.dataclass(frozen=True)
class Made:
    """A folder that is a datastore, with all its vectors for an exact search to compare with."""

    root: Path
    ids: np.ndarray
    vectors: np.ndarray


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def clustered(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(40, DIM))
    return unit(centres[rng.integers(0, 40, count)] + 0.4 * rng.normal(size=(count, DIM)))


def spread(count: int, seed: int) -> np.ndarray:
    """Unit vectors without clusters: more lists and deeper re-ranks each find more of them."""
    vectors = np.random.default_rng(seed).normal(size=(count, DIM))
    return unit(vectors * 0.88 ** np.arange(DIM))


def write_part(
    root: Path, source: Source, vectors: np.ndarray, untagged: int = 0, bare: int = 0
) -> np.ndarray:
    """One part; returns its ids.

    The last `untagged` images have no row in the tag table, and the first `bare` a row without
    tags.
    """
    count = len(vectors)
    ids = np.array([sample_id(source.part, position) for position in range(count)], np.int64)
    keys = [f"{source.name}/{position:06d}" for position in range(count)]
    rejected = {"no_caption": untagged} if untagged else {}
    kept = count - untagged
    base = (1, "mine", source.part, source.name, HASH, 10, HASH, HASH)
    path = root / tags_path(source.part)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = TagTableWriter(path)
    for number, (row_id, key) in enumerate(zip(ids[:kept].tolist(), keys[:kept], strict=True)):
        kind = f"kind{row_id % 7}"
        tag = Tag(kind, kind, "object", kind)
        tags = () if number < bare else (tag,)
        writer.add(TagRow(row_id, key, source.name, (f"a {kind}",), tags))
    writer.finish(PartFooter(*base, count, kept, rejected))
    missing = zip(ids[kept:].tolist(), keys[kept:], strict=True)
    rejects = [Reject(row_id, key, "mine", "no_caption") for row_id, key in missing]
    write_rejects(root / rejects_path("mine", source.part), rejects, HASH)
    footer = PartFooter(1, "embed", *base[2:], count, count, {})
    target = root / embeddings_path(source.part)
    write_embeddings(target, ids, keys, vectors.astype(np.float16), footer)
    write_rejects(root / rejects_path("embed", source.part), [], HASH)
    return ids


@pytest.fixture
def make_datastore(tmp_path) -> Callable[..., Made]:
    """A function that makes a datastore of parts of the given sizes."""

    def make(
        sizes=(300, 500, 200),
        index_key="Flat",
        limit=600,
        untagged=0,
        bare=0,
        name="store",
        draw=clustered,
    ) -> Made:
        root = tmp_path / name
        sources = [Source(n, f"d/s{n}", f"/d/s{n}.tar") for n in range(len(sizes))]
        root.mkdir()
        write_sources(root, sources)
        write_pin_files(root)
        vectors = [draw(size, seed) for seed, size in enumerate(sizes)]
        pairs = zip(sources, vectors, strict=True)
        ids = [write_part(root, *pair, untagged, bare) for pair in pairs]
        plans = plan_shards([(n, size) for n, size in enumerate(sizes)], limit)
        build_index(root, sources, plans, index_key)
        return Made(root, np.concatenate(ids), np.concatenate(vectors).astype(np.float16))

    return make


def write_pin_files(root: Path) -> None:
    for path, pin in ((TAGGER_PIN, TAGGER), (ENCODER_PIN, ENCODER)):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        write_pin(root / path, pin)


def build_index(
    root: Path,
    sources: list[Source],
    plans: list[ShardPlan],
    index_key: str,
    min_clip_score: float | None = None,
) -> list[bool]:
    made = [train_index(root, [source.part for source in sources], index_key)]
    made += [fill_shard(root, plan, index_key, min_clip_score) for plan in plans]
    write_manifest(root, assemble_manifest(root, sources, plans, index_key, min_clip_score))
    return made


@pytest.fixture
def rebuild_index() -> Callable[..., list[bool]]:
    """The function that trains, fills and publishes; tells what it made anew."""
    return build_index


@pytest.fixture(name="clustered")
def clustered_vectors() -> Callable[[int, int], np.ndarray]:
    """The function that draws unit vectors from the clusters of the datastore: count, seed."""
    return clustered


@pytest.fixture(name="spread")
def spread_vectors() -> Callable[[int, int], np.ndarray]:
    """The function that draws unit vectors without clusters: count, seed."""
    return spread


@pytest.fixture
def write_part_of() -> Callable[..., np.ndarray]:
    """The function that writes the tags and embeddings of one part."""
    return write_part


@pytest.fixture
def queries() -> np.ndarray:
    """Unit vectors from the clusters of the datastore that are not in it."""
    return clustered(50, seed=1000).astype(np.float32)
