"""What `tagmine retrieve` is asked to do: its flags, and the options that they become."""

from __future__ import annotations

import argparse
import dataclasses
import math
from pathlib import PurePath

from index.stack_plan import StackPlan, parse_stack
from pipelines.flags import add_batching
from pipelines.options import DEFAULT_BATCH_SIZE, RunnerOptions
from tagmine.errors import ConfigurationError
from tagmine.instructions import SUFFIXES
from tagmine.samples import IMAGE_KEYS

MAX_K = 1000
DEFAULT_EXCLUDE_ABOVE = 0.985


@dataclasses.dataclass(frozen=True, slots=True)
class RetrieveOptions:
    """`tagmine retrieve`.

    Attributes:
        inputs: shards, or one JSON or JSONL file of instructions.
        datastores: where their images are looked up.
        out: folder of the retrievals.
        runner: where the job runs.
        image_folder: where the images of a file of instructions are.
        image_keys: extensions of the image member of shards.
        dataset: first half of the namespace of shards' keys; by default the shard's folder.
        k: neighbours an image.
        max_tags: most tags an image.
        exclude_above: images of this cosine or more are left out; None keeps them.
        keep_own_key: whether an image may find the one under its own key.
        clip_model: the datastore's encoder, where it is a local checkpoint.
        batch_size: images a forward pass.
        num_prepro_workers: threads that decode and resize.

    Raises:
        ConfigurationError: for numbers out of range, or inputs of two kinds.
    """

    inputs: tuple[str, ...]
    datastores: StackPlan
    out: str
    runner: RunnerOptions
    image_folder: str | None = None
    image_keys: tuple[str, ...] = IMAGE_KEYS
    dataset: str | None = None
    k: int = 5
    max_tags: int = 24
    exclude_above: float | None = DEFAULT_EXCLUDE_ABOVE
    keep_own_key: bool = False
    clip_model: str | None = None
    batch_size: int = DEFAULT_BATCH_SIZE
    num_prepro_workers: int = 4

    def __post_init__(self) -> None:
        if not 1 <= self.k <= MAX_K:
            raise ConfigurationError(f"-k {self.k}: give a number from 1 to {MAX_K:,}.")
        for flag, number in (
            ("--max-tags", self.max_tags),
            ("--batch-size", self.batch_size),
            ("--num-prepro-workers", self.num_prepro_workers),
        ):
            if number < 1:
                raise ConfigurationError(f"{flag} {number}: give 1 or more.")
        # A NaN compares false with everything.
        if self.exclude_above is not None and not 0 < self.exclude_above <= 1:
            raise ConfigurationError(
                f"--exclude-above {self.exclude_above}: it is a cosine above 0 and up to 1, or off."
            )
        if self.dataset is not None and (not self.dataset or "/" in self.dataset):
            raise ConfigurationError(f"--dataset {self.dataset!r}: give one name without a slash.")
        self._check_inputs()

    def _check_inputs(self) -> None:
        listed = [name for name in self.inputs if PurePath(name).suffix.lower() in SUFFIXES]
        if listed and len(self.inputs) > 1:
            raise ConfigurationError(
                f"{listed[0]}: a file of instructions is retrieved for alone. Give one file, or "
                "shards only; each into an --out of its own."
            )
        if listed and self.image_folder is None:
            raise ConfigurationError(
                f"{listed[0]}: give --image-folder DIR, the folder that its images' paths begin in."
            )
        if listed and self.dataset is not None:
            raise ConfigurationError(
                f"--dataset {self.dataset}: names the keys of shards; the images of {listed[0]} "
                "are keyed as it names them."
            )
        if not listed and self.image_folder is not None:
            raise ConfigurationError(
                f"--image-folder {self.image_folder}: is for a .json or .jsonl file; shards hold "
                "their images."
            )

    @property
    def instructions(self) -> str | None:
        """The file of instructions, None for shards."""
        name = self.inputs[0]
        return name if PurePath(name).suffix.lower() in SUFFIXES else None


def add_retrieve(parser: argparse.ArgumentParser) -> None:
    """What is looked up, where, and what must not be found."""
    group = parser.add_argument_group("input")
    group.add_argument(
        "inputs",
        metavar="DATASET",
        nargs="+",
        help="webdataset tars: paths, globs, brace ranges, @list.txt or fsspec URLs; or one .json "
        "or .jsonl file in LLaVA's form, whose rows have id, conversations and perhaps image",
    )
    group.add_argument(
        "--image-folder",
        metavar="DIR",
        help="folder that the image paths of a .json or .jsonl begin in; none leads out of it",
    )
    group.add_argument(
        "--image-key",
        default=";".join(IMAGE_KEYS),
        metavar="EXT",
        help="extension of the image member of shards; several with ';', the first present one is "
        "used (default: %(default)s)",
    )
    group.add_argument(
        "--dataset",
        metavar="NAME",
        help="name that the keys of shards begin with (default: the folder that each shard lies "
        "in); give the datastore's where the images are in it",
    )
    group.add_argument("--out", required=True, metavar="DIR", help="folder of the retrievals")
    _add_look_up(parser)


def _add_look_up(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("retrieval")
    group.add_argument(
        "--datastore",
        required=True,
        action="append",
        metavar="DIR",
        help="folder of the datastore that is searched; repeat it to search several of one "
        "encoder, as DIR=0.5 where its cosines count for half, or each as DIR=40%% to have that "
        "share of the neighbours",
    )
    group.add_argument(
        "-k", type=int, default=5, metavar="N", help="neighbours an image (default: %(default)s)"
    )
    group.add_argument(
        "--max-tags",
        type=int,
        default=24,
        metavar="N",
        help="most tags an image, the heaviest (default: %(default)s)",
    )
    group.add_argument(
        "--exclude-above",
        type=_cosine_or_off,
        default=DEFAULT_EXCLUDE_ABOVE,
        metavar="COS",
        help="leave out images whose cosine with the image is this or more, since copies are not "
        "there when the model is asked; off keeps them (default: %(default)s, from where on "
        "validate counts copies, too)",
    )
    group.add_argument(
        "--keep-own-key",
        action="store_true",
        help="let an image find the one under its own key, for keys that two datasets share by "
        "chance; an image that is in the datastore is a copy of itself all the same",
    )
    group.add_argument(
        "--clip-model",
        metavar="MODEL",
        help="encoder to embed the images with; it must be the one that the datastore was made "
        "with (default: the one that the datastore names)",
    )
    add_batching(group)


def _cosine_or_off(text: str) -> float:
    return math.inf if text == "off" else float(text)


def read_retrieve_options(arguments: argparse.Namespace, runner: RunnerOptions) -> RetrieveOptions:
    """The options that the parsed flags ask for."""
    above = arguments.exclude_above
    return RetrieveOptions(
        tuple(arguments.inputs),
        parse_stack(arguments.datastore),
        arguments.out,
        runner,
        arguments.image_folder,
        tuple(key for key in arguments.image_key.split(";") if key),
        arguments.dataset,
        arguments.k,
        arguments.max_tags,
        None if above == math.inf else above,
        arguments.keep_own_key,
        arguments.clip_model,
        arguments.batch_size,
        arguments.num_prepro_workers,
    )
