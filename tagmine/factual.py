"""FACTUAL's scene graphs: from the text that its models write to a `SceneGraph` over a caption.

The form is that of the FACTUAL data set and its checkpoints (Li et al., Findings of ACL 2023,
arXiv 2305.17497): facts "( subject , predicate , object )" with commas between them, the
predicate "is" before an attribute or a quantity, and "( object )" where nothing more is said.
Checkpoints with identifiers write "v:" or "pv:" before a verb, and number further objects of the
same name ("monkey:1").
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tagmine.scene_graph import Entity, Relation, SceneGraph
from tagmine.tag_policy import MAX_TAG_CHARACTERS, load_policy

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

# A model writes some hundred tokens. Whatever is handed in, no more of it is read than this.
MAX_OUTPUT_CHARACTERS = 10_000
MAX_FACTS = 256
_MAX_PLACES = 16

_ATTRIBUTIVE = frozenset({"is", "has_attribute"})
_NOMINAL = frozenset({"NOUN", "PROPN"})
_ARTICLES = frozenset({"a", "an", "the"})
_NUMBER_WORDS = {
    **{"1": "one", "2": "two", "3": "three", "4": "four", "5": "five", "6": "six"},
    **{"7": "seven", "8": "eight", "9": "nine", "10": "ten", "11": "eleven", "12": "twelve"},
}

_BRACKET = re.compile(r"[()]")
# Spaces tell the commas of the form from that of "1,000".
_COMMA = re.compile(r" ?, | ,")
_VERB_MARK = re.compile(r"\b(?:v|p|pv): ?")
_INDEX = re.compile(r" ?: ?(\d{1,3})$")


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """An object as FACTUAL names it; `index` tells objects of one name apart, from 0."""

    name: str
    index: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Fact:
    """One bracket of an output.

    Attributes:
        subject: what it speaks of.
        attribute: what the subject is, else "".
        predicate: how the subject relates to `object`, else "".
        object: the other object of a relation, else None.
    """

    subject: Node
    attribute: str = ""
    predicate: str = ""
    object: Node | None = None


def read_facts(text: str) -> list[Fact]:
    """Every fact that can be read off an output, each once, in the order written.

    Nothing is refused. Text outside brackets says nothing; a bracket that is missing between two
    facts is supplied; of a last bracket that is not closed, and so cut off somewhere, the subject
    is kept. A bracket of two elements is its subject alone. Of more than three, those in the
    middle are one predicate ("car , pv:park , on , ground"), and after "is" each is an attribute.

    Args:
        text: any text; its first 10,000 characters and first 256 facts are read.
    """
    text = " ".join(text[:MAX_OUTPUT_CHARACTERS].split()).casefold()
    if not text.isprintable():
        text = "".join(character for character in text if character.isprintable())
    facts: dict[Fact, None] = {}
    is_open = False
    position = 0
    for bracket in _BRACKET.finditer(text):
        chunk = text[position : bracket.start()]
        if is_open:
            facts.update(dict.fromkeys(_bracket_facts(_elements(chunk))))
        elif bracket[0] == ")":
            facts.update(dict.fromkeys(_bracket_facts(_elements(chunk.lstrip(" ,")))))
        is_open = bracket[0] == "("
        position = bracket.end()
        if len(facts) >= MAX_FACTS:
            return list(facts)[:MAX_FACTS]
    if is_open and len(elements := _elements(text[position:])) > 1:
        facts.update(dict.fromkeys(_bracket_facts(elements[:1])))
    return list(facts)


def _elements(chunk: str) -> list[str]:
    elements = _COMMA.split(f" {chunk} ")
    if len(elements) < 3 and chunk.count(",") > 1:
        elements = chunk.split(",")
    return [element.strip() for element in elements]


def _bracket_facts(elements: Sequence[str]) -> list[Fact]:
    subject = _node(elements[0])
    if subject is None:
        return []
    if len(elements) < 3:
        return [Fact(subject)]
    predicate = _VERB_MARK.sub("", " ".join(elements[1:-1]))
    if elements[1] in _ATTRIBUTIVE:
        attributes = [_INDEX.sub("", element) for element in elements[2:]]
        said = [Fact(subject, attribute=word) for word in attributes if _is_phrase(word)]
        return said or [Fact(subject)]
    other = _node(elements[-1])
    if other is None:
        return [Fact(subject)]
    return [Fact(subject, predicate=predicate, object=other)]


def _node(element: str) -> Node | None:
    """The object that an element names; of "pieces of pizza" it is the pizza."""
    numbered = _INDEX.search(element)
    name = element[: numbered.start()] if numbered else element
    amount, of, rest = name.partition(" of ")
    if of and _is_partitive(amount):
        name = rest
    words = name.split()
    while words and words[0] in _ARTICLES:
        del words[0]
    name = " ".join(words)
    if not _is_phrase(name):
        return None
    return Node(name, int(numbered[1]) if numbered else 0)


@functools.cache
def _measures() -> frozenset[str]:
    # FACTUAL writes these words, whatever lists a user adds to.
    policy = load_policy()
    return policy.partitives | policy.collectives


def _is_partitive(amount: str) -> bool:
    word = amount.rpartition(" ")[2]
    return not _measures().isdisjoint((word, word.removesuffix("s"), word.removesuffix("es")))


def _is_phrase(text: str) -> bool:
    return 0 < len(text) <= MAX_TAG_CHARACTERS and any(char.isalnum() for char in text)


class _Text:
    """Tokens of a caption as one string, in which phrases are found as whole tokens."""

    def __init__(self, forms: Sequence[str], spaces: Sequence[str], first: int) -> None:
        self._starts: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        length = 0
        for i, (form, space) in enumerate(zip(forms, spaces, strict=True), start=first):
            self._starts[length] = i
            self._ends[length + len(form)] = i + 1
            length += len(form) + len(space)
        self._text = "".join(f + s for f, s in zip(forms, spaces, strict=True))

    def find(self, phrase: str) -> list[tuple[int, int]]:
        """Where the phrase is said: first token, and one past the last."""
        places: list[tuple[int, int]] = []
        at = self._text.find(phrase)
        while at >= 0 and len(places) < _MAX_PLACES:
            start, end = self._starts.get(at), self._ends.get(at + len(phrase))
            if start is not None and end is not None:
                places.append((start, end))
            at = self._text.find(phrase, at + 1)
        return places


class _Caption:
    """The tokens of a caption that an output speaks of, as said and as lemmas."""

    def __init__(self, doc: Doc, start: int, end: int) -> None:
        tokens = doc[start:end]
        spaces = [token.whitespace_ for token in tokens]
        self.doc = doc
        self._said = _Text([token.text.casefold() for token in tokens], spaces, start)
        self._lemmas = _Text([token.lemma_.casefold() for token in tokens], spaces, start)

    def find_node(self, node: Node) -> list[tuple[int, int]]:
        """Where an object is said, in this or another form; one place for a numbered object."""
        places = self._said.find(node.name) or [
            # A "shirted man" says no shirt.
            place
            for place in self._lemmas.find(node.name)
            if self.doc[place[1] - 1].pos_ in _NOMINAL
        ]
        return places[node.index :][:1] or places[-1:] if node.index else places

    def find_attribute(self, words: str) -> list[tuple[int, int]]:
        """Where an attribute is said, in this or another form; FACTUAL writes numbers as digits."""
        words = words if self._said.find(words) else _NUMBER_WORDS.get(words, words)
        return self._said.find(words) or self._lemmas.find(words)


@dataclasses.dataclass(frozen=True, slots=True)
class _Attribute:
    words: str
    place: tuple[int, int] | None


def read_graph(doc: Doc, output: str, start: int = 0, end: int | None = None) -> SceneGraph:
    """The scene graph that an output of FACTUAL describes, placed in its caption.

    An object is placed where its name is said, in this or another form; one that is said in
    other words ("person" of a "guy") is not placed, and `start` and `end` are 0. Where an object
    is said several times and the output does not number them, each attribute goes to the mention
    that it depends on in the parse: "a red car beside a blue car" has no "red blue car".
    Pronouns are no entities.

    Args:
        doc: the parsed caption.
        output: what the model wrote; any text will do.
        start: first token of the piece of the caption that the model was given.
        end: one past its last token, None for the end of the caption.
    """
    nodes: dict[Node, list[str]] = {}
    facts = read_facts(output)
    for fact in facts:
        attributes = nodes.setdefault(fact.subject, [])
        if fact.attribute:
            attributes.append(fact.attribute)
        if fact.object is not None:
            nodes.setdefault(fact.object, [])
    caption = _Caption(doc, start, len(doc) if end is None else end)
    found: list[tuple[Node, Entity]] = []
    for node, attributes in nodes.items():
        found += ((node, entity) for entity in _entities(caption, node, attributes))
    # In the order said; what has no place comes last.
    found.sort(key=lambda item: (item[1].start == item[1].end, item[1].end))
    position: dict[Node, int] = {}
    for i, (node, _) in enumerate(found):
        position.setdefault(node, i)
    relations = tuple(
        Relation(position[f.subject], f.predicate, position[f.object])
        for f in facts
        if f.predicate and f.object in position and f.subject in position
    )
    return SceneGraph(tuple(entity for _, entity in found), relations)


def merge_graphs(graphs: Iterable[SceneGraph]) -> SceneGraph:
    """One graph of the graphs of a caption's pieces, mentions kept apart."""
    entities: list[Entity] = []
    relations: list[Relation] = []
    for graph in graphs:
        shift = len(entities)
        entities += graph.entities
        relations += (
            Relation(r.subject + shift, r.predicate, r.object + shift) for r in graph.relations
        )
    return SceneGraph(tuple(entities), tuple(relations))


