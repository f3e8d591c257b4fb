"""Several datastores of one encoder, searched as one."""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from index.asking import Asking
from index.nearest import keys_by_query
from index.origins import Origin
from index.pooling import Answer, Neighbour, neighbour_of_row, pool_tags
from index.search import Datastore, open_datastore
from index.stack_plan import StackPlan, check_encoders, check_numbers
from tagmine.errors import DatastoreError
from tagmine.layout import MAX_PARTS, part_of, sample_id

if TYPE_CHECKING:
    from index.encoder import Encoder

# Copies of a picture that were embedded in other batches differ by less in their cosines.
_SAME_SCORE = 1e-3


class Stack(Asking):
    """Open datastores that answer as one; make one with `open_stack`.

    The ids of `search`, `rows` and `locate` count the parts of each datastore on from those of the
    one before, so that none clash. An image of the same key and embedding in several counts once.

    Attributes:
        datastores: the open datastores.
        names: of each, as answers name it.
        weights: what the cosines of each count for.
        shares: of the k neighbours, the share of each; None for the nearest of all.
    """

    def __init__(
        self,
        datastores: Sequence[Datastore],
        names: Sequence[str],
        weights: Sequence[float] = (),
        shares: Sequence[float] | None = None,
    ) -> None:
        """Stack open datastores.

        Raises:
            DatastoreError: when their encoders differ, naming them, or there are too many parts.
            ConfigurationError: for weights or shares that mean nothing.
            ValueError: for no datastore.
        """
        if not datastores:
            raise ValueError("expected a datastore or several, got none")
        self.datastores = tuple(datastores)
        self.names = tuple(names)
        self.weights = tuple(weights) or (1.0,) * len(names)
        self.shares = None if shares is None else tuple(shares)
        check_numbers(self.names, self.weights, self.shares)
        check_encoders([(d.root, d.manifest.encoder) for d in self.datastores])
        lengths = [max((p.part for p in d.manifest.parts), default=-1) + 1 for d in datastores]
        if sum(lengths) > MAX_PARTS:
            raise DatastoreError(
                f"{', '.join(self.names)} have {sum(lengths):,} part numbers together; at most "
                f"{MAX_PARTS:,} can be searched as one."
            )
        self._starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        sources = Counter(
            source for d in self.datastores for source in {p.source for p in d.manifest.parts}
        )
        self._share_sources = any(count > 1 for count in sources.values())

    def __len__(self) -> int:
        """How many images they hold together, those in several counted in each."""
        return sum(map(len, self.datastores))

    @property
    def encoder(self) -> Encoder:
        """The encoder of all, as `Datastore.encoder`."""
        return self.datastores[0].encoder

    def accept(self, encoder: Encoder) -> Encoder:
        """Return `encoder` if it is the one that made the embeddings; see `Datastore.accept`."""
        return self.datastores[0].accept(encoder)

    def search(
        self,
        vectors: np.ndarray,
        k: int,
        *,
        nprobe: int | None = None,
        rerank: int | None = None,
        exclude_keys: Sequence[str | int] | Sequence[Sequence[str | int]] = (),
        exclude_above: float | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest images of each vector in all datastores, by weighted cosine.

        Args and errors are those of `Datastore.search`.

        Returns:
            ids int64 [q, k] as this stack counts them, and cosines float32 [q, k] without weights;
            -1 and -inf where there are no more.
        """
        k = operator.index(k)
        everywhere, by_query = keys_by_query(exclude_keys, len(vectors))
        ids, scores = [], []
        for number, datastore in enumerate(self.datastores):
            excluded = self._own(number, everywhere)
            if by_query is not None:
                excluded = [[*excluded, *self._own(number, keys)] for keys in by_query]
            found, cosines = datastore.search(
                vectors,
                k,
                nprobe=nprobe,
                rerank=rerank,
                exclude_keys=excluded,
                exclude_above=exclude_above,
            )
            start = sample_id(int(self._starts[number]), 0)
            ids.append(np.where(found >= 0, found + start, -1))
            scores.append(cosines)
        if len(ids) == 1:
            return ids[0], scores[0]
        return self._merge(np.concatenate(ids, axis=1), np.concatenate(scores, axis=1), k)

    def _own(self, number: int, keys: Sequence[str | int]) -> list[str | int]:
        """Keys, and of the ids those of one datastore, as it counts them."""
        kept = []
        for key in keys:
            if isinstance(key, str):
                kept.append(key)
            elif self._store_of(int(key)) == number:
                kept.append(int(key) - sample_id(int(self._starts[number]), 0))
        return kept

    def _store_of(self, row_id: int) -> int:
        return int(np.searchsorted(self._starts, part_of(row_id), "right")) - 1

    def _merge(self, ids: np.ndarray, scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k of each row [q, s * k] that count, s datastores side by side.

        k of each are enough: a key stands once in a datastore, so that none of the k first has k
        others of its own datastore before it.
        """
        pulls = scores * np.repeat(np.array(self.weights, np.float32), k)
        order = np.argsort(-pulls, axis=1, kind="stable")
        ids, scores = np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1)
        if self.shares is None and not self._share_sources:
            return ids[:, :k], scores[:, :k]
        keys = self._keys(ids) if self._share_sources else {}
        merged_ids = np.full((len(ids), k), -1, np.int64)
        merged_scores = np.full((len(ids), k), -np.inf, np.float32)
        for row in range(len(ids)):
            places = _once(ids[row].tolist(), scores[row].tolist(), keys)
            if self.shares is not None:
                places = self._shared_out(places, ids[row], k)
            chosen = places[:k]
            merged_ids[row, : len(chosen)] = ids[row, chosen]
            merged_scores[row, : len(chosen)] = scores[row, chosen]
        return merged_ids, merged_scores

    def _keys(self, ids: np.ndarray) -> dict[int, str]:
        return {row_id: origin.key for row_id, origin in self.locate(ids.reshape(-1)).items()}

    def _shared_out(self, places: list[int], ids: np.ndarray, k: int) -> list[int]:
        """Each datastore's share of k; what one lacks, the nearest of the others fill."""
        quotas = share_out(self.shares, k)
        within, beyond = [], []
        for place in places:
            number = self._store_of(int(ids[place]))
            (within if quotas[number] > 0 else beyond).append(place)
            quotas[number] -= 1
        return sorted([*within, *beyond[: max(0, k - len(within))]])

    def ids_of(self, keys: Sequence[str | int]) -> np.ndarray:
        """The ids int64 [n] of those keys that any datastore holds; ids stand for themselves."""
        found = [np.array([int(key) for key in keys if not isinstance(key, str)], np.int64)]
        named = [key for key in keys if isinstance(key, str)]
        for start, datastore in zip(self._starts.tolist(), self.datastores, strict=False):
            found.append(datastore.ids_of(named) + sample_id(start, 0))
        return np.unique(np.concatenate(found))

    def locate(self, ids: Iterable[int]) -> dict[int, Origin]:
        """Where images came from, by id; -1 is left out. See `Datastore.locate`.

        Source and key are those of their datastore; the part is as this stack counts.
        """
        located: dict[int, Origin] = {}
        for number, own in self._by_store(ids).items():
            start = int(self._starts[number])
            for origin in self.datastores[number].locate(own).values():
                stacked = origin.id + sample_id(start, 0)
                located[stacked] = Origin(stacked, origin.key, origin.source, origin.part + start)
        return located

    def rows(self, ids: Sequence[int]) -> dict[int, dict]:
        """Rows of the tag tables by id, under the ids of this stack; see `Datastore.rows`."""
        found: dict[int, dict] = {}
        for number, own in self._by_store(ids).items():
            start = sample_id(int(self._starts[number]), 0)
            for row_id, row in self.datastores[number].rows(own).items():
                found[row_id + start] = {**row, "id": row_id + start}
        return found

    def name_of(self, row_id: int) -> str:
        """Name of the datastore that an image is in."""
        return self.names[self._store_of(row_id)]

    def _by_store(self, ids: Iterable[int]) -> dict[int, list[int]]:
        """The ids of each datastore, as it counts them; -1 is left out.

        Raises:
            DatastoreError: for an id that is beyond all of them.
        """
        wanted = np.unique(np.array([row_id for row_id in ids if row_id >= 0], np.int64))
        stores = np.searchsorted(self._starts, part_of(wanted), "right") - 1
        if len(stores) and stores[-1] >= len(self.datastores):
            raise DatastoreError(
                f"none of {', '.join(self.names)} has the id {wanted[-1]}. Ask for ids that a "
                "search of this stack gave."
            )
        return {
            number: (wanted[stores == number] - sample_id(int(self._starts[number]), 0)).tolist()
            for number in np.unique(stores).tolist()
        }

    def answers(self, ids: np.ndarray, scores: np.ndarray) -> list[Answer]:
        """What `query` gives, for the ids [q, k] and cosines [q, k] that `search` gave.

        A neighbour has the id that its own datastore knows it by. A tag is worded as is commonest
        in the datastore; in several, as by the nearest neighbour that has it.
        """
        rows = self.rows(np.unique(ids[ids >= 0]).tolist())
        vocabulary = self.datastores[0].vocabulary if len(self.datastores) == 1 else None
        answers = []
        for row_ids, row_scores in zip(ids.tolist(), scores.tolist(), strict=True):
            pairs = zip(row_ids, row_scores, strict=True)
            near = tuple(self._neighbour(rows[i], score) for i, score in pairs if i in rows)
            answers.append(Answer(near, pool_tags(near, vocabulary)))
        return answers

    def _neighbour(self, row: dict, score: float) -> Neighbour:
        number = self._store_of(row["id"])
        own = row | {"id": row["id"] - sample_id(int(self._starts[number]), 0)}
        return neighbour_of_row(own, score, self.names[number], self.weights[number])


