"""FACTUAL's checkpoint: captions in, graphs out; limits that are told; checkpoints refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from tagmine import factual_model
from tagmine.backends import load_backend
from tagmine.errors import ConfigurationError
from tagmine.factual_input import Piece, split_caption
from tagmine.tag_policy import load_policy
from tagmine.tagger import Tagger, load_tagger

BIKES = [("red car", "red car"), ("yellow bicycle", "yellow bicycle")]
DOGS = [("two dogs", "two dog"), ("beach", "beach"), ("Lisbon", "Lisbon")]
BENCH = [("wooden bench", "wooden bench")]


@pytest.fixture(scope="module")
def tagger(tiny_factual) -> Tagger:
    return load_tagger(scene_graph=f"factual:{tiny_factual}", batch_size=4)


def said(tags):
    return [(tag.text, tag.lemma) for tag in tags]


def test_captions_become_tags_of_what_the_model_writes(tagger, factual_pairs):
    before = tagger.cut
    captions = [caption for caption, _ in factual_pairs]
    assert [said(tags) for tags in tagger.tag(captions)] == [BIKES, DOGS, BENCH]
    assert tagger.cut == before


def test_the_size_of_batches_changes_nothing(tagger, tiny_factual, factual_pairs):
    captions = [caption for caption, _ in factual_pairs] * 25 + ["", "...", "wooden zebras"]
    one_batch = load_tagger(scene_graph=f"factual:{tiny_factual}", batch_size=256)
    assert list(one_batch.tag(captions)) == list(tagger.tag(captions))


def test_a_long_caption_is_read_by_the_sentence(monkeypatch, tiny_factual, factual_pairs):
    # Three words of prompt, ten of the longest sentence, and an end mark.
    monkeypatch.setattr(factual_model, "MAX_INPUT_TOKENS", 15)
    tagger = load_tagger(scene_graph=f"factual:{tiny_factual}")
    whole = " ".join(caption for caption, _ in factual_pairs)
    assert said(next(tagger.tag([whole]))) == [*BIKES, *DOGS, *BENCH]
    assert tagger.cut == 0
    monkeypatch.setattr(factual_model, "MAX_INPUT_TOKENS", 12)
    tagger = load_tagger(scene_graph=f"factual:{tiny_factual}")
    tags = list(tagger.tag([whole, factual_pairs[2][0]]))
    assert said(tags[0])[-1:] == said(tags[1]) == BENCH
    assert tagger.cut == 1


def test_what_the_model_cannot_take_is_counted(tagger):
    before = tagger.cut
    captions = ["dog " * 200, "a red car parked next to a yellow bicycle ."]
    assert [said(tags) for tags in tagger.tag(captions)][1] == BIKES
    assert tagger.cut == before + 1


def test_an_output_at_its_limit_is_counted(monkeypatch, tiny_factual, factual_pairs):
    monkeypatch.setattr(factual_model, "MAX_OUTPUT_TOKENS", 15)
    tagger = load_tagger(scene_graph=f"factual:{tiny_factual}")
    captions = [caption for caption, _ in factual_pairs]
    bikes, _, bench = tagger.tag(captions)
    # The third of three facts is missing.
    assert said(bikes) == [("red car", "red car"), ("yellow bicycle", "yellow bicycle")]
    assert said(bench) == BENCH
    assert tagger.cut == 2


@pytest.mark.parametrize(
    ("caption", "budget", "pieces"),
    [
        ("A dog. A cat. A red car.", 7, ["A dog. A cat.", "A red car."]),
        ("A dog. A man walks, a cat runs.", 5, ["A dog.", "A man walks,", "a cat runs."]),
        ("a dog near a man who sits there", 6, ["a dog near a man", "who sits there"]),
        ("dog dog dog dog dog", 2, ["dog dog", "dog dog", "dog"]),
    ],
)
def test_captions_are_split_where_the_sense_ends(tagger, caption, budget, pieces):
    doc = tagger.nlp(caption)
    found = split_caption(doc, [1] * len(doc), budget)
    assert [doc[piece.start : piece.end].text for piece in found] == pieces
    if caption != "dog dog dog dog dog":
        assert all(piece.is_whole for piece in found)


def test_a_word_beyond_the_budget_is_a_piece_that_is_not_whole(tagger):
    doc = tagger.nlp("dog cat bird")
    assert split_caption(doc, [1, 9, 1], 3) == [
        Piece(0, 1, is_whole=False),
        Piece(1, 2, is_whole=False),
        Piece(2, 3),
    ]


def test_the_name_pins_the_checkpoint_and_not_its_place(tagger, tiny_factual, tmp_path):
    copy = tmp_path / "elsewhere"
    shutil.copytree(tiny_factual, copy)
    assert load_tagger(scene_graph=f"factual:{copy}").card == tagger.card
    weights = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    changed = load_tagger(scene_graph=f"factual:{copy}").card
    assert changed.backend != tagger.card.backend
    assert changed.fingerprint != tagger.card.fingerprint
    assert str(tiny_factual) not in tagger.card.backend


def _drop_weights(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _truncate_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def _lose_a_weight(folder):
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    weights = load_file(path)
    del weights["decoder.final_layer_norm.weight"]
    save_file(weights, path)


def _configure(**values):
    def edit(folder):
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return edit


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_drop_weights, "has no model.safetensors"),
        (_truncate_weights, "cannot load it"),
        (_lose_a_weight, "decoder.final_layer_norm.weight"),
        (_configure(model_type="bert"), "'bert' and not 't5'"),
        (_configure(eos_token_id=2), "ends with 2"),
        (_configure(d_model=48), "FACTUAL checkpoint"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "is no tokenizer"),
        (lambda folder: (folder / "config.json").write_text("["), "cannot load it"),
        (shutil.rmtree, "has no config.json"),
    ],
)
def test_a_folder_that_is_no_checkpoint_is_refused_in_a_sentence(
    tiny_factual, tmp_path, spoil, says, capfd
):
    folder = tmp_path / "broken"
    shutil.copytree(tiny_factual, folder)
    spoil(folder)
    with pytest.raises(ConfigurationError) as refused:
        load_backend(f"factual:{folder}", load_policy())
    message = str(refused.value)
    assert says in message and "\n" not in message and message.endswith(".")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("choice", ["", "Factual", "factual:", "dependency:x", "sng"])
def test_an_unknown_parser_is_refused(choice):
    with pytest.raises(ConfigurationError, match="dependency, factual, or factual:DIR"):
        load_tagger(scene_graph=choice)


OFFLINE = """
import sys
import tagmine.tagger
from tagmine.errors import ConfigurationError

tagmine.tagger.load_backend("dependency", tagmine.tag_policy.load_policy())
assert not {"transformers", "tagmine.factual_model"} & set(sys.modules)
try:
    tagmine.tagger.load_tagger(scene_graph="factual")
except ConfigurationError as error:
    print(error)
"""


def test_without_the_hub_one_sentence_says_what_to_do(tmp_path):
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE], env=environment, capture_output=True, text=True, check=True
    )
    (sentence,) = done.stdout.splitlines()
    assert "HF_HUB_OFFLINE is set" in sentence
    assert f"hf download {factual_model.CHECKPOINT} --revision" in sentence
    assert sentence.endswith("give factual:DIR.")
