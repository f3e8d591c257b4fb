"""The answer to a query: neighbours, their tags together, and which tags are too rare to show."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from tagmine.parts import tag_of_record
from tagmine.tags import Tag
from tagmine.vocabulary import MergeKey, Vocabulary, is_kept


@dataclasses.dataclass(frozen=True, slots=True)
class Neighbour:
    """One image of the datastore, as an answer.

    Attributes:
        id: its id.
        key: its namespaced key.
        source: the shard it came from, `dataset/shard`.
        score: cosine with the query, in [-1, 1].
        captions: what was said of it.
        tags: its tags, as its captions word them.
        datastore: name of the datastore that it is in, where it was one of a stack; else "".
        weight: what its cosine counts for there.
    """

    id: int
    key: str
    source: str
    score: float
    captions: tuple[str, ...]
    tags: tuple[Tag, ...]
    datastore: str = ""
    weight: float = 1.0

    @property
    def pull(self) -> float:
        """What it adds to the weight of its tags."""
        return max(self.score, 0.0) * self.weight


@dataclasses.dataclass(frozen=True, slots=True)
class PooledTag:
    """A tag of the neighbours together.

    Attributes:
        tag: the tag, in the wording that is commonest in the datastore.
        votes: how many neighbours have it.
        score: the summed cosine of those neighbours over the summed cosine of all, in [0, 1];
            each times the weight of its datastore, where several were searched.
    """

    tag: Tag
    votes: int
    score: float


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """The neighbours of one query, nearest first, and their pooled tags, heaviest first."""

    neighbours: tuple[Neighbour, ...]
    tags: tuple[PooledTag, ...]


def neighbour_of_row(
    row: dict, score: float, datastore: str = "", weight: float = 1.0
) -> Neighbour:
    """The neighbour that a row of the tag table is, at the given cosine; see `Neighbour`."""
    captions = (row["caption"], *row["more_captions"])
    tags = tuple(tag_of_record(record) for record in row["tags"])
    place = row["id"], row["key"], row["source"]
    return Neighbour(*place, score, captions, tags, datastore, weight)


def drop_rare_tags(rows: Iterable[dict], vocabulary: Vocabulary, min_images: int) -> None:
    """Take the tags that fewer images have out of rows of the tag table, in place.

    Tags of the kinds entity and field stay, however few images have them.
    """
    rows = list(rows)
    keys = list(dict.fromkeys(_key(tag) for row in rows for tag in row["tags"]))
    found = vocabulary.look_up(keys)
    kept = {
        key
        for key, entry in zip(keys, found, strict=True)
        if is_kept(key[0], entry.images if entry else 0, min_images)
    }
    for row in rows:
        row["tags"] = [tag for tag in row["tags"] if _key(tag) in kept]


def _key(record: dict) -> MergeKey:
    return record["kind"], record["label"], record["lemma"]


def pool_tags(
    neighbours: Sequence[Neighbour], vocabulary: Vocabulary | None = None
) -> tuple[PooledTag, ...]:
    """The tags of the neighbours together, heaviest first; see `PooledTag` for the score.

    Args:
        neighbours: nearest first.
        vocabulary: where the commonest wording is found; without one, a tag is worded as by the
            nearest neighbour that has it.
    """
    voters: dict[MergeKey, list[float]] = {}
    first: dict[MergeKey, Tag] = {}
    total = sum(neighbour.pull for neighbour in neighbours)
    for neighbour in neighbours:
        for tag in neighbour.tags:
            first.setdefault(tag.merge_key, tag)
            voters.setdefault(tag.merge_key, []).append(neighbour.pull)
    shown = _commonest_wording(first, vocabulary) if vocabulary else first
    pooled = [
        PooledTag(shown[key], len(scores), sum(scores) / total if total else 0.0)
        for key, scores in voters.items()
    ]
    return tuple(sorted(pooled, key=lambda p: (-p.score, -p.votes, p.tag.lemma, p.tag.kind)))


def _commonest_wording(tags: dict[MergeKey, Tag], vocabulary: Vocabulary) -> dict[MergeKey, Tag]:
    worded = dict(tags)
    for key, entry in zip(tags, vocabulary.look_up(list(tags)), strict=True):
        if entry:
            worded[key] = dataclasses.replace(
                tags[key], text=entry.text, head=entry.head, attributes=entry.attributes
            )
    return worded
