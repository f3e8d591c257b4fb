"""The stages of a study; each keeps what it made in the work folder and is not run twice."""

from __future__ import annotations

import dataclasses
import functools
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

from benchmarks.study.alignment import align
from benchmarks.study.arms import ARMS, Arm, arm_named
from benchmarks.study.asking import ask
from benchmarks.study.counting import (
    captions_name,
    first_tag_names,
    named_by_counting,
    questions_asked,
    told_share,
)
from benchmarks.study.kinds import KindSplit, check_rows, pool_scenes, split_kinds, test_scenes
from benchmarks.study.language_model import train_language_model
from benchmarks.study.lookups import (
    ENCODER,
    FASHION,
    MAIN,
    NOISE,
    SIZE,
    Lookups,
    look_up_all,
    look_up_tuning,
    random_tags,
    right_kind_share,
    tagger_tags,
    texts_without,
)
from benchmarks.study.pictures import Features, encode_scenes
from benchmarks.study.results import Results, Run, read_run, write_run
from benchmarks.study.rig import make_model, make_processor
from benchmarks.study.scores import Answered, scores_of
from benchmarks.study.settings import Settings
from benchmarks.study.stores import Stores, build_stores
from benchmarks.study.tuning import TuningSet, tune
from index.retrievals import EMPTY, Retrieval
from tagmine.errors import ConfigurationError
from tuna_model.modeling_tuna import TunaForConditionalGeneration
from tuna_model.processing_tuna import TunaProcessor

CHECK = "check"
"""Condition of pictures of the pool that no training uses; settings are chosen by them."""
_CURVES = {"size": SIZE, "noise": NOISE, "encoder": ENCODER}
_CURVE_GROUPS = ("seen", "unseen")


@dataclasses.dataclass(frozen=True, slots=True)
class World:
    """What all arms and seeds share."""

    work: Path
    llama: Path
    stores: Stores
    pool: Features
    test: Features
    lookups: Lookups


@functools.cache
def prepare(work: Path, settings: Settings, workers: int) -> World:
    """Run the stages before the runs, or read what they left."""
    _check_settings(work, settings)
    llama = work / "llama"
    waiting = None if (llama / "scores.json").exists() else _train_beside(llama, settings, workers)
    _say("pictures, datastores and retrievals")
    pool = encode_scenes(pool_scenes(settings.tuning_pool), work / "pool.npz", workers)
    test = encode_scenes(
        test_scenes(settings.test_per_kind, settings.test_every), work / "test.npz", workers
    )
    stores = build_stores(work / "stores", settings)
    lookups = look_up_all(work / "lookups", stores, test, settings)
    if waiting is not None:
        waiting.result()
    return World(work, llama, stores, pool, test, lookups)


def _train_beside(llama: Path, settings: Settings, workers: int) -> Future[None] | None:
    """Train the Llama, in a process of its own where there may be two."""
    _say("training the Llama on text")
    if workers == 1:
        train_language_model(llama, settings)
        return None
    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    future = pool.submit(train_language_model, llama, settings)
    pool.shutdown(wait=False)
    return future


def _check_settings(work: Path, settings: Settings) -> None:
    """A work folder holds one study; sizes that differ would mix two."""
    path = work / "settings.json"
    text = json.dumps(dataclasses.asdict(settings), indent=1) + "\n"
    if path.exists() and path.read_text() != text:
        raise ConfigurationError(
            f"{work} holds a study of other sizes ({path}). Give another --work, or remove it."
        )
    work.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def run_all(
    work: Path,
    settings: Settings,
    seeds: Sequence[int],
    workers: int,
    arms: Sequence[Arm] = ARMS,
) -> Results:
    """Run the arms with every seed, seed after seed, and gather what is finished."""
    world = prepare(work, settings, workers)
    trained = [arm for arm in arms if not arm.trained_as]
    waiting = [
        (seed, arm)
        for seed in seeds
        for arm in trained
        if not all(_run_path(work, one, seed).exists() for one in asked_with(arm))
    ]
    unaligned = sorted({seed for seed, _ in waiting if not _connector_path(work, seed).exists()})
    stages = (
        ("alignments", run_alignment, [(work, settings, seed) for seed in unaligned]),
        ("trainings", run_arm, [(work, settings, seed, arm.name) for seed, arm in waiting]),
    )
    with _pool(workers) as pool:
        for title, stage, jobs in stages:
            _say(f"{len(jobs)} {title} on {workers} processes")
            for number, (job, said) in enumerate(_finished(pool, stage, jobs), start=1):
                _say(f"{number}/{len(jobs)}  seed {' '.join(map(str, job[2:]))}: {said}")
    return gather(work, settings, world)


