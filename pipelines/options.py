"""What each command is asked to do, validated: the result of reading its command line."""

from __future__ import annotations

import dataclasses

from index.stack_plan import StackPlan
from pipelines.card_options import check_license
from tagmine.backends import DEPENDENCY, check_backend
from tagmine.caption_filters import NO_FILTERS, CaptionFilters
from tagmine.errors import ConfigurationError
from tagmine.samples import SampleFields

DEFAULT_CLIP_MODEL = "ViT-B-32/laion2b_s34b_b79k"
DEFAULT_INDEX_MEMORY = "4G"
DEFAULT_TRAINING_MEMORY = "2G"
DEFAULT_RECALL_AT = 5
DEFAULT_BATCH_SIZE = 64
DEFAULT_ACCELERATOR = "type:nvidia-tesla-t4;count:1;install-nvidia-driver"
MAX_SHOWN = 1_000
# Beam's DirectRunner is the same to users; by that name Beam would try Prism first.
LOCAL_RUNNERS = ("local", "DirectRunner")
DATAFLOW = "DataflowRunner"


@dataclasses.dataclass(frozen=True, slots=True)
class RunnerOptions:
    """Where and how wide a job runs.

    Attributes:
        runner: name of a Beam runner; "local" and "DirectRunner" are Beam's in-process portable
            runner.
        num_workers: worker processes of the local runner, or machines that Dataflow starts with.
        beam_args: Beam's own options, passed on as they are.

    Raises:
        ConfigurationError: for fewer than one worker, or several with a runner that has another
            option for that.
    """

    runner: str = "local"
    num_workers: int = 1
    beam_args: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.num_workers < 1:
            raise ConfigurationError(f"--num-workers {self.num_workers}: give 1 or more.")
        if self.num_workers > 1 and self.runner not in (*LOCAL_RUNNERS, DATAFLOW):
            raise ConfigurationError(
                f"--num-workers is for the local runner and Dataflow; with --runner={self.runner} "
                "give that runner's own option, such as --parallelism=8 for Flink."
            )


@dataclasses.dataclass(frozen=True, slots=True)
class InputOptions:
    """Which shards are read, and which members of their samples.

    Attributes:
        shards: paths, globs, brace ranges, @lists or URLs.
        fields: which members are image, caption and structured fields.
        dataset: first half of the namespace of keys; by default the shard's folder.
        license: under which they were published; "" for what is known of them.

    Raises:
        ConfigurationError: for a dataset name that is no single name, or a license that is none.
    """

    shards: tuple[str, ...]
    fields: SampleFields
    dataset: str | None = None
    license: str = ""

    def __post_init__(self) -> None:
        check_license(self.license)
        if self.dataset is not None and (not self.dataset or "/" in self.dataset):
            raise ConfigurationError(f"--dataset {self.dataset!r}: give one name without a slash.")


@dataclasses.dataclass(frozen=True, slots=True)
class MineOptions:
    """`tagmine mine`.

    Raises:
        ConfigurationError: for an unknown scene graph parser, or a key to join annotations by
            without annotations.
    """

    out: str
    inputs: InputOptions
    runner: RunnerOptions
    spacy_model: str | None = None
    tag_policies: tuple[str, ...] = ()
    vocabularies: tuple[str, ...] = ()
    relations: bool = False
    scene_graph: str = DEPENDENCY
    filters: CaptionFilters = NO_FILTERS
    annotations: str | None = None

    def __post_init__(self) -> None:
        check_backend(self.scene_graph)
        key = self.inputs.fields.annotations_key
        if key is not None and self.annotations is None:
            raise ConfigurationError(
                f"--annotations-key {key}: there is nothing to join; give --annotations FILE too."
            )


@dataclasses.dataclass(frozen=True, slots=True)
class ShowOptions:
    """`tagmine mine --show`.

    Attributes:
        mine: how captions are mined; its `out` is not written to.
        samples: how many samples are shown.
        html: file for the same as a page, None for none.

    Raises:
        ConfigurationError: for fewer than one sample, or more than a page can hold.
    """

    mine: MineOptions
    samples: int
    html: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.samples <= MAX_SHOWN:
            raise ConfigurationError(f"--show {self.samples}: give 1 to {MAX_SHOWN:,}.")


