"""A validation report as one page that needs nothing else: no script, no font, no network."""

from __future__ import annotations

from pathlib import Path

from index.report import Report
from index.report_page.document import document
from index.report_page.gallery import gallery
from index.report_page.health import index_health, left_out, tags
from index.report_page.recall import recall
from index.report_page.verdict import lead, verdict
from tagmine.layout import write_atomically

_LINKS = (
    ("verdict", "Verdict"),
    ("recall", "Recall"),
    ("index", "Index and shards"),
    ("tags", "Tags"),
    ("left-out", "Rejects and copies"),
)


def render_page(report: Report) -> str:
    """The page as HTML; texts of strangers are escaped and cut to a bounded length."""
    pictures = gallery(report)
    body = [
        verdict(report),
        recall(report),
        pictures,
        tags(report),
        index_health(report),
        left_out(report),
    ]
    links = list(_LINKS)
    if pictures:
        links.insert(2, ("gallery", "Gallery"))
    title = f"Index report: {report.name}"
    return document(title, lead(report), "\n".join(filter(None, body)), links)


def write_page(report: Report, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        OSError: when the file cannot be written.
    """
    write_atomically(path, render_page(report).encode())
