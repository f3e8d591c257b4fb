"""Scenes: which objects stand where, sampled from a seed."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

from demo.world.backgrounds import BACKGROUNDS, VARIANTS, Background
from demo.world.brands import BRANDS, Brand
from demo.world.catalogue import all_kinds
from demo.world.kind import DOMAINS, PATTERNS, SIZES, Kind
from demo.world.places import PLACES, Place

RELATIONS = ("on", "under", "next to", "in front of", "behind")
"""What the first object of a scene can be to the second."""

SPLITS = {"datastore": 0, "heldout": 1 << 40, "encoder": 2 << 40, "study": 3 << 40}
"""First seed of each split.

The scenes of a datastore, the photos that query it, the encoder's training scenes and those of
a study come from ranges that cannot meet, so that no picture is its own neighbour.
"""

_OUTDOOR_CATEGORIES = ("vehicle", "street furniture")
_SHELTERS = frozenset(
    (
        "table",
        "chair",
        "bench",
        "stool",
        "piano",
        "parasol",
        "tree",
        "palm tree",
        "stall",
        "umbrella",
    )
)


@dataclasses.dataclass(frozen=True, slots=True)
class ObjectSpec:
    """One object of a scene.

    Attributes:
        kind: what it is.
        colour: one of the kind's colours.
        pattern: one of `PATTERNS`.
        size: one of `SIZES`, beside what is usual for its kind.
        material: one of the kind's materials, or "" where none is visible.
    """

    kind: Kind
    colour: str
    pattern: str = "plain"
    size: str = "medium"
    material: str = ""

    def __post_init__(self) -> None:
        for field, allowed in (
            ("colour", self.kind.colours),
            ("pattern", PATTERNS if self.kind.patterned else ("plain",)),
            ("size", SIZES),
            ("material", ("", *self.kind.materials)),
        ):
            value = getattr(self, field)
            if value not in allowed:
                raise ValueError(f"{self.kind.name}: {field} {value!r} is none of {allowed}")

    @property
    def attributes(self) -> tuple[str, ...]:
        """What can be seen of it, in the order English says it: size, pattern, colour, material."""
        size = "" if self.size == "medium" else self.size
        pattern = "" if self.pattern == "plain" else self.pattern
        return tuple(word for word in (size, pattern, self.colour, self.material) if word)


@dataclasses.dataclass(frozen=True, slots=True)
class Scene:
    """A picture before it is drawn.

    Attributes:
        objects: one to three objects, the main one first.
        relation: what the first object is to the second, one of `RELATIONS`; "" for one object.
        place: the named place it is in, if any.
        brand: the brand of the first object, if any.
        background: its setting.
        domain: "street" or "fashion".
        seed: where positions, turns and the version of the background are drawn from.
    """

    objects: tuple[ObjectSpec, ...]
    relation: str
    place: Place | None
    brand: Brand | None
    background: Background
    domain: str
    seed: int

    def __post_init__(self) -> None:
        if not 1 <= len(self.objects) <= 3:
            raise ValueError(f"a scene holds 1 to 3 objects, got {len(self.objects)}")
        if (len(self.objects) == 1) != (self.relation == ""):
            raise ValueError(
                f"{len(self.objects)} objects and relation {self.relation!r} do not fit:"
                " one object has none, several have one"
            )
        if self.relation and self.relation not in RELATIONS:
            raise ValueError(f"relation {self.relation!r} is none of {RELATIONS}")

    @property
    def main(self) -> ObjectSpec:
        """The object that the picture is about."""
        return self.objects[0]


def sample_object(kind: Kind, rng: random.Random) -> ObjectSpec:
    """An object of this kind with attributes drawn from `rng`."""
    patterned = kind.patterned and rng.random() < 0.4
    textured = bool(kind.materials) and rng.random() < 0.4
    return ObjectSpec(
        kind=kind,
        colour=rng.choice(kind.colours),
        pattern=rng.choice(PATTERNS[1:]) if patterned else "plain",
        size=rng.choices(SIZES, (1, 4, 1))[0],
        material=rng.choice(kind.materials) if textured else "",
    )


def _sample_relation(kinds: Sequence[Kind], rng: random.Random) -> str:
    if len(kinds) == 1:
        return ""
    options = ["next to", "next to", "in front of", "behind"]
    if kinds[1].surface and kinds[0].scale <= kinds[1].scale + 0.05:
        options += ["on"] * 4
    if kinds[1].name in _SHELTERS and kinds[0].scale < 1:
        options += ["under"] * 4
    return rng.choice(options)


def _sample_background(domain: str, kinds: Sequence[Kind], rng: random.Random) -> Background:
    """A setting; what is bigger than a room's door is not set in a room."""
    bulky = any(kind.category in _OUTDOOR_CATEGORIES and kind.scale >= 1 for kind in kinds)
    options = BACKGROUNDS[domain]
    return rng.choice([option for option in options if not (bulky and option.indoors)])


def sample_scene(
    domain: str,
    seed: int,
    *,
    kinds: Sequence[Kind] | None = None,
    main: Kind | None = None,
    count: int | None = None,
) -> Scene:
    """The scene of a seed; equal arguments give equal scenes in every process.

    Args:
        domain: "street" or "fashion".
        seed: any integer; `SPLITS` keeps the ranges of different uses apart.
        kinds: kinds to choose from; all of the domain by default.
        main: kind of the first object, where it must be this one.
        count: number of objects, 1 to 3, where it must be this one.

    Raises:
        ValueError: for an unknown domain, or kinds none of which is of the domain.
    """
    if domain not in DOMAINS:
        raise ValueError(f"domain {domain!r} is none of {DOMAINS}")
    choices = [kind for kind in (kinds or all_kinds()) if kind.domain == domain]
    if not choices:
        raise ValueError(f"none of the given kinds is of the domain {domain!r}")
    rng = random.Random(f"scene {domain} {seed}")
    number = count or rng.choices((1, 2, 3), (5, 4, 1))[0]
    # Several objects of one kind would make "the car" ambiguous in a caption.
    number = min(number, len(choices))
    picked = [main or rng.choice(choices)]
    surfaces = [kind for kind in choices if kind.surface]
    while len(picked) < number:
        pool = surfaces if len(picked) == 1 and surfaces and rng.random() < 0.3 else choices
        kind = rng.choice(pool)
        if kind not in picked:
            picked.append(kind)
        elif all(other in picked for other in choices):
            break
    return Scene(
        objects=tuple(sample_object(kind, rng) for kind in picked),
        relation=_sample_relation(picked, rng),
        place=rng.choice(PLACES) if rng.random() < 0.35 else None,
        brand=rng.choice(BRANDS) if rng.random() < (0.5 if domain == "fashion" else 0.15) else None,
        background=_sample_background(domain, picked, rng),
        domain=domain,
        seed=seed,
    )


def background_variant(scene: Scene) -> int:
    """Which version of its background a scene has."""
    return random.Random(f"background {scene.seed}").randrange(VARIANTS)
