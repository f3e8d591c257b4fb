"""What `tagmine remove` and `tagmine compact` are asked to do."""

from __future__ import annotations

import argparse
import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class RemoveOptions:
    """`tagmine remove`.

    Attributes:
        datastore: its folder.
        keys: file of what to take out, a line each.
    """

    datastore: str
    keys: str


@dataclasses.dataclass(frozen=True, slots=True)
class CompactOptions:
    """`tagmine compact`."""

    datastore: str


def add_remove(parser: argparse.ArgumentParser) -> None:
    """Which datastore, and what to take out of it."""
    parser.add_argument("datastore", metavar="DIR", help="folder of the datastore")
    parser.add_argument(
        "--keys",
        required=True,
        metavar="FILE",
        help="what to take out, a line each: a key (dataset/shard/sample), a glob of keys, an id, "
        "a URL, or the sha256 of an image file; for URLs and hashes the shards are read",
    )


def add_compact(parser: argparse.ArgumentParser) -> None:
    """Which datastore."""
    parser.add_argument("datastore", metavar="DIR", help="folder of the datastore")
