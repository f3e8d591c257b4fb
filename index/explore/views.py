"""What the templates show, made of what the datastores answer."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode

from index.card import YOURS
from index.explore.stores import Found, Store
from index.report import Report
from index.report_file import read_report
from tagmine.errors import TagmineError
from tagmine.layout import MANIFEST
from tagmine.parts import file_sha256
from tagmine.tags import Tag

# The others are a click away.
_TAGS_SHOWN = 12
_MAX_CARD_BYTES = 1 << 20
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)


@dataclasses.dataclass(frozen=True, slots=True)
class TagLink:
    """A tag, and where its images are shown."""

    text: str
    kind: str
    href: str


@dataclasses.dataclass(frozen=True, slots=True)
class NeighbourView:
    """A neighbour: its place among them from 1, its datastore and id there, and its captions."""

    rank: int
    store: Store
    id: int
    score: float
    captions: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class PooledView:
    """A pooled tag with its weight, 0 to 1, and the ranks of the neighbours that it comes from."""

    link: TagLink
    weight: float
    ranks: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """One column of the answer: some datastores together, and what they found or why not."""

    stores: tuple[Store, ...]
    neighbours: tuple[NeighbourView, ...] = ()
    tags: tuple[PooledView, ...] = ()
    more_tags: tuple[PooledView, ...] = ()
    problem: str = ""

    @property
    def title(self) -> str:
        return " + ".join(store.name for store in self.stores)

    @property
    def images(self) -> int:
        return sum(len(store.datastore) for store in self.stores)


def tag_link(store: Store, tag: Tag) -> TagLink:
    """A tag as a link to the images that have it."""
    query = urlencode({"kind": tag.kind, "label": tag.label, "lemma": tag.lemma})
    kind = f"{tag.kind} {tag.label}" if tag.label else tag.kind
    return TagLink(tag.text, kind, f"/tag/{store.number}?{query}")


def column_of(stores: Sequence[Store], found: Found) -> Column:
    """A column of what was found."""
    neighbours = found.answer.neighbours
    shown = tuple(
        NeighbourView(rank, store, near.id, near.score, near.captions)
        for rank, (near, store) in enumerate(zip(neighbours, found.stores, strict=True), 1)
    )
    carried = [{tag.merge_key for tag in neighbour.tags} for neighbour in neighbours]
    pooled = []
    for weighed in found.answer.tags:
        ranks = tuple(r for r, keys in enumerate(carried, 1) if weighed.tag.merge_key in keys)
        # In a stack, the images with the tag are those of the nearest that has it.
        link = tag_link(shown[ranks[0] - 1].store, weighed.tag)
        pooled.append(PooledView(link, min(weighed.score, 1.0), ranks))
    return Column(tuple(stores), shown, tuple(pooled[:_TAGS_SHOWN]), tuple(pooled[_TAGS_SHOWN:]))


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What the datastore's report says, or why there is none.

    Attributes:
        report: the report; None where there is none that can be read.
        problem: why not, else "".
        outdated: whether the datastore has changed since.
    """

    report: Report | None
    problem: str = ""
    outdated: bool = False


def verdict_of(store: Store) -> Verdict:
    """The verdict of a datastore's own report."""
    root = store.datastore.root
    path = _own_file(store, "report/report.json")
    if path is None:
        return Verdict(None)
    try:
        report = read_report(path)
    except TagmineError as error:
        return Verdict(None, str(error))
    return Verdict(report, "", report.manifest_sha256 != file_sha256(root / MANIFEST))


def _own_file(store: Store, name: str) -> Path | None:
    """A plain file of the datastore; a link of a stranger may lead anywhere, and is passed over."""
    root = store.datastore.root.resolve()
    path = (root / name).resolve()
    return path if path.is_relative_to(root) and path.is_file() else None


def card_text(store: Store) -> tuple[str, str]:
    """Front matter and Markdown of the datastore's card; "" where it has none."""
    path = _own_file(store, "README.md")
    if path is None or path.stat().st_size > _MAX_CARD_BYTES:
        return "", ""
    text = path.read_text(encoding="utf-8", errors="replace").replace(YOURS, "")
    found = _FRONT_MATTER.match(text)
    return (found[1], text[found.end() :]) if found else ("", text)


@dataclasses.dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What a model answered with the tags of some datastores, "" for without any; or why not."""

    stores: str
    text: str = ""
    problem: str = ""
