"""Open a datastore and find the images nearest to a vector or a picture."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from index.asking import Asking
from index.live import removed_of
from index.nearest import Effort, Exclusions, find_nearest, keys_by_query
from index.opening import REPAIR, check_files, check_unit_norm, open_shards, open_trained
from index.origins import Origin, find_ids, find_origins
from index.pooling import Answer, drop_rare_tags, neighbour_of_row, pool_tags
from index.shards import IndexShards
from index.tag_rows import read_tag_rows
from tagmine.embeddings import EmbeddingsPart, open_embeddings
from tagmine.errors import DatastoreError
from tagmine.layout import part_of
from tagmine.manifest import Manifest, PartCard, read_manifest
from tagmine.opened import local_folder
from tagmine.parts import PartFooter
from tagmine.vocabulary import Vocabulary, open_vocabulary

if TYPE_CHECKING:
    from index.encoder import Encoder

# A process of Linux maps 65,530 files by default; a datastore may have more parts.
MAX_MAPPED_PARTS = 16_384
_READERS = 8


class Datastore(Asking):
    """An open datastore; make one with `open_datastore`.

    Attributes:
        root: its folder.
        manifest: what it is made of.
        shards: the open index shards, memory-mapped; the merged index alone where there is one.
        index_shards: the same, searched as one.
        removed: what was taken out; what of it is still in the files, no answer shows.
    """

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self.root = root
        self.manifest = manifest
        self.removed = removed_of(root, manifest)
        self.shards = open_shards(root, manifest)
        try:
            self.index_shards = IndexShards(self.shards, open_trained(root, manifest))
        except DatastoreError as error:
            raise DatastoreError(f"{root}: {error}") from error
        self._parts: dict[int, EmbeddingsPart] = {}

    def __len__(self) -> int:
        return self.manifest.live_images

    @cached_property
    def _part_cards(self) -> dict[int, PartCard]:
        return {part.part: part for part in self.manifest.parts}

    @cached_property
    def _parts_by_source(self) -> dict[str, int]:
        return {part.source: part.part for part in self.manifest.parts}

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Every tag of the datastore, with how many images have it, memory-mapped.

        Raises:
            DatastoreError: when it is damaged, or was made anew since the manifest was written.
        """
        card = self.manifest.vocabulary
        return open_vocabulary(self.root / card.file.path, card.maker)

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder that the datastore names, loaded when first asked for.

        Raises:
            DatastoreError: when the name is a path of another machine, or its weights differ.
        """
        from index.encoder import load_encoder

        name = self.manifest.encoder.clip_model
        if is_local_checkpoint(name):
            raise DatastoreError(
                f"{self.root} was embedded with a local checkpoint, {name}, which is not opened "
                "unasked. Give it with --clip-model, or load_encoder and open_datastore(…, "
                "encoder=…)."
            )
        return self.accept(load_encoder(name))

    def accept(self, encoder: Encoder) -> Encoder:
        """Return `encoder` if it is the one that made the embeddings.

        Raises:
            DatastoreError: naming both, when it is another.
        """
        pinned = self.manifest.encoder
        if encoder.card.fingerprint != pinned.fingerprint:
            raise DatastoreError(
                f"{self.root} was embedded with {pinned.clip_model} (weights "
                f"{pinned.weights_sha256[:12]}, {pinned.dim} dimensions), not with "
                f"{encoder.card.clip_model} (weights {encoder.card.weights_sha256[:12]}, "
                f"{encoder.card.dim} dimensions). Query it with its own encoder, or embed the "
                "shards again with yours."
            )
        return encoder

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
        """The k nearest images of each vector, by cosine, nearest first.

        The compressed index proposes candidates, which are then scored exactly with the float16
        embeddings. `locate` tells where each came from.

        Args:
            vectors: [q, dim], unit norm within 1 %.
            k: how many, at least 1.
            nprobe: inverted lists that are visited; by default the manifest's.
            rerank: candidates that are scored exactly, and at least the answers are; 0 for the
                index's own scores. By default the manifest's, and at least the answers.
            exclude_keys: keys or ids that are left out of every answer; or for each query a list
                of those that are left out of its own. Those that the datastore does not hold are
                left out anyway.
            exclude_above: images whose exact cosine with the query is this or more are left out,
                as copies of the query are.

        Returns:
            ids int64 [q, k] and scores float32 [q, k]. There are k whatever is excluded, as long
            as the datastore holds so many others; then -1 and -inf.

        Raises:
            ValueError: for vectors of another shape or norm, or numbers out of range.
        """
        queries = self._check(vectors, operator.index(k))
        default = self.manifest.index
        effort = Effort(
            default.nprobe if nprobe is None else nprobe,
            # An exact index needs no re-rank; its answers are scored with the embeddings anyway.
            max(default.rerank, 1) if rerank is None else rerank,
        )
        if (nprobe is not None and nprobe < 1) or effort.rerank < 0:
            raise ValueError(
                f"expected nprobe of at least 1 and rerank of at least 0, got {nprobe}, {rerank}"
            )
        if exclude_above is not None and not -1 <= exclude_above <= 1:
            raise ValueError(f"expected exclude_above within [-1, 1], got {exclude_above}")
        everywhere, by_query = keys_by_query(exclude_keys, len(queries))
        exclusions = Exclusions(
            self.ids_of(everywhere),
            None if by_query is None else tuple(self.ids_of(keys) for keys in by_query),
            exclude_above,
            self.removed,
        )
        return find_nearest(self.index_shards, self.embeddings, queries, k, effort, exclusions)

    def ids_of(self, keys: Sequence[str | int]) -> np.ndarray:
        """The ids int64 [n] of those keys that the datastore holds; ids stand for themselves."""
        found = find_ids(keys, self._parts_by_source, self.embeddings)
        return found[~self.removed.hides(found)]

    def locate(self, ids: Iterable[int]) -> dict[int, Origin]:
        """Where images came from: key, source and part by id; -1 is left out.

        Raises:
            DatastoreError: for an id that the datastore does not hold.
        """
        wanted = np.array(list(ids), np.int64)
        hidden = wanted[self.removed.hides(wanted)]
        if len(hidden):
            raise DatastoreError(f"{self.root}: the image {hidden[0]} was taken out.")
        return find_origins(wanted.tolist(), self.embeddings)

    def _check(self, vectors: np.ndarray, k: int) -> np.ndarray:
        queries = np.ascontiguousarray(vectors, np.float32)
        dim = self.manifest.index.dim
        if queries.ndim != 2 or queries.shape[1] != dim:
            raise ValueError(f"expected vectors of shape [q, {dim}], got {queries.shape}")
        norms = np.linalg.norm(queries, axis=1)
        if not np.all(np.abs(norms - 1) < 0.01):
            raise ValueError(
                f"expected vectors of unit norm, got norms {norms.min():.3f} to "
                f"{norms.max():.3f}; divide each by its norm"
            )
        if k < 1:
            raise ValueError(f"expected k of at least 1, got {k}")
        return queries

    def embeddings(self, part: int) -> EmbeddingsPart:
        """The memory-mapped embeddings of a part.

        Raises:
            DatastoreError: when the datastore has no such part, or it is damaged.
        """
        if part not in self._parts:
            if part not in self._part_cards:
                raise DatastoreError(
                    f"{self.root} has no part {part}, which is the upper half of an id. Ask for "
                    "ids that a search of this datastore gave."
                )
            opened = open_embeddings(self.root / self._part_cards[part].embeddings.path)
            self._check_maker(opened.footer, self.manifest.encoder.maker)
            check_unit_norm(opened)
            if len(self._parts) >= MAX_MAPPED_PARTS:
                del self._parts[next(iter(self._parts))]
            self._parts[part] = opened
        return self._parts[part]

    def check_norms(self) -> None:
        """Look at a few vectors of the first, the middle and the last part.

        Raises:
            DatastoreError: when they are not of unit norm.
        """
        parts = [part.part for part in self.manifest.parts]
        for number in {parts[0], parts[len(parts) // 2], parts[-1]} if parts else ():
            self.embeddings(number)

    def _check_maker(self, footer: PartFooter, maker: str) -> None:
        """A file of the right size may still come of a build that was interrupted since."""
        if footer.maker != maker:
            raise DatastoreError(
                f"{self.root}: part {footer.part} of {footer.stage} was made anew with other "
                f"options since the manifest was written. {REPAIR}"
            )

    def rows(self, ids: Sequence[int]) -> dict[int, dict]:
        """Rows of the tag table by id, as docs/format.md describes them; unknown ids are left out.

        So are tags below the floor that the manifest sets (`--min-tag-images`).

        Raises:
            DatastoreError: when a tags part cannot be read.
        """
        found: dict[int, dict] = {}
        by_part: dict[int, list[int]] = {}
        asked = np.array(list(ids), np.int64)
        for row_id in asked[~self.removed.hides(asked)].tolist():
            by_part.setdefault(part_of(row_id), []).append(row_id)
        parts = sorted(by_part.keys() & self._part_cards.keys())
        # The neighbours of one picture lie in as many parts; Arrow reads without the GIL.
        with ThreadPoolExecutor(min(_READERS, len(parts)) or 1) as pool:
            for rows in pool.map(lambda number: self._read_rows(number, by_part[number]), parts):
                found.update((row["id"], row) for row in rows)
        floor = self.manifest.vocabulary.min_tag_images
        if floor > 1:
            drop_rare_tags(found.values(), self.vocabulary, floor)
        return found

    def _read_rows(self, part: int, ids: Sequence[int]) -> list[dict]:
        path = self.root / self._part_cards[part].tags.path
        maker = self.manifest.tagger.maker
        return read_tag_rows(path, ids, lambda footer: self._check_maker(footer, maker))

    def answers(self, ids: np.ndarray, scores: np.ndarray) -> list[Answer]:
        """What `query` gives, for the ids [q, k] and scores [q, k] that `search` gave."""
        rows = self.rows([int(row_id) for row_id in np.unique(ids[ids >= 0])])
        answers = []
        for row_ids, row_scores in zip(ids.tolist(), scores.tolist(), strict=True):
            pairs = [(rows[i], s) for i, s in zip(row_ids, row_scores, strict=True) if i in rows]
            neighbours = tuple(neighbour_of_row(row, score) for row, score in pairs)
            answers.append(Answer(neighbours, pool_tags(neighbours, self.vocabulary)))
        return answers


def is_local_checkpoint(clip_model: str) -> bool:
    """Whether the name of a model is a path, which means nothing on another machine.

    A name that would also find a file or folder here is a path, since that is what would be opened.
    """
    _, _, weights = clip_model.partition("/")
    if clip_model == "demo":
        return False
    is_tag = re.fullmatch(r"[\w-]+", weights) is not None
    return not is_tag or Path(clip_model).exists() or Path(weights).exists()


def open_datastore(path: str | Path, encoder: Encoder | None = None) -> Datastore:
    """Open the datastore in a folder, or at a URL.

    Every file's presence and size is checked against the manifest, and the hash of the cards of
    the index; of all files when they are under 32 MiB together. The index is memory-mapped, so
    that opening takes no longer for a large one. `tagmine verify` checks everything.

    Args:
        path: the datastore's folder, or the URL of one in an object store, which is copied to the
            cache of this machine first; see docs/stores.md.
        encoder: what pictures will be embedded with; by default the one that the manifest names.

    Raises:
        DatastoreError: when the folder is no datastore, has another format version, a missing or
            altered file, or was embedded with another encoder.
        StoreError: for an object store that does not answer.
    """
    root = local_folder(path)
    manifest = read_manifest(root)
    check_files(root, manifest)
    datastore = Datastore(root, manifest)
    datastore.check_norms()
    if encoder is not None:
        datastore.encoder = datastore.accept(encoder)
    return datastore
