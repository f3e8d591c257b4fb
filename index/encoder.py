"""A CLIP model as tagmine uses it: pictures and texts to unit vectors, and a card naming it."""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image

from index.clip_sources import ClipSource, resolve_clip_source
from index.encoder_card import EncoderCard, canonical_architecture, canonical_json, hash_weights
from index.images import DECODE_RULES
from tagmine.errors import ConfigurationError

CPU_ROWS = 8
"""Rows of every forward pass on a CPU.

A matrix product's last bits may depend on its shape and on its threads, so both are fixed: each
pass has this many rows (filled up with zeros) and one thread, and the cores run passes side by
side. That is also faster than one pass over all cores, and a core is no slower at it than at passes
of 64 (ViT-B-32: 105 against 107 ms of CPU time a picture).
"""
GPU_ROWS = 1024
_GPU_PASSES = 2


class Encoder:
    """A loaded model; made by `load_encoder`. Its methods may be called from several threads.

    Attributes:
        card: what it is.
        dim: length of a vector.
        image_size: side in pixels of the square that `preprocess` gives.
        device: where the model is.
        model: open_clip's module; frozen, for inference.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        card: EncoderCard,
        device: torch.device,
        num_threads: int,
        load_tokenizer: Callable[[], Any],
    ) -> None:
        from open_clip.transform import PreprocessCfg, image_transform_v2

        config = PreprocessCfg(**model.visual.preprocess_cfg)
        transforms = image_transform_v2(config, is_train=False).transforms
        # open_clip ends with: mode, tensor, normalize. The last two run on the device, by batch.
        self._shrink = transforms[:-2]
        self._mean = torch.tensor(config.mean, device=device).view(3, 1, 1)
        self._std = torch.tensor(config.std, device=device).view(3, 1, 1)
        size = config.size if isinstance(config.size, (tuple, list)) else (config.size, config.size)
        self.image_size: int = max(size)
        self.card = card
        self.dim = card.dim
        self.device = device
        self.model = model
        self._load_tokenizer = load_tokenizer
        self._tokenizer: Any = None
        self._is_cpu = device.type == "cpu"
        self._rows = CPU_ROWS if self._is_cpu else GPU_ROWS
        self._passes = num_threads if self._is_cpu else _GPU_PASSES
        self._pool = _one_thread_workers(self._passes, self._is_cpu)

    def preprocess(self, image: Image.Image) -> np.ndarray:
        """open_clip's own preprocessing up to the tensor.

        Args:
            image: an RGB picture of any size.

        Returns:
            uint8 [image_size, image_size, 3].
        """
        for transform in self._shrink:
            image = transform(image)
        return np.asarray(image)

    def rows_per_pass(self, batch_size: int) -> int:
        """How many pictures `submit_images` wants at a time, given a batch size."""
        return self._rows if self._is_cpu else min(self._rows, batch_size)

    @property
    def passes(self) -> int:
        """Forward passes that can be under way at once."""
        return self._passes

    def submit_images(self, batch: np.ndarray) -> concurrent.futures.Future[np.ndarray]:
        """Start one forward pass in the background.

        Args:
            batch: uint8 [n, image_size, image_size, 3]; n at most `rows_per_pass(n)`.

        Returns:
            A future of float16 [n, dim], of unit norm.
        """
        return self._pool.submit(self._forward, self._image_tower, batch)

    def embed_images(self, batch: np.ndarray) -> np.ndarray:
        """Vectors of preprocessed pictures.

        Args:
            batch: uint8 [n, image_size, image_size, 3].

        Returns:
            float16 [n, dim], each of unit norm.

        Raises:
            ConfigurationError: when the device has no memory for a single picture.
        """
        return self._embed(self._image_tower, batch)

    def embed_texts(self, texts: list[str]) -> np.ndarray:
        """Vectors of texts, cut at the model's context length.

        Returns:
            float16 [len(texts), dim], each of unit norm.

        Raises:
            ConfigurationError: when the tokenizer cannot be loaded, or the device has no memory.
        """
        if not texts:
            return np.empty((0, self.dim), np.float16)
        return self._embed(self._text_tower, self.tokenize(texts))

    def tokenize(self, texts: list[str]) -> np.ndarray:
        """What the text tower reads of texts.

        Returns:
            int64 [len(texts), context length].

        Raises:
            ConfigurationError: when the tokenizer cannot be loaded.
        """
        if self._tokenizer is None:
            self._tokenizer = self._load_tokenizer()
        return self._tokenizer(texts).numpy()

    def _embed(
        self, tower: Callable[[torch.Tensor], torch.Tensor], batch: np.ndarray
    ) -> np.ndarray:
        pieces = [batch[i : i + self._rows] for i in range(0, len(batch), self._rows)]
        rows = list(self._pool.map(lambda piece: self._forward(tower, piece), pieces))
        return np.concatenate(rows) if rows else np.empty((0, self.dim), np.float16)

    def _forward(
        self, tower: Callable[[torch.Tensor], torch.Tensor], batch: np.ndarray
    ) -> np.ndarray:
        """One pass, or two halves of it when the device's memory is too small."""
        count = len(batch)
        if count > self._rows:
            return self._halves(tower, batch)
        if self._is_cpu and count < self._rows:
            filling = np.zeros((self._rows - count, *batch.shape[1:]), batch.dtype)
            batch = np.concatenate((batch, filling))
        try:
            return self._vectors(tower, batch)[:count]
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise ConfigurationError(
                    f"{self.device} has too little memory to embed a single picture with "
                    f"{self.card.clip_model}. Free memory there, or choose a smaller --clip-model."
                ) from error
            # A race between two passes only ever halves to the same or a smaller size.
            self._rows = min(self._rows, len(batch) // 2)
        # Outside of the handler, whose traceback keeps the failed pass's tensors alive.
        if not self._is_cpu:
            torch.cuda.empty_cache()
        return self._halves(tower, batch[:count])

    def _halves(
        self, tower: Callable[[torch.Tensor], torch.Tensor], batch: np.ndarray
    ) -> np.ndarray:
        rows = self._rows
        pieces = (batch[i : i + rows] for i in range(0, len(batch), rows))
        return np.concatenate([self._forward(tower, piece) for piece in pieces])

    def _vectors(
        self, tower: Callable[[torch.Tensor], torch.Tensor], batch: np.ndarray
    ) -> np.ndarray:
        with torch.inference_mode(), self.autocast():
            inputs = torch.from_numpy(np.require(batch, requirements=("C", "W")))
            if not self._is_cpu:
                inputs = inputs.pin_memory().to(self.device, non_blocking=True)
            vectors = tower(inputs).float()
            vectors = vectors / vectors.norm(dim=-1, keepdim=True)
            return vectors.half().cpu().numpy()

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The precision of every pass: the card's on a GPU, plain float32 on a CPU."""
        if self._is_cpu:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=getattr(torch, self.card.precision))

    def _image_tower(self, pixels: torch.Tensor) -> torch.Tensor:
        # The same arithmetic as torchvision's to_tensor and normalize.
        inputs = pixels.permute(0, 3, 1, 2).float().div(255)
        return self.model.encode_image(inputs.sub(self._mean).div(self._std))

    def _text_tower(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.model.encode_text(tokens)


def load_encoder(
    clip_model: str, *, device: str | None = None, num_threads: int | None = None
) -> Encoder:
    """Load a CLIP model.

    Args:
        clip_model: "ViT-B-32/laion2b_s34b_b79k" (open_clip's architecture and pretrained tag, from
            the hub or its cache), "ViT-B-32/weights.safetensors" (a local file, .pt too), a folder
            with open_clip_config.json and weights, or "demo".
        device: "cpu", "cuda" …; by default a GPU when there is one.
        num_threads: on a CPU, forward passes side by side, one thread each; by default
            `torch.get_num_threads()`. Vectors do not depend on it.

    Returns:
        The encoder, ready for inference. Pretrained tags get the activation that they were trained
        with, also where the architecture's name says another.

    Raises:
        ConfigurationError: for a name, file, hub or device that cannot be used.
    """
    place = _device(device)
    source = resolve_clip_source(clip_model)
    model = _create(clip_model, source)
    return encoder_of(model, clip_model, source, device=place, num_threads=num_threads)


def encoder_of(
    model: torch.nn.Module,
    clip_model: str,
    source: ClipSource,
    *,
    device: torch.device,
    num_threads: int | None = None,
) -> Encoder:
    """Wrap a model of open_clip, in float32 on the CPU, as an encoder on `device`."""
    from open_clip.transformer import QuickGELU

    model = model.eval().requires_grad_(False)
    quick = any(isinstance(module, QuickGELU) for module in model.visual.modules())
    card = EncoderCard(
        clip_model=clip_model,
        architecture=canonical_architecture(source.model_config),
        weights_sha256=hash_weights(model.state_dict()),
        activation="quickgelu" if quick else "gelu",
        preprocessing=canonical_json(
            {**model.visual.preprocess_cfg, "decode_rules": DECODE_RULES},
        ),
        dim=int(source.model_config["embed_dim"]),
        precision=_precision(device),
    )
    threads = num_threads or torch.get_num_threads()
    return Encoder(
        model.to(device), card, device, threads, lambda: _tokenizer(clip_model, source.model_name)
    )


def _create(clip_model: str, source: ClipSource) -> torch.nn.Module:
    import open_clip

    try:
        return open_clip.create_model(
            source.model_name,
            pretrained=str(source.checkpoint) if source.checkpoint else None,
            require_pretrained=True,
            weights_only=True,
            force_preprocess_cfg=source.preprocess,
            **({} if source.quick_gelu is None else {"quick_gelu": source.quick_gelu}),
        )
    # open_clip, torch, safetensors and json each have their own words for a file that does not fit.
    except Exception as error:
        words = " ".join(str(error).split())[:400]
        raise ConfigurationError(
            f"--clip-model {clip_model}: open_clip cannot load it ({type(error).__name__}: "
            f"{words}). The weights must be a plain state_dict of that very architecture, best as "
            "safetensors."
        ) from error


def _device(name: str | None) -> torch.device:
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError as error:
        raise ConfigurationError(f"device {name!r} is unknown; use cpu, cuda or cuda:N.") from error
    if device.type not in ("cpu", "cuda"):
        raise ConfigurationError(f"device {name!r} is not supported; use cpu, cuda or cuda:N.")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError(f"device {name!r} was asked for, but torch sees no GPU here.")
    return device


def _precision(device: torch.device) -> str:
    if device.type == "cpu":
        return "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"


def _tokenizer(clip_model: str, model_name: str) -> Any:
    import open_clip

    try:
        return open_clip.get_tokenizer(model_name)
    # Missing package, missing file, hub out of reach: each library raises its own.
    except Exception as error:
        raise ConfigurationError(
            f"--clip-model {clip_model}: its tokenizer cannot be loaded ({error}). Run once on a "
            "connected machine, or put the tokenizer's files into the model's folder."
        ) from error


def _is_out_of_memory(error: RuntimeError) -> bool:
    # The CPU allocator has no exception of its own, only these words.
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _one_thread_workers(count: int, is_cpu: bool) -> concurrent.futures.ThreadPoolExecutor:
    """Threads whose torch operations each use one core."""
    if not is_cpu:
        return concurrent.futures.ThreadPoolExecutor(count, thread_name_prefix="tagmine-forward")
    before = torch.get_num_threads()
    started = threading.Barrier(count + 1)

    def start_worker() -> None:
        # torch sets a thread up at its first use, over what was set before.
        torch.get_num_threads()
        torch.set_num_threads(1)
        started.wait()

    pool = concurrent.futures.ThreadPoolExecutor(
        count, thread_name_prefix="tagmine-forward", initializer=start_worker
    )
    for _ in range(count):
        pool.submit(lambda: None)
    started.wait()
    # set_num_threads is per thread for those that run already, and the default for later ones.
    torch.set_num_threads(before)
    return pool
