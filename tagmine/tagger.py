"""Captions to tags: one spaCy parse a caption, read as a scene graph and for its names."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import math
import numbers
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from tagmine import tag_policy
from tagmine.backends import DEPENDENCY, load_backend
from tagmine.captions import MAX_CAPTION_CHARACTERS
from tagmine.errors import ConfigurationError
from tagmine.scene_graph import SceneGraphBackend
from tagmine.tag_rules import Mention, doc_mentions, merge_mentions
from tagmine.tags import Tag

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

MAX_FIELD_VALUES = 256
MAX_FIELD_CHARACTERS = 1_000
EMBEDDED_PIPELINE = "en_caption_sm"

# What tags need of a pipeline: each need with the spaCy factories that meet it.
_NEEDS = {
    "tagger": {"tagger"},
    "parser": {"parser"},
    "ner": {"ner"},
    "attribute_ruler or morphologizer": {"attribute_ruler", "morphologizer"},
    "lemmatizer": {"lemmatizer", "trainable_lemmatizer"},
}
# What tags do not need, and pipelines sometimes have.
_UNNEEDED = ("senter", "sentencizer", "textcat", "textcat_multilabel", "entity_linker", "spancat")

# Files of a pipeline folder that do not decide what it says.
_DOCUMENTATION = ("README", "LICENSE", "LICENCES", "LICENSES_SOURCES", "__pycache__")

# spaCy's tokenizer takes a word apart in time that grows with the square of its length: ten
# thousand brackets without a space take half a minute. No tag comes of a word this long.
MAX_WORD_CHARACTERS = 100
# Noun chunks of a chain of conjunctions take the square of its length, too.
MAX_WORDS = 1_000
_CONTROL_CHARACTERS = dict.fromkeys([*range(32), *range(127, 160)], " ")

# A vocabulary up to this size stays cached, which is what makes tokenizing fast; words seen
# beyond it are forgotten after each batch, or memory would grow with the corpus.
MAX_CACHED_STRINGS = 150_000
_MAX_CACHED_LEMMAS = 300_000


@dataclasses.dataclass(frozen=True, slots=True)
class TaggerCard:
    """Which tagger made a datastore's tags.

    Attributes:
        pipeline: name of the spaCy pipeline ("en_caption_sm").
        version: version of the pipeline.
        spacy: version of spaCy.
        backend: the scene graph parser and its version.
        fingerprint: sha256, hexadecimal, over all that decides what the tagger says.
    """

    pipeline: str
    version: str
    spacy: str
    backend: str
    fingerprint: str


class Tagger:
    """Mines captions with one loaded spaCy pipeline; made by `load_tagger`.

    One parse serves a caller at a time: threads that share a tagger take turns by the batch.

    Attributes:
        nlp: the spaCy pipeline.
        card: what the tagger is, for a manifest.
    """

    def __init__(
        self, nlp: Language, backend: SceneGraphBackend, card: TaggerCard, batch_size: int
    ) -> None:
        self.nlp = nlp
        self.card = card
        self._backend = backend
        self._batch_size = batch_size
        self._turn = threading.Lock()

    @property
    def fingerprint(self) -> str:
        """sha256, hexadecimal, over all that decides what the tagger says."""
        return self.card.fingerprint

    @property
    def cut(self) -> int:
        """Captions so far that were beyond the scene graph parser's limits."""
        return self._backend.cut

    def tag(self, captions: Iterable[str]) -> Iterator[list[Tag]]:
        """Tags of each caption, in order, reading ahead by no more than one batch.

        Args:
            captions: any iterable of texts, read lazily. No more is read of a text than its
                first 10,000 characters (jobs reject longer ones) and 1,000 words; words beyond
                100 characters are left out.

        Yields:
            One list for each caption, empty where nothing in it is a tag; a tag said twice in
            one caption is in its list once.

        Raises:
            TypeError: for a caption that is not a string.
        """
        texts = iter(captions)
        while batch := list(itertools.islice(texts, self._batch_size)):
            yield from self._tag_batch([_clean(text) for text in batch])

    def mentions(self, caption: str) -> tuple[Doc, list[Mention]]:
        """One caption as it was parsed, and where in it each tag is said; for a closer look."""
        with self._turn:
            doc = self.nlp(_clean(caption))
            return doc, doc_mentions(doc, self._backend.parse_batch([doc])[0])

    def _tag_batch(self, texts: list[str]) -> list[list[Tag]]:
        with self._turn, self._bounded_vocabulary():
            docs = list(self.nlp.pipe(texts, batch_size=self._batch_size))
            graphs = self._backend.parse_batch(docs)
            return [
                merge_mentions(doc_mentions(doc, graph))
                for doc, graph in zip(docs, graphs, strict=True)
            ]

    def _bounded_vocabulary(self) -> AbstractContextManager[object]:
        """A zone that forgets new words when it closes, once enough words are known."""
        for _, pipe in self.nlp.pipeline:
            cache = getattr(pipe, "cache", None)
            # The rule lemmatizer caches every form it meets and has no zone of its own.
            if isinstance(cache, dict) and len(cache) > _MAX_CACHED_LEMMAS:
                cache.clear()
        if len(self.nlp.vocab.strings) > MAX_CACHED_STRINGS:
            return self.nlp.memory_zone()
        return nullcontext()


