"""What a vocabulary holds: counts, the commonest and rarest tags, and what a floor leaves out."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from tagmine.count_tags import open_engine
from tagmine.layout import atomic_path
from tagmine.vocabulary import EXEMPT_KINDS, VOCABULARY_SCHEMA, Vocabulary, VocabularyEntry

if TYPE_CHECKING:
    import duckdb

FLOORS = (2, 5, 10)
_ENTRY = "kind, label, lemma, text, head, attributes, images, mentions"
# The rarest are mostly singletons; by hash, they are a fair sample rather than those under "a".
_RAREST = "images, hash, kind, label, lemma"
_COMMONEST = "images DESC, lemma, kind, label"


@dataclasses.dataclass(frozen=True, slots=True)
class Selection:
    """Which tags: of a kind, of a label, with a text in wording or lemma; None for all."""

    kind: str | None = None
    label: str | None = None
    contains: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class TagsAnImage:
    """How many tags the images have; median and p95 are of the images in order of their tags."""

    mean: float
    median: int
    p95: int
    most: int
    images_without: int


@dataclasses.dataclass(frozen=True, slots=True)
class TagGroup:
    """The tags of a kind and label: how many, how often images have them, how many only once."""

    kind: str
    label: str
    tags: int
    uses: int
    singletons: int


@dataclasses.dataclass(frozen=True, slots=True)
class FloorEffect:
    """What a floor for rare tags leaves out: tags, and uses of them by images."""

    min_tag_images: int
    tags_left_out: int
    uses_left_out: int


@dataclasses.dataclass(frozen=True, slots=True)
class VocabularySummary:
    """What `summarize` found.

    Attributes:
        images: images counted.
        unique: tags of the whole vocabulary.
        tags_an_image: over the whole vocabulary.
        groups: of the selection, largest first.
        floors: effects on the selection, by floor.
        commonest, rarest: entries of the selection.
    """

    images: int
    unique: int
    tags_an_image: TagsAnImage
    groups: tuple[TagGroup, ...]
    floors: tuple[FloorEffect, ...]
    commonest: tuple[VocabularyEntry, ...]
    rarest: tuple[VocabularyEntry, ...]

    @property
    def selected(self) -> TagGroup:
        """All groups of the selection as one, with neither kind nor label."""
        sums = [sum(getattr(g, n) for g in self.groups) for n in ("tags", "uses", "singletons")]
        return TagGroup("", "", *sums)


def summarize(
    vocabulary: Vocabulary, selection: Selection, count: int, floors: Sequence[int] = FLOORS
) -> VocabularySummary:
    """Look at the tags of a selection.

    Args:
        vocabulary: all tags.
        selection: which of them.
        count: how many of the commonest and of the rarest.
        floors: the `min_tag_images` whose effects are asked for.

    Raises:
        DatastoreError: when the vocabulary is damaged.
    """
    with _selected(vocabulary, selection) as engine:
        groups = engine.execute(
            "SELECT kind, label, count(*), sum(images)::BIGINT, count(*) FILTER (images = 1) "
            "FROM chosen GROUP BY kind, label ORDER BY count(*) DESC, kind, label"
        ).fetchall()
        return VocabularySummary(
            images=vocabulary.footer.images,
            unique=len(vocabulary),
            tags_an_image=_tags_an_image(vocabulary),
            groups=tuple(TagGroup(*row) for row in groups),
            floors=tuple(_floor_effect(engine, floor) for floor in floors),
            commonest=_entries(engine, _COMMONEST, count),
            rarest=_entries(engine, _RAREST, count),
        )


def list_tags(
    vocabulary: Vocabulary, selection: Selection, start: int, count: int, rarest: bool = False
) -> tuple[int, tuple[VocabularyEntry, ...]]:
    """How many tags a selection has, and some of them, commonest or rarest first.

    Args:
        vocabulary: all tags.
        selection: which of them.
        start: how many are passed over.
        count: how many to give at most.
        rarest: whether to begin with the rarest.

    Raises:
        DatastoreError: when the vocabulary is damaged.
    """
    order = _RAREST if rarest else _COMMONEST
    with _selected(vocabulary, selection) as engine:
        total = engine.execute("SELECT count(*) FROM chosen").fetchone()[0]
        return total, _entries(engine, order, count, start)


# Tags come from strangers, and "=HYPERLINK(…)" in a cell is run by whoever opens it.
_UNCALCULATED = r"regexp_replace({0}, '^([=+@\t\r-])', '''\1')"


def export_tags(
    vocabulary: Vocabulary, selection: Selection, min_images: int, target: Path
) -> None:
    """Write the tags of a selection, commonest first, as `.csv` or `.parquet`.

    Columns are those of the vocabulary, less its hash, and `kept`: whether the tag passes the
    floor. In CSV, attributes are separated by "; ", and a text that a spreadsheet would take for a
    formula has an apostrophe before it.

    Raises:
        DatastoreError: when the vocabulary is damaged.
        OSError: when the file cannot be written.
    """
    as_csv = target.suffix.lower() == ".csv"
    columns = _ENTRY
    for name in ("text", "lemma", "head", "label", "attributes"):
        said = "array_to_string(attributes, '; ')" if name == "attributes" else name
        columns = columns.replace(name, f"{_UNCALCULATED.format(said)} AS {name}", 1)
    kept = f"images >= {min_images:d} OR kind IN {EXEMPT_KINDS} AS kept"
    with _selected(vocabulary, selection) as engine, atomic_path(target) as temporary:
        path = str(temporary).replace("'", "''")
        engine.execute(
            f"COPY (SELECT {columns if as_csv else _ENTRY}, {kept} FROM chosen "
            f"ORDER BY {_COMMONEST}) TO '{path}' (FORMAT {'csv' if as_csv else 'parquet'})"
        )


@contextlib.contextmanager
def _selected(vocabulary: Vocabulary, selection: Selection) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB over the memory-mapped rows, with the selection as the table `chosen`."""
    conditions = {
        "kind = $kind": selection.kind,
        "label = $label": selection.label,
        "(contains(lower(text), lower($contains)) OR contains(lower(lemma), lower($contains)))": (
            selection.contains
        ),
    }
    asked = {text: value for text, value in conditions.items() if value is not None}
    where = f"WHERE {' AND '.join(asked)}" if asked else ""
    names = ("kind", "label", "contains")
    values = {name: v for name in names if (v := getattr(selection, name)) is not None}
    with open_engine() as engine:
        rows = pa.Table.from_batches(vocabulary.batches(), VOCABULARY_SCHEMA)
        engine.register("vocabulary", rows)
        if asked:
            engine.execute(f"CREATE TABLE chosen AS SELECT * FROM vocabulary {where}", values)
        else:
            engine.execute("CREATE VIEW chosen AS SELECT * FROM vocabulary")
        yield engine


