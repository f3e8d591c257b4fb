"""Numbers of two datastores or reports, side by side."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Literal

from index.diff_basis import Basis, Ground
from index.diff_tags import TagChanges
from index.recall import wilson
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
        better: which way is an improvement, "" where neither is, or where the two sides have too
            little in common to say.
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
    """A number of one side.

    Attributes:
        unit, better: as of a `Measure`.
        value: the number.
        ground: what both sides must have in common for one to be better than the other.
        margin: half of its 95 % interval, where it has one.
        slack: else, a change of at most this share of it is chance.
    """

    unit: Unit
    better: Better
    value: float
    ground: Ground = "images"
    margin: float | None = None
    slack: float = 0.0


_Numbers = dict[tuple[str, str], _Number]

# Numbers of codes are means over a few hundred vectors, of an index that was trained on a sample.
_CODE_SLACK = 0.05
_SWEEP_QUERIES = 256


def compare_measures(
    before: Side, after: Side, tags: TagChanges | None, basis: Basis
) -> tuple[Measure, ...]:
    """Numbers that at least one side knows; those of a manifest where both have one."""
    both = before.manifest is not None and after.manifest is not None
    first, second = _numbers(before, both), _numbers(after, both)
    if tags is not None:
        unique = ("tags", "unique tags")
        first = {unique: _Number("count", "", float(tags.before))} | first
        second = {unique: _Number("count", "", float(tags.after))} | second
    order = ("size", "tags", "recall", "drift")
    names = sorted(dict.fromkeys([*first, *second]), key=lambda name: order.index(name[0]))
    return tuple(_measure(name, first.get(name), second.get(name), basis) for name in names)


def _measure(
    name: tuple[str, str], first: _Number | None, second: _Number | None, basis: Basis
) -> Measure:
    known = first or second
    better = known.better if basis.holds(known.ground) else ""
    pair = tuple(None if one is None else one.value for one in (first, second))
    slack = 0.0
    if first is not None and second is not None:
        if first.margin is not None and second.margin is not None:
            # Of a difference of two independent means.
            slack = math.hypot(first.margin, second.margin)
        else:
            slack = abs(first.value) * known.slack
    return Measure(*name, known.unit, better, *pair, slack)


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
        ("size", "images"): _Number("count", "", float(manifest.live_images)),
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
        # It depends on how many queries there were, and falls as the vocabulary grows.
        ("tags", "tags reachable"): _Number("share", "", report.tags.reachable),
        ("tags", "near-duplicate images"): _Number(
            "share", "less", copies, "images", _margin(copies, looked_at)
        ),
    }
    for one in report.recall:
        margin = (one.high - one.low) / 2
        found["recall", f"overlap at k = {one.k}"] = _Number(
            "share", "more", one.overlap, "queries", margin
        )
        found["recall", f"1-recall at k = {one.k}"] = _asked(one.one_recall, report.queries)
    default = (report.nprobe, report.rerank)
    for point in report.sweep:
        if (point.nprobe, point.rerank) == default:
            # Another machine, or another process beside it, changes a time more than an index does.
            found["recall", "time of a query"] = _Number("ms", "", point.milliseconds)
    if report.agreement is not None:
        agreement = report.agreement
        found["recall", "own tags retrieved"] = _asked(agreement.approximate, report.queries)
        found["recall", "own tags, exact search"] = _asked(agreement.exact, report.queries)
    return found | _drift_numbers(report)


def _asked(share: float, queries: int) -> _Number:
    """A mean over queries of shares: the more the better, as far as these queries can tell."""
    return _Number("share", "more", share, "queries", _margin(share, queries))


def _margin(share: float, count: int) -> float:
    # A report of strangers may say anything.
    low, high = wilson(min(max(share, 0.0), 1.0), max(count, 1))
    return (high - low) / 2


def _drift_numbers(report: Report) -> _Numbers:
    found: _Numbers = {}
    known = [shard for shard in report.shards if shard.quantization_error is not None]
    vectors = sum(shard.vectors for shard in known)
    if vectors:
        error = sum(shard.quantization_error * shard.vectors for shard in known) / vectors
        found["drift", "quantization error"] = _codes("less", error)
    if report.lists is not None:
        found["drift", "imbalance of the lists"] = _codes("less", report.lists.imbalance)
    if report.score_error is not None:
        found["drift", "error of a compressed score"] = _Number(
            "number", "less", report.score_error.mean, "queries", slack=_CODE_SLACK
        )
        asked = min(report.queries, _SWEEP_QUERIES)
        found["drift", "ceiling without re-rank"] = _asked(report.score_error.ceiling, asked)
    return found


def _codes(better: Better, value: float) -> _Number:
    return _Number("number", better, value, "codes", slack=_CODE_SLACK)
