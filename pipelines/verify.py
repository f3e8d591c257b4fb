"""`tagmine verify`: is the datastore what its manifest says?"""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from index.verify import verify_datastore
from pipelines.options import VerifyOptions


def run(options: VerifyOptions, console: Console) -> None:
    """Check everything, and say what was checked.

    Raises:
        DatastoreError: at the first thing that is not as the manifest says.
    """
    with console.status("verify") as status:
        verdict = verify_datastore(
            Path(options.datastore), lambda check: status.update(f"verify  {check} …")
        )
    console.print(
        f"verify {verdict.files:,} files, {verdict.bytes / 2**20:,.1f} MiB: every checksum, count "
        f"and id is right; {verdict.self_lookups:,} stored vectors of {verdict.images:,} were "
        "looked up and found themselves",
        highlight=False,
        soft_wrap=True,
    )
