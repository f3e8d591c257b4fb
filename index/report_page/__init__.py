"""The report as a page."""

from __future__ import annotations

import html
from pathlib import Path

from index.report import Report
from tagmine.layout import write_atomically


def write_page(report: Report, path: Path) -> None:
    """Write the report as one self-contained HTML file."""
    rows = "".join(
        f"<li>{'passed' if gate.passed else 'FAILED'}: {html.escape(gate.name)}</li>"
        for gate in report.gates
    )
    text = f"<!doctype html><meta charset=utf-8><title>{html.escape(report.name)}</title>{rows}\n"
    write_atomically(path, text.encode())
