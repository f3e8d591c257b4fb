"""The study in miniature: its whole rig at toy size, and its page from its results."""

from __future__ import annotations

import dataclasses
import random
import re
from pathlib import Path

import pytest
import torch

from benchmarks.study import campaign
from benchmarks.study.alignment import align, captioned
from benchmarks.study.arms import ARMS, arm_named
from benchmarks.study.asking import greedy_answers
from benchmarks.study.claims import Claim
from benchmarks.study.kinds import (
    KindSplit,
    check_rows,
    pool_scenes,
    seen_rows,
    split_kinds,
    test_scenes,
    tuned_rows,
)
from benchmarks.study.language_model import answer_labels, load_tokenizer
from benchmarks.study.lookups import MAIN, NOISE, look_up_tuning, texts_without
from benchmarks.study.page import render
from benchmarks.study.questions import (
    absent_kind,
    group_names,
    name_question,
    test_questions,
)
from benchmarks.study.results import Results, Run, read_results, read_side, write_results
from benchmarks.study.rig import make_model, make_processor, packed
from benchmarks.study.scores import Answered, scores_of
from benchmarks.study.settings import FULL, TOY
from benchmarks.study.statistics import estimate, paired
from benchmarks.study.texts import turn
from benchmarks.study.tuning import turns_of
from demo.shards import ShardOptions, scenes_of
from demo.world import all_kinds, caption, draw
from tagmine.errors import ConfigurationError

# pytest would take these for tests.
test_scenes.__test__ = False
test_questions.__test__ = False

_DOCS = Path(__file__).parents[1] / "docs"
_TESTED = ("baseline", "no_tag_tuning", "tuna")


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> tuple[Path, Results]:
    """The work folder and the results of a toy study: all is run, little learned."""
    work = tmp_path_factory.mktemp("study")
    arms = [arm_named(name) for name in _TESTED]
    return work, campaign.run_all(work, TOY, [0], 1, arms)


def test_seen_and_unseen_kinds_are_a_partition_and_differ_by_seed():
    street = {kind.name for kind in all_kinds("street")}
    for seed in range(5):
        split = split_kinds(seed)
        assert not split.seen & split.unseen
        assert split.seen | split.unseen == street
        assert abs(len(split.unseen) / len(street) - 1 / 3) < 0.02
    assert split_kinds(0) != split_kinds(1) and split_kinds(0) == split_kinds(0)


def test_tuning_pictures_hold_seen_kinds_only():
    scenes, split = pool_scenes(300), split_kinds(0)
    rows = seen_rows(scenes, split)
    assert 0 < len(rows) < len(scenes)
    kinds = {spec.kind.name for row in rows for spec in scenes[row].objects}
    assert kinds <= split.seen


def test_no_training_uses_the_pictures_by_which_settings_are_chosen():
    scenes, split = pool_scenes(300), split_kinds(0)
    tuned, checked = tuned_rows(scenes, split), check_rows(scenes, split)
    assert tuned and checked and not set(tuned) & set(checked)
    assert set(tuned) | set(checked) <= set(seen_rows(scenes, split))
    assert all(len(scenes[row].objects) == 1 for row in checked)


def test_the_first_stage_trains_the_connector_alone_and_is_kept(toy, tmp_path):
    work, _ = toy
    world = campaign.prepare(work, TOY, 1)
    processor = make_processor(world.llama, TOY)
    shared = (processor, pool_scenes(TOY.tuning_pool), world.pool, split_kinds(0), TOY, 0)
    model, again = (
        make_model(world.llama, TOY, processor, arm_named(name), 0) for name in ("tuna", "lion")
    )
    before = {name: value.clone() for name, value in model.named_parameters()}
    trainable = {name for name, value in model.named_parameters() if value.requires_grad}
    align(tmp_path / "00.safetensors", model, *shared)
    now = dict(model.named_parameters())
    changed = {name for name, value in now.items() if not torch.equal(value, before[name])}
    assert changed and all("multi_modal_projector" in name for name in changed)
    assert trainable == {name for name, value in now.items() if value.requires_grad}
    align(tmp_path / "00.safetensors", again, *shared)
    for name, value in again.model.multi_modal_projector.named_parameters():
        assert torch.equal(value, now[f"model.multi_modal_projector.{name}"])


def test_a_caption_is_learned_and_its_picture_is_not(toy):
    work, _ = toy
    processor = make_processor(work / "llama", TOY)
    scenes = pool_scenes(3)
    batch = captioned(scenes, processor, random.Random(0))
    rng = random.Random(0)
    for row, scene in enumerate(scenes):
        learned = batch["labels"][row][batch["labels"][row] >= 0]
        words = processor.tokenizer.encode(caption(scene, rng).text, add_special_tokens=False)
        assert learned.tolist() == [*words, processor.tokenizer.eos_token_id]
        assert int(batch["attention_mask"][row].sum()) == 1 + 16 + len(learned)