def _entities(caption: _Caption, node: Node, attributes: Sequence[str]) -> list[Entity]:
    """The mentions of one object: one, or each that has attributes of its own."""
    places = caption.find_node(node)
    if not places:
        said = [_placed(caption, words, caption.find_attribute(words), 0) for words in attributes]
        words = tuple(attribute.words for attribute in _in_order(said))
        return [Entity(0, 0, " ".join((*words, node.name)), node.name, node.name, words)]
    groups: dict[tuple[int, int], list[_Attribute]] = {}
    for words in attributes:
        found = caption.find_attribute(words)
        home, found = _attachment(caption.doc, places, found)
        groups.setdefault(home, []).append(_placed(caption, words, found, home[0]))
    return [
        _entity(caption.doc, place, _in_order(group))
        for place, group in (groups or {places[0]: []}).items()
        if not _is_pronoun(caption.doc[place[1] - 1])
    ]


def _is_pronoun(token: Token) -> bool:
    # A small tagger takes an unusual noun for a pronoun now and then; those are all stop words.
    return token.pos_ == "PRON" and token.is_stop


def _attachment(
    doc: Doc, places: list[tuple[int, int]], found: list[tuple[int, int]]
) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """The mention that an attribute depends on, and where it says so; else the first mention."""
    for start, end in found:
        governor = doc[end - 1].head.i
        for place in places:
            if place[0] <= governor < place[1] and not place[0] <= start < place[1]:
                return place, [(start, end)]
    return places[0], found


