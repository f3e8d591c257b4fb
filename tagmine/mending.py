"""Mends what a tagger gets wrong on caption fragments, in the parsed caption itself.

Taggers are trained on whole sentences of newswire. At the start of "bear leaning against a
frame" or "label on a stick" they see a verb where a caption has its subject. The arcs between
words are mostly right there, and with the part of speech mended the noun phrase is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tagmine.phrases import BEING, singular
from tagmine.tag_policy import TagPolicy

if TYPE_CHECKING:
    from spacy.tokens import Token

_NOUN_TAGS = frozenset({"NN", "NNS", "NNP", "NNPS"})
_FINITE_TAGS = frozenset({"VB", "VBP", "VBZ", "VBD"})
# What follows the subject of a fragment: a participle, a preposition, a verb, a possessive.
_FOLLOWING = frozenset(
    {"VBG", "VBN", "IN", "VBZ", "VBP", "VBD", "POS", "CC", "WDT", "WP", ".", ","}
)
# What comes right before a noun phrase of one word.
_OPENING = frozenset({"", ":", ",", ".", "DT", "PRP$", "CD", "JJ"})
# What a noun of its own follows: a preposition, or a verb with its object.
_GOVERNING = frozenset({"IN", "VBG", "VBZ"})
# What ends such a noun phrase.
_CLOSING = frozenset({"IN", ".", ",", ":", "CC", "VBZ", "VBG", "VBN"})
# Adjectives that stand alone ("on the right", "the other").
_NO_NOUNS = frozenset(
    {"left", "right", "other", "same", "next", "rest", "whole", "very", "following"}
)
# Words that only a noun phrase has to the left of its noun.
_NOMINAL_DEPS = frozenset({"det", "amod", "nummod", "poss", "compound"})
# What a parser makes of a subject before its participle ("couple holding hands").
_STRAY_DEPS = frozenset({"advmod", "dep", "intj", "meta", "npadvmod"})
# What a tagger makes of an object's name that it does not know, at the start of a caption.
_STRAY_TAGS = frozenset({"VB", "VBP", "UH", "FW"})
# Dependencies under which spaCy looks for a noun phrase.
_CHUNK_DEPS = frozenset(
    {"ROOT", "nsubj", "nsubjpass", "dobj", "pobj", "dative", "attr", "appos", "oprd", "conj"}
)


def mend_caption(tokens: Sequence[Token], policy: TagPolicy) -> tuple[list[str], list[str]]:
    """Mends parts of speech, and the arcs within known compounds, in place.

    Args:
        tokens: a parsed caption.
        policy: which words are objects, verbs, or one thing together.

    Returns:
        The words, case-folded, and their tags as mended.
    """
    tags = [token.tag_ for token in tokens]
    words = [token.lower_ for token in tokens]
    for i, (tag, word) in enumerate(zip(tags, words, strict=True)):
        if word in policy.compound_starts:
            _mend_compound(tokens, words, i, policy)
        if tag in _NOUN_TAGS:
            if i and word in policy.verbs and _is_verb(tags, word, i):
                _make_verb(tokens, i)
            elif tokens[i].dep_ == "conj" and words[i + 1 : i + 2] and words[i + 1] in BEING:
                _mend_subject(tokens[i], tokens[i + 1])
            elif tokens[i].dep_ in _STRAY_DEPS and tags[i + 1 : i + 2] == ["VBG"]:
                tokens[i].dep_ = "nsubj"
        elif word in policy.joining_participles and i and tags[i - 1] in _NOUN_TAGS:
            _mend_joined(tokens, tags, i)
        elif tag == "VBG" and i and tags[i - 1] in _NOUN_TAGS and _is_taken_for_noun(tokens, i):
            _make_participle(tokens, i)
        elif _is_fragment_noun(tags, words, i, policy) or (
            tag == "JJ" and _is_lone_adjective(tokens[i], policy)
        ):
            _make_noun(tokens[i])
        elif i and tag in _FINITE_TAGS and _has_noun_modifiers(tokens[i]):
            if (
                tags[i - 1] in _NOUN_TAGS
                and words[i - 1] not in policy.attribute_nouns
                and singular(word) not in policy.nouns
            ):
                _make_verb(tokens, i)
            else:
                _make_noun(tokens[i])
        else:
            continue
        tags[i] = tokens[i].tag_
    return words, tags


def _is_fragment_noun(tags: list[str], words: list[str], i: int, policy: TagPolicy) -> bool:
    """Whether a known object stands where a fragment has one, and not as a modifier."""
    before = tags[i - 1] if i else ""
    after = tags[i + 1] if i + 1 < len(tags) else "."
    if words[i] not in policy.nouns and singular(words[i]) not in policy.nouns:
        return (
            i == 0
            and tags[0] in _STRAY_TAGS
            and after in ("VBG", "IN", "CC")
            and words[0] not in policy.imperatives
        )
    if before in _GOVERNING:
        return after in _CLOSING and tags[i] != "VBG"
    return before in _OPENING and not (before == "JJ" and tags[i] == "VBG") and after in _FOLLOWING


def _is_lone_adjective(token: Token, policy: TagPolicy) -> bool:
    """Whether an adjective stands where only a noun can: "view of the cathedral"."""
    if token.dep_ not in ("pobj", "dobj") or token.lower_ in _NO_NOUNS:
        return False
    return any(child.dep_ == "det" for child in token.lefts)


def _is_verb(tags: list[str], word: str, i: int) -> bool:
    """Whether a verb's form agrees with the noun before it: "a kite sits", "chickens graze"."""
    if word.endswith("s"):
        return tags[i - 1] in ("NN", "NNP")
    return tags[i - 1] in ("NNS", "NNPS") or word.endswith("ing")


