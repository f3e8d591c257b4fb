"""What `tagmine merge` and `tagmine subset` are asked to do: their flags and their options."""

from __future__ import annotations

import argparse
import dataclasses

from pipelines.options import IndexOptions
from tagmine.errors import ConfigurationError


@dataclasses.dataclass(frozen=True, slots=True)
class MergeOptions:
    """`tagmine merge`.

    Attributes:
        datastores: the folders, in the order that parts are numbered in.
        out: folder of the new datastore.
        index: how it is indexed.

    Raises:
        ConfigurationError: for fewer than two datastores.
    """

    datastores: tuple[str, ...]
    out: str
    index: IndexOptions

    def __post_init__(self) -> None:
        if len(self.datastores) < 2:
            raise ConfigurationError(
                f"{', '.join(self.datastores)}: give two datastores or more; one alone moves as a "
                "folder."
            )


@dataclasses.dataclass(frozen=True, slots=True)
class SubsetOptions:
    """`tagmine subset`.

    Attributes:
        datastore: its folder.
        where: SQL condition of the rows that are taken.
        out: folder of the new datastore.
        index: how it is indexed.

    Raises:
        ConfigurationError: for an empty condition.
    """

    datastore: str
    where: str
    out: str
    index: IndexOptions

    def __post_init__(self) -> None:
        if not self.where.strip():
            raise ConfigurationError("--where is empty; give a condition over one row.")


def add_merge_arguments(parser: argparse.ArgumentParser) -> None:
    """What is merged; flags of the index are added beside."""
    parser.add_argument(
        "datastores", metavar="DIR", nargs="+", help="folders of datastores of one encoder"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the new datastore")


def add_subset_arguments(parser: argparse.ArgumentParser) -> None:
    """What is taken out of what; flags of the index are added beside."""
    parser.add_argument("datastore", metavar="DIR", help="folder of the datastore")
    parser.add_argument(
        "--where",
        required=True,
        metavar="SQL",
        help="condition over one row of the tag table, as DuckDB understands it: its columns are "
        "id, key, source, caption, more_captions, tags, caption_sources; and lemmas and heads, the "
        "lists of its tags' lemmas and of what they are about; it sees no file and no other row",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the new datastore")
