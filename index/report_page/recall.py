"""How much of the truth an index finds, and what time that takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from index.report import Report, SweepPoint
from index.report_page.document import (
    facts,
    folded,
    name_cell,
    number_cell,
    plain,
    section,
    share,
    table,
)
from index.report_page.plots import (
    Frame,
    Interval,
    Series,
    interval_legend,
    interval_plot,
    scatter_legend,
    scatter_plot,
)

_SERIES_DRAWN = 12
_BEST = "most for its time"


def default_point(report: Report) -> SweepPoint | None:
    """The point of the sweep at the search that was measured, if it has one."""
    default = (report.nprobe, report.rerank)
    return next((p for p in report.sweep if (p.nprobe, p.rerank) == default), None)


def recall(report: Report) -> str:
    """How much of the truth the index finds, and what time that takes."""
    lead = (
        "<p>Truth is exact search through every vector. <em>Overlap</em> is the mean share of the "
        "true k nearest that are among the k found; <em>1-recall</em> is the share of queries "
        "whose true nearest is among them.</p>"
    )
    body = (
        f'{lead}<div class="two"><div>{_recall_at(report)}</div><div>{_sweep(report)}</div></div>'
    )
    return section("recall", "Recall", body + _score_error(report))


def _recall_at(report: Report) -> str:
    found = [one for one in report.recall if finite(one.overlap, one.low, one.high)]
    rows = [
        [
            name_cell(f"k = {one.k}"),
            *(number_cell(share(v)) for v in (one.overlap, one.low, one.high, one.one_recall)),
        ]
        for one in report.recall
    ]
    head = ("", "overlap", "low", "high", "1-recall")
    caption = "Recall at k; low and high bound the overlap, 95 %"
    if not found:
        return "<h3>Recall at k</h3><p>Nothing was measured.</p>"
    said = "; ".join(f"k = {one.k}: overlap {share(one.overlap)}" for one in found)
    frame = Frame("recall-at", "Recall at several k", said, "neighbours looked at, k", "recall")
    intervals = [
        Interval(f"{one.k}", one.overlap, one.low, one.high, one.one_recall) for one in found
    ]
    return (
        f'<h3>Recall at k</h3><figure class="plot">{interval_plot(frame, intervals)}'
        f"{interval_legend('overlap, with its 95 % interval', '1-recall')}</figure>"
        f"{folded('The numbers', table(caption, head, rows))}"
    )


def _sweep(report: Report) -> str:
    title = "<h3>Recall against time</h3>"
    points = [p for p in report.sweep if finite(p.overlap, p.milliseconds)]
    if not points:
        return f"{title}<p>No other settings were tried.</p>"
    series, best = sweep_series(points), best_points(points)
    point = default_point(report)
    ring = None if point is None else (point.milliseconds, point.overlap)
    said = "; ".join(f"{one.name}: up to {share(max(y for _, y in one.points))}" for one in series)
    at = f"overlap at k = {report.sweep_k}"
    frame = Frame("sweep", "Recall against time of a query", said, "milliseconds a query", at)
    marked = f"the default, {_setting(point)}" if point else ""
    path = tuple((p.milliseconds, p.overlap) for p in best)
    return (
        f'{title}<figure class="plot">{scatter_plot(frame, series, path, ring)}'
        f"{scatter_legend(series, _BEST if len(best) > 1 else '', marked)}</figure>"
        f"{folded('The numbers', _sweep_table(points, best, point))}"
    )


def _sweep_table(
    points: Sequence[SweepPoint], best: Sequence[SweepPoint], default: SweepPoint | None
) -> str:
    rows = [
        [
            number_cell(f"{p.nprobe:,}" if p.nprobe else "–"),
            number_cell(f"{p.rerank:,}" if p.rerank else "none"),
            number_cell(share(p.overlap)),
            number_cell(plain(p.milliseconds, 3)),
            number_cell("✓" if p in best else ""),
        ]
        for p in points
    ]
    head = ("nprobe", "re-rank", "overlap", "ms a query", _BEST)
    marks = [i for i, p in enumerate(points) if p is default]
    return table("Settings tried; the default stands out", head, rows, marks)


def best_points(points: Sequence[SweepPoint]) -> list[SweepPoint]:
    """Those that no other point beats in both, from the fastest on: each finds more than all
    that are faster."""
    best: list[SweepPoint] = []
    for point in sorted(points, key=lambda p: (p.milliseconds, -p.overlap)):
        if not best or point.overlap > best[-1].overlap:
            best.append(point)
    return best


def sweep_series(points: Sequence[SweepPoint]) -> list[Series]:
    """The points of each depth of the re-rank, in order of nprobe."""
    ordered = sorted(points, key=lambda p: (p.rerank, p.nprobe))
    series = [
        Series(
            f"{depth:,} re-ranked" if depth else "no re-rank",
            tuple((p.milliseconds, p.overlap) for p in group),
        )
        for depth, group in groupby(ordered, key=lambda p: p.rerank)
    ]
    return series[:_SERIES_DRAWN]


def _setting(point: SweepPoint) -> str:
    depth = f"{point.rerank:,} re-ranked" if point.rerank else "no re-rank"
    return f"nprobe {point.nprobe:,}, {depth}" if point.nprobe else depth


def _score_error(report: Report) -> str:
    error = report.score_error
    if error is None:
        return "<p>The index keeps whole vectors, so its scores are exact.</p>"
    return "<h3>Compressed scores</h3>" + facts(
        [
            (
                "error of a score",
                f"{plain(error.mean, 3)} on average, {plain(error.p95, 3)} for 95 %, at most "
                f"{plain(error.largest, 3)}",
            ),
            (
                "ceiling",
                f"overlap {share(error.ceiling)} at k = {report.sweep_k}: what the codes reach "
                "without re-rank, every list visited",
            ),
        ]
    )


def finite(*values: float) -> bool:
    return all(math.isfinite(value) for value in values)