def _pool(workers: int) -> AbstractContextManager[ProcessPoolExecutor | None]:
    if workers == 1:
        return nullcontext()
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


def _finished(
    pool: ProcessPoolExecutor | None, stage: Callable[..., str], jobs: Sequence[tuple]
) -> Iterator[tuple[tuple, str]]:
    """Jobs as they are finished, in the pool or, where there is none, in this process."""
    if pool is None:
        for job in jobs:
            yield job, stage(*job)
        return
    futures = {pool.submit(stage, *job): job for job in jobs}
    for future in as_completed(futures):
        yield futures[future], future.result()


def asked_with(arm: Arm) -> list[Arm]:
    """The arms that are asked with the weights of this one's training."""
    return [arm, *(other for other in ARMS if other.trained_as == arm.name)]


def run_alignment(work: Path, settings: Settings, seed: int) -> str:
    """Train the connector that all arms of a seed begin with; a stage of its own."""
    _start(work, settings, "baseline", seed)
    record = json.loads(_connector_path(work, seed).with_suffix(".json").read_text())
    return f"loss {record['loss']:.3f}  {record['cpu_seconds']:.0f} s"


def _start(
    work: Path, settings: Settings, name: str, seed: int
) -> tuple[World, TunaProcessor, TunaForConditionalGeneration]:
    """An arm before instruction tuning, its connector aligned."""
    torch.set_num_threads(1)
    world = prepare(work, settings, 1)
    processor = make_processor(world.llama, settings)
    model = make_model(world.llama, settings, processor, arm_named(name), seed)
    scenes = pool_scenes(settings.tuning_pool)
    path, split = _connector_path(work, seed), split_kinds(seed)
    align(path, model, processor, scenes, world.pool, split, settings, seed)
    return world, processor, model


def run_arm(work: Path, settings: Settings, seed: int, name: str) -> str:
    """Train one arm with one seed, ask everything of it, and keep the scores."""
    started, arm, split = time.process_time(), arm_named(name), split_kinds(seed)
    world, processor, model = _start(work, settings, name, seed)
    told = _told(arm, world, settings, seed, "pool")
    data = TuningSet(pool_scenes(settings.tuning_pool), world.pool, told)
    loss = tune(model, processor, arm, data, split, settings, seed)
    said = [f"tuned in {time.process_time() - started:.0f} s"]
    for one in asked_with(arm):
        model.apply_control(one.control)
        answered = _ask_everything(model, processor, one, world, settings, seed)
        seconds = time.process_time() - started
        run = Run(one.name, seed, scores_of(answered), seconds)
        write_run(_run_path(work, one, seed), run)
        main = run.scores[MAIN]
        said.append(f"seen {main['seen']['name']:.3f} unseen {main['unseen']['name']:.3f}")
        if CHECK in run.scores:
            said.append(f"check {run.scores[CHECK]['seen']['name']:.3f}")
    return f"loss {loss:.3f}  {'; '.join(said)}  {time.process_time() - started:.0f} s"


def _told(arm: Arm, world: World, settings: Settings, seed: int, which: str) -> list[Retrieval]:
    features = world.pool if which == "pool" else world.test
    texts = world.lookups.vocabulary
    if which == "pool":
        texts = texts_without(texts, split_kinds(seed).unseen)
    match arm.control.source:
        case "none":
            return [EMPTY] * len(features)
        case "random":
            return random_tags(len(features), texts, settings, seed if which == "pool" else -1)
        case "tagger":
            return tagger_tags(features, texts, settings)
    return (
        world.lookups.test[MAIN] if which == "test" else _told_in_tuning(world.work, settings, seed)
    )


