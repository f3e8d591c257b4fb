"""What retrieval found for one image: tags and neighbours, as a model reads them."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class RetrievedTag:
    """A tag of the neighbours together; `neighbours` are the positions of those that have it."""

    text: str
    kind: str
    votes: int
    score: float
    neighbours: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class RetrievedNeighbour:
    """One image of the datastore; `score` is its cosine with the query."""

    id: int
    key: str
    source: str
    score: float
    captions: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Retrieval:
    """The tags of one image, heaviest first, and the neighbours that they come from."""

    tags: tuple[RetrievedTag, ...]
    neighbours: tuple[RetrievedNeighbour, ...]


EMPTY = Retrieval((), ())
