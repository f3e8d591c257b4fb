"""The command line: its flags, their help, and the options dataclass that they become."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
from collections.abc import Sequence
from typing import NoReturn

from index.explore.options import (
    ExploreOptions,
    add_explore_arguments,
    read_explore_options,
)
from index.stack_plan import split_inputs
from pipelines.bring_options import ShardsOptions, add_bring, read_bring_options
from pipelines.card_options import add_license
from pipelines.compare_options import (
    CompareOptions,
    add_compare_arguments,
    read_compare_options,
)
from pipelines.copy_options import (
    MergeOptions,
    SubsetOptions,
    add_merge_arguments,
    add_subset_arguments,
)
from pipelines.diff_options import DiffOptions, add_diff_arguments, read_diff_options
from pipelines.examples import EXAMPLES
from pipelines.filter_flags import read_caption_filters
from pipelines.flags import (
    add_embed,
    add_index,
    add_inputs,
    add_mine,
    add_query,
    add_runner,
    split_names,
)
from pipelines.jobs_options import JobsOptions, add_jobs_arguments, read_jobs_options
from pipelines.options import (
    BuildOptions,
    EmbedOptions,
    IndexOptions,
    InputOptions,
    MineOptions,
    QueryOptions,
    RunnerOptions,
    ShowOptions,
    VerifyOptions,
)
from pipelines.retrieve_options import RetrieveOptions, add_retrieve, read_retrieve_options
from pipelines.show_flags import add_show, check_show
from pipelines.store_options import (
    PullOptions,
    PushOptions,
    add_pull_arguments,
    add_push_arguments,
    read_pull_options,
    read_push_options,
)
from pipelines.tags_options import TagsOptions, add_tags_arguments, read_tags_options
from pipelines.take_out_options import (
    CompactOptions,
    RemoveOptions,
    add_compact,
    add_remove,
)
from pipelines.validate_options import ValidateOptions, add_validate, read_validate_options
from tagmine import __version__
from tagmine.samples import SampleFields

Options = (
    BuildOptions
    | MineOptions
    | ShowOptions
    | EmbedOptions
    | IndexOptions
    | VerifyOptions
    | QueryOptions
    | TagsOptions
    | ValidateOptions
    | DiffOptions
    | RetrieveOptions
    | RemoveOptions
    | CompactOptions
    | ShardsOptions
    | ExploreOptions
    | PushOptions
    | PullOptions
    | JobsOptions
    | MergeOptions
    | SubsetOptions
    | CompareOptions
)

# Commands that pass nothing on to Beam.
_WITHOUT_BEAM = (
    "verify",
    "query",
    "tags",
    "diff",
    "jobs",
    "compare",
    "remove",
    "compact",
    "explore",
    "push",
    "pull",
)
# clip-retrieval's and img2dataset's names, for hands that know them.
_ALIASES = {"--wds-image-key": "--image-key", "--wds-caption-key": "--caption-key"}


def parse(argv: Sequence[str]) -> Options:
    """The options that a command line asks for.

    Args:
        argv: the arguments after the program's name.

    Raises:
        ConfigurationError: for values that cannot work.
        SystemExit: after printing help, the version or a usage error, as argparse does.
    """
    parser = make_parser()
    known = _known_flags(parser)
    arguments, unknown = parser.parse_known_args([_plain_name(word, known) for word in argv])
    strangers = [word for word in unknown if not word.startswith("--")]
    if strangers or (unknown and arguments.command in _WITHOUT_BEAM):
        _refuse(_commands(parser)[arguments.command], arguments.command, unknown)
    if arguments.command == "mine":
        check_show(_commands(parser)["mine"], arguments, unknown)
    return _READERS[arguments.command](arguments, tuple(unknown))


def _refuse(parser: argparse.ArgumentParser, command: str, unknown: Sequence[str]) -> NoReturn:
    flags = [word.partition("=")[0] for word in unknown if word.startswith("--")]
    known = list(parser._option_string_actions)
    near = [name for flag in flags for name in difflib.get_close_matches(flag, known, n=1)]
    hint = f". Did you mean {near[0]}?" if near else ""
    if flags and not near and command not in _WITHOUT_BEAM:
        hint = ". Write Beam's options as --name=value."
    parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command; docs/commands.md is checked against its help."""
    parser = argparse.ArgumentParser(
        prog="tagmine",
        allow_abbrev=False,
        description="Turn image-caption collections into tag datastores: image embeddings as keys, "
        "tags mined from the captions as values.",
        epilog="Start with: tagmine build SHARDS --out DIR, then tagmine query DIR PHOTO. "
        "`tagmine COMMAND --help` explains each.",
    )
    parser.add_argument("--version", action="version", version=f"tagmine {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    build = _command(commands, "build", "mine, embed, index and verify, in one go")
    add_inputs(build)
    add_license(build)
    add_mine(build)
    add_embed(build)
    build.add_argument(
        "--thumbnails",
        type=int,
        metavar="PIXELS",
        help="keep a JPEG of each image, of at most so many pixels a side, so that tagmine explore "
        "shows pictures without the shards (default: keep none)",
    )
    add_index(build)
    add_runner(build)
    mine = _command(commands, "mine", "captions to tags, one part a shard")
    add_inputs(mine, out_required=False)
    add_mine(mine)
    add_show(mine)
    add_runner(mine)
    embed = _command(commands, "embed", "images to CLIP vectors, one part a shard")
    add_inputs(embed)
    add_embed(embed)
    add_runner(embed)
    index = _command(commands, "index", "vectors to a sharded FAISS index, and the manifest")
    index.add_argument("out", metavar="DIR", help="folder that mine and embed wrote")
    add_index(index)
    add_runner(index)
    verify = _command(commands, "verify", "recompute every checksum and count of a datastore")
    verify.add_argument("datastore", metavar="DIR", help="folder of the datastore")
    validate = _command(commands, "validate", "measure a datastore against exact search")
    add_validate(validate)
    add_runner(validate)
    shards = _command(commands, "shards", "a table, FashionGen, COCO or dataset to shards")
    add_bring(shards)
    add_runner(shards)
    retrieve = _command(commands, "retrieve", "what a datastore knows of a training set's images")
    add_retrieve(retrieve)
    add_runner(retrieve)
    add_query(_command(commands, "query", "nearest images of a photo, and their tags"))
    add_tags_arguments(_command(commands, "tags", "the vocabulary: every tag and how common it is"))
    add_jobs_arguments(_command(commands, "jobs", "what jobs have done, and how long they take"))
    merge = _command(commands, "merge", "one datastore out of several, nothing embedded again")
    add_merge_arguments(merge)
    add_index(merge)
    add_runner(merge)
    subset = _command(commands, "subset", "a datastore of the rows that a condition holds for")
    add_subset_arguments(subset)
    add_index(subset)
    add_runner(subset)
    compare = _command(
        commands, "compare", "what a swap is worth: tags retrieved from each of several"
    )
    add_compare_arguments(compare)
    add_diff_arguments(_command(commands, "diff", "what changed between two datastores or reports"))
    add_remove(_command(commands, "remove", "take images out, at once, and keep them out"))
    add_compact(_command(commands, "compact", "rewrite the files without what was taken out"))
    add_explore_arguments(_command(commands, "explore", "a local page to look into datastores"))
    add_push_arguments(_command(commands, "push", "copy a datastore to an object store or the hub"))
    add_pull_arguments(_command(commands, "pull", "copy a datastore from an object store or hub"))
    return parser


def _command(commands, name: str, summary: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=EXAMPLES[name],
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _known_flags(parser: argparse.ArgumentParser) -> frozenset[str]:
    commands = _commands(parser).values()
    return frozenset(flag for command in commands for flag in command._option_string_actions)


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    return next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction)).choices


