"""Numbers of two datastores or reports, side by side."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from index.diff_tags import TagChanges
from index.report import Report
from tagmine.manifest import Manifest

if TYPE_CHECKING:
    from index.diff import Side

Unit = Literal["count", "bytes", "share", "number", "ms"]
Better = Literal["more", "less", ""]


@dataclasses.dataclass(frozen=True, slots=True)
class Measure:
    """A number of each side.

    Attributes:
        group: "size", "tags", "recall" or "drift".
        name: what it is.
        unit: how to write it.
        better: which way is an improvement, "" where neither is.
        before, after: the numbers; None where a side does not know.
    """

    group: str
    name: str
    unit: Unit
    better: Better
    before: float | None
    after: float | None

    @property
    def change(self) -> float | None:
        if self.before is None or self.after is None:
            return None
        return self.after - self.before

    @property
    def worse(self) -> bool | None:
        """Whether it got worse; None where it did not change, or neither way is."""
        if not self.better or not self.change:
            return None
        return (self.change > 0) == (self.better == "less")


_Numbers = dict[tuple[str, str], tuple[Unit, Better, float]]


def compare_measures(before: Side, after: Side, tags: TagChanges | None) -> tuple[Measure, ...]:
    """Numbers that at least one side knows; those of a manifest where both have one."""
    both = before.manifest is not None and after.manifest is not None
    first, second = _numbers(before, both), _numbers(after, both)
    if tags is not None:
        first["tags", "unique tags"] = ("count", "", float(tags.before))
        second["tags", "unique tags"] = ("count", "", float(tags.after))
    order = ("size", "tags", "recall", "drift")
    names = sorted(dict.fromkeys([*first, *second]), key=lambda name: order.index(name[0]))
    measures = []
    for name in names:
        unit, better, _ = first.get(name) or second[name]
        pair = (numbers[name][2] if name in numbers else None for numbers in (first, second))
        measures.append(Measure(*name, unit, better, *pair))
    return tuple(measures)


def _numbers(side: Side, manifests: bool) -> _Numbers:
    found: _Numbers = {}
    if side.report is not None:
        found |= _report_numbers(side.report)
    if side.manifest is not None:
        if manifests:
            # Both sides count the vocabulary itself, with the floor for rare tags.
            found.pop(("tags", "unique tags"), None)
        found |= _manifest_numbers(side.manifest)
    return found


def _manifest_numbers(manifest: Manifest) -> _Numbers:
    index = manifest.index
    rejected = sum(sum(total.rejected.values()) for total in manifest.totals.values())
    files = {card.path: card.bytes for card in manifest.files()}
    return {
        ("size", "images"): ("count", "", float(manifest.images)),
        ("size", "parts"): ("count", "", float(len(manifest.parts))),
        ("size", "rejected samples"): ("count", "", float(rejected)),
        ("size", "index"): ("bytes", "", float(sum(s.file.bytes for s in index.shards))),
        ("size", "datastore"): ("bytes", "", float(sum(files.values()))),
        ("drift", "vectors the index was trained on"): ("count", "", float(index.trained_on)),
    }


def _report_numbers(report: Report) -> _Numbers:
    found: _Numbers = {
        ("size", "images"): ("count", "", float(report.images)),
        ("size", "index"): ("bytes", "", float(report.index_bytes)),
        ("tags", "unique tags"): ("count", "", float(report.tags.unique)),
        ("tags", "tags an image"): ("number", "", report.tags.mean),
        ("tags", "images without tags"): ("count", "less", float(report.tags.images_without_tags)),
        ("tags", "tags reachable"): ("share", "more", report.tags.reachable),
        ("tags", "near-duplicate images"): ("count", "less", float(report.duplicates.images)),
    }
    for one in report.recall:
        found["recall", f"overlap at k = {one.k}"] = ("share", "more", one.overlap)
        found["recall", f"1-recall at k = {one.k}"] = ("share", "more", one.one_recall)
    default = (report.nprobe, report.rerank)
    for point in report.sweep:
        if (point.nprobe, point.rerank) == default:
            found["recall", "time of a query"] = ("ms", "less", point.milliseconds)
    if report.agreement is not None:
        found["recall", "own tags retrieved"] = ("share", "more", report.agreement.approximate)
        found["recall", "own tags, exact search"] = ("share", "more", report.agreement.exact)
    return found | _drift_numbers(report)


def _drift_numbers(report: Report) -> _Numbers:
    found: _Numbers = {}
    vectors = sum(shard.vectors for shard in report.shards)
    if vectors:
        error = sum(shard.quantization_error * shard.vectors for shard in report.shards) / vectors
        found["drift", "quantization error"] = ("number", "less", error)
    if report.lists is not None:
        found["drift", "imbalance of the lists"] = ("number", "less", report.lists.imbalance)
    if report.score_error is not None:
        found["drift", "error of a compressed score"] = ("number", "less", report.score_error.mean)
        ceiling = report.score_error.ceiling
        found["drift", "ceiling without re-rank"] = ("share", "more", ceiling)
    return found
