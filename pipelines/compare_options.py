"""What `tagmine compare` is asked to do: its flags, and the options that they become."""

from __future__ import annotations

import argparse
import dataclasses

from index.stack_plan import StackPlan, parse_sum
from pipelines.flags import add_members, split_names
from tagmine.errors import ConfigurationError
from tagmine.samples import SampleFields

MAX_K = 1000
MAX_SHOWN = 100


@dataclasses.dataclass(frozen=True, slots=True)
class CompareOptions:
    """`tagmine compare`.

    Attributes:
        queries: held-out shards, or the folder of one datastore.
        sides: the datastores and stacks that are compared.
        fields: which members of the shards are image, captions and tags.
        k: neighbours a query.
        sample: how many queries to draw, None for all.
        seed: of the draw and of the resampling.
        shown: how many of the queries that differ most are shown.
        html: a file for the comparison as a page.
        json: whether to print JSON.
        clip_model: the datastores' encoder, where it is a local checkpoint.
        spacy_model, tag_policies, vocabularies: how captions of shards are mined.

    Raises:
        ConfigurationError: for numbers out of range.
    """

    queries: tuple[str, ...]
    sides: tuple[StackPlan, ...]
    fields: SampleFields
    k: int = 5
    sample: int | None = None
    seed: int = 0
    shown: int = 12
    html: str | None = None
    json: bool = False
    clip_model: str | None = None
    spacy_model: str | None = None
    tag_policies: tuple[str, ...] = ()
    vocabularies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.k <= MAX_K:
            raise ConfigurationError(f"-k {self.k}: give 1 to {MAX_K:,}.")
        if self.sample is not None and self.sample < 1:
            raise ConfigurationError(f"--sample {self.sample}: give 1 or more.")
        if self.seed < 0:
            raise ConfigurationError(f"--seed {self.seed}: give 0 or more.")
        if not 0 <= self.shown <= MAX_SHOWN:
            raise ConfigurationError(f"--gallery {self.shown}: give 0 to {MAX_SHOWN}.")


def add_compare_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `tagmine compare`."""
    parser.add_argument(
        "queries",
        metavar="QUERIES",
        nargs="+",
        help="held-out shards, as for build; or the folder of one datastore of held-out images, "
        "whose tags are known already",
    )
    parser.add_argument(
        "--datastores",
        nargs="+",
        required=True,
        metavar="DIR",
        help="datastores of one encoder; DIR+DIR is a stack of two, and DIR=0.5+DIR or "
        "DIR=40%%+DIR=60%% one with weights or shares",
    )
    parser.add_argument(
        "-k", type=int, default=5, metavar="N", help="neighbours a query (default: %(default)s)"
    )
    parser.add_argument(
        "--sample", type=int, metavar="N", help="draw N of the queries (default: all)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="of the draw and of the intervals (default: %(default)s)",
    )
    parser.add_argument(
        "--gallery",
        type=int,
        default=12,
        metavar="N",
        help="queries to show of those that differ most (default: %(default)s)",
    )
    parser.add_argument(
        "--html", metavar="FILE", help="write the comparison as a page that needs nothing else, too"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, for machines")
    group = parser.add_argument_group(
        "query shards", "How their known tags are made, as for build."
    )
    add_members(group)
    group.add_argument("--spacy-model", metavar="NAME", help="spaCy pipeline for their captions")
    group.add_argument(
        "--tag-policy", action="append", default=[], metavar="DIR", help="folder of word lists"
    )
    group.add_argument(
        "--vocabulary", action="append", default=[], metavar="FILE", help="names of a domain"
    )
    group.add_argument(
        "--clip-model", metavar="MODEL", help="the encoder, where it is a local checkpoint"
    )


def read_compare_options(arguments: argparse.Namespace) -> CompareOptions:
    """The options that the parsed flags ask for.

    Raises:
        ConfigurationError: for values that cannot work.
    """
    fields = SampleFields(
        image_keys=tuple(key for key in arguments.image_key.split(";") if key),
        caption_key=arguments.caption_key,
        caption_json_fields=split_names(",".join(arguments.caption_json_field)),
        tag_fields=split_names(arguments.tag_fields),
    )
    return CompareOptions(
        tuple(arguments.queries),
        tuple(parse_sum(word) for word in arguments.datastores),
        fields,
        arguments.k,
        arguments.sample,
        arguments.seed,
        arguments.gallery,
        arguments.html,
        arguments.json,
        arguments.clip_model,
        arguments.spacy_model,
        tuple(arguments.tag_policy),
        tuple(arguments.vocabulary),
    )
