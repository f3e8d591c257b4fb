"""The benchmark of what tags cost, at tiny size."""

from __future__ import annotations

import re

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import tuna_cost, tuna_flops
from benchmarks.index_data import Collection
from benchmarks.tuna_sizes import PRESETS, inputs, make_model

_TINY = ["--preset", "tiny", "--device", "cpu", "--vectors", "300", "--turns", "1"]


def test_it_prints_both_ratios_and_how_many_tokens_tags_are(capsys, tmp_path):
    words = ["--tags", "5", "8", "--train-words", "20", "--ask-words", "10"]
    words += ["--folder", str(tmp_path / "store")]
    assert tuna_cost.main([*_TINY, *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    plain = 1 + 576 + 20
    assert f"5 tags, training: {plain} tokens plain, {plain + 15} with tags, +2.5%" in lines
    assert f"8 tags, training: {plain} tokens plain, {plain + 25} with tags, +4.2%" in lines
    for name in ("training step", "time to first token", "the same, no retrieval"):
        found = [line for line in lines if line.startswith(f"{name}: ")]
        assert len(found) == 2
        assert re.search(r"ratio \d\.\d{3} \((met|MISSED): at most 1\.(05|10)\)", found[0])
        assert re.search(r"longer prompt \d\.\d{3}, ours \d\.\d{3}$", found[0])
    assert any(re.match(r"search, captions, tags: [\d.]+ ms of CPU", line) for line in lines)
    made = (tmp_path / "store/manifest.json").stat().st_mtime_ns
    store = tuna_cost.make_datastore(tmp_path / "store", 300, 32)
    assert (tmp_path / "store/manifest.json").stat().st_mtime_ns == made
    (answer,) = store.query(Collection("clip", 300, 32).queries(1), 5)
    assert len(answer.tags) == 15


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


@pytest.mark.parametrize("retrieval", [True, False])
def test_each_first_token_embeds_its_tags_anew_and_asks_the_next_picture(tmp_path, retrieval):
    model = make_model(PRESETS["tiny"], "cpu").eval()
    store = tuna_cost.make_datastore(tmp_path, 300, 32)
    queries = Collection("clip", 300, 32).queries(2)
    asked, embedded = [], []

    class Watched:
        def query(self, query, k):
            asked.append(query.tolist())
            return store.query(query, k)

    model.model.clip_text.tower.register_forward_hook(lambda *_: embedded.append(1))
    data = inputs(model, 8, 3, "cpu")
    answer = tuna_cost.first_token(model, data, Watched() if retrieval else None, queries)
    for _ in range(3):
        answer()
    assert len(embedded) == 3
    expected = [queries[i : i + 1].tolist() for i in (0, 1, 0)]
    assert asked == (expected if retrieval else [])


def test_a_step_has_gradients_where_training_has_them():
    model = make_model(PRESETS["tiny"], "cpu").train()
    tuna_cost.training_step(model, inputs(model, 8, 3, "cpu"))()
    trained = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    for part in ("multi_modal_projector", "language_model", "cross_attention"):
        assert any(part in name for name in trained), part
    assert not any("vision_tower" in name or "clip_text" in name for name in trained)


def test_a_row_without_tags_is_a_plain_llavas():
    model = make_model(PRESETS["tiny"], "cpu")
    plain = inputs(model, 8, 0, "cpu")
    assert set(plain) == {"input_ids", "attention_mask", "pixel_values"}
    with torch.no_grad():
        assert model(**plain).logits.shape[1] == 1 + 576 + 8


@pytest.mark.parametrize("tags", [0, 6])
def test_the_count_is_what_pytorch_counts(tags):
    preset = PRESETS["tiny"]
    model = make_model(preset, "cpu").train()
    data = inputs(model, 8, tags, "cpu")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(**data, logits_to_keep=1)
    counted = counter.get_total_flops()
    model.model.clip_text.clear()
    assert tuna_flops.first_token(preset, 8, tags).total == pytest.approx(counted, rel=0.01)
    with FlopCounterMode(display=False) as counter:
        tuna_cost.training_step(model, data)()
    ours = tuna_flops.training_step(preset, 8, tags).total
    # Attention's backward makes its scores anew: five products where forward has two.
    width, layers = preset.language[1], preset.language[0]
    length = data["input_ids"].shape[1]
    again = 2 * length**2 * width * layers
    assert ours + again == pytest.approx(counter.get_total_flops(), rel=0.03)


def test_the_small_model_has_the_real_ones_proportions():
    for count in (tuna_flops.first_token, tuna_flops.training_step):
        small, real = (count(PRESETS[name], 64, 24) for name in ("small", "7b"))
        for part in ("vision", "connector", "language", "head", "tags"):
            share = getattr(small, part) / small.total, getattr(real, part) / real.total
            assert share[0] == pytest.approx(share[1], abs=0.03), (count, part)
        ratios = [
            tuna_flops.ratio(count(PRESETS[name], 64, 24), count(PRESETS[name], 64, 0))
            for name in ("small", "7b")
        ]
        assert ratios[0] == pytest.approx(ratios[1], abs=0.015)


def test_the_counts_are_printed(capsys):
    assert tuna_flops.main(["--ask-words", "64"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("7b: 8,924 G operations") and "24 tags, 75 tokens" in lines[2]
    least = tuna_flops.row_for_target(PRESETS["7b"], 13)
    around = [
        tuna_flops.ratio(*(tuna_flops.training_step(PRESETS["7b"], words, n) for n in (13, 0)))
        for words in (least - 1, least)
    ]
    assert around[1] <= 1.05 < around[0]
