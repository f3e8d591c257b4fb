"""`tagmine merge`: one datastore out of several, without embedding anything again."""

from __future__ import annotations

import shlex

from rich.console import Console

from index.copy_plan import plan_merge
from pipelines import index
from pipelines.copy_options import MergeOptions
from pipelines.copying import make_copy, prepare_folder


def run(options: MergeOptions, console: Console) -> None:
    """Plan, copy every part, index, verify.

    Raises:
        ConfigurationError: for datastores that cannot be one, or a folder that holds another.
        DatastoreError: for a folder that is no datastore, or a part that is damaged.
    """
    index.check(options.index)
    root = prepare_folder(options.out, options.datastores)
    plan = plan_merge(options.datastores, options.index.min_clip_score)
    manifest = make_copy(plan, root, options.index, console)
    console.print(
        f"\n{manifest.images:,} images of {len(options.datastores)} datastores in {root}\n"
        f"Look at it: tagmine query {shlex.quote(options.out)} PHOTO.jpg",
        highlight=False,
        soft_wrap=True,
    )