def _once(ids: list[int], scores: list[float], keys: dict[int, str]) -> list[int]:
    """Places in a ranking of the images that count: those there are, copies of a key once."""
    seen: dict[str, list[float]] = {}
    places = []
    for place, (row_id, score) in enumerate(zip(ids, scores, strict=True)):
        if row_id < 0:
            continue
        if row_id in keys:
            before = seen.setdefault(keys[row_id], [])
            if any(math.isclose(score, other, abs_tol=_SAME_SCORE) for other in before):
                continue
            before.append(score)
        places.append(place)
    return places


def share_out(shares: Sequence[float], k: int) -> list[int]:
    """k as whole numbers by shares that add up to 1: the largest remainders are rounded up."""
    exact = [share * k for share in shares]
    counts = [math.floor(number + 1e-9) for number in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: (counts[i] - exact[i], i))
    for number in by_remainder[: k - sum(counts)]:
        counts[number] += 1
    return counts


def name_stores(folders: Sequence[str | Path]) -> tuple[str, ...]:
    """Short names of datastores: their folders' own, and the whole path where these are equal."""
    paths = [Path(folder).absolute() for folder in folders]
    counts = Counter(path.name for path in set(paths))
    return tuple(
        path.name if counts[path.name] == 1 else str(folder)
        for path, folder in zip(paths, folders, strict=True)
    )


