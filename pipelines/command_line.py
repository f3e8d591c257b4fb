"""The command line: its flags, their help, and the options dataclass that they become."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence

from pipelines.examples import EXAMPLES
from pipelines.filter_flags import (
    add_caption_filters,
    add_clip_scores,
    add_min_clip_score,
    read_caption_filters,
)
from pipelines.options import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_CLIP_MODEL,
    DEFAULT_INDEX_MEMORY,
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
from pipelines.show_flags import add_annotations, add_show, check_show
from tagmine import __version__
from tagmine.backends import DEPENDENCY
from tagmine.samples import IMAGE_KEYS, SampleFields

Options = (
    BuildOptions
    | MineOptions
    | ShowOptions
    | EmbedOptions
    | IndexOptions
    | VerifyOptions
    | QueryOptions
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
    if strangers or (unknown and arguments.command in ("verify", "query")):
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if arguments.command == "mine":
        check_show(_commands(parser)["mine"], arguments, unknown)
    return _READERS[arguments.command](arguments, tuple(unknown))


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
    _add_inputs(build)
    _add_mine(build)
    _add_embed(build)
    _add_index(build)
    _add_runner(build)
    mine = _command(commands, "mine", "captions to tags, one part a shard")
    _add_inputs(mine, out_required=False)
    _add_mine(mine)
    add_show(mine)
    _add_runner(mine)
    embed = _command(commands, "embed", "images to CLIP vectors, one part a shard")
    _add_inputs(embed)
    _add_embed(embed)
    _add_runner(embed)
    index = _command(commands, "index", "vectors to a sharded FAISS index, and the manifest")
    index.add_argument("out", metavar="DIR", help="folder that mine and embed wrote")
    _add_index(index)
    _add_runner(index)
    verify = _command(commands, "verify", "recompute every checksum and count of a datastore")
    verify.add_argument("datastore", metavar="DIR", help="folder of the datastore")
    _add_query(_command(commands, "query", "nearest images of a photo, and their tags"))
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


def _add_inputs(parser: argparse.ArgumentParser, out_required: bool = True) -> None:
    group = parser.add_argument_group("input")
    group.add_argument(
        "shards",
        metavar="SHARD",
        nargs="+",
        help="webdataset tar: a path, glob, brace range, @list.txt or fsspec URL such as "
        "s3://bucket/00000.tar",
    )
    group.add_argument(
        "--out",
        required=out_required,
        metavar="DIR",
        help="folder of the datastore" + ("" if out_required else " (required without --show)"),
    )
    group.add_argument(
        "--image-key",
        default=";".join(IMAGE_KEYS),
        metavar="EXT",
        help="extension of the image member; several with ';', the first present one is used "
        "(default: %(default)s)",
    )
    group.add_argument(
        "--caption-key",
        default="txt",
        metavar="EXT",
        help="extension of the caption member (default: %(default)s)",
    )
    group.add_argument(
        "--caption-json-field",
        action="append",
        default=[],
        metavar="FIELD",
        help="take captions from this field of the .json member instead: text, a question with its "
        "answer, or a list of such, whose tags are merged and counted; several with ',' or by "
        "repeating the flag",
    )
    group.add_argument(
        "--tag-fields",
        default="",
        metavar="A,B",
        help="fields of the .json member whose values are tags already, such as "
        "articleType,baseColour,brand",
    )
    group.add_argument(
        "--annotations-key",
        metavar="FIELD",
        help="field of the .json member that --annotations is joined by, such as image_id "
        "(default: the sample's key)",
    )
    group.add_argument(
        "--dataset",
        metavar="NAME",
        help="name that the samples' keys begin with (default: the folder that each shard lies in)",
    )


def _add_mine(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("mining")
    group.add_argument(
        "--spacy-model",
        metavar="NAME",
        help="spaCy pipeline with tagger, parser and ner: an installed package or a path "
        "(default: the small English caption pipeline inside tagmine)",
    )
    group.add_argument(
        "--tag-policy",
        metavar="DIR",
        help="folder of word lists that add to those that tagmine decides by, such as "
        "stop_heads.txt; or cc3m, whose captions say actor and person for names; see docs/tags.md",
    )
    group.add_argument(
        "--vocabulary",
        action="append",
        default=[],
        metavar="FILE",
        help="names of your domain, one a line: brand.txt makes entity tags labelled BRAND of "
        "the brands it lists; repeatable",
    )
    group.add_argument(
        "--relations",
        action="store_true",
        help='also keep what relates two objects as tags ("man riding horse")',
    )
    group.add_argument(
        "--scene-graph",
        default=DEPENDENCY,
        metavar="PARSER",
        help="what finds objects and attributes: dependency, SceneGraphParser over the spaCy "
        "parse; factual, FACTUAL's public T5 checkpoint from the hub; or factual:DIR, one in a "
        "folder; docs/factual.md tells more (default: %(default)s)",
    )
    add_annotations(group)
    add_caption_filters(parser)


def _add_embed(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("embedding")
    group.add_argument(
        "--clip-model",
        default=DEFAULT_CLIP_MODEL,
        metavar="MODEL",
        help="open_clip architecture/weights, where weights are a pretrained tag or a local "
        "checkpoint; a folder in open_clip's local-dir layout; or demo (default: %(default)s)",
    )
    group.add_argument(
        "--batch-size",
        type=int,
        default=DEFAULT_BATCH_SIZE,
        metavar="N",
        help="images a forward pass; halved when memory runs out (default: %(default)s)",
    )
    group.add_argument(
        "--num-prepro-workers",
        type=int,
        default=4,
        metavar="N",
        help="threads that decode and resize images (default: %(default)s)",
    )
    add_clip_scores(group)


def _add_index(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("index")
    group.add_argument(
        "--index-key",
        metavar="KEY",
        help="FAISS index factory string (default: Flat for some thousands of vectors, else "
        "IVF-PQ computed from count, dimension and memory)",
    )
    group.add_argument(
        "--max-index-memory-usage",
        default=DEFAULT_INDEX_MEMORY,
        metavar="SIZE",
        help="memory that the index may take when it is searched (default: %(default)s)",
    )
    add_min_clip_score(group)


def _add_runner(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "running",
        "Beam's own options are passed on; write them as --name=value, for example "
        "--runner=FlinkRunner --flink_master=host:8081.",
    )
    group.add_argument(
        "--runner",
        default="local",
        metavar="NAME",
        help="local, or the name of a Beam runner (default: %(default)s)",
    )
    group.add_argument(
        "--num-workers",
        type=int,
        default=1,
        metavar="N",
        help="worker processes of the local runner (default: %(default)s)",
    )


def _add_query(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("datastore", metavar="DIR", help="folder of the datastore")
    parser.add_argument("photos", metavar="PHOTO", nargs="+", help="JPEG, PNG or WebP file")
    parser.add_argument(
        "-k", type=int, default=5, metavar="N", help="neighbours a photo (default: %(default)s)"
    )
    parser.add_argument(
        "--clip-model",
        metavar="MODEL",
        help="encoder to embed the photos with; it must be the one that the datastore was made "
        "with (default: the one that the datastore names)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON list, for machines")


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
        caption_json_fields=_names(",".join(arguments.caption_json_field)),
        tag_fields=_names(arguments.tag_fields),
        annotations_key=arguments.annotations_key,
    )
    return InputOptions(tuple(arguments.shards), fields, arguments.dataset)


def _names(listed: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in listed.split(",") if name.strip()))


def _runner(arguments: argparse.Namespace, beam_args: tuple[str, ...]) -> RunnerOptions:
    return RunnerOptions(arguments.runner, arguments.num_workers, beam_args)


def _mine(arguments: argparse.Namespace, beam_args: tuple[str, ...]) -> MineOptions:
    runner = _runner(arguments, beam_args)
    return MineOptions(
        arguments.out or "",
        _inputs(arguments),
        runner,
        arguments.spacy_model,
        arguments.tag_policy,
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
    )


def _index(arguments: argparse.Namespace, beam_args: tuple[str, ...]) -> IndexOptions:
    runner = _runner(arguments, beam_args)
    memory = arguments.max_index_memory_usage
    return IndexOptions(
        arguments.out, runner, arguments.index_key, memory, arguments.min_clip_score
    )


def _build(arguments: argparse.Namespace, beam_args: tuple[str, ...]) -> BuildOptions:
    embed, index = _embed(arguments, beam_args), _index(arguments, beam_args)
    if index.min_clip_score is not None:
        embed = dataclasses.replace(embed, clip_scores=True)
    return BuildOptions(_mine(arguments, beam_args), embed, index)


def _verify(arguments: argparse.Namespace, beam_args: tuple[str, ...]) -> VerifyOptions:
    return VerifyOptions(arguments.datastore)


def _query(arguments: argparse.Namespace, beam_args: tuple[str, ...]) -> QueryOptions:
    photos = tuple(arguments.photos)
    return QueryOptions(
        arguments.datastore, photos, arguments.k, arguments.clip_model, arguments.json
    )


_READERS = {
    "build": _build,
    "mine": _mine_or_show,
    "embed": _embed,
    "index": _index,
    "verify": _verify,
    "query": _query,
}
