"""Scene graphs: the objects of a caption, their attributes, and what relates them.

A scene graph parser is anything that turns a parsed caption into a `SceneGraph`. The default
one is the distribution SceneGraphParser (imported as `sng_parser`), which decides from the
dependency parse what the objects are and how they relate.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import importlib.metadata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from tagmine.errors import ConfigurationError
from tagmine.phrases import read_phrase

if TYPE_CHECKING:
    from spacy.tokens import Doc

MODULE = "sng_parser"
DISTRIBUTION = "SceneGraphParser"


@dataclasses.dataclass(frozen=True, slots=True)
class Entity:
    """One mention of an object.

    Attributes:
        start: its first token in the caption.
        end: one past its last token.
        text: its words as said, less determiners ("colorful facades").
        head: lemma of the noun with its compounds ("stop sign").
        attributes: lemma of each modifier, in the order said, quantities included.
    """

    start: int
    end: int
    text: str
    head: str
    attributes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Relation:
    """Subject and object as positions in `SceneGraph.entities`, and a lemma between them."""

    subject: int
    predicate: str
    object: int


@dataclasses.dataclass(frozen=True, slots=True)
class SceneGraph:
    """What a caption says is there, and how it hangs together."""

    entities: tuple[Entity, ...]
    relations: tuple[Relation, ...]


class SceneGraphBackend(Protocol):
    """Anything that reads a scene graph off a parsed caption.

    Attributes:
        name: what it is and its version; part of the tagger's fingerprint.
    """

    name: str

    def parse(self, doc: Doc) -> SceneGraph:
        """The scene graph of one caption, which may hold several sentences."""
        ...


class DependencyBackend:
    """SceneGraphParser over a Doc that is already parsed.

    What SceneGraphParser finds is kept, but for these mends: pronouns are no entities (it
    knows them by spaCy 2's "-PRON-" lemma); determiners are no modifiers; a participle keeps
    its form ("parked", not "park"); compounds of compounds belong to the head, and modifiers
    that the parse hangs on a compound ("red stop sign") to the object.

    Raises:
        ConfigurationError: where `sng_parser` is missing or is another package of that name.
    """

    def __init__(self) -> None:
        parser_class = _dependency_parser_class()
        # Its constructor would load a second spaCy pipeline. Its parse() asks nothing of
        # `nlp` but a Doc, so it is given one that hands back the Doc it is called with.
        self._parser = parser_class.__new__(parser_class)
        self._parser.nlp = _same_doc
        self.name = f"{DISTRIBUTION} {importlib.metadata.version(DISTRIBUTION)}"

    def parse(self, doc: Doc) -> SceneGraph:
        """The scene graph of one caption."""
        found = self._parser.parse(doc)
        position: dict[int, int] = {}
        entities: list[Entity] = []
        for i, entity in enumerate(found["entities"]):
            start, end = entity["span_bounds"]
            if doc[end - 1].pos_ == "PRON":
                continue
            position[i] = len(entities)
            phrase = read_phrase(doc, start, end)
            entities.append(Entity(start, end, phrase.text, phrase.head, phrase.attributes))
        return SceneGraph(tuple(entities), _relations(found["relations"], position))


def _same_doc(doc: Doc) -> Doc:
    return doc


def _relations(
    found: Sequence[dict[str, Any]], position: dict[int, int]
) -> tuple[Relation, ...]:
    return tuple(
        Relation(position[r["subject"]], r["lemma_relation"], position[r["object"]])
        for r in found
        if r["subject"] in position and r["object"] in position
    )


@functools.cache
def _dependency_parser_class() -> type:
    try:
        module = importlib.import_module(MODULE)
    except ImportError as error:
        raise ConfigurationError(
            f"Mining needs the scene graph parser, which is not installed: "
            f"`pip install {DISTRIBUTION}` (not `sng-parser`, an unrelated song-file reader)."
        ) from error
    try:
        # The registry is filled by making a Parser, and making one loads a spaCy pipeline.
        importlib.import_module(f"{MODULE}.backends")
        return module.Parser._backend_registry["spacy"]
    except (ImportError, AttributeError, KeyError) as error:
        where = getattr(module, "__file__", None) or "an unknown place"
        raise ConfigurationError(
            f"The module {MODULE!r} at {where} is not the scene graph parser; the distribution "
            f"`sng-parser`, an unrelated song-file reader, has the same module name. "
            f"`pip uninstall sng-parser`, then `pip install --force-reinstall {DISTRIBUTION}`."
        ) from error
