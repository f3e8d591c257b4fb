"""What `tagmine push` and `tagmine pull` are asked to do: their flags and options."""

from __future__ import annotations

import argparse
import dataclasses

from tagmine.errors import ConfigurationError


@dataclasses.dataclass(frozen=True, slots=True)
class PushOptions:
    """`tagmine push`.

    Attributes:
        datastore: its folder.
        url: where it goes.
        with_pictures: whether thumbnails of the images are published, too.

    Raises:
        ConfigurationError: for a URL in the place of the folder, or no URL.
    """

    datastore: str
    url: str
    with_pictures: bool = False

    def __post_init__(self) -> None:
        _check("push DIR URL", self.datastore, self.url)


@dataclasses.dataclass(frozen=True, slots=True)
class PullOptions:
    """`tagmine pull`; as `PushOptions`, the other way round."""

    url: str
    datastore: str

    def __post_init__(self) -> None:
        _check("pull URL DIR", self.datastore, self.url)


def _check(usage: str, folder: str, url: str) -> None:
    if "://" not in url or "://" in folder:
        raise ConfigurationError(
            f"tagmine {usage}: one is a folder of this machine and the other a URL such as "
            "s3://bucket/name or hf://datasets/OWNER/NAME, in this order."
        )


def add_push_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `tagmine push`."""
    parser.add_argument("datastore", metavar="DIR", help="folder of the datastore")
    _add_url(parser)
    parser.add_argument(
        "--with-pictures",
        action="store_true",
        help="also publish thumbnails of images: those of the report, and those that --thumbnails "
        "of build kept (default: no picture leaves this machine)",
    )


def add_pull_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `tagmine pull`."""
    _add_url(parser)
    parser.add_argument("datastore", metavar="DIR", help="folder that it is copied to")


def _add_url(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "url", metavar="URL", help="any that fsspec knows: s3://, gs://, …; or hf://datasets/…"
    )


def read_push_options(arguments: argparse.Namespace) -> PushOptions:
    """The options that the parsed flags ask for."""
    return PushOptions(arguments.datastore, arguments.url, arguments.with_pictures)


def read_pull_options(arguments: argparse.Namespace) -> PullOptions:
    """The options that the parsed flags ask for."""
    return PullOptions(arguments.url, arguments.datastore)
