"""Mends what a tagger gets wrong on caption fragments, in the parsed caption itself.

Taggers are trained on whole sentences of newswire. At the start of "bear leaning against a
frame" or "label on a stick" they see a verb where a caption has its subject. The arcs between
words are mostly right there, and with the part of speech mended the noun phrase is found.
"""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

_NOUN_TAGS = frozenset({"NN", "NNS", "NNP", "NNPS"})
_VERB_TAGS = frozenset({"VB", "VBP", "VBZ", "VBD", "VBG", "VBN"})
# What follows the subject of a fragment: a participle, a preposition, a verb, a possessive.
_FOLLOWING = frozenset({"VBG", "VBN", "IN", "VBZ", "VBP", "VBD", "POS", "CC", "WDT", "WP"})
# What ends a noun phrase that a preposition or verb opened.
_CLOSING = frozenset({"IN", ".", ",", ":", "CC", "VBZ", "VBG", "VBN"})
# Words that only a noun phrase has to the left of its noun.
_NOMINAL_DEPS = frozenset({"det", "amod", "nummod", "poss", "compound"})
# Dependencies under which spaCy looks for a noun phrase.
_CHUNK_DEPS = frozenset(
    {"ROOT", "nsubj", "nsubjpass", "dobj", "pobj", "dative", "attr", "appos", "oprd", "conj"}
)


def mend_caption(doc: Doc, nouns: Set[str]) -> None:
    """Makes nouns of words that stand where only a noun can, in place.

    Args:
        doc: a parsed caption.
        nouns: case-folded words that are objects in captions more often than anything else.
    """
    tags = [token.tag_ for token in doc]
    for i, tag in enumerate(tags):
        if tag in _NOUN_TAGS:
            continue
        if _is_fragment_noun(doc, tags, i, nouns) or (
            tag in _VERB_TAGS and _has_noun_modifiers(doc, tags, i)
        ):
            _make_noun(doc[i])
            tags[i] = doc[i].tag_


def _is_fragment_noun(doc: Doc, tags: list[str], i: int, nouns: Set[str]) -> bool:
    """Whether a known object stands where a fragment has one, and not as a modifier."""
    if doc[i].lower_ not in nouns:
        return False
    before = tags[i - 1] if i else ""
    after = tags[i + 1] if i + 1 < len(tags) else "."
    if before in ("", ":", ",", ".", "DT", "PRP$", "CD") or (before == "JJ" and tags[i] != "VBG"):
        return after in _FOLLOWING or after == "." or after == ","
    return before == "IN" and after in _CLOSING and tags[i] != "VBG" or (
        before == "IN" and i + 1 == len(tags)
    )


def _has_noun_modifiers(doc: Doc, tags: list[str], i: int) -> bool:
    """Whether the parser hung an article, adjective or number before a word called a verb."""
    if i == 0 or tags[i] in ("VBG", "VBN"):
        return False
    return any(child.dep_ in _NOMINAL_DEPS for child in doc[i].lefts)


def _make_noun(token: Token) -> None:
    lower = token.lower_
    plural = len(lower) > 3 and lower.endswith("s") and not lower.endswith(("ss", "us", "is"))
    token.tag_ = "NNS" if plural else "NN"
    token.pos_ = "NOUN"
    token.lemma_ = _singular(lower) if plural else lower
    if token.dep_ not in _CHUNK_DEPS:
        token.dep_ = _likely_dep(token)


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes", "zes")):
        return word[:-2]
    return word[:-1]


def _likely_dep(token: Token) -> str:
    head = token.head
    if head.pos_ == "ADP":
        return "pobj"
    return "nsubj" if token.i < head.i else "dobj"
