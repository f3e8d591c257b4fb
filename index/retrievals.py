"""What a model reads of the datastore for one image: its neighbours, and their tags together."""

from __future__ import annotations

import dataclasses

from index.pooling import Answer


@dataclasses.dataclass(frozen=True, slots=True)
class RetrievedTag:
    """A tag of the neighbours together.

    Attributes:
        text: its wording.
        kind: as in the tag table: object, attribute, entity, relation or field.
        votes: how many neighbours have it.
        score: the summed cosine of those neighbours over the summed cosine of all, in [0, 1].
        neighbours: their positions in the retrieval, ascending.
    """

    text: str
    kind: str
    votes: int
    score: float
    neighbours: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class RetrievedNeighbour:
    """One image of the datastore.

    Attributes:
        id: its id.
        key: its namespaced key.
        source: the shard it came from, `dataset/shard`.
        score: cosine with the query, in [-1, 1].
        captions: what was said of it.
    """

    id: int
    key: str
    source: str
    score: float
    captions: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Retrieval:
    """The neighbours of one image, nearest first, and their tags, heaviest first."""

    tags: tuple[RetrievedTag, ...]
    neighbours: tuple[RetrievedNeighbour, ...]


EMPTY = Retrieval((), ())
"""Nothing was looked up, or nothing found."""


def retrieval_of_answer(answer: Answer, max_tags: int) -> Retrieval:
    """What a model reads of an answer.

    Tags of one wording, such as an object and an entity, are one tag here, whichever letters are
    capitals: it has the votes of both, and the kind and wording of the heavier.

    Args:
        answer: neighbours and pooled tags, as `Datastore.query` gives them.
        max_tags: how many tags are kept, the heaviest.

    Raises:
        ValueError: for fewer than one tag.
    """
    if max_tags < 1:
        raise ValueError(f"expected max_tags of at least 1, got {max_tags}")
    weights = [max(neighbour.score, 0.0) for neighbour in answer.neighbours]
    total = sum(weights)
    tagged = [{tag.merge_key for tag in neighbour.tags} for neighbour in answer.neighbours]
    worded: dict[str, tuple[str, str, set[int]]] = {}
    for pooled in answer.tags:
        tag = pooled.tag
        _, _, voters = worded.setdefault(tag.text.casefold(), (tag.text, tag.kind, set()))
        voters.update(place for place, keys in enumerate(tagged) if tag.merge_key in keys)
    tags = []
    for text, kind, voters in worded.values():
        places = tuple(sorted(voters))
        score = sum(weights[place] for place in places) / total if total else 0.0
        tags.append(RetrievedTag(text, kind, len(places), score, places))
    # Stable: of equal weight, those that the pooling has first.
    tags.sort(key=lambda tag: (-tag.score, -tag.votes))
    neighbours = tuple(
        RetrievedNeighbour(n.id, n.key, n.source, n.score, n.captions) for n in answer.neighbours
    )
    return Retrieval(tuple(tags[:max_tags]), neighbours)