@dataclasses.dataclass(frozen=True, slots=True)
class EmbedOptions:
    """`tagmine embed`.

    Attributes:
        accelerator: GPU that Dataflow gives a worker, in Beam's words; "none" for none, None for
            the usual one. Other runners have no such thing.

    Raises:
        ConfigurationError: for a batch size or number of threads below 1, or an accelerator that
            the runner would ignore.
    """

    out: str
    inputs: InputOptions
    runner: RunnerOptions
    clip_model: str = DEFAULT_CLIP_MODEL
    batch_size: int = DEFAULT_BATCH_SIZE
    num_prepro_workers: int = 4
    clip_scores: bool = False
    accelerator: str | None = None

    def __post_init__(self) -> None:
        if self.accelerator is not None and self.runner.runner != DATAFLOW:
            raise ConfigurationError(
                f"--accelerator {self.accelerator}: only {DATAFLOW} is asked for one. Elsewhere a "
                "worker uses the GPU that its machine has."
            )
        if self.batch_size < 1:
            raise ConfigurationError(f"--batch-size {self.batch_size}: give 1 or more.")
        if self.num_prepro_workers < 1:
            raise ConfigurationError(
                f"--num-prepro-workers {self.num_prepro_workers}: give 1 or more."
            )


@dataclasses.dataclass(frozen=True, slots=True)
class IndexOptions:
    """`tagmine index`.

    Raises:
        ConfigurationError: for a score that is no cosine, a floor below 1, or a recall that is no
            share.
    """

    out: str
    runner: RunnerOptions
    index_key: str | None = None
    max_index_memory_usage: str = DEFAULT_INDEX_MEMORY
    min_clip_score: float | None = None
    min_tag_images: int = 1
    max_training_memory: str = DEFAULT_TRAINING_MEMORY
    retrain: bool = False
    recall: float | None = None
    at: int | None = None
    merge_ondisk: bool = False

    def __post_init__(self) -> None:
        if self.recall is not None and not 0 < self.recall <= 1:
            raise ConfigurationError(
                f"--recall {self.recall}: it is a share of the nearest, above 0 and up to 1."
            )
        if self.at is not None and self.recall is None:
            raise ConfigurationError(
                f"--at {self.at}: there is nothing to tune; give --recall SHARE too."
            )
        if self.at is not None and self.at < 1:
            raise ConfigurationError(f"--at {self.at}: give 1 or more.")
        # A NaN compares false with everything.
        if self.min_clip_score is not None and not -1 <= self.min_clip_score <= 1:
            raise ConfigurationError(
                f"--min-clip-score {self.min_clip_score}: it is a cosine, from -1 to 1."
            )
        if self.min_tag_images < 1:
            raise ConfigurationError(
                f"--min-tag-images {self.min_tag_images}: give 1 or more; 1 keeps every tag."
            )


@dataclasses.dataclass(frozen=True, slots=True)
class BuildOptions:
    """`tagmine build`: the options of its stages.

    Attributes:
        thumbnails: most pixels a side of the pictures that are kept; None for none.

    Raises:
        ConfigurationError: for thumbnails below 16 pixels or above 1024.
    """

    mine: MineOptions
    embed: EmbedOptions
    index: IndexOptions
    thumbnails: int | None = None

    def __post_init__(self) -> None:
        if self.thumbnails is not None and not 16 <= self.thumbnails <= 1024:
            raise ConfigurationError(
                f"--thumbnails {self.thumbnails}: give 16 to 1024 pixels, such as 128."
            )


@dataclasses.dataclass(frozen=True, slots=True)
class VerifyOptions:
    """`tagmine verify`."""

    datastore: str


@dataclasses.dataclass(frozen=True, slots=True)
class QueryOptions:
    """`tagmine query`.

    Raises:
        ConfigurationError: for k below 1.
    """

    datastores: StackPlan
    photos: tuple[str, ...]
    k: int = 5
    clip_model: str | None = None
    json: bool = False

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ConfigurationError(f"-k {self.k}: give 1 or more.")
