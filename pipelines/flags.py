"""The flags that commands share, by what they are about."""

from __future__ import annotations

import argparse

from pipelines.filter_flags import add_caption_filters, add_clip_scores, add_min_clip_score
from pipelines.index_flags import add_training_and_tuning
from pipelines.options import (
    DEFAULT_ACCELERATOR,
    DEFAULT_BATCH_SIZE,
    DEFAULT_CLIP_MODEL,
    DEFAULT_INDEX_MEMORY,
)
from pipelines.show_flags import add_annotations
from tagmine.backends import DEPENDENCY
from tagmine.samples import IMAGE_KEYS


def add_batching(group: argparse._ArgumentGroup) -> None:
    """How pictures are decoded and embedded."""
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


def add_inputs(parser: argparse.ArgumentParser, out_required: bool = True) -> None:
    """Which shards are read, and which members of their samples."""
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
        help="folder of the datastore, or a URL such as s3://bucket/name"
        + ("" if out_required else " (required without --show)"),
    )
    add_members(group)
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


def add_members(group: argparse._ArgumentGroup) -> None:
    """Which members of a sample are its image, captions and tags."""
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


def add_mine(parser: argparse.ArgumentParser) -> None:
    """What makes tags of captions."""
    group = parser.add_argument_group("mining")
    group.add_argument(
        "--spacy-model",
        metavar="NAME",
        help="spaCy pipeline with tagger, parser and ner: an installed package or a path "
        "(default: the small English caption pipeline inside tagmine)",
    )
    group.add_argument(
        "--tag-policy",
        action="append",
        default=[],
        metavar="DIR",
        help="folder of word lists that add to those that tagmine decides by, such as "
        "stop_heads.txt; or cc3m, whose captions say actor and person for names; repeatable; see "
        "docs/tags.md",
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


def add_embed(parser: argparse.ArgumentParser) -> None:
    """What makes vectors of images."""
    group = parser.add_argument_group("embedding")
    group.add_argument(
        "--clip-model",
        default=DEFAULT_CLIP_MODEL,
        metavar="MODEL",
        help="open_clip architecture/weights, where weights are a pretrained tag or a local "
        "checkpoint; a folder in open_clip's local-dir layout; or demo (default: %(default)s)",
    )
    add_batching(group)
    group.add_argument(
        "--accelerator",
        metavar="SPEC",
        help="GPU of a Dataflow worker that embeds, in Beam's words, or none; workers that mine "
        f"have none (default: {DEFAULT_ACCELERATOR})",
    )
    add_clip_scores(group)


def add_index(parser: argparse.ArgumentParser) -> None:
    """How vectors are found again."""
    group = parser.add_argument_group("index")
    group.add_argument(
        "--index-key",
        metavar="KEY",
        help="FAISS index factory string (default: computed from count, dimension and memory: "
        "Flat, IVF,Flat, IVF,PQ, or from a million vectors OPQ,IVF_HNSW,PQ)",
    )
    group.add_argument(
        "--max-index-memory-usage",
        default=DEFAULT_INDEX_MEMORY,
        metavar="SIZE",
        help="memory that the index may take when it is searched (default: %(default)s)",
    )
    add_training_and_tuning(group)
    add_min_clip_score(group)
    group.add_argument(
        "--min-tag-images",
        type=int,
        default=1,
        metavar="N",
        help="leave tags of fewer than N images out of answers, entities and fields excepted; "
        "tagmine tags shows what each floor would leave out (default: %(default)s, every tag)",
    )


def add_runner(parser: argparse.ArgumentParser) -> None:
    """Where and how wide the job runs."""
    group = parser.add_argument_group(
        "running",
        "Beam's own options are passed on; write them as --name=value, for example "
        "--runner=FlinkRunner --flink_master=host:8081. docs/runners.md has whole commands.",
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
        help="worker processes of the local runner, or machines that Dataflow starts with "
        "(default: %(default)s)",
    )


def add_query(parser: argparse.ArgumentParser) -> None:
    """What is looked for, and where."""
    parser.add_argument("datastore", metavar="DIR", help="folder of the datastore")
    parser.add_argument(
        "inputs",
        metavar="PHOTO",
        nargs="+",
        help="JPEG, PNG or WebP file; before the first, further datastores of the same encoder; "
        "DIR=0.5 lets the cosines of a datastore count for half, and DIR=40%% for each gives it "
        "that share of the neighbours",
    )
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


def split_names(listed: str) -> tuple[str, ...]:
    """The names that a flag lists with commas between them, each once."""
    return tuple(dict.fromkeys(name.strip() for name in listed.split(",") if name.strip()))
