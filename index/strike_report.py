"""Take images out of the report of a validation, which shows pictures, captions and keys."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from index.report import GalleryEntry, Report
from index.report_file import read_report, write_report
from index.report_page import write_page
from tagmine.errors import DatastoreError

_REPORT = "report.json"
_PAGE = "index.html"


def strike_report(folder: Path, keys: frozenset[str]) -> str:
    """Take out of a report all that shows the given images; its numbers stay.

    Args:
        folder: the report's folder.
        keys: the images' keys.

    Returns:
        "absent", "kept", "struck", or "deleted" for a report that cannot be read.
    """
    path = folder / _REPORT
    if not path.exists():
        (folder / _PAGE).unlink(missing_ok=True)
        return "absent"
    try:
        report = read_report(path)
    except DatastoreError:
        # It may show anything.
        path.unlink()
        (folder / _PAGE).unlink(missing_ok=True)
        return "deleted"
    struck = _without(report, keys)
    if struck == report:
        return "kept"
    write_report(path, struck)
    write_page(struck, folder / _PAGE)
    return "struck"


def _without(report: Report, keys: frozenset[str]) -> Report:
    examples = [
        tuple(key for key in group if key not in keys) for group in report.duplicates.examples
    ]
    return dataclasses.replace(
        report,
        # The whole entry: the tags that it pools are of all its neighbours.
        gallery=tuple(entry for entry in report.gallery if not _shows(entry, keys)),
        duplicates=dataclasses.replace(
            report.duplicates, examples=tuple(group for group in examples if len(group) > 1)
        ),
    )


def _shows(entry: GalleryEntry, keys: frozenset[str]) -> bool:
    return entry.key in keys or any(near.key in keys for near in entry.neighbours)
