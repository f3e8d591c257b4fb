"""Results of a study as one JSON file, and views of them over the seeds."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Sequence
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

    def part(self, arms: Collection[str], seeds: Collection[int]) -> Results:
        """The runs of these arms with these seeds alone."""
        runs = tuple(run for run in self.runs if run.arm in arms and run.seed in seeds)
        return dataclasses.replace(self, runs=runs)

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
    _write_text(path, dataclasses.asdict(record))


def _write_text(path: Path, record: Any) -> None:
    unfinished = path.with_suffix(".tmp")
    # Conditions and groups keep their order.
    text = json.dumps(_rounded(record), indent=1)
    unfinished.write_text(text + "\n", encoding="utf-8")
    unfinished.replace(path)


def read_results(path: Path) -> Results:
    """Read what `write_results` wrote."""
    return _results(json.loads(path.read_text(encoding="utf-8")))


def _results(record: dict[str, Any]) -> Results:
    runs = tuple(Run(**run) for run in record["runs"])
    return Results(record["settings"], record["facts"], runs)


def keep_side(path: Path, results: Results) -> None:
    """Keep a side study in the file of all of them, in place of one of as many tuning steps."""
    kept = [one for one in read_side(path) if _steps(one) != _steps(results)]
    _write_text(path, [dataclasses.asdict(one) for one in sorted([*kept, results], key=_steps)])


def read_side(path: Path) -> list[Results]:
    """Side studies by ascending tuning steps; none where there is no file."""
    if not path.exists():
        return []
    return [_results(record) for record in json.loads(path.read_text(encoding="utf-8"))]


def _steps(results: Results) -> int:
    return results.settings["tuning_steps"]


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(inner) for inner in value]
    return round(value, 5) if isinstance(value, float) else value
