"""What a caption says of an object behind it: "the car is red", "a man walking", "made of wood"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from tagmine.phrases import BEING
from tagmine.tag_policy import TagPolicy

if TYPE_CHECKING:
    from spacy.tokens import Token

NEGATIONS = frozenset({"not", "n't", "never", "no", "hardly"})
_RELATIVE_TAGS = frozenset({"WDT", "WP"})
_ADJECTIVE_TAGS = frozenset({"JJ", "JJR", "JJS"})
_ADVERB_TAGS = frozenset({"RB", "RBR", "RBS"})
_PARTICIPLE_TAGS = frozenset({"VBG", "VBN"})
_JOINING = frozenset({"and", ",", "or", "/", "but"})
_SUBJECT_DEPS = frozenset({"nsubj", "nsubjpass"})
# A participle that one of these follows tells of nothing but the object itself.
_CLOSING_TAGS = frozenset({".", ",", ":", "CC", "-RRB-"})
_MADE = frozenset({"made", "built", "crafted", "constructed", "carved"})
_OF = frozenset({"of", "from"})


class _Object(Protocol):
    noun: str
    predicates: list[str]


def add_predicates(
    tokens: Sequence[Token],
    words: Sequence[str],
    tags: Sequence[str],
    objects: Mapping[int, _Object],
    policy: TagPolicy,
) -> None:
    """Adds to each object what is said of it elsewhere in the caption.

    Args:
        tokens: the parsed caption.
        words: its words, case-folded.
        tags: their parts of speech, as mended.
        objects: the caption's objects by the position of their noun.
        policy: attributes that are never kept, and nouns that are attributes.
    """
    for i, (lower, tag) in enumerate(zip(words, tags, strict=True)):
        if lower in BEING:
            if said := _complement(tokens, i + 1, policy):
                for subject in _subjects(tokens[i], objects):
                    subject.predicates += said
        elif tag in _PARTICIPLE_TAGS:
            if lower in _MADE:
                _add_material(tokens, tokens[i], objects, policy)
            elif (
                (before := objects.get(i - 1))
                and lower not in policy.stop_attributes
                and _ends_here(tokens, i)
            ):
                before.predicates.append(lower)


def _complement(tokens: Sequence[Token], i: int, policy: TagPolicy) -> list[str]:
    """The adjectives from position `i` on.

    None where they lead to a noun ("is a red car") or are denied ("is not red"); of "is blue and
    clouds are white", what stands before the "and".
    """
    words: list[str] = []
    settled = 0
    hyphenated = False
    for j in range(i, len(tokens)):
        token = tokens[j]
        lower = token.lower_
        if lower in policy.stop_attributes or lower in NEGATIONS:
            return words[:settled]
        if lower == "-" and words and j + 1 < len(tokens) and not tokens[j - 1].whitespace_:
            hyphenated = True
        elif hyphenated:
            words[-1] = f"{words[-1]}-{lower}"
            hyphenated = False
        elif _is_said_of(tokens, j, policy):
            words.append(lower)
        elif words and lower in _JOINING:
            settled = len(words)
        elif token.tag_ not in _ADVERB_TAGS:
            nominal = token.pos_ in ("NOUN", "PROPN", "VERB")
            return words[:settled] if nominal else words
    return words


def _is_said_of(tokens: Sequence[Token], i: int, policy: TagPolicy) -> bool:
    tag = tokens[i].tag_
    if tag in _ADJECTIVE_TAGS or tokens[i].lower_ in policy.attribute_nouns:
        return True
    return tag in _PARTICIPLE_TAGS and _ends_here(tokens, i)


def _ends_here(tokens: Sequence[Token], i: int) -> bool:
    if i + 1 == len(tokens):
        return True
    after = tokens[i + 1]
    return after.tag_ in _CLOSING_TAGS or after.lower_ == "while"


def _subjects(token: Token, objects: Mapping[int, _Object]) -> Iterator[_Object]:
    """The objects that a form of "be" has as its subject, conjoined ones included."""
    verb = token.head if token.dep_ in ("aux", "auxpass", "cop") else token
    for child in verb.lefts:
        if child.dep_ in _SUBJECT_DEPS:
            # "a dog that is brown": the clause hangs on what it speaks of.
            yield from _conjoined(verb.head if child.tag_ in _RELATIVE_TAGS else child, objects)
            return


def _conjoined(token: Token, objects: Mapping[int, _Object]) -> Iterator[_Object]:
    while token is not None:
        if token.i in objects:
            yield objects[token.i]
        token = next((child for child in token.rights if child.dep_ == "conj"), None)


def _add_material(
    tokens: Sequence[Token], made: Token, objects: Mapping[int, _Object], policy: TagPolicy
) -> None:
    """ "a table made of wood" is a wood table."""
    i = made.i + 1
    if i < len(tokens) and tokens[i].lower_ == "out":
        i += 1
    if i + 1 >= len(tokens) or tokens[i].lower_ not in _OF:
        return
    material = next(
        (objects[j] for j in range(i + 1, min(i + 5, len(tokens))) if j in objects), None
    )
    if material is None or material.noun not in policy.attribute_nouns:
        return
    if made.dep_ in ("acl", "relcl"):
        owners = _conjoined(made.head, objects)
    else:
        owners = _subjects(made, objects) if made.n_lefts else iter(())
    for owner in owners:
        owner.predicates.append(material.noun)
