"""Which kinds the connector meets in tuning, and which scenes go where."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable, Sequence

from demo.world import SPLITS, Scene, all_kinds, sample_scene

TUNING_DOMAIN = "street"
_UNSEEN_SHARE = 1 / 3
_ALONE_SHARE = 0.7
# Of the pool, each so-manieth picture is not learned from: settings are chosen on these.
_CHECK_EVERY = 16
# Away from the photos of demo.shards (offset 0) and of demo.retrieval (1 << 32).
_TEST_OFFSET = 1 << 33


@dataclasses.dataclass(frozen=True, slots=True)
class KindSplit:
    """Names of the kinds of the tuning domain that the connector sees, and of the others."""

    seen: frozenset[str]
    unseen: frozenset[str]

    def group(self, scene: Scene) -> str:
        """ "seen", "unseen" or "fashion", by the main object."""
        if scene.domain != TUNING_DOMAIN:
            return scene.domain
        return "seen" if scene.main.kind.name in self.seen else "unseen"


def split_kinds(seed: int) -> KindSplit:
    """A third of each category of the street is unseen, drawn by the seed."""
    rng = random.Random(f"study kinds {seed}")
    categories: dict[str, list[str]] = {}
    for kind in all_kinds(TUNING_DOMAIN):
        categories.setdefault(kind.category, []).append(kind.name)
    unseen: set[str] = set()
    for names in categories.values():
        unseen.update(rng.sample(names, round(len(names) * _UNSEEN_SHARE)))
    every = {kind.name for kind in all_kinds(TUNING_DOMAIN)}
    return KindSplit(frozenset(every - unseen), frozenset(unseen))


def pool_scenes(count: int) -> list[Scene]:
    """Scenes of one or two objects of any kind of the street, for tuning; the split "study"."""
    first = SPLITS["study"]
    scenes = []
    for i in range(count):
        number = 1 if random.Random(f"study pool {i}").random() < _ALONE_SHARE else 2
        scenes.append(sample_scene(TUNING_DOMAIN, first + i, count=number))
    return scenes


def seen_rows(scenes: Iterable[Scene], split: KindSplit) -> list[int]:
    """Rows of the scenes in which no object is of an unseen kind."""
    return [
        row
        for row, scene in enumerate(scenes)
        if all(spec.kind.name in split.seen for spec in scene.objects)
    ]


def tuned_rows(scenes: Iterable[Scene], split: KindSplit) -> list[int]:
    """Rows of `seen_rows` that may be learned from."""
    return [row for row in seen_rows(scenes, split) if row % _CHECK_EVERY]


def check_rows(scenes: Sequence[Scene], split: KindSplit) -> list[int]:
    """Rows of `seen_rows` with one object that no training uses; settings are chosen by them."""
    rows = seen_rows(scenes, split)
    return [row for row in rows if row % _CHECK_EVERY == 0 and len(scenes[row].objects) == 1]


def test_scenes(per_kind: int, every: int = 1) -> list[Scene]:
    """Held-out scenes of one object, so many of each n-th kind of both domains."""
    first = SPLITS["heldout"] + _TEST_OFFSET
    return [
        sample_scene(kind.domain, first + number * per_kind + i, main=kind, count=1)
        for number, kind in enumerate(all_kinds()[::every])
        for i in range(per_kind)
    ]
