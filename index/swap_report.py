"""The comparison of datastores that answer for one another: its form, and as a page."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from html import escape
from pathlib import Path

from index.report import GalleryTag
from index.report_page.document import document, name_cell, number_cell, section, table, text
from index.report_page.gallery import captions_of, picture, tag_item
from index.swap_scores import CUTS, Interval, StoreScores
from tagmine.layout import write_atomically

_KNOWN_SHOWN = 40
_STYLE = """
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr));
  gap: .5rem 1.5rem; margin: .5rem 0 0; }
.sides h4 { margin: .5rem 0 .25rem; font-size: .95rem; }
article > .asked { display: flex; gap: 1rem; align-items: flex-start; }
article > .asked figure { margin: 0; flex: 0 0 10rem; }
.near { list-style: none; display: flex; flex-wrap: wrap; gap: .5rem; margin: .25rem 0;
  padding: 0; }
.near li { width: 5.5rem; } .near img, .near .gone { width: 100%; }
.near small { display: block; color: var(--quiet); }
"""


@dataclasses.dataclass(frozen=True, slots=True)
class ShownNeighbour:
    """A neighbour of a query that is shown: its key, datastore, cosine, first caption, and picture
    (JPEG as base64, "" where its shard is out of reach)."""

    key: str
    datastore: str
    score: float
    caption: str
    thumbnail: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class ShownAnswer:
    """What one datastore or stack gave for a query that is shown.

    Attributes:
        name: of the datastore or stack.
        precision, recall: at 10 tags.
        tags: heaviest first; `own` are those that the query has, too.
        neighbours: nearest first.
    """

    name: str
    precision: float
    recall: float
    tags: tuple[GalleryTag, ...]
    neighbours: tuple[ShownNeighbour, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class ShownQuery:
    """A query for which the datastores differ: key, captions, known tags, and an answer of each."""

    key: str
    captions: tuple[str, ...]
    known: tuple[str, ...]
    answers: tuple[ShownAnswer, ...]
    thumbnail: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """Datastores and stacks, compared for the same queries.

    Attributes:
        queries: queries with tags, which the scores are means over.
        without_tags: queries that were left out since no tag of them is known.
        known: mean number of known tags of a query.
        k: neighbours a query.
        seed: of the draw and of the resampling.
        stores: the scores of each, in the order given.
        differ: the queries for which they differ most.
        notes: what whoever reads the scores should know of them.
    """

    queries: int
    without_tags: int
    known: float
    k: int
    seed: int
    stores: tuple[StoreScores, ...]
    differ: tuple[ShownQuery, ...]
    notes: tuple[str, ...] = ()


def interval_text(interval: Interval, signed: bool = False) -> str:
    """Mean and interval in three decimals, such as `0.412 (0.391 to 0.433)`."""
    style = "+.3f" if signed else ".3f"
    ends = (format(end, style) for end in (interval.low, interval.high))
    return f"{interval.mean:{style}} ({' to '.join(ends)})"


def render_page(comparison: Comparison) -> str:
    """The page as HTML; texts of strangers are escaped and cut to a bounded length."""
    names = ", ".join(store.name for store in comparison.stores)
    body = [section("scores", "Scores", _scores(comparison))]
    links = [("scores", "Scores")]
    if comparison.differ:
        lead = (
            "<p>The queries whose recall at 10 tags differs most between the datastores. <span "
            'class="badge good">✓ own</span> is a tag that is known of the query.</p>'
        )
        shown = "\n".join(_query(n, one) for n, one in enumerate(comparison.differ, 1))
        body.append(section("differ", "Where they differ most", lead + shown))
        links.append(("differ", "Where they differ most"))
    without = ""
    if comparison.without_tags:
        without = f" {comparison.without_tags:,} more have no known tag and were left out."
    lead = (
        f'<p class="lead">{text(names, 500)}: the tags of the {comparison.k} nearest images, for '
        f"{comparison.queries:,} queries with {comparison.known:.1f} known tags each on average."
        f"{without}</p>"
        + "".join(f'<p class="lead">{text(note, 600)}</p>' for note in comparison.notes)
    )
    return document("Datastores compared", lead, "\n".join(body), links, _STYLE)


def write_page(comparison: Comparison, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        OSError: when the file cannot be written.
    """
    write_atomically(path, render_page(comparison).encode())


def _scores(comparison: Comparison) -> str:
    stores = comparison.stores
    explained = (
        "<p>Precision is the share of the first so many retrieved tags that are known of the "
        "query, recall the share of its known tags among them; means over the queries with the "
        "middle 95 % of 2,000 resamplings of them. Tags are compared by their lemma, in any "
        "capitals.</p>"
    )
    tables = [_table("precision", stores, False), _table("recall", stores, False)]
    if len(stores) > 1:
        tables += [
            f"<p>The same queries, each less what {text(stores[0].name)} has for it: where an "
            "interval does not hold 0, the difference is more than the choice of queries.</p>",
            _table("precision", stores[1:], True),
            _table("recall", stores[1:], True),
        ]
    return explained + "".join(tables)


def _table(kind: str, stores: Sequence[StoreScores], gain: bool) -> str:
    rows = []
    for store in stores:
        values = [getattr(score, kind + ("_gain" if gain else "")) for score in store.scores]
        cells = [number_cell(interval_text(value, signed=gain)) for value in values]
        images = [] if gain else [number_cell(f"{store.images:,}")]
        rows.append([name_cell(store.name), *images, *cells])
    name = f"Difference in {kind}" if gain else kind.capitalize()
    columns = ["datastore", *([] if gain else ["images"]), *(f"at {cut} tags" for cut in CUTS)]
    return table(name, columns, rows)


def _query(number: int, query: ShownQuery) -> str:
    asked = (
        f"<figure>{picture(query.thumbnail, query.captions, query.key)}</figure>"
        f"<div>{captions_of(query.captions, '')}"
        f'<p class="quiet">known: {text(", ".join(query.known[:_KNOWN_SHOWN]), 600)}</p></div>'
    )
    sides = "".join(_answer(answer) for answer in query.answers)
    return (
        f"<article><h3>{number}. {text(query.key)}</h3>"
        f'<div class="asked">{asked}</div><div class="sides">{sides}</div></article>'
    )


def _answer(answer: ShownAnswer) -> str:
    tags = "".join(tag_item(tag) for tag in answer.tags)
    near = "".join(_neighbour(one) for one in answer.neighbours)
    score = f"precision {answer.precision:.2f}, recall {answer.recall:.2f}"
    listed = f'<ul class="tags">{tags}</ul>' if tags else '<p class="quiet">no tags</p>'
    return (
        f'<div><h4>{text(answer.name)}</h4><p class="quiet">{escape(score)}</p>'
        f'<ul class="near">{near}</ul>{listed}</div>'
    )


def _neighbour(one: ShownNeighbour) -> str:
    said = (one.caption,) if one.caption else ()
    return (
        f"<li>{picture(one.thumbnail, said, one.key)}"
        f"<small>{one.score:.3f} {text(one.datastore, 40)}</small></li>"
    )