def _plain_name(word: str, known: frozenset[str]) -> str:
    """`--batch_size=8` as `--batch-size=8`, for flags of ours only; Beam's have underscores."""
    name, equals, value = word.partition("=")
    dashed = name.replace("_", "-") if name.startswith("--") else name
    dashed = _ALIASES.get(dashed, dashed)
    return dashed + equals + value if dashed in known else word


def _inputs(arguments: argparse.Namespace) -> InputOptions:
    fields = SampleFields(
        image_keys=tuple(key for key in arguments.image_key.split(";") if key),
        caption_key=arguments.caption_key,
        caption_json_fields=split_names(",".join(arguments.caption_json_field)),
        tag_fields=split_names(arguments.tag_fields),
        annotations_key=arguments.annotations_key,
    )
    license_name = getattr(arguments, "license", "")
    return InputOptions(tuple(arguments.shards), fields, arguments.dataset, license_name)


def _runner(arguments: argparse.Namespace, beam_args: tuple[str, ...]) -> RunnerOptions:
    return RunnerOptions(arguments.runner, arguments.num_workers, beam_args)


def _mine(arguments: argparse.Namespace, beam_args: tuple[str, ...]) -> MineOptions:
    runner = _runner(arguments, beam_args)
    return MineOptions(
        arguments.out or "",
        _inputs(arguments),
        runner,
        arguments.spacy_model,
        tuple(arguments.tag_policy),
        tuple(arguments.vocabulary),
        arguments.relations,
        arguments.scene_graph,
        read_caption_filters(arguments),
        arguments.annotations,
    )


