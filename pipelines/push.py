"""`tagmine push`: copy a datastore to an object store or the hub."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

from rich.console import Console

from index.card import CARD, card_text
from index.report_file import read_report, without_pictures, write_report
from index.report_page import write_page
from pipelines.store_options import PushOptions
from tagmine.hub import is_hub, push_to_hub
from tagmine.layout import MANIFEST
from tagmine.manifest import read_manifest
from tagmine.parts import file_sha256
from tagmine.stores import open_store
from tagmine.transfer import REPORT, Transferred, files_beside, manifest_to_send, push


def run(options: PushOptions, console: Console) -> None:
    """Push, and say what was sent and what was there.

    Raises:
        ConfigurationError: for a URL that cannot be used, or that holds something else.
        DatastoreError: for a folder that is no sound datastore.
        StoreError: when the store does not answer, or has other bytes than were sent.
    """
    root = Path(options.datastore)
    with (
        manifest_to_send(root, options.with_pictures) as sent,
        tempfile.TemporaryDirectory(prefix="tagmine-push-") as scratch,
        console.status(f"push  {options.url}") as status,
    ):
        beside = files_beside(root)
        beside |= _report(root, sent, Path(scratch), options.with_pictures)
        if CARD in beside:
            beside |= _card(root, sent, Path(scratch))

        def say(name: str, size: int) -> None:
            status.update(f"push  {name}")

        if is_hub(options.url):
            done = push_to_hub(root, options.url, sent, beside, say)
        else:
            done = push(root, open_store(options.url, "URL"), sent, beside, say)
    print_transferred(console, "push", options.url, done)
    if not options.with_pictures:
        console.print("       no picture was sent; --with-pictures sends thumbnails, too")


def _card(root: Path, sent: Path, scratch: Path) -> dict[str, Path]:
    """The card of what is sent, where that is not all that is here."""
    manifest = read_manifest(sent)
    if manifest == read_manifest(root):
        return {}
    (scratch / CARD).write_text(card_text(root, manifest), encoding="utf-8")
    return {CARD: scratch / CARD}


def _report(root: Path, sent: Path, scratch: Path, with_pictures: bool) -> dict[str, Path]:
    """The files of the report, written anew where its pictures stay here."""
    if not (root / REPORT[0]).is_file():
        return {}
    if with_pictures:
        return {name: root / name for name in REPORT if (root / name).is_file()}
    report = without_pictures(read_report(root / REPORT[0]))
    if report.manifest_sha256 == file_sha256(root / MANIFEST):
        # It speaks of the same datastore, whose manifest names no thumbnails there.
        sha256 = file_sha256(sent / MANIFEST)
        report = dataclasses.replace(report, manifest_sha256=sha256)
    json_file, page = (scratch / Path(name).name for name in REPORT)
    write_report(json_file, report)
    write_page(report, page)
    return dict(zip(REPORT, (json_file, page), strict=True))


def print_transferred(console: Console, verb: str, place: str, done: Transferred) -> None:
    """Print what a push or pull did."""
    console.print(
        f"{verb}   {done.copied:,} files, {done.bytes / 2**20:,.1f} MiB; {done.kept:,} were there "
        f"with the same content; {place}",
        highlight=False,
        soft_wrap=True,
    )
