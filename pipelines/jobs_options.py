"""The options of `tagmine jobs`."""

from __future__ import annotations

import argparse
import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class JobsOptions:
    """`tagmine jobs`.

    Attributes:
        folder: where jobs have written to.
        prometheus: whether the newest job of each stage is printed as Prometheus reads it.
    """

    folder: str
    prometheus: bool = False


def add_jobs_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("folder", metavar="DIR", help="folder that jobs have written to")
    parser.add_argument(
        "--prometheus",
        action="store_true",
        help="print the newest job of each stage in Prometheus' text format, for node_exporter's "
        "textfile collector",
    )


def read_jobs_options(arguments: argparse.Namespace) -> JobsOptions:
    """The options that were given."""
    return JobsOptions(arguments.folder, arguments.prometheus)
