"""Which tags a control gives a picture, from a datastore or from what was retrieved before."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Protocol

from index.stack_plan import parse_stack
from tagmine.errors import ConfigurationError

if TYPE_CHECKING:
    from PIL import Image

    from index.retrievals import Retrieval
    from tuna_model.controls import Control, Tuner
    from tuna_model.own_tower import OwnTower
    from tuna_model.retrieval import Retriever


@dataclasses.dataclass(frozen=True, slots=True)
class SourceOptions:
    """Where tags come from.

    Attributes:
        datastores: folders of datastores of one encoder, as `DIR`, `DIR=0.5` or `DIR=40%`.
        retrievals: folder or file that `tagmine retrieve` wrote.
        clip_model: the datastores' encoder, where it is a local checkpoint.
        k: neighbours a picture.
        max_tags: most tags a picture.
        vocabulary: of random tags and of the tagger: so many of the datastore's commonest.
        seed: of random tags.

    Raises:
        ConfigurationError: for both kinds of source, numbers below 1, or weights or shares that
            mean nothing.
    """

    datastores: tuple[str, ...] = ()
    retrievals: str | None = None
    clip_model: str | None = None
    k: int = 5
    max_tags: int = 24
    vocabulary: int = 5000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.datastores and self.retrievals is not None:
            raise ConfigurationError(
                "--datastore and --retrievals: give one of them. A datastore is asked now, "
                "retrievals were asked before."
            )
        if self.datastores:
            parse_stack(self.datastores)
        for flag, number in (
            ("-k", self.k),
            ("--max-tags", self.max_tags),
            ("--vocabulary", self.vocabulary),
        ):
            if number < 1:
                raise ConfigurationError(f"{flag} {number}: give 1 or more.")


class TagSource(Protocol):
    """What a control gives pictures."""

    def find(self, names: Sequence[str], images: Sequence[Image.Image]) -> list[Retrieval]:
        """One retrieval for each picture; `names` are their paths below the image folder.

        Raises:
            UnknownImageError: for a picture that was not among those retrieved for beforehand.
        """


class _Nothing:
    def find(self, names: Sequence[str], images: Sequence[Image.Image]) -> list[Retrieval]:
        from index.retrievals import EMPTY

        return [EMPTY] * len(images)


class _Stored:
    def __init__(self, path: str) -> None:
        from tuna_model.retrieval import StoredRetrievals

        self._stored = StoredRetrievals(path)

    def find(self, names: Sequence[str], images: Sequence[Image.Image]) -> list[Retrieval]:
        return [self._stored.lookup(name) for name in names]

    def key_of(self, path: str) -> str:
        """The key of a photo: the longest end of its path that was retrieved for.

        Raises:
            ConfigurationError: when there is none.
        """
        parts = PurePath(path).parts
        for start in range(len(parts)):
            key = "/".join(parts[start:])
            if key in self._stored:
                return key
        raise ConfigurationError(
            f"--image {path}: --retrievals {self._stored.path} has {len(self._stored):,} images, "
            "but none under this path or an end of it. Keys are the paths below the image folder "
            "that tagmine retrieve was given; name the photo so, or give --datastore."
        )


class _Asked:
    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever

    def find(self, names: Sequence[str], images: Sequence[Image.Image]) -> list[Retrieval]:
        return self._retriever.retrieve(images)


def check_source(name: str, control: Control, options: SourceOptions) -> None:
    """Before anything is loaded: has the control what it needs?

    Raises:
        ConfigurationError: naming what is missing.
    """
    if control.source in ("random", "tagger") and not options.datastores:
        raise ConfigurationError(
            f"--control {name} takes its vocabulary from a datastore. Give --datastore DIR."
        )
    if control.source in ("retrieved", "captions") and not (
        options.datastores or options.retrievals
    ):
        raise ConfigurationError(
            f"--control {name} needs tags. Give --datastore DIR or --retrievals DIR, or "
            "--control no_tags for the model without any."
        )


def check_max_tags(control: Control, options: SourceOptions, most: int) -> None:
    """Before anything is looked up: can the model's prompts hold as many tags as are asked for?

    Args:
        control: what the model is told.
        options: where its tags come from; what was retrieved before has its own number of tags.
        most: the processor's max_tags.

    Raises:
        ConfigurationError: naming the limit.
    """
    if control.source != "none" and options.datastores and options.max_tags > most:
        raise ConfigurationError(
            f"--max-tags {options.max_tags}: the model's prompts hold {most} tags, and those "
            f"beyond are never read. Give --max-tags {most} or fewer."
        )


def open_source(
    control: Control, options: SourceOptions, tower: OwnTower | None = None
) -> TagSource:
    """What gives the control its tags.

    Args:
        control: what the model is told.
        options: where its tags come from.
        tower: the model's, which looks pictures up itself where it is the datastore's encoder.

    Raises:
        ConfigurationError, DatastoreError: for folders that cannot be used.
    """
    if control.source == "none":
        return _Nothing()
    if control.source in ("retrieved", "captions") and options.retrievals is not None:
        return _Stored(options.retrievals)
    return _Asked(open_retriever(control, options, tower))


def photo_key(source: TagSource, path: str) -> str:
    """The name under which a source knows a photo anywhere on disk.

    Raises:
        ConfigurationError: when it was not retrieved for.
    """
    return source.key_of(path) if isinstance(source, _Stored) else path


def open_retriever(
    control: Control, options: SourceOptions, tower: OwnTower | None = None
) -> Retriever:
    """What finds the control's tags for a picture, with the help of a datastore.

    Args are those of `open_source`.

    Raises:
        ConfigurationError, DatastoreError: for folders that cannot be used.
    """
    from tuna_model.retrieval import ClipTagger, DatastoreRetriever, RandomTags, commonest_tags

    encoder = None
    if options.clip_model is not None:
        from index.encoder import load_encoder

        encoder = load_encoder(options.clip_model)
    stores = parse_stack(options.datastores)
    found = DatastoreRetriever(stores, options.k, options.max_tags, encoder=encoder)
    if tower is not None and tower.agrees_with(found.encoder):
        found.embed = tower.look
    if control.source in ("retrieved", "captions"):
        return found
    texts = commonest_tags(found.datastores[0].vocabulary, options.vocabulary)
    count = min(options.max_tags, len(texts))
    if not count:
        raise ConfigurationError(
            f"{options.datastores[0]} has no tags to take a vocabulary from. Give another "
            "--datastore."
        )
    if control.source == "random":
        return RandomTags(texts, count, options.seed, like=found)
    return ClipTagger(texts, found.encoder, count)


def add_source_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that become `SourceOptions`."""
    group = parser.add_argument_group("tags")
    group.add_argument(
        "--control",
        default="tuna",
        metavar="NAME",
        help="what the model is told beside the picture: tuna, no_tags, random_tags, captions, "
        "no_tuner, no_tag_tuning, lion, lion_without_token or tagger_tags (default: %(default)s)",
    )
    group.add_argument(
        "--datastore",
        action="append",
        default=[],
        metavar="DIR",
        help="datastore to look pictures up in; repeat it to search several of one encoder, as "
        "DIR=0.5 where its cosines count for half, or each as DIR=40%% to have that share of the "
        "neighbours",
    )
    group.add_argument(
        "--retrievals",
        metavar="DIR",
        help="what tagmine retrieve found for these pictures, instead of a datastore",
    )
    group.add_argument(
        "--clip-model", metavar="MODEL", help="the datastore's encoder, where it is a checkpoint"
    )
    group.add_argument(
        "-k", type=int, default=5, metavar="N", help="neighbours a picture (default: %(default)s)"
    )
    group.add_argument(
        "--max-tags",
        type=int,
        default=24,
        metavar="N",
        help="most tags a picture (default: %(default)s)",
    )
    group.add_argument(
        "--vocabulary",
        type=int,
        default=5000,
        metavar="N",
        help="of random_tags and tagger_tags: so many of the datastore's commonest tags "
        "(default: %(default)s)",
    )
    group.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of random_tags (default: %(default)s)"
    )
    group.add_argument(
        "--weighting",
        metavar="NAME",
        help="how tags are weighted: none, softmax (the paper's), softmax_times_n or exponential "
        "(default: the model's)",
    )
    group.add_argument(
        "--temperature",
        type=float,
        metavar="TAU",
        help="what cosines are multiplied by before that (default: the model's)",
    )


def read_tuner(arguments: argparse.Namespace) -> Tuner:
    """The weighting that the parsed flags ask for.

    Raises:
        ConfigurationError: for one that there is not.
    """
    from tuna_model.controls import Tuner

    return Tuner(arguments.weighting, arguments.temperature)


def read_source_options(arguments: argparse.Namespace) -> SourceOptions:
    """The options that the parsed flags ask for."""
    return SourceOptions(
        tuple(arguments.datastore),
        arguments.retrievals,
        arguments.clip_model,
        arguments.k,
        arguments.max_tags,
        arguments.vocabulary,
        arguments.seed,
    )
