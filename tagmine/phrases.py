"""Noun phrases of a parsed caption: head, modifiers and wording, from a phrase's tokens."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

_MODIFYING = frozenset({"amod", "nummod"})
# Said of a modifier and not of the object: "brightly colored", "snow covered", "about ten".
_QUALIFYING = frozenset({"advmod", "npadvmod", "quantmod"})
_PARTICIPLES = frozenset({"VBN", "VBG"})


@dataclasses.dataclass(frozen=True, slots=True)
class NounPhrase:
    """A noun phrase without its determiners.

    Attributes:
        text: its words as said, from the first modifier to the head ("parked cars").
        head: lemma of the noun, with its compounds ("stop sign").
        attributes: lemma of each modifier in the order said ("parked",).
    """

    text: str
    head: str
    attributes: tuple[str, ...]


def attribute_lemma(token: Token) -> str:
    """The lemma of a modifier; a participle keeps its form, for a parked car does not park."""
    return token.lower_ if token.tag_ in _PARTICIPLES else token.lemma_


def read_phrase(
    doc: Doc, start: int, end: int, named: frozenset[int] = frozenset()
) -> NounPhrase:
    """Reads one noun chunk, in one pass over its tokens.

    Args:
        doc: the parsed caption.
        start: first token of the chunk.
        end: one past its last token, which is its root.
        named: positions that belong to a named entity. They are tags of their own, so "Nike
            shoes" is an object "shoes".
    """
    root = doc[end - 1]
    first = end - 1
    compounds: list[str] = []
    modifiers: list[str] = []
    for i in range(start, end - 1):
        token = doc[i]
        dep = token.dep_
        if dep == "poss" or dep == "case":
            # What modifies a possessor is not said of the object.
            first = end - 1
            compounds.clear()
            modifiers.clear()
        elif dep == "compound" and i not in named:
            compounds.append(token.lemma_)
            first = min(first, i)
        elif dep in _MODIFYING or (dep == "conj" and token.head.dep_ == "amod"):
            modifiers.append(attribute_lemma(token))
            first = min(first, i)
    while first > start and doc[first - 1].dep_ in _QUALIFYING:
        first -= 1
    return NounPhrase(
        text=" ".join(doc[first:end].text.split()),
        head=" ".join([*compounds, root.lemma_]),
        attributes=tuple(modifiers),
    )
