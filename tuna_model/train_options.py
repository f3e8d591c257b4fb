"""What `tagmine-tuna train` is asked to do: options, validated."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tagmine.errors import ConfigurationError
from tuna_model.controls import Tuner

CONFIGS = Path(__file__).parent / "configs"
PRECISIONS = ("auto", "bf16", "fp32")
DEVICES = ("auto", "cpu")

# LLaVA-1.5's own, which the paper follows; the second is LLaVA's for LoRA.
FULL_LEARNING_RATE = 2e-5
LORA_LEARNING_RATE = 2e-4


def _check_share(flag: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigurationError(f"{flag} {value}: it is a share, from 0 to 1.")


@dataclasses.dataclass(frozen=True, slots=True)
class LoraOptions:
    """Low-rank adapters for the language model; connector and cross-attention train in full.

    Raises:
        ConfigurationError: for a rank below 1, or a dropout that is no share.
    """

    rank: int
    alpha: int
    dropout: float = 0.05

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ConfigurationError(f"--lora {self.rank}: give a rank of 1 or more.")
        if self.alpha < 1:
            raise ConfigurationError(f"--lora-alpha {self.alpha}: give 1 or more.")
        _check_share("--lora-dropout", self.dropout)


@dataclasses.dataclass(frozen=True, slots=True)
class DataOptions:
    """What is trained on, and how it is changed on the way.

    Attributes:
        data: LLaVA's instruction file.
        image_folder: where the images of its rows are; None for text only.
        retrievals: folder or file of `tagmine retrieve`; None for none.
        control: name of one of `tuna_model.controls`.
        max_length: tokens of a row, image and tags included.
        tag_dropout: share of tags that are left out at random.
        random_tags: share of tags that are replaced by those of other images.
        seed: of order, noise and new weights.

    Raises:
        ConfigurationError: for a length below 1 or shares outside of 0 to 1.
    """

    data: str
    image_folder: str | None = None
    retrievals: str | None = None
    control: str = "tuna"
    max_length: int = 2048
    tag_dropout: float = 0.0
    random_tags: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_length < 1:
            raise ConfigurationError(f"--max-length {self.max_length}: give 1 or more tokens.")
        _check_share("--tag-dropout", self.tag_dropout)
        _check_share("--random-tags", self.random_tags)
        if not 0 <= self.seed < 2**31:
            raise ConfigurationError(f"--seed {self.seed}: give a number from 0 to {2**31 - 1}.")


@dataclasses.dataclass(frozen=True, slots=True)
class Schedule:
    """How long, how wide and how fast.

    Attributes:
        batch_size: rows of one optimizer step, over all devices.
        batch_size_per_device: rows that a device takes at once; None for the most that fits into
            `batch_size` and is at most 16, LLaVA's.
        max_steps: stop after this many optimizer steps; None for whole epochs.

    Raises:
        ConfigurationError: for numbers that no training has.
    """

    epochs: float = 1.0
    max_steps: int | None = None
    batch_size: int = 128
    batch_size_per_device: int = 16
    learning_rate: float = FULL_LEARNING_RATE
    warmup_ratio: float = 0.03
    weight_decay: float = 0.0
    group_by_length: bool = True

    def __post_init__(self) -> None:
        for name in ("batch_size", "batch_size_per_device", "max_steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigurationError(f"--{name.replace('_', '-')} {value}: give 1 or more.")
        for name in ("epochs", "learning_rate"):
            # A NaN compares false with everything.
            if not getattr(self, name) > 0:
                flag = name.replace("_", "-")
                raise ConfigurationError(f"--{flag} {getattr(self, name)}: give more than 0.")
        if not self.weight_decay >= 0:
            raise ConfigurationError(f"--weight-decay {self.weight_decay}: give 0 or more.")
        _check_share("--warmup-ratio", self.warmup_ratio)

    def accumulation(self, processes: int) -> int:
        """Passes that a device makes for one optimizer step.

        Raises:
            ConfigurationError: where the batch is no multiple of what the devices take at once.
        """
        at_once = self.batch_size_per_device * processes
        if self.batch_size % at_once:
            raise ConfigurationError(
                f"--batch-size {self.batch_size}: it is no multiple of the {at_once} rows that "
                f"{processes} x --batch-size-per-device {self.batch_size_per_device} take at once. "
                "Give one that is, so that the step is the one you asked for."
            )
        return self.batch_size // at_once


@dataclasses.dataclass(frozen=True, slots=True)
class TrainOptions:
    """`tagmine-tuna train`.

    Attributes:
        model: a TUNA folder, or a LLaVA-1.5 checkpoint together with `clip`.
        clip: CLIP model whose text tower embeds tags; for a LLaVA checkpoint only.
        output: folder for the model, checkpoints and rejects.
        deepspeed: "zero2", "zero3" or a DeepSpeed configuration file.
        weighting, temperature: of the tags, see `tuna_model.weighting`; None keeps the model's.
        workers: processes that load and tokenise rows.

    Raises:
        ConfigurationError: for a value that is none of its kind.
    """

    model: str
    output: str
    data: DataOptions
    clip: str | None = None
    schedule: Schedule = Schedule()
    lora: LoraOptions | None = None
    train_cross_attention: bool = True
    weighting: str | None = None
    temperature: float | None = None
    precision: str = "auto"
    device: str = "auto"
    gradient_checkpointing: bool | None = None
    deepspeed: str | None = None
    resume: bool = False
    save_steps: int = 500
    keep_checkpoints: int = 2
    log_steps: int = 10
    workers: int = 4

    def __post_init__(self) -> None:
        for name in ("save_steps", "keep_checkpoints", "log_steps"):
            if getattr(self, name) < 1:
                flag = name.replace("_", "-")
                raise ConfigurationError(f"--{flag} {getattr(self, name)}: give 1 or more.")
        Tuner(self.weighting, self.temperature)
        if self.workers < 0:
            raise ConfigurationError(f"--num-workers {self.workers}: give 0 or more.")
        if self.deepspeed is not None and not self.deepspeed_file().is_file():
            raise ConfigurationError(
                f"--deepspeed {self.deepspeed}: there is no such file. Give zero2, zero3 or a "
                "DeepSpeed configuration of yours."
            )
        if self.lora is not None and self.deepspeed == "zero3":
            raise ConfigurationError(
                "--lora with --deepspeed zero3: the adapters are merged into the weights at the "
                "end, and ZeRO-3 leaves no process with whole weights. Give --deepspeed zero2."
            )

    def deepspeed_file(self) -> Path:
        """The DeepSpeed configuration that `deepspeed` names."""
        name = self.deepspeed or ""
        return CONFIGS / f"{name}.json" if name in ("zero2", "zero3") else Path(name)
