"""What a training starts from: model, processor, retrievals and noise, each checked."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.resources
import json
from pathlib import Path

import peft
import pyarrow.compute as pc
import torch
from transformers import AutoProcessor, AutoTokenizer, PreTrainedModel, TrainingArguments

from index.retrieval_folder import SUMMARY as RETRIEVAL_SUMMARY
from index.retrieval_folder import read_summary
from index.retrievals import open_retrievals, read_group
from tagmine.errors import ConfigurationError
from tuna_model.controls import Control, control_named
from tuna_model.from_llava import load_pretrained
from tuna_model.modeling_tuna import TunaForConditionalGeneration
from tuna_model.noise import TagNoise
from tuna_model.processing_tuna import TunaProcessor
from tuna_model.retrieval import StoredRetrievals
from tuna_model.train_options import DataOptions, LoraOptions, TrainOptions
from tuna_model.training_data import RowLoader

# Every projection of the language model's layers, as LLaVA's own LoRA recipe.
_LORA_TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
_CONNECTOR, _CROSS_ATTENTION, _SOFT_TOKEN = (
    "multi_modal_projector",
    "cross_attention",
    "soft_token",
)
_READ_AT_ONCE = 1 << 20
MAX_VOCABULARY = 1_000_000
"""Tags that random ones are drawn from."""


def load_start(options: TrainOptions, bf16: bool) -> tuple[PreTrainedModel, TunaProcessor]:
    """The model to train, with its adapters if there are to be any, and its processor.

    Raises:
        ConfigurationError: for a model that cannot be loaded, or a CLIP too much or too few.
    """
    # A trained weight needs fp32 under autocast: 2e-5 of a bf16 weight is lost when it is added.
    dtype = torch.bfloat16 if bf16 and options.lora is not None else torch.float32
    model, processor = _load(options, dtype)
    control = control_named(options.data.control, options.weighting or model.config.weighting)
    model.config.cross_attention_trainable = options.train_cross_attention
    if options.temperature is not None:
        model.config.temperature = options.temperature
    model.apply_control(control)
    if options.lora is not None:
        model = _with_adapters(model, options.lora)
    return model, processor


def _load(
    options: TrainOptions, dtype: torch.dtype
) -> tuple[TunaForConditionalGeneration, TunaProcessor]:
    if _is_tuna(options.model):
        if options.clip is not None:
            raise ConfigurationError(
                f"--clip {options.clip}: {options.model} is a TUNA model and has its CLIP. Leave "
                "--clip out."
            )
        processor = load_pretrained(TunaProcessor, options.model, "TUNA's processor")
        model = load_pretrained(TunaForConditionalGeneration, options.model, "TUNA", dtype=dtype)
        return model, processor
    if options.clip is None:
        raise ConfigurationError(
            f"--model {options.model} is no TUNA model. To start from a LLaVA-1.5 checkpoint, give "
            "--clip too, the CLIP that its vision tower comes from, such as "
            "openai/clip-vit-large-patch14-336."
        )
    llava = load_pretrained(AutoProcessor, options.model, "LLaVA's processor")
    # As index.clip_sources names the encoder that the repository ships.
    folder = importlib.resources.files("demo") / "clip" if options.clip == "demo" else options.clip
    tokenizer = load_pretrained(AutoTokenizer, str(folder), "CLIP's tokenizer")
    processor = TunaProcessor.from_llava(llava, tokenizer)
    model = TunaForConditionalGeneration.from_llava(
        options.model, options.clip, processor=processor, dtype=dtype
    )
    return model, processor


def _is_tuna(model: str) -> bool:
    try:
        config = json.loads((Path(model) / "config.json").read_text())
    except (OSError, ValueError):
        # A name on the hub, or LLaVA's folder; whatever is wrong is said when it is loaded.
        return False
    return isinstance(config, dict) and config.get("model_type") == "tuna"


def _with_adapters(model: TunaForConditionalGeneration, lora: LoraOptions) -> peft.PeftModel:
    """Adapters on the language model; connector and what else is trainable is trained in full."""
    whole = [_CONNECTOR]
    if model.config.cross_attention_trainable:
        whole.append(_CROSS_ATTENTION)
    if model.config.soft_token_trainable:
        whole.append(_SOFT_TOKEN)
    config = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=_LORA_TARGETS,
        modules_to_save=whole,
        task_type="CAUSAL_LM",
    )
    adapted = peft.get_peft_model(model, config)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return adapted


def make_loader(data: DataOptions, control: Control, processor: TunaProcessor) -> RowLoader:
    """What turns rows into inputs.

    Raises:
        ConfigurationError: for a folder that is not there, or a control without its retrievals, or
            with those of another.
        DatastoreError: for retrievals that cannot be read.
    """
    folder = None if data.image_folder is None else Path(data.image_folder)
    if folder is not None and not folder.is_dir():
        raise ConfigurationError(
            f"--image-folder {folder}: there is no such folder. Give the one that the rows' image "
            "paths are in."
        )
    tags = control.tags_in_training and control.source != "none"
    if tags and data.retrievals is None and folder is not None:
        raise ConfigurationError(
            f"--control {data.control} trains with tags: give --retrievals DIR, which `tagmine "
            "retrieve` writes, or --control no_tags to train plain LLaVA."
        )
    stored = StoredRetrievals(data.retrievals) if tags and data.retrievals is not None else None
    if stored is not None and control.source == "tagger":
        _check_tagger(data, stored.path)
    return RowLoader(processor, control, data.max_length, folder, stored)


def _check_tagger(data: DataOptions, retrievals: Path) -> None:
    # Neighbours' tags under this name would be the training of --control tuna.
    others = sorted(set(_different(retrievals, "kind")) - {"tagger"})
    if others:
        raise ConfigurationError(
            f"--control {data.control}: --retrievals {retrievals} holds tags of the kind "
            f"{', '.join(others)[:80]}, expected tagger alone: tags that CLIP itself finds nearest "
            "to the picture. tagmine retrieve writes none; make them with "
            "tuna_model.retrieval.ClipTagger and index.retrievals.write_retrievals, as "
            "docs/tuna.md shows."
        )


def make_noise(data: DataOptions, control: Control) -> TagNoise | None:
    """The noise of a training; for the control of random tags, nothing but noise.

    Raises:
        ConfigurationError: for random tags without retrievals to draw them from.
    """
    injection = 1.0 if control.source == "random" else data.random_tags
    if not (injection or data.tag_dropout):
        return None
    tags = control.tags_in_training and control.source not in ("none", "captions")
    if data.retrievals is None or not tags:
        missing = "--retrievals" if tags else f"tags, and --control {data.control} has none"
        raise ConfigurationError(
            f"--tag-dropout {data.tag_dropout} and --random-tags {data.random_tags} change tags. "
            f"They need {missing}."
        )
    vocabulary = tags_of(Path(data.retrievals)) if injection else ()
    return TagNoise(data.tag_dropout, injection, vocabulary)


def tags_of(retrievals: Path) -> tuple[str, ...]:
    """The different tags in stored retrievals, in order; at most `MAX_VOCABULARY`.

    Raises:
        DatastoreError: for files that cannot be read.
    """
    return _different(retrievals, "text")


def _different(retrievals: Path, field: str) -> tuple[str, ...]:
    """The different values of a field of stored tags, in order; at most `MAX_VOCABULARY`."""
    found: dict[str, None] = {}
    files = sorted(retrievals.glob("parts/*.parquet")) if retrievals.is_dir() else [retrievals]
    for file in files:
        opened = open_retrievals(file)
        for group in range(opened.num_row_groups):
            tags = read_group(file, opened, group, ["tags"]).column("tags").combine_chunks()
            values = pc.unique(pc.struct_field(pc.list_flatten(tags), field))
            found.update(dict.fromkeys(values.to_pylist()))
            if len(found) >= MAX_VOCABULARY:
                return tuple(found)[:MAX_VOCABULARY]
    return tuple(found)


def origin_of(options: TrainOptions, arguments: TrainingArguments) -> dict[str, object]:
    """What decides the steps of a training; one that goes on must have the same.

    Args:
        options: what was asked for.
        arguments: what `training_arguments` made of it on this machine, where "auto" is decided.

    Raises:
        ConfigurationError: for a file of instructions that cannot be read.
    """
    data, schedule = options.data, options.schedule
    stored = None
    if data.retrievals is not None:
        stored = _origin_of_retrievals(Path(data.retrievals))
    return {
        "--data": _sha256(Path(data.data)),
        "--retrievals": stored,
        "--image-folder": data.image_folder,
        "--model": options.model,
        "--clip": options.clip,
        "--control": data.control,
        "--weighting": options.weighting,
        "--temperature": options.temperature,
        "--max-length": data.max_length,
        "--tag-dropout": data.tag_dropout,
        "--random-tags": data.random_tags,
        "--seed": data.seed,
        "--epochs": schedule.epochs,
        "--max-steps": schedule.max_steps,
        "--batch-size": schedule.batch_size,
        "--batch-size-per-device": schedule.batch_size_per_device,
        "--learning-rate": schedule.learning_rate,
        "--warmup-ratio": schedule.warmup_ratio,
        "--weight-decay": schedule.weight_decay,
        "--group-by-length": schedule.group_by_length,
        "--lora": None if options.lora is None else [*dataclasses.astuple(options.lora)],
        "--freeze-cross-attention": not options.train_cross_attention,
        "--precision": "bf16" if arguments.bf16 else "fp32",
        "--gradient-checkpointing": arguments.activation_checkpointing,
        "--deepspeed": None if options.deepspeed is None else _sha256(options.deepspeed_file()),
        "the number of processes": arguments.world_size,
    }


def _origin_of_retrievals(path: Path) -> str:
    """What they are, and for people of which datastore."""
    if not path.is_dir():
        return _sha256(path)
    pin = read_summary(path).pin
    return f"{pin.datastore} with k {pin.k}, {_sha256(path / RETRIEVAL_SUMMARY)}"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_READ_AT_ONCE):
                digest.update(block)
    except OSError as error:
        raise ConfigurationError(f"{path}: the file cannot be read ({error.strerror}).") from error
    return digest.hexdigest()
