"""The demo encoder: loaded by open_clip without a network, and good at what it was trained for."""

from __future__ import annotations

import dataclasses
import json
import math
import socket
from pathlib import Path

import numpy as np
import pytest

from demo.encoder_texts import CONTEXT_LENGTH
from demo.retrieval import (
    CLIP_FOLDER,
    embed_scenes,
    embed_texts,
    load_encoder,
    measure,
    query_scenes,
)
from demo.train_clip import (
    TrainingOptions,
    batches,
    name_loss,
    parse,
    rate_share,
    train,
    train_recipe,
)


@pytest.fixture(scope="module")
def encoder():
    return load_encoder()


def test_loads_with_every_connection_forbidden(monkeypatch):
    def refuse(*address: object) -> None:
        raise AssertionError(f"tried to reach {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    encoder = load_encoder()
    assert embed_texts(encoder, ["a red car"]).shape == (1, 128)


def test_is_small_enough_to_ship():
    size = sum(path.stat().st_size for path in CLIP_FOLDER.iterdir())
    assert size <= 8 * 2**20
    assert not [path for path in CLIP_FOLDER.iterdir() if path.suffix in {".bin", ".pt", ".pth"}]


def test_embeddings_are_unit_norm_and_repeat(encoder):
    scenes = query_scenes(6)
    first, again = embed_scenes(encoder, scenes), embed_scenes(encoder, scenes)
    assert first.shape == (6, 128)
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a red car",
        "🙂🚲 emoji",
        "סירה אדומה",
        "赤い車",
        "\x00\x07",
        "word " * 500,
        "<end_of_text>",
    ],
)
def test_any_text_has_tokens_and_a_finite_embedding(encoder, text):
    tokens = encoder.tokenizer([text])
    assert tokens.shape == (1, CONTEXT_LENGTH)
    # The tower pools at the largest token: the end of text must be there, and be the largest.
    end = encoder.tokenizer.tokenizer.eos_token_id
    assert tokens.max().item() == end
    assert np.isfinite(embed_texts(encoder, [text])).all()


def test_held_out_pictures_find_their_kind(encoder):
    study = measure(encoder, datastore=1000, queries=120)
    found = study.pictures["both"]
    assert found.queries == 120
    # Half of the benchmark's datastore holds half the pictures of each kind: the floor is
    # below the rate that the model card states, and far above chance.
    assert found.hit > 0.75
    assert found.hit > found.chance + 0.4
    assert study.names.hit > 0.85
    assert study.naming > 0.8
    assert study.colours > 0.3


def last_loss(output: str) -> float:
    line = next(text for text in output.splitlines() if text.startswith("step 30/"))
    return float(line.split()[3])


def test_training_lowers_the_loss_repeats_and_goes_on(tmp_path, capsys):
    options = TrainingOptions(steps=30, batch_size=16, pool=48, seed=1)
    train(tmp_path / "one", options)
    first = last_loss(capsys.readouterr().out)
    assert first < math.log(16)
    train(tmp_path / "two", options)
    for name in ("open_clip_model.safetensors", "open_clip_config.json", "tokenizer.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert embed_scenes(load_encoder(tmp_path / "one"), query_scenes(2)).shape == (2, 128)

    capsys.readouterr()
    train(tmp_path / "three", dataclasses.replace(options, start=tmp_path / "one"))
    assert last_loss(capsys.readouterr().out) < first
    tokenizers = [(tmp_path / name / "tokenizer.json").read_bytes() for name in ("one", "three")]
    assert tokenizers[0] == tokenizers[1]


def test_name_loss_prefers_the_kinds_that_are_there(encoder):
    import torch

    # One scene a kind, so that a picture's neighbours in the list are all wrong for it.
    scenes = list({scene.main.kind.name: scene for scene in query_scenes(20)}.values())[:8]
    kinds = [scene.main.kind.name for scene in scenes]
    features = torch.from_numpy(embed_scenes(encoder, scenes))
    names, scale = encoder.tokenizer(kinds), torch.tensor(20.0)
    right = torch.eye(8)
    losses = [
        name_loss(encoder.model, features, names, targets, scale).item()
        for targets in (right, right.roll(1, 0))
    ]
    assert losses[0] < losses[1]


def test_shipped_configuration_is_what_the_script_writes():
    from demo.train_clip import model_config

    config = json.loads((CLIP_FOLDER / "open_clip_config.json").read_text())
    assert config == model_config(config["model_cfg"]["text_cfg"]["vocab_size"])


def test_every_picture_of_the_pool_is_seen_once_a_round():
    options = TrainingOptions(steps=4, batch_size=25, pool=50)
    drawn = [i for batch in batches(50, options) for i in batch]
    assert sorted(drawn[:50]) == sorted(drawn[50:]) == list(range(50))
    assert drawn[:50] != drawn[50:]


def test_rate_rises_then_falls_to_nothing():
    shares = [rate_share(step, 100) for step in range(100)]
    assert shares.index(max(shares)) in (4, 5)
    assert shares[0] < 0.3 and shares[-1] < 0.01


def test_command_line_becomes_options(tmp_path):
    folder, options = parse(
        ["--out", str(tmp_path), "--steps", "3", "--pool", "9", "--seed", "2"]
        + ["--name-weight", "2", "--start", "there", "--learning-rate", "0.001"]
    )
    assert folder == tmp_path
    assert options == TrainingOptions(
        steps=3, pool=9, learning_rate=0.001, seed=2, name_weight=2.0, start=Path("there")
    )
    assert parse(["--out", "x"]) == (Path("x"), None)


def test_options_of_a_stage_without_steps_are_refused(capsys):
    with pytest.raises(SystemExit):
        parse(["--out", "x", "--seed", "3"])
    assert "need --steps" in capsys.readouterr().err


def test_recipe_goes_from_stage_to_stage(tmp_path):
    stage = TrainingOptions(steps=3, batch_size=8, pool=16, seed=1)
    train_recipe(tmp_path / "both", [stage, dataclasses.replace(stage, name_weight=1.0)])
    train(tmp_path / "one", stage)
    train(
        tmp_path / "two",
        dataclasses.replace(stage, name_weight=1.0, start=tmp_path / "one"),
    )
    for name in ("open_clip_model.safetensors", "tokenizer.json"):
        assert (tmp_path / "both" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
