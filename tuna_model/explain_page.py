"""One answer as one page: the photo with where each tag looked, as in figure 5 of the paper.

The page holds all that it shows, and no script: a tag is chosen with radio buttons, so that mouse,
touch and arrow keys work, and the style sheet shows its map.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

from PIL import Image

from index.report_page.document import (
    CAPTION_LENGTH,
    attribute,
    bar,
    document,
    facts,
    folded,
    plain,
    section,
    text,
)
from index.retrievals import RetrievedNeighbour
from tagmine.layout import write_atomically
from tuna_model.explain_style import page_style
from tuna_model.explanation import ExplainedTag, Explanation
from tuna_model.heat import even_scale, heat_map, legend, where

MAX_TAGS = 64
MAX_NEIGHBOURS = 50
_PHOTO_SIDE = 960
_QUALITY = 85
_ANSWER_LENGTH = 4000
_TAG_LENGTH = 80
_CAPTIONS = 10
_LINKS = (("answer", "Answer"), ("tags", "Tags"), ("neighbours", "Neighbours"), ("how", "How"))


def render_page(explanation: Explanation, photo: Image.Image, pictures: Sequence[str] = ()) -> str:
    """The page as HTML; texts of strangers are escaped and cut to a bounded length.

    Args:
        explanation: what to show.
        photo: the picture, RGB and upright, of any size.
        pictures: of the neighbours, as `tuna_model.neighbour_pictures` makes them; none by default.
    """
    tags = explanation.tags[:MAX_TAGS]
    body = "\n".join(
        (
            _answer(explanation),
            _tags(explanation, tags, photo),
            _neighbours(explanation.neighbours[:MAX_NEIGHBOURS], tags, pictures),
            _how(explanation),
        )
    )
    lead = f'<p class="lead">{text(explanation.image)}</p>'
    style = page_style(explanation.crop, [tag.neighbours for tag in tags])
    return document("What the model read", lead, body, _LINKS, style)


def write_page(
    explanation: Explanation, photo: Image.Image, path: Path, pictures: Sequence[str] = ()
) -> None:
    """Write the page of `render_page`, whole or not at all.

    Raises:
        OSError: when the file cannot be written.
    """
    write_atomically(path, render_page(explanation, photo, pictures).encode())


def _answer(explanation: Explanation) -> str:
    name = "with tags" if explanation.tags else "answer"
    if _read_captions(explanation):
        name = "with captions"
    cards = [(name, explanation.answer, "asked")]
    if explanation.answer_without is not None:
        missing = "captions" if _read_captions(explanation) else "tags"
        cards.append((f"without {missing}", explanation.answer_without, ""))
    made = "".join(
        f'<div class="{kind}"><dt>{escape(name)}</dt><dd>{_said(answer)}</dd></div>'
        for name, answer, kind in cards
    )
    return section(
        "answer", "Answer", f'<p class="question">{_said(explanation.question)}</p><dl>{made}</dl>'
    )


def _read_captions(explanation: Explanation) -> bool:
    captions = any(one.captions for one in explanation.neighbours)
    return explanation.control == "captions" and captions


def _said(value: str) -> str:
    """Text of several lines, which `text` would show as one with marks in it."""
    lines = value.strip().splitlines() or ["(nothing)"]
    return "<br>".join(text(line, _ANSWER_LENGTH) for line in lines[:200])


def _tags(explanation: Explanation, tags: tuple[ExplainedTag, ...], photo: Image.Image) -> str:
    if not tags:
        note = "The model read no tags for this picture."
        if _read_captions(explanation):
            note = "Instead of tags, the model read the first caption of each neighbour."
        note = f'<p class="quiet">{note}</p>'
        return section("tags", "Tags", f"{_figure(photo, tags, 0.0)}{note}")
    scale = even_scale([tag.attention for tag in tags if tag.attention])
    heaviest = max((tag.weight or 0.0 for tag in tags), default=0.0)
    said = explanation.answer.casefold()
    total = len(explanation.neighbours)
    rows = "".join(
        _tag_row(place, tag, heaviest, total, _stands_in(tag.text, said))
        for place, tag in enumerate(tags)
    )
    alone = (
        '<li><label class="alone"><input type="radio" name="tag" id="none"><span>Photo alone'
        "</span></label></li>"
    )
    hidden = len(explanation.tags) - len(tags)
    more = f'<p class="quiet">{hidden:,} more are in the JSON.</p>' if hidden else ""
    choice = (
        "<fieldset><legend>Choose a tag to see where it looked; the arrow keys go on to the next"
        f'</legend><ul class="read">{rows}{alone}</ul></fieldset>{more}'
    )
    return section(
        "tags", "Tags", f'<div class="look">{_figure(photo, tags, scale)}<div>{choice}</div></div>'
    )


def _figure(photo: Image.Image, tags: tuple[ExplainedTag, ...], scale: float) -> str:
    maps = "".join(
        f'<img class="map m{place}" src="data:image/png;base64,{heat_map(tag.attention, scale)}" '
        f'alt="Where the tag {attribute(tag.text, _TAG_LENGTH)} looked: {where(tag.attention)}">'
        for place, tag in enumerate(tags)
        if tag.attention
    )
    grids = {(len(tag.attention), len(tag.attention[0])) for tag in tags if tag.attention}
    size = " or ".join(f"{rows} × {columns}" for rows, columns in sorted(grids))
    said = (
        f"<figcaption>{legend(scale)}<p>Attention of the chosen tag over a grid of {size} cells, "
        "drawn smooth: dark is less than an even look at all of them, warm is more. All tags have "
        "one scale.</p></figcaption>"
        if maps
        else ""
    )
    seen = f'<div class="seen">{maps}</div>' if maps else ""
    return (
        f'<figure class="photo"><div class="frame"><img alt="The photo" src="data:image/jpeg;'
        f'base64,{_jpeg(photo)}">{seen}</div>{said}</figure>'
    )


def _jpeg(photo: Image.Image) -> str:
    """The photo at the size that a page shows, without what its file said beside the pixels."""
    small = Image.new("RGB", photo.size)
    small.paste(photo.convert("RGB"))
    small.thumbnail((_PHOTO_SIDE, _PHOTO_SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY)
    return base64.b64encode(buffer.getvalue()).decode()


def _tag_row(place: int, tag: ExplainedTag, heaviest: float, total: int, said: bool) -> str:
    about = []
    if tag.cosine is not None:
        about.append(f"cosine {tag.cosine:.3f}")
    if total:
        about.append(f"{tag.votes} of {total} neighbours")
    if tag.attention:
        about.append(f"looked {where(tag.attention)} ({plain(tag.peak, 2)}\u00a0×)")
    badge = ' <span class="badge good">✓ in the answer</span>' if said else ""
    weight = "" if tag.weight is None else f"{tag.weight:.3f}"
    measured = "" if tag.weight is None else bar(tag.weight / heaviest if heaviest else 0.0)
    checked = " checked" if place == 0 else ""
    return (
        f'<li><label><input type="radio" name="tag" id="t{place}"{checked}>'
        f'<span class="name">{text(tag.text, _TAG_LENGTH)} <span class="kind">'
        f"{text(tag.kind, 20)}</span>{badge}</span>"
        f'<span class="weigh">{measured}</span><span class="number">{escape(weight)}</span>'
        f'<span class="about">{escape(" · ".join(about))}</span></label></li>'
    )


def _stands_in(tag: str, answer: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(tag.casefold())}(?!\w)", answer) is not None


def _neighbours(
    neighbours: tuple[RetrievedNeighbour, ...],
    tags: tuple[ExplainedTag, ...],
    pictures: Sequence[str],
) -> str:
    if not neighbours:
        none = '<p class="quiet">Nothing was looked up in a datastore.</p>'
        return section("neighbours", "Neighbours", none)
    several = len({one.datastore for one in neighbours}) > 1
    shown = dict(enumerate(pictures))
    items = "".join(
        _neighbour(place, one, tags, shown.get(place, ""), several)
        for place, one in enumerate(neighbours)
    )
    lead = "<p>The nearest images of the datastore. Those with the chosen tag are outlined.</p>"
    return section("neighbours", "Neighbours", f'{lead}<ol class="near">{items}</ol>')


def _neighbour(
    place: int,
    one: RetrievedNeighbour,
    tags: tuple[ExplainedTag, ...],
    jpeg: str,
    several: bool,
) -> str:
    captions = [text(caption, CAPTION_LENGTH) for caption in one.captions[:_CAPTIONS]]
    first = captions[0] if captions else "no caption"
    others = "".join(f"<li>{caption}</li>" for caption in captions[1:])
    count = len(captions) - 1
    more = folded(f"{count} more caption{'s' if count > 1 else ''}", f"<ul>{others}</ul>")
    given = [text(tag.text, _TAG_LENGTH) for tag in tags if place in tag.neighbours]
    where = f" in {text(one.datastore)}" if several else ""
    gave = f'<p class="gave">{", ".join(given)}</p>' if given else ""
    seen = (
        f'<img alt="{attribute(one.captions[0] if one.captions else one.key, CAPTION_LENGTH)}" '
        f'src="data:image/jpeg;base64,{jpeg}">'
        if jpeg
        else ""
    )
    return (
        f'<li class="n{place}">{seen}<h3><span class="score">{one.score:.3f}</span> '
        f'<span class="kind">{text(one.key)}{where}</span></h3><p>{first}</p>'
        f"{more if others else ''}{gave}</li>"
    )


def _how(explanation: Explanation) -> str:
    left, top, right, bottom = (f"{100 * side:.0f}" for side in explanation.crop)
    pairs = [
        ("model", text(explanation.model)),
        ("control", text(explanation.control)),
        ("weights", text(explanation.weighting)),
        ("seen of the photo", f"{left} to {right} % across, {top} to {bottom} % down"),
    ]
    said = (
        "<p>The weight is what a tag's embeddings were multiplied by; the cosine is between CLIP's "
        "embeddings of the tag and of the picture. A map is the attention of the tag: "
        "where the picture half of the tag was taken from. It is not why the model said what it "
        "said.</p>"
    )
    return section("how", "How to read this", said + facts(pairs))
