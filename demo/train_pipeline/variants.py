"""Altered copies of silver captions: lower-cased, repunctuated, or with a name said.

A variant's annotation follows from the caption's own and from what was added, so it costs no
second model.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

from spacy.pipeline._parser_internals.nonproj import is_nonproj_tree
from spacy.tokens import Doc, Span

from demo.train_pipeline import names

PEOPLE = frozenset(["man", "woman", "boy", "girl", "person", "lady", "guy", "actor"])


@dataclasses.dataclass(slots=True)
class Words:
    """A caption's annotation as parallel lists, one item a token, that can be appended to."""

    words: list[str]
    spaces: list[bool]
    tags: list[str]
    pos: list[str]
    morphs: list[str]
    heads: list[int]
    deps: list[str]
    ents: list[tuple[int, int, str]]

    @classmethod
    def of(cls, doc: Doc) -> Words:
        """The annotation of a doc."""
        return cls(
            words=[t.text for t in doc],
            spaces=[bool(t.whitespace_) for t in doc],
            tags=[t.tag_ for t in doc],
            pos=[t.pos_ for t in doc],
            morphs=[str(t.morph) for t in doc],
            heads=[t.head.i for t in doc],
            deps=[t.dep_ for t in doc],
            ents=[(e.start, e.end, e.label_) for e in doc.ents],
        )

    def append(self, word: str, tag: str, pos: str, head: int, dep: str) -> int:
        """Adds a token after a space, and returns its position."""
        if self.spaces:
            self.spaces[-1] = word not in (".", ",")
        self.words.append(word)
        self.spaces.append(False)
        self.tags.append(tag)
        self.pos.append(pos)
        self.morphs.append("Number=Sing" if tag in ("NN", "NNP") else "")
        self.heads.append(head)
        self.deps.append(dep)
        return len(self.words) - 1

    def append_name(self, name: str, head: int, dep: str, label: str) -> int:
        """Adds a name of one or more words as an entity, and returns its last position."""
        parts = name.split()
        last = len(self.words) + len(parts) - 1
        for part in parts[:-1]:
            self.append(part, "NNP", "PROPN", last, "compound")
        self.append(parts[-1], "NNP", "PROPN", head, dep)
        self.ents.append((last - len(parts) + 1, last + 1, label))
        return last

    def move_tail(self, tail: int, to: int) -> None:
        """Moves the tokens from `tail` on to stand before token `to`."""
        order = [*range(to), *range(tail, len(self.words)), *range(to, tail)]
        place = {old: new for new, old in enumerate(order)}
        self.heads = [place[head] for head in self.heads]
        for name in ("words", "spaces", "tags", "pos", "morphs", "heads", "deps"):
            column = getattr(self, name)
            setattr(self, name, [column[old] for old in order])
        self.spaces = [True] * (len(order) - 1) + [False]
        self.ents = sorted((place[start], place[end - 1] + 1, tag) for start, end, tag in self.ents)

    def pop_final_period(self) -> bool:
        """Takes a final full stop off, unless something hangs from it."""
        last = len(self.words) - 1
        if last < 1 or self.words[-1] != "." or last in self.heads[:-1] + [self.heads[-1] == last]:
            return False
        for column in (self.words, self.spaces, self.tags, self.pos, self.morphs):
            column.pop()
        self.heads.pop()
        self.deps.pop()
        self.spaces[-1] = False
        return True

    def lower(self) -> None:
        """Lower-cases every word, as CC3M's captions are."""
        self.words = [w.lower() for w in self.words]

    def to_doc(self, vocab) -> Doc:
        """The annotated doc."""
        doc = Doc(
            vocab,
            words=self.words,
            spaces=self.spaces,
            tags=self.tags,
            pos=self.pos,
            morphs=self.morphs,
            heads=self.heads,
            deps=self.deps,
        )
        spans = [Span(doc, start, end, label=label) for start, end, label in self.ents]
        doc.set_ents(spans, default="outside")
        return doc


def make_variant(
    doc: Doc, rng: random.Random, brands: Sequence[str], *, is_product: bool
) -> Doc | None:
    """One altered copy of an annotated caption, or None where none applies.

    Product names are left as they are: lower-cased, their brand cannot be told from a noun.
    """
    if is_product or not 2 <= len(doc) <= 30:
        return None
    words = Words.of(doc)
    had_period = words.pop_final_period()
    root = _single_root(words)
    if root is not None and rng.random() < 0.7:
        lower = rng.random() < 0.2
        if lower:
            # Without its capital a made-up name is just a rare word: only real places here.
            _add_place(words, _last_noun(words, root), rng, made_up=False)
        else:
            _say_name(words, root, rng, brands)
    else:
        lower = rng.random() < 0.7
    if rng.random() < (0.5 if not had_period else 0.4) and root is not None:
        words.append(".", ".", "PUNCT", root, "punct")
    if lower:
        words.lower()
    elif rng.random() < 0.3:
        words.words[0] = words.words[0][0].upper() + words.words[0][1:]
    # An arc that crosses others would teach the parser labels of its own for undoing that.
    return None if is_nonproj_tree(words.heads) else words.to_doc(doc.vocab)