def open_stack(
    stores: StackPlan | Sequence[str | Path | Datastore],
    weights: Sequence[float] = (),
    shares: Sequence[float] | None = None,
    encoder: Encoder | None = None,
) -> Stack:
    """Open datastores to be searched as one; a single one is a stack, too.

    Args:
        stores: their folders, or open datastores among them; or what `parse_stack` gave, with
            weights and shares in it.
        weights: what the cosines of each count for when answers are merged; by default 1.
        shares: of the k neighbours, the share of each datastore, adding up to 1; by default the
            nearest of all are taken.
        encoder: what pictures will be embedded with; by default the one that they name.

    Raises:
        DatastoreError: for a folder that is no datastore, or encoders that differ.
        ConfigurationError: for weights or shares that mean nothing.
        ValueError: for no datastore.
    """
    if isinstance(stores, StackPlan):
        stores, weights, shares = stores.folders, stores.weights, stores.shares
    opened = [s if isinstance(s, Datastore) else open_datastore(s) for s in stores]
    names = name_stores(
        [d.root if isinstance(s, Datastore) else s for s, d in zip(stores, opened, strict=True)]
    )
    stack = Stack(opened, names, weights, shares)
    if encoder is not None:
        for datastore in opened:
            datastore.encoder = datastore.accept(encoder)
    return stack