def _placed(caption: _Caption, words: str, found: list[tuple[int, int]], near: int) -> _Attribute:
    if not found:
        return _Attribute(words, None)
    start, end = min(found, key=lambda place: abs(place[0] - near))
    return _Attribute(caption.doc[start:end].text.casefold(), (start, end))


def _in_order(attributes: Iterable[_Attribute]) -> list[_Attribute]:
    """Each attribute once, in the order said; what has no place comes last."""
    once = {attribute.words: attribute for attribute in attributes}.values()
    return sorted(once, key=lambda a: a.place or (len(a.words) + MAX_OUTPUT_CHARACTERS, 0))


def _entity(doc: Doc, place: tuple[int, int], attributes: Sequence[_Attribute]) -> Entity:
    start, end = place
    words = tuple(attribute.words for attribute in attributes)
    first = _phrase_start(doc, start, attributes)
    noun = " ".join(doc[start:end].text.split())
    if first is None:
        text, first = " ".join((*words, noun)), start
    else:
        text = " ".join(doc[first:end].text.split())
    # Of "stacks of books" the noun is "stacks".
    root = next((i - 1 for i in range(start + 1, end) if doc[i].lower_ == "of"), end - 1)
    lemmas = ((doc[i].lemma_ if i == root else doc[i].text).casefold() for i in range(start, end))
    return Entity(first, end, text, noun.casefold(), " ".join(lemmas), words)


def _phrase_start(doc: Doc, start: int, attributes: Sequence[_Attribute]) -> int | None:
    """First token of the attributes, where they and the noun are said as one phrase."""
    taken: set[int] = set()
    for attribute in attributes:
        if attribute.place is None or attribute.place[1] > start:
            return None
        taken.update(range(*attribute.place))
    first = min(taken, default=start)
    between = (i for i in range(first, start) if i not in taken)
    return first if all(doc[i].is_punct or doc[i].pos_ == "CCONJ" for i in between) else None
