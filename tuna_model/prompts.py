"""How tags are written into a prompt, and which token belongs to which tag."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from index.retrievals import Retrieval
from tuna_model.controls import Control

if TYPE_CHECKING:
    from transformers import BatchFeature

    from tuna_model.processing_tuna import TunaProcessor


@dataclasses.dataclass(frozen=True, slots=True)
class TagPrompt:
    """What goes into a prompt: plain text, then tags as pairs; one of them is empty."""

    text: str = ""
    tags: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.text or self.tags)


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a prompt whose tokens nothing outside of it influences.

    Attributes:
        text: its words.
        tag: the number of the tag that they are, from 1; 0 for other text.
        answered: whether the model is to learn to say them.
    """

    text: str
    tag: int = 0
    answered: bool = False

    def with_text(self, text: str) -> Piece:
        return dataclasses.replace(self, text=text)


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A tokenised prompt: three lists of one length, and the tags that tag_index counts."""

    input_ids: list[int]
    tag_index: list[int]
    answered: list[bool]
    tags: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return {"input_ids": self.input_ids, "tag_index": self.tag_index, "tags": self.tags}


def insertion(
    retrieval: Retrieval,
    control: Control,
    max_tags: int,
    reserved: Sequence[str],
    soft_token: str,
) -> TagPrompt:
    """What a control puts into the prompt of a retrieval."""
    if control.source == "none":
        return TagPrompt()
    if control.source == "captions":
        captions = captions_read(retrieval, control, max_tags, reserved)
        return TagPrompt("\nCaptions: " + " | ".join(captions)) if captions else TagPrompt()
    tags = tags_read(retrieval, control, max_tags, reserved)
    if control.form == "pairs" or not tags:
        return TagPrompt(tags=tags)
    listed = ", ".join(tags)
    if control.form == "text":
        return TagPrompt(f"\nTags: {listed}.")
    # LION's words (arXiv 2311.11860).
    opening = f"According to {soft_token}, you" if control.form == "lion" else "You"
    allowed = "are allowed to use or partially use the following tags"
    return TagPrompt(f"\n{opening} {allowed}: [{listed}]")


def expand_images(piece: Piece, image_token: str, replacements: Iterator[str]) -> Piece:
    """The piece with the next of the replacements for each of its image tokens."""
    text, *rest = piece.text.split(image_token)
    for part in rest:
        text += next(replacements) + part
    return piece.with_text(text)


def space_before_word(tokenizer: Any, special: str) -> str:
    """What makes a word after a special token the word that it is within a sentence.

    Some tokenizers put the space there themselves.
    """

    def ids(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    within = ids("a a")[len(ids("a")) :]
    return "" if ids(f"{special}a")[1:] == within else " "


def tags_read(
    retrieval: Retrieval, control: Control, max_tags: int, reserved: Sequence[str]
) -> tuple[str, ...]:
    """The tags of a retrieval that a control puts into the prompt, as pairs or as words."""
    if control.source in ("none", "captions"):
        return ()
    return clean([tag.text for tag in retrieval.tags], reserved)[:max_tags]


def captions_read(
    retrieval: Retrieval, control: Control, max_tags: int, reserved: Sequence[str]
) -> tuple[str, ...]:
    """The captions that a control puts into the prompt: the first of each neighbour, or none."""
    if control.source != "captions":
        return ()
    firsts = [caption for n in retrieval.neighbours for caption in n.captions[:1]]
    return clean(firsts, reserved)[:max_tags]


def clean(texts: Sequence[str], reserved: Sequence[str]) -> tuple[str, ...]:
    """Texts of strangers without the tokens that steer the model, and without those left empty."""
    found = (" ".join(without(text, reserved).split()) for text in texts)
    return tuple(text for text in found if text)


def without(text: str, reserved: Sequence[str]) -> str:
    """The text with a space for each of the reserved tokens in it."""
    before = None
    # Taking one out may join the halves of another.
    while before != text:
        before = text
        for token in reserved:
            text = text.replace(token, " ") if token else text
    return text


def row_of_pieces(
    processor: TunaProcessor, pieces: Sequence[Piece], special: bool, *, ends: bool = True
) -> Row:
    """Tokenise pieces so that each token belongs to one.

    The tag token between two pieces keeps the tokenizer from merging across; it stays where it
    is the placeholder of a tag.

    Args:
        special: whether the tokenizer adds its special tokens.
        ends: whether that at the end stays, where it adds one; a conversation has its own.
    """
    tokenizer, tag_id = processor.tokenizer, processor.tag_token_id
    spaced = [
        (processor.word_space + p.text.strip()) if p.tag or p.answered else p.text for p in pieces
    ]
    ids = tokenizer(processor.tag_token.join(spaced), add_special_tokens=special)["input_ids"]
    if not ends and ids and ids[-1] == tokenizer.eos_token_id and special:
        closing = tokenizer("", add_special_tokens=True)["input_ids"]
        ids = ids[:-1] if closing and closing[-1] == ids[-1] and len(closing) > 1 else ids
    runs: list[list[int]] = [[]]
    for token in ids:
        if token == tag_id:
            runs.append([])
        else:
            runs[-1].append(token)
    if len(runs) != len(pieces):
        raise ValueError(
            f"the prompt has {len(runs) - 1} tokens {processor.tag_token!r}, expected "
            f"{len(pieces) - 1}; only the processor may write it"
        )
    row = Row([], [], [], tuple(p.text for p in pieces if p.tag))
    for piece, run in zip(pieces, runs, strict=True):
        own = [tag_id, *run] if piece.tag else run
        row.input_ids.extend(own)
        row.tag_index.extend([piece.tag] * len(own))
        row.answered.extend([piece.answered] * len(own))
    return row


def with_placeholders(processor: TunaProcessor, pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces with as many image tokens for each image as the model reads."""
    # All images are cropped to one size, whatever this one says.
    counted = processor._get_num_multimodal_tokens([(1, 1)])["num_image_tokens"][0]
    token = processor.image_token
    return [piece.with_text(piece.text.replace(token, token * counted)) for piece in pieces]


