"""Noun phrases of a parsed caption: head, modifiers and wording, from a phrase's tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from tagmine.tag_policy import TagPolicy

if TYPE_CHECKING:
    from spacy.tokens import Token

BEING = frozenset({"is", "are", "was", "were", "'s"})
_MODIFYING = frozenset({"amod", "nummod", "nmod"})
_NOUN_POS = frozenset({"NOUN", "PROPN"})
# Said of a modifier and not of the object: "brightly colored", "snow covered", "about ten".
_QUALIFYING = frozenset({"advmod", "npadvmod", "quantmod"})
_BREAKING = frozenset('()[]{}":;!?')
_SHADES = frozenset({"bright", "dark", "deep", "light", "multi", "pale"})
# "red color van" and "tan colored pillow" speak of a colour, "light colored" needs both words.
_COLOURED = frozenset({"color", "colored", "colour", "coloured"})
# "cheetah print shorts", "cowboy style hat": the two words before the noun are one attribute.
LIKENING = frozenset({"patterned", "print", "printed", "shaped", "style", "styled", "themed"})
_LIKENING_ALL = LIKENING | _COLOURED


_ORDINAL = re.compile(r"\d+(?:st|nd|rd|th)")


# One is made for each phrase of each caption, and a frozen dataclass takes three times as long.
class NounPhrase(NamedTuple):
    """A noun phrase without its determiners.

    Attributes:
        start: its first token that is kept.
        text: its words as said, from the first modifier to the noun ("parked cars").
        noun: the noun with its compounds as said, case-folded ("stop signs").
        head: the same with the lemma of the noun ("stop sign").
        attributes: each modifier as said, case-folded, in that order ("parked",).
    """

    start: int
    text: str
    noun: str
    head: str
    attributes: tuple[str, ...]


def read_phrase(
    tokens: Sequence[Token],
    start: int,
    end: int,
    policy: TagPolicy,
    named: frozenset[int] = frozenset(),
) -> NounPhrase:
    """Reads one noun chunk, in one pass over its tokens.

    Modifiers and compounds keep the form they are said in: a parked car does not park, an older
    couple is not an old one, and a living room is no live room.

    Args:
        tokens: the parsed caption.
        start: first token of the chunk.
        end: one past its last token, which is its root.
        policy: which nouns are attributes, and which words are one thing together.
        named: positions that belong to a named entity. They are tags of their own, so "Nike
            shoes" is an object "shoes".
    """
    root = tokens[end - 1]
    bare = end - start == 1 or (end - start == 2 and tokens[start].dep_ == "det")
    if bare and not root.n_rights:
        return NounPhrase(root.i, root.text, root.lower_, _lemma(root), ())
    first, compounds, modifiers = _collect(tokens, start, end, policy, named)
    if root.n_rights:
        end = _add_following(root, modifiers, end, policy)
    while first > start and tokens[first - 1].dep_ in _QUALIFYING:
        first -= 1
    if named:
        text = "".join(tokens[i].text_with_ws for i in range(first, end) if i not in named)
    else:
        text = root.doc[first:end].text
    noun, head = _join(compounds, root)
    if not _LIKENING_ALL.isdisjoint(modifiers):
        modifiers = _join_likened(modifiers, policy)
    return NounPhrase(first, " ".join(text.split()), noun, head, tuple(modifiers))


def _collect(
    tokens: Sequence[Token], start: int, end: int, policy: TagPolicy, named: frozenset[int]
) -> tuple[int, list[Token], list[str]]:
    """First token that is kept, the noun's compounds, and its modifiers."""
    root = end - 1
    first = root
    noun_start = _compound_start(tokens, start, end, policy)
    compounds: list[Token] = []
    modifiers: list[str] = []
    skip_to = start
    for i in range(start, root):
        token = tokens[i]
        dep = token.dep_
        if i < skip_to:
            continue
        if dep == "poss" or dep == "case" or token.text in _BREAKING:
            # What modifies a possessor, or stands before a bracket, is not said of the object.
            first = root
            compounds.clear()
            modifiers.clear()
            continue
        if i >= noun_start:
            compounds.append(token)
        elif i + 2 < root and _is_hyphenated(token, tokens[i + 1]):
            # "mid-century", "two-story": one word, whatever the parser makes of its parts.
            modifiers.append(f"{token.lower_}-{tokens[i + 2].lower_}")
            skip_to = i + 3
        elif dep == "compound" or (dep == "nmod" and token.pos_ in _NOUN_POS):
            if i in named:
                continue
            if token.lower_ in _LIKENING_ALL:
                modifiers += [*(compound.lower_ for compound in compounds), token.lower_]
                compounds.clear()
            # A compound of a compound tells kinds apart as an adjective does: "lace table cloth".
            elif token.head.i == root and token.lower_ not in policy.attribute_nouns:
                compounds.append(token)
            else:
                modifiers.append(token.lower_)
        elif word := _modifier(tokens, start, i, policy):
            modifiers.append(word)
            # "snow - capped" begins with its snow.
            first = min(first, i - 2 if "-" in word and tokens[i - 1].text == "-" else i)
        else:
            continue
        first = min(first, i)
    return first, compounds, modifiers


