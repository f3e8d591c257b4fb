"""Captions to tags: one spaCy parse a caption, read as a scene graph and for its names."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from tagmine.backends import DEPENDENCY, load_backend
from tagmine.cleaning import clean_caption
from tagmine.domain_vocabulary import DomainVocabulary, NameFinder
from tagmine.errors import ConfigurationError
from tagmine.scene_graph import SceneGraphBackend
from tagmine.tag_policy import RULES_VERSION, TagPolicy, load_policy
from tagmine.tag_rules import Mention, TagRules, doc_mentions, merge_mentions
from tagmine.tags import Tag

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

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
        policy: sha256, hexadecimal, of the word lists.
        vocabularies: name and sha256 of each file of domain names.
        relations: whether relations are tags.
        fingerprint: sha256, hexadecimal, over all that decides what the tagger says.
    """

    pipeline: str
    version: str
    spacy: str
    backend: str
    policy: str
    vocabularies: tuple[tuple[str, str], ...]
    relations: bool
    fingerprint: str


class Tagger:
    """Mines captions with one loaded spaCy pipeline; made by `load_tagger`.

    One parse serves a caller at a time: threads that share a tagger take turns by the batch.

    Attributes:
        nlp: the spaCy pipeline.
        rules: what decides which parts of a caption are tags.
        card: what the tagger is, for a manifest.
    """

    def __init__(
        self,
        nlp: Language,
        backend: SceneGraphBackend,
        rules: TagRules,
        card: TaggerCard,
        batch_size: int,
    ) -> None:
        self.nlp = nlp
        self.rules = rules
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
            yield from self._tag_batch([clean_caption(text) for text in batch])

    def mentions(self, caption: str) -> tuple[Doc, list[Mention]]:
        """One caption as it was parsed, and where in it each tag is said; for a closer look."""
        with self._turn:
            doc = self.nlp(clean_caption(caption))
            return doc, doc_mentions(doc, self._backend.parse_batch([doc])[0], self.rules)

    def _tag_batch(self, texts: list[str]) -> list[list[Tag]]:
        with self._turn, self._bounded_vocabulary():
            docs = self.nlp.pipe(texts, batch_size=self._batch_size)
            found: list[list[Tag]] = []
            # A Doc that is read while it is still in the processor's cache costs a third less.
            while group := list(itertools.islice(docs, self._backend.docs_at_once)):
                graphs = self._backend.parse_batch(group)
                found += (
                    merge_mentions(doc_mentions(doc, graph, self.rules))
                    for doc, graph in zip(group, graphs, strict=True)
                )
            return found

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


@dataclasses.dataclass(frozen=True, slots=True)
class TaggerInputs:
    """All that a tagger is loaded from: contents and not paths, so that a worker needs no file
    of the launcher's but the pipeline.

    Attributes:
        spacy_model: an installed pipeline package or a folder; None for the embedded one.
        policy: the word lists to decide by.
        vocabulary: names of a domain to find.
        relations: whether "relation" tags are wanted.
        scene_graph: the scene graph parser, as `load_tagger` takes it.
    """

    spacy_model: str | None = None
    policy: TagPolicy = dataclasses.field(default_factory=load_policy)
    vocabulary: DomainVocabulary = DomainVocabulary()
    relations: bool = False
    scene_graph: str = DEPENDENCY

    def load(self) -> Tagger:
        """The tagger; raises what `load_tagger` raises."""
        return load_tagger(
            self.spacy_model,
            policy=self.policy,
            vocabulary=self.vocabulary,
            relations=self.relations,
            scene_graph=self.scene_graph,
        )


def load_tagger(
    spacy_model: str | os.PathLike[str] | None = None,
    *,
    policy: TagPolicy | None = None,
    vocabulary: DomainVocabulary | None = None,
    relations: bool = False,
    scene_graph: str = DEPENDENCY,
    batch_size: int = 256,
) -> Tagger:
    """Loads a spaCy pipeline as a tagger.

    Args:
        spacy_model: an installed pipeline package, or the path of a pipeline folder; None for
            the small English caption pipeline that ships with tagmine.
        policy: the word lists to decide by, as `load_policy` gives them; None for the shipped.
        vocabulary: names of a domain to find, as `load_vocabulary` gives them.
        relations: whether "relation" tags are wanted ("man riding horse").
        scene_graph: "dependency" for SceneGraphParser over the spaCy parse; "factual" for the
            public FACTUAL checkpoint, "factual:DIR" for one in a folder.
        batch_size: captions that are parsed together.

    Raises:
        ConfigurationError: where the pipeline cannot be loaded, is not English, or lacks a
            component that tags need; where the scene graph parser is unknown or missing.
        ValueError: for a batch size below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    policy = policy or load_policy()
    vocabulary = vocabulary or DomainVocabulary()
    backend = load_backend(scene_graph, policy)
    nlp = _load_pipeline(spacy_model)
    _check_pipeline(nlp)
    names = NameFinder(vocabulary, nlp) if vocabulary.terms else None
    rules = TagRules(policy, names, relations)
    return Tagger(nlp, backend, rules, _card(nlp, backend, rules, vocabulary), batch_size)


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


def _card(
    nlp: Language, backend: SceneGraphBackend, rules: TagRules, vocabulary: DomainVocabulary
) -> TaggerCard:
    import spacy

    name = f"{nlp.lang}_{nlp.meta['name']}"
    version = str(nlp.meta["version"])
    policy = rules.policy.fingerprint
    digest = hashlib.sha256()
    facts = (name, version, spacy.__version__, backend.name, str(RULES_VERSION), policy)
    for fact in (*facts, repr(vocabulary.terms), str(rules.relations)):
        digest.update(fact.encode() + b"\0")
    for path in _deciding_files(Path(nlp.path)):
        digest.update(path.relative_to(nlp.path).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return TaggerCard(
        pipeline=name,
        version=version,
        spacy=spacy.__version__,
        backend=backend.name,
        policy=policy,
        vocabularies=vocabulary.files,
        relations=rules.relations,
        fingerprint=digest.hexdigest(),
    )


def _deciding_files(folder: Path) -> list[Path]:
    """Files of a pipeline by relative path, its documentation and byte code left out."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(
        path
        for path in files
        if not any(part.startswith(_DOCUMENTATION) for part in path.relative_to(folder).parts)
    )
