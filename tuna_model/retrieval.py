"""Where a model's tags come from: a datastore, what was retrieved before, or a control."""

from __future__ import annotations

import bisect
import functools
import hashlib
import heapq
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from index.retrieval_folder import RetrievalPin, read_footers, read_summary, retrievals_path
from index.retrievals import (
    EMPTY,
    Retrieval,
    RetrievedTag,
    open_retrievals,
    read_group,
    retrieval_of_answer,
    retrieval_of_record,
    unreadable,
)
from tagmine.errors import ConfigurationError, DatastoreError, TagmineError
from tagmine.layout import rejects_path
from tagmine.rejects import RETRIEVE
from tagmine.vocabulary import Vocabulary

if TYPE_CHECKING:
    import PIL.Image

    from index.encoder import Encoder
    from index.search import Datastore
    from index.stack import Stack
    from index.stack_plan import StackPlan

# Row groups of 128 images that are kept decoded, and files that are kept open.
_GROUPS_KEPT = 32
_FILES_KEPT = 256
_TEXTS_A_BATCH = 1024


class UnknownImageError(TagmineError, KeyError):
    """An image that retrievals were never made for."""

    # KeyError's own shows its argument in quotes.
    __str__ = Exception.__str__


class Retriever(Protocol):
    """Tags and neighbours for pictures."""

    def retrieve(self, images: Sequence[PIL.Image.Image]) -> list[Retrieval]:
        """One retrieval for each picture, in order."""
        ...


class DatastoreRetriever:
    """Looks pictures up in a datastore, or in several that one encoder embedded.

    Attributes:
        stack: the open datastores, searched as one.
        encoder: the datastores' encoder.
        embed: makes vectors [n, dim] of unit norm of pictures; the encoder, unless another way to
            the same vectors is put in its place.
    """

    def __init__(
        self,
        datastore: str | Path | Datastore | Stack | StackPlan | Sequence[str | Path | Datastore],
        k: int = 5,
        max_tags: int = 24,
        *,
        encoder: Encoder | None = None,
        exclude_above: float | None = None,
    ) -> None:
        """Open the datastores.

        Args:
            datastore: a folder or an open datastore, or several, or what `open_stack` gave, where
                each has a weight or a share. The neighbours are the nearest in all of them, and
                tags are then worded as by the nearest neighbour. Images of one key and embedding
                are one image.
            k: neighbours a picture.
            max_tags: most tags a picture.
            encoder: the datastores' encoder; by default the one that the first of them names.
            exclude_above: images of this cosine or more are left out, as copies.

        Raises:
            DatastoreError: for a folder that is no datastore, or embedded by another encoder.
            ValueError: for no datastore, or numbers below 1.
        """
        from index.retrieve import LookUp
        from index.search import Datastore
        from index.stack import Stack, open_stack

        self._wanted = LookUp(k, max_tags, exclude_above)
        single = isinstance(datastore, str | Path | Datastore)
        given = [datastore] if single else datastore
        self.stack = given if isinstance(given, Stack) else open_stack(given)
        self.encoder = encoder or self.stack.encoder
        self.stack.accept(self.encoder)
        self.embed: Callable[[Sequence[PIL.Image.Image]], np.ndarray] = functools.partial(
            embed_pictures, self.encoder
        )

    @property
    def datastores(self) -> tuple[Datastore, ...]:
        """The open datastores."""
        return self.stack.datastores

    def retrieve(self, images: Sequence[PIL.Image.Image]) -> list[Retrieval]:
        """One retrieval for each picture, in order."""
        from index.retrieve import look_up

        if not len(images):
            return []
        vectors = self.embed(images)
        answers = look_up(self.stack, vectors, self._wanted).answers
        return [retrieval_of_answer(answer, self._wanted.max_tags) for answer in answers]


def embed_pictures(encoder: Encoder, images: Sequence[PIL.Image.Image]) -> np.ndarray:
    """Vectors of pictures of any mode: float16 [n, dim], each of unit norm."""
    batch = [encoder.preprocess(image.convert("RGB")) for image in images]
    return encoder.embed_images(np.stack(batch))


