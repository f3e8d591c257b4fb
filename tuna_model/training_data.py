"""Rows of instruction data as the model's inputs: image, tags of its retrieval, tokens, labels."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any, Protocol

import PIL.Image
from torch.utils.data import Dataset

from index.image_files import read_image_file
from index.images import ImageLimits, ImageRejected, decode_image
from index.retrievals import EMPTY, Retrieval
from tagmine.errors import ConfigurationError
from tuna_model.controls import Control
from tuna_model.instruction_file import BadRow, RowReader
from tuna_model.instruction_rows import Conversation, RowRejected, read_conversation
from tuna_model.noise import TagNoise
from tuna_model.processing_tuna import TunaProcessor
from tuna_model.training_rows import Checked, TrainingRows

_REASONS_OF_IMAGES = {"unsafe_image_path": "unsafe_path"}


class Retrievals(Protocol):
    """What was retrieved for the images of a training set; `StoredRetrievals`."""

    def lookup(self, key: str) -> Retrieval:
        """The retrieval of an image; a KeyError for one that is not there."""


@dataclasses.dataclass(frozen=True, slots=True)
class RowLoader:
    """Turns a parsed row into the model's inputs; goes to worker processes.

    Attributes:
        processor: of the model that is trained.
        control: what of a retrieval enters the prompt.
        max_length: tokens that are kept.
        image_folder: what the rows' image paths are below; None for text only.
        retrievals: of the images; None for no tags.
        limits: of image files.
    """

    processor: TunaProcessor
    control: Control
    max_length: int
    image_folder: Path | None = None
    retrievals: Retrievals | None = None
    limits: ImageLimits = ImageLimits()

    def check(self, value: object) -> Checked:
        """Load the row without noise, its image too.

        Raises:
            RowRejected: for a row that cannot be trained on.
        """
        conversation = self._conversation(value)
        if conversation.image is not None:
            self._image(conversation.image)
        encoded = self._encode(conversation, self._retrieval(conversation.image))
        return Checked(len(encoded["input_ids"]), conversation.image is not None)

    def load(self, value: object, noise: TagNoise | None, rng: random.Random) -> dict[str, Any]:
        """The inputs of a row that has been checked.

        Returns:
            What `TunaProcessor.encode_conversation` gives, and pixel_values [3, height, width]
            for a row with an image.

        Raises:
            RowRejected: for a row that has changed since.
        """
        conversation = self._conversation(value)
        retrieval = self._retrieval(conversation.image)
        if noise is None:
            encoded = self._encode(conversation, retrieval)
        else:
            encoded = self._encode_disturbed(conversation, retrieval, noise, rng)
        if conversation.image is not None:
            image = self._image(conversation.image)
            pixels = self.processor.image_processor(image, return_tensors="pt")["pixel_values"]
            encoded["pixel_values"] = pixels[0]
        return encoded

    def _conversation(self, value: object) -> Conversation:
        conversation = read_conversation(value)
        own = (self.processor.tag_token, self.processor.soft_token, self.processor.tags_marker)
        for role, text in conversation.turns:
            for token in own:
                if token in text:
                    raise RowRejected("special_token", f"{token!r} in a turn of the {role}")
        return conversation

    def _image(self, image: str) -> PIL.Image.Image:
        if self.image_folder is None:
            raise RowRejected("image_missing", "there is no image folder; give --image-folder")
        try:
            return decode_image(read_image_file(self.image_folder, image, self.limits), self.limits)
        except ImageRejected as rejected:
            reason = _REASONS_OF_IMAGES.get(rejected.reason, rejected.reason)
            raise RowRejected(reason, rejected.detail) from None

    def _retrieval(self, image: str | None) -> Retrieval:
        if image is None or self.retrievals is None:
            return EMPTY
        try:
            return self.retrievals.lookup(image)
        except KeyError as error:
            raise RowRejected("no_retrieval", str(error.args[0])) from None

    def _encode(self, conversation: Conversation, retrieval: Retrieval) -> dict[str, Any]:
        try:
            return self.processor.encode_conversation(
                conversation.turns, retrieval, self.control, self.max_length
            )
        except ValueError as error:
            raise RowRejected("too_long", str(error)) from None

    def _encode_disturbed(
        self,
        conversation: Conversation,
        retrieval: Retrieval,
        noise: TagNoise,
        rng: random.Random,
    ) -> dict[str, Any]:
        try:
            return self._encode(conversation, noise.disturb(retrieval, rng))
        except RowRejected:
            # Random tags may be longer than the row's own, with which it was checked.
            return self._encode(conversation, retrieval)


class InstructionRows(Dataset):
    """The rows of a training; item `epoch * rows + row`, as `ModalityLengthSampler` numbers them.

    The noise of an item is a function of the seed and the item, not of who loads it or when.
    """

    def __init__(
        self, data: Path, rows: TrainingRows, loader: RowLoader, noise: TagNoise | None, seed: int
    ) -> None:
        self._data, self._rows, self._loader = data, rows, loader
        self._noise, self._seed = noise, seed
        self._reader = RowReader(data)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, item: int) -> dict[str, Any]:
        """Raises ConfigurationError where the row has changed since it was checked."""
        place = self._rows.place(item % len(self._rows))
        rng = random.Random(f"{self._seed}/{item}")
        try:
            return self._loader.load(self._reader.read(place), self._noise, rng)
        except (BadRow, RowRejected) as error:
            raise ConfigurationError(
                f"{self._data}: the row at byte {place.offset} could be used when the training "
                f"began and cannot now ({error}). The file or its images have changed: restore "
                "them and go on with --resume, or start again in another --output."
            ) from error
