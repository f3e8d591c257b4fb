"""The caption pipeline that ships, and the reading of the silver that it was trained on."""

from __future__ import annotations

import json
import random
import warnings
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, Span

from tagmine.tagger import embedded_pipeline

SHARED = Path(__file__).parents[3] / "shared" / "data"
MAX_BYTES = 8_000_000


def silver_doc(nlp, annotated, ents=()):
    """A doc from "word/TAG/POS/dep/head" items."""
    rows = [item.split("|") for item in annotated.split()]
    words, tags, pos, deps, heads = zip(*rows, strict=True)
    heads = [int(head) for head in heads]
    doc = Doc(nlp.vocab, words=words, tags=tags, pos=pos, deps=deps, heads=heads)
    doc.ents = [Span(doc, start, end, label=label) for start, end, label in ents]
    return doc


ZEBRAS = "zebras|NNS|NOUN|ROOT|0 in|IN|ADP|prep|0 grass|NN|NOUN|pobj|1"
SHIRT = (
    "Red|NNP|PROPN|compound|5 Tape|NNP|PROPN|compound|5 Men|NNP|PROPN|compound|5 "
    "Solid|JJ|ADJ|compound|5 Blue|JJ|ADJ|compound|5 Shirt|NN|NOUN|ROOT|5"
)
DOG = "a|DT|DET|det|1 dog|NN|NOUN|ROOT|1 near|IN|ADP|prep|1 a|DT|DET|det|4 tree|NN|NOUN|pobj|2"


def test_it_is_small_and_loads_without_a_warning():
    files = [path for path in embedded_pipeline().rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MAX_BYTES
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nlp = spacy.load(embedded_pipeline())
        doc = nlp("A dog runs on the beach.")
    assert [chunk.text for chunk in doc.noun_chunks] == ["A dog", "the beach"]


def test_it_names_no_path_of_the_machine_it_was_trained_on():
    config = (embedded_pipeline() / "config.cfg").read_text(encoding="utf-8")
    assert 'train = "' not in config
    assert "train = null" in config


def test_card_states_licences_seed_command_and_the_recorded_scores():
    card = (embedded_pipeline() / "README.md").read_text(encoding="utf-8")
    for words in ("CC-BY 4.0", "MIT", "seed", "python -m demo.train_pipeline"):
        assert words in card
    meta = json.loads((embedded_pipeline() / "meta.json").read_text(encoding="utf-8"))
    for name in ("tag_acc", "dep_uas", "dep_las", "noun_chunks_f", "ents_f"):
        assert f"{meta['performance'][name]:.3f}" in card


@pytest.mark.parametrize(
    ("caption", "word", "lemma"),
    [
        ("A man is riding a horse.", "riding", "ride"),
        ("two vases on a table", "vases", "vase"),
        ("three women and two buses", "women", "woman"),
        ("three women and two buses", "buses", "bus"),
        ("clothes on a bed", "clothes", "clothes"),
    ],
)
def test_lemmas(caption, word, lemma):
    doc = spacy.load(embedded_pipeline())(caption)
    assert next(token.lemma_ for token in doc if token.text == word) == lemma


def test_scores_on_silver_are_those_recorded():
    silver_folder = SHARED / "silver"
    if not silver_folder.exists():
        pytest.skip(f"{silver_folder} is not here")
    from demo.train_pipeline import silver

    nlp = spacy.load(embedded_pipeline(), exclude=["ner", "lemmatizer"])
    wanted = silver.read_docs(silver_folder / "dev.spacy", nlp.vocab)[:400]
    blank = [Doc(nlp.vocab, words=[t.text for t in doc]) for doc in wanted]
    pairs = [
        (f, w)
        for found, doc in zip(nlp.pipe(blank), wanted, strict=True)
        for f, w in zip(found, doc, strict=True)
        if w.dep_ not in ("punct", "")
    ]
    recorded = nlp.meta["performance"]
    assert sum(f.tag_ == w.tag_ for f, w in pairs) / len(pairs) > recorded["tag_acc"] - 0.02
    heads = sum(f.head.i == w.head.i and f.dep_ == w.dep_ for f, w in pairs)
    assert heads / len(pairs) > recorded["dep_las"] - 0.03


def test_entities_of_ordinary_words_are_mended():
    from demo.train_pipeline import silver

    nlp = spacy.blank("en")
    docs = [silver_doc(nlp, ZEBRAS, [(0, 1, "NORP")] if i == 0 else []) for i in range(4)]
    lexicon = silver.build_lexicon(docs)
    assert silver.mended_entities(docs[0], lexicon) == []


def test_a_product_name_keeps_its_brand_only():
    from demo.train_pipeline import silver

    nlp = spacy.blank("en")
    docs = [silver_doc(nlp, SHIRT, [(1, 5, "PERSON")]) for _ in range(3)]
    lexicon = silver.build_lexicon(docs)
    entities = silver.mended_entities(docs[0], lexicon)
    assert [(entity.text, entity.label_) for entity in entities] == [("Red Tape", "ORG")]


def test_variants_are_trees_with_their_entities_in_place():
    from demo.train_pipeline import variants

    nlp = spacy.blank("en")
    doc = silver_doc(nlp, DOG)
    seen = set()
    for seed in range(200):
        variant = variants.make_variant(doc, random.Random(seed), ["Nike"], is_product=False)
        if variant is None:
            continue
        assert sum(token.dep_ == "ROOT" for token in variant) == 1
        assert len(list(variant.sents)) == 1
        for entity in variant.ents:
            seen.add(entity.label_)
            assert {token.tag_ for token in entity} <= {"NNP", "DT"}
    assert seen == {"GPE", "ORG", "FAC"}


def test_the_same_seed_gives_the_same_variant():
    from demo.train_pipeline import variants

    doc = silver_doc(spacy.blank("en"), DOG)
    made = [
        variants.make_variant(doc, random.Random(5), ["Nike"], is_product=False) for _ in range(2)
    ]
    assert made[0].text == made[1].text != doc.text
