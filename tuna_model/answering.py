"""A model that answers questions about pictures, a batch at a time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from index.retrievals import EMPTY, Retrieval
from tagmine.errors import ConfigurationError
from tuna_model.controls import Control, Tuner, control_named
from tuna_model.conversations import Turn
from tuna_model.own_tower import OwnTower
from tuna_model.prompts import captions_read, encode_prompts, prompt_length, tags_read

if TYPE_CHECKING:
    from PIL import Image

    from tuna_model.modeling_tuna import TunaForConditionalGeneration
    from tuna_model.processing_tuna import TunaProcessor

_OWN_TUNER = Tuner()


@dataclasses.dataclass(frozen=True, slots=True)
class Decoding:
    """How answers are written. Greedy by default, so that they are the same again.

    Raises:
        ConfigurationError: for numbers that no decoding has.
    """

    max_new_tokens: int = 128
    num_beams: int = 1
    temperature: float = 0.0
    top_p: float | None = None

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1 or self.num_beams < 1:
            raise ConfigurationError(
                f"max_new_tokens {self.max_new_tokens}, num_beams {self.num_beams}: give 1 or more."
            )
        if not 0 <= self.temperature < math.inf:
            raise ConfigurationError(f"temperature {self.temperature}: give a number of 0 or more.")

    def as_arguments(self) -> dict[str, Any]:
        """As `generate` takes them."""
        sample = self.temperature > 0
        return {
            "max_new_tokens": self.max_new_tokens,
            "num_beams": self.num_beams,
            "do_sample": sample,
            "temperature": self.temperature if sample else None,
            "top_p": self.top_p if sample else None,
            "top_k": None,
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """What is asked of pictures.

    Attributes:
        text: the question; whatever it says, it is only words.
        images: the pictures, RGB.
        retrieval: what was retrieved for the first of them.
        before: what was said before, (role, text) in turn.
    """

    text: str
    images: tuple[Image.Image, ...] = ()
    retrieval: Retrieval = EMPTY
    before: tuple[Turn, ...] = ()


class Answerer:
    """A model with its processor, run as one of the paper's controls.

    Pictures that `tower` has seen, since they were looked up with it, are not embedded again.

    Args:
        model: in eval mode, on its device.
        processor: its processor; pads on the left from now on, as generation needs it.
        control: what of the retrievals enters the prompt.
    """

    def __init__(
        self, model: TunaForConditionalGeneration, processor: TunaProcessor, control: Control
    ) -> None:
        self.model = model
        self.processor = processor
        self.control = control
        self.tower = OwnTower(model, processor)
        processor.tokenizer.padding_side = "left"

    def prompt(self, request: Request) -> str:
        """The conversation up to the answer, as training writes it."""
        pictures = " ".join([self.processor.image_token] * len(request.images))
        # A question is a stranger's, and what a model said is no better.
        spoken = (*request.before, ("user", request.text))
        turns = [(role, self.processor.quoted(text)) for role, text in spoken]
        if pictures:
            turns[0] = (turns[0][0], f"{pictures}\n{turns[0][1]}")
        return self.processor.prompt(turns)

    def tags_read(self, request: Request) -> tuple[str, ...]:
        """The tags that the prompt has, which may be fewer than were retrieved."""
        processor = self.processor
        return tags_read(request.retrieval, self.control, processor.max_tags, processor.reserved)

    def captions_read(self, request: Request) -> tuple[str, ...]:
        """The captions that the prompt has instead of tags; none but for their control."""
        processor = self.processor
        return captions_read(
            request.retrieval, self.control, processor.max_tags, processor.reserved
        )

    @property
    def limit(self) -> int:
        """Most tokens of a prompt and its answer together."""
        return self.model.config.text_config.max_position_embeddings

    def too_long(self, request: Request, decoding: Decoding) -> str:
        """Why the model cannot read the request and answer it, or "" where it can."""
        length = prompt_length(
            self.processor, self.prompt(request), request.retrieval, self.control
        )
        if length + decoding.max_new_tokens <= self.limit:
            return ""
        return (
            f"the question is {length} tokens; with an answer of {decoding.max_new_tokens} it is "
            f"longer than the {self.limit} tokens that the model reads"
        )

    def inputs(self, requests: Sequence[Request]) -> Any:
        """The batch as the model takes it, on its device."""
        images = [image for request in requests for image in request.images]
        texts = [self.prompt(request) for request in requests]
        retrievals = [request.retrieval for request in requests]
        seen = self.tower.features(images)
        if seen is not None:
            made = encode_prompts(self.processor, texts, retrievals, self.control)
            made = made.to(self.model.device)
            made["mm_encoder_outputs"] = {"image": seen}
            return made
        made = self.processor(
            images=images or None,
            text=texts,
            retrievals=retrievals,
            control=self.control,
            padding=True,
            return_tensors="pt",
        )
        return made.to(self.model.device, self.model.dtype)

    def answer(self, requests: Sequence[Request], decoding: Decoding | None = None) -> list[str]:
        """One answer for each request, without special tokens and surrounding space."""
        if not requests:
            return []
        inputs = self.inputs(requests)
        tokenizer = self.processor.tokenizer
        with torch.inference_mode():
            said = self.model.generate(
                **inputs,
                **(decoding or Decoding()).as_arguments(),
                pad_token_id=tokenizer.pad_token_id,
            )
        new = said[:, inputs["input_ids"].shape[1] :]
        return [text.strip() for text in tokenizer.batch_decode(new, skip_special_tokens=True)]


def load_answerer(
    folder: str | Path,
    control: str = "tuna",
    device: str = "auto",
    dtype: str = "auto",
    tuner: Tuner = _OWN_TUNER,
) -> Answerer:
    """The model and processor of a folder that `tagmine-tuna train` or `save_pretrained` wrote.

    Args:
        folder: where they are.
        control: one of `tuna_model.controls.CONTROLS`.
        device: as torch names it; "auto" for a GPU where there is one.
        dtype: "auto" for that of the weights, or as torch names it, such as "bfloat16".
        tuner: the weighting, but for the control that has none; by default the model's own.

    Raises:
        ConfigurationError: for a folder without a model of this kind, or an unknown device or
            dtype.
    """
    from tuna_model.from_llava import load_pretrained
    from tuna_model.modeling_tuna import TunaForConditionalGeneration
    from tuna_model.processing_tuna import TunaProcessor
    from tuna_model.trained_as import warn_of_another_control

    place = torch_device(device)
    check_dtype(dtype)
    if not Path(folder).is_dir():
        raise ConfigurationError(
            f"{folder} is no folder. Give one that tagmine-tuna train wrote; download what is on a "
            "hub first."
        )
    model = load_pretrained(TunaForConditionalGeneration, folder, "TUNA", dtype=dtype)
    processor = load_pretrained(TunaProcessor, folder, "TUNA's processor")
    chosen = control_named(control, tuner.weighting or model.config.weighting)
    if tuner.temperature is not None:
        model.config.temperature = tuner.temperature
    model.apply_control(chosen)
    warn_of_another_control(folder, control)
    return Answerer(model.to(place).eval(), processor, chosen)


def check_dtype(name: str) -> None:
    """Check that a model can be loaded in the dtype.

    Raises:
        ConfigurationError: for a name that is none of torch's, or not of floating point numbers of
            16 bits or more, which is all that layers can compute in.
    """
    found = getattr(torch, name, None)
    known = isinstance(found, torch.dtype) and found.is_floating_point and found.itemsize > 1
    if name != "auto" and not known:
        raise ConfigurationError(f"dtype {name!r}: give auto, float32, bfloat16 or float16.")


def torch_device(name: str) -> torch.device:
    """The device of that name; a GPU where there is one for "auto".

    Raises:
        ConfigurationError: for a name that torch does not know, or a GPU that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigurationError(f"device {name!r}: give auto, cpu, cuda or cuda:N.") from error
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise ConfigurationError(
                f"device {name!r}: torch sees {count} GPUs here. Give auto or cpu, or a cuda:N of "
                "those that there are."
            )
    return device
