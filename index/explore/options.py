"""What `tagmine explore` is asked to show: its flags, and the options that they become."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from index.stack_plan import StackPlan, parse_stack
from tagmine.errors import ConfigurationError

DEFAULT_PORT = 8765


@dataclasses.dataclass(frozen=True, slots=True)
class ExploreOptions:
    """Which datastores are shown, and where.

    Attributes:
        datastores: their folders, in the order shown, with what each counts for when they are
            stacked.
        shards: where their source shards lie, as `build` takes them; by default where they were
            when the datastores were built.
        clip_model: the encoder of those datastores that a local checkpoint embedded.
        port: on loopback; 0 for any that is free.
        browser: whether the page is opened in a browser.

    Raises:
        ConfigurationError: for a folder given twice, or no port.
    """

    datastores: StackPlan
    shards: tuple[str, ...] = ()
    clip_model: str | None = None
    port: int = DEFAULT_PORT
    browser: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.port < 1 << 16:
            raise ConfigurationError(f"--port {self.port}: give a number from 0 to 65535.")
        folders = [Path(folder).absolute() for folder in self.datastores.folders]
        twice = [given for given in folders if folders.count(given) > 1]
        if twice:
            raise ConfigurationError(f"{twice[0]} is given twice; give each datastore once.")


def add_explore_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that become `ExploreOptions`."""
    parser.add_argument(
        "datastores",
        metavar="DIR",
        nargs="+",
        help="folder of a datastore; DIR=0.5 gives it a weight, or DIR=40%% a share, in the stack "
        "of several; those of other encoders are shown side by side, and not stacked",
    )
    parser.add_argument(
        "--shards",
        action="append",
        default=[],
        metavar="SHARD",
        help="where the source shards lie, for the pictures: a path, glob, brace range, @list.txt "
        "or fsspec URL; repeatable (default: where they were at the build, local ones only)",
    )
    parser.add_argument(
        "--clip-model",
        metavar="MODEL",
        help="encoder of those datastores that were made with a local checkpoint (default: the "
        "ones that the datastores name)",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=DEFAULT_PORT,
        metavar="N",
        help="port on loopback, 0 for any that is free (default: %(default)s)",
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="only print the address of the page"
    )


def read_explore_options(arguments: argparse.Namespace) -> ExploreOptions:
    """The options that the parsed flags ask for."""
    return ExploreOptions(
        parse_stack(arguments.datastores),
        tuple(arguments.shards),
        arguments.clip_model,
        arguments.port,
        not arguments.no_browser,
    )
