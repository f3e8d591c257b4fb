"""What `tagmine shards` is asked to do: its flags, and the options that they become."""

from __future__ import annotations

import argparse
import dataclasses

from pipelines.flags import split_names
from pipelines.options import RunnerOptions
from tagmine.bring.options import POSES, BringOptions
from tagmine.errors import ConfigurationError
from tagmine.redaction import redact
from tagmine.stores import is_remote

DEFAULT_SHARD_SIZE = 1_000
MAX_SHARD_SIZE = 100_000


@dataclasses.dataclass(frozen=True, slots=True)
class ShardsOptions:
    """`tagmine shards`.

    Attributes:
        bring: what is read, and which of its columns are what.
        out: folder of the shards.
        runner: where the job runs.
        shard_size: samples a shard.

    Raises:
        ConfigurationError: for a shard size out of range, or a URL as a source.
    """

    bring: BringOptions
    out: str
    runner: RunnerOptions
    shard_size: int = DEFAULT_SHARD_SIZE

    def __post_init__(self) -> None:
        remote = next(filter(is_remote, self.bring.sources), None)
        if remote is not None:
            raise ConfigurationError(
                f"{redact(remote)}: tagmine shards reads files of this machine. Copy it here first."
            )
        if not 1 <= self.shard_size <= MAX_SHARD_SIZE:
            raise ConfigurationError(
                f"--shard-size {self.shard_size}: give a number from 1 to {MAX_SHARD_SIZE:,}."
            )


def add_bring(parser: argparse.ArgumentParser) -> None:
    """What is brought, and what of it is what."""
    group = parser.add_argument_group("input")
    group.add_argument(
        "sources",
        metavar="SOURCE",
        nargs="+",
        help="a table (.csv, .tsv, .jsonl, .parquet) of images in a folder; a folder of images "
        "with one table in it; FashionGen's .h5; COCO's captions and instances .json; or a folder "
        "that datasets' save_to_disk wrote",
    )
    group.add_argument("--out", required=True, metavar="DIR", help="folder of the shards")
    group.add_argument(
        "--image-folder",
        metavar="DIR",
        help="folder that the paths of images begin in; none leads out of it (default: the folder "
        "that the table lies in)",
    )
    _add_columns(group)
    group.add_argument(
        "--poses",
        metavar="|".join(POSES),
        help="of FashionGen's photos of one product keep all, or the first pose alone (default: "
        "all)",
    )
    group.add_argument(
        "--encoding",
        metavar="NAME",
        help="of a CSV or TSV, such as latin-1 or cp1252 (default: utf-8)",
    )
    group.add_argument(
        "--split", metavar="NAME", help="which split of a datasets folder that holds several"
    )
    group.add_argument(
        "--shard-size",
        type=int,
        default=DEFAULT_SHARD_SIZE,
        metavar="N",
        help="samples a shard (default: %(default)s)",
    )


def _add_columns(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--image-column",
        metavar="NAME",
        help="column with each image's path, with or without its extension, or the image itself "
        "(default: a usual name, such as image or file_name)",
    )
    group.add_argument(
        "--caption-columns",
        default="",
        metavar="A,B",
        help="columns with what is said of it; each is a caption (default: a usual name, such as "
        "caption, title or name; FashionGen's name and description; COCO's captions)",
    )
    group.add_argument(
        "--key-column",
        metavar="NAME",
        help="column with a name for each sample, by which it is found again (default: rows are "
        "numbered)",
    )
    group.add_argument(
        "--tag-fields",
        metavar="A,B",
        help="columns whose values are tags already, such as brand,category: rows with a value "
        "that makes no tag are rejected, and the command to build with is printed with them "
        "(default: none; FashionGen's brand, category, subcategory, composition and gender; COCO's "
        "categories)",
    )
    group.add_argument(
        "--vocabulary-fields",
        metavar="A,B",
        help="columns whose values are names to look for in captions, each written to "
        "vocabulary/NAME.txt for tagmine build --vocabulary; of shares in per cent, as of fabrics, "
        "what they are of (default: none; FashionGen's brand and composition)",
    )


def read_bring_options(arguments: argparse.Namespace, runner: RunnerOptions) -> ShardsOptions:
    """The options that the parsed flags ask for."""
    bring = BringOptions(
        tuple(arguments.sources),
        arguments.image_folder,
        arguments.image_column,
        split_names(arguments.caption_columns),
        arguments.key_column,
        None if arguments.tag_fields is None else split_names(arguments.tag_fields),
        None if arguments.vocabulary_fields is None else split_names(arguments.vocabulary_fields),
        arguments.poses,
        arguments.encoding,
        arguments.split,
    )
    return ShardsOptions(bring, arguments.out, runner, arguments.shard_size)