@functools.lru_cache(maxsize=1)
def _told_in_tuning(work: Path, settings: Settings, seed: int) -> list[Retrieval]:
    world = prepare(work, settings, 1)
    return look_up_tuning(work / "lookups", world.stores, world.pool, settings, seed)


def _ask_everything(
    model: TunaForConditionalGeneration,
    processor: TunaProcessor,
    arm: Arm,
    world: World,
    settings: Settings,
    seed: int,
) -> list[Answered]:
    scenes, split = test_scenes(settings.test_per_kind, settings.test_every), split_kinds(seed)
    shared = (model, processor, arm, scenes, world.test)
    groups = ("seen", "unseen", "fashion")
    told = _told(arm, world, settings, seed, "test")
    answered = ask(*shared, told, split, MAIN, groups)
    if arm.name == "baseline":
        answered += _ask_check(model, processor, arm, world, settings, split)
    if arm.control.source in ("retrieved", "captions"):
        found = world.lookups.test[FASHION]
        answered += ask(*shared, found, split, FASHION, ("fashion",))
    for curve in arm.curves:
        for condition, found in world.lookups.test.items():
            if not condition.startswith(_CURVES[curve] + " "):
                continue
            if found == told:
                answered += _asked_before(answered, condition)
            else:
                answered += ask(*shared, found, split, condition, _CURVE_GROUPS, names_only=True)
    return answered


def _ask_check(
    model: TunaForConditionalGeneration,
    processor: TunaProcessor,
    arm: Arm,
    world: World,
    settings: Settings,
    split: KindSplit,
) -> list[Answered]:
    scenes = pool_scenes(settings.tuning_pool)
    rows = check_rows(scenes, split)
    features = Features(world.pool.grid[rows], world.pool.vectors[rows])
    told, chosen = [EMPTY] * len(rows), [scenes[row] for row in rows]
    return ask(
        model,
        processor,
        arm,
        chosen,
        features,
        told,
        split,
        CHECK,
        ("seen",),
        names_only=True,
    )


def _asked_before(answered: list[Answered], condition: str) -> list[Answered]:
    """The answers about the main object where a condition tells what "main" did."""
    return [
        dataclasses.replace(one, condition=condition)
        for one in answered
        if (one.condition, one.task) == (MAIN, "name") and one.group in _CURVE_GROUPS
    ]


def gather(work: Path, settings: Settings, world: World) -> Results:
    """Finished runs of the work folder, with what they share."""
    runs = [read_run(path) for path in sorted((work / "runs").glob("*.json"))]
    scenes = test_scenes(settings.test_per_kind, settings.test_every)
    streets = sum(scene.domain == "street" for scene in scenes)
    lookups = world.lookups
    found = {c: right_kind_share(scenes, told) for c, told in lookups.test.items()}
    seeds = sorted({run.seed for run in runs})
    told = lookups.test[MAIN]
    facts = {
        "llama": json.loads((world.llama / "scores.json").read_text()),
        "test": {"street": streets, "fashion": len(scenes) - streets},
        "store": {
            "street": settings.street_shards * settings.shard_size,
            "fashion": settings.fashion_shards * settings.shard_size,
        },
        "connectors": {
            path.stem: json.loads(path.read_text())
            for path in sorted((work / "connectors").glob("*.json"))
        },
        "retrieval": found,
        "tagger": right_kind_share(scenes, tagger_tags(world.test, lookups.vocabulary, settings)),
        "captions": told_share(scenes, told, captions_name),
        "first tag": told_share(scenes, told, first_tag_names),
        "counting": named_by_counting(scenes, lookups.test, seeds),
        "questions": questions_asked(scenes, seeds),
    }
    return Results(dataclasses.asdict(settings), facts, tuple(runs))


def _connector_path(work: Path, seed: int) -> Path:
    return work / "connectors" / f"{seed:02d}.safetensors"


def _run_path(work: Path, arm: Arm, seed: int) -> Path:
    return work / "runs" / f"{seed:02d}-{arm.name}.json"


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)
