"""Train the demo encoder: a small CLIP on the drawn world.

    python -m demo.train_clip --out demo/clip

runs the recipe of the shipped encoder, three stages that each draw new scenes; with --steps, one
stage of your own:

    python -m demo.train_clip --out mine --steps 500 --start demo/clip --seed 9 --name-weight 3

Scenes are drawn once into a pool in memory and seen several times, each time cut and mirrored
anew and with new words. Model, loss and the folder's layout are open_clip's own, so that
`open_clip.create_model_and_transforms("local-dir:demo/clip")` loads the result.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import random
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demo.encoder_texts import CONTEXT_LENGTH, training_text, write_tokenizer
from demo.world import SPLITS, Kind, Scene, all_kinds, draw, sample_scene

if TYPE_CHECKING:
    import torch

IMAGE_SIDE = 64
EMBED_DIM = 128
_POOL_SIDE = 72
_FLOAT16_ABOVE = 4096
"""Tensors of more elements are stored as float16; small ones, where rounding shows, as float32."""

_MEAN = (0.5, 0.5, 0.5)
_STD = (0.25, 0.25, 0.25)


@dataclasses.dataclass(frozen=True, slots=True)
class TrainingOptions:
    """What decides the outcome of a training run.

    Attributes:
        steps: optimiser steps.
        batch_size: pairs a step.
        pool: scenes drawn.
        learning_rate: highest rate of AdamW, reached after the first 5 % of the steps.
        seed: of weights, scenes, order, cuts and words.
        name_weight: weight of the name loss beside open_clip's.
        start: folder of an encoder to go on from, its tokenizer included; None for a new one.
    """

    steps: int = 1400
    batch_size: int = 256
    pool: int = 20_000
    learning_rate: float = 2e-3
    seed: int = 0
    name_weight: float = 0.0
    start: Path | None = None


RECIPE = (
    TrainingOptions(steps=1400, pool=20_000, learning_rate=2e-3, seed=0, name_weight=0.0),
    TrainingOptions(steps=450, pool=16_000, learning_rate=1.5e-3, seed=1, name_weight=2.0),
    TrainingOptions(steps=700, pool=20_000, learning_rate=1.5e-3, seed=2, name_weight=3.0),
)
"""Stages of the shipped encoder, each going on from the one before.

The first is open_clip's loss alone; it learns what the words mean, and leaves pictures of one
kind apart (see `name_loss`), which the others mend.
"""


def model_config(vocabulary: int) -> dict[str, Any]:
    """open_clip's configuration of the encoder: a narrow ResNet and a two-layer transformer."""
    return {
        "model_cfg": {
            "embed_dim": EMBED_DIM,
            "vision_cfg": {
                "image_size": IMAGE_SIDE,
                "layers": [1, 1, 1, 1],
                "width": 24,
                "head_width": 24,
                "patch_size": None,
            },
            "text_cfg": {
                "context_length": CONTEXT_LENGTH,
                "vocab_size": vocabulary,
                "width": 96,
                "heads": 4,
                "layers": 2,
                # Any name does: with local-dir, open_clip takes the tokenizer of the folder.
                "hf_tokenizer_name": "tagmine-demo",
                "tokenizer_kwargs": {"clean": "whitespace"},
            },
        },
        "preprocess_cfg": {
            "mean": list(_MEAN),
            "std": list(_STD),
            "interpolation": "bicubic",
            "resize_mode": "shortest",
        },
    }


def training_scenes(count: int, seed: int) -> list[Scene]:
    """Scenes from the seeds set aside for the encoder.

    Two of the street to one of fashion, since the street has three times as many kinds.
    """
    first = SPLITS["encoder"] + seed * 10_000_000
    turns = ("street", "street", "fashion")
    return [sample_scene(turns[i % 3], first + i) for i in range(count)]


def draw_pool(scenes: Sequence[Scene]) -> torch.Tensor:
    """Pictures of scenes, uint8 [N, 3, 72, 72]."""
    import numpy as np
    import torch
    from PIL import Image

    pool = np.empty((len(scenes), _POOL_SIDE, _POOL_SIDE, 3), np.uint8)
    for i, scene in enumerate(scenes):
        picture = draw(scene, 2 * _POOL_SIDE)
        pool[i] = picture.resize((_POOL_SIDE, _POOL_SIDE), Image.Resampling.BICUBIC)
    return torch.from_numpy(pool).permute(0, 3, 1, 2)


