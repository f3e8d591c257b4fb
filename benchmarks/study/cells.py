"""Cells of the tables of docs/study.md."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.study.arms import ARMS, Arm
from benchmarks.study.results import Results
from benchmarks.study.statistics import Estimate, estimate

COUNTING = "most repeated kind, no picture"
GROUPS = ("seen", "unseen", "fashion")


def counts(results: Results, condition: str, group: str) -> list[float]:
    counting = results.facts["counting"]
    return [counting[str(seed)][condition][group] for seed in results.seeds()]


def counted(results: Results, condition: str, group: str) -> Estimate:
    return estimate(counts(results, condition, group))


def arms_of(results: Results) -> list[Arm]:
    there = {run.arm for run in results.runs}
    return [arm for arm in ARMS if arm.name in there]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def mean_cell(results: Results, arm: str, condition: str, group: str, measure: str) -> str:
    """A mean as text; a dash where a small study has no such question."""
    if not results.has(arm, condition, group, measure):
        return "–"
    return cell(results.estimate(arm, condition, group, measure))


def cell(value: Estimate) -> str:
    half = "" if math.isinf(value.half) else f" ± {100 * value.half:.1f}"
    return f"{100 * value.mean:.1f}{half}"


def signed(value: Estimate) -> str:
    half = "" if math.isinf(value.half) else f" ± {100 * value.half:.1f}"
    return f"{100 * value.mean:+.1f}{half}"
