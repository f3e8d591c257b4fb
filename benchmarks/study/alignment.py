"""LLaVA's first stage: the connector alone learns to say pictures in the frozen Llama's words."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from benchmarks.study.kinds import KindSplit, tuned_rows
from benchmarks.study.language_model import rate_share
from benchmarks.study.pictures import Features
from benchmarks.study.rig import packed
from benchmarks.study.settings import Settings
from benchmarks.study.tuning import orders
from demo.world import Scene, caption
from tuna_model.modeling_tuna import TunaForConditionalGeneration
from tuna_model.processing_tuna import TunaProcessor

_WARM_SHARE = 0.03


def align(
    path: Path,
    model: TunaForConditionalGeneration,
    processor: TunaProcessor,
    scenes: Sequence[Scene],
    features: Features,
    split: KindSplit,
    settings: Settings,
    seed: int,
) -> None:
    """Train the connector on captions of pictures of seen kinds, and keep it; else read it.

    All arms of a seed begin with this connector. Everything else is frozen. As LLaVA-1.5 does, a
    picture is followed by a caption, with no question between them.

    Args:
        path: the safetensors file to read, or to write.
        model: whose connector is trained, in place.
        processor: of the model.
        scenes, features: the pool.
        split: which kinds may be seen.
        settings: steps, batch and rate.
        seed: of orders and captions.
    """
    connector = model.model.multi_modal_projector
    if path.exists():
        connector.load_state_dict(load_file(path))
        return
    started, rng = time.process_time(), random.Random(f"study alignment {seed}")
    trained = {id(p) for p in connector.parameters()}
    frozen = [p for p in model.parameters() if p.requires_grad and id(p) not in trained]
    for parameter in frozen:
        parameter.requires_grad_(False)
    optimiser = torch.optim.AdamW(connector.parameters(), weight_decay=0.0)
    rows, losses = tuned_rows(scenes, split), []
    batches = orders(rows, settings.align_steps, settings.align_batch, rng)
    for step, picked in enumerate(batches):
        rate = settings.align_rate * rate_share(step, settings.align_steps, _WARM_SHARE)
        for group in optimiser.param_groups:
            group["lr"] = rate
        batch = captioned([scenes[row] for row in picked], processor, rng)
        loss = model(**batch, pixel_values=packed(features, picked)).loss
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(connector.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
    for parameter in frozen:
        parameter.requires_grad_(True)
    seconds = time.process_time() - started
    last = losses[-max(1, len(losses) // 10) :]
    record = {"loss": sum(last) / len(last), "cpu_seconds": seconds}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    unfinished = path.with_suffix(".tmp")
    save_file(connector.state_dict(), unfinished)
    unfinished.replace(path)


def captioned(
    scenes: Sequence[Scene], processor: TunaProcessor, rng: random.Random
) -> dict[str, torch.Tensor]:
    """Each picture's placeholders and then a caption of it, which is to be learned."""
    tokenizer = processor.tokenizer
    cells = processor._get_num_multimodal_tokens([(1, 1)])["num_image_tokens"][0]
    texts = [caption(scene, rng).text for scene in scenes]
    said = tokenizer(texts, add_special_tokens=False)["input_ids"]
    opening = [tokenizer.bos_token_id, *[processor.image_token_id] * cells]
    ids = torch.full((len(said), len(opening) + max(map(len, said)) + 1), tokenizer.pad_token_id)
    ids[:, : len(opening)] = torch.tensor(opening)
    labels, mask = torch.full_like(ids, -100), torch.zeros_like(ids)
    for row, words in enumerate(said):
        end = len(opening) + len(words) + 1
        ids[row, len(opening) : end] = torch.tensor([*words, tokenizer.eos_token_id])
        labels[row, len(opening) : end] = ids[row, len(opening) : end]
        mask[row, :end] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}
