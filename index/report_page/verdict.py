"""The top of a report's page: what was asked of the index, and whether it holds."""

from __future__ import annotations

from collections.abc import Sequence

from index.gate_words import asked, measured_value
from index.report import Gate, Report
from index.report_page.document import (
    apart,
    counted,
    facts,
    plain,
    section,
    share,
    size,
    text,
    tiles,
)
from index.report_page.recall import default_point

DETAIL_LENGTH = 600
_REMARKS_SHOWN = 20


def verdict(report: Report) -> str:
    """What was asked of the index, whether it holds, and what to do where it does not."""
    failed = [gate for gate in report.gates if not gate.passed]
    # What fails is what one came to read.
    ordered = failed + [gate for gate in report.gates if gate.passed]
    items = "".join(_gate(gate) for gate in ordered)
    gates = f'<ul class="gates">{items}</ul>' if items else "<p>No condition was set.</p>"
    kind = "passed" if report.passed else "failed"
    cautions = _listed("cautions", report.cautions)
    body = gates + cautions + _overview(report) + _listed("remarks", report.notes)
    return section("verdict", _headline(report, len(failed)), body, kind)


def _listed(kind: str, remarks: Sequence[str]) -> str:
    said = "".join(f"<li>{text(one, DETAIL_LENGTH)}</li>" for one in remarks[:_REMARKS_SHOWN])
    return f'<ul class="{kind}">{said}</ul>' if said else ""


def _headline(report: Report, failed: int) -> str:
    count = len(report.gates)
    if not count:
        return "Passed: nothing was asked" if report.passed else "Failed"
    if report.passed:
        unmeasured = sum(gate.value is None for gate in report.gates)
        holding = count - unmeasured
        said = f"Passed: all {holding} gates hold" if holding != 1 else "Passed: the gate holds"
        return f"{said}, {unmeasured} could not be measured" if unmeasured else said
    does = "does" if failed == 1 else "do"
    return f"Failed: {failed} of {count} {'gate' if count == 1 else 'gates'} {does} not hold"


def _gate(gate: Gate) -> str:
    if not gate.passed:
        badge = '<span class="badge bad">✗ fails</span>'
    elif gate.value is None:
        badge = '<span class="badge idle">– unknown</span>'
    else:
        badge = '<span class="badge good">✓ holds</span>'
    value, limit = apart(gate.value, gate.limit)
    measured = f"<strong>{measured_value(gate, value)}</strong>"
    bound = asked(gate, limit)
    measured += f", asked: {bound}" if bound else ""
    detail = f'<p class="detail">{text(gate.detail, DETAIL_LENGTH)}</p>' if gate.detail else ""
    return (
        f"<li><span>{badge}</span><span>{text(gate.name)}</span>"
        f'<span class="measured">{measured}</span>{detail}</li>'
    )


def _overview(report: Report) -> str:
    at = {one.k: one for one in report.recall}.get(report.sweep_k)
    point = default_point(report)
    items = [("images", f"{report.images:,}", f"{report.dim:,} dimensions each")]
    if at is not None:
        among = f"of the true {at.k} nearest are found"
        items.append(("recall", share(at.overlap), among))
    if point is not None:
        items.append(("a query takes", f"{plain(point.milliseconds, 3)} ms", "all cores, batched"))
    each = report.index_bytes / report.images if report.images else 0.0
    items.append(("index", size(report.index_bytes), f"{plain(each, 3)} bytes an image"))
    items.append(("unique tags", f"{report.tags.unique:,}", ""))
    items.append(("tags an image", plain(report.tags.mean, 3), "on average"))
    where = (
        "from outside the datastore"
        if report.held_out
        else "images of the datastore, each without its own match"
    )
    rerank = f"{report.rerank:,} candidates scored exactly" if report.rerank else "no re-rank"
    probes = f"nprobe {report.nprobe:,}, {rerank}" if report.nprobe else rerank
    made = [
        ("queries", f"{report.queries:,}, {where}"),
        ("search measured", probes),
        ("index", f"<code>{text(report.index_key)}</code>"),
        ("encoder", text(report.encoder)),
        ("tagger", text(report.tagger)),
        ("manifest", f"sha256 <code>{text(report.manifest_sha256[:12])}</code>"),
    ]
    return tiles(items) + facts(made)


def lead(report: Report) -> str:
    """The line below the title."""
    return (
        f'<p class="lead">{counted(report.images, "image")}, measured against exact search by '
        f"tagmine {text(report.tagmine)}</p>"
    )
