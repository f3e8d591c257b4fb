"""What differs between two datastores, or between two validation reports."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import Literal

from index.diff_basis import Basis, common_basis
from index.diff_measures import Measure, compare_measures
from index.diff_parts import PartChanges, compare_parts
from index.diff_tags import TagChanges, compare_tags
from index.report import Gate, Report
from index.report_file import read_report
from tagmine.errors import DatastoreError
from tagmine.layout import MANIFEST
from tagmine.manifest import Manifest, read_manifest
from tagmine.parts import file_sha256

REPORT = "report/report.json"
_REPORT_FILE = "report.json"


@dataclasses.dataclass(frozen=True, slots=True)
class Side:
    """One of the two that are compared.

    Attributes:
        path: what was given: a datastore's folder or a report.json.
        manifest: of the datastore; None for a report alone.
        report: its report; None where it has none that speaks of its present state.
        outdated: whether there is a report of an earlier state.
    """

    path: Path
    manifest: Manifest | None
    report: Report | None
    outdated: bool = False

    @property
    def name(self) -> str:
        if self.manifest is not None:
            return self.manifest.name
        return self.report.name if self.report is not None else self.path.name


@dataclasses.dataclass(frozen=True, slots=True)
class SideCard:
    """How a side is named: its path, its name, and what is known of it."""

    path: str
    name: str
    datastore: bool
    report: Literal["current", "outdated", "none"]


@dataclasses.dataclass(frozen=True, slots=True)
class PinChange:
    """Something that both were made with, and that differs; "" where one has no such thing."""

    pin: str
    field: str
    before: str
    after: str


@dataclasses.dataclass(frozen=True, slots=True)
class GateChange:
    """A gate of the verdict that is new, gone, or passes in one only."""

    name: str
    before: Gate | None
    after: Gate | None


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """What `compare` found.

    Attributes:
        before, after: the two sides.
        notes: what could not be compared, and what to mind when reading the rest.
        measures: numbers of both, those that are equal too.
        pins: what they were made with, where it differs.
        gates: of the verdicts, where they differ; None unless both have a report.
        parts: parts and images; None unless both are datastores.
        tags: tags gained and lost; None unless both are datastores.
    """

    before: SideCard
    after: SideCard
    notes: tuple[str, ...]
    measures: tuple[Measure, ...]
    pins: tuple[PinChange, ...]
    gates: tuple[GateChange, ...] | None
    parts: PartChanges | None
    tags: TagChanges | None


def open_side(path: Path) -> Side:
    """The datastore in a folder with its report, if it has one, or a report alone.

    Raises:
        DatastoreError: for a path that is neither, or what is damaged.
    """
    if path.is_file():
        if path.name == MANIFEST:
            raise DatastoreError(f"{path} is a manifest; give its folder, {path.parent}.")
        return Side(path, None, read_report(path))
    if path.is_dir() and not (path / MANIFEST).exists() and (path / _REPORT_FILE).is_file():
        raise DatastoreError(
            f"{path} is the folder of a report, not of a datastore. Give {path / _REPORT_FILE} for "
            "the report alone, or the folder of the datastore."
        )
    manifest = read_manifest(path)
    if not (path / REPORT).is_file():
        return Side(path, manifest, None)
    report = read_report(path / REPORT)
    if report.manifest_sha256 != file_sha256(path / MANIFEST):
        return Side(path, manifest, None, outdated=True)
    return Side(path, manifest, report)


def compare(before: Side, after: Side, count: int = 20) -> Difference:
    """Look at two sides.

    Memory holds the keys of one part of each at a time, and of the tags what DuckDB is allowed;
    the rest is on disk.

    Args:
        before, after: the two.
        count: how many of the tags that were gained, lost or moved most.

    Raises:
        DatastoreError: when a part or vocabulary that has to be read is damaged.
    """
    both = before.manifest is not None and after.manifest is not None
    reported = before.report is not None and after.report is not None
    tags = compare_tags(before, after, count) if both else None
    basis = common_basis(before, after)
    return Difference(
        _card(before),
        _card(after),
        tuple(_notes(before, after, basis)),
        compare_measures(before, after, tags, basis),
        _pins(before, after),
        _gates(before.report.gates, after.report.gates) if reported else None,
        compare_parts(before, after) if both else None,
        tags,
    )


def _card(side: Side) -> SideCard:
    report = "current" if side.report is not None else "outdated" if side.outdated else "none"
    return SideCard(str(side.path), side.name, side.manifest is not None, report)


def _notes(before: Side, after: Side, basis: Basis) -> list[str]:
    notes = []
    for side in (before, after):
        again = f"Run tagmine validate {shlex.quote(str(side.path))} to compare recall and gates."
        if side.outdated:
            notes.append(
                f"{side.path} has changed since its report was made, so that report is left out. "
                f"{again}"
            )
        elif side.report is None:
            notes.append(f"{side.path} has no report. {again}")
        if side.manifest is None:
            notes.append(
                f"{side.path} is a report alone. Give datastores to compare tags, parts and images."
            )
    reported = before.report is not None and after.report is not None
    if basis.shared is not None and not basis.images:
        notes.append(
            f"They have {100 * basis.shared:.0f} % of their images in common, so no number is "
            "called better or worse."
        )
    elif reported and not basis.same_queries:
        notes.append(_other_queries(basis))
    return notes


def _other_queries(basis: Basis) -> str:
    said = "The reports were measured with other queries, so recall may differ for that alone"
    if not basis.holds("queries"):
        return f"{said}, and is not called better or worse."
    return f"{said}; it is called better or worse only beyond the chance of two draws."


def _pins(before: Side, after: Side) -> tuple[PinChange, ...]:
    if before.manifest is not None and after.manifest is not None:
        pairs = [_manifest_pins(side.manifest) for side in (before, after)]
    elif before.report is not None and after.report is not None:
        pairs = [_report_pins(side.report) for side in (before, after)]
    else:
        return ()
    return tuple(
        PinChange(pin, field, pairs[0].get((pin, field), ""), pairs[1].get((pin, field), ""))
        for pin, field in dict.fromkeys([*pairs[0], *pairs[1]])
        if pairs[0].get((pin, field), "") != pairs[1].get((pin, field), "")
    )


def _manifest_pins(manifest: Manifest) -> dict[tuple[str, str], str]:
    found = {}
    for pin in ("tagger", "encoder"):
        record = getattr(manifest, pin)
        for field in dataclasses.fields(record):
            found[pin, field.name] = _said(getattr(record, field.name))
    index = manifest.index
    for name in ("index_key", "metric", "dim", "nprobe", "rerank", "min_clip_score"):
        found["index", name] = _said(getattr(index, name))
    # Two indexes of one specification may still have been trained apart.
    found["index", "trained"] = index.trained.sha256
    found["vocabulary", "min_tag_images"] = _said(manifest.vocabulary.min_tag_images)
    return found


def _report_pins(report: Report) -> dict[tuple[str, str], str]:
    return {
        ("tagger", "tagger"): report.tagger,
        ("encoder", "encoder"): report.encoder,
        ("encoder", "dim"): str(report.dim),
        ("index", "index_key"): report.index_key,
        ("index", "nprobe"): str(report.nprobe),
        ("index", "rerank"): str(report.rerank),
    }


def _said(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(" ".join(v) if isinstance(v, tuple) else str(v) for v in value)
    return "" if value is None else str(value)


def _gates(before: tuple[Gate, ...], after: tuple[Gate, ...]) -> tuple[GateChange, ...]:
    first, second = ({gate.name: gate for gate in gates} for gates in (before, after))
    changes = [
        GateChange(name, first.get(name), second.get(name))
        for name in dict.fromkeys([*first, *second])
    ]
    return tuple(
        change
        for change in changes
        if change.before is None
        or change.after is None
        or (change.before.passed, change.before.limit) != (change.after.passed, change.after.limit)
    )
