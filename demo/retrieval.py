"""How well an encoder retrieves in the drawn world, measured by exact search."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demo.world import DOMAINS, SPLITS, Kind, Scene, all_kinds, draw, sample_scene

if TYPE_CHECKING:
    import numpy as np

CLIP_FOLDER = Path(__file__).parent / "clip"
"""The demo encoder, in open_clip's local-dir layout."""

_QUERY_SEED = 1 << 32
"""Offset among held-out seeds, away from the photos that `demo.shards` writes."""


@dataclasses.dataclass(frozen=True, slots=True)
class Encoder:
    """An open_clip model with what goes in front of it.

    Attributes:
        model: the model, in evaluation mode.
        preprocess: picture to tensor.
        tokenizer: texts to tokens.
    """

    model: Any
    preprocess: Any
    tokenizer: Any


def load_encoder(folder: Path = CLIP_FOLDER) -> Encoder:
    """Load an encoder from a folder in open_clip's local-dir layout; needs no network."""
    import open_clip

    name = f"local-dir:{folder}"
    model, preprocess = open_clip.create_model_from_pretrained(name)
    return Encoder(model.eval(), preprocess, open_clip.get_tokenizer(name))


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def embed_scenes(encoder: Encoder, scenes: Sequence[Scene]) -> np.ndarray:
    """Unit-norm embeddings of the pictures of scenes, float32 [N, dim]."""
    import numpy as np
    import torch

    parts = []
    for chunk in _chunks(scenes, 128):
        images = torch.stack([encoder.preprocess(draw(scene)) for scene in chunk])
        with torch.inference_mode():
            parts.append(encoder.model.encode_image(images, normalize=True).numpy())
    return np.concatenate(parts)


def embed_texts(encoder: Encoder, texts: Sequence[str]) -> np.ndarray:
    """Unit-norm embeddings of texts, float32 [N, dim]."""
    import numpy as np
    import torch

    parts = []
    for chunk in _chunks(texts, 256):
        with torch.inference_mode():
            tokens = encoder.tokenizer(list(chunk))
            parts.append(encoder.model.encode_text(tokens, normalize=True).numpy())
    return np.concatenate(parts)


def nearest(keys: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """Rows of the k keys of highest inner product with each query, best first: int [Q, k]."""
    import numpy as np

    return np.argsort(-(queries @ keys.T), axis=1, kind="stable")[:, :k]


@dataclasses.dataclass(frozen=True, slots=True)
class Retrieval:
    """What came back for the queries of one kind, as shares from 0 to 1.

    Attributes:
        queries: number of queries.
        hit: queries with at least one right picture among the k.
        precision: right pictures among all that came back.
        chance: `hit` of k pictures picked at random, exactly computed for each query.
    """

    queries: int
    hit: float
    precision: float
    chance: float


def score(found: np.ndarray, wanted: Sequence[Kind], scenes: Sequence[Scene]) -> Retrieval:
    """Judge rows that came back; a picture is right when the wanted kind is anywhere in it.

    Args:
        found: rows of `scenes`, int [Q, k].
        wanted: the kind that each query is about.
        scenes: the datastore's scenes.
    """
    import numpy as np

    contents = [{spec.kind.name for spec in scene.objects} for scene in scenes]
    right = np.array(
        [
            [kind.name in contents[row] for row in rows]
            for kind, rows in zip(wanted, found, strict=True)
        ]
    )
    k = found.shape[1]
    share = np.array([np.mean([kind.name in names for names in contents]) for kind in wanted])
    return Retrieval(
        queries=len(wanted),
        hit=float(right.any(axis=1).mean()),
        precision=float(right.mean()),
        chance=float(np.mean(1 - (1 - share) ** k)),
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Study:
    """Scores of an encoder on a datastore of the drawn world.

    Attributes:
        pictures: held-out pictures of one object as queries, by domain and for "both".
        names: names of all kinds that the datastore holds, as text queries.
        colours: "red car" as a text query: share of best pictures that hold such a car, among
            queries for which the datastore has one.
        naming: share of the held-out pictures whose nearest kind name is their kind's.
    """

    pictures: dict[str, Retrieval]
    names: Retrieval
    colours: float
    naming: float


def datastore_scenes(count: int) -> list[Scene]:
    """Scenes as `demo.shards --domain both --seed 0` writes them."""
    half = (count + 1) // 2
    first = SPLITS["datastore"]
    street, fashion = (
        [sample_scene(domain, first + i) for i in range(number)]
        for domain, number in zip(DOMAINS, (half, count - half), strict=True)
    )
    return street + fashion


def query_scenes(count: int) -> list[Scene]:
    """Held-out scenes of one object, the domains in turn."""
    first = SPLITS["heldout"] + _QUERY_SEED
    return [sample_scene(DOMAINS[i % 2], first + i, count=1) for i in range(count)]


def measure(encoder: Encoder, datastore: int, queries: int, k: int = 5) -> Study:
    """Build a datastore of so many pictures in memory and query it with held-out ones."""
    scenes, photos = datastore_scenes(datastore), query_scenes(queries)
    keys, vectors = embed_scenes(encoder, scenes), embed_scenes(encoder, photos)
    found = nearest(keys, vectors, k)
    wanted = [photo.main.kind for photo in photos]
    pictures = {"both": score(found, wanted, scenes)}
    for domain in DOMAINS:
        rows = [i for i, photo in enumerate(photos) if photo.domain == domain]
        pictures[domain] = score(found[rows], [wanted[i] for i in rows], scenes)

    present = {spec.kind.name for scene in scenes for spec in scene.objects}
    kinds = [kind for kind in all_kinds() if kind.name in present]
    name_keys = embed_texts(encoder, [kind.name for kind in kinds])
    best = nearest(name_keys, vectors, 1)[:, 0]
    naming = [kinds[i].name == kind.name for i, kind in zip(best, wanted, strict=True)]
    return Study(
        pictures=pictures,
        names=score(nearest(keys, name_keys, k), kinds, scenes),
        colours=_colour_precision(encoder, keys, scenes),
        naming=sum(naming) / len(naming),
    )


def _colour_precision(encoder: Encoder, keys: np.ndarray, scenes: Sequence[Scene]) -> float:
    contents = [{(spec.colour, spec.kind.name) for spec in scene.objects} for scene in scenes]
    phrases = sorted(set().union(*contents))
    texts = embed_texts(encoder, [" ".join(phrase) for phrase in phrases])
    best = nearest(keys, texts, 1)[:, 0]
    return sum(phrase in contents[row] for phrase, row in zip(phrases, best, strict=True)) / len(
        phrases
    )
