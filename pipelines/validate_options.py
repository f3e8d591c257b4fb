"""What `tagmine validate` is asked to do: its flags, and the options that they become."""

from __future__ import annotations

import argparse
import dataclasses

from index.thresholds import Thresholds
from pipelines.options import RunnerOptions
from tagmine.errors import ConfigurationError

MAX_K = 1000
MAX_GALLERY = 100

_THRESHOLDS = {
    "min_recall": "least overlap of the --at nearest images with the true nearest",
    "min_self_lookup": "least share of stored vectors that find themselves, in every index shard",
    "min_tag_agreement": "least of a query's own tags that is found, as a share of what exact "
    "search finds",
    "min_same_embedding": "least mean cosine of a part's stored vectors with those that the "
    "encoder makes of its pictures now",
    "max_imbalance": "greatest imbalance factor of the inverted lists; 1 is even",
    "max_untagged": "greatest share of images without tags",
    "max_duplicates": "most near-duplicates, as a share of the images looked at",
}


@dataclasses.dataclass(frozen=True, slots=True)
class ValidateOptions:
    """`tagmine validate`.

    Attributes:
        datastore: its folder.
        runner: where the job runs.
        queries: held-out shards.
        sample: how many queries to draw; without `queries`, of the stored images.
        ks: numbers of neighbours that recall is given for.
        at: which of them the verdict is about.
        limits: its thresholds.
        duplicate_cosine: from which cosine on two images are copies.
        gallery: how many queries are shown.
        seed: of every draw.
        out: folder of the report, None for `report` in the datastore.
        clip_model: the datastore's encoder, where it is a local checkpoint.
        spacy_model, tag_policies, vocabularies: the tagger, where it is not the default.

    Raises:
        ConfigurationError: for values that cannot work, neither queries nor a sample, or a tagger
            without queries that it could mine.
    """

    datastore: str
    runner: RunnerOptions
    queries: tuple[str, ...] = ()
    sample: int | None = None
    ks: tuple[int, ...] = (1, 5, 10)
    at: int = 5
    limits: Thresholds = Thresholds()
    duplicate_cosine: float = 0.985
    gallery: int = 12
    seed: int = 0
    out: str | None = None
    clip_model: str | None = None
    spacy_model: str | None = None
    tag_policies: tuple[str, ...] = ()
    vocabularies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.queries and self.sample is None:
            raise ConfigurationError(
                "validate needs queries. Give --queries SHARDS that the datastore was not built "
                "of, which measures what users will see; or --sample N to take N stored images, "
                "each without its own match."
            )
        self._check_tagger()
        if self.sample is not None and self.sample < 1:
            raise ConfigurationError(f"--sample {self.sample}: give 1 or more.")
        if not self.ks or any(not 1 <= k <= MAX_K for k in self.ks):
            listed = ",".join(map(str, self.ks))
            raise ConfigurationError(f"-k {listed}: give numbers from 1 to {MAX_K:,}, such as 1,5.")
        if self.at not in self.ks:
            listed = ",".join(map(str, self.ks))
            raise ConfigurationError(
                f"--at {self.at}: it is none of -k {listed}; give one of them."
            )
        if not 0 < self.duplicate_cosine <= 1:
            raise ConfigurationError(
                f"--duplicate-cosine {self.duplicate_cosine}: give a cosine above 0, at most 1."
            )
        if not 0 <= self.gallery <= MAX_GALLERY:
            raise ConfigurationError(f"--gallery {self.gallery}: give 0 to {MAX_GALLERY}.")
        if self.seed < 0:
            raise ConfigurationError(f"--seed {self.seed}: give 0 or more.")

    def _check_tagger(self) -> None:
        given = {
            "--spacy-model": self.spacy_model,
            "--tag-policy": self.tag_policies,
            "--vocabulary": self.vocabularies,
        }
        for flag, value in given.items():
            if value and not self.queries:
                raise ConfigurationError(
                    f"{flag}: it says how the captions of --queries are mined, and there are none; "
                    "stored images have their tags. Leave it out, or give --queries SHARDS."
                )


def add_validate(parser: argparse.ArgumentParser) -> None:
    """Which queries, what is measured, and what is asked for."""
    parser.add_argument("datastore", metavar="DIR", help="folder of the datastore")
    group = parser.add_argument_group("queries")
    group.add_argument(
        "--queries",
        nargs="+",
        default=[],
        metavar="SHARD",
        help="held-out shards, as for build: their images are embedded and looked up, and their "
        "captions mined with the flags that the datastore was mined with",
    )
    group.add_argument(
        "--sample",
        type=int,
        metavar="N",
        help="draw N queries; without --queries they are stored images, each looked up without "
        "its own match, which flatters the datastore",
    )
    group.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of every draw (default: %(default)s)"
    )
    _add_models(parser)
    group = parser.add_argument_group("report")
    group.add_argument(
        "-k",
        default="1,5,10",
        metavar="A,B",
        help="numbers of neighbours that recall is given for (default: %(default)s)",
    )
    group.add_argument(
        "--at",
        type=int,
        default=5,
        metavar="K",
        help="which of them the verdict, the sweep and the tags are about (default: %(default)s)",
    )
    group.add_argument(
        "--duplicate-cosine",
        type=float,
        default=0.985,
        metavar="C",
        help="cosine from which on two images count as copies (default: %(default)s)",
    )
    group.add_argument(
        "--gallery",
        type=int,
        default=12,
        metavar="N",
        help="queries to show with their neighbours, as pictures (default: %(default)s)",
    )
    group.add_argument(
        "--out", metavar="FOLDER", help="where the report goes (default: report in the datastore)"
    )
    _add_thresholds(parser)


def _add_models(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "models", "The datastore's own; needed only where it cannot load them by name."
    )
    group.add_argument(
        "--clip-model", metavar="MODEL", help="its encoder, where that is a local checkpoint"
    )
    group.add_argument(
        "--spacy-model", metavar="NAME", help="its spaCy pipeline, where that is not the default"
    )
    group.add_argument(
        "--tag-policy",
        action="append",
        default=[],
        metavar="DIR",
        help="its folder of word lists, where it has one; repeatable",
    )
    group.add_argument(
        "--vocabulary",
        action="append",
        default=[],
        metavar="FILE",
        help="its names of a domain, where it has any; repeatable",
    )


def _add_thresholds(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "verdict", "What is asked of the datastore; where it falls short, the command exits with 1."
    )
    defaults = Thresholds()
    for name, meaning in _THRESHOLDS.items():
        group.add_argument(
            "--" + name.replace("_", "-"),
            type=float,
            default=getattr(defaults, name),
            metavar="X",
            help=meaning + " (default: %(default)s)",
        )


def read_validate_options(arguments: argparse.Namespace, runner: RunnerOptions) -> ValidateOptions:
    """The options that the parsed flags ask for.

    Raises:
        ConfigurationError: for values that cannot work.
    """
    try:
        ks = tuple(sorted({int(k) for k in arguments.k.split(",") if k.strip()}))
    except ValueError as error:
        raise ConfigurationError(f"-k {arguments.k}: give numbers, such as 1,5,10.") from error
    return ValidateOptions(
        arguments.datastore,
        runner,
        tuple(arguments.queries),
        arguments.sample,
        ks,
        arguments.at,
        Thresholds(**{name: getattr(arguments, name) for name in _THRESHOLDS}),
        arguments.duplicate_cosine,
        arguments.gallery,
        arguments.seed,
        arguments.out,
        arguments.clip_model,
        arguments.spacy_model,
        tuple(arguments.tag_policy),
        tuple(arguments.vocabulary),
    )
