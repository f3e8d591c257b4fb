"""What every picture is told under every condition: worked out once, for all arms and seeds."""

from __future__ import annotations

import dataclasses
import functools
import random
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from benchmarks.study.kinds import split_kinds
from benchmarks.study.pictures import Features
from benchmarks.study.settings import Settings
from benchmarks.study.stores import Stores, ids_with, look_up, look_up_blurred, open_store
from demo.retrieval import embed_texts, load_encoder
from demo.world import Scene, all_kinds
from index.retrievals import Retrieval, RetrievedTag
from index.search import Datastore

MAIN, FASHION = "main", "fashion datastore"
SIZE, NOISE, ENCODER = "shards", "wrong tags", "encoder noise"


@dataclasses.dataclass(frozen=True, slots=True)
class Lookups:
    """Retrievals of pictures.

    Attributes:
        test: of the test pictures, by condition.
        vocabulary: wordings of the tags of the street datastore.
    """

    test: dict[str, list[Retrieval]]
    vocabulary: tuple[str, ...]


def look_up_tuning(
    folder: Path, stores: Stores, pool: Features, settings: Settings, seed: int
) -> list[Retrieval]:
    """What tuning is told of the pool by the largest street datastore, without unseen kinds.

    Images of kinds that are unseen with this seed are left out. With them, tuning would meet the
    names of unseen kinds as tags that are wrong every time, and learn never to say them.
    """
    hidden = ids_with(settings, split_kinds(seed).unseen)
    path = folder / f"pool-{seed}.parquet"
    return look_up(open_store(stores.largest), pool.vectors, settings, path, hidden)


def look_up_all(folder: Path, stores: Stores, test: Features, settings: Settings) -> Lookups:
    """Ask every datastore about every test picture; what is in `folder` is kept."""
    street, fashion = open_store(stores.largest), open_store(stores.fashion)
    by_condition = {
        MAIN: look_up(street, test.vectors, settings, folder / "main.parquet"),
        FASHION: look_up(fashion, test.vectors, settings, folder / "fashion.parquet"),
    }
    for size, root in stores.street.items():
        path = folder / f"size-{size}.parquet"
        by_condition[f"{SIZE} {size}"] = look_up(open_store(root), test.vectors, settings, path)
    for noise in settings.encoder_noise:
        path = folder / f"encoder-{noise:g}.parquet"
        found = look_up_blurred(street, test.vectors, settings, noise, path)
        by_condition[f"{ENCODER} {noise:g}"] = found
    return Lookups(
        by_condition | with_wrong_tags(by_condition[MAIN], vocabulary(street), settings),
        vocabulary(street),
    )


def vocabulary(datastore: Datastore) -> tuple[str, ...]:
    """Wordings of a datastore's tags, each once."""
    batches = datastore.vocabulary.batches()
    return tuple(sorted({text for batch in batches for text in batch.column("text").to_pylist()}))


def with_wrong_tags(
    found: Sequence[Retrieval], texts: Sequence[str], settings: Settings
) -> dict[str, list[Retrieval]]:
    """Each share of wrong tags; a tag that is replaced at one share is so at every larger one."""
    conditions: dict[str, list[Retrieval]] = {}
    for share in settings.noise_shares:
        rng = random.Random("study wrong tags")
        conditions[f"{NOISE} {share:g}"] = [
            dataclasses.replace(one, tags=_replaced(one.tags, texts, share, rng)) for one in found
        ]
    return conditions


def _replaced(
    tags: Sequence[RetrievedTag], texts: Sequence[str], share: float, rng: random.Random
) -> tuple[RetrievedTag, ...]:
    order = rng.sample(range(len(tags)), len(tags))
    present = {tag.text for tag in tags}
    others = [text for text in rng.sample(texts, 4 * len(tags)) if text not in present]
    wrong = set(order[: round(share * len(tags))])
    return tuple(
        dataclasses.replace(tag, text=others[i]) if i in wrong else tag
        for i, tag in enumerate(tags)
    )


def random_tags(count: int, texts: Sequence[str], settings: Settings, seed: int) -> list[Retrieval]:
    """Tags drawn evenly from the vocabulary, for so many pictures."""
    rng = random.Random(f"study random tags {seed}")
    return [
        _told(rng.sample(list(texts), min(settings.max_tags, len(texts)))) for _ in range(count)
    ]


def tagger_tags(features: Features, texts: Sequence[str], settings: Settings) -> list[Retrieval]:
    """The tags of the vocabulary whose CLIP embeddings are nearest to each picture's."""
    keys = embed_texts(load_encoder(), list(texts))
    cosines = features.vectors @ keys.T
    best = np.argsort(-cosines, axis=1, kind="stable")[:, : settings.max_tags]
    return [
        _told([texts[i] for i in row], cosines[number, row].tolist())
        for number, row in enumerate(best)
    ]


def _told(texts: Sequence[str], scores: Sequence[float] | None = None) -> Retrieval:
    scores = scores or [0.0] * len(texts)
    tags = zip(texts, scores, strict=True)
    return Retrieval(tuple(RetrievedTag(text, "object", 0, score, ()) for text, score in tags), ())


def texts_without(texts: Sequence[str], kinds: Collection[str]) -> tuple[str, ...]:
    """The texts that do not name one of the kinds."""
    return tuple(text for text in texts if kind_said(text) not in kinds)


def kind_said(text: str) -> str | None:
    """The kind that a tag names: "tree" for "green tree", but "palm tree" for "small palm tree"."""
    words = text.lower().split()
    for start in range(len(words)):
        name = _names().get(" ".join(words[start:]))
        if name:
            return name
    return None


@functools.cache
def _names() -> dict[str, str]:
    return {form: kind.name for kind in all_kinds() for form in (kind.lemma, kind.name)}


def right_kind_share(scenes: Sequence[Scene], found: Sequence[Retrieval]) -> dict[str, float]:
    """By domain, the share of pictures with a tag that names the main object's kind."""
    hits: dict[str, list[bool]] = {}
    for scene, retrieval in zip(scenes, found, strict=True):
        named = {kind_said(tag.text) for tag in retrieval.tags}
        hits.setdefault(scene.domain, []).append(scene.main.kind.name in named)
    return {domain: sum(found) / len(found) for domain, found in hits.items()}
