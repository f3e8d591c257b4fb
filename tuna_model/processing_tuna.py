"""From images, text and what retrieval found to TUNA's inputs."""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from transformers import AutoProcessor, BatchFeature, LlavaProcessor, ProcessorMixin
from transformers.image_utils import make_flat_list_of_images

from index.retrievals import EMPTY, Retrieval
from tuna_model.batches import IGNORED, check_context_length, clip_inputs, fill
from tuna_model.configuration_tuna import TunaConfig, check_is_tuna
from tuna_model.controls import CONTROLS, Control, control_named
from tuna_model.conversations import VICUNA_SYSTEM, Turn, join_turns, labelled_pieces
from tuna_model.prompts import (
    Piece,
    Row,
    TagPrompt,
    cut_row,
    expand_images,
    insertion,
    row_of_pieces,
    space_before_word,
    with_placeholders,
    without,
)

if TYPE_CHECKING:
    import PIL.Image

_TAG_KEYS = ("tag_index", "tag_clip_ids", "tag_clip_mask")


class Retriever(Protocol):
    """Whatever finds tags for images."""

    def retrieve(self, images: Sequence[PIL.Image.Image]) -> list[Retrieval]:
        """One retrieval for each image."""
        ...


class TunaProcessor(LlavaProcessor):
    """LLaVA's processor, which also puts tags into the prompt.

    Args:
        image_processor, tokenizer, patch_size, vision_feature_select_strategy, chat_template,
            image_token, num_additional_image_tokens: as of LlavaProcessor.
        clip_tokenizer: of the CLIP text tower; model_max_length is its context length.
        tag_token: the placeholder of a tag's picture; added to the tokenizer if it is not there.
        soft_token: the placeholder of LION's learned vector; so too.
        tags_marker: where a prompt may say that its tags go; else they follow its first image.
        max_tags: most tags of an image.
        system_prompt: what a conversation begins with; Vicuna's, as LLaVA-1.5 was trained.
        retriever: asked for the tags of images when a call brings no retrievals; not saved.
    """

    def __init__(
        self,
        image_processor=None,
        tokenizer=None,
        clip_tokenizer=None,
        patch_size=None,
        vision_feature_select_strategy=None,
        chat_template=None,
        image_token="<image>",
        num_additional_image_tokens=0,
        tag_token="<tag>",
        soft_token="<hint>",
        tags_marker="<tags>",
        max_tags=24,
        system_prompt=VICUNA_SYSTEM,
        retriever=None,
        **kwargs,
    ):
        self.patch_size = patch_size
        self.num_additional_image_tokens = num_additional_image_tokens
        self.vision_feature_select_strategy = vision_feature_select_strategy
        self.image_token = getattr(tokenizer, "image_token", None) or image_token
        check_context_length(clip_tokenizer)
        known = tokenizer.get_vocab()
        added = [token for token in (tag_token, soft_token) if token not in known]
        tokenizer.add_tokens(added, special_tokens=True)
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        self.tag_token, self.soft_token = tag_token, soft_token
        self.tag_token_id, self.soft_token_id = tokenizer.convert_tokens_to_ids(
            [tag_token, soft_token]
        )
        self.tags_marker = tags_marker
        self.max_tags = max_tags
        self.system_prompt = system_prompt
        self.retriever = retriever
        # Not LLaVA's own, which knows one tokenizer.
        ProcessorMixin.__init__(
            self, image_processor, tokenizer, clip_tokenizer, chat_template=chat_template
        )

    @classmethod
    def from_llava(
        cls, processor: LlavaProcessor, clip_tokenizer: Any, **options: Any
    ) -> TunaProcessor:
        """The processor of a LLaVA, with the tokenizer of its CLIP; the LLaVA's is not changed."""
        return cls(
            processor.image_processor,
            copy.deepcopy(processor.tokenizer),
            clip_tokenizer,
            patch_size=processor.patch_size,
            vision_feature_select_strategy=processor.vision_feature_select_strategy,
            chat_template=processor.chat_template,
            image_token=processor.image_token,
            num_additional_image_tokens=processor.num_additional_image_tokens,
            **options,
        )

    def __call__(
        self,
        images: Any = None,
        text: str | list[str] | None = None,
        retrievals: Sequence[Retrieval] | None = None,
        control: Control | str = CONTROLS["tuna"],
        **kwargs: Any,
    ) -> BatchFeature:
        """LLaVA's inputs, and those of tags where a row has any.

        Args:
            images: as of LlavaProcessor.
            text: prompts, each with an image token for each of its images.
            retrievals: one for each text; by default the retriever's, for the first image of
                each text, where there is a retriever.
            control: what of the retrievals enters the prompt.
            kwargs: as of LlavaProcessor: padding, truncation, max_length, return_tensors …

        Returns:
            LlavaProcessor's output, exactly, where no text has tags. Else also tag_index [b, s]
            (0 for no tag), tag_clip_ids and tag_clip_mask [b, n, t].

        Raises:
            ValueError: when numbers of texts, images, retrievals or placeholders do not match.
        """
        control = control_named(control) if isinstance(control, str) else control
        if text is None:
            return super().__call__(images=images, text=text, **kwargs)
        texts = [text] if isinstance(text, str) else list(text)
        retrievals = self._retrievals(images, texts, retrievals, control)
        if not any(self._prompt(row, control) for row in retrievals):
            plain = [t.replace(self.tags_marker, "") for t in texts]
            return super().__call__(
                images=images, text=plain[0] if isinstance(text, str) else plain, **kwargs
            )
        return self._call_with_tags(images, texts, retrievals, control, kwargs)

    def _call_with_tags(
        self,
        images: Any,
        texts: list[str],
        retrievals: Sequence[Retrieval],
        control: Control,
        kwargs: dict[str, Any],
    ) -> BatchFeature:
        images, texts, _, _ = self.prepare_inputs_layout(images=images, text=texts, **kwargs)
        self.validate_inputs(images=images, text=texts, **kwargs)
        options = self._merge_kwargs(tokenizer_init_kwargs=self.tokenizer.init_kwargs, **kwargs)
        text_options = options["text_kwargs"]
        pixels, replacements = {}, []
        if images is not None:
            pixels, replacements = self._process_images(images, **options["images_kwargs"])
        pieces = [
            self.pieces(text, retrieval, control)
            for text, retrieval in zip(texts, retrievals, strict=True)
        ]
        tokens = iter(replacements)
        rows = []
        for row_pieces in pieces:
            expanded = [expand_images(piece, self.image_token, tokens) for piece in row_pieces]
            row = row_of_pieces(self, expanded, text_options.get("add_special_tokens", True))
            if text_options.get("truncation"):
                row = cut_row(row, text_options.get("max_length"), self.image_token_id)
            rows.append(row)
        padded = self.pad(
            rows,
            padding=text_options.get("padding", False),
            max_length=text_options.get("max_length"),
            pad_to_multiple_of=text_options.get("pad_to_multiple_of"),
        )
        data = {**padded, **pixels}
        return BatchFeature(data, tensor_type=text_options.get("return_tensors"))

    def _retrievals(
        self,
        images: Any,
        texts: list[str],
        retrievals: Sequence[Retrieval] | None,
        control: Control,
    ) -> list[Retrieval]:
        if control.source == "none":
            return [EMPTY] * len(texts)
        if retrievals is not None:
            if len(retrievals) != len(texts):
                raise ValueError(
                    f"there are {len(texts)} texts and {len(retrievals)} retrievals; expected one "
                    "for each text, an empty one (index.retrievals.EMPTY) for a text without"
                )
            return list(retrievals)
        counts = [text.count(self.image_token) for text in texts]
        if self.retriever is None or images is None or not sum(counts):
            return [EMPTY] * len(texts)
        flat = make_flat_list_of_images(self.image_processor.fetch_images(images))
        starts = [sum(counts[:row]) for row in range(len(counts))]
        chosen = [start for start, count in zip(starts, counts, strict=True) if count]
        if chosen[-1] >= len(flat):
            raise ValueError(
                f"the texts have {sum(counts)} image tokens, but there are {len(flat)} images"
            )
        found = iter(self.retriever.retrieve([flat[number] for number in chosen]))
        return [next(found) if count else EMPTY for count in counts]

    def _prompt(self, retrieval: Retrieval, control: Control) -> TagPrompt:
        return insertion(retrieval, control, self.max_tags, self.reserved, self.soft_token)

    @property
    def reserved(self) -> tuple[str, ...]:
        """What only the processor writes: special tokens, placeholders, the marker of tags."""
        own = (self.image_token, self.tag_token, self.soft_token, self.tags_marker)
        return (*self.tokenizer.all_special_tokens, *own)

    def quoted(self, text: str) -> str:
        """The words of a stranger, or of a model, without what steers: placeholders, the marker of
        tags, special tokens, and halves of characters, which no tokenizer takes."""
        added = self.tokenizer.added_tokens_decoder.values()
        special = [str(token) for token in added if token.special]
        return without(text.encode(errors="replace").decode(), (*self.reserved, *special))

    def pieces(self, text: str, retrieval: Retrieval, control: Control) -> list[Piece]:
        """The text with tags in it, cut at the tags' borders.

        Raises:
            ValueError: for a text that has a placeholder of its own, or two places for tags.
        """
        self._check_reserved(text)
        if text.count(self.tags_marker) > 1:
            raise ValueError(f"the text has {self.tags_marker!r} more than once: {text[:200]!r}")
        prompt = self._prompt(retrieval, control)
        if not prompt:
            return [Piece(text.replace(self.tags_marker, ""))]
        if self.tags_marker in text:
            before, after = text.split(self.tags_marker)
        else:
            before, image, after = text.partition(self.image_token)
            before += image
        if self.image_token not in text:
            raise ValueError(
                f"the text has tags but no {self.image_token}: {text[:200]!r}. Tags are looked "
                "for in an image; give a text without one an empty retrieval"
            )
        tags = [Piece(tag, number) for number, tag in enumerate(prompt.tags, start=1)]
        return [Piece(before + prompt.text), *tags, Piece(after)]

    def _check_reserved(self, text: str) -> None:
        for token in (self.tag_token, self.soft_token):
            if token in text:
                raise ValueError(
                    f"the text has {token!r}, which only the processor writes; take it out, or "
                    "give the processor another tag_token or soft_token"
                )

    def expand(
        self, text: str, retrieval: Retrieval, control: Control | str = CONTROLS["tuna"]
    ) -> str:
        """The text with tags in it, as a reader would write them; images stay one token each."""
        control = control_named(control) if isinstance(control, str) else control
        parts = self.pieces(text, retrieval, control)
        return "".join(f"{self.tag_token}{p.text}" if p.tag else p.text for p in parts)

    @functools.cached_property
    def word_space(self) -> str:
        """See `tuna_model.prompts.space_before_word`."""
        return space_before_word(self.tokenizer, self.tag_token)

    def prompt(self, turns: Sequence[Turn]) -> str:
        """The conversation up to where the assistant answers, as training writes it."""
        return join_turns(turns, self.system_prompt, self.tokenizer.eos_token)

    def encode_conversation(
        self,
        turns: Sequence[Turn],
        retrieval: Retrieval = EMPTY,
        control: Control | str = CONTROLS["tuna"],
        max_length: int | None = 2048,
    ) -> dict[str, Any]:
        """A conversation for training, without padding.

        Args:
            turns: ("user" or "assistant", text) in turn; the first user's has the image tokens.
            retrieval: of its first image.
            control: what of it enters the prompt.
            max_length: tokens that are kept; None for all. Tags are cut whole, with all that
                follows.

        Returns:
            input_ids, labels (-100 but for the assistant's words and the end of each answer) and
            tag_index, lists of one length, and tags, the tuple of tags that tag_index counts.

        Raises:
            ValueError: when the cut would take an image's placeholders or every answer, or the
                turns do not alternate.
        """
        control = control_named(control) if isinstance(control, str) else control
        for role, text in turns:
            self._check_reserved(text)
            if role == "assistant" and self.image_token in text:
                raise ValueError(f"an answer has {self.image_token!r}: {text[:200]!r}; take it out")
        pieces = labelled_pieces(
            turns,
            self.system_prompt,
            self.tokenizer.eos_token,
            lambda text: self.pieces(text, retrieval, control),
        )
        whole = row_of_pieces(self, with_placeholders(self, pieces), True, ends=False)
        row = cut_row(whole, max_length, self.image_token_id)
        if not any(row.answered):
            raise ValueError(
                f"nothing of the answers is left within max_length {max_length}; raise it, or "
                "leave the conversation out"
            )
        labels = [
            token if kept else IGNORED
            for token, kept in zip(row.input_ids, row.answered, strict=True)
        ]
        return {
            "input_ids": row.input_ids,
            "labels": labels,
            "tag_index": row.tag_index,
            "tags": row.tags,
        }

    def pad(
        self,
        rows: Sequence[Row | dict[str, Any]],
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        return_tensors: str | None = None,
    ) -> BatchFeature:
        """Rows of `encode_conversation` as one batch, filled up on the tokenizer's side.

        Returns:
            input_ids, attention_mask, labels where rows have them, and the inputs of tags where
            a row has any.
        """
        dicts = [row if isinstance(row, dict) else row.as_dict() for row in rows]
        batch = self.tokenizer.pad(
            {"input_ids": [row["input_ids"] for row in dicts]},
            padding=padding,
            max_length=max_length,
            pad_to_multiple_of=pad_to_multiple_of,
            return_attention_mask=True,
        )
        data = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
        lengths, side = [len(ids) for ids in batch["input_ids"]], self.tokenizer.padding_side
        if "labels" in dicts[0]:
            data["labels"] = fill([row["labels"] for row in dicts], lengths, IGNORED, side)
        if any(row["tags"] for row in dicts):
            data["tag_index"] = fill([row["tag_index"] for row in dicts], lengths, 0, side)
            data.update(self.clip_inputs([row["tags"] for row in dicts]))
        return BatchFeature(data, tensor_type=return_tensors)

    def clip_inputs(self, tags: Sequence[Sequence[str]]) -> dict[str, list]:
        """tag_clip_ids and tag_clip_mask [b, n, t] of the tags of rows, as nested lists."""
        return clip_inputs(self.clip_tokenizer, tags)

    @classmethod
    def get_processor_dict(cls, pretrained_model_name_or_path: Any, **kwargs: Any) -> Any:
        """As of any processor.

        Raises:
            ConfigurationError: for another kind, whose tokenizer would pass for CLIP's.
        """
        found, rest = super().get_processor_dict(pretrained_model_name_or_path, **kwargs)
        check_is_tuna(pretrained_model_name_or_path, found, "processor_class", cls.__name__)
        return found, rest

    def to_dict(self) -> dict[str, Any]:
        """What is saved: not the retriever, which may be a datastore of terabytes."""
        retriever, self.retriever = self.retriever, None
        try:
            saved = super().to_dict()
        finally:
            self.retriever = retriever
        saved.pop("retriever", None)
        return saved

    @property
    def model_input_names(self) -> list[str]:
        return [*super().model_input_names, *_TAG_KEYS]


AutoProcessor.register(TunaConfig, TunaProcessor)