class StoredRetrievals:
    """What `tagmine retrieve` found, by the keys of images.

    Only the keys are held in memory; a look-up decodes the row group that its image is in. It may
    be pickled: the copy opens the files again.

    Attributes:
        path: the folder, or one file.
        pin: what the retrievals were made with; None for a file that does not say.
    """

    def __init__(self, path: str | Path) -> None:
        """Open a folder that `tagmine retrieve` wrote, or one of its parts.

        Raises:
            ConfigurationError: when there is nothing there, or it is not finished.
            DatastoreError: for files that are damaged, or were not made together.
        """
        self.path = Path(path)
        self.pin: RetrievalPin | None = None
        self._rejected: frozenset[str] = frozenset()
        if self.path.is_dir():
            self._files = self._open_folder()
        elif self.path.is_file():
            self._files = [self.path]
        else:
            raise ConfigurationError(
                f"{path}: there are no retrievals. Make them with tagmine retrieve DATASET "
                f"--datastore DIR --out {path}."
            )
        self._index_keys()
        self._open = functools.lru_cache(_FILES_KEPT)(open_retrievals)
        self._group = functools.lru_cache(_GROUPS_KEPT)(self._read_group)

    def __reduce__(self) -> tuple[type[StoredRetrievals], tuple[Path]]:
        return StoredRetrievals, (self.path,)

    def __len__(self) -> int:
        """How many images have a retrieval."""
        return len(self._keys)

    def __contains__(self, key: str) -> bool:
        """Whether retrieval was tried for the image."""
        return self._row_of(key) is not None or key in self._rejected

    def lookup(self, key: str | None) -> Retrieval:
        """The retrieval of an image.

        Args:
            key: the `image` of a row of instructions, or the key of a shard's sample; None for a
                row of text only.

        Returns:
            What was found; nothing for a row of text only, and for an image that was rejected.

        Raises:
            UnknownImageError: for an image that no retrieval was tried for.
            DatastoreError: when the file is damaged where it is read.
        """
        if key is None:
            return EMPTY
        row = self._row_of(key)
        if row is not None:
            number = int(np.searchsorted(self._starts, row, "right")) - 1
            path, group = self._groups[number]
            at = row - int(self._starts[number])
            record = self._group(path, group).slice(at, 1).to_pylist()[0]
            return retrieval_of_record(path, record)
        if key in self._rejected:
            return EMPTY
        raise UnknownImageError(
            f"{self.path} has no retrieval for {key!r}, and none was tried. Run tagmine retrieve "
            "with the dataset that this image is in; a key is letter by letter what is written "
            "there."
        )

    def _open_folder(self) -> list[Path]:
        summary = read_summary(self.path)
        files = [self.path / retrievals_path(part) for part in range(summary.parts)]
        footers = [read_footers(file) for file in files]
        written = sum(footer.written for footer, _ in footers)
        alike = all(more.pin == summary.pin for _, more in footers)
        if not alike or written != summary.images.written:
            raise DatastoreError(
                f"{self.path}: its parts are not those that its summary speaks of. Run the same "
                "tagmine retrieve again."
            )
        self.pin = summary.pin
        self._rejected = frozenset(
            key for part in range(summary.parts) for key in self._rejects(part)
        )
        return files

    def _rejects(self, part: int) -> list[str]:
        path = self.path / rejects_path(RETRIEVE, part)
        try:
            return pq.read_table(path, columns=["key"]).column("key").to_pylist()
        except (OSError, pa.ArrowException, KeyError) as error:
            raise unreadable(path, error) from error

    def _index_keys(self) -> None:
        keys: list[pa.Array] = []
        self._groups: list[tuple[Path, int]] = []
        for path in self._files:
            opened = open_retrievals(path)
            for group in range(opened.num_row_groups):
                table = read_group(path, opened, group, ["key"])
                keys += table.column("key").chunks
                self._groups.append((path, group))
        sizes = [0, *map(len, keys)]
        self._starts = np.cumsum(sizes)[:-1]
        joined = pa.chunked_array(keys, pa.string()).combine_chunks()
        # By the bytes of UTF-8, which is also how Python orders strings.
        self._order = pc.sort_indices(joined).to_numpy()
        self._keys = joined.take(pa.array(self._order))
        twice = pc.equal(self._keys[1:], self._keys[:-1])
        if pc.any(twice).as_py():
            key = self._keys[pc.index(twice, True).as_py()].as_py()
            raise DatastoreError(
                f"{self.path} has the key {key!r} twice. Run tagmine retrieve into a new folder."
            )

    def _row_of(self, key: str) -> int | None:
        place = bisect.bisect_left(self._keys, key, key=lambda scalar: scalar.as_py())
        if place < len(self._keys) and self._keys[place].as_py() == key:
            return int(self._order[place])
        return None

    def _read_group(self, path: Path, group: int) -> pa.Table:
        return read_group(path, self._open(path), group)


