"""The flags of merging and of `tagmine mine --show`, and what argparse cannot say of them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


def add_annotations(group: argparse._ArgumentGroup) -> None:
    """Add the flag to the group of mining."""
    group.add_argument(
        "--annotations",
        metavar="FILE",
        help="further annotations of the same images: a .parquet, .jsonl or .csv with the columns "
        "key, and caption or question and answer; merged with the captions before mining",
    )


def add_show(parser: argparse.ArgumentParser) -> None:
    """Add the flags to the parser of `tagmine mine`."""
    group = parser.add_argument_group("looking")
    group.add_argument(
        "--show",
        type=int,
        metavar="N",
        help="write no datastore, but print the first N samples: their captions with each tag "
        "highlighted where it is said, and the tags as they would be kept",
    )
    group.add_argument(
        "--show-html", metavar="FILE", help="with --show, write the same to this file as a page"
    )


def check_show(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace, unknown: Sequence[str]
) -> None:
    """Flags that depend on each other: --out is required, but for --show.

    Raises:
        SystemExit: after printing a usage error, as argparse does.
    """
    if arguments.show is None:
        if arguments.out is None:
            parser.error("the following arguments are required: --out")
        if arguments.show_html is not None:
            parser.error("argument --show-html: give --show N too")
    elif unknown:
        # No runner is started that they could be for.
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
