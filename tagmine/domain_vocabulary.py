"""Names of a domain (brands, species, landmarks), given as text files and found as they stand."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tagmine.cleaning import clean_caption
from tagmine.errors import ConfigurationError
from tagmine.tag_policy import MAX_TAG_CHARACTERS, read_entries

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc, Span

_LABEL = re.compile(r"[A-Z][A-Z0-9_]{0,39}")


@dataclasses.dataclass(frozen=True, slots=True)
class DomainVocabulary:
    """Names to find in captions, each with its label.

    Attributes:
        terms: (name as it is written, label) pairs, each name once for a label, sorted.
        files: (name, sha256) of each file that they were read from.
    """

    terms: tuple[tuple[str, str], ...] = ()
    files: tuple[tuple[str, str], ...] = ()


def label_of(name: str) -> str | None:
    """The label that a file's name gives its names, "BRAND" for "brand"; None where it makes
    none."""
    label = re.sub(r"[^A-Z0-9]+", "_", name.upper())
    return label if _LABEL.fullmatch(label) else None


def load_vocabulary(paths: Iterable[str | os.PathLike[str]]) -> DomainVocabulary:
    """Reads vocabulary files: one name a line, labelled with the file's name.

    A file `brand.txt` with the line "Louis Philippe" labels that name "BRAND". Empty lines and
    those that begin with "#" are left out.

    Raises:
        ConfigurationError: for a file that cannot be read, has no name or one that could never be
            found, or whose own name makes no label (letters, digits, "_" and "-", beginning with
            a letter).
    """
    terms: set[tuple[str, str]] = set()
    files: list[tuple[str, str]] = []
    for path in map(Path, paths):
        label = label_of(path.stem)
        if label is None:
            raise ConfigurationError(
                f"the vocabulary {path} labels its names with the file's name, and {path.stem!r} "
                "makes no label; rename the file, for example to brand.txt."
            )
        names = read_entries(path, "the vocabulary")
        if not names:
            raise ConfigurationError(f"the vocabulary {path} has no name; write one a line.")
        for name in names:
            _check_name(path, name)
        terms.update((name, label) for name in names)
        files.append((path.name, hashlib.sha256(path.read_bytes()).hexdigest()))
    if len({name for name, _ in files}) < len(files):
        raise ConfigurationError("two vocabulary files have the same name; rename one of them.")
    return DomainVocabulary(tuple(sorted(terms)), tuple(files))


def _check_name(path: Path, name: str) -> None:
    """Refuse a name that could not be found in any caption."""
    fault = fault_of_name(name)
    if fault is not None:
        raise ConfigurationError(f"the vocabulary {path}: {fault}")


def fault_of_name(name: str) -> str | None:
    """Why a name could not be found in any caption, and what to do; None where it could."""
    cleaned = clean_caption(name)
    if cleaned.casefold() != " ".join(name.split()).casefold():
        return (
            f"{name!r} cannot be found, since captions are cleaned before they are read, and it "
            f"would read {cleaned!r}. Write it so, or take it out."
        )
    if len(name) > MAX_TAG_CHARACTERS or not any(character.isalpha() for character in name):
        return (
            f"{name[:60]!r} makes no tag, which has a letter and at most {MAX_TAG_CHARACTERS} "
            "characters. Take it out."
        )
    return None


class NameFinder:
    """Finds a vocabulary's names in parsed captions, whatever their case, by a PhraseMatcher.

    Attributes:
        labels: the labels of its names.
    """

    def __init__(self, vocabulary: DomainVocabulary, nlp: Language) -> None:
        from spacy.matcher import PhraseMatcher

        self.labels = frozenset(label for _, label in vocabulary.terms)
        self._matcher = PhraseMatcher(nlp.vocab, attr="LOWER")
        self._written: dict[tuple[str, str], str] = {}
        by_label: dict[str, list[Doc]] = {}
        for name, label in vocabulary.terms:
            by_label.setdefault(label, []).append(nlp.make_doc(name))
            self._written.setdefault((name.casefold(), label), name)
        for label, docs in by_label.items():
            self._matcher.add(label, docs)

    def mark(self, doc: Doc) -> None:
        """Makes the names it finds entities of the Doc, in the place of those they overlap."""
        from spacy.util import filter_spans

        found = filter_spans(self._matcher(doc, as_spans=True))
        if found:
            taken = {i for span in found for i in range(span.start, span.end)}
            kept = [e for e in doc.ents if taken.isdisjoint(range(e.start, e.end))]
            doc.set_ents([*kept, *found])

    def written(self, span: Span) -> str | None:
        """A found name as the vocabulary writes it; None for another entity."""
        return self._written.get((" ".join(span.text.split()).casefold(), span.label_))
