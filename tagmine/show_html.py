"""Shown samples as one page that needs nothing else: no script, no font, no network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from tagmine.printable import printable
from tagmine.show import (
    KIND_MEANINGS,
    Piece,
    ShownCaption,
    ShownImage,
    label,
    nest,
)
from tagmine.tags import Tag

# Marked text has a contrast of 8 or more with its background, quiet text of 6.6; WCAG asks for 4.5.
_STYLE = """
:root { color-scheme: light dark; --page: #f6f6f4; --card: #ffffff; --text: #1b1c1e;
  --quiet: #55585e; --line: #d9dadd;
  --object: #d6e6fb; --object-text: #0b3a75; --attribute: #d5f0da; --attribute-text: #0c4a1d;
  --entity: #fde3c8; --entity-text: #6a3300; --relation: #e9dcf9; --relation-text: #47157f;
  --field: #f9d9e4; --field-text: #75113a; --reject: #8f1d14; }
@media (prefers-color-scheme: dark) { :root { --page: #141517; --card: #1d1f22; --text: #e8e9eb;
  --quiet: #a9adb5; --line: #383b40;
  --object: #173a66; --object-text: #d3e6ff; --attribute: #17452a; --attribute-text: #d0f5da;
  --entity: #573410; --entity-text: #ffe4c7; --relation: #40266b; --relation-text: #ebddff;
  --field: #5b1c37; --field-text: #ffdce8; --reject: #ff9d92; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
main, header { max-width: 60rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 1.5rem; }
h1 { font-size: 1.4rem; margin: 0; }
header p { color: var(--quiet); margin: .25rem 0 .75rem; }
article { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: .75rem 1rem 1rem; margin: 1rem 0; }
h2 { font: 600 .85rem/1.5 ui-monospace, monospace; color: var(--quiet); margin: 0; }
.captions, .tags, .legend { list-style: none; padding: 0; margin: 0; }
.captions li { line-height: 2.2; padding: .1rem 0; }
.note { color: var(--quiet); font-size: .8rem; margin-left: .4rem; white-space: nowrap; }
mark { unicode-bidi: isolate; color: var(--ink); background: var(--fill); border-radius: .3rem;
  padding: .2rem .35rem; -webkit-box-decoration-break: clone; box-decoration-break: clone; }
mark mark { box-shadow: 0 0 0 1px var(--card); padding: .05rem .25rem; margin-right: .2rem; }
mark.cut { border-right: 2px dashed var(--ink); border-radius: .3rem 0 0 .3rem; }
mark.dropped { background: none; color: inherit; outline: 1px dashed var(--quiet);
  outline-offset: -1px; }
mark small, .tags small, .legend small { font-size: .62rem; font-weight: 700;
  letter-spacing: .04em; margin-left: .35rem; vertical-align: .08em; white-space: nowrap; }
.tags, .legend { display: flex; flex-wrap: wrap; gap: .4rem; }
.tags { border-top: 1px solid var(--line); margin-top: .6rem; padding-top: .75rem; }
.tags li, .legend b { background: var(--fill); color: var(--ink); border-radius: .3rem;
  padding: .1rem .45rem; font-size: .9rem; font-weight: 400; }
.legend li { font-size: .85rem; color: var(--quiet); margin-right: .8rem; }
.tags .count { font-variant-numeric: tabular-nums; margin-left: .35rem; }
.tags .about { font-size: .8rem; margin-left: .35rem; }
.reject { color: var(--reject); margin: .25rem 0 0; }
""" + "".join(
    f".{kind} {{ --fill: var(--{kind}); --ink: var(--{kind}-text); }}\n" for kind in KIND_MEANINGS
)


def render_page(images: Iterable[ShownImage], title: str, subtitle: str) -> str:
    """The page as HTML; every text of a sample is escaped.

    Args:
        images: the samples, in the order that they are shown in.
        title: heading, plain text.
        subtitle: a line below it, plain text.
    """
    articles = "\n".join(_article(image) for image in images)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{_text(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>{_text(title)}</h1>
<p>{_text(subtitle)}</p>
{_legend()}
</header>
<main>
{articles}
</main>
</body>
</html>
"""


def _text(text: str) -> str:
    return escape(printable(text), quote=True)


def _legend() -> str:
    items = [
        f'<li class="{kind}"><b>{kind.upper()}</b> {meaning}</li>'
        for kind, meaning in KIND_MEANINGS.items()
    ]
    items.append('<li><mark class="dropped">said</mark> but not kept as a tag</li>')
    items.append("<li>× votes: the captions and answers that say it</li>")
    return f'<ul class="legend">{"".join(items)}</ul>'


def _article(image: ShownImage) -> str:
    heading = f"<h2>{_text(image.key)}</h2>"
    if image.rejected:
        reason, detail = image.rejected
        more = f": {_text(detail)}" if detail else ""
        why = f'<p class="reject"><strong>rejected</strong> {_text(reason)}{more}</p>'
        return f"<article>{heading}{why}</article>"
    captions = "".join(f"<li>{_caption(caption)}</li>" for caption in image.captions)
    tags = "".join(_tag(tag) for tag in image.tags)
    kept = f'<ul class="tags">{tags}</ul>' if tags else '<p class="reject">no tags</p>'
    return f'<article>{heading}<ul class="captions">{captions}</ul>{kept}</article>'


def _caption(caption: ShownCaption) -> str:
    marked = _marked(caption.text, 0, len(caption.text), nest(caption.spans))
    notes = _text(" · ".join(caption.notes))
    # Isolated, as each mark is: what is written from right to left must not carry others along.
    return f'<bdi dir="ltr">{marked}</bdi><span class="note">{notes}</span>'


def _marked(text: str, start: int, end: int, pieces: Sequence[Piece]) -> str:
    parts = []
    for piece in pieces:
        parts.append(_text(text[start : piece.start]))
        parts.append(_mark(text, piece))
        start = piece.end
    parts.append(_text(text[start:end]))
    return "".join(parts)


def _mark(text: str, piece: Piece) -> str:
    tag = piece.span.tag
    inside = _marked(text, piece.start, piece.end, piece.inner)
    kinds = [tag.kind]
    if not piece.last:
        kinds.append("cut")
    if not piece.span.kept:
        kinds.append("dropped")
    named = f"<small>{_text(label(tag))}</small>" if piece.last else ""
    return f'<mark class="{" ".join(kinds)}">{inside}{named}</mark>'


def _tag(tag: Tag) -> str:
    count = f'<span class="count">× {tag.count}</span>'
    about = ""
    if tag.attributes:
        about = f'<span class="about">{_text(tag.head)}: {_text(", ".join(tag.attributes))}</span>'
    return (
        f'<li class="{tag.kind}">{_text(tag.text)}<small>{_text(label(tag))}</small>'
        f"{count}{about}</li>"
    )
