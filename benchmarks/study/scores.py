"""Counts of right answers, and what POPE makes of yes and no."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True)
class Answered:
    """One question that was put to a model.

    Attributes:
        condition: under what it was asked, such as "main" or "shards 4".
        group: "seen", "unseen" or "fashion".
        task: as in `Question`.
        right: whether the whole answer, its end included, came out.
        yes: whether the right answer is yes; None where it is neither yes nor no.
        said_yes: whether the model said yes; None likewise. What is neither counts as no, as in
            POPE's own script.
    """

    condition: str
    group: str
    task: str
    right: bool
    yes: bool | None = None
    said_yes: bool | None = None


Scores = dict[str, dict[str, dict[str, float]]]
"""Condition, then group, then measure."""


def scores_of(answered: Iterable[Answered]) -> Scores:
    """Shares of right answers by condition, group and task; for "exists" POPE's five as well.

    The measures are named by task; those of "exists" are "exists" (accuracy), "exists precision",
    "exists recall", "exists f1" and "exists yes".
    """
    found: dict[tuple[str, str, str], list[Answered]] = defaultdict(list)
    for one in answered:
        found[one.condition, one.group, one.task].append(one)
    scores: Scores = {}
    for (condition, group, task), asked in found.items():
        measures = scores.setdefault(condition, {}).setdefault(group, {})
        if task == "exists":
            measures |= pope_measures(asked)
        else:
            measures[task] = sum(one.right for one in asked) / len(asked)
    return scores


def pope_measures(asked: list[Answered]) -> dict[str, Any]:
    """POPE's measures (arXiv 2305.10355): yes is the positive class."""
    both = sum(one.yes and one.said_yes for one in asked)
    yes, said = sum(one.yes for one in asked), sum(one.said_yes for one in asked)
    precision = both / said if said else 0.0
    recall = both / yes if yes else 0.0
    total = precision + recall
    return {
        "exists": sum(one.yes == one.said_yes for one in asked) / len(asked),
        "exists precision": precision,
        "exists recall": recall,
        "exists f1": 2 * precision * recall / total if total else 0.0,
        "exists yes": said / len(asked),
    }
