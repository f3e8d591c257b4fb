"""`report.json`: written whole or not at all, and read strictly."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from index.report import Report
from tagmine.errors import DatastoreError
from tagmine.layout import write_atomically

REPORT_VERSION = 1
# Pictures are in it, as text; a gallery of the largest allowed size has about 20 MB.
MAX_REPORT_BYTES = 256 << 20


def write_report(path: Path, report: Report) -> None:
    """Replace the report in `path`, atomically; the same report gives the same bytes."""
    write_atomically(path, TypeAdapter(Report).dump_json(report, indent=1) + b"\n")


def without_pictures(report: Report) -> Report:
    """The report as it may be shown to anyone: its gallery names images and shows none."""
    entries = [
        dataclasses.replace(
            entry,
            thumbnail="",
            neighbours=tuple(dataclasses.replace(n, thumbnail="") for n in entry.neighbours),
        )
        for entry in report.gallery
    ]
    return dataclasses.replace(report, gallery=tuple(entries))


def read_report(path: Path) -> Report:
    """The report in a file that `write_report` wrote.

    Raises:
        DatastoreError: when there is none, it is damaged, or of another version.
    """
    again = "Run tagmine validate again."
    if not path.is_file():
        raise DatastoreError(f"{path}: there is no such report. Run tagmine validate first.")
    if path.stat().st_size > MAX_REPORT_BYTES:
        raise DatastoreError(f"{path} has more than {MAX_REPORT_BYTES:,} bytes; it is refused.")
    data = path.read_bytes()
    try:
        version = json.loads(data)["format_version"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DatastoreError(f"{path} is no tagmine report ({error}). {again}") from error
    if version != REPORT_VERSION:
        raise DatastoreError(
            f"{path} has format version {version!r}; this tagmine reads version {REPORT_VERSION}. "
            f"{again}"
        )
    try:
        return TypeAdapter(Report).validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(step) for step in first["loc"]) or "the whole"
        raise DatastoreError(f"{path} is damaged: {place}: {first['msg']}. {again}") from error
