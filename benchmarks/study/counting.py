"""What the tags say before any model reads them, and how much is asked of whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from benchmarks.study.kinds import KindSplit, split_kinds
from benchmarks.study.lookups import kind_said
from benchmarks.study.questions import attribute_questions
from demo.world import Scene
from index.retrievals import Retrieval

Shares = dict[str, dict[str, float]]
"""Condition, then group."""


def commonest_kind(told: Retrieval) -> str | None:
    """The kind that most of the told tags name, the first of those that as many do."""
    named = Counter(kind for tag in told.tags if (kind := kind_said(tag.text)))
    return max(named, key=named.__getitem__) if named else None


def named_by_counting(
    scenes: Sequence[Scene], told: Mapping[str, Sequence[Retrieval]], seeds: Sequence[int]
) -> dict[str, Shares]:
    """By seed, "0" on, how often `commonest_kind` is the main object's, in each group."""
    hits = {
        condition: [
            commonest_kind(one) == scene.main.kind.name
            for scene, one in zip(scenes, found, strict=True)
        ]
        for condition, found in told.items()
    }
    return {
        str(seed): {c: _by_group(scenes, found, split_kinds(seed)) for c, found in hits.items()}
        for seed in seeds
    }


def _by_group(scenes: Sequence[Scene], hits: Sequence[bool], split: KindSplit) -> dict[str, float]:
    grouped: dict[str, list[bool]] = {}
    for scene, hit in zip(scenes, hits, strict=True):
        grouped.setdefault(split.group(scene), []).append(hit)
    return {group: sum(found) / len(found) for group, found in grouped.items()}


def told_share(
    scenes: Sequence[Scene],
    told: Sequence[Retrieval],
    names: Callable[[Retrieval, Scene], bool],
) -> dict[str, float]:
    """By domain, the share of pictures whose retrieval `names` the main object's kind."""
    hits: dict[str, list[bool]] = {}
    for scene, one in zip(scenes, told, strict=True):
        hits.setdefault(scene.domain, []).append(names(one, scene))
    return {domain: sum(found) / len(found) for domain, found in hits.items()}


def first_tag_names(told: Retrieval, scene: Scene) -> bool:
    """Whether the first tag names the main object's kind."""
    return bool(told.tags) and kind_said(told.tags[0].text) == scene.main.kind.name


def captions_name(told: Retrieval, scene: Scene) -> bool:
    """Whether a neighbour's caption has the name of the main object's kind."""
    kind = scene.main.kind
    said = [text.lower() for one in told.neighbours for text in one.captions]
    return any(form in text for text in said for form in (kind.name, kind.lemma))


def questions_asked(
    scenes: Sequence[Scene], seeds: Sequence[int]
) -> dict[str, dict[str, dict[str, int]]]:
    """By seed and group, how many questions of each task about attributes are asked."""
    found = {}
    for seed in seeds:
        split = split_kinds(seed)
        groups: dict[str, Counter[str]] = {}
        for scene in scenes:
            tasks = groups.setdefault(split.group(scene), Counter())
            tasks.update(question.task for question in attribute_questions(scene.main))
        found[str(seed)] = {group: dict(tasks) for group, tasks in groups.items()}
    return found
