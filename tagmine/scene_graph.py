"""Scene graphs: the objects of a caption, their attributes, and what relates them.

A scene graph parser is anything that turns a parsed caption into a `SceneGraph`. The default
one is the distribution SceneGraphParser (imported as `sng_parser`), which decides from the
dependency parse what the objects are and how they relate.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tagmine.errors import ConfigurationError
from tagmine.mending import mend_caption
from tagmine.objects import read_objects
from tagmine.tag_policy import TagPolicy

if TYPE_CHECKING:
    from spacy.tokens import Doc, Span, Token

MODULE = "sng_parser"
DISTRIBUTION = "SceneGraphParser"


# Some are made for each caption, and a frozen dataclass takes three times as long.
class Entity(NamedTuple):
    """One mention of an object.

    Attributes:
        start: its first token in the caption.
        end: one past its last token; equal to `start` where a backend cannot place it.
        text: its words as said, less determiners ("colorful facades").
        noun: the noun with its compounds as said, case-folded ("stop signs").
        head: the same with the lemma of the noun ("stop sign").
        attributes: each modifier as said, case-folded, in that order, quantities included.
    """

    start: int
    end: int
    text: str
    noun: str
    head: str
    attributes: tuple[str, ...] = ()


class Relation(NamedTuple):
    """What relates two objects.

    Attributes:
        subject: position of the subject in `SceneGraph.entities`.
        predicate: lemma of what relates them ("ride").
        object: position of the object.
        text: the predicate as said ("riding"), "" where that is not known.
    """

    subject: int
    predicate: str
    object: int
    text: str = ""


class SceneGraph(NamedTuple):
    """What a caption says is there, and how it hangs together."""

    entities: tuple[Entity, ...]
    relations: tuple[Relation, ...]


class SceneGraphBackend(Protocol):
    """Anything that reads scene graphs off parsed captions.

    Attributes:
        name: what it is and its version; part of the tagger's fingerprint.
        cut: captions so far that were beyond its limits, so that something may have been lost.
        docs_at_once: how many captions it wants in a batch.
    """

    name: str
    cut: int
    docs_at_once: int

    def parse_batch(self, docs: Sequence[Doc]) -> list[SceneGraph]:
        """The scene graph of each caption, in order; a caption may hold several sentences."""
        ...


class DependencyBackend:
    """SceneGraphParser over a Doc that is already parsed.

    Its parse is mended before (see `tagmine.mending`), and of what it finds these things are
    mended after: pronouns are no entities (it knows them by spaCy 2's "-PRON-" lemma);
    determiners are no modifiers; modifiers and compounds keep their form ("parked", not "park");
    colours and materials are attributes, also where the parse has them as compounds; words that
    measure or tell where are no objects ("slice of", "on top"); possessors are objects; what is
    said of an object behind it is its attribute (see `tagmine.predicates`).

    Args:
        policy: the word lists to decide by.

    Attributes:
        parser: SceneGraphParser's own spaCy parser; its `parse` takes a Doc.
        cut: 0; a parse has no limit.
        docs_at_once: 1; it gains nothing from batches.

    Raises:
        ConfigurationError: where `sng_parser` is missing or is another package of that name.
    """

    cut = 0
    docs_at_once = 1

    def __init__(self, policy: TagPolicy) -> None:
        parser_class = _dependency_parser_class()
        # Its constructor would load a second spaCy pipeline. Its parse() asks nothing of
        # `nlp` but a Doc, so it is given one that hands back the Doc it is called with.
        self.parser = parser_class.__new__(parser_class)
        self.parser.nlp = _same_doc
        self.name = f"{DISTRIBUTION} {importlib.metadata.version(DISTRIBUTION)}"
        self._policy = policy

    def parse_batch(self, docs: Sequence[Doc]) -> list[SceneGraph]:
        """The scene graph of each caption."""
        return [self.parse(doc) for doc in docs]

    def parse(self, doc: Doc) -> SceneGraph:
        """The scene graph of one caption, whose parts of speech are mended in place."""
        tokens = list(doc)
        words, tags = mend_caption(tokens, self._policy)
        found = self.parse_chunks(doc, tokens)
        bounds = [entity["span_bounds"] for entity in found["entities"]]
        drafts, position = read_objects(tokens, words, tags, bounds, self._policy)
        entities = tuple(Entity(*draft.settled()) for draft in drafts)
        return SceneGraph(entities, _relations(found["relations"], position))

    def parse_chunks(self, doc: Doc, tokens: list[Token]) -> dict[str, list[dict[str, Any]]]:
        """SceneGraphParser's own result for a caption whose noun chunks are found once."""
        return self.parser.parse(_ChunkedDoc(doc, tokens))


def _same_doc(doc: Doc) -> Doc:
    return doc


class _Chunk:
    """A noun chunk that knows its root; a Span searches for it each time it is asked."""

    __slots__ = ("end", "root", "start")

    # SceneGraphParser copies both into its result, where nothing of ours reads them.
    text = lemma_ = ""

    def __init__(self, start: int, end: int, root: Token) -> None:
        self.start = start
        self.end = end
        self.root = root


class _ChunkedDoc:
    """A Doc whose noun chunks are found once; SceneGraphParser asks for them twice."""

    __slots__ = ("_doc", "_tokens", "noun_chunks")

    def __init__(self, doc: Doc, tokens: list[Token]) -> None:
        self._doc = doc
        self._tokens = tokens
        spans = doc.vocab.get_noun_chunks(doc)
        # An English noun chunk ends with its root.
        self.noun_chunks = [_Chunk(start, end, tokens[end - 1]) for start, end, _ in spans]

    def __iter__(self) -> Iterator[Token]:
        return iter(self._tokens)

    def __getitem__(self, key: int | slice) -> Token | Span:
        return self._tokens[key] if isinstance(key, int) else self._doc[key]


def _relations(found: Sequence[dict[str, Any]], position: dict[int, int]) -> tuple[Relation, ...]:
    return tuple(
        Relation(position[r["subject"]], r["lemma_relation"], position[r["object"]], r["relation"])
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
        backends = importlib.import_module(f"{MODULE}.backends")
        # It deep-copies dictionaries of texts and numbers, at a tenth of the cost of a caption.
        backends.spacy_parser.deepcopy = dict
        return module.Parser._backend_registry["spacy"]
    except (ImportError, AttributeError, KeyError) as error:
        where = getattr(module, "__file__", None) or "an unknown place"
        raise ConfigurationError(
            f"The module {MODULE!r} at {where} is not the scene graph parser; the distribution "
            f"`sng-parser`, an unrelated song-file reader, has the same module name. "
            f"`pip uninstall sng-parser`, then `pip install --force-reinstall {DISTRIBUTION}`."
        ) from error
