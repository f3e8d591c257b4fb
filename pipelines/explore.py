"""`tagmine explore`: a local page to look into datastores."""

from __future__ import annotations

from rich.console import Console

from index.explore.options import ExploreOptions
from index.explore.server import serve


def run(options: ExploreOptions, console: Console) -> None:
    """Serve the page until it is interrupted.

    Raises:
        ConfigurationError: for a port or shards that cannot be had.
        DatastoreError: for a folder that is no datastore.
    """
    serve(options, console)
