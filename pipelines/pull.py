"""`tagmine pull`: copy a datastore from an object store or the hub."""

from __future__ import annotations

from rich.console import Console

from pipelines.push import print_transferred
from pipelines.store_options import PullOptions
from tagmine.stores import open_store
from tagmine.transfer import pull


def run(options: PullOptions, console: Console) -> None:
    """Pull, and say what was fetched and what was there.

    Raises:
        ConfigurationError: for a folder that holds something else.
        DatastoreError: when the store holds no sound datastore.
        StoreError: when the store does not answer.
    """
    with console.status(f"pull  {options.url}") as status:
        root, done = pull(
            open_store(options.url, "URL"),
            options.datastore,
            lambda name, size: status.update(f"pull  {name}"),
        )
    print_transferred(console, "pull", str(root), done)
