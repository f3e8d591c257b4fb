"""Results of a study as one JSON file, and views of them over the seeds."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.study.scores import Scores
from benchmarks.study.statistics import Estimate, estimate, paired


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """One arm with one seed.

    Attributes:
        arm: its name.
        seed: the seed.
        scores: what it got right.
        cpu_seconds: what training and asking took.
    """

    arm: str
    seed: int
    scores: Scores
    cpu_seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class Results:
    """All runs, and what they share.

    Attributes:
        settings: sizes of the study, as a table of its fields.
        facts: measures of what the runs share: the language model, the retrieval, CPU seconds.
        runs: one for each arm and seed.
    """

    settings: dict[str, Any]
    facts: dict[str, Any]
    runs: tuple[Run, ...]

    def seeds(self) -> list[int]:
        """Seeds with which every arm was run, ascending."""
        arms = {run.arm for run in self.runs}
        by_seed: dict[int, set[str]] = {}
        for run in self.runs:
            by_seed.setdefault(run.seed, set()).add(run.arm)
        return sorted(seed for seed, found in by_seed.items() if found == arms)

    def has(self, arm: str, condition: str, group: str, measure: str) -> bool:
        """Whether all seeds have that measure."""
        runs = [run for run in self.runs if run.arm == arm and run.seed in self.seeds()]
        return all(measure in run.scores.get(condition, {}).get(group, {}) for run in runs)

    def values(self, arm: str, condition: str, group: str, measure: str) -> list[float]:
        """One value for each of `seeds`."""
        runs = {(run.arm, run.seed): run for run in self.runs}
        return [runs[arm, seed].scores[condition][group][measure] for seed in self.seeds()]

    def estimate(self, arm: str, condition: str, group: str, measure: str) -> Estimate:
        """Mean and interval over the seeds."""
        return estimate(self.values(arm, condition, group, measure))

    def gain(
        self, first: tuple[str, str], second: tuple[str, str], group: str, measure: str
    ) -> Estimate:
        """Mean and interval of the first (arm, condition) minus the second, seed by seed."""
        return paired(self.values(*first, group, measure), self.values(*second, group, measure))

    def conditions(self, arm: str) -> Sequence[str]:
        """Conditions under which an arm was asked, in order."""
        return list(next(run.scores for run in self.runs if run.arm == arm))


def write_run(path: Path, run: Run) -> None:
    """Write one run, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, run)


def read_run(path: Path) -> Run:
    """Read what `write_run` wrote."""
    return Run(**json.loads(path.read_text(encoding="utf-8")))


def write_results(path: Path, results: Results) -> None:
    """Write results, whole or not at all."""
    _write(path, results)


def _write(path: Path, record: Run | Results) -> None:
    unfinished = path.with_suffix(".tmp")
    # Conditions and groups keep their order.
    text = json.dumps(_rounded(dataclasses.asdict(record)), indent=1)
    unfinished.write_text(text + "\n", encoding="utf-8")
    unfinished.replace(path)


def read_results(path: Path) -> Results:
    """Read what `write_results` wrote."""
    record = json.loads(path.read_text(encoding="utf-8"))
    runs = tuple(Run(**run) for run in record["runs"])
    return Results(record["settings"], record["facts"], runs)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(inner) for inner in value]
    return round(value, 5) if isinstance(value, float) else value