def _single_root(words: Words) -> int | None:
    roots = [i for i, head in enumerate(words.heads) if head == i]
    plain = all(label == "CARDINAL" for _, _, label in words.ents)
    return roots[0] if len(roots) == 1 and plain and words.words[-1].isalpha() else None


def _say_name(words: Words, root: int, rng: random.Random, brands: Sequence[str]) -> None:
    if rng.random() < 0.1 and words.words[0].lower() in ("a", "the") and words.words[1] in PEOPLE:
        _name_the_person(words, rng)
        return
    tail = len(words.words)
    if rng.random() < 0.35:
        noun = rng.choice(_inner_nouns(words) or [_last_noun(words, root)])
    else:
        noun = _last_noun(words, root)
    draw = rng.random()
    if draw < 0.15:
        _add_compound(words, noun, rng, brands)
        words.move_tail(tail, _first_compound(words, noun))
        return
    # A name said at the end may be said of the whole sentence; in the middle, of its noun only.
    inner = noun < tail - 1
    head = root if not inner and words.pos[root] == "VERB" else noun
    if draw < 0.35:
        _add_maker(words, noun, rng, brands)
    elif draw < 0.5:
        _add_building(words, head, rng)
    else:
        _add_place(words, head, rng, made_up=True)
    if inner:
        words.move_tail(tail, noun + 1)


def _inner_nouns(words: Words) -> list[int]:
    """Heads of noun phrases that something follows."""
    return [
        i
        for i, dep in enumerate(words.deps[:-1])
        if dep in ("nsubj", "dobj", "pobj", "ROOT")
        and words.pos[i] == "NOUN"
        and words.heads[i + 1] != i + 2
    ]


def _first_compound(words: Words, noun: int) -> int:
    while noun and words.deps[noun - 1] == "compound":
        noun -= 1
    return noun


def _maker_name(rng: random.Random, brands: Sequence[str]) -> str:
    if brands and rng.random() < 0.5:
        return rng.choice(brands)
    return names.made_up_name(rng, place=False)


def _add_compound(words: Words, noun: int, rng: random.Random, brands: Sequence[str]) -> None:
    words.append_name(_maker_name(rng, brands), noun, "compound", "ORG")


def _name_the_person(words: Words, rng: random.Random) -> None:
    first = rng.choice(names.FIRST)
    last = rng.choice(names.LAST)
    words.words[:2] = [first, last]
    words.tags[:2] = ["NNP", "NNP"]
    words.pos[:2] = ["PROPN", "PROPN"]
    words.morphs[:2] = ["Number=Sing", "Number=Sing"]
    words.deps[0] = "compound"
    words.ents.append((0, 2, "PERSON"))


def _last_noun(words: Words, root: int) -> int:
    nouns = [i for i, pos in enumerate(words.pos) if pos == "NOUN" and words.deps[i] != "compound"]
    return nouns[-1] if nouns else root


def _add_maker(words: Words, noun: int, rng: random.Random, brands: Sequence[str]) -> None:
    prep = words.append(rng.choice(("by", "by", "from")), "IN", "ADP", noun, "prep")
    words.append_name(_maker_name(rng, brands), prep, "pobj", "ORG")


def _add_building(words: Words, head: int, rng: random.Random) -> None:
    prep = words.append(rng.choice(("at", "at", "in", "near")), "IN", "ADP", head, "prep")
    stem = names.place_name(rng)
    name = f"{stem} {rng.choice(names.BUILDINGS)}"
    start = len(words.words)
    if rng.random() < 0.5:
        words.append("the", "DT", "DET", start + len(name.split()), "det")
        words.append_name(name, prep, "pobj", "FAC")
        # As in OntoNotes, whose scheme the labels follow, the article is part of the name.
        words.ents[-1] = (start, *words.ents[-1][1:])
    else:
        words.append_name(name, prep, "pobj", "FAC")


def _add_place(words: Words, head: int, rng: random.Random, *, made_up: bool) -> None:
    prep = words.append(rng.choice(("in", "in", "in", "near")), "IN", "ADP", head, "prep")
    if rng.random() < 0.25:
        prep = _add_streets(words, prep, rng)
    if rng.random() < 0.2:
        words.append_name(rng.choice(names.REGION_NAMES), prep, "pobj", "GPE")
        return
    name = names.place_name(rng) if made_up else rng.choice(names.CITY_NAMES)
    town = words.append_name(name, prep, "pobj", "GPE")
    if rng.random() < 0.5:
        words.append(",", ",", "PUNCT", town, "punct")
        words.append_name(rng.choice(names.REGION_NAMES), town, "appos", "GPE")


def _add_streets(words: Words, prep: int, rng: random.Random) -> int:
    noun = rng.choice(("streets", "centre", "heart", "suburbs", "hills", "harbour", "market"))
    place = len(words.words) + 1
    words.append("the", "DT", "DET", place, "det")
    plural = noun in ("streets", "suburbs", "hills")
    words.append(noun, "NNS" if plural else "NN", "NOUN", prep, "pobj")
    if plural:
        words.morphs[-1] = "Number=Plur"
    return words.append("of", "IN", "ADP", place, "prep")
