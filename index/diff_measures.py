"""Numbers of two datastores or reports, side by side."""

from __future__ import annotations

import dataclasses
import math
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
        slack: a change of at most this much is chance, and neither better nor worse.
    """

    group: str
    name: str
    unit: Unit
    better: Better
    before: float | None
    after: float | None
    slack: float = 0.0

    @property
    def change(self) -> float | None:
        if self.before is None or self.after is None:
            return None
        return self.after - self.before

    @property
    def worse(self) -> bool | None:
        """Whether it got worse; None where it did not beyond chance, or neither way is."""
        if not self.better or self.change is None or abs(self.change) <= self.slack:
            return None
        return (self.change > 0) == (self.better == "less")


@dataclasses.dataclass(frozen=True, slots=True)
class _Number:
    """A number of one side; `margin` is half of its 95 % interval, where it has one."""

    unit: Unit
    better: Better
    value: float
    margin: float | None = None


_Numbers = dict[tuple[str, str], _Number]

# Of a number without an interval, as a share of it; times vary most, by what else a machine does.
_SLACK = 0.01
_TIME_SLACK = 0.2


def compare_measures(before: Side, after: Side, tags: TagChanges | None) -> tuple[Measure, ...]:
    """Numbers that at least one side knows; those of a manifest where both have one."""
    both = before.manifest is not None and after.manifest is not None
    first, second = _numbers(before, both), _numbers(after, both)
    if tags is not None:
        unique = ("tags", "unique tags")
        first = {unique: _Number("count", "", float(tags.before))} | first
        second = {unique: _Number("count", "", float(tags.after))} | second
    order = ("size", "tags", "recall", "drift")
    names = sorted(dict.fromkeys([*first, *second]), key=lambda name: order.index(name[0]))
    return tuple(_measure(name, first.get(name), second.get(name)) for name in names)


def _measure(name: tuple[str, str], first: _Number | None, second: _Number | None) -> Measure:
    known = first or second
    pair = tuple(None if one is None else one.value for one in (first, second))
    slack = 0.0
    if first is not None and second is not None:
        if first.margin is not None and second.margin is not None:
            # Of a difference of two independent means.
            slack = math.hypot(first.margin, second.margin)
        else:
            slack = abs(first.value) * (_TIME_SLACK if known.unit == "ms" else _SLACK)
    return Measure(*name, known.unit, known.better, *pair, slack)


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
        ("size", "images"): _Number("count", "", float(manifest.images)),
        ("size", "parts"): _Number("count", "", float(len(manifest.parts))),
        ("size", "rejected samples"): _Number("count", "", float(rejected)),
        ("size", "index"): _Number("bytes", "", float(sum(s.file.bytes for s in index.shards))),
        ("size", "datastore"): _Number("bytes", "", float(sum(files.values()))),
        ("drift", "vectors the index was trained on"): _Number(
            "count", "", float(index.trained_on)
        ),
    }


def _report_numbers(report: Report) -> _Numbers:
    # Shares, since a datastore that grows has more of both and is no worse for it.
    untagged = report.tags.images_without_tags / max(report.images, 1)
    looked_at = report.duplicates.looked_at or report.images
    copies = report.duplicates.images / max(looked_at, 1)
    found: _Numbers = {
        ("size", "images"): _Number("count", "", float(report.images)),
        ("size", "index"): _Number("bytes", "", float(report.index_bytes)),
        ("tags", "unique tags"): _Number("count", "", float(report.tags.unique)),
        ("tags", "tags an image"): _Number("number", "", report.tags.mean),
        ("tags", "images without tags"): _Number("share", "less", untagged),
        ("tags", "tags reachable"): _Number("share", "more", report.tags.reachable),
        ("tags", "near-duplicate images"): _Number("share", "less", copies),
    }
    for one in report.recall:
        margin = (one.high - one.low) / 2
        found["recall", f"overlap at k = {one.k}"] = _Number("share", "more", one.overlap, margin)
        # The normal approximation of a binomial share.
        variance = one.one_recall * (1 - one.one_recall) / max(report.queries, 1)
        margin = 1.96 * math.sqrt(max(variance, 0.0))
        name = f"1-recall at k = {one.k}"
        found["recall", name] = _Number("share", "more", one.one_recall, margin)
    default = (report.nprobe, report.rerank)
    for point in report.sweep:
        if (point.nprobe, point.rerank) == default:
            found["recall", "time of a query"] = _Number("ms", "less", point.milliseconds)
    if report.agreement is not None:
        found["recall", "own tags retrieved"] = _Number(
            "share", "more", report.agreement.approximate
        )
        found["recall", "own tags, exact search"] = _Number("share", "more", report.agreement.exact)
    return found | _drift_numbers(report)


def _drift_numbers(report: Report) -> _Numbers:
    found: _Numbers = {}
    known = [shard for shard in report.shards if shard.quantization_error is not None]
    vectors = sum(shard.vectors for shard in known)
    if vectors:
        error = sum(shard.quantization_error * shard.vectors for shard in known) / vectors
        found["drift", "quantization error"] = _Number("number", "less", error)
    if report.lists is not None:
        found["drift", "imbalance of the lists"] = _Number("number", "less", report.lists.imbalance)
    if report.score_error is not None:
        found["drift", "error of a compressed score"] = _Number(
            "number", "less", report.score_error.mean
        )
        ceiling = report.score_error.ceiling
        found["drift", "ceiling without re-rank"] = _Number("share", "more", ceiling)
    return found
