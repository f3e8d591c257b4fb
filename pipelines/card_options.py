"""The flag of a build that its card depends on: the licence of the shards."""

from __future__ import annotations

import argparse
import re

from tagmine.errors import ConfigurationError

_LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")


def add_license(parser: argparse.ArgumentParser) -> None:
    """Under which licence the shards were published."""
    group = parser.add_argument_group("card")
    group.add_argument(
        "--license",
        default="",
        metavar="NAME",
        help="licence of these shards for README.md, as the Hugging Face hub names it, such as "
        "cc-by-4.0 or other (default: what an earlier build said, else unknown)",
    )


def check_license(name: str) -> None:
    """Stop at what cannot be a name of a licence.

    Raises:
        ConfigurationError: for such a name.
    """
    if name and not _LICENSE.fullmatch(name):
        raise ConfigurationError(
            f"--license {name!r}: give a name as the Hugging Face hub has it, in lower case and "
            "without spaces, such as cc-by-4.0, mit or other."
        )