def load_tagger(
    spacy_model: str | os.PathLike[str] | None = None,
    *,
    batch_size: int = 256,
    scene_graph: str = DEPENDENCY,
) -> Tagger:
    """Loads a spaCy pipeline as a tagger.

    Args:
        spacy_model: an installed pipeline package, or the path of a pipeline folder; None for
            the small English caption pipeline that ships with tagmine.
        batch_size: captions that are parsed together.
        scene_graph: "dependency" for SceneGraphParser over the spaCy parse; "factual" for the
            public FACTUAL checkpoint, "factual:DIR" for one in a folder.

    Raises:
        ConfigurationError: where the pipeline cannot be loaded, is not English, or lacks a
            component that tags need; where the scene graph parser is unknown or missing.
        ValueError: for a batch size below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    backend = load_backend(scene_graph)
    nlp = _load_pipeline(spacy_model)
    _check_pipeline(nlp)
    return Tagger(nlp, backend, _card(nlp, backend), batch_size)


def embedded_pipeline() -> Path:
    """Folder of the caption pipeline that ships with tagmine."""
    return Path(str(resources.files("demo").joinpath(EMBEDDED_PIPELINE)))


def _load_pipeline(spacy_model: str | os.PathLike[str] | None) -> Language:
    import spacy

    wanted = embedded_pipeline() if spacy_model is None else spacy_model
    try:
        return spacy.load(wanted, exclude=list(_UNNEEDED))
    except OSError as error:
        known = f"none is needed for the embedded default, {EMBEDDED_PIPELINE!r}"
        if Path(wanted).exists():
            raise ConfigurationError(
                f"{str(wanted)!r} is not the folder of a spaCy pipeline ({error}); {known}."
            ) from error
        raise ConfigurationError(
            f"No spaCy pipeline {str(wanted)!r} is installed and there is no such folder: install "
            f"it with `python -m spacy download {wanted}`, or give the path of one; {known}."
        ) from error
    except ValueError as error:
        raise ConfigurationError(
            f"spaCy {spacy.__version__} cannot load the pipeline {str(wanted)!r}: {error}"
        ) from error


def _check_pipeline(nlp: Language) -> None:
    name = f"{nlp.lang}_{nlp.meta['name']}"
    if nlp.lang != "en":
        raise ConfigurationError(
            f"The spaCy pipeline {name!r} is for language {nlp.lang!r}; tags are mined from "
            f"English, so give an English pipeline such as en_core_web_sm."
        )
    factories = {nlp.get_pipe_meta(pipe).factory for pipe in nlp.pipe_names}
    missing = [need for need, meets in _NEEDS.items() if not meets & factories]
    if missing:
        raise ConfigurationError(
            f"The spaCy pipeline {name!r} has no {' and no '.join(missing)}, which tags need; it "
            f"has {', '.join(nlp.pipe_names) or 'no component'}. en_core_web_sm has them all."
        )


def _card(nlp: Language, backend: SceneGraphBackend) -> TaggerCard:
    import spacy

    name = f"{nlp.lang}_{nlp.meta['name']}"
    version = str(nlp.meta["version"])
    digest = hashlib.sha256()
    facts = (name, version, spacy.__version__, backend.name, str(tag_policy.RULES_VERSION))
    for fact in facts:
        digest.update(fact.encode() + b"\0")
    for path in _deciding_files(Path(nlp.path)):
        digest.update(path.relative_to(nlp.path).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return TaggerCard(name, version, spacy.__version__, backend.name, digest.hexdigest())


def _deciding_files(folder: Path) -> list[Path]:
    """Files of a pipeline by relative path, its documentation and byte code left out."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(
        path
        for path in files
        if not any(part.startswith(_DOCUMENTATION) for part in path.relative_to(folder).parts)
    )


