"""FACTUAL's checkpoint: captions in, graphs out; limits that are told; checkpoints refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tagmine.backends import load_backend
from tagmine.errors import ConfigurationError
from tagmine.factual_input import Piece, split_caption
from tagmine.tagger import Tagger, load_tagger


@pytest.fixture(scope="module")
def tagger(tiny_factual) -> Tagger:
    return load_tagger(scene_graph=f"factual:{tiny_factual}", batch_size=4)


def said(tags):
    return [(tag.text, tag.kind, tag.lemma) for tag in tags]


def test_captions_become_the_tags_of_what_the_model_writes(tagger, factual_pairs):
    before = tagger.cut
    red, dogs, bench = tagger.tag(caption for caption, _ in factual_pairs)
    assert said(red) == [
        ("red car", "attribute", "red car"),
        ("yellow bicycle", "attribute", "yellow bicycle"),
    ]
    assert said(dogs) == [
        ("two dogs", "attribute", "two dog"),
        ("beach", "object", "beach"),
        ("Lisbon", "entity", "Lisbon"),
    ]
    assert said(bench) == [("wooden bench", "attribute", "wooden bench")]
    assert tagger.cut == before


def test_batches_change_nothing(tagger, tiny_factual, factual_pairs):
    captions = [caption for caption, _ in factual_pairs] * 30 + ["", "...", "wooden zebras"]
    one_batch = load_tagger(scene_graph=f"factual:{tiny_factual}", batch_size=256)
    assert list(one_batch.tag(captions)) == list(tagger.tag(captions))


def test_a_caption_of_several_sentences_beyond_the_limit_is_read_whole(tagger, factual_pairs):
    # The tiny model has learned single sentences, so the limit is set for one of them.
    backend = load_backend_with_limit(tagger, 14)
    caption = ". ".join(text for text, _ in factual_pairs)
    doc = tagger.nlp(" . ".join(text for text, _ in factual_pairs))
    for i, token in enumerate(doc):
        token.is_sent_start = i == 0 or doc[i - 1].text == "."
    assert caption
    (graph,) = backend.parse_batch([doc])
    assert {entity.head for entity in graph.entities} >= {"car", "bicycle", "dog", "bench"}
