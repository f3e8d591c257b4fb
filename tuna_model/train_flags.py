"""The flags of `tagmine-tuna train`, and how they become its options."""

from __future__ import annotations

import argparse
import dataclasses

from tagmine.errors import ConfigurationError
from tuna_model.train_options import (
    CONFIGS,
    DEVICES,
    FULL_LEARNING_RATE,
    LORA_LEARNING_RATE,
    PRECISIONS,
    DataOptions,
    LoraOptions,
    Schedule,
    TrainOptions,
)

EXAMPLES = """\
examples:
  tagmine retrieve llava_v1_5_mix665k.json --image-folder images --datastore cc12m-tags \\
      --out llava-tags
  tagmine-tuna train --model llava-1.5-7b --clip clip-vit-large-patch14-336 \\
      --data llava_v1_5_mix665k.json --image-folder images --retrievals llava-tags \\
      --output tuna-7b
  accelerate launch --config_file $(tagmine-tuna train --configs)/multi_gpu.yaml \\
      -m tuna_model.main train --deepspeed zero2 …the same flags
  tagmine-tuna train --lora 128 --batch-size-per-device 8 …the same flags

The defaults are the paper's recipe: one epoch, 128 rows a step, learning rate 2e-5, cosine after a
warm-up of 3 %, 2,048 tokens, bf16 where the device has it. Rows that cannot be used are listed with
their reasons in OUTPUT/rejects.parquet. Killed? The same command with --resume goes on from the
last checkpoint, to the same weights."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `tagmine-tuna train`."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "--configs",
        action=_PrintConfigs,
        nargs=0,
        help="print the folder of the accelerate and DeepSpeed configurations, and stop",
    )
    _add_data(parser.add_argument_group("data"))
    _add_model(parser.add_argument_group("model"))
    _add_schedule(parser.add_argument_group("recipe"))
    _add_machine(parser.add_argument_group("machine"))


class _PrintConfigs(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None) -> None:
        print(CONFIGS)
        parser.exit()


def _add_data(group) -> None:
    group.add_argument(
        "--data",
        required=True,
        metavar="FILE",
        help="LLaVA's instruction file: a JSON list or JSON Lines of {id, image, conversations}",
    )
    group.add_argument(
        "--image-folder", metavar="DIR", help="folder that the rows' image paths are in"
    )
    group.add_argument(
        "--retrievals",
        metavar="DIR",
        help="what `tagmine retrieve` found for --data: a folder, or one file of it",
    )
    group.add_argument(
        "--control",
        default="tuna",
        metavar="NAME",
        help="what is trained: tuna, no_tags, random_tags, captions, no_tuner, no_tag_tuning, "
        "lion, lion_without_token or tagger_tags (default: %(default)s)",
    )
    group.add_argument(
        "--max-length",
        type=int,
        default=2048,
        metavar="TOKENS",
        help="longer rows are cut (default: %(default)s)",
    )
    group.add_argument(
        "--tag-dropout",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="noise: leave out this share of the tags, drawn anew each time (default: %(default)s)",
    )
    group.add_argument(
        "--random-tags",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="noise: put a tag of another image in the place of this share (default: %(default)s)",
    )


def _add_model(group) -> None:
    group.add_argument(
        "--model",
        required=True,
        metavar="DIR",
        help="TUNA model to start from, or a LLaVA-1.5 checkpoint together with --clip",
    )
    group.add_argument(
        "--clip", metavar="DIR", help="CLIP model for the tags, beside a LLaVA-1.5 checkpoint"
    )
    group.add_argument(
        "--output", required=True, metavar="DIR", help="folder for model, checkpoints, rejects"
    )
    group.add_argument(
        "--lora",
        type=int,
        metavar="RANK",
        help="train low-rank adapters instead of the whole language model; LLaVA takes 128. "
        "Connector and cross-attention train in full beside them",
    )
    group.add_argument(
        "--lora-alpha", type=int, metavar="N", help="scale of the adapters (default: twice RANK)"
    )
    group.add_argument(
        "--lora-dropout",
        type=float,
        default=0.05,
        metavar="SHARE",
        help="dropout before the adapters (default: %(default)s)",
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
    group.add_argument(
        "--freeze-cross-attention",
        action="store_true",
        help="keep the tag encoder's cross-attention as it is",
    )


def _add_schedule(group) -> None:
    defaults = Schedule()
    numbers = (
        ("--epochs", float, defaults.epochs, "times that each row is seen"),
        ("--batch-size", int, defaults.batch_size, "rows of one step over all devices"),
        (
            "--batch-size-per-device",
            int,
            defaults.batch_size_per_device,
            "rows that a device takes at once; gradients are summed up to --batch-size",
        ),
        ("--warmup-ratio", float, defaults.warmup_ratio, "share of the steps that warm up"),
        ("--weight-decay", float, defaults.weight_decay, "weight decay"),
    )
    for flag, kind, default, text in numbers:
        group.add_argument(
            flag, type=kind, default=default, metavar="N", help=f"{text} (default: %(default)s)"
        )
    group.add_argument(
        "--learning-rate",
        type=float,
        metavar="RATE",
        help=f"highest rate (default: {FULL_LEARNING_RATE}, with --lora {LORA_LEARNING_RATE})",
    )
    group.add_argument(
        "--max-steps", type=int, metavar="N", help="stop after this many steps, for a trial"
    )
    group.add_argument(
        "--no-group-by-length",
        action="store_true",
        help="shuffle rows freely instead of batching those of one length and modality",
    )
    group.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of order and noise (default: %(default)s)"
    )


def _add_machine(group) -> None:
    group.add_argument(
        "--resume", action="store_true", help="go on from the last checkpoint in --output"
    )
    for flag, default, text in (
        ("--save-steps", 500, "steps between checkpoints"),
        ("--keep-checkpoints", 2, "checkpoints that are kept, the newest"),
        ("--log-steps", 10, "steps between lines of progress"),
        ("--num-workers", 4, "processes that load images and tokenise; 0 loads in the main one"),
    ):
        group.add_argument(
            flag, type=int, default=default, metavar="N", help=f"{text} (default: %(default)s)"
        )
    group.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="auto is bf16 on a GPU that has it, else fp32 (default: %(default)s)",
    )
    group.add_argument(
        "--device", choices=DEVICES, default="auto", help="auto takes GPUs where there are any"
    )
    group.add_argument(
        "--gradient-checkpointing",
        action=argparse.BooleanOptionalAction,
        help="compute activations twice to save memory (default: on a GPU only)",
    )
    group.add_argument(
        "--deepspeed", metavar="NAME", help="zero2, zero3 or a DeepSpeed configuration file"
    )


def read_options(arguments: argparse.Namespace) -> TrainOptions:
    """The options that the parsed flags ask for."""
    lora = None
    if arguments.lora is not None:
        alpha = 2 * arguments.lora if arguments.lora_alpha is None else arguments.lora_alpha
        lora = LoraOptions(arguments.lora, alpha, arguments.lora_dropout)
    elif arguments.lora_alpha is not None:
        raise ConfigurationError(f"--lora-alpha {arguments.lora_alpha}: give --lora RANK too.")
    rate = arguments.learning_rate
    if rate is None:
        rate = FULL_LEARNING_RATE if lora is None else LORA_LEARNING_RATE
    schedule = Schedule(
        arguments.epochs,
        arguments.max_steps,
        arguments.batch_size,
        arguments.batch_size_per_device,
        rate,
        arguments.warmup_ratio,
        arguments.weight_decay,
        not arguments.no_group_by_length,
    )
    data = DataOptions(
        **{field.name: getattr(arguments, field.name) for field in dataclasses.fields(DataOptions)}
    )
    plain = {
        name: getattr(arguments, name)
        for name in ("model", "output", "clip", "precision", "device", "deepspeed", "resume")
        + (
            "weighting",
            "temperature",
            "gradient_checkpointing",
            "save_steps",
            "keep_checkpoints",
            "log_steps",
        )
    }
    return TrainOptions(
        **plain,
        data=data,
        schedule=schedule,
        lora=lora,
        train_cross_attention=not arguments.freeze_cross_attention,
        workers=arguments.num_workers,
    )


def run(arguments: argparse.Namespace) -> None:
    """Train as the parsed flags say."""
    options = read_options(arguments)
    # Late: torch and transformers take seconds to import, and --help needs neither.
    from tuna_model.train import train

    train(options)
