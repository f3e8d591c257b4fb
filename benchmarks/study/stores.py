"""Datastores by the real pipeline, one of which grows, and what they answer about pictures."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.study.settings import Settings
from demo.shards import ShardOptions, scenes_of, write_shards
from index import open_datastore
from index.pooling import Answer, neighbour_of_row, pool_tags
from index.retrievals import Retrieval, read_retrievals, retrieval_of_answer, write_retrievals
from index.search import Datastore
from pipelines.main import main as tagmine
from tagmine.errors import TagmineError
from tagmine.layout import sample_id

# A picture this near to one of the datastore counts as a copy of it: none should be.
COPY_COSINE = 0.9999


@dataclasses.dataclass(frozen=True, slots=True)
class Stores:
    """Where the datastores are.

    Attributes:
        street: folders of the street datastore, by its number of shards.
        fashion: folder of the fashion datastore.
    """

    street: dict[int, Path]
    fashion: Path

    @property
    def largest(self) -> Path:
        return self.street[max(self.street)]


def build_stores(folder: Path, settings: Settings) -> Stores:
    """Draw captioned pictures and build datastores of them; what is finished is kept.

    The street datastore of each size is that of the size before with more shards, as `tagmine
    build` into the same folder makes it; a size is a folder of its own, so that all can be asked.
    """
    shards = {}
    for domain, count in (("street", settings.street_shards), ("fashion", settings.fashion_shards)):
        shards[domain] = folder / f"{domain}-shards"
        if not shards[domain].exists():
            options = ShardOptions(
                folder / f".{domain}-shards.tmp",
                count=count * settings.shard_size,
                domain=domain,
                shard_size=settings.shard_size,
            )
            write_shards(options)
            options.out.rename(shards[domain])
    street, smaller = {}, None
    for size in settings.store_shards:
        street[size] = folder / f"street-{size:03d}"
        _build(sorted(shards["street"].glob("*.tar"))[:size], street[size], smaller)
        smaller = street[size]
    fashion = folder / "fashion"
    _build(sorted(shards["fashion"].glob("*.tar")), fashion, None)
    return Stores(street, fashion)


def _build(shards: Sequence[Path], finished: Path, smaller: Path | None) -> None:
    """Build a datastore, from a copy of a smaller one where there is one."""
    if finished.exists():
        return
    out = finished.with_name(f".{finished.name}.tmp")
    shutil.rmtree(out, ignore_errors=True)
    if smaller is not None:
        shutil.copytree(smaller, out)
    command = ["build", *map(str, shards), "--out", str(out), "--clip-model", "demo"]
    status = tagmine([*command, "--caption-json-field", "captions"])
    if status != 0:
        raise TagmineError(f"tagmine build of {len(shards)} shards into {out} gave {status}")
    out.rename(finished)


def look_up(
    datastore: Datastore,
    vectors: np.ndarray,
    settings: Settings,
    path: Path,
    hidden: Sequence[int] = (),
) -> list[Retrieval]:
    """What the datastore says of pictures, copies of them left out; kept in a file.

    Args:
        datastore: whom to ask.
        vectors: of the pictures, unit norm, float32 [N, dim].
        settings: k and the cap of tags.
        path: the Parquet file to read, or to write.
        hidden: ids of images that are left out of every answer.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        ids, scores = datastore.search(
            vectors, settings.neighbours, exclude_keys=list(hidden), exclude_above=COPY_COSINE
        )
        found = answers(datastore, ids, scores)
        rows = ((str(i), retrieval_of_answer(a, settings.max_tags)) for i, a in enumerate(found))
        write_retrievals(path, rows)
    return [retrieval for _, retrieval in read_retrievals(path)]


def ids_with(settings: Settings, kinds: Collection[str]) -> list[int]:
    """Ids of the street datastore's images that hold an object of these kinds."""
    options = ShardOptions(
        Path(), count=settings.street_shards * settings.shard_size, domain="street"
    )
    return [
        sample_id(*divmod(row, settings.shard_size))
        for row, scene in enumerate(scenes_of(options)["street"])
        if any(spec.kind.name in kinds for spec in scene.objects)
    ]


def answers(datastore: Datastore, ids: np.ndarray, scores: np.ndarray) -> Iterable[Answer]:
    """Answers of found ids [N, k] and their cosines, as `Datastore.query` makes them."""
    rows = datastore.rows([int(i) for i in np.unique(ids[ids >= 0])])
    for row_ids, row_scores in zip(ids.tolist(), scores.tolist(), strict=True):
        pairs = [(rows[i], s) for i, s in zip(row_ids, row_scores, strict=True) if i in rows]
        near = tuple(neighbour_of_row(row, score) for row, score in pairs)
        yield Answer(near, pool_tags(near, datastore.vocabulary))


def look_up_blurred(
    datastore: Datastore, vectors: np.ndarray, settings: Settings, noise: float, path: Path
) -> list[Retrieval]:
    """As `look_up`, by an encoder of less strength: noise is added to every embedding first.

    A Gaussian vector of the expected length `noise` is added to each unit vector, of the datastore
    and of the pictures that are asked, and the sum divided by its norm. The search is exact, since
    the index was made for other vectors.
    """
    if not path.exists():
        rng = np.random.default_rng(round(noise * 1000))
        parts = [datastore.embeddings(part.part) for part in datastore.manifest.parts]
        ids = np.concatenate([np.asarray(part.ids) for part in parts])
        keys = np.concatenate([np.asarray(part.vectors, np.float32) for part in parts])
        keys, queries = _blurred(keys, noise, rng), _blurred(vectors, noise, rng)
        cosines = queries @ keys.T
        best = np.argsort(-cosines, axis=1, kind="stable")[:, : settings.neighbours]
        found = answers(datastore, ids[best], np.take_along_axis(cosines, best, axis=1))
        rows = ((str(i), retrieval_of_answer(a, settings.max_tags)) for i, a in enumerate(found))
        write_retrievals(path, rows)
    return [retrieval for _, retrieval in read_retrievals(path)]


def _blurred(vectors: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    drawn = rng.standard_normal(vectors.shape).astype(np.float32) / np.sqrt(vectors.shape[1])
    moved = vectors + noise * drawn
    return moved / np.linalg.norm(moved, axis=1, keepdims=True)


def open_store(folder: Path) -> Datastore:
    """The datastore of a folder."""
    return open_datastore(folder)
