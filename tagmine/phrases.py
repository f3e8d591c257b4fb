"""Noun phrases of a parsed caption: head, modifiers and wording, from a phrase's tokens."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spacy.tokens import Doc

_MODIFYING = frozenset({"amod", "nummod"})
# Said of a modifier and not of the object: "brightly colored", "snow covered", "about ten".
_QUALIFYING = frozenset({"advmod", "npadvmod", "quantmod"})


@dataclasses.dataclass(frozen=True, slots=True)
class NounPhrase:
    """A noun phrase without its determiners.

    Attributes:
        text: its words as said, from the first modifier to the noun ("parked cars").
        noun: the noun with its compounds as said, case-folded ("stop signs").
        head: the same with the lemma of the noun ("stop sign").
        attributes: each modifier as said, case-folded, in that order ("parked",).
    """

    text: str
    noun: str
    head: str
    attributes: tuple[str, ...]


def read_phrase(doc: Doc, start: int, end: int, named: frozenset[int] = frozenset()) -> NounPhrase:
    """Reads one noun chunk, in one pass over its tokens.

    Modifiers and compounds keep the form they are said in: a parked car does not park, an older
    couple is not an old one, and a living room is no live room.

    Args:
        doc: the parsed caption.
        start: first token of the chunk.
        end: one past its last token, which is its root.
        named: positions that belong to a named entity. They are tags of their own, so "Nike
            shoes" is an object "shoes".
    """
    root = doc[end - 1]
    first = root.i
    compounds: list[str] = []
    modifiers: list[str] = []
    for i in range(start, root.i):
        token = doc[i]
        dep = token.dep_
        if dep == "poss" or dep == "case":
            # What modifies a possessor is not said of the object.
            first = root.i
            compounds.clear()
            modifiers.clear()
            continue
        if dep == "compound":
            if i in named:
                continue
            # A compound of a compound tells kinds apart as an adjective does: "lace table cloth".
            (compounds if token.head.i == root.i else modifiers).append(token.text.casefold())
        elif dep in _MODIFYING or (dep == "conj" and token.head.dep_ == "amod"):
            modifiers.append(token.text.casefold())
        else:
            continue
        first = min(first, i)
    if root.n_rights:
        for token in root.rights:
            if token.dep_ == "amod":
                modifiers.append(token.text.casefold())
                # "a small cat asleep": said where the chunk has ended.
                end = token.i + 1 if token.i == end else end
    while first > start and doc[first - 1].dep_ in _QUALIFYING:
        first -= 1
    if named:
        text = "".join(doc[i].text_with_ws for i in range(first, end) if i not in named)
    else:
        text = doc[first:end].text
    return NounPhrase(
        text=" ".join(text.split()),
        noun=" ".join([*compounds, root.text.casefold()]),
        head=" ".join([*compounds, root.lemma_.casefold()]),
        attributes=tuple(modifiers),
    )