def _mine_or_show(
    arguments: argparse.Namespace, beam_args: tuple[str, ...]
) -> MineOptions | ShowOptions:
    mine = _mine(arguments, beam_args)
    if arguments.show is None:
        return mine
    return ShowOptions(mine, arguments.show, arguments.show_html)


def _embed(arguments: argparse.Namespace, beam_args: tuple[str, ...]) -> EmbedOptions:
    return EmbedOptions(
        arguments.out,
        _inputs(arguments),
        _runner(arguments, beam_args),
        arguments.clip_model,
        arguments.batch_size,
        arguments.num_prepro_workers,
        arguments.clip_scores,
        arguments.accelerator,
    )


def _index(arguments: argparse.Namespace, beam_args: tuple[str, ...]) -> IndexOptions:
    runner = _runner(arguments, beam_args)
    memory = arguments.max_index_memory_usage
    return IndexOptions(
        arguments.out,
        runner,
        arguments.index_key,
        memory,
        arguments.min_clip_score,
        arguments.min_tag_images,
        arguments.max_training_memory,
        arguments.retrain,
        arguments.recall,
        arguments.at,
        arguments.merge_ondisk,
    )


def _build(arguments: argparse.Namespace, beam_args: tuple[str, ...]) -> BuildOptions:
    embed, index = _embed(arguments, beam_args), _index(arguments, beam_args)
    if index.min_clip_score is not None:
        embed = dataclasses.replace(embed, clip_scores=True)
    return BuildOptions(_mine(arguments, beam_args), embed, index, arguments.thumbnails)


def _verify(arguments: argparse.Namespace, beam_args: tuple[str, ...]) -> VerifyOptions:
    return VerifyOptions(arguments.datastore)


def _validate(arguments: argparse.Namespace, beam_args: tuple[str, ...]) -> ValidateOptions:
    return read_validate_options(arguments, _runner(arguments, beam_args))


def _retrieve(arguments: argparse.Namespace, beam_args: tuple[str, ...]) -> RetrieveOptions:
    return read_retrieve_options(arguments, _runner(arguments, beam_args))


def _shards(arguments: argparse.Namespace, beam_args: tuple[str, ...]) -> ShardsOptions:
    return read_bring_options(arguments, _runner(arguments, beam_args))


def _query(arguments: argparse.Namespace, beam_args: tuple[str, ...]) -> QueryOptions:
    stores, photos = split_inputs((arguments.datastore, *arguments.inputs))
    return QueryOptions(stores, photos, arguments.k, arguments.clip_model, arguments.json)


def _merge(arguments: argparse.Namespace, beam_args: tuple[str, ...]) -> MergeOptions:
    index = _index(arguments, beam_args)
    return MergeOptions(tuple(arguments.datastores), arguments.out, index)


def _subset(arguments: argparse.Namespace, beam_args: tuple[str, ...]) -> SubsetOptions:
    index = _index(arguments, beam_args)
    return SubsetOptions(arguments.datastore, arguments.where, arguments.out, index)


_READERS = {
    "build": _build,
    "mine": _mine_or_show,
    "embed": _embed,
    "index": _index,
    "verify": _verify,
    "validate": _validate,
    "retrieve": _retrieve,
    "shards": _shards,
    "query": _query,
    "merge": _merge,
    "subset": _subset,
    "tags": lambda arguments, beam_args: read_tags_options(arguments),
    "jobs": lambda arguments, beam_args: read_jobs_options(arguments),
    "compare": lambda arguments, beam_args: read_compare_options(arguments),
    "diff": lambda arguments, beam_args: read_diff_options(arguments),
    "remove": lambda arguments, beam_args: RemoveOptions(arguments.datastore, arguments.keys),
    "compact": lambda arguments, beam_args: CompactOptions(arguments.datastore),
    "explore": lambda arguments, beam_args: read_explore_options(arguments),
    "push": lambda arguments, beam_args: read_push_options(arguments),
    "pull": lambda arguments, beam_args: read_pull_options(arguments),
}
