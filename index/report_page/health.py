"""What an index is made of: its size, lists and shards, its tags, and what was left out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from index.report import ListBalance, NearDuplicates, Report, ShardHealth, TagAgreement, TagHealth
from index.report_page.document import (
    Cell,
    bar,
    facts,
    folded,
    name_cell,
    number_cell,
    percent,
    plain,
    section,
    share,
    size,
    table,
    text,
)
from index.report_page.plots import Frame, histogram, strip_plot
from index.report_page.verdict import DETAIL_LENGTH
from tagmine.manifest import DriftCard

_BARS_DRAWN = 60
_PROBLEMS_SHOWN = 5
_STAGES = ("mine", "embed", "index")


def index_health(report: Report) -> str:
    """Size, balance of the lists, and the shards."""
    each = f"{size(report.index_bytes)} ({report.index_bytes:,} bytes)"
    pairs = [("size", each)]
    if report.predicted_bytes:
        off = report.index_bytes / report.predicted_bytes - 1
        than = f"the files are {percent(abs(off))} {'larger' if off > 0 else 'smaller'}"
        pairs.append(("predicted", f"{size(report.predicted_bytes)}; {than}"))
    pairs += [("search", _search(report)), *_drift(report.drift)]
    lists = report.lists
    if lists is not None:
        pairs.append(("lists", f"{lists.lists:,}, {lists.empty:,} of them empty"))
        pairs.append(("fullest list", f"{lists.largest:,} vectors"))
        even = "1 is even; the search takes so many times longer than with even lists"
        pairs.append(("imbalance", f"{plain(lists.imbalance)} ({even})"))
    body = facts(pairs)
    if lists is not None and lists.histogram:
        body = f'<div class="two"><div>{_list_sizes(lists)}</div><div>{body}</div></div>'
    return section("index", "Index and shards", body + _shards(report.shards))


def _search(report: Report) -> str:
    setting = f"nprobe {report.nprobe:,}, re-rank {report.rerank:,}"
    tuned = report.tuned
    if tuned is None:
        return f"{setting}: the defaults of this kind of index"
    return (
        f"{setting}: tuned to {plain(tuned.goal)} of the {tuned.at:,} nearest, "
        f"{plain(tuned.recall)} measured then on {tuned.queries:,} stored images"
    )


def _drift(drift: DriftCard | None) -> list[tuple[str, str]]:
    if drift is None:
        return []
    error = (
        f"quantization error {plain(drift.trained_error)} in the {drift.trained_parts:,} parts "
        f"that it was trained on, {plain(drift.added_error)} in those added since; imbalance "
        f"{plain(drift.trained_imbalance)}, now {plain(drift.imbalance)}"
    )
    return [("drift", error)]


def _list_sizes(lists: ListBalance) -> str:
    bounds = lists.histogram[:_BARS_DRAWN]
    bars = [(f"≤ {bound:,}", count) for bound, count in bounds]
    said = f"{lists.lists:,} lists, {lists.empty:,} empty, the fullest of {lists.largest:,} vectors"
    frame = Frame("lists", "Sizes of the lists", said, "vectors in a list, at most", "lists")
    named = [(f"{bound:,}", count) for bound, count in bounds]
    rows = [[name_cell(name), number_cell(f"{count:,}")] for name, count in bars]
    return (
        f'<h3>Sizes of the lists</h3><figure class="plot">{histogram(frame, named)}</figure>'
        f"{folded('The numbers', table('Lists by size', ('vectors', 'lists'), rows))}"
    )


def _shards(shards: Sequence[ShardHealth]) -> str:
    if not shards:
        return "<h3>Shards</h3><p>There are none.</p>"
    # Those with problems first: in a thousand shards they would be past what is shown.
    ordered = sorted(shards, key=lambda shard: not shard.problems)
    rows = [
        [
            name_cell(shard.path),
            Cell(_problems(shard.problems)),
            number_cell(f"{shard.parts:,}"),
            number_cell(f"{shard.vectors:,}"),
            number_cell(share(shard.self_lookup)),
            number_cell(_error(shard.quantization_error)),
        ]
        for shard in ordered
    ]
    head = ("shard", "health", "parts", "vectors", "find themselves", "quantization error")
    return "<h3>Shards</h3>" + table("Health of each index shard", head, rows)


def _error(error: float | None) -> str:
    return "not readable" if error is None else plain(error)


def _problems(problems: Sequence[str]) -> str:
    if not problems:
        return '<span class="badge good">✓ sound</span>'
    said = "<br>".join(text(problem, DETAIL_LENGTH) for problem in problems[:_PROBLEMS_SHOWN])
    hidden = len(problems) - _PROBLEMS_SHOWN
    more = f"<br>{hidden:,} more in report.json" if hidden > 0 else ""
    count = f"{len(problems):,} problem{'s' if len(problems) > 1 else ''}"
    return f'<span class="badge bad">✗ {count}</span> {said}{more}'


def tags(report: Report) -> str:
    """What there is to retrieve, and whether the index brings the same tags as exact search."""
    health = report.tags
    pairs = [
        ("unique tags", f"{health.unique:,}"),
        ("reachable", f"{percent(health.reachable)} are on a neighbour of at least one query"),
        ("without tags", f"{_images(health.images_without_tags)} of {report.images:,}"),
    ]
    agreement = _agreement(report.agreement)
    numbers = f"<div>{facts(pairs)}{agreement}</div>"
    body = f'<div class="two"><div>{_tags_an_image(health)}</div>{numbers}</div>'
    return section("tags", "Tags", body)


def _tags_an_image(health: TagHealth) -> str:
    named = [("mean", health.mean), ("median", health.median), ("95 % have at most", health.p95)]
    rows = [[name_cell(name), number_cell(plain(value))] for name, value in named]
    said = ", ".join(f"{name} {plain(value)}" for name, value in named)
    frame = Frame("tags-an-image", "Tags an image", said, "tags an image", "")
    drawn = [(name, round(value, 1)) for name, value in named if math.isfinite(value)]
    plot = f'<figure class="plot">{strip_plot(frame, drawn)}</figure>' if drawn else ""
    numbers = folded("The numbers", table("Tags an image", ("", "tags"), rows))
    return f"<h3>Tags an image</h3>{plot}{numbers}"


def _agreement(agreement: TagAgreement | None) -> str:
    if agreement is None:
        return "<p>The queries have no tags of their own to compare with.</p>"
    named = [
        ("exact search", agreement.exact),
        ("the index", agreement.approximate),
        ("same tags from both (Jaccard)", agreement.same),
    ]
    rows = [
        [name_cell(name), Cell(bar(value, min(i, 1)), "wide"), number_cell(share(value))]
        for i, (name, value) in enumerate(named)
    ]
    caption = f"Share of a query's own tags that its {agreement.k} neighbours bring"
    return "<h3>What a model reads</h3>" + table(caption, ("", "", "share"), rows)


def left_out(report: Report) -> str:
    """Samples that a stage rejected, and images that are all but the same."""
    stages = sorted(report.rejected, key=lambda s: (_STAGES.index(s) if s in _STAGES else 9, s))
    counted = [
        (stage, reason, count)
        for stage in stages
        for reason, count in sorted(report.rejected[stage].items(), key=lambda r: (-r[1], r[0]))
    ]
    most = max((count for _, _, count in counted), default=0)
    rows = [
        [
            name_cell(stage),
            name_cell(reason),
            number_cell(f"{count:,}"),
            Cell(bar(count / most if most else 0.0), "wide"),
        ]
        for stage, reason, count in counted
    ]
    head = ("stage", "reason", "samples", "")
    total = sum(count for _, _, count in counted)
    rejected = table(f"{total:,} samples left out, by stage and reason", head, rows)
    body = "<h3>Rejected samples</h3>" + (rejected if rows else "<p>No sample was left out.</p>")
    return section("left-out", "Rejects and copies", body + _duplicates(report.duplicates))


def _duplicates(found: NearDuplicates) -> str:
    title = f"<h3>Near-duplicates</h3><p>Copies have a cosine of {plain(found.cosine)} or more. "
    if found.looked_at:
        title += f"{_images(found.looked_at)} were compared with their nearest. "
    if not found.clusters:
        return f"{title}There are none.</p>"
    groups = "".join(
        f"<li>{', '.join(text(key) for key in group[:5])}</li>" for group in found.examples[:5]
    )
    return (
        f"{title}{_images(found.images)} form {found.clusters:,} groups; the largest has "
        f"{found.largest:,}.</p>{folded('Examples', f'<ul>{groups}</ul>')}"
    )


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"
