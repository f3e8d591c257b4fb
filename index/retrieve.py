"""Retrieve for one shard or list of images: what the datastore knows of each becomes one part."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from index.image_files import ImageChunk, ImageFiles, open_chunk
from index.images import ImageLimits, ImageRejected
from index.retrieval_folder import (
    RetrievalFooter,
    RetrievalPin,
    read_footers,
    retrievals_path,
    to_metadata,
)
from index.retrievals import Retrieval, retrieval_of_answer, write_retrievals
from tagmine.archive import HashingReader
from tagmine.errors import DatastoreError
from tagmine.layout import FORMAT_VERSION, MANIFEST, under_way
from tagmine.manifest import fingerprint
from tagmine.parts import PartFooter, file_sha256
from tagmine.rejects import RETRIEVE
from tagmine.samples import SampleFields, read_samples
from tagmine.sources import Source
from tagmine.stage import (
    HashedInput,
    PartLedger,
    PartResult,
    ReportProgress,
    ignore_progress,
    is_current,
    open_source,
)

if TYPE_CHECKING:
    from index.pooling import Answer
    from index.search import Datastore
    from index.stack import Stack

# Images that are looked up together, so that tag tables are read once for all of them.
_BLOCK = 2048


@dataclasses.dataclass(frozen=True, slots=True)
class LookUp:
    """What is retrieved for an image.

    Attributes:
        k: neighbours.
        max_tags: most tags.
        exclude_above: images of this cosine or more are left out, as copies; None keeps them.
        exclude_own_key: whether images under the image's own key are left out.

    Raises:
        ValueError: for numbers below 1.
    """

    k: int = 5
    max_tags: int = 24
    exclude_above: float | None = None
    exclude_own_key: bool = False

    def __post_init__(self) -> None:
        if self.k < 1 or self.max_tags < 1:
            raise ValueError(
                f"expected k and max_tags of at least 1, got {self.k}, {self.max_tags}"
            )


@dataclasses.dataclass(frozen=True, slots=True)
class RetrieveOptions:
    """How a part is made.

    Attributes:
        look_up: what is retrieved for an image.
        fields: which member of a shard's sample is the image.
        batch_size: images a forward pass.
        num_prepro_workers: threads that decode and resize.
        limits: what an image may cost.
    """

    look_up: LookUp
    fields: SampleFields
    batch_size: int
    num_prepro_workers: int
    limits: ImageLimits = ImageLimits()


class LookedUp(NamedTuple):
    """What the datastore knows of images.

    Attributes:
        answers: one for each image.
        with_copies: how many have a copy in the datastore, left out by its cosine.
        with_own_key: how many are in the datastore under a key of their own, left out by it.
    """

    answers: list[Answer]
    with_copies: int
    with_own_key: int


@dataclasses.dataclass(slots=True)
class _Picture:
    row_id: int
    key: str
    names: tuple[str, ...]


def look_up(
    datastore: Datastore | Stack,
    vectors: np.ndarray,
    wanted: LookUp,
    names: Sequence[Sequence[str]] = (),
) -> LookedUp:
    """What the datastore knows of images.

    Args:
        datastore: where they are looked up; one, or several as a stack.
        vectors: [n, dim], of unit norm.
        wanted: how much, and what is left out.
        names: for each image the keys that the datastore may have it under.
    """
    queries = np.asarray(vectors, np.float32)
    own = _own_ids(datastore, names) if wanted.exclude_own_key and len(names) else None
    ids, scores = datastore.search(queries, wanted.k, exclude_keys=own or ())
    copied = np.empty(0, np.int64)
    if wanted.exclude_above is not None:
        copied = np.flatnonzero((scores >= wanted.exclude_above).any(axis=1))
    if len(copied):
        # Only these: for the others, the search found what it would find again.
        ids[copied], scores[copied] = datastore.search(
            queries[copied],
            wanted.k,
            exclude_keys=[own[row] for row in copied] if own else (),
            exclude_above=wanted.exclude_above,
        )
    return LookedUp(datastore.answers(ids, scores), len(copied), sum(map(bool, own or ())))


def _own_ids(datastore: Datastore | Stack, names: Sequence[Sequence[str]]) -> list[list[int]]:
    # All at once: each look-up of keys goes through those of their part.
    found = datastore.locate(datastore.ids_of([name for listed in names for name in listed]))
    by_key: dict[str, list[int]] = {}
    for row_id, origin in found.items():
        by_key.setdefault(origin.key, []).append(row_id)
    return [[i for name in listed for i in by_key.get(name, ())] for listed in names]


def make_pin(stack: Stack, options: RetrieveOptions) -> RetrievalPin:
    """What parts are made with, for open datastores whose encoder is loaded."""
    hashes = [file_sha256(datastore.root / MANIFEST) for datastore in stack.datastores]
    several = fingerprint(hashes, stack.weights, stack.shares)
    manifest_sha256 = hashes[0] if len(hashes) == 1 else several
    card, wanted = stack.encoder.card, options.look_up
    made_with = (manifest_sha256, card.fingerprint, card.precision, dataclasses.asdict(wanted))
    limits = dataclasses.asdict(options.limits)
    return RetrievalPin(
        format="tagmine-retrievals",
        format_version=FORMAT_VERSION,
        datastore="+".join(each.manifest.name for each in stack.datastores),
        datastore_sha256=manifest_sha256,
        clip_model=card.clip_model,
        encoder=card.fingerprint,
        precision=card.precision,
        k=wanted.k,
        max_tags=wanted.max_tags,
        exclude_above=wanted.exclude_above,
        exclude_own_key=wanted.exclude_own_key,
        maker=fingerprint(RETRIEVE, *made_with, limits, options.fields.grouping),
    )


def retrieve_part(
    root: Path,
    source: Source,
    options: RetrieveOptions,
    datastore: Stack,
    pin: RetrievalPin,
    report: ReportProgress = ignore_progress,
) -> PartResult:
    """Make the part of a shard or of an `ImageChunk`, unless a current one is there already.

    Args:
        root: the folder of the retrievals.
        source: where the images are.
        options: how the part is made.
        datastore: where they are looked up.
        pin: what `make_pin` gives for these.
        report: told of the progress.

    Returns:
        The part's footer, and whether it was made now.

    Raises:
        SourceError: when the shard cannot be read.
    """

    @contextlib.contextmanager
    def open_input(source: Source) -> Iterator[HashedInput]:
        chunk = isinstance(source, ImageChunk)
        with open_chunk(source, options.limits) if chunk else open_source(source) as stream:
            yield stream

    target = root / retrievals_path(source.part)
    with under_way(target) as died:
        finished = _finished_footer(target)
        if finished and is_current(finished, root, source, pin.maker, report, open_input):
            return PartResult(source.part, False, finished)
        ledger = PartLedger(root, source, RETRIEVE, options.fields, pin.maker)
        with open_input(source) as stream:
            maker = _PartMaker(source, options, datastore, ledger, stream, report, isolated=died)
            _write_part(target, maker, pin)
            report(stream.bytes_read, ledger.read)
    return PartResult(source.part, True, maker.footer)


def _write_part(target: Path, maker: _PartMaker, pin: RetrievalPin) -> None:
    def close(written: int) -> dict[bytes, bytes]:
        counts = RetrievalFooter(pin, maker.with_copies, maker.with_own_key)
        return to_metadata(maker.close(written), counts)

    write_retrievals(target, maker.rows(), close)


def _finished_footer(path: Path) -> PartFooter | None:
    """The footer of a part whose every page is sound, or None when it must be made."""
    try:
        footer, _ = read_footers(path)
        rows = pq.read_table(path, page_checksum_verification=True).num_rows
    except (DatastoreError, OSError, pa.ArrowException):
        return None
    return footer if rows == footer.written and footer.stage == RETRIEVE else None


class _PartMaker:
    """The rows of a part, and what is known when the last of them was made."""

    footer: PartFooter

    def __init__(
        self,
        source: Source,
        options: RetrieveOptions,
        datastore: Stack,
        ledger: PartLedger,
        stream: HashedInput,
        report: ReportProgress,
        isolated: bool,
    ) -> None:
        self._source = source
        self._options = options
        self._datastore = datastore
        self._ledger = ledger
        self._stream = stream
        self._report = report
        self._isolated = isolated
        self.with_copies = self.with_own_key = 0

    def close(self, written: int) -> PartFooter:
        """Write the rejects, and keep the footer that the part is to carry."""
        self.footer = self._ledger.close(self._stream, written)
        return self.footer

    def rows(self) -> Iterator[tuple[str, Retrieval]]:
        """Key and retrieval of every image that can be used, in order."""
        embedded = self._embed()
        while block := list(itertools.islice(embedded, _BLOCK)):
            vectors = np.stack([vector for _, vector in block])
            names = [picture.names for picture, _ in block]
            wanted = self._options.look_up
            found = look_up(self._datastore, vectors, wanted, names)
            self.with_copies += found.with_copies
            self.with_own_key += found.with_own_key
            for (picture, _), answer in zip(block, found.answers, strict=True):
                yield picture.key, retrieval_of_answer(answer, wanted.max_tags)

    def _embed(self) -> Iterator[tuple[_Picture, np.ndarray]]:
        from index.embedding import embed_stream

        batches = embed_stream(
            self._datastore.encoder,
            self._pictures(),
            batch_size=self._options.batch_size,
            num_prepro_workers=self._options.num_prepro_workers,
            limits=self._options.limits,
            isolated=self._isolated,
        )
        for batch in batches:
            for picture, outcome in batch:
                if isinstance(outcome, ImageRejected):
                    self._reject(picture, outcome)
                else:
                    yield picture, outcome
            self._report(self._stream.bytes_read, self._ledger.read)

    def _reject(self, picture: _Picture, why: ImageRejected) -> None:
        self._ledger.reject(picture.row_id, picture.key, why.reason, why.detail)

    def _pictures(self) -> Iterator[tuple[_Picture, bytes]]:
        if isinstance(self._stream, ImageFiles):
            return self._files(self._stream)
        return self._samples(self._stream)

    def _files(self, files: ImageFiles) -> Iterator[tuple[_Picture, bytes]]:
        for position, (image, found) in enumerate(files):
            row_id, _ = self._ledger.identify(position, image)
            # A shard's keys have no extension.
            picture = _Picture(row_id, image, (image, image.rpartition(".")[0]))
            if isinstance(found, ImageRejected):
                self._reject(picture, found)
            else:
                yield picture, found

    def _samples(self, stream: HashingReader) -> Iterator[tuple[_Picture, bytes]]:
        fields = self._options.fields
        limits = {key: self._options.limits.max_bytes for key in fields.image_keys}
        for sample in read_samples(stream, fields, limits):
            row_id, key = self._ledger.identify(sample.position, sample.key)
            picture = _Picture(row_id, key, (key,))
            data = next((sample.members[k] for k in fields.image_keys if k in sample.members), None)
            if sample.problem:
                self._reject(picture, ImageRejected(*sample.problem))
            elif data is None:
                found = ", ".join("." + extension for extension in sample.extensions)
                self._reject(picture, ImageRejected("no_image", f"no image among {found}"))
            else:
                yield picture, data
