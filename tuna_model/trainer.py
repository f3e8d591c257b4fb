"""transformers' Trainer with TUNA's order of rows, and what a killed training left behind."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from tagmine.errors import ConfigurationError
from tuna_model.length_groups import ModalityLengthSampler
from tuna_model.tag_encoder import CachedTextTower
from tuna_model.train_options import TrainOptions
from tuna_model.training_rows import TrainingRows

_STATE = "trainer_state.json"


class TunaTrainer(Trainer):
    """Trains on rows in the order of `ModalityLengthSampler`."""

    def __init__(self, rows: TrainingRows, group: int, **options: Any) -> None:
        """
        Args:
            rows: what is trained on.
            group: rows of one length and modality; 1 only shuffles.
            options: Trainer's own.
        """
        super().__init__(**options)
        self._sampler = ModalityLengthSampler(rows.tokens, rows.images, group, self.args.seed)
        self.add_callback(_SetEpoch(self._sampler))

    def _get_train_sampler(self, train_dataset: Any = None) -> ModalityLengthSampler:
        return self._sampler

    def _save_checkpoint(self, *arguments: Any, **options: Any) -> None:
        super()._save_checkpoint(*arguments, **options)
        # An embedding differs in its last bit with the company that it was computed in, and a
        # training that goes on from here starts with nothing cached.
        for module in self.model.modules():
            if isinstance(module, CachedTextTower):
                module.clear()

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        # Noise may push the last answer out of a row; a step of such rows only has a sum over
        # nothing, and dividing it by nothing would make every weight NaN.
        if torch.is_tensor(num_items_in_batch):
            num_items_in_batch = num_items_in_batch.clamp_min(1)
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)


class _SetEpoch(TrainerCallback):
    """Tells the sampler its epoch; through a wrapped loader accelerate does not reach it."""

    def __init__(self, sampler: ModalityLengthSampler) -> None:
        self._sampler = sampler

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._sampler.set_epoch(math.floor(state.epoch or 0))


def training_arguments(options: TrainOptions) -> TrainingArguments:
    """The recipe as Trainer takes it; starts the process group where there are several.

    Raises:
        ConfigurationError: for a precision or DeepSpeed that is not there.
    """
    schedule = options.schedule
    cpu = options.device == "cpu" or not torch.cuda.is_available()
    bf16 = _bf16(options.precision, cpu)
    checkpointing = options.gradient_checkpointing
    try:
        arguments = TrainingArguments(
            output_dir=options.output,
            num_train_epochs=schedule.epochs,
            max_steps=schedule.max_steps or -1,
            per_device_train_batch_size=schedule.batch_size_per_device,
            gradient_accumulation_steps=schedule.accumulation(_processes(cpu)),
            learning_rate=schedule.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=min(schedule.warmup_ratio, 1 - 1e-9),
            weight_decay=schedule.weight_decay,
            bf16=bf16,
            use_cpu=cpu,
            activation_checkpointing=not cpu if checkpointing is None else checkpointing,
            activation_checkpointing_kwargs={"use_reentrant": False},
            disable_tqdm=not sys.stderr.isatty(),
            save_strategy="steps",
            save_steps=options.save_steps,
            save_total_limit=options.keep_checkpoints,
            logging_steps=options.log_steps,
            seed=options.data.seed,
            dataloader_num_workers=options.workers,
            dataloader_pin_memory=not cpu,
            remove_unused_columns=False,
            # See `tuna_model.every_module`.
            ddp_find_unused_parameters=False,
            # Rows are checked by one process while the others wait.
            ddp_timeout=6 * 3600,
            deepspeed=str(options.deepspeed_file()) if options.deepspeed else None,
            report_to="none",
        )
        if options.deepspeed is not None:
            _join_deepspeed()
        return arguments
    except ImportError as error:
        raise ConfigurationError(
            f"--deepspeed {options.deepspeed}: {' '.join(str(error).split())[:200]}. "
            "Run `pip install deepspeed`, or leave the flag out."
        ) from error


def _join_deepspeed() -> None:
    """Let DeepSpeed use the processes that there are; on CPUs nothing else tells it of them."""
    import deepspeed

    if torch.distributed.is_initialized() and not deepspeed.comm.is_initialized():
        deepspeed.init_distributed(auto_mpi_discovery=False, verbose=False)


def _processes(cpu: bool) -> int:
    """How many processes train together.

    Raises:
        ConfigurationError: for several GPUs and one process.
    """
    # Set by accelerate launch and torchrun. TrainingArguments would know, but DeepSpeed's "auto"
    # is filled in while they are made.
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    gpus = 0 if cpu else torch.cuda.device_count()
    if processes == 1 and gpus > 1:
        raise ConfigurationError(
            f"there are {gpus} GPUs and one process. Start with `accelerate launch --config_file "
            "$(tagmine-tuna train --configs)/multi_gpu.yaml -m tuna_model.main train …`, or set "
            "CUDA_VISIBLE_DEVICES=0 to use one."
        )
    return processes


def _bf16(precision: str, cpu: bool) -> bool:
    if precision == "auto":
        return not cpu and torch.cuda.is_bf16_supported()
    if precision == "bf16" and not cpu and not torch.cuda.is_bf16_supported():
        raise ConfigurationError("--precision bf16: this GPU has no bfloat16; give fp32.")
    return precision == "bf16"


def last_checkpoint(output: Path) -> Path | None:
    """The newest whole checkpoint in a folder; None where there is none.

    Trainer writes `trainer_state.json` last, so that a checkpoint without it was cut short.
    """
    return max(filter(_whole, _checkpoints(output)), key=_step, default=None)


def remove_torn_checkpoints(output: Path) -> int:
    """Delete the checkpoints that a kill cut short; returns how many."""
    torn = [path for path in _checkpoints(output) if not _whole(path)]
    for path in torn:
        shutil.rmtree(path)
    return len(torn)


def _checkpoints(output: Path) -> list[Path]:
    return [
        path
        for path in output.glob(f"{PREFIX_CHECKPOINT_DIR}-*")
        if path.is_dir() and _step(path) >= 0
    ]


def _step(path: Path) -> int:
    number = path.name.removeprefix(f"{PREFIX_CHECKPOINT_DIR}-")
    return int(number) if number.isascii() and number.isdecimal() else -1


def _whole(path: Path) -> bool:
    try:
        state = json.loads((path / _STATE).read_text())
    except (OSError, ValueError):
        return False
    return isinstance(state, dict) and state.get("global_step") == _step(path)
