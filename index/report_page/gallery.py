"""The gallery of a report: query photos, their neighbours as pictures, their pooled tags."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from html import escape

from index.report import GalleryEntry, GalleryNeighbour, GalleryTag, Report
from index.report_page.document import (
    CAPTION_LENGTH,
    attribute,
    bar,
    counted,
    folded,
    section,
    share,
    text,
)

_ENTRIES_SHOWN = 50
_NEIGHBOURS_SHOWN = 25
_CAPTIONS_SHOWN = 10
_TAGS_SHOWN = 24
_TAGS_FIRST = 12
_TAG_LENGTH = 80
_MAX_THUMBNAIL = 1 << 20
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_JPEG = b"\xff\xd8\xff"


def gallery(report: Report) -> str:
    """The section, or "" for a report without one."""
    if not report.gallery:
        return ""
    lead = (
        "<p>The outlined photo asks; beside it are the nearest images with their cosines. <span "
        'class="badge good">✓ exact, too</span> is found by exact search as well, <span '
        'class="badge note">≠ not exact</span> is in the place of one that exact search has. '
        'Tags are pooled from all neighbours, weighed by their similarity; <span class="badge '
        "good\">✓ own</span> is a tag that the photo's own captions have, too.</p>"
    )
    shown = report.gallery[:_ENTRIES_SHOWN]
    entries = "\n".join(_entry(number, entry) for number, entry in enumerate(shown, 1))
    hidden = len(report.gallery) - len(shown)
    more = f'<p class="quiet">{hidden:,} more are in report.json.</p>' if hidden else ""
    return section("gallery", "Gallery", f"{lead}\n{entries}{more}")


def _entry(number: int, entry: GalleryEntry) -> str:
    near = "".join(_neighbour(one) for one in entry.neighbours[:_NEIGHBOURS_SHOWN])
    asked = picture(entry.thumbnail, entry.captions, entry.key)
    said = f'<span class="score">query</span>{captions_of(entry.captions, "")}'
    query = f'<li class="query"><figure>{asked}<figcaption>{said}</figcaption></figure></li>'
    return (
        f"<article><h3>{number}. {text(entry.key)}</h3>"
        f'<ul class="row">{query}{near}</ul>{_tags(entry.tags)}</article>'
    )


def _neighbour(one: GalleryNeighbour) -> str:
    badge = '<span class="badge note">≠ not exact</span>'
    if one.exact:
        badge = '<span class="badge good">✓ exact, too</span>'
    where = f"{text(one.key)}, id {one.id}, from {text(one.source)}"
    said = (
        f'<span class="score">{share(one.score)}</span> {badge}{captions_of(one.captions, where)}'
    )
    shown = picture(one.thumbnail, one.captions, one.key)
    return f"<li><figure>{shown}<figcaption>{said}</figcaption></figure></li>"


def picture(thumbnail: str, captions: Sequence[str], key: str) -> str:
    """A thumbnail, JPEG as base64, described by the first caption; or that it is out of reach."""
    if not _is_jpeg(thumbnail):
        return '<div class="gone">picture out of reach</div>'
    alternative = attribute(captions[0] if captions else key, CAPTION_LENGTH)
    return f'<img alt="{alternative}" src="data:image/jpeg;base64,{thumbnail}">'


def _is_jpeg(thumbnail: str) -> bool:
    """What is no base64 could end the attribute early, and what is no JPEG could be anything."""
    if len(thumbnail) > _MAX_THUMBNAIL or not _BASE64.fullmatch(thumbnail):
        return False
    try:
        return base64.b64decode(thumbnail, validate=True).startswith(_JPEG)
    except binascii.Error:
        return False


def captions_of(captions: Sequence[str], where: str) -> str:
    """The first caption, and the others to open, with `where`, HTML, the picture is from."""
    said = text(captions[0], CAPTION_LENGTH) if captions else "no caption"
    first = f'<p class="caption">{said}</p>'
    others = captions[1:_CAPTIONS_SHOWN]
    items = "".join(f"<li>{text(caption, CAPTION_LENGTH)}</li>" for caption in others)
    noun = "caption" if len(others) == 1 else "captions"
    names = [f"{len(others)} more {noun}"] if others else []
    names += ["source"] if where else []
    if not names:
        return first
    more = f"<ul>{items}</ul>" if others else ""
    return first + folded(", ".join(names), f"{more}<p>{where}</p>" if where else more)


def _tags(tags: Sequence[GalleryTag]) -> str:
    if not tags:
        return '<p class="quiet">The neighbours have no tags.</p>'
    items = [tag_item(tag) for tag in tags[:_TAGS_SHOWN]]
    first = f'<ul class="tags">{"".join(items[:_TAGS_FIRST])}</ul>'
    rest = items[_TAGS_FIRST:]
    if not rest:
        return first
    return first + folded(
        counted(len(rest), "lighter tag"), f'<ul class="tags">{"".join(rest)}</ul>'
    )


def tag_item(tag: GalleryTag) -> str:
    """A pooled tag as an item of a list of the class `tags`."""
    own = ' <span class="badge good">✓ own</span>' if tag.own else ""
    return (
        f'<li><span>{text(tag.text, _TAG_LENGTH)} <span class="kind">{text(tag.kind, 20)}</span>'
        f'{own}</span>{bar(tag.score)}<span class="number">{escape(f"{tag.score:.2f}")}</span></li>'
    )
