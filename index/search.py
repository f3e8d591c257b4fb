"""Open a datastore and find the images nearest to a vector or a picture."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from index.nearest import Effort, Exclusions, find_nearest, keys_by_query
from index.opening import REPAIR, check_files, check_unit_norm, open_shards, open_trained
from index.origins import Origin, find_ids, find_origins
from index.pooling import Answer, drop_rare_tags, neighbour_of_row, pool_tags
from index.shards import IndexShards
from tagmine.embeddings import EmbeddingsPart, open_embeddings
from tagmine.errors import ConfigurationError, DatastoreError
from tagmine.layout import part_of
from tagmine.manifest import Manifest, PartCard, read_manifest
from tagmine.parts import PartFooter, read_tags_footer
from tagmine.vocabulary import Vocabulary, open_vocabulary

if TYPE_CHECKING:
    import PIL.Image

    from index.encoder import Encoder

# A process of Linux maps 65,530 files by default; a datastore may have more parts.
MAX_MAPPED_PARTS = 16_384


class Datastore:
    """An open datastore; make one with `open_datastore`.

    Attributes:
        root: its folder.
        manifest: what it is made of.
        shards: the open index shards, memory-mapped; the merged index alone where there is one.
        index_shards: the same, searched as one.
    """

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self.root = root
        self.manifest = manifest
        self.shards = open_shards(root, manifest)
        try:
            self.index_shards = IndexShards(self.shards, open_trained(root, manifest))
        except DatastoreError as error:
            raise DatastoreError(f"{root}: {error}") from error
        self._parts: dict[int, EmbeddingsPart] = {}

    def __len__(self) -> int:
        return self.manifest.images

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
        )
        return find_nearest(self.index_shards, self.embeddings, queries, k, effort, exclusions)

    def ids_of(self, keys: Sequence[str | int]) -> np.ndarray:
        """The ids int64 [n] of those keys that the datastore holds; ids stand for themselves."""
        return find_ids(keys, self._parts_by_source, self.embeddings)

    def locate(self, ids: Iterable[int]) -> dict[int, Origin]:
        """Where images came from: key, source and part by id; -1 is left out.

        Raises:
            DatastoreError: for an id that the datastore does not hold.
        """
        return find_origins(ids, self.embeddings)

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
        for row_id in ids:
            by_part.setdefault(part_of(row_id), []).append(row_id)
        for number in sorted(by_part.keys() & self._part_cards.keys()):
            card = self._part_cards[number].tags
            footer = read_tags_footer(self.root / card.path)
            self._check_maker(footer, self.manifest.tagger.maker)
            wanted = pa.array(by_part[number], pa.int64())
            try:
                table = pq.read_table(
                    self.root / card.path,
                    filters=pc.field("id").isin(wanted),
                    page_checksum_verification=True,
                )
            except (OSError, pa.ArrowException) as error:
                raise DatastoreError(
                    f"{self.root / card.path} is damaged: {error}. {REPAIR}"
                ) from error
            found.update((row["id"], row) for row in table.to_pylist())
        floor = self.manifest.vocabulary.min_tag_images
        if floor > 1:
            drop_rare_tags(found.values(), self.vocabulary, floor)
        return found

    def query(self, vectors: np.ndarray, k: int = 5) -> list[Answer]:
        """For each vector, its nearest images with captions and tags, and the pooled tags.

        Args and errors are those of `search`.
        """
        return self.answers(*self.search(vectors, k))

    def answers(self, ids: np.ndarray, scores: np.ndarray) -> list[Answer]:
        """What `query` gives, for the ids [q, k] and scores [q, k] that `search` gave."""
        rows = self.rows([int(row_id) for row_id in np.unique(ids[ids >= 0])])
        answers = []
        for row_ids, row_scores in zip(ids.tolist(), scores.tolist(), strict=True):
            pairs = [(rows[i], s) for i, s in zip(row_ids, row_scores, strict=True) if i in rows]
            neighbours = tuple(neighbour_of_row(row, score) for row, score in pairs)
            answers.append(Answer(neighbours, pool_tags(neighbours, self.vocabulary)))
        return answers

    def query_files(self, paths: Sequence[str | Path], k: int = 5) -> list[Answer]:
        """As `query`, for JPEG, PNG or WebP files, decoded as those of the datastore were.

        Raises:
            ConfigurationError: for a file that cannot be read or is no such picture.
        """
        side = self.encoder.image_size
        return self.query_images([_read_photo(Path(path), side) for path in paths], k)

    def query_images(self, images: Sequence[PIL.Image.Image], k: int = 5) -> list[Answer]:
        """As `query`, for pictures, embedded with the datastore's own encoder."""
        encoder = self.encoder
        batch = np.stack([encoder.preprocess(image) for image in images])
        return self.query(encoder.embed_images(batch), k)


def is_local_checkpoint(clip_model: str) -> bool:
    """Whether the name of a model is a path, which means nothing on another machine."""
    architecture, _, weights = clip_model.partition("/")
    return clip_model != "demo" and (not weights or not re.fullmatch(r"[\w-]+", weights))


def open_datastore(path: str | Path, encoder: Encoder | None = None) -> Datastore:
    """Open the datastore in a folder.

    Every file's presence and size is checked against the manifest, and the hash of the cards of
    the index; of all files when they are under 32 MiB together. The index is memory-mapped, so
    that opening takes no longer for a large one. `tagmine verify` checks everything.

    Args:
        path: the datastore's folder.
        encoder: what pictures will be embedded with; by default the one that the manifest names.

    Raises:
        DatastoreError: when the folder is no datastore, has another format version, a missing or
            altered file, or was embedded with another encoder.
    """
    root = Path(path)
    manifest = read_manifest(root)
    check_files(root, manifest)
    datastore = Datastore(root, manifest)
    datastore.check_norms()
    if encoder is not None:
        datastore.encoder = datastore.accept(encoder)
    return datastore


def _read_photo(path: Path, shortest_side: int) -> PIL.Image.Image:
    from index.images import ImageLimits, ImageRejected, decode_image

    try:
        return decode_image(path.read_bytes(), ImageLimits(), shortest_side)
    except OSError as error:
        raise ConfigurationError(f"{path}: the photo cannot be read: {error.strerror}.") from error
    except ImageRejected as rejected:
        raise ConfigurationError(
            f"{path}: the photo cannot be used: {rejected.detail}. Give a JPEG, PNG or WebP file."
        ) from rejected