class RandomTags:
    """A control: tags drawn from a vocabulary, whatever is in the picture.

    The draw depends on the seed and on the pixels alone, not on the order of pictures.
    """

    def __init__(
        self, vocabulary: Sequence[str], count: int, seed: int, like: Retriever | None = None
    ) -> None:
        """Take a vocabulary.

        Args:
            vocabulary: texts of tags.
            count: tags a picture.
            seed: of the draw.
            like: gives the count of each picture instead: as many tags as it finds, `count` at
                most, and none that it finds, so that the number of tags says nothing.

        Raises:
            ValueError: for a count below 1, or above the number of tags.
        """
        if not 1 <= count <= len(vocabulary):
            raise ValueError(f"expected a count of 1 to {len(vocabulary):,} tags, got {count}")
        self._vocabulary = vocabulary
        self._count = count
        self._seed = seed
        self._like = like

    def retrieve(self, images: Sequence[PIL.Image.Image]) -> list[Retrieval]:
        """For each picture tags of kind `random`, each with an equal share as its score."""
        if self._like is None:
            return [self._draw(image, self._count, frozenset()) for image in images]
        found = self._like.retrieve(images)
        return [
            self._draw(
                image,
                min(self._count, len(own.tags)),
                frozenset(tag.text.casefold() for tag in own.tags),
            )
            for image, own in zip(images, found, strict=True)
        ]

    def _draw(self, image: PIL.Image.Image, count: int, own: frozenset[str]) -> Retrieval:
        pixels = image.convert("RGB")
        digest = hashlib.sha256(f"{self._seed} {pixels.size}".encode() + pixels.tobytes())
        rng = np.random.default_rng(int.from_bytes(digest.digest()))
        # Enough that the picture's own can be left out of the draw; fewer where there are no more.
        enough = min(count + len(own), len(self._vocabulary))
        rows = rng.choice(len(self._vocabulary), enough, replace=False)
        drawn = [self._vocabulary[row] for row in rows]
        texts = [text for text in drawn if text.casefold() not in own][:count]
        tags = (RetrievedTag(text, "random", 0, 1 / len(texts), ()) for text in texts)
        return Retrieval(tuple(tags), ())


class ClipTagger:
    """A control: the tags of a vocabulary that CLIP finds nearest to the picture itself."""

    def __init__(
        self, vocabulary: Sequence[str], encoder: Encoder, count: int, template: str = "{}"
    ) -> None:
        """Embed the vocabulary, which takes a forward pass for every few texts.

        Args:
            vocabulary: texts of tags.
            encoder: of pictures and texts.
            count: tags a picture.
            template: what a tag's text is put into, at "{}".

        Raises:
            ValueError: for a count below 1, or above the number of tags.
        """
        if not 1 <= count <= len(vocabulary):
            raise ValueError(f"expected a count of 1 to {len(vocabulary):,} tags, got {count}")
        self._vocabulary = vocabulary
        self._encoder = encoder
        self._count = count
        texts = [template.replace("{}", text) for text in vocabulary]
        batches = range(0, len(texts), _TEXTS_A_BATCH)
        vectors = [encoder.embed_texts(texts[start : start + _TEXTS_A_BATCH]) for start in batches]
        self._vectors = np.concatenate(vectors).astype(np.float32)

    def retrieve(self, images: Sequence[PIL.Image.Image]) -> list[Retrieval]:
        """For each picture tags of kind `tagger`, nearest first; the score is the cosine, or 0."""
        if not len(images):
            return []
        vectors = embed_pictures(self._encoder, images).astype(np.float32)
        return [self._nearest(cosines) for cosines in vectors @ self._vectors.T]

    def _nearest(self, cosines: np.ndarray) -> Retrieval:
        nearest = np.argsort(-cosines, kind="stable")[: self._count].tolist()
        tags = (
            RetrievedTag(self._vocabulary[row], "tagger", 0, max(float(cosines[row]), 0.0), ())
            for row in nearest
        )
        return Retrieval(tuple(tags), ())


def commonest_tags(vocabulary: Vocabulary, count: int) -> list[str]:
    """Texts of a datastore's tags of the most images, for `RandomTags` and `ClipTagger`.

    Args:
        vocabulary: `Datastore.vocabulary`.
        count: how many at most; texts that differ in capitals only count once.

    Raises:
        DatastoreError: when the vocabulary is damaged.
    """
    ranked = heapq.nsmallest(2 * count, _by_frequency(vocabulary))
    texts = {text.casefold(): text for _, text in reversed(ranked)}
    ordered = dict.fromkeys(texts[text.casefold()] for _, text in ranked)
    return list(ordered)[:count]


def _by_frequency(vocabulary: Vocabulary) -> Iterator[tuple[int, str]]:
    for batch in vocabulary.batches():
        columns = (batch.column("images").to_pylist(), batch.column("text").to_pylist())
        yield from ((-images, text) for images, text in zip(*columns, strict=True))