def augment(pictures: torch.Tensor, rng: random.Random) -> torch.Tensor:
    """Cut, shrink or mirror pictures: uint8 [B, 3, 72, 72] to float [B, 3, 64, 64], normalised.

    The whole batch shares one cut; over a run, every picture meets many.
    """
    import torch

    side = rng.choice((IMAGE_SIDE, IMAGE_SIDE + 4, _POOL_SIDE, _POOL_SIDE))
    top, left = (rng.randrange(_POOL_SIDE - side + 1) for _ in range(2))
    cut = pictures[:, :, top : top + side, left : left + side].float() / 255
    if side != IMAGE_SIDE:
        cut = torch.nn.functional.interpolate(
            cut, (IMAGE_SIDE, IMAGE_SIDE), mode="bilinear", antialias=True
        )
    if rng.random() < 0.5:
        cut = cut.flip(3)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (_MEAN, _STD))
    return ((cut - mean) / std).contiguous(memory_format=torch.channels_last)


def batches(count: int, options: TrainingOptions) -> Iterator[list[int]]:
    """Numbers of the pool's pictures, `batch_size` at a time, each pool in a new order."""
    rng = random.Random(f"order {options.seed}")
    order: list[int] = []
    for _ in range(options.steps):
        while len(order) < options.batch_size:
            order += rng.sample(range(count), count)
        yield order[: options.batch_size]
        order = order[options.batch_size :]


def rate_share(step: int, steps: int) -> float:
    """Share of the highest learning rate at a step: linear warm-up over 5 %, then a cosine."""
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def train(folder: Path, options: TrainingOptions) -> None:
    """Train an encoder and write it into `folder` in open_clip's local-dir layout."""
    import open_clip
    import torch

    torch.manual_seed(options.seed)
    scenes = training_scenes(options.pool, options.seed)
    words = random.Random(f"words {options.seed}")
    folder.mkdir(parents=True, exist_ok=True)
    if options.start:
        for path in options.start.glob("tokenizer*.json"):
            shutil.copyfile(path, folder / path.name)
    else:
        write_tokenizer((training_text(scene, words) for scene in scenes), folder)
    config = model_config(_vocabulary(folder))
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")

    started = time.monotonic()
    pool = draw_pool(scenes)
    print(f"drew {len(scenes)} scenes in {time.monotonic() - started:.0f} s", flush=True)
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    model = open_clip.create_model(
        f"local-dir:{options.start or folder}", load_weights=options.start is not None
    )
    model.visual.to(memory_format=torch.channels_last)
    _fit(model, tokenizer, scenes, pool, options)
    save_weights(model, folder / "open_clip_model.safetensors")


def _vocabulary(folder: Path) -> int:
    from transformers import PreTrainedTokenizerFast

    return len(PreTrainedTokenizerFast.from_pretrained(folder))


