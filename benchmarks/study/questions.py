"""Questions about a scene, with answers of a word or two, as LLaVA's short-answer data has them."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Collection, Sequence

from demo.world import ObjectSpec, Scene, all_kinds, kind_named

NAME = "what is the main thing in the picture ?"
COLOUR = "what colour is it ?"
PATTERN = "what pattern does it have ?"
MATERIAL = "what is it made of ?"
_YES_NO_TURNS = 4


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        task: "name", "exists", "colour", "pattern" or "material".
        text: the question.
        answer: what is right.
    """

    task: str
    text: str
    answer: str


def name_question(scene: Scene) -> Question:
    """Which kind the main object is of."""
    return Question("name", NAME, scene.main.kind.name)


def attribute_questions(spec: ObjectSpec) -> list[Question]:
    """What can be asked of an object without naming it; no pattern where its kind has none."""
    asked = [Question("colour", COLOUR, spec.colour)]
    if spec.kind.patterned:
        asked.append(Question("pattern", PATTERN, spec.pattern))
    if spec.material:
        asked.append(Question("material", MATERIAL, spec.material))
    return asked


def exists_question(name: str, there: bool) -> Question:
    """POPE's question of one kind."""
    return Question("exists", f"is there a {name} in the picture ?", "yes" if there else "no")


def absent_kind(scene: Scene, names: Collection[str], rng: random.Random) -> str:
    """A kind that is not in the scene; every other time of the main object's category.

    Args:
        scene: the picture.
        names: kinds to choose from.
        rng: the choice.
    """
    present = {spec.kind.name for spec in scene.objects}
    absent = sorted(set(names) - present)
    near = [n for n in absent if kind_named(n).category == scene.main.kind.category]
    return rng.choice(near if near and rng.random() < 0.5 else absent)


def conversation(scene: Scene, names: Collection[str], rng: random.Random) -> list[Question]:
    """The turns of one conversation of the tuning set.

    Half of them ask whether kinds are there; the others what the main object is and how it looks,
    its name first, so that no earlier turn gives it away.

    Args:
        scene: the picture.
        names: kinds that may be said.
        rng: what is asked.
    """
    if len(scene.objects) == 1 and rng.random() < 0.6:
        return [name_question(scene), *attribute_questions(scene.main)]
    turns = []
    for _ in range(_YES_NO_TURNS):
        there = rng.random() < 0.5
        name = rng.choice(scene.objects).kind.name if there else absent_kind(scene, names, rng)
        turns.append(exists_question(name, there))
    return turns


def test_questions(scene: Scene, group: Collection[str], rng: random.Random) -> list[Question]:
    """What is asked of a test picture, each by itself.

    Args:
        scene: of one object.
        group: kinds of the picture's own group; absent ones come from it, so that being unheard
            of is no sign of absence.
        rng: which absent kind.
    """
    return [
        name_question(scene),
        exists_question(scene.main.kind.name, True),
        exists_question(absent_kind(scene, group, rng), False),
        *attribute_questions(scene.main),
    ]


def group_names(group: str, seen: Collection[str], unseen: Collection[str]) -> Sequence[str]:
    """Kinds of a group of pictures: "seen", "unseen" or "fashion"."""
    if group == "fashion":
        return [kind.name for kind in all_kinds("fashion")]
    return sorted(seen if group == "seen" else unseen)
