"""`tagmine push`: copy a datastore to an object store or the hub."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rich.console import Console

from index.report_file import read_report, without_pictures, write_report
from index.report_page import write_page
from pipelines.store_options import PushOptions
from tagmine.hub import is_hub, push_to_hub
from tagmine.manifest import read_manifest
from tagmine.stores import open_store
from tagmine.transfer import REPORT, Transferred, files_beside, push


def run(options: PushOptions, console: Console) -> None:
    """Push, and say what was sent and what was there.

    Raises:
        ConfigurationError: for a URL that cannot be used, or that holds something else.
        DatastoreError: for a folder that is no sound datastore.
        StoreError: when the store does not answer, or has other bytes than were sent.
    """
    root = Path(options.datastore)
    read_manifest(root)
    with (
        tempfile.TemporaryDirectory(prefix="tagmine-push-") as scratch,
        console.status(f"push  {options.url}") as status,
    ):
        beside = files_beside(root, options.with_pictures)
        beside |= _report(root, Path(scratch), options.with_pictures)

        def say(name: str, size: int) -> None:
            status.update(f"push  {name}")

        if is_hub(options.url):
            done = push_to_hub(root, options.url, beside, say)
        else:
            done = push(root, open_store(options.url, "URL"), beside, say)
    print_transferred(console, "push", options.url, done)
    if not options.with_pictures:
        console.print("       no picture was sent; --with-pictures sends thumbnails, too")


def _report(root: Path, scratch: Path, with_pictures: bool) -> dict[str, Path]:
    """The files of the report, written anew where its pictures stay here."""
    if not (root / REPORT[0]).is_file():
        return {}
    if with_pictures:
        return {name: root / name for name in REPORT if (root / name).is_file()}
    report = without_pictures(read_report(root / REPORT[0]))
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
