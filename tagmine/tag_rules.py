"""From a parsed caption and its scene graph to tags."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tagmine.domain_vocabulary import NameFinder
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
class TagRules:
    """What decides which parts of a caption are tags.

    Attributes:
        policy: the word lists.
        names: finds the names of a domain's vocabulary, if there is one.
        relations: whether what relates two objects is a tag, too.
    """

    policy: TagPolicy
    names: NameFinder | None = None
    relations: bool = False


# One is made for each tag that is said, and a frozen dataclass takes three times as long.
class Mention(NamedTuple):
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


def doc_mentions(doc: Doc, graph: SceneGraph, rules: TagRules) -> list[Mention]:
    """What of a caption is a tag, in the order said.

    Args:
        doc: the parsed caption, with named entities.
        graph: its scene graph.
        rules: what is no tag, which forms are one, and what else is asked for.

    Returns:
        An "attribute" tag for an object with modifiers ("narrow street"), an "object" tag for
        one without, an "entity" tag for each name and, where asked for, a "relation" tag for
        two objects and what relates them. An object that is a name is the name only.
    """
    if rules.names is not None:
        rules.names.mark(doc)
    names = [span for span in doc.ents if _is_name(span, rules)]
    named = frozenset(i for span in names for i in range(span.start, span.end))
    # In "a French flag" the name is a modifier of the flag, in "a Nike shoe" it is not.
    fixed = named and frozenset(
        i
        for span in names
        if span.label_ not in ADJECTIVAL_LABELS
        for i in range(span.start, span.end)
    )
    unwanted = _unwanted_names(doc, rules) if doc.ents else named
    found = [
        Mention(span.start, span.end, tag) for span in names if (tag := _name_tag(span, rules))
    ]
    tags: list[Tag | None] = []
    for entity in graph.entities:
        noun = entity.end - 1
        is_named = entity.start < entity.end and (noun in named or noun in unwanted)
        tag = None if is_named else _object_tag(doc, entity, rules.policy, fixed)
        tags.append(tag)
        if tag is not None:
            found.append(Mention(entity.start, entity.end, tag))
    if rules.relations:
        found += _relation_mentions(graph, tags)
    if names or rules.relations:
        found.sort(key=lambda mention: (mention.start, -mention.end))
    return found


def _is_name(span: Span, rules: TagRules) -> bool:
    """Whether an entity is a name: small models find names in zebras, lists do not."""
    label = span.label_
    if rules.names is not None and rules.names.written(span) is not None:
        return True
    if label not in rules.policy.entity_labels:
        return False
    text = span.text
    if text.islower() and not _is_lower_case_name(span, rules.policy):
        return False
    wanted = _ADJECTIVAL_NAME_TAGS if label in ADJECTIVAL_LABELS else _NAME_TAGS
    return any(token.tag_ in wanted for token in span)


def _unwanted_names(doc: Doc, rules: TagRules) -> frozenset[int]:
    """Positions of names whose type the policy does not keep: "Monday" is no object either."""
    return frozenset(
        i
        for span in doc.ents
        if span.label_ not in rules.policy.entity_labels
        and (rules.names is None or span.label_ not in rules.names.labels)
        for i in range(span.start, span.end)
        if doc[i].tag_ in _NAME_TAGS and not doc[i].is_lower
    )


def _is_lower_case_name(span: Span, policy: TagPolicy) -> bool:
    """Whether to believe in a name in small letters: only where all is in small letters."""
    return (
        span.label_ in policy.lower_case_labels
        and span.doc.text.islower()
        and not any(token.text in policy.nouns for token in span)
        and not any(token.text in policy.attribute_nouns for token in span)
    )


def _name_tag(span: Span, rules: TagRules) -> Tag | None:
    start, end = span.start, span.end
    doc = span.doc
    if doc[start].tag_ == "DT":
        start += 1
    if doc[end - 1].tag_ == "POS":
        end -= 1
    text = " ".join(doc[start:end].text.split())
    written = rules.names and rules.names.written(span)
    if not _is_sayable(text) or (not written and rules.policy.is_seller(text)):
        return None
    lemma = written or text
    return Tag(text=text, lemma=lemma, kind="entity", head=lemma, label=span.label_)


def _object_tag(doc: Doc, entity: Entity, policy: TagPolicy, named: frozenset[int]) -> Tag | None:
    text, head, attributes = entity.text, entity.head, entity.attributes
    if named and not named.isdisjoint(range(entity.start, entity.end)):
        text, head, attributes = _without_names(doc, entity, policy, named)
    if not policy.stop_attributes.isdisjoint(attributes):
        # A neural parser, or what is left of a phrase without its names.
        attributes = tuple(a for a in attributes if a not in policy.stop_attributes)
        words = [word for word in text.split() if word.casefold() not in policy.stop_attributes]
        text = " ".join(words) or text
    head = policy.canonical.get(head, head)
    if policy.is_stopped(head) or not _is_sayable(text) or not _is_sayable(head):
        return None
    if not attributes:
        return Tag(text=text, lemma=head, kind="object", head=head)
    canonical = policy.canonical_attributes
    attributes = tuple(canonical.get(attribute, attribute) for attribute in attributes)
    lemma = " ".join((*attributes, head))
    return Tag(text=text, lemma=lemma, kind="attribute", head=head, attributes=attributes)


def _without_names(
    doc: Doc, entity: Entity, policy: TagPolicy, named: frozenset[int]
) -> tuple[str, str, tuple[str, ...]]:
    """Text, head and attributes of an object whose phrase has a name in it: "Nike shoes"."""
    phrase = read_phrase(doc, entity.start, entity.end, policy, named)
    here = {doc[i].lower_ for i in range(entity.start, entity.end)}
    elsewhere = [a for a in entity.attributes if here.isdisjoint(a.split())]
    text = " ".join([*elsewhere, phrase.text])
    return text, phrase.head, (*phrase.attributes, *elsewhere)


def _relation_mentions(graph: SceneGraph, tags: Sequence[Tag | None]) -> Iterator[Mention]:
    for relation in graph.relations:
        subject, thing = tags[relation.subject], tags[relation.object]
        if subject is None or thing is None:
            continue
        owner, owned = graph.entities[relation.subject], graph.entities[relation.object]
        text = f"{owner.noun} {relation.text or relation.predicate} {owned.noun}"
        lemma = f"{subject.head} {relation.predicate} {thing.head}"
        if len(text) <= MAX_TAG_CHARACTERS:
            tag = Tag(text=text, lemma=lemma, kind="relation", head=subject.head)
            yield Mention(owner.start, max(owner.end, owned.end), tag)


def _is_sayable(text: str) -> bool:
    if len(text) > MAX_TAG_CHARACTERS:
        return False
    return text[:1].isalpha() or any(char.isalpha() for char in text)
