"""Whether numbers of two sides can be held against each other: better and worse need a common
ground."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from tagmine.manifest import Manifest

if TYPE_CHECKING:
    from index.diff import Side

Ground = Literal["images", "queries", "codes"]

# A datastore that grew shares all of its images with what it grew into, one of other shards none.
_LEAST_SHARED = 0.5


@dataclasses.dataclass(frozen=True, slots=True)
class Basis:
    """What two sides have in common.

    Attributes:
        shared: images of input shards that both have, as a share of the smaller side's; None
            where a side is a report alone.
        same_queries: whether both reports asked the same queries.
        same_kind: whether both asked held-out queries, or both stored images.
        same_key: whether both indexes have one specification.
    """

    shared: float | None
    same_queries: bool
    same_kind: bool
    same_key: bool

    @property
    def images(self) -> bool:
        """Whether both are about the same images, by and large."""
        # Of a report alone that is not known; that the same was asked of both is the best sign.
        return self.same_queries if self.shared is None else self.shared >= _LEAST_SHARED

    def holds(self, ground: Ground) -> bool:
        """Whether a number that needs this ground may be called better or worse."""
        match ground:
            case "images":
                return self.images
            case "queries":
                return self.images and (self.same_queries or self.same_kind)
        # Codes of another kind lie in another space: of whole vectors the error is 0 by definition.
        return self.images and self.same_key


def common_basis(before: Side, after: Side) -> Basis:
    """What the two have in common, by their manifests and reports."""
    shared = None
    if before.manifest is not None and after.manifest is not None:
        shared = _shared(before.manifest, after.manifest)
    first, second = before.report, after.report
    if first is None or second is None:
        return Basis(shared, False, False, False)
    return Basis(
        shared,
        bool(first.queries_sha256) and first.queries_sha256 == second.queries_sha256,
        first.held_out == second.held_out,
        first.index_key == second.index_key,
    )


def _shared(before: Manifest, after: Manifest) -> float:
    """A shard is the same by its name or, where it has moved, by its bytes."""
    names = {part.source for part in after.parts}
    hashes = {part.source_sha256 for part in after.parts}
    found = sum(
        part.stages["index"].written
        for part in before.parts
        if part.source in names or part.source_sha256 in hashes
    )
    return min(1.0, found / max(min(before.images, after.images), 1))