def _clean(text: str) -> str:
    """The text on one line, in characters that spaCy can store."""
    if not isinstance(text, str):
        raise TypeError(f"a caption must be a string, got {type(text).__name__}: {text!r:.80}")
    text = text[:MAX_CAPTION_CHARACTERS]
    if not text.isascii():
        # Half of a surrogate pair, which JSON can carry, has no UTF-8 form.
        text = text.encode("utf-8", "replace").decode("utf-8")
    if not text.isprintable():
        text = text.translate(_CONTROL_CHARACTERS)
    words = text.split()
    if len(text) > MAX_WORD_CHARACTERS and max(map(len, words), default=0) > MAX_WORD_CHARACTERS:
        words = [word for word in words if len(word) <= MAX_WORD_CHARACTERS]
    return " ".join(words[:MAX_WORDS])


def field_tags(fields: Mapping[str, object], names: Sequence[str]) -> list[Tag]:
    """Tags of structured fields, whose values are tags already.

    Args:
        fields: a sample's fields, as JSON gives them.
        names: the fields to read, in order. A field that is absent gives no tag.

    Returns:
        One tag for each value (a list has several), of kind "field", labelled with the field's
        name. None, NaN and empty text give none; 2011.0 is "2011".

    Raises:
        ValueError: for a field whose value is a mapping, a list within a list, no text, or
            larger than its limit.
    """
    tags: dict[tuple[str, str, str], Tag] = {}
    for name in names:
        value = fields.get(name)
        values = value if isinstance(value, list | tuple) else [value]
        if len(values) > MAX_FIELD_VALUES:
            raise ValueError(
                f"field {name!r} holds {len(values):,} values; the limit is {MAX_FIELD_VALUES}"
            )
        for text in (_field_text(name, item) for item in values):
            if text:
                tag = Tag(text=text, lemma=text, kind="field", head=text, label=name)
                tags.setdefault(tag.merge_key, tag)
    return list(tags.values())


def _field_text(name: str, value: object) -> str:
    if isinstance(value, Mapping | list | tuple):
        raise ValueError(
            f"field {name!r} holds a {type(value).__name__} ({value!r:.60}); a field of tags "
            f"holds a text, a number or a list of them"
        )
    if value is None or (isinstance(value, numbers.Real) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = " ".join(str(value).split())
    if len(text) > MAX_FIELD_CHARACTERS:
        raise ValueError(
            f"field {name!r} holds {len(text):,} characters; the limit is {MAX_FIELD_CHARACTERS}"
        )
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"field {name!r} holds half a surrogate pair, which is no text")
    return text
