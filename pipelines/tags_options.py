"""What `tagmine tags` is asked to show: its flags, and the options that they become."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from tagmine.errors import ConfigurationError
from tagmine.tags import KINDS

EXPORTS = (".csv", ".parquet")


@dataclasses.dataclass(frozen=True, slots=True)
class TagsOptions:
    """`tagmine tags`.

    Attributes:
        datastore: the folder; one with tags and no index yet will do.
        count: how many of the commonest and of the rarest to show.
        kind, label: only tags of this kind, of this entity type or field.
        contains: only tags with this in their text or lemma, whatever its case.
        write: a file for the chosen tags, `.csv` or `.parquet`.
        json: whether to print JSON.

    Raises:
        ConfigurationError: for a negative count, an unknown kind, or a file of another type.
    """

    datastore: str
    count: int = 20
    kind: str | None = None
    label: str | None = None
    contains: str | None = None
    write: str | None = None
    json: bool = False

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ConfigurationError(f"-n {self.count}: give 0 or more.")
        if self.kind is not None and self.kind not in KINDS:
            raise ConfigurationError(f"--kind {self.kind}: give one of {', '.join(KINDS)}.")
        if self.write is not None and Path(self.write).suffix.lower() not in EXPORTS:
            raise ConfigurationError(
                f"--write {self.write}: give a name that ends in {' or '.join(EXPORTS)}."
            )


def add_tags_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `tagmine tags`."""
    parser.add_argument("datastore", metavar="DIR", help="folder of the datastore, or of mine")
    parser.add_argument(
        "-n",
        type=int,
        default=20,
        metavar="N",
        help="how many of the commonest and of the rarest to show (default: %(default)s)",
    )
    parser.add_argument(
        "--kind", metavar="KIND", help=f"only tags of this kind: {', '.join(KINDS)}"
    )
    parser.add_argument(
        "--label", metavar="LABEL", help="only this entity type or field, such as GPE or brand"
    )
    parser.add_argument(
        "--contains", metavar="TEXT", help="only tags with TEXT in their text or lemma, in any case"
    )
    parser.add_argument(
        "--write",
        metavar="FILE",
        help="write all of these tags to a .csv or .parquet file, commonest first",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, for machines")


def read_tags_options(arguments: argparse.Namespace) -> TagsOptions:
    """The options that the parsed flags ask for."""
    return TagsOptions(
        arguments.datastore,
        arguments.n,
        arguments.kind,
        arguments.label,
        arguments.contains,
        arguments.write,
        arguments.json,
    )
