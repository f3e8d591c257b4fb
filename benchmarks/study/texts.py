"""What the small Llama reads before it ever meets a picture: the world in words, all kinds."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator

from benchmarks.study.questions import (
    absent_kind,
    attribute_questions,
    exists_question,
    name_question,
)
from demo.world import SPLITS, Scene, all_kinds, caption, object_tag, sample_scene

BOS, EOS, PAD, UNKNOWN, IMAGE = "<s>", "</s>", "<pad>", "<unk>", "<image>"
USER, ASSISTANT = "user :", "assistant :"
# Away from the pool of tuning pictures, which starts at SPLITS["study"].
_TEXT_OFFSET = 1 << 36
_DOMAINS = ("street", "street", "fashion")


def turn(question: str, answer: str | None = None) -> str:
    """A question in the chat form, with its answer where there is one."""
    asked = f"{USER} {question} {ASSISTANT}"
    return asked if answer is None else f"{asked} {answer} {EOS}"


def _scene(rng: random.Random, *, count: int | None = None) -> Scene:
    domain = rng.choice(_DOMAINS)
    return sample_scene(domain, SPLITS["study"] + _TEXT_OFFSET + rng.getrandbits(32), count=count)


def _captions(rng: random.Random) -> str:
    scene = _scene(rng)
    return " ".join(caption(scene, rng).text for _ in range(rng.randint(1, 3)))


def _knowledge(rng: random.Random) -> str:
    kind = rng.choice(all_kinds())
    facts = [
        f"a {kind.name} is a kind of {kind.category} .",
        f"a {kind.name} can be {rng.choice(kind.colours)} or {rng.choice(kind.colours)} .",
        f"a {kind.name} belongs to the {kind.domain} .",
    ]
    facts += [f"a {kind.name} can be {material} ." for material in kind.materials[:2]]
    rng.shuffle(facts)
    return " ".join(facts)


def _description(scene: Scene, rng: random.Random) -> str:
    """What a reader is told of a scene, all true: sentences, phrases, or lists in several words."""
    spec = scene.main
    if rng.random() < 0.4:
        first = object_tag(spec, spec.attributes).text
        second = caption(scene, rng).text
        return rng.choice((f"{first} . {second}", f"captions : {first} | {second}"))
    phrases = [object_tag(spec, (word,)).text for word in spec.attributes] + [spec.kind.name]
    phrases += [scene.background.name] + ([scene.place.name] if scene.place else [])
    rng.shuffle(phrases)
    listed = " , ".join(phrases)
    allowed = "you are allowed to use or partially use the following tags"
    return rng.choice(
        (
            listed,
            " ".join(phrases),
            f"tags : {listed} .",
            f"according to the {rng.choice(('list', 'image'))} , {allowed} : [ {listed} ]",
        )
    )


def _reading(rng: random.Random) -> str:
    """A description and questions that it answers: what any chat model can do without pictures."""
    scene = _scene(rng, count=1)
    names = [kind.name for kind in all_kinds()]
    asked = [name_question(scene), *attribute_questions(scene.main)]
    if rng.random() < 0.5:
        asked = []
        for _ in range(3):
            there = rng.random() < 0.5
            name = scene.main.kind.name if there else absent_kind(scene, names, rng)
            asked.append(exists_question(name, there))
    first = dataclasses.replace(asked[0], text=f"{_description(scene, rng)} {asked[0].text}")
    return " ".join(turn(question.text, question.answer) for question in (first, *asked[1:]))


def text_stream(seed: int) -> Iterator[str]:
    """Texts without end, the same for the same seed.

    Captions, facts, and mostly descriptions with questions about them: to answer from what stands
    before is what the study needs of a language model, and what any chat model can do.
    """
    rng = random.Random(f"study texts {seed}")
    while True:
        share = rng.random()
        if share < 0.2:
            yield _captions(rng)
        elif share < 0.3:
            yield _knowledge(rng)
        else:
            yield _reading(rng)