def _tags_an_image(vocabulary: Vocabulary) -> TagsAnImage:
    pairs = vocabulary.footer.tags_an_image
    images = vocabulary.footer.images
    total = sum(tags * number for tags, number in pairs)
    return TagsAnImage(
        mean=total / images if images else 0.0,
        median=_quantile(pairs, 0.5),
        p95=_quantile(pairs, 0.95),
        most=pairs[-1][0] if pairs else 0,
        images_without=dict(pairs).get(0, 0),
    )


def _quantile(pairs: Sequence[tuple[int, int]], share: float) -> int:
    """The smallest number of tags that at least this share of images do not exceed."""
    wanted = share * sum(number for _, number in pairs)
    reached = 0
    for tags, number in pairs:
        reached += number
        if reached >= wanted:
            return tags
    return 0


def _floor_effect(engine: duckdb.DuckDBPyConnection, floor: int) -> FloorEffect:
    tags, uses = engine.execute(
        "SELECT count(*), coalesce(sum(images), 0)::BIGINT FROM chosen "
        f"WHERE images < ? AND kind NOT IN {EXEMPT_KINDS}",
        [floor],
    ).fetchone()
    return FloorEffect(floor, tags, uses)


def _entries(
    engine: duckdb.DuckDBPyConnection, order: str, count: int, start: int = 0
) -> tuple[VocabularyEntry, ...]:
    query = f"SELECT {_ENTRY} FROM chosen ORDER BY {order} LIMIT ? OFFSET ?"
    rows = engine.execute(query, [count, start])
    return tuple(VocabularyEntry(*row[:5], tuple(row[5]), *row[6:]) for row in rows.fetchall())
