"""Instruction tuning: connector, Llama and cross-attention learn to answer about seen kinds."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from benchmarks.study.arms import Arm
from benchmarks.study.kinds import KindSplit, tuned_rows
from benchmarks.study.language_model import rate_share
from benchmarks.study.pictures import Features
from benchmarks.study.questions import Question, conversation
from benchmarks.study.rig import packed
from benchmarks.study.settings import Settings
from demo.world import Scene
from index.retrievals import Retrieval
from tuna_model.controls import CONTROLS
from tuna_model.modeling_tuna import TunaForConditionalGeneration
from tuna_model.processing_tuna import TunaProcessor

# Of the paper's recipe.
_WARM_SHARE = 0.03


@dataclasses.dataclass(frozen=True, slots=True)
class TuningSet:
    """Pictures to be tuned on.

    Attributes:
        scenes: of the pool.
        features: of its pictures.
        told: what each of them is told.
    """

    scenes: Sequence[Scene]
    features: Features
    told: Sequence[Retrieval]


def turns_of(asked: Sequence[Question], image_token: str) -> list[tuple[str, str]]:
    """Questions and answers as turns of a conversation about a picture."""
    turns = []
    for number, question in enumerate(asked):
        text = f"{image_token}\n{question.text}" if number == 0 else question.text
        turns += [("user", text), ("assistant", question.answer)]
    return turns


def orders(rows: Sequence[int], count: int, size: int, rng: random.Random) -> Iterator[list[int]]:
    """So many batches of rows, through all of them in ever new orders."""
    waiting: list[int] = []
    for _ in range(count):
        while len(waiting) < size:
            waiting += rng.sample(list(rows), len(rows))
        yield waiting[:size]
        waiting = waiting[size:]


def tune(
    model: TunaForConditionalGeneration,
    processor: TunaProcessor,
    arm: Arm,
    data: TuningSet,
    split: KindSplit,
    settings: Settings,
    seed: int,
) -> float:
    """Tune a model on pictures of seen kinds; equal seeds ask equal questions, whatever the arm.

    Returns:
        The loss, smoothed over about twenty steps.
    """
    rng = random.Random(f"study tuning {seed}")
    rows = tuned_rows(data.scenes, split)
    control = arm.control if arm.control.tags_in_training else CONTROLS["no_tags"]
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = parameter_groups(model, settings)
    optimiser = torch.optim.AdamW(groups, weight_decay=0.0)
    model.train()
    smooth = float("nan")
    batches = orders(rows, settings.tuning_steps, settings.tuning_batch, rng)
    for step, picked in enumerate(batches):
        encoded = []
        for row in picked:
            asked = conversation(data.scenes[row], sorted(split.seen), rng)
            turns = turns_of(asked, processor.image_token)
            encoded.append(processor.encode_conversation(turns, data.told[row], control))
        for group in optimiser.param_groups:
            share = rate_share(step, settings.tuning_steps, _WARM_SHARE)
            group["lr"] = group["highest"] * share
        loss = model(**batch_of(processor, encoded, packed(data.features, picked))).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        smooth = loss.item() if step == 0 else smooth + 0.05 * (loss.item() - smooth)
    return smooth


def parameter_groups(model: TunaForConditionalGeneration, settings: Settings) -> list[dict]:
    """What is trained: the Llama, and what begins untrained, each with its highest rate."""
    language = [*model.model.language_model.parameters(), *model.lm_head.parameters()]
    known = {id(p) for p in language}
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in known]
    return [
        {"params": rest, "lr": settings.connector_rate, "highest": settings.connector_rate},
        {"params": language, "lr": settings.tuning_rate, "highest": settings.tuning_rate},
    ]


def batch_of(
    processor: TunaProcessor, encoded: Sequence[dict[str, Any]], pixels: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Encoded conversations with their pictures as inputs of the model."""
    return {**processor.pad(encoded, return_tensors="pt"), "pixel_values": pixels}
