"""What `tagmine remove` and `tagmine compact` are asked to do."""

from __future__ import annotations

import argparse
import dataclasses

from tagmine.errors import ConfigurationError
from tagmine.stores import is_remote


@dataclasses.dataclass(frozen=True, slots=True)
class RemoveOptions:
    """`tagmine remove`.

    Attributes:
        datastore: its folder.
        keys: file of what to take out, a line each.

    Raises:
        ConfigurationError: for the URL of a datastore.
    """

    datastore: str
    keys: str

    def __post_init__(self) -> None:
        _refuse_url("remove", self.datastore)


@dataclasses.dataclass(frozen=True, slots=True)
class CompactOptions:
    """`tagmine compact`.

    Raises:
        ConfigurationError: for the URL of a datastore.
    """

    datastore: str

    def __post_init__(self) -> None:
        _refuse_url("compact", self.datastore)


def _refuse_url(command: str, datastore: str) -> None:
    if is_remote(datastore):
        raise ConfigurationError(
            f"{datastore}: tagmine {command} works on a folder of this machine. Run tagmine pull, "
            "remove and compact there, and push what is left, which takes the place of what is "
            "there now."
        )


def add_remove(parser: argparse.ArgumentParser) -> None:
    """Which datastore, and what to take out of it."""
    parser.add_argument("datastore", metavar="DIR", help="folder of the datastore")
    parser.add_argument(
        "--keys",
        required=True,
        metavar="FILE",
        help="what to take out, a line each: a key (dataset/shard/sample), a glob of keys, "
        "id:NUMBER, a URL, or the sha256 of an image file; for URLs and hashes the shards are read",
    )


def add_compact(parser: argparse.ArgumentParser) -> None:
    """Which datastore."""
    parser.add_argument("datastore", metavar="DIR", help="folder of the datastore")
