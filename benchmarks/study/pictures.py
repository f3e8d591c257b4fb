"""Pictures as the frozen encoder sees them, worked out once and kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from demo.retrieval import load_encoder
from demo.world import Scene, draw

_CHUNK = 128


@dataclasses.dataclass(frozen=True, slots=True)
class Features:
    """What the vision tower says of pictures.

    Attributes:
        grid: features of the image grid, float16 [N, cells, width]: after `visual.layer3`.
        vectors: global embeddings of unit norm, float32 [N, dim].
    """

    grid: np.ndarray
    vectors: np.ndarray

    def __len__(self) -> int:
        return len(self.vectors)


def encode_scenes(scenes: Sequence[Scene], path: Path, workers: int) -> Features:
    """Features of the pictures of scenes, read from `path` where an earlier run left them."""
    if not path.exists():
        chunks = [scenes[i : i + _CHUNK] for i in range(0, len(scenes), _CHUNK)]
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            parts = list(pool.map(_encode, chunks))
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".tmp.npz")
        np.savez(
            unfinished,
            grid=np.concatenate([grid for grid, _ in parts]),
            vectors=np.concatenate([vectors for _, vectors in parts]),
        )
        unfinished.replace(path)
    stored = np.load(path, allow_pickle=False)
    return Features(stored["grid"], stored["vectors"])


def _encode(scenes: Sequence[Scene]) -> tuple[np.ndarray, np.ndarray]:
    torch.set_num_threads(1)
    encoder = load_encoder()
    kept: list[torch.Tensor] = []
    hook = encoder.model.visual.layer3.register_forward_hook(
        lambda module, inputs, output: kept.append(output)
    )
    pixels = torch.stack([encoder.preprocess(draw(scene)) for scene in scenes])
    with torch.inference_mode():
        vectors = encoder.model.encode_image(pixels, normalize=True)
    hook.remove()
    grid = kept[0].flatten(2).transpose(1, 2)
    return grid.to(torch.float16).numpy(), vectors.float().numpy()
