"""What a model read when it answered: tags, weights, neighbours, and where each tag looked."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from index.retrievals import Retrieval, RetrievedTag
from tagmine.layout import write_atomically
from tuna_model.answering import Answerer, Decoding, Request
from tuna_model.controls import CONTROLS
from tuna_model.explanation import Box, ExplainedTag, Explanation, Grid

if TYPE_CHECKING:
    from PIL import Image


def explain(
    answerer: Answerer,
    image: Image.Image,
    question: str,
    retrieval: Retrieval,
    *,
    name: str = "photo",
    answer: str | None = None,
    decoding: Decoding | None = None,
    compare: bool = True,
) -> Explanation:
    """Answer a question about a picture, and say what the model read.

    Args:
        answerer: the model, run as one of the controls.
        image: RGB and upright.
        question: what is asked.
        retrieval: the picture's.
        name: of the picture.
        answer: what the model said, where it was asked already.
        decoding: how answers are written.
        compare: whether the same is asked without tags, too.
    """
    request = Request(question, (image,), retrieval)
    if answer is None:
        (answer,) = answerer.answer([request], decoding)
    without = None
    read = (*answerer.tags_read(request), *answerer.captions_read(request))
    if compare and read:
        plain = Answerer(answerer.model, answerer.processor, CONTROLS["no_tags"])
        plain.tower = answerer.tower
        (without,) = plain.answer([Request(question, (image,))], decoding)
    config = answerer.model.config
    weighting = config.weighting if answerer.control.has_pairs else "none"
    if weighting != "none":
        weighting += f", temperature {config.temperature:g}"
    return Explanation(
        # The page and its JSON are UTF-8, which a file's name need not be.
        image=_as_utf8(name),
        question=_as_utf8(question),
        answer=answer,
        answer_without=without,
        model=str(config._name_or_path) or type(answerer.model).__name__,
        control=_name_of(answerer),
        weighting=weighting,
        crop=seen_box(answerer.processor.image_processor, *image.size),
        tags=_tags(answerer, request),
        neighbours=retrieval.neighbours,
    )


def write_explanation(
    explanation: Explanation, photo: Image.Image, page: Path, pictures: Sequence[str] = ()
) -> Path:
    """Write the page, and the same as JSON beside it, as NAME.html.json; returns where that is.

    Args are those of `tuna_model.explain_page.render_page`.

    Raises:
        OSError: when they cannot be written.
    """
    from tuna_model.explain_page import write_page

    # Not NAME.json, where a photo's own annotations may be.
    record = page.with_name(f"{page.name}.json")
    data = json.dumps(explanation.as_record(), ensure_ascii=False, allow_nan=False, indent=1)
    write_atomically(record, (data + "\n").encode())
    write_page(explanation, photo, page, pictures)
    return record


def _as_utf8(text: str) -> str:
    return text.encode(errors="replace").decode()


def _name_of(answerer: Answerer) -> str:
    """The control's name; a preset with another weighting has its name still."""
    mine = answerer.control
    alike = [
        name
        for name, control in CONTROLS.items()
        if dataclasses.replace(mine, weighting=control.weighting) == control
    ]
    exact = [name for name, control in CONTROLS.items() if control == mine]
    return [*exact, *alike, str(mine)][0]


def _tags(answerer: Answerer, request: Request) -> tuple[ExplainedTag, ...]:
    """The tags in the order of the prompt; with weights and maps where they enter as pairs."""
    processor, control = answerer.processor, answerer.control
    if control.source in ("none", "captions"):
        return ()
    shown = [tag for tag in request.retrieval.tags if _is_readable(answerer, tag)]
    shown = shown[: processor.max_tags]
    inputs = answerer.inputs([request])
    if "tag_index" not in inputs:
        return tuple(_explained(tag) for tag in shown)
    seen = answerer.model.explain(**inputs)
    weights, cosines = seen.weights[0].tolist(), seen.cosines[0].tolist()
    maps = seen.attention[0].float().cpu().tolist()
    return tuple(
        dataclasses.replace(
            _explained(tag), weight=weights[i], cosine=cosines[i], attention=_grid(maps[i])
        )
        for i, tag in enumerate(shown)
    )


def _is_readable(answerer: Answerer, tag: RetrievedTag) -> bool:
    """Whether anything of the tag reaches the prompt: the words of strangers are cleaned first."""
    alone = Retrieval((tag,), ())
    pieces = answerer.processor.pieces(answerer.processor.image_token, alone, CONTROLS["tuna"])
    return any(piece.tag for piece in pieces)


def _explained(tag: RetrievedTag) -> ExplainedTag:
    return ExplainedTag(tag.text, tag.kind, tag.votes, tag.score, tag.neighbours)


def _grid(cells: list[float]) -> Grid:
    """Rows of a square grid, of sum 1: half precision rounds each cell."""
    side = math.isqrt(len(cells))
    if side * side != len(cells):
        raise ValueError(f"the picture has {len(cells)} cells; expected a square grid")
    total = sum(cells)
    shares = [cell / total for cell in cells]
    return tuple(tuple(shares[row * side : (row + 1) * side]) for row in range(side))


def seen_box(image_processor: Any, width: int, height: int) -> Box:
    """The part of a picture that the model sees, as shares of its width and height.

    Follows what the image processors of CLIP and LLaVA do: pad to a square (LLaVA's `do_pad`),
    resize by the shortest side or to a size, cut out the centre. A padded side reaches beyond 0 and
    1.
    """
    canvas = width, height
    if getattr(image_processor, "do_pad", False):
        canvas = (max(canvas),) * 2
    scaled = canvas
    if getattr(image_processor, "do_resize", True):
        size = dict(image_processor.size)
        shortest = size.get("shortest_edge")
        if shortest:
            scaled = tuple(side * shortest / min(canvas) for side in canvas)
        elif size.get("width") and size.get("height"):
            scaled = size["width"], size["height"]
    shares = 1.0, 1.0
    crop = getattr(image_processor, "crop_size", None)
    if getattr(image_processor, "do_center_crop", False) and crop:
        wanted = dict(crop)
        shares = wanted["width"] / scaled[0], wanted["height"] / scaled[1]
    sides = [
        (share * whole / 2) / photo
        for share, whole, photo in zip(shares, canvas, (width, height), strict=True)
    ]
    return 0.5 - sides[0], 0.5 - sides[1], 0.5 + sides[0], 0.5 + sides[1]