def test_no_test_picture_is_in_the_datastore_or_the_tuning_set():
    tested = {scene.seed for scene in test_scenes(FULL.test_per_kind)}
    tuned = {scene.seed for scene in pool_scenes(FULL.tuning_pool)}
    stored: set[int] = set()
    for domain, shards in (("street", FULL.street_shards), ("fashion", FULL.fashion_shards)):
        options = ShardOptions(Path(), count=shards * FULL.shard_size, domain=domain)
        stored |= {scene.seed for scene in scenes_of(options)[domain]}
    assert len(tested) == FULL.test_per_kind * len(all_kinds())
    assert not tested & tuned and not tested & stored and not tuned & stored


def test_absent_kinds_are_absent_and_of_the_pictures_own_group():
    split, rng = split_kinds(0), random.Random(0)
    for scene in test_scenes(1):
        group = split.group(scene)
        names = group_names(group, split.seen, split.unseen)
        assert scene.main.kind.name in names
        name = absent_kind(scene, names, rng)
        assert name in names and name != scene.main.kind.name
        asked = test_questions(scene, names, rng)
        assert [q.answer for q in asked if q.task == "exists"] == ["yes", "no"]
        assert asked[0].answer == scene.main.kind.name


def test_tuning_is_told_of_no_unseen_kind(toy):
    work, _ = toy
    world = campaign.prepare(work, TOY, 1)
    unseen = split_kinds(0).unseen
    told = look_up_tuning(work / "lookups", world.stores, world.pool, TOY, 0)
    texts = {tag.text for one in told for tag in one.tags}
    assert texts and texts == set(texts_without(texts, unseen))
    assert all(len(one.neighbours) == TOY.neighbours for one in told)
    every = world.lookups.vocabulary
    assert texts_without(["vase", "big VASE", "vase shop"], ["vase"]) == ("vase shop",)
    assert texts_without(["palm tree", "tree"], ["tree"]) == ("palm tree",)
    assert set(texts_without(every, unseen)) < set(every)


def test_the_toy_study_has_every_arm_condition_and_measure(toy):
    _, results = toy
    assert results.seeds() == [0]
    assert {run.arm for run in results.runs} == set(_TESTED)
    for run in results.runs:
        main = run.scores[MAIN]
        assert set(main) == {"seen", "unseen", "fashion"}
        for measures in main.values():
            assert {"name", "exists", "exists f1", "exists yes", "colour"} <= set(measures)
            assert all(0 <= value <= 1 for value in measures.values())
    tuna = next(run for run in results.runs if run.arm == "tuna")
    assert {"shards 1", "shards 2", "encoder noise 0", f"{NOISE} 0.5"} <= set(tuna.scores)
    assert tuna.scores[f"{NOISE} 0"]["seen"]["name"] == tuna.scores[MAIN]["seen"]["name"]


def test_a_second_run_does_nothing_anew_and_other_sizes_are_refused(toy):
    work, results = toy
    before = {path: path.stat().st_mtime_ns for path in (work / "runs").iterdir()}
    campaign.prepare.cache_clear()
    assert campaign.run_all(work, TOY, [0], 1, [arm_named("tuna")]) == results
    assert {path: path.stat().st_mtime_ns for path in (work / "runs").iterdir()} == before
    with pytest.raises(ConfigurationError, match="other sizes"):
        campaign.prepare(work, dataclasses.replace(TOY, tuning_steps=3), 1)


def test_the_toy_page_is_that_of_its_results(toy, tmp_path):
    _, results = toy
    write_results(tmp_path / "study.json", results)
    page, curves = render(read_results(tmp_path / "study.json"))
    assert "TUNA (softmax" in page and "|---|" in page
    # One seed has no interval: the page says so, and no claim is shown or refuted.
    assert "A first look, not the study:** 1 of 5 seeds, 3 of 11 arms" in page
    claims = page.split("## What must come out")[1].split("\n## ")[0]
    rows = [line for line in claims.splitlines() if line.startswith("| ")][1:]
    assert all(row.endswith("| not shown |") for row in rows)
    share = results.estimate("tuna", MAIN, "seen", "exists").mean
    assert f"| {100 * share:.1f} |" in page
    assert sorted(curves) == ["study-encoder.svg", "study-noise.svg", "study-size.svg"]
    assert all(svg.startswith("<svg xmlns") and svg.endswith("</svg>\n") for svg in curves.values())


def test_the_shipped_page_is_that_of_the_stored_results():
    if not (_DOCS / "study.json").exists():
        pytest.skip("no study has been stored yet; make study runs it")
    side = read_side(_DOCS / "study-side.json")
    page, curves = render(read_results(_DOCS / "study.json"), side)
    assert (_DOCS / "study.md").read_text(encoding="utf-8") == page
    for name, curve in curves.items():
        assert (_DOCS / name).read_text(encoding="utf-8") == curve


