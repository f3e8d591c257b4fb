"""Tags that one datastore has and another has not, and those whose share of images moved."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from tagmine.count_tags import open_engine
from tagmine.vocabulary import EXEMPT_KINDS, VOCABULARY_SCHEMA, Vocabulary, open_vocabulary

if TYPE_CHECKING:
    import duckdb

    from index.diff import Side

# By hash, ties are a fair sample rather than those under "a".
_TIES = "hash, kind, label, lemma"


@dataclasses.dataclass(frozen=True, slots=True)
class TagChange:
    """A tag, and how many images of each side have it."""

    kind: str
    label: str
    text: str
    before: int
    after: int


@dataclasses.dataclass(frozen=True, slots=True)
class KindChange:
    """How many tags of a kind there are, and how many of them one side alone has."""

    kind: str
    before: int
    after: int
    gained: int
    lost: int


@dataclasses.dataclass(frozen=True, slots=True)
class TagChanges:
    """The vocabularies, less the tags that a side's floor for rare tags leaves out.

    Attributes:
        images_before, images_after: images in the index.
        before, after: unique tags.
        gained, lost: tags that only one side has.
        shift: half the sum, over all tags, of the absolute difference of their shares of all
            uses, from 0 (alike) to 1 (nothing in common): the total variation distance, Levin and
            Peres, Markov Chains and Mixing Times, proposition 4.2. None where a side has no tags.
        kinds: the counts by kind.
        top_gained, top_lost: by images, most first.
        top_moved: of the tags of both, by the change of their share of images, largest first.
    """

    images_before: int
    images_after: int
    before: int
    after: int
    gained: int
    lost: int
    shift: float | None
    kinds: tuple[KindChange, ...]
    top_gained: tuple[TagChange, ...]
    top_lost: tuple[TagChange, ...]
    top_moved: tuple[TagChange, ...]


def compare_tags(before: Side, after: Side, count: int) -> TagChanges:
    """Join two vocabularies; DuckDB writes to disk what its memory has no room for.

    Raises:
        DatastoreError: when a vocabulary is damaged.
    """
    with _joined(before, after) as engine:
        rows = engine.execute(
            "SELECT kind, count(*) FILTER (before > 0), count(*) FILTER (after > 0), "
            "count(*) FILTER (before = 0), count(*) FILTER (after = 0) "
            "FROM joined GROUP BY kind ORDER BY kind"
        ).fetchall()
        kinds = tuple(KindChange(*row) for row in rows)
        images = before.manifest.live_images, after.manifest.live_images
        sizes = [max(count, 1) for count in images]
        return TagChanges(
            *images,
            sum(kind.before for kind in kinds),
            sum(kind.after for kind in kinds),
            sum(kind.gained for kind in kinds),
            sum(kind.lost for kind in kinds),
            _shift(engine),
            kinds,
            _top(engine, "before = 0", "after DESC", count),
            _top(engine, "after = 0", "before DESC", count),
            _top(
                engine,
                f"before > 0 AND after > 0 AND before / {sizes[0]} != after / {sizes[1]}",
                f"abs(after / {sizes[1]} - before / {sizes[0]}) DESC",
                count,
            ),
        )


@contextlib.contextmanager
def _joined(before: Side, after: Side) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the table `joined`: each tag of either, with images 0 where one has it not."""
    with open_engine() as engine:
        for name, side in (("first", before), ("second", after)):
            vocabulary = _vocabulary(side)
            rows = pa.Table.from_batches(vocabulary.batches(), VOCABULARY_SCHEMA)
            engine.register(f"{name}_rows", rows)
            floor = side.manifest.vocabulary.min_tag_images
            engine.execute(
                f"CREATE VIEW {name} AS SELECT hash, kind, label, lemma, text, images "
                f"FROM {name}_rows WHERE images >= {floor:d} OR kind IN {EXEMPT_KINDS}"
            )
        engine.execute(
            "CREATE TABLE joined AS SELECT hash, kind, label, lemma, "
            "coalesce(second.text, first.text) AS text, "
            "coalesce(first.images, 0) AS before, coalesce(second.images, 0) AS after "
            "FROM first FULL JOIN second USING (hash, kind, label, lemma)"
        )
        yield engine


def _vocabulary(side: Side) -> Vocabulary:
    card = side.manifest.vocabulary
    return open_vocabulary(side.path / card.file.path, card.maker)


def _shift(engine: duckdb.DuckDBPyConnection) -> float | None:
    uses = engine.execute("SELECT sum(before), sum(after) FROM joined").fetchone()
    if not all(uses):
        return None
    query = "SELECT sum(abs(before / $first - after / $second)) / 2 FROM joined"
    totals = {"first": float(uses[0]), "second": float(uses[1])}
    return float(engine.execute(query, totals).fetchone()[0])


def _top(
    engine: duckdb.DuckDBPyConnection, where: str, order: str, count: int
) -> tuple[TagChange, ...]:
    rows = engine.execute(
        f"SELECT kind, label, text, before, after FROM joined WHERE {where} "
        f"ORDER BY {order}, {_TIES} LIMIT ?",
        [count],
    ).fetchall()
    return tuple(TagChange(*row) for row in rows)
