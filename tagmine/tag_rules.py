"""From a parsed caption and its scene graph to tags."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tagmine.phrases import read_phrase
from tagmine.scene_graph import Entity, SceneGraph
from tagmine.tag_policy import MAX_TAG_CHARACTERS, TagPolicy
from tagmine.tags import Tag

if TYPE_CHECKING:
    from spacy.tokens import Doc, Span

# Entities that are commonly adjectives ("a French flag"): they may modify an object.
ADJECTIVAL_LABELS = frozenset({"NORP", "LANGUAGE"})
_NAME_TAGS = frozenset({"NNP", "NNPS"})
_ADJECTIVAL_NAME_TAGS = _NAME_TAGS | {"JJ"}


@dataclasses.dataclass(frozen=True, slots=True)
class Mention:
    """A tag, and where in its caption it is said.

    Attributes:
        start: its first token.
        end: one past its last token; equal to `start` where it cannot be placed.
        tag: the tag.
    """

    start: int
    end: int
    tag: Tag


def merge_mentions(mentions: Iterable[Mention]) -> list[Tag]:
    """The tags of one caption, each once, in the order said.

    An object said with modifiers somewhere in the caption is not said again without them.
    """
    mentions = list(mentions)
    modified = {m.tag.head for m in mentions if m.tag.kind == "attribute"}
    tags: dict[tuple[str, str, str], Tag] = {}
    for mention in mentions:
        tag = mention.tag
        if tag.kind != "object" or tag.head not in modified:
            tags.setdefault(tag.merge_key, tag)
    return list(tags.values())


def doc_mentions(doc: Doc, graph: SceneGraph, policy: TagPolicy) -> list[Mention]:
    """What of a caption is a tag, in the order said.

    Args:
        doc: the parsed caption, with named entities.
        graph: its scene graph.
        policy: what is no tag, and which forms are one.

    Returns:
        An "attribute" tag for an object with modifiers ("narrow street"), an "object" tag for
        one without, and an "entity" tag for each name. An object that is a name is the name
        only.
    """
    names = [span for span in doc.ents if span.label_ in policy.entity_labels and _is_name(span)]
    named = frozenset(i for span in names for i in range(span.start, span.end))
    # In "a French flag" the name is a modifier of the flag, in "a Nike shoe" it is not.
    fixed = (
        frozenset(
            i
            for span in names
            if span.label_ not in ADJECTIVAL_LABELS
            for i in range(span.start, span.end)
        )
        if named
        else named
    )
    found = [Mention(span.start, span.end, tag) for span in names if (tag := _name_tag(span, policy))]
    for entity in graph.entities:
        if entity.end - 1 not in named and (tag := _object_tag(doc, entity, policy, fixed)):
            found.append(Mention(entity.start, entity.end, tag))
    if names:
        found.sort(key=lambda mention: mention.start)
    return found


def _is_name(span: Span) -> bool:
    """Whether any word of an entity is tagged as a name: small models find names in zebras."""
    wanted = _ADJECTIVAL_NAME_TAGS if span.label_ in ADJECTIVAL_LABELS else _NAME_TAGS
    return any(token.tag_ in wanted for token in span)


def _name_tag(span: Span, policy: TagPolicy) -> Tag | None:
    start, end = span.start, span.end
    doc = span.doc
    if doc[start].tag_ == "DT":
        start += 1
    if doc[end - 1].tag_ == "POS":
        end -= 1
    text = " ".join(doc[start:end].text.split())
    if not _is_sayable(text) or text.casefold() in policy.stop_names:
        return None
    return Tag(text=text, lemma=text, kind="entity", head=text, label=span.label_)


def _object_tag(
    doc: Doc, entity: Entity, policy: TagPolicy, named: frozenset[int]
) -> Tag | None:
    text, head, attributes = entity.text, entity.head, entity.attributes
    if named and not named.isdisjoint(range(entity.start, entity.end)):
        phrase = read_phrase(doc, entity.start, entity.end, policy, named)
        text, head, attributes = phrase.text, phrase.head, phrase.attributes
    head = policy.canonical.get(head, head)
    if head in policy.stop_heads or not _is_sayable(text) or not head:
        return None
    if policy.keep_heads and head not in policy.keep_heads:
        return None
    if not attributes:
        return Tag(text=text, lemma=head, kind="object", head=head)
    canonical = policy.canonical_attributes
    attributes = tuple(canonical.get(attribute, attribute) for attribute in attributes)
    lemma = " ".join((*attributes, head))
    return Tag(text=text, lemma=lemma, kind="attribute", head=head, attributes=attributes)


def _is_sayable(text: str) -> bool:
    return len(text) <= MAX_TAG_CHARACTERS and any(char.isalpha() for char in text)
