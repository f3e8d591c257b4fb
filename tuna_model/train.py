"""`tagmine-tuna train`: instruction tuning of connector, language model and cross-attention."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import sys
from pathlib import Path

import peft
import torch
import transformers
from transformers import PreTrainedModel, TrainingArguments, set_seed

from tagmine import __version__
from tagmine.errors import ConfigurationError
from tagmine.layout import is_leftover, locked, write_atomically
from tuna_model.collator import TunaCollator
from tuna_model.controls import control_named
from tuna_model.processing_tuna import TunaProcessor
from tuna_model.train_options import TrainOptions
from tuna_model.trained_as import SUMMARY
from tuna_model.trainer import (
    TunaTrainer,
    last_checkpoint,
    remove_torn_checkpoints,
    training_arguments,
)
from tuna_model.training_data import InstructionRows
from tuna_model.training_rows import TrainingRows, load_rows, prepare_rows, reasons
from tuna_model.training_start import load_start, make_loader, make_noise, origin_of

_log = logging.getLogger(__name__)


def train(options: TrainOptions) -> PreTrainedModel:
    """Fine-tune a model, and save it with its processor in `options.output`.

    Returns:
        The model as it was saved; adapters are merged.

    Raises:
        ConfigurationError: before any step, for options, data or models that cannot work.
        DatastoreError: for retrievals that cannot be read.
    """
    output = Path(options.output).absolute()
    if not sys.stderr.isatty():
        transformers.utils.logging.disable_progress_bar()
    arguments = training_arguments(options)
    # New adapters are drawn from the seed too.
    set_seed(options.data.seed)
    if not arguments.should_save:
        return _train(options, output, arguments)
    # Not by the others: they may come when the first has written already.
    _check_output(output, options.resume)
    with locked(output):
        return _train(options, output, arguments)


def _train(options: TrainOptions, output: Path, arguments: TrainingArguments) -> PreTrainedModel:
    model, processor = load_start(options, arguments.bf16)
    rows, dataset = _rows(options, output, arguments, processor)
    trainer = TunaTrainer(
        rows,
        options.schedule.batch_size if options.schedule.group_by_length else 1,
        model=model,
        args=arguments,
        train_dataset=dataset,
        data_collator=TunaCollator(processor),
        processing_class=processor,
    )
    with arguments.main_process_first(desc="torn checkpoints"):
        if arguments.should_save and (torn := remove_torn_checkpoints(output)):
            _log.info("%d checkpoints were cut short and are deleted", torn)
    checkpoint = last_checkpoint(output) if options.resume else None
    if options.resume:
        _log.info("going on from %s", checkpoint.name if checkpoint else "the start")
    result = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if not math.isfinite(result.training_loss):
        raise ConfigurationError(
            f"the loss is {result.training_loss} after {result.global_step} steps; nothing was "
            "saved beside the checkpoints. Give a smaller --learning-rate."
        )
    trained = _save(trainer, processor, output)
    if arguments.should_save:
        _write_summary(output, options, rows, trainer, result.training_loss)
    return trained


def _check_output(output: Path, resume: bool) -> None:
    if output.exists() and not output.is_dir():
        raise ConfigurationError(f"--output {output}: there is a file of that name; give a folder.")
    held = sorted(p.name for p in output.iterdir() if not is_leftover(p)) if output.is_dir() else []
    if held and not resume:
        raise ConfigurationError(
            f"--output {output}: the folder is not empty (it holds {', '.join(held[:3])}). Give "
            "--resume to go on with the training that is there, or a new folder."
        )


def _rows(
    options: TrainOptions, output: Path, arguments: TrainingArguments, processor: TunaProcessor
) -> tuple[TrainingRows, InstructionRows]:
    data = Path(options.data.data)
    control = control_named(options.data.control)
    loader = make_loader(options.data, control, processor)
    noise = make_noise(options.data, control)
    with arguments.main_process_first(local=False, desc="checking rows"):
        origin = origin_of(options, arguments)
        made = arguments.process_index > 0 or (options.resume and last_checkpoint(output))
        rows = (
            load_rows(output, origin)
            if made
            else prepare_rows(data, loader, output, origin, options.workers)
        )
    _log.info(
        "%s of %s rows are trained on%s",
        f"{len(rows):,}",
        f"{rows.read:,}",
        f"; left out: {reasons(rows)}" if rows.rejected else "",
    )
    return rows, InstructionRows(data, rows, loader, noise, options.data.seed)


def _save(trainer: TunaTrainer, processor: TunaProcessor, output: Path) -> PreTrainedModel:
    """Write the model folder; adapters are merged into the weights."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    if isinstance(model, peft.PeftModel):
        model = model.merge_and_unload()
    elif trainer.is_deepspeed_enabled:
        # It alone can put together what processes share.
        trainer.save_model(str(output))
        return model
    if trainer.args.should_save:
        model.save_pretrained(output)
        processor.save_pretrained(output)
    return model


def _write_summary(
    output: Path, options: TrainOptions, rows: TrainingRows, trainer: TunaTrainer, loss: float
) -> None:
    """What was trained, on what and how; written last."""
    counts = {"read": rows.read, "trained_on": len(rows), "rejected": dict(rows.rejected)}
    summary = {
        "tagmine": __version__,
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "options": dataclasses.asdict(options),
        "rows": counts,
        "steps": trainer.state.global_step,
        "epochs": trainer.state.epoch,
        "training_loss": loss,
    }
    text = json.dumps(summary, indent=1, sort_keys=True, ensure_ascii=False)
    write_atomically(output / SUMMARY, text.encode("utf-8", "backslashreplace"))
