"""Whether placeholders and tags fit together."""

from __future__ import annotations

import torch

from tuna_model.configuration_tuna import TunaConfig


def check_tags(
    config: TunaConfig,
    input_ids: torch.LongTensor | None,
    tag_index: torch.LongTensor | None,
    tag_clip_mask: torch.LongTensor,
) -> None:
    """Check that each tag has one placeholder, and each placeholder a tag.

    Raises:
        ValueError: naming the row and both numbers.
    """
    _check_shapes(input_ids, tag_index, tag_clip_mask)
    count = tag_clip_mask.shape[1]
    if count > config.max_tags:
        raise ValueError(
            f"an image has {count} tags, more than the {config.max_tags} of config.max_tags; let "
            "the processor cut them at its max_tags, or raise config.max_tags"
        )
    is_picture = input_ids == config.tag_token_id
    # [b, n + 1]: how many placeholders each tag has; the first for those of no tag.
    placed = torch.zeros((len(input_ids), count + 1), dtype=torch.long, device=input_ids.device)
    placed.scatter_add_(1, tag_index.clamp(0, count), is_picture.long())
    wanted = torch.nn.functional.pad(tag_clip_mask.any(-1), (1, 0)).to(placed)
    wrong = (placed != wanted).any(-1) | (tag_index > count).any(-1)
    if wrong.any():
        row = int(wrong.nonzero()[0])
        raise ValueError(
            f"row {row} has {int(is_picture[row].sum())} placeholders for tags (id "
            f"{config.tag_token_id}) and {int(wanted[row].sum())} tags; expected one placeholder "
            "for each tag, with the tag's number in tag_index. Make both with TunaProcessor, and "
            "cut neither"
        )


def _check_shapes(
    input_ids: torch.LongTensor | None,
    tag_index: torch.LongTensor | None,
    tag_clip_mask: torch.LongTensor,
) -> None:
    if input_ids is None or tag_index is None:
        raise ValueError(
            "tags need input_ids and tag_index, which says where they are; got "
            f"input_ids {_shape(input_ids)}, tag_index {_shape(tag_index)}. Make both with "
            "TunaProcessor"
        )
    if tag_index.shape != input_ids.shape:
        raise ValueError(
            f"tag_index has shape {_shape(tag_index)}, expected that of input_ids, "
            f"{_shape(input_ids)}"
        )
    if tag_clip_mask.ndim != 3 or len(tag_clip_mask) != len(input_ids):
        raise ValueError(
            f"tag_clip_ids and tag_clip_mask should be [{len(input_ids)} rows, tags, tokens], got "
            f"{_shape(tag_clip_mask)}"
        )


def check_no_placeholders(config: TunaConfig, input_ids: torch.LongTensor | None) -> None:
    """Check that a prompt that comes without tags has no placeholder for one.

    Raises:
        ValueError: saying how many it has.
    """
    count = 0 if input_ids is None else int((input_ids == config.tag_token_id).sum())
    if count:
        raise ValueError(
            f"the prompt has {count} placeholders for tags (id {config.tag_token_id}), but no "
            "tag_clip_ids came with it; pass all that TunaProcessor returns"
        )


def fit_tag_index(tag_index: torch.LongTensor, start: int, length: int) -> torch.LongTensor:
    """The columns of tag_index [b, s] from `start` on, `length` of them; 0 beyond its end."""
    cut = tag_index[:, start : start + length]
    return torch.nn.functional.pad(cut, (0, length - cut.shape[1]))


def _shape(tensor: torch.Tensor | None) -> object:
    return None if tensor is None else tuple(tensor.shape)