def test_one_pass_tells_what_generate_says(toy):
    work, _ = toy
    world = campaign.prepare(work, TOY, 1)
    arm = arm_named("tuna")
    processor = make_processor(world.llama, TOY)
    model = make_model(world.llama, TOY, processor, arm, 0).eval()
    told = world.lookups.test[MAIN]
    scenes = test_scenes(TOY.test_per_kind, TOY.test_every)
    for row in range(3):
        # The untrained model's own answer is the right one, then a wrong one.
        turns = turns_of([name_question(scenes[row])], processor.image_token)
        text = processor.prompt(turns[:1])
        image = draw(scenes[row])
        inputs = processor([image], [text], [told[row]], arm.control, return_tensors="pt")
        inputs["pixel_values"] = packed(world.test, [row])
        said = model.generate(**inputs, max_new_tokens=3, do_sample=False)[0]
        said = said[inputs["input_ids"].shape[1] :].tolist()
        item = (row, "", name_question(scenes[row]))
        (_, first), *_ = greedy_answers(model, processor, arm.control, world.test, told, [item])
        assert first == said[0]


def test_stored_features_are_those_of_the_vision_tower(toy):
    from index.encoder import load_encoder
    from tuna_model.open_clip_towers import towers_of_encoder

    work, _ = toy
    world = campaign.prepare(work, TOY, 1)
    encoder = load_encoder("demo", device="cpu")
    tower, _ = towers_of_encoder(encoder)
    scene = test_scenes(TOY.test_per_kind, TOY.test_every)[0]
    from demo.retrieval import load_encoder as load_demo

    pixels = load_demo().preprocess(draw(scene))[None]
    with torch.inference_mode():
        seen = tower(pixels)
    grid = torch.from_numpy(world.test.grid[:1]).float()
    assert torch.allclose(seen.last_hidden_state, grid, rtol=2e-3, atol=2e-3)
    embed = torch.nn.functional.normalize(seen.image_embeds, dim=-1)
    assert torch.allclose(embed, torch.from_numpy(world.test.vectors[:1]), atol=1e-4)


def test_answers_are_marked_up_to_their_end(toy):
    work, _ = toy
    tokenizer = load_tokenizer(work / "llama")
    ids = tokenizer.encode(turn("what is it ?", "red car") + " " + turn("is it big ?", "no"))
    marked = [t for t, answer in zip(ids, answer_labels(ids, tokenizer), strict=True) if answer]
    assert tokenizer.convert_ids_to_tokens(marked) == ["red", "car", "</s>", "no", "</s>"]


def test_pope_counts_yes_as_the_positive_class():
    asked = [(True, True), (True, False), (False, True), (False, False), (False, False)]
    answered = [Answered(MAIN, "seen", "exists", y == s, y, s) for y, s in asked]
    answered.append(Answered(MAIN, "seen", "name", True))
    found = scores_of(answered)[MAIN]["seen"]
    assert found == {
        "exists": 0.6,
        "exists precision": 0.5,
        "exists recall": 0.5,
        "exists f1": 0.5,
        "exists yes": 0.4,
        "name": 1.0,
    }


def test_intervals_are_those_of_students_t():
    found = estimate([1.0, 2.0, 3.0, 4.0, 5.0])
    assert found.mean == 3 and found.half == pytest.approx(2.776 * (2.5 / 5) ** 0.5)
    assert estimate([0.5]).half == float("inf")
    assert paired([3.0, 5.0], [1.0, 3.0]).half == 0
    with pytest.raises(ValueError, match="no seeds"):
        estimate([])


@pytest.mark.parametrize(
    ("relation", "gains", "verdict"),
    [
        ("above", (0.3, 0.4, 0.35), "yes"),
        ("above", (-0.3, 0.4, 0.1), "not shown"),
        ("above", (-0.3, -0.4, -0.35), "no"),
        ("not below", (-0.01, 0.01, 0.0), "yes"),
        ("equal", (0.01, 0.0, -0.01), "yes"),
        ("equal", (0.2, 0.21, 0.2), "no"),
    ],
)
def test_a_claim_can_be_refuted(relation, gains, verdict):
    runs = []
    for seed, gain in enumerate(gains):
        for arm, value in (("tuna", 0.5 + gain), ("baseline", 0.5)):
            runs.append(Run(arm, seed, {MAIN: {"unseen": {"name": value}}}, 0.0))
    claim = Claim("", "", ("tuna", MAIN), ("baseline", MAIN), "unseen", relation)
    assert claim.verdict(Results({}, {}, tuple(runs))) == verdict


def test_every_control_of_the_issue_is_an_arm():
    from tuna_model.controls import CONTROLS

    assert {arm.control for arm in ARMS} >= set(CONTROLS.values())
    assert {arm.control.weighting for arm in ARMS} == {
        *("none", "softmax", "softmax_times_n", "exponential")
    }


def test_make_study_runs_the_study():
    makefile = (_DOCS.parent / "Makefile").read_text()
    assert re.search(r"^study: setup\n\t.*python -m benchmarks\.study", makefile, re.MULTILINE)


def test_a_split_names_the_group_of_a_scene():
    scene = next(s for s in test_scenes(1) if s.domain == "street")
    name = scene.main.kind.name
    assert KindSplit(frozenset([name]), frozenset()).group(scene) == "seen"
    assert KindSplit(frozenset(), frozenset([name])).group(scene) == "unseen"
    fashion = next(s for s in test_scenes(1) if s.domain == "fashion")
    assert split_kinds(0).group(fashion) == "fashion"