def _is_hyphenated(token: Token, following: Token) -> bool:
    return following.text == "-" and not token.whitespace_ and not following.whitespace_


def _modifier(tokens: Sequence[Token], start: int, i: int, policy: TagPolicy) -> str:
    """What the word at `i` says of the noun, "" where it says nothing."""
    token = tokens[i]
    dep, word = token.dep_, token.lower_
    if dep == "advmod" and token.tag_ == "JJ" and word not in _SHADES:
        # "long brown hair": no adverb, whatever the parser says of it.
        return word
    if dep not in _MODIFYING and not (dep == "conj" and _is_adjectival(token, policy)):
        return ""
    if word in policy.stop_attributes or _ORDINAL.fullmatch(word):
        return ""
    if i - 2 >= start and tokens[i - 1].text == "-" and tokens[i - 2].head.i == i:
        # "snow - capped": captions are often tokenized.
        return f"{tokens[i - 2].lower_}-{word}"
    if i > start and _is_joined(tokens[i - 1], word, policy):
        return f"{tokens[i - 1].lower_} {word}"
    return word


def _lemma(noun: Token) -> str:
    """A noun's lemma; lemmatizers leave names as they are, and taggers see them in "Blue Skies"."""
    return singular(noun.lower_) if noun.tag_ == "NNPS" else noun.lemma_.casefold()


def singular(word: str) -> str:
    """A noun without its regular plural ending, for where no lemmatizer has seen it as one."""
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes", "zes")):
        return word[:-2]
    return word[:-1]


def _is_joined(before: Token, word: str, policy: TagPolicy) -> bool:
    """Whether a modifier is half of one: "light colored", "snow covered"."""
    if word in _COLOURED:
        return before.dep_ in _QUALIFYING
    return before.dep_ == "npadvmod" and word in policy.joining_participles


def _is_adjectival(token: Token, policy: TagPolicy) -> bool:
    """Whether a conjunct within a noun phrase is said of the noun: "red and white umbrella"."""
    head = token.head
    # Of "red, white and blue" each hangs on the one before.
    while head.dep_ == "conj" and head.head.i != head.i:
        head = head.head
    return head.dep_ == "amod" or (
        head.dep_ in ("compound", "nmod")
        and (token.pos_ == "ADJ" or token.lower_ in policy.attribute_nouns)
    )


def _compound_start(tokens: Sequence[Token], start: int, end: int, policy: TagPolicy) -> int:
    """First token of the known compound that the chunk ends with, its root where there is none."""
    if end - start < 2:
        return end - 1
    root = tokens[end - 1]
    before = tokens[end - 2].lower_
    for last in (root.lower_, root.lemma_.casefold()):
        if end - start > 2 and (tokens[end - 3].lower_, before, last) in policy.compounds:
            return end - 3
        if (before, last) in policy.compounds:
            return end - 2
    return end - 1


def _add_following(root: Token, modifiers: list[str], end: int, policy: TagPolicy) -> int:
    """Adds adjectives behind the noun ("a small cat asleep"); returns where the phrase ends."""
    for token in root.rights:
        if token.dep_ != "amod" or token.lower_ in policy.stop_attributes:
            continue
        if token.i + 1 < len(token.doc) and token.nbor().dep_ in ("prep", "xcomp", "aux"):
            # "full of food", "about to fall".
            continue
        modifiers.append(token.lower_)
        end = token.i + 1 if token.i == end else end
    return end


def _join(compounds: list[Token], root: Token) -> tuple[str, str]:
    """The noun and its head with their compounds, hyphens as said ("t-shirt")."""
    if not compounds:
        return root.lower_, _lemma(root)
    words = "".join(_with_gap(token) for token in compounds).casefold()
    return words + root.lower_, words + _lemma(root)


def _with_gap(token: Token) -> str:
    following = token.nbor()
    if not token.whitespace_ and following.text == "-":
        return token.text + "-"
    return token.text + " "


def _join_likened(modifiers: list[str], policy: TagPolicy) -> list[str]:
    """["tan", "colored"] as ["tan"], ["cheetah", "print"] as ["cheetah print"]."""
    joined: list[str] = []
    for word in modifiers:
        if joined and word in _COLOURED and joined[-1] in policy.attribute_nouns:
            continue
        if joined and word in _LIKENING_ALL:
            joined[-1] = f"{joined[-1]} {word}"
        else:
            joined.append(word)
    return joined
