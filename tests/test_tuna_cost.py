"""The benchmark of what tags cost, at tiny size."""

from __future__ import annotations

import re

import torch

from benchmarks import tuna_cost

_TINY = ["--preset", "tiny", "--device", "cpu", "--vectors", "300", "--turns", "1"]


def test_it_prints_both_ratios_and_how_many_tokens_tags_are(capsys):
    words = ["--tags", "5", "--train-words", "20", "--ask-words", "10"]
    assert tuna_cost.main([*_TINY, *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    plain = 1 + 576 + 20
    assert f"training: {plain} tokens plain, {plain + 20} with tags, +3.4%" in lines
    for name in ("training step", "time to first token", "the same, no retrieval"):
        line = next(line for line in lines if line.startswith(f"{name}: "))
        assert re.search(r"ratio \d\.\d{3} \((met|MISSED): at most 1\.(05|10)\)", line)
        assert re.search(r"longer prompt \d\.\d{3}, ours \d\.\d{3}$", line)


def test_ratios_are_those_of_turns_whose_order_changes(monkeypatch):
    calls, now = [], [0.0]

    def work(name: str, seconds: float):
        def run() -> None:
            calls.append(name)
            now[0] += seconds

        return run

    monkeypatch.setattr(tuna_cost.time, "process_time", lambda: now[0])
    works = [work("plain", 2.0), work("longer", 4.0), work("tags", 5.0)]
    found = tuna_cost.compare(works, 1, "cpu")
    assert found == tuna_cost.Cost(2.0, 4.0, 5.0, prompt=2.0, own=1.25, whole=2.5)
    assert calls[:6] == ["plain", "longer", "tags", "longer", "tags", "plain"]
    assert calls[6:] == ["tags", "plain", "longer", "plain", "longer", "tags"]


def test_a_step_has_gradients_where_training_has_them():
    model = tuna_cost.make_model(tuna_cost.PRESETS["tiny"], "cpu").train()
    tuna_cost.training_step(model, tuna_cost.inputs(model, 8, 3, "cpu"))()
    trained = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    for part in ("multi_modal_projector", "language_model", "cross_attention"):
        assert any(part in name for name in trained), part
    assert not any("vision_tower" in name or "clip_text" in name for name in trained)


def test_a_row_without_tags_is_a_plain_llavas():
    model = tuna_cost.make_model(tuna_cost.PRESETS["tiny"], "cpu")
    plain = tuna_cost.inputs(model, 8, 0, "cpu")
    assert set(plain) == {"input_ids", "attention_mask", "pixel_values"}
    with torch.no_grad():
        assert model(**plain).logits.shape[1] == 1 + 576 + 8
