"""Putting the test questions to a model, each by itself."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch

from benchmarks.study.arms import Arm
from benchmarks.study.kinds import KindSplit
from benchmarks.study.pictures import Features
from benchmarks.study.questions import Question, group_names, name_question, test_questions
from benchmarks.study.rig import packed
from benchmarks.study.scores import Answered
from benchmarks.study.tuning import batch_of, turns_of
from demo.world import Scene
from index.retrievals import Retrieval
from tuna_model.controls import Control
from tuna_model.modeling_tuna import TunaForConditionalGeneration
from tuna_model.processing_tuna import TunaProcessor

_BATCH = 64


def ask(
    model: TunaForConditionalGeneration,
    processor: TunaProcessor,
    arm: Arm,
    scenes: Sequence[Scene],
    features: Features,
    told: Sequence[Retrieval],
    split: KindSplit,
    condition: str,
    groups: Sequence[str],
    *,
    names_only: bool = False,
) -> list[Answered]:
    """Ask about every test picture of the groups; names_only asks for the main object alone."""
    items: list[tuple[int, str, Question]] = []
    for row, scene in enumerate(scenes):
        group = split.group(scene)
        if group in groups:
            rng = random.Random(f"study test {row}")
            asked = [name_question(scene)]
            if not names_only:
                asked = test_questions(scene, group_names(group, split.seen, split.unseen), rng)
            items += [(row, group, question) for question in asked]
    found = []
    yes = processor.tokenizer.convert_tokens_to_ids("yes")
    for start in range(0, len(items), _BATCH):
        chunk = items[start : start + _BATCH]
        said = greedy_answers(model, processor, arm.control, features, told, chunk)
        for (_, group, question), (right, first) in zip(chunk, said, strict=True):
            is_exists = question.task == "exists"
            found.append(
                Answered(
                    condition,
                    group,
                    question.task,
                    right,
                    question.answer == "yes" if is_exists else None,
                    first == yes if is_exists else None,
                )
            )
    return found


@torch.inference_mode()
def greedy_answers(
    model: TunaForConditionalGeneration,
    processor: TunaProcessor,
    control: Control,
    features: Features,
    told: Sequence[Retrieval],
    items: Sequence[tuple[int, str, Question]],
) -> list[tuple[bool, int]]:
    """For each item, whether greedy decoding gives the right answer, and its first token.

    The right answer is put in, and the most probable token at each of its places looked at: as
    long as all so far were right, greedy decoding stands at the same place. So one pass tells
    whether `generate` would say that answer and end. A test holds it for answers that are right,
    wrong, and right but for their last word, and that the first token is `generate`'s.

    Args:
        items: row of the picture, anything, and the question.
    """
    model.eval()
    encoded = [
        processor.encode_conversation(
            turns_of([question], processor.image_token), told[row], control
        )
        for row, _, question in items
    ]
    batch = batch_of(processor, encoded, packed(features, [row for row, _, _ in items]))
    labels = batch.pop("labels")[:, 1:]
    best = model(**batch).logits[:, :-1].argmax(-1)
    answer = labels >= 0
    right = ((best == labels) | ~answer).all(-1)
    first = best[torch.arange(len(best)), answer.int().argmax(-1)]
    return list(zip(right.tolist(), first.tolist(), strict=True))
