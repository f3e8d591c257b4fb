"""Pieces that our pages are made of: the document, text of strangers, numbers, tables."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import math
from collections.abc import Sequence
from html import escape

from index.report_page.style import STYLE
from tagmine.printable import printable

# Longer captions say nothing more to someone who looks at a picture.
CAPTION_LENGTH = 300
NAME_LENGTH = 160
_ROWS_SHOWN = 400
_DASH = "–"
# A no-break space: a number and its unit stay on one line.
_JOINT = "\u00a0"


@dataclasses.dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table: its HTML, and what it holds: "number", "wide" for a bar,
    "change" for a number with a remark, or ""."""

    html: str
    kind: str = ""


def text(value: str, length: int = NAME_LENGTH) -> str:
    """Text of strangers as HTML: escaped, without controls, isolated from the writing around it,
    and cut off, with an ellipsis, after `length` characters."""
    cut = value if len(value) <= length else value[: length - 1].rstrip() + "…"
    return f"<bdi>{escape(printable(cut), quote=True)}</bdi>"


def attribute(value: str, length: int = NAME_LENGTH) -> str:
    """As `text`, for the value of an attribute, which cannot hold an element."""
    cut = value if len(value) <= length else value[: length - 1].rstrip() + "…"
    return escape(printable(cut), quote=True)


def document(
    title: str, lead: str, body: str, links: Sequence[tuple[str, str]], more_style: str = ""
) -> str:
    """A page that needs nothing else and may load nothing.

    Args:
        title: heading, plain text.
        lead: what stands below it, HTML.
        body: sections, HTML.
        links: id and name of the sections, for the table of contents.
        more_style: rules of this page alone, after those of all.
    """
    style = STYLE + more_style
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    contents = "".join(f'<li><a href="#{ident}">{escape(name)}</a></li>' for ident, name in links)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="referrer" content="no-referrer">
<title>{attribute(title)}</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header>
<h1>{text(title)}</h1>
{lead}
<nav aria-label="On this page"><ul>{contents}</ul></nav>
</header>
<main id="main">
{body}
</main>
<footer>Made by tagmine. The page holds all that it shows, and loads nothing.</footer>
</body>
</html>
"""


def section(ident: str, title: str, body: str, kind: str = "") -> str:
    """A section with its heading, which is named `title`, plain text."""
    style = f' class="{kind}"' if kind else ""
    return (
        f'<section id="{ident}"{style} aria-labelledby="{ident}-title">\n'
        f'<h2 id="{ident}-title">{escape(title)}</h2>\n{body}\n</section>'
    )


def table(
    caption: str,
    head: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    marked: Sequence[int] = (),
    spoken: bool = False,
) -> str:
    """A table, the first cell of each row being its heading.

    Args:
        caption: what it shows, plain text.
        head: names of the columns, plain text.
        rows: its cells; past the first few hundred rows it only says how many there are.
        marked: numbers of the rows that stand out.
        spoken: whether the caption is for screen readers alone, below a heading that says it.
    """
    kinds = [cell.kind for cell in rows[0]] if rows else [""] * len(head)
    names = "".join(
        f'<th scope="col"{_class(kind)}>{escape(name)}</th>'
        for name, kind in zip(head, kinds, strict=True)
    )
    body = "\n".join(
        f"<tr{_class('marked' if i in marked else '')}>{_cells(row)}</tr>"
        for i, row in enumerate(rows[:_ROWS_SHOWN])
    )
    hidden = len(rows) - _ROWS_SHOWN
    more = f'<p class="quiet">{hidden:,} more are not shown.</p>' if hidden > 0 else ""
    # Focusable, so that who has no mouse can scroll it on a narrow screen.
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{attribute(caption)}">'
        f"<table><caption{_class('spoken' if spoken else '')}>{escape(caption)}</caption>\n"
        f"<thead><tr>{names}</tr></thead>\n<tbody>{body}</tbody></table></div>{more}"
    )


def folded(summary: str, body: str) -> str:
    """Something that one can open; `summary` is plain text."""
    return f"<details><summary>{escape(summary)}</summary>{body}</details>"


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Names, plain text, and what is said of each, HTML."""
    items = "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in pairs)
    return f'<dl class="facts">{items}</dl>'


def tiles(items: Sequence[tuple[str, str, str]]) -> str:
    """Numbers that matter: name and value, and a remark or "", all plain text."""
    made = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}"
        f"{f'<small>{escape(remark)}</small>' if remark else ''}</dd></div>"
        for name, value, remark in items
    )
    return f'<dl class="tiles">{made}</dl>'


def bar(share: float, series: int = 0) -> str:
    """A bar for a share from 0 to 1; the number itself stands beside it."""
    width = 100 * min(max(share, 0.0), 1.0) if math.isfinite(share) else 0.0
    return (
        f'<svg class="bar s{series}" viewBox="0 0 100 8" preserveAspectRatio="none" '
        f'aria-hidden="true"><rect class="mark" width="{width:.1f}" height="8"/></svg>'
    )


def name_cell(value: str) -> Cell:
    return Cell(text(value))


def number_cell(value: str) -> Cell:
    """A cell for a number that is formatted already."""
    return Cell(escape(value), "number")


def share(value: float) -> str:
    """A recall or another share as four decimals."""
    return f"{value:.4f}" if math.isfinite(value) else _DASH


def percent(value: float) -> str:
    return f"{100 * value:.1f}{_JOINT}%" if math.isfinite(value) else _DASH


def size(count: int) -> str:
    """Bytes in the largest unit that leaves a number of 1 or more."""
    if abs(count) < 1000:
        return f"{count:,}{_JOINT}bytes"
    amount, units = count / 1000, ["kB", "MB", "GB", "TB"]
    while abs(amount) >= 999.5 and len(units) > 1:
        amount /= 1000
        del units[0]
    return f"{amount:,.{0 if abs(amount) >= 99.95 else 1}f}{_JOINT}{units[0]}"


def plain(value: float | None, digits: int = 4) -> str:
    """A number of unknown kind: whole ones with separators, others to so many digits."""
    if value is None or not math.isfinite(value):
        return _DASH
    if value == int(value) and (abs(value) >= 2 or value == 0):
        return f"{value:,.0f}"
    return f"{value:,.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"


def apart(value: float | None, limit: float) -> tuple[str, str]:
    """A value and its limit, with digits enough to tell one from the other."""
    for digits in range(4, 17):
        pair = plain(value, digits), plain(limit, digits)
        if value is None or value == limit or pair[0] != pair[1]:
            return pair
    return repr(value), repr(limit)


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _cells(row: Sequence[Cell]) -> str:
    first, *others = row
    heading = f'<th scope="row"{_class(first.kind)}>{first.html}</th>'
    return heading + "".join(f"<td{_class(cell.kind)}>{cell.html}</td>" for cell in others)
