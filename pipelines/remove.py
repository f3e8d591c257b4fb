"""`tagmine remove`: images that no reader sees from now on, and that no build brings back."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from index.card import write_card
from index.take_out import take_out
from pipelines.take_out_options import RemoveOptions
from tagmine.layout import locked
from tagmine.manifest import read_manifest
from tagmine.printable import printable
from tagmine.requests import Request, read_requests
from tagmine.samples import datastore_fields

_SHOWN = 5


def run(options: RemoveOptions, console: Console) -> None:
    """Take out what the file names, and say what was found.

    Raises:
        ConfigurationError: for a file that cannot be used, or a shard that has changed.
        DatastoreError: for a datastore that cannot be read.
        SourceError: for a shard that has to be read and cannot be.
    """
    requests = read_requests(Path(options.keys))
    root = Path(options.datastore).absolute()
    fields = datastore_fields(read_manifest(root).tagger)
    with locked(root), console.status("remove") as status:
        done = take_out(root, requests, fields, lambda step: status.update(f"remove  {step} …"))
        write_card(root)
    found = len(requests) - len(done.known) - len(done.unmatched)
    console.print(
        f"remove {len(requests):,} asked for, {found:,} found: {done.samples:,} samples, of which "
        f"{done.hidden:,} images were in the index and are hidden now; {done.left:,} are left",
        soft_wrap=True,
    )
    if done.unmade:
        console.print(
            f"       {done.unmade:,} parts of an interrupted build held some of them and were "
            "deleted; the next build makes them again, without these",
            soft_wrap=True,
        )
    _print_requests(console, "taken out before", done.known)
    passing = [request for request in done.unmatched if request.kind in ("glob", "id")]
    kept = [request for request in done.unmatched if request not in passing]
    _print_requests(console, "found nowhere, and kept out of later builds", kept)
    # What they had fitted may have been compacted away: of these the record has the keys alone.
    what = "globs and ids that fit nothing that is left; they keep nothing more out of later builds"
    _print_requests(console, what, passing)
    if done.no_urls:
        console.print(
            "       No sample of the shards has a field url in its JSON, so that none can be found "
            "by its URL: name keys, or hashes of the images",
            soft_wrap=True,
        )
    if done.samples:
        console.print(
            f"       Their rows are still in the files: tagmine compact "
            f"{shlex.quote(options.datastore)} rewrites these",
            soft_wrap=True,
        )


def _print_requests(console: Console, what: str, requests: Sequence[Request]) -> None:
    if requests:
        shown = ", ".join(printable(request.value) for request in requests[:_SHOWN])
        more = ", …" if len(requests) > _SHOWN else ""
        console.print(f"       {len(requests):,} {what}: {shown}{more}", soft_wrap=True)
