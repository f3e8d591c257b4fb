"""Vectors that look like CLIP's, any number of them, and the folder of a datastore made of them.

    python -m benchmarks.index_data FOLDER --count 1000000 [--kind clip|faiss|demo]

A part is made from its own number and the seed alone, and written before the next is made, so that
memory does not grow with the count. Queries come from the same distribution and other numbers.

Kinds:
  clip   topics, scenes within topics and pictures within scenes, around one common direction.
         Fixed before any index was tried: two random pictures have a cosine of about 0.5 (image
         embeddings of CLIP lie in a narrow cone: Liang et al., "Mind the Gap", NeurIPS 2022), two
         of a scene 0.85, scene sizes follow Zipf, variances along the axes a power law.
  faiss  the distribution of faiss.contrib.datasets.SyntheticDataset, made unit: the sine of a
         random image of ten hidden dimensions. It has no clusters.
  demo   the demo encoder's own embeddings of 2,000 drawn photos, each vector a mixture of a photo
         and one of its ten nearest, jittered. Queries are made of held-out photos. Its 128
         dimensions are turned into 512 by an isometry, which changes no cosine.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.index_folder import FolderPart, finish_folder, write_part

PART_ROWS = 10_000
"""Rows of a part: img2dataset writes shards of 10,000."""
_WORLD, _PART, _QUERIES = 0, 1, 2
_TOPICS, _SCENES = 256, 20_000
_CONE, _TOPIC, _SCENE, _PICTURE = 0.5, 0.2, 0.15, 0.15
_HIDDEN = 10
_PHOTOS, _NEAR, _JITTER = 2000, 10, 0.2

Draw = Callable[[np.random.Generator, int, bool], np.ndarray]
"""(generator, count, whether for queries) -> float32 [count, dim], any norm."""


@dataclasses.dataclass(frozen=True, slots=True)
class Collection:
    """A collection of unit vectors, all decided by these values.

    Attributes:
        kind: "clip", "faiss" or "demo".
        count: vectors in the base.
        dim: length of a vector.
        seed: another seed, another world.
        part_rows: vectors a part; the last has what is left.
    """

    kind: str
    count: int
    dim: int = 512
    seed: int = 0
    part_rows: int = PART_ROWS

    def __post_init__(self) -> None:
        if self.kind not in _WORLDS:
            raise ValueError(f"kind {self.kind!r} is none of {', '.join(_WORLDS)}")
        if self.count < 1 or self.part_rows < 1:
            raise ValueError(f"count {self.count}, part_rows {self.part_rows}: below 1")

    @property
    def parts(self) -> int:
        return -(-self.count // self.part_rows)

    def part(self, number: int) -> np.ndarray:
        """The vectors of a part, float16 [rows, dim], unit norm."""
        rows = min(self.part_rows, self.count - number * self.part_rows)
        rng = np.random.default_rng([self.seed, _PART, number])
        return _unit(_world(self.kind, self.dim, self.seed)(rng, rows, False)).astype(np.float16)

    def queries(self, count: int) -> np.ndarray:
        """Queries of the same distribution, none of them in the base: float32 [count, dim]."""
        rng = np.random.default_rng([self.seed, _QUERIES])
        return _unit(_world(self.kind, self.dim, self.seed)(rng, count, True))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@functools.lru_cache(maxsize=1)
def _world(kind: str, dim: int, seed: int) -> Draw:
    return _WORLDS[kind](np.random.default_rng([seed, _WORLD]), dim)


def _clip_world(rng: np.random.Generator, dim: int) -> Draw:
    def axes(exponent: float) -> np.ndarray:
        variance = np.arange(1, dim + 1) ** -exponent
        return np.sqrt(variance / variance.sum()).astype(np.float32)

    def normal(source: np.random.Generator, count: int) -> np.ndarray:
        return source.standard_normal((count, dim), np.float32)

    turn = _orthonormal(rng, dim, dim)
    cone = _unit(normal(rng, 1))
    topics = normal(rng, _TOPICS) * axes(1.0)
    scenes = normal(rng, _SCENES) * axes(1.0) * _SCENE**0.5 + cone * _CONE**0.5
    scenes += topics[rng.integers(0, _TOPICS, _SCENES)] * _TOPIC**0.5
    sizes = np.cumsum(1 / np.arange(10, _SCENES + 10))
    # Single pictures spread over more axes than what scenes differ in.
    spread = axes(0.5) * np.float32(_PICTURE**0.5)

    def draw(source: np.random.Generator, count: int, for_queries: bool) -> np.ndarray:
        chosen = np.searchsorted(sizes, source.random(count) * sizes[-1])
        return (scenes[chosen] + normal(source, count) * spread) @ turn

    return draw


def _faiss_world(rng: np.random.Generator, dim: int) -> Draw:
    image = rng.random((_HIDDEN, dim)).astype(np.float32)
    scale = (rng.random(dim) * 4 + 0.1).astype(np.float32)

    def draw(source: np.random.Generator, count: int, for_queries: bool) -> np.ndarray:
        hidden = source.standard_normal((count, _HIDDEN), np.float32)
        return np.sin((hidden @ image) * scale)

    return draw


def _demo_world(rng: np.random.Generator, dim: int) -> Draw:
    # Late: torch and the encoder are needed for this kind only.
    from demo.retrieval import datastore_scenes, embed_scenes, load_encoder
    from demo.shards import ShardOptions, scenes_of

    encoder = load_encoder()
    heldout = ShardOptions(Path(), _PHOTOS // 10, split="heldout")
    photos = {
        False: embed_scenes(encoder, datastore_scenes(_PHOTOS)),
        True: embed_scenes(encoder, [s for scenes in scenes_of(heldout).values() for s in scenes]),
    }
    near = {
        side: np.argsort(-(found @ found.T), axis=1)[:, 1 : _NEAR + 1]
        for side, found in photos.items()
    }
    isometry = _orthonormal(rng, dim, photos[False].shape[1]).T
    jitter = np.float32(_JITTER / photos[False].shape[1] ** 0.5)

    def draw(source: np.random.Generator, count: int, for_queries: bool) -> np.ndarray:
        own = photos[for_queries]
        first = source.integers(0, len(own), count)
        second = near[for_queries][first, source.integers(0, _NEAR, count)]
        share = source.random((count, 1), np.float32) / 2
        noise = source.standard_normal((count, own.shape[1]), np.float32) * jitter
        return (own[first] * (1 - share) + own[second] * share + noise) @ isometry

    return draw


def _orthonormal(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    if columns > rows:
        raise ValueError(f"{columns} dimensions do not fit into {rows} without changing cosines")
    return np.linalg.qr(rng.standard_normal((rows, columns)))[0].astype(np.float32)


_WORLDS = {"clip": _clip_world, "faiss": _faiss_world, "demo": _demo_world}


def write_collection(root: Path, collection: Collection, tags: int = 1) -> None:
    """Write so many tags a row, embeddings and rejects of a collection, part after part."""
    parts = []
    for number in range(collection.parts):
        part = FolderPart(number, len(vectors := collection.part(number)), tags)
        write_part(root, part, vectors)
        parts.append(part)
    finish_folder(root, parts, collection.dim)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the folder that the other index benchmarks read."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the datastore's files go")
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--kind", choices=sorted(_WORLDS), default="clip")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    started = time.perf_counter()
    collection = Collection(options.kind, options.count, options.dim, options.seed)
    write_collection(options.folder, collection)
    print(f"{options.count:,} x {options.dim} in {time.perf_counter() - started:.0f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