def encode_prompt(
    processor: TunaProcessor, text: str, retrieval: Retrieval, control: Control
) -> Row:
    """A text with its images and tags, tokenised before any picture is prepared."""
    pieces = with_placeholders(processor, processor.pieces(text, retrieval, control))
    return row_of_pieces(processor, pieces, True)


def prompt_length(
    processor: TunaProcessor, text: str, retrieval: Retrieval, control: Control
) -> int:
    """How many tokens `encode_prompt` gives."""
    return len(encode_prompt(processor, text, retrieval, control).input_ids)


def encode_prompts(
    processor: TunaProcessor,
    texts: Sequence[str],
    retrievals: Sequence[Retrieval],
    control: Control,
) -> BatchFeature:
    """What the processor gives for prompts, but for the pixels, as padded tensors."""
    pairs = zip(texts, retrievals, strict=True)
    rows = [encode_prompt(processor, text, found, control) for text, found in pairs]
    return processor.pad(rows, return_tensors="pt")


def cut_row(row: Row, max_length: int | None, image_token_id: int) -> Row:
    """The row's beginning of at most max_length tokens; a tag is kept whole or not at all.

    Raises:
        ValueError: when the cut would take placeholders of an image.
    """
    if max_length is None or len(row.input_ids) <= max_length:
        return row
    end = max_length
    if row.tag_index[end]:
        while end and row.tag_index[end - 1] == row.tag_index[end]:
            end -= 1
    lost = row.input_ids[end:].count(image_token_id)
    if lost:
        raise ValueError(
            f"max_length {max_length} would cut {lost} of the "
            f"{row.input_ids.count(image_token_id)} placeholders of images from a prompt of "
            f"{len(row.input_ids)} tokens; raise max_length"
        )
    tags = max(row.tag_index[:end], default=0)
    return Row(row.input_ids[:end], row.tag_index[:end], row.answered[:end], row.tags[:tags])
