"""`tagmine verify`: is the datastore what its manifest says?"""

from __future__ import annotations

from rich.console import Console

from index.verify import verify_datastore
from pipelines.options import VerifyOptions
from tagmine.opened import check_objects, local_folder
from tagmine.stores import is_remote

# A graph loses as many, and a re-rank that looks at few.
_FEW = 0.05


def run(options: VerifyOptions, console: Console) -> None:
    """Check everything, and say what was checked.

    Raises:
        DatastoreError: at the first thing that is not as the manifest says.
    """
    root = local_folder(options.datastore)
    with console.status("verify") as status:
        if is_remote(options.datastore):
            status.update("verify  every object of the store …")
            check_objects(options.datastore, root)
        verdict = verify_datastore(root, lambda check: status.update(f"verify  {check} …"))
    console.print(
        f"verify {verdict.files:,} files, {verdict.bytes / 2**20:,.1f} MiB: every checksum, count "
        f"and id is right; of {verdict.images:,} vectors {verdict.self_lookups:,} were looked up, "
        f"and {verdict.found:,} found themselves",
        highlight=False,
        soft_wrap=True,
    )
    lost = verdict.self_lookups - verdict.found
    if lost > _FEW * verdict.self_lookups:
        console.print(
            f"note   what is stored is right, but {verdict.index_key} is too coarse to tell "
            f"{lost:,} of them from others. tagmine validate measures what that costs; longer "
            "codes are made by tagmine index --index-key.",
            highlight=False,
            soft_wrap=True,
        )
