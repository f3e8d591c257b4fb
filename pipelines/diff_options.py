"""What `tagmine diff` compares: its flags, and the options that they become."""

from __future__ import annotations

import argparse
import dataclasses

from tagmine.errors import ConfigurationError


@dataclasses.dataclass(frozen=True, slots=True)
class DiffOptions:
    """`tagmine diff`.

    Attributes:
        before, after: a datastore's folder, or a report.json, each.
        count: how many of the tags that were gained, lost or moved most to show.
        json: whether to print JSON.
        html: a file for the comparison as a page.

    Raises:
        ConfigurationError: for a negative count.
    """

    before: str
    after: str
    count: int = 20
    json: bool = False
    html: str | None = None

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ConfigurationError(f"-n {self.count}: give 0 or more.")


def add_diff_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `tagmine diff`."""
    parser.add_argument("before", metavar="A", help="folder of a datastore, or a report.json")
    parser.add_argument("after", metavar="B", help="what to compare it with, likewise")
    parser.add_argument(
        "-n",
        type=int,
        default=20,
        metavar="N",
        help="how many of the tags that were gained, lost or moved most to show "
        "(default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, for machines")
    parser.add_argument(
        "--html", metavar="FILE", help="write the comparison as a page that needs nothing else, too"
    )


def read_diff_options(arguments: argparse.Namespace) -> DiffOptions:
    """The options that the parsed flags ask for."""
    return DiffOptions(
        arguments.before, arguments.after, arguments.n, arguments.json, arguments.html
    )
