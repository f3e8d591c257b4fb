"""Captions of a scene, and the tags that a perfect miner would find in each."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable

from demo.world.scene import ObjectSpec, Scene
from tagmine.tags import Tag

_SYNONYMS = {
    "next to": ("next to", "beside", "near"),
    "under": ("under", "beneath"),
    "on": ("on",),
    "in front of": ("in front of",),
    "behind": ("behind",),
}

_VERBS = {
    "animal": (("stands", "stand"), ("sits", "sit"), ("waits", "wait")),
    "vehicle": (("is parked", "are parked"), ("stands", "stand"), ("waits", "wait")),
    "clothing": (("hangs", "hang"), ("is displayed", "are displayed"), ("is shown", "are shown")),
}
_ANY_VERBS = (("stands", "stand"), ("is", "are"), ("is seen", "are seen"))
_PARTICIPLES = {
    "animal": ("standing", "sitting", "waiting"),
    "vehicle": ("parked", "standing", "waiting"),
    "clothing": ("hanging", "displayed", "shown"),
}
_ANY_PARTICIPLES = ("standing", "placed", "seen")


@dataclasses.dataclass(frozen=True, slots=True)
class Caption:
    """A caption and its gold tags.

    Attributes:
        text: what is said.
        tags: what it says: an "attribute" tag for an object said with modifiers, an "object" tag
            for a bare noun, "entity" tags for a place (GPE) and a brand (ORG), in the order said.
    """

    text: str
    tags: tuple[Tag, ...]


def object_tag(spec: ObjectSpec, attributes: tuple[str, ...] = ()) -> Tag:
    """Tag of an object of a scene, said with these of its attributes."""
    phrase = (*attributes, spec.kind.name)
    return Tag(
        text=" ".join(phrase),
        lemma=" ".join((*attributes, spec.kind.lemma)),
        kind="attribute" if attributes else "object",
        head=spec.kind.lemma,
        attributes=attributes,
    )


def _entity_tag(name: str, label: str) -> Tag:
    return Tag(text=name, lemma=name, kind="entity", head=name, label=label)


def _plain_tag(name: str) -> Tag:
    return Tag(text=name, lemma=name, kind="object", head=name)


def scene_tags(scene: Scene) -> tuple[Tag, ...]:
    """Everything that is there, said or not: objects, each visible attribute, setting, entities."""
    tags: list[Tag] = []
    for spec in scene.objects:
        tags.append(object_tag(spec))
        tags.extend(object_tag(spec, (word,)) for word in spec.attributes)
    tags.append(_plain_tag(scene.background.name))
    if scene.brand:
        tags.append(_entity_tag(scene.brand.name, "ORG"))
    if scene.place:
        tags.append(_entity_tag(scene.place.name, "GPE"))
    return tuple(tags)


class _Writer:
    """Writes one caption piece by piece, noting the tag of each piece as it is said."""

    def __init__(self, scene: Scene, rng: random.Random) -> None:
        self.scene = scene
        self.rng = rng
        self.tags: list[Tag] = []
        self._chosen = [self._choose(spec) for spec in scene.objects]

    def _choose(self, spec: ObjectSpec) -> tuple[str, ...]:
        if self.rng.random() < 0.12:
            return ()
        return tuple(word for word in spec.attributes if self.rng.random() < 0.8)

    def noun(self, i: int) -> str:
        """Noun phrase of object `i`, its article included."""
        spec = self.scene.objects[i]
        attributes = self._chosen[i]
        self.tags.append(object_tag(spec, attributes))
        words = " ".join((*attributes, spec.kind.name))
        return self._article(words, spec.kind.plural) + words

    def _article(self, words: str, plural: bool) -> str:
        if plural:
            return self.rng.choice(("", "", "some "))
        return "an " if words[0] in "aeiou" else "a "

    def brand(self) -> str:
        """The brand behind its object, where there is one and it is said."""
        if not self.scene.brand or self.rng.random() < 0.15:
            return ""
        self.tags.append(_entity_tag(self.scene.brand.name, "ORG"))
        return self.rng.choice((" by ", " from ")) + self.scene.brand.name

    def where(self, *, must: bool = False) -> str:
        """The setting and the place, each where it is said; the setting for sure if it `must`."""
        parts = ""
        if self.rng.random() < 0.6 or must:
            self.tags.append(_plain_tag(self.scene.background.name))
            parts += " " + self.scene.background.phrase
        if self.scene.place and self.rng.random() < 0.85:
            self.tags.append(_entity_tag(self.scene.place.name, "GPE"))
            parts += " in " + self.scene.place.name
        return parts

    def relation(self) -> str:
        return " " + self.rng.choice(_SYNONYMS[self.scene.relation]) + " "

    def third(self) -> str:
        if len(self.scene.objects) < 3:
            return ""
        return self.rng.choice((" and ", " with ")) + self.noun(2)

    def verb(self, i: int) -> str:
        kind = self.scene.objects[i].kind
        singular, plural = self.rng.choice(_VERBS.get(kind.category, _ANY_VERBS))
        return plural if kind.plural else singular

    def be(self, i: int) -> str:
        return "are" if self.scene.objects[i].kind.plural else "is"

    def participle(self, i: int) -> str:
        kind = self.scene.objects[i].kind
        return self.rng.choice(_PARTICIPLES.get(kind.category, _ANY_PARTICIPLES))

    def predicate(self, i: int) -> str:
        """ "the car is red and striped": the adjectives behind the verb, joined by "and"."""
        spec = self.scene.objects[i]
        words = tuple(w for w in self._chosen[i] if w != spec.material) or (spec.colour,)
        self.tags.append(object_tag(spec, words))
        said = ", ".join(words[:-1]) + " and " + words[-1] if len(words) > 1 else words[0]
        return f"the {spec.kind.name} {self.be(i)} {said}"


def _fragment(w: _Writer) -> str:
    return w.noun(0) + w.brand() + w.where()


def _acting_fragment(w: _Writer) -> str:
    return f"{w.noun(0)}{w.brand()} {w.participle(0)}{w.where(must=True)}"


def _exists(w: _Writer) -> str:
    return f"there {w.be(0)} {w.noun(0)}{w.brand()}{w.where()}."


def _acts(w: _Writer) -> str:
    return f"{w.noun(0)}{w.brand()} {w.verb(0)}{w.where(must=True)}."


def _predicate(w: _Writer) -> str:
    return f"{w.predicate(0)}."


def _shown(w: _Writer) -> str:
    start = "these are" if w.scene.main.kind.plural else "this is"
    return f"{start} {w.noun(0)}{w.brand()}{w.where()}."


def _pair_fragment(w: _Writer) -> str:
    return w.noun(0) + w.brand() + w.relation() + w.noun(1) + w.third() + w.where()


def _pair_acts(w: _Writer) -> str:
    return f"{w.noun(0)}{w.brand()} {w.verb(0)}{w.relation()}{w.noun(1)}{w.third()}{w.where()}."


def _pair_exists(w: _Writer) -> str:
    return f"there {w.be(0)} {w.noun(0)}{w.brand()}{w.relation()}{w.noun(1)}{w.where()}."


def _conjunction(w: _Writer) -> str:
    if len(w.scene.objects) == 3:
        return f"{w.noun(0)}{w.brand()}, {w.noun(1)} and {w.noun(2)}{w.where()}"
    return f"{w.noun(0)}{w.brand()} and {w.noun(1)}{w.where()}"


def _two_predicates(w: _Writer) -> str:
    return f"{w.predicate(0)}, and {w.predicate(1)}{w.where()}."


_Template = Callable[[_Writer], str]
_SINGLE: tuple[_Template, ...] = (
    _fragment,
    _fragment,
    _acting_fragment,
    _exists,
    _acts,
    _predicate,
    _shown,
)
_SEVERAL: tuple[_Template, ...] = (
    _pair_fragment,
    _pair_fragment,
    _pair_acts,
    _pair_acts,
    _pair_exists,
    _conjunction,
    _two_predicates,
)


def caption(scene: Scene, rng: random.Random) -> Caption:
    """Write a caption of a scene.

    Args:
        scene: what is to be told; a caption tells most of it, rarely all.
        rng: decides on the wording; equal states give equal captions.
    """
    writer = _Writer(scene, rng)
    templates = _SINGLE if len(scene.objects) == 1 else _SEVERAL
    text = rng.choice(templates)(writer)
    if rng.random() < 0.8:
        text = text[0].upper() + text[1:]
    if not text.endswith(".") and rng.random() < 0.4:
        text += "."
    return Caption(text=text, tags=tuple(writer.tags))


def captions(scene: Scene, count: int) -> tuple[Caption, ...]:
    """Up to `count` different captions of a scene, the same for the same scene."""
    rng = random.Random(f"captions {scene.domain} {scene.seed}")
    found: dict[str, Caption] = {}
    for _ in range(4 * count):
        written = caption(scene, rng)
        found.setdefault(written.text, written)
        if len(found) == count:
            break
    return tuple(found.values())