def _has_noun_modifiers(token: Token) -> bool:
    """Whether the parser hung an article, adjective or noun before a word as before a noun."""
    return any(child.dep_ in _NOMINAL_DEPS for child in token.lefts)


def _make_noun(token: Token) -> None:
    lower = token.lower_
    lemma = singular(lower)
    token.tag_ = "NN" if lemma == lower else "NNS"
    token.pos_ = "NOUN"
    token.lemma_ = lemma
    if token.dep_ not in _CHUNK_DEPS:
        token.dep_ = _likely_dep(token)


def _likely_dep(token: Token) -> str:
    if token.head.pos_ == "ADP":
        return "pobj"
    return "nsubj" if token.i < token.head.i else "dobj"


def _make_verb(tokens: Sequence[Token], i: int) -> None:
    """The verb of "an old kite sits": what was its compound becomes its subject."""
    verb, noun = tokens[i], tokens[i - 1]
    if verb.pos_ != "VERB":
        verb.tag_, verb.pos_ = "VBZ", "VERB"
    if noun.head.i != i:
        return
    noun.dep_ = "nsubj"
    for child in list(verb.lefts):
        if child.i < i - 1 and child.dep_ in _NOMINAL_DEPS:
            child.head = noun


def _mend_subject(noun: Token, being: Token) -> None:
    """The clouds of "the sky is blue and clouds are white", which hang on the blue."""
    if noun.head.pos_ in ("NOUN", "PROPN"):
        return
    noun.dep_ = "nsubj"
    if not noun.is_ancestor(being):
        noun.head = being


def _is_taken_for_noun(tokens: Sequence[Token], i: int) -> bool:
    """Whether the parser made a participle the noun of the phrase before it."""
    before = tokens[i - 1]
    return (
        before.head.i == i
        and before.dep_ in ("compound", "nmod", "amod")
        and tokens[i].dep_ in ("pobj", "dobj", "attr", "conj", "appos")
    )


def _make_participle(tokens: Sequence[Token], i: int) -> None:
    """The standing of "of a fisherman standing": the fisherman takes its place in the sentence."""
    participle, noun = tokens[i], tokens[i - 1]
    noun.dep_, noun.head = participle.dep_, participle.head
    participle.dep_, participle.head = "acl", noun
    for child in list(participle.lefts):
        if child.dep_ in _NOMINAL_DEPS:
            child.head = noun


def _mend_joined(tokens: Sequence[Token], tags: list[str], i: int) -> None:
    """The landscape of "a grass covered landscape" takes the place of what the parser put first."""
    at = i + 1
    while (
        at < len(tags) and tags[at] in ("JJ", "NN") and tags[at + 1 : at + 2] in (["NN"], ["NNS"])
    ):
        at += 1
    if at >= len(tags) or tags[at] not in _NOUN_TAGS:
        return
    before, participle, noun = tokens[i - 1], tokens[i], tokens[at]
    for above in (before, participle):
        if above.is_ancestor(noun):
            is_root = above.head.i == above.i
            noun.head, noun.dep_ = (noun, "ROOT") if is_root else (above.head, above.dep_)
            break
    if before.is_ancestor(noun) or participle.is_ancestor(noun):
        return
    for child in list(before.lefts):
        if child.dep_ in _NOMINAL_DEPS:
            child.head = noun
    for child in list(participle.lefts):
        if child.i < i - 1 and child.dep_ not in _NOMINAL_DEPS:
            child.head, child.dep_ = child, "ROOT"
    participle.head, participle.dep_ = noun, "amod"
    before.head, before.dep_ = participle, "npadvmod"
    if noun.dep_ not in _CHUNK_DEPS:
        noun.dep_ = _likely_dep(noun)


def _mend_compound(tokens: Sequence[Token], words: list[str], i: int, policy: TagPolicy) -> None:
    """Joins the two words of a known compound that the parser took apart ("stop" "sign")."""
    if i + 1 >= len(tokens) or not policy.is_compound(words[i], words[i + 1], tokens[i + 1].lemma_):
        return
    first, noun = tokens[i], tokens[i + 1]
    if noun.tag_ not in _NOUN_TAGS:
        _make_noun(noun)
    if first.head.i == noun.i and first.dep_ in ("compound", "amod"):
        return
    if noun.head.i != i and first.is_ancestor(noun):
        # What stands between them in the tree would then hang on itself.
        return
    if noun.head.i == i:
        above, dep = first.head, first.dep_
        noun.head = noun if above.i == i else above
        noun.dep_ = "ROOT" if above.i == i else dep
    for child in list(first.children):
        if child.i != noun.i:
            child.head = noun
    first.head = noun
    first.dep_ = "compound"
    first.tag_, first.pos_ = "NN", "NOUN"
    if noun.dep_ not in _CHUNK_DEPS:
        noun.dep_ = _likely_dep(noun)
