"""One pass of CLIP for both: a photo is looked up by what the model sees of it anyway."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from transformers.modeling_outputs import BaseModelOutputWithPooling

from tuna_model.image_features import global_embedding

if TYPE_CHECKING:
    from index.encoder import Encoder
    from tuna_model.modeling_tuna import TunaForConditionalGeneration
    from tuna_model.processing_tuna import TunaProcessor

_PICTURES_KEPT = 32
# Half precision and another resize leave 0.999; another CLIP, or another crop, less than 0.9.
_ALIKE = 0.99
_PROBES, _PROBE_SIZE = 4, (480, 360)


class OwnTower:
    """The vision tower of a model, which remembers the pictures that it saw last.

    Args:
        model: in eval mode, on its device.
        processor: its processor.
    """

    def __init__(self, model: TunaForConditionalGeneration, processor: TunaProcessor) -> None:
        self._model = model
        self._processor = processor
        # By identity, which holds as long as the picture is kept beside it.
        self._seen: collections.OrderedDict[
            int, tuple[Image.Image, BaseModelOutputWithPooling, np.ndarray]
        ] = collections.OrderedDict()

    @torch.inference_mode()
    def look(self, images: Sequence[Image.Image]) -> np.ndarray:
        """v of pictures, as a datastore takes it: float32 [n, clip_embedding_dim], unit norm."""
        new = [image for image in images if id(image) not in self._seen]
        vectors = {key: vector for key, (_, _, vector) in self._seen.items()}
        if new:
            outputs = self._forward(new)
            embeds = global_embedding(self._model.model, outputs).float()
            found = torch.nn.functional.normalize(embeds, dim=-1).cpu().numpy()
            for row, image in enumerate(new):
                self._seen[id(image)] = image, _row_of(outputs, row), found[row]
                vectors[id(image)] = found[row]
        while len(self._seen) > _PICTURES_KEPT:
            self._seen.popitem(last=False)
        return np.stack([vectors[id(image)] for image in images])

    def features(self, images: Sequence[Image.Image]) -> BaseModelOutputWithPooling | None:
        """What `get_image_features` gave for these pictures; None unless all are remembered."""
        kept = [self._seen.get(id(image)) for image in images]
        if not kept or None in kept:
            return None
        return _together([outputs for _, outputs, _ in kept])

    def agrees_with(self, encoder: Encoder) -> bool:
        """Whether this is the encoder's tower: both give pictures one vector."""
        from tuna_model.retrieval import embed_pictures

        if encoder.dim != self._model.config.clip_embedding_dim:
            return False
        probes = [_probe(seed) for seed in range(_PROBES)]
        theirs = embed_pictures(encoder, probes).astype(np.float32)
        mine = self.look(probes)
        self._seen.clear()
        return bool(((mine * theirs).sum(axis=1) >= _ALIKE).all())

    def _forward(self, images: Sequence[Image.Image]) -> BaseModelOutputWithPooling:
        model = self._model
        pixels = self._processor.image_processor(list(images), return_tensors="pt")["pixel_values"]
        pixels = pixels.to(model.device, model.dtype)
        return model.model.get_image_features(pixels, return_dict=True)


def _probe(seed: int) -> Image.Image:
    """A picture of soft spots, wider than high, so that a crop shows."""
    spots = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(spots).resize(_PROBE_SIZE, Image.Resampling.BICUBIC)


def _row_of(outputs: BaseModelOutputWithPooling, row: int) -> BaseModelOutputWithPooling:
    """What is known of one picture of a batch."""
    kept = {}
    for name, value in outputs.items():
        if torch.is_tensor(value):
            kept[name] = value[row : row + 1]
        elif name == "pooler_output":
            kept[name] = [value[row]]
        elif isinstance(value, tuple):
            kept[name] = tuple(None if part is None else part[row : row + 1] for part in value)
    return type(outputs)(**kept)


def _together(rows: Sequence[BaseModelOutputWithPooling]) -> BaseModelOutputWithPooling:
    """Pictures as one batch."""
    first = rows[0]
    joined = {}
    for name, value in first.items():
        if torch.is_tensor(value):
            joined[name] = torch.cat([row[name] for row in rows])
        elif name == "pooler_output":
            joined[name] = [cells for row in rows for cells in row[name]]
        else:
            parts = zip(*(row[name] for row in rows), strict=True)
            joined[name] = tuple(None if p[0] is None else torch.cat(p) for p in parts)
    return type(first)(**joined)