def _optimiser(model: torch.nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    import torch

    decayed = [p for p in model.parameters() if p.ndim > 1]
    kept = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": kept, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98))


def _fit(
    model: torch.nn.Module,
    tokenizer: Any,
    scenes: Sequence[Scene],
    pool: torch.Tensor,
    options: TrainingOptions,
) -> None:
    import open_clip
    import torch

    rng = random.Random(f"words and cuts {options.seed}")
    optimiser = _optimiser(model, options.learning_rate)
    loss_of = open_clip.ClipLoss()
    kinds = all_kinds()
    names = tokenizer([kind.name for kind in kinds])
    targets = torch.tensor([_present(scene, kinds) for scene in scenes])
    model.train()
    started, smooth = time.monotonic(), math.log(options.batch_size)
    for step, picked in enumerate(batches(len(scenes), options)):
        for group in optimiser.param_groups:
            group["lr"] = options.learning_rate * rate_share(step, options.steps)
        images = augment(pool[picked], rng)
        texts = tokenizer([training_text(scenes[i], rng) for i in picked])
        with torch.autocast("cpu", torch.bfloat16):
            image_features = model.encode_image(images, normalize=True)
            text_features = model.encode_text(texts, normalize=True)
        image_features, scale = image_features.float(), model.logit_scale.exp()
        loss = loss_of(image_features, text_features.float(), scale)
        if options.name_weight:
            named = name_loss(model, image_features, names, targets[picked], scale)
            loss = loss + options.name_weight * named
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        with torch.no_grad():
            # The scale's bounds are those of the CLIP paper (arXiv 2103.00020, section 2.5).
            model.logit_scale.clamp_(0, math.log(100))
        smooth += 0.05 * (loss.item() - smooth)
        if (step + 1) % 50 == 0 or step + 1 == options.steps:
            rate = (step + 1) * options.batch_size / (time.monotonic() - started)
            print(
                f"step {step + 1}/{options.steps}  loss {smooth:.3f}  {rate:.0f} pairs/s",
                flush=True,
            )


def _present(scene: Scene, kinds: Sequence[Kind]) -> list[float]:
    here = [spec.kind for spec in scene.objects]
    return [1 / len(here) if kind in here else 0.0 for kind in kinds]


def name_loss(
    model: torch.nn.Module,
    image_features: torch.Tensor,
    names: torch.Tensor,
    targets: torch.Tensor,
    scale: torch.Tensor,
) -> torch.Tensor:
    """Cross-entropy of each picture against the names of all kinds, as the text tower reads them.

    open_clip's loss takes any two pictures of a batch for different things, those of one kind
    too. Here pictures of one kind share their positive, which draws them together.

    Args:
        image_features: unit norm, [B, dim].
        names: tokens of the names of all kinds, [K, context].
        targets: share of each kind in each picture, rows summing to 1, [B, K].
        scale: factor of the cosines.
    """
    import torch

    with torch.autocast("cpu", torch.bfloat16):
        name_features = model.encode_text(names, normalize=True)
    logits = scale * image_features @ name_features.float().T
    return torch.nn.functional.cross_entropy(logits, targets)


def save_weights(model: torch.nn.Module, path: Path) -> None:
    """Write a model's weights as safetensors, the large ones as float16."""
    import torch
    from safetensors.torch import save_file

    tensors = {}
    for name, value in model.state_dict().items():
        large = value.is_floating_point() and value.numel() > _FLOAT16_ABOVE
        tensors[name] = (value.to(torch.float16) if large else value).contiguous()
    save_file(tensors, path, metadata={"format": "pt"})
    path.chmod(0o644)


def train_recipe(folder: Path, stages: Sequence[TrainingOptions] = RECIPE) -> None:
    """Train in stages, each from the weights that the one before wrote, the last into `folder`."""
    with tempfile.TemporaryDirectory() as scratch:
        start = None
        for number, stage in enumerate(stages):
            last = number == len(stages) - 1
            out = folder if last else Path(scratch) / f"stage-{number}"
            train(out, dataclasses.replace(stage, start=start))
            start = out


def parse(argv: Sequence[str] | None = None) -> tuple[Path, TrainingOptions | None]:
    """Command line to a folder and the options of one stage; None for the recipe."""
    defaults = TrainingOptions()
    parser = argparse.ArgumentParser(
        prog="python -m demo.train_clip",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the trained encoder")
    parser.add_argument("--steps", type=int, help="steps of one stage; without it, the recipe")
    parser.add_argument("--pool", type=int, default=defaults.pool, help="scenes to draw")
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--name-weight", type=float, default=0.0, help="weight of the name loss")
    parser.add_argument("--start", type=Path, help="folder of an encoder to go on from")
    parser.add_argument("--learning-rate", type=float, default=defaults.learning_rate)
    arguments = vars(parser.parse_args(argv))
    folder = arguments.pop("out")
    if arguments["steps"] is None:
        if any(value != parser.get_default(name) for name, value in arguments.items()):
            parser.error("options of a stage need --steps; without it the whole recipe is run")
        return folder, None
    return folder, TrainingOptions(**arguments)


def main(argv: Sequence[str] | None = None) -> None:
    """Train the recipe, or one stage."""
    folder, options = parse(argv)
    if options:
        train(folder, options)
    else:
        train_recipe(folder)


if __name__ == "__main__":
    main()
