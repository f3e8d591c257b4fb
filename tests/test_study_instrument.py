"""The study's instruments: marking, made-up tags, smaller stores, weaker encoders, tuning."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from benchmarks.study import campaign
from benchmarks.study.__main__ import main
from benchmarks.study.arms import arm_named, trained_arms
from benchmarks.study.asking import greedy_answers
from benchmarks.study.counting import captions_name, commonest_kind, first_tag_names
from benchmarks.study.kinds import pool_scenes, split_kinds
from benchmarks.study.kinds import test_scenes as scenes_of_test
from benchmarks.study.lookups import MAIN, with_wrong_tags
from benchmarks.study.questions import NAME, Question
from benchmarks.study.results import read_results, read_side
from benchmarks.study.rig import make_model, make_processor, packed
from benchmarks.study.settings import TOY
from benchmarks.study.tuning import TuningSet, batch_of, tune, turns_of
from demo.world import all_kinds, draw
from index.retrievals import EMPTY, Retrieval, RetrievedNeighbour, RetrievedTag
from tagmine.errors import ConfigurationError

_DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> campaign.World:
    """What the runs of a toy study share."""
    return campaign.prepare(tmp_path_factory.mktemp("instrument"), TOY, 1)


@pytest.fixture(scope="module")
def tuned(world):
    """Processor and a model that has learned to answer "traffic light" about the first picture."""
    arm = arm_named("tuna")
    processor = make_processor(world.llama, TOY)
    model = make_model(world.llama, TOY, processor, arm, 0)
    turns = turns_of([Question("name", NAME, _SAID)], processor.image_token)
    row = processor.encode_conversation(turns, world.lookups.test[MAIN][0], arm.control)
    batch = batch_of(processor, [row], packed(world.test, [0]))
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=0.01)
    for _ in range(60):
        loss = model(**batch).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.1
    return processor, model.eval()


_SAID = "traffic light"


def _generated(world, processor, model) -> str:
    """What the model says of the first picture, by `generate`."""
    turns = turns_of([Question("name", NAME, "")], processor.image_token)
    inputs = processor(
        [draw(scenes_of_test(TOY.test_per_kind, TOY.test_every)[0])],
        [processor.prompt(turns[:1])],
        [world.lookups.test[MAIN][0]],
        arm_named("tuna").control,
        return_tensors="pt",
    )
    inputs["pixel_values"] = packed(world.test, [0])
    said = model.generate(**inputs, max_new_tokens=6, do_sample=False)[0]
    said = said[inputs["input_ids"].shape[1] :]
    return processor.tokenizer.decode(said, skip_special_tokens=True).strip()


@pytest.mark.parametrize("answer", [_SAID, "palm tree", "traffic lamp", "traffic", "car"])
def test_right_is_whether_generate_says_that_answer(world, tuned, answer):
    processor, model = tuned
    item = (0, "", Question("name", NAME, answer))
    told = world.lookups.test[MAIN]
    control = arm_named("tuna").control
    ((right, _),) = greedy_answers(model, processor, control, world.test, told, [item])
    assert _generated(world, processor, model) == _SAID
    assert right == (answer == _SAID)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_that_share_of_the_tags_of_each_picture_is_replaced(world, share):
    found = world.lookups.test[MAIN]
    settings = dataclasses.replace(TOY, noise_shares=(share,))
    (wrong,) = with_wrong_tags(found, world.lookups.vocabulary, settings).values()
    for before, after in zip(found, wrong, strict=True):
        pairs = list(zip(before.tags, after.tags, strict=True))
        replaced = [b.text for a, b in pairs if a.text != b.text]
        assert len(replaced) == round(share * len(pairs))
        assert not {tag.text for tag in before.tags} & set(replaced)
        assert len({tag.text for tag in after.tags}) == len(pairs)


def test_the_smallest_store_answers_from_its_one_shard(world):
    first = "street-shards/street-00000"
    for size, sources in ((1, {first}), (2, {first, "street-shards/street-00001"})):
        found = world.lookups.test[f"shards {size}"]
        assert {one.source for told in found for one in told.neighbours} == sources


def test_a_weaker_encoder_finds_other_neighbours(world):
    by_noise = {
        noise: [
            {one.id for one in told.neighbours}
            for told in world.lookups.test[f"encoder noise {noise}"]
        ]
        for noise in (0, 1)
    }
    exact = [{one.id for one in told.neighbours} for told in world.lookups.test[MAIN]]
    assert by_noise[0] == exact
    moved = sum(a != b for a, b in zip(by_noise[0], by_noise[1], strict=True))
    assert moved > len(exact) / 2


@pytest.mark.parametrize(
    ("name", "tags"),
    [("baseline", False), ("no_tag_tuning", False)]
    + [(n, True) for n in ("tuna", "random_tags", "no_tuner", "lion", "tagger_tags")],
)
def test_batches_have_tags_where_the_arm_is_tuned_with_them(world, name, tags):
    arm = arm_named(name)
    processor = make_processor(world.llama, TOY)
    model = make_model(world.llama, TOY, processor, arm, 0)
    told = [world.lookups.test[MAIN][0]] * len(world.pool)
    texts = {tag.text for tag in told[0].tags}
    batches, padded = [], []
    pad = processor.pad
    processor.pad = lambda rows, **how: padded.extend(rows) or pad(rows, **how)
    model.register_forward_pre_hook(lambda _, args, kw: batches.append(set(kw)), with_kwargs=True)
    data = TuningSet(pool_scenes(TOY.tuning_pool), world.pool, told)
    tune(model, processor, arm, data, split_kinds(0), TOY, 0)
    read = [
        any(text.lower() in processor.tokenizer.decode(row["input_ids"]).lower() for text in texts)
        for row in padded
    ]
    assert len(batches) == TOY.tuning_steps
    assert len(read) == TOY.tuning_steps * TOY.tuning_batch
    assert all(read) if tags else not any(row["tags"] for row in padded)
    if arm.control.form == "pairs" and tags:
        assert all("tag_index" in batch for batch in batches)
    if not tags:
        assert not any("tag_index" in batch for batch in batches)


def _told(*texts: str, caption: str = "") -> Retrieval:
    tags = tuple(RetrievedTag(text, "object", 1, 0.5, (0,)) for text in texts)
    return Retrieval(tags, (RetrievedNeighbour(1, "a", "a", 0.9, (caption,), ""),))


def test_counting_answers_with_the_kind_that_most_tags_name():
    one = _told("green tree", "large dog", "Paris", "dog")
    assert commonest_kind(one) == "dog"
    assert commonest_kind(_told("harbor?", "dog", "car")) == "dog"
    assert commonest_kind(_told("Paris")) is None and commonest_kind(EMPTY) is None
    scene = next(s for s in scenes_of_test(1) if s.main.kind.name == "dog")
    assert first_tag_names(_told("brown dog", "car"), scene)
    assert not first_tag_names(one, scene) and not first_tag_names(EMPTY, scene)
    assert captions_name(_told(caption="A Dog waits."), scene)
    assert not captions_name(_told("dog", caption="A car."), scene)


def test_the_kinds_of_these_tests_are_of_the_world():
    assert {"dog", "car", "traffic light"} <= {kind.name for kind in all_kinds()}


def test_a_side_study_is_kept_beside_and_leaves_the_study_alone(tmp_path, capsys):
    words = ["--preset", "toy", "--seeds", "1", "--workers", "1", "--docs", str(tmp_path)]
    arms = ["--arms", "baseline", "random_tags"]
    for steps in ("3", "1"):
        side = [*arms, "--tuning-steps", steps, "--work", str(tmp_path / steps)]
        main([*words, *side])
    assert not (tmp_path / "study.json").exists()
    found = read_side(tmp_path / "study-side.json")
    assert [one.settings["tuning_steps"] for one in found] == [1, 3]
    assert all({run.arm for run in one.runs} == {"baseline", "random_tags"} for one in found)
    with pytest.raises(ConfigurationError, match="'nothing' is no arm"):
        trained_arms(["nothing"])


def test_what_the_findings_say_of_longer_tuning_is_what_is_stored():
    text = " ".join((_DOCS / "study.md").read_text(encoding="utf-8").split())
    study = read_results(_DOCS / "study.json")
    for one in (study, *read_side(_DOCS / "study-side.json")):
        part = one.part(["baseline", "random_tags"], [0])
        both = [
            100 * part.estimate(arm, MAIN, "seen", "name").mean
            for arm in ("baseline", "random_tags")
        ]
        assert f"{both[0]:.1f} against {both[1]:.1f}" in text
        assert f"{both[0] - both[1]:.1f}" in text
