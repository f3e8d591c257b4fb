"""`tagmine compact`: the files without what was taken out of the datastore."""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.console import Console

from index.card import write_card
from index.compact import Compacted, compact
from pipelines.take_out_options import CompactOptions
from tagmine.layout import locked
from tagmine.manifest import read_manifest

_REPORTS = {
    "struck": "the report showed some of them, and shows them no more",
    "deleted": "the report could not be read and was deleted",
}


def run(options: CompactOptions, console: Console) -> None:
    """Rewrite what holds images that were taken out, and say what was done.

    Raises:
        ConfigurationError: when no image would be left.
        DatastoreError: for a datastore that cannot be read.
    """
    root = Path(options.datastore).absolute()
    read_manifest(root)
    with locked(root), console.status("compact") as status:
        done = compact(root, lambda step: status.update(f"compact  {step} …"))
        write_card(root)
    if done is None:
        console.print("compact nothing to do: no file holds anything that was taken out")
        return
    _print(console, done, options.datastore)


def _print(console: Console, done: Compacted, datastore: str) -> None:
    console.print(
        f"compact {done.samples:,} samples are gone from {done.parts:,} parts and {done.shards:,} "
        f"index shards; {done.manifest.images:,} images are left",
        soft_wrap=True,
    )
    if done.report in _REPORTS:
        console.print(f"        {_REPORTS[done.report]}")
    if done.trained:
        console.print(
            f"        {done.trained:,} of them were in parts that the index was trained on. Its "
            "centroids are averages of many images; for some that never saw them, run tagmine "
            f"index {shlex.quote(datastore)} --retrain",
            soft_wrap=True,
        )
