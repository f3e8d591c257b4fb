"""Packs a trained pipeline for shipping: lemma tables in, training leftovers out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import spacy
from spacy.language import Language
from spacy.lookups import Lookups

META = {
    "name": "caption_sm",
    "version": "1.0.0",
    "description": "Small English pipeline for image captions.",
    "author": "tagmine",
    "email": "",
    "url": "",
    "license": "MIT",
    "spacy_version": ">=3.8.0,<3.9.0",
}
_CARD = "README.md"

# Where a rule gives two known words, spaCy takes the wrong one of these pairs: "riding" is "rid"
# to it and "vases" are "vas". The left-out words hardly occur in captions.
LEFT_OUT_LEMMAS = {
    "verb": frozenset({"din", "plat", "rid", "shin", "star", "wad"}),
    "noun": frozenset({"booty", "cooky", "us", "vas"}),
}
ADDED_EXCEPTIONS = {"noun": {"clothes": ["clothes"]}}


def pack_pipeline(trained: Path, lemma_tables: Path, out: Path) -> None:
    """Writes a trained pipeline as a folder that `spacy.load` opens.

    Args:
        trained: folder of the trained pipeline, without a lemmatizer.
        lemma_tables: folder of the rule lemmatizer's tables (lemma_rules, lemma_exc, lemma_index).
        out: where to write; what is there is replaced, except its model card.
    """
    nlp = spacy.load(trained)
    lemmatizer = nlp.add_pipe("lemmatizer", config={"mode": "rule"}, after="morphologizer")
    lemmatizer.initialize(lookups=mended_tables(lemma_tables))
    nlp.meta.update(META)
    nlp.meta.pop("spacy_git_version", None)
    # Paths of the machine it was trained on mean nothing elsewhere.
    nlp.config["paths"] = dict.fromkeys(nlp.config["paths"])
    card = (out / _CARD).read_text(encoding="utf-8") if (out / _CARD).exists() else None
    if out.exists():
        shutil.rmtree(out)
    nlp.to_disk(out)
    _forget_training_words(nlp, out / "vocab" / "strings.json")
    if card is not None:
        (out / _CARD).write_text(card, encoding="utf-8")


def mended_tables(folder: Path) -> Lookups:
    """The rule lemmatizer's tables with the mends above."""
    lookups = Lookups().from_disk(folder)
    index, exceptions = lookups.get_table("lemma_index"), lookups.get_table("lemma_exc")
    for pos, left_out in LEFT_OUT_LEMMAS.items():
        # spaCy asks "form in index" of what comes as a list of up to 57,528 words.
        index[pos] = dict.fromkeys((word for word in index[pos] if word not in left_out), True)
    for pos, added in ADDED_EXCEPTIONS.items():
        exceptions[pos] = {**exceptions[pos], **added}
    return lookups


def _forget_training_words(nlp: Language, strings: Path) -> None:
    """Keeps the labels only: spaCy stores each training word, and needs none of them again."""
    labels = {label for names in nlp.pipe_labels.values() for label in names}
    features = {part for label in labels for part in label.split("|")}
    strings.write_text(json.dumps(sorted(labels | features)), encoding="utf-8")


def write_scores(out: Path, scores: dict[str, float]) -> None:
    """Records scores in the packed pipeline's meta.json, where spaCy keeps them."""
    path = out / "meta.json"
    meta = json.loads(path.read_text(encoding="utf-8"))
    meta["performance"] = {name: round(score, 4) for name, score in scores.items()}
    path.write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
