"""`tagmine subset`: a small datastore out of a large one, by a condition over the tag table."""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.console import Console

from index.copy_plan import plan_subset
from pipelines import index
from pipelines.copy_options import SubsetOptions
from pipelines.copying import make_copy, prepare_folder
from tagmine.select_rows import check_condition


def run(options: SubsetOptions, console: Console) -> None:
    """Plan, copy the chosen rows of every part, index, verify.

    Raises:
        ConfigurationError: for a condition that cannot be evaluated or holds for no row, or a
            folder that holds another datastore.
        DatastoreError: for a folder that is no datastore, or a part that is damaged.
    """
    index.check(options.index)
    root = prepare_folder(options.out, [options.datastore])
    check_condition(options.where)
    plan = plan_subset(options.datastore, options.where, options.index.min_clip_score)
    manifest = make_copy(plan, root, options.index, console)
    console.print(
        f"\n{manifest.images:,} images of {Path(options.datastore)} in {root}\n"
        f"Look at it: tagmine query {shlex.quote(options.out)} PHOTO.jpg",
        highlight=False,
        soft_wrap=True,
    )
