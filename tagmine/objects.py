"""The objects of a caption, from its noun chunks: which of them are objects, and what is said
of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tagmine.phrases import LIKENING, read_phrase
from tagmine.predicates import NEGATIONS, add_predicates
from tagmine.tag_policy import TagPolicy

if TYPE_CHECKING:
    from spacy.tokens import Token


_DENYING = frozenset({"no", "without", "neither", "nor", "minus"})
_JOINING_TAGS = frozenset({"CC", ","})
# A tagger calls the participle of "a snow covered roof" one of these.
_PARTICIPLES = frozenset({"VBN", "VBD", "JJ", "NN"})


@dataclasses.dataclass(slots=True)
class ObjectDraft:
    """An object while its caption is read: what is said of it elsewhere is still to come.

    Attributes:
        start: its first token.
        end: one past its last token, the noun.
        text: its words as said, less determiners.
        noun: the noun with its compounds as said, case-folded.
        head: the same with the noun's lemma.
        attributes: what its phrase says of it.
        predicates: what the caption says of it elsewhere.
        gathered: "group of" where it is gathered, else "".
    """

    start: int
    end: int
    text: str
    noun: str
    head: str
    attributes: tuple[str, ...] = ()
    predicates: list[str] = dataclasses.field(default_factory=list)
    gathered: str = ""

    def settled(self) -> tuple[int, int, str, str, str, tuple[str, ...]]:
        """Start, end, text, noun, head and all attributes, the text as one would say it."""
        if not self.predicates and not self.gathered:
            return self.start, self.end, self.text, self.noun, self.head, self.attributes
        text = self.text
        added = [word for word in dict.fromkeys(self.predicates) if word not in self.attributes]
        attributes = (*self.attributes, *added)
        if added:
            said = " and ".join(added)
            keep = len(text) - len(self.noun)
            fits = keep >= 0 and text[keep:].casefold() == self.noun
            text = f"{text[:keep]}{said} {text[keep:]}" if fits else f"{said} {text}"
        if self.gathered:
            attributes = (self.gathered, *attributes)
            text = f"{self.gathered} {text}"
        return self.start, self.end, text, self.noun, self.head, attributes


def read_objects(
    tokens: Sequence[Token],
    words: Sequence[str],
    tags: Sequence[str],
    bounds: Sequence[tuple[int, int]],
    policy: TagPolicy,
) -> tuple[list[ObjectDraft], dict[int, int]]:
    """The objects of a caption.

    Args:
        tokens: the parsed caption.
        words: its words, case-folded.
        tags: their parts of speech, as mended.
        bounds: start and end of each noun chunk that may be an object, in order.
        policy: which words are never objects, and which are attributes.

    Returns:
        The objects in the order said, and for each chunk that is one, or that gathers or
        measures one, the position of that object.
    """
    drafts: list[ObjectDraft] = []
    position: dict[int, int] = {}
    waiting: list[int] = []
    gathered = ""
    denied_until = -1
    denies = not NEGATIONS.isdisjoint(words)
    for i, (start, end) in enumerate(bounds):
        root = tokens[end - 1]
        if root.pos_ == "PRON":
            continue
        if _is_denied(words, start, denied_until) or (denies and _is_of_denied_verb(root)):
            denied_until = end
            continue
        of_follows = words[end : end + 1] == ["of"]
        if of_follows and (kind := _measure(root, policy)):
            waiting.append(i)
            gathered = kind if kind.endswith(" of") else gathered
            continue
        if words[end - 1] in policy.places and _is_place(tokens, tags, start, end):
            continue
        if end - start > 2:
            start = _add_joined(tokens, tags, start, end, policy, drafts)
            _add_inner(tokens, tags, start, end, policy, drafts)
        phrase = read_phrase(tokens, start, end, policy)
        for j in (*waiting, i):
            position[j] = len(drafts)
        drafts.append(
            ObjectDraft(
                phrase.start,
                end,
                phrase.text,
                phrase.noun,
                phrase.head,
                phrase.attributes,
                [],
                gathered,
            )
        )
        waiting.clear()
        gathered = ""
    add_predicates(tokens, words, tags, {draft.end - 1: draft for draft in drafts}, policy)
    return drafts, position


def _is_denied(words: Sequence[str], start: int, denied_until: int) -> bool:
    """Whether a thing is said not to be there: "no dog", "without a hat or gloves"."""
    if words[start] in _DENYING or (start and words[start - 1] in _DENYING):
        return True
    return words[denied_until:start] in (["and"], ["or"], [","], [",", "or"], [",", "and"])


def _is_of_denied_verb(noun: Token) -> bool:
    """Whether it is what somebody does not do: "is not wearing a hat", "is not a dog"."""
    return noun.dep_ in ("dobj", "attr") and any(c.dep_ == "neg" for c in noun.head.children)


def _measure(root: Token, policy: TagPolicy) -> str:
    """What a noun before "of" does to the noun behind it: "group of" gathers, "of" measures."""
    word, lemma = root.lower_, root.lemma_.casefold()
    if lemma in policy.collectives:
        return f"{lemma} of"
    return "measured" if word in policy.partitives or lemma in policy.partitives else ""


def _is_place(tokens: Sequence[Token], tags: Sequence[str], start: int, end: int) -> bool:
    """Whether a chunk whose noun is a place only tells where: "on top", "in the distance"."""
    bare = end - start == 1 or (end - start == 2 and tokens[start].dep_ == "det")
    return start > 0 and bare and tags[start - 1] == "IN"


def _add_joined(
    tokens: Sequence[Token],
    tags: Sequence[str],
    start: int,
    end: int,
    policy: TagPolicy,
    drafts: list[ObjectDraft],
) -> int:
    """Adds the sundial of "sundial and fish pond"; returns where the last phrase begins."""
    for i in range(start + 1, end - 1):
        if tags[i] not in _JOINING_TAGS:
            continue
        before = tokens[i - 1]
        if (
            before.pos_ in ("NOUN", "PROPN")
            and before.dep_ in ("compound", "nmod", "conj")
            and before.lower_ not in policy.attribute_nouns
        ):
            phrase = read_phrase(tokens, start, i, policy)
            drafts.append(
                ObjectDraft(
                    phrase.start, i, phrase.text, phrase.noun, phrase.head, phrase.attributes
                )
            )
            start = i + 1
    return start


def _add_inner(
    tokens: Sequence[Token],
    tags: Sequence[str],
    start: int,
    end: int,
    policy: TagPolicy,
    drafts: list[ObjectDraft],
) -> None:
    """Adds the woman of "a woman's hand", and the snow of "a snow covered roof"."""
    for i in range(start + 1, end - 1):
        if tags[i] == "POS" and tokens[i - 1].pos_ == "NOUN":
            first = start
        elif tags[i] in _PARTICIPLES and _is_joined_thing(tokens, i, policy):
            first = i - 1
        else:
            continue
        phrase = read_phrase(tokens, first, i, policy)
        drafts.append(
            ObjectDraft(phrase.start, i, phrase.text, phrase.noun, phrase.head, phrase.attributes)
        )
        return


def _is_joined_thing(tokens: Sequence[Token], i: int, policy: TagPolicy) -> bool:
    """Whether a participle joined to the noun before it says that this is there, too."""
    word = tokens[i].lower_
    if word not in policy.joining_participles or word in LIKENING:
        return False
    before = tokens[i - 1]
    return before.dep_ == "npadvmod" and before.pos_ == "NOUN"
