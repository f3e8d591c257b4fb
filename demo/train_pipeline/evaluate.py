"""Scores of a pipeline against silver captions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import spacy
from spacy.tokens import Doc

from demo.train_pipeline import silver


def score_pipeline(pipeline: Path, dev: Path, lexicon: Path) -> dict[str, float]:
    """How closely a pipeline agrees with the silver annotations.

    Args:
        pipeline: folder of a spaCy pipeline.
        dev: DocBin file of silver captions.
        lexicon: DocBin file whose counts mend the silver entities (the training file).

    Returns:
        Shares from 0 to 1: accuracy of tags, parts of speech and lemmas; attachment with and
        without labels (punctuation left out); F1 of noun chunks, and of named entities against
        the mended and against the raw silver.
    """
    nlp = spacy.load(pipeline)
    raw = silver.read_docs(dev, nlp.vocab)
    words = silver.build_lexicon(silver.read_docs(lexicon, nlp.vocab))
    found = list(nlp.pipe(_unannotated(raw)))
    mended = [silver.to_reference(doc, words) for doc in raw]
    return {
        "tag_acc": _accuracy(found, raw, "tag_"),
        "pos_acc": _accuracy(found, raw, "pos_"),
        "lemma_acc": _accuracy(found, raw, "lemma_"),
        "dep_uas": _attachment(found, raw, labelled=False),
        "dep_las": _attachment(found, raw, labelled=True),
        "noun_chunks_f": _f1(map(_chunks, found), map(_chunks, raw)),
        "ents_f": _f1(map(_entities, found), map(_entities, mended)),
        "ents_f_raw_silver": _f1(map(_entities, found), map(_entities, raw)),
    }


def _unannotated(docs: Iterable[Doc]) -> list[Doc]:
    return [
        Doc(d.vocab, words=[t.text for t in d], spaces=[bool(t.whitespace_) for t in d])
        for d in docs
    ]


def _accuracy(found: list[Doc], wanted: list[Doc], attribute: str) -> float:
    pairs = [
        (getattr(f, attribute), getattr(w, attribute))
        for doc, silver_doc in zip(found, wanted, strict=True)
        for f, w in zip(doc, silver_doc, strict=True)
        if not w.is_space
    ]
    return sum(f == w for f, w in pairs) / len(pairs)


def _attachment(found: list[Doc], wanted: list[Doc], *, labelled: bool) -> float:
    pairs = [
        (f, w)
        for doc, silver_doc in zip(found, wanted, strict=True)
        for f, w in zip(doc, silver_doc, strict=True)
        if not w.is_space and w.dep_ != "punct"
    ]
    right = sum(f.head.i == w.head.i and (not labelled or f.dep_ == w.dep_) for f, w in pairs)
    return right / len(pairs)


def _chunks(doc: Doc) -> set[tuple[int, int, str]]:
    return {(chunk.start, chunk.end, "") for chunk in doc.noun_chunks}


def _entities(doc: Doc) -> set[tuple[int, int, str]]:
    return {(e.start, e.end, e.label_) for e in doc.ents if e.label_ not in silver.NUMERIC_LABELS}


def _f1(found: Iterable[set], wanted: Iterable[set]) -> float:
    both = n_found = n_wanted = 0
    for f, w in zip(found, wanted, strict=True):
        both += len(f & w)
        n_found += len(f)
        n_wanted += len(w)
    return 2 * both / (n_found + n_wanted)
