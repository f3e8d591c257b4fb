"""One page that shows a datastore's answers: a photo, its neighbours as pictures, their tags."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from index.images import ImageLimits, decode_image
from index.pooling import Answer, Neighbour, PooledTag
from index.search import Datastore
from tagmine.layout import POSITION_BITS, part_of
from tagmine.samples import SampleFields, read_samples
from tagmine.sources import read_sources
from tagmine.stage import open_source

_SIDE = 160
_TAGS_SHOWN = 12

_STYLE = """
:root { color-scheme: light dark; --line: #d7d7dc; --dim: #5f6470; --tag: #e8eef9; --card: #fff;
  --page: #f6f6f8; --ink: #17181c; --bar: #3767d6; }
@media (prefers-color-scheme: dark) { :root { --line: #35373f; --dim: #a3a8b4; --tag: #263350;
  --card: #1c1d22; --page: #121317; --ink: #eceef2; --bar: #7ea2f2; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 16px 64px; }
h1 { font-size: 1.5rem; margin: 0 0 4px; }
p.lead { color: var(--dim); margin: 0 0 24px; max-width: 70ch; }
article { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 16px; margin-bottom: 20px; }
.row { display: grid; gap: 12px; grid-template-columns: repeat(6, minmax(0, 1fr)); }
@media (max-width: 760px) { .row { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
figure { margin: 0; }
figure img { width: 100%; aspect-ratio: 1; object-fit: cover; border-radius: 8px; display: block; }
figure.query img { outline: 3px solid var(--bar); outline-offset: -3px; }
figcaption { font-size: .8rem; color: var(--dim); margin-top: 6px; overflow-wrap: anywhere; }
figcaption b { color: var(--ink); font-variant-numeric: tabular-nums; }
ul { list-style: none; display: flex; flex-wrap: wrap; gap: 6px; margin: 14px 0 0; padding: 0; }
li { background: var(--tag); border-radius: 999px; padding: 2px 10px; font-size: .85rem; }
li span { color: var(--dim); font-variant-numeric: tabular-nums; }
"""


def write_gallery(
    path: Path, datastore: Datastore, photos: Sequence[Path], answers: Sequence[Answer]
) -> None:
    """Write a self-contained page; pictures of neighbours are read from the source shards.

    Args:
        path: the page to write.
        datastore: what was asked.
        photos: the pictures that it was asked with.
        answers: its answer to each.
    """
    wanted = {neighbour.id for answer in answers for neighbour in answer.neighbours}
    pictures = _read_pictures(datastore.root, wanted)
    articles = "\n".join(
        _article(photo, answer, pictures) for photo, answer in zip(photos, answers, strict=True)
    )
    name = html.escape(datastore.manifest.name)
    lead = (
        f"{len(datastore):,} images. The outlined photo of each row is not among them; beside it "
        "are the five nearest that are, and below the tags of those five, pooled: how many of "
        "them have the tag, and their share of the similarity."
    )
    path.write_text(
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name}: photos and their tags</title>\n<style>{_STYLE}</style>\n"
        "<main>\n<h1>Photos, and what the datastore says of them</h1>\n"
        f'<p class="lead">{lead}</p>\n{articles}\n</main>\n</html>\n',
        encoding="utf-8",
    )


def _read_pictures(root: Path, wanted: set[int]) -> dict[int, bytes]:
    fields = SampleFields()
    limits = dict.fromkeys(fields.image_keys, ImageLimits().max_bytes)
    found: dict[int, bytes] = {}
    for source in read_sources(root):
        positions = {i & ((1 << POSITION_BITS) - 1): i for i in wanted if part_of(i) == source.part}
        if not positions:
            continue
        with open_source(source) as stream:
            for sample in read_samples(stream, fields, limits):
                if sample.position in positions:
                    data = next(sample.members[k] for k in fields.image_keys if k in sample.members)
                    found[positions[sample.position]] = data
    return found


def _article(photo: Path, answer: Answer, pictures: dict[int, bytes]) -> str:
    query = _figure(photo.read_bytes(), f"<b>query</b> {html.escape(photo.stem)}", photo.stem, True)
    near = "".join(_neighbour(n, pictures[n.id]) for n in answer.neighbours)
    tags = "".join(_tag(pooled) for pooled in answer.tags[:_TAGS_SHOWN])
    return f'<article>\n<div class="row">{query}{near}</div>\n<ul>{tags}</ul>\n</article>'


def _neighbour(neighbour: Neighbour, data: bytes) -> str:
    caption = html.escape(neighbour.captions[0])
    return _figure(data, f"<b>{neighbour.score:.3f}</b> {caption}", neighbour.captions[0], False)


def _figure(data: bytes, caption: str, alternative: str, query: bool) -> str:
    image = decode_image(data, ImageLimits(), _SIDE)
    image.thumbnail((_SIDE * 2, _SIDE * 2), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    source = base64.b64encode(buffer.getvalue()).decode()
    kind = ' class="query"' if query else ""
    alt = html.escape(alternative, quote=True)
    picture = f'<img alt="{alt}" src="data:image/jpeg;base64,{source}">'
    return f"<figure{kind}>{picture}<figcaption>{caption}</figcaption></figure>"


def _tag(pooled: PooledTag) -> str:
    text = html.escape(pooled.tag.text)
    return f"<li>{text} <span>{pooled.votes}/5 · {pooled.score:.2f}</span></li>"
