"""The vocabulary: every tag of a datastore once, with how many images have it, found by hash."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tagmine.arrow_files import read_file
from tagmine.errors import DatastoreError
from tagmine.layout import FORMAT_VERSION
from tagmine.parts import FOOTER_KEY

# A batch is validated when a look-up first needs it; one of this size in half a millisecond.
BATCH_ROWS = 8192
# Names and values of a catalogue are wanted however few images have them.
EXEMPT_KINDS = ("entity", "field")
KEY_SEPARATOR = "\x1f"

MergeKey = tuple[str, str, str]
"""Kind, label and lemma: tags that agree in them are one tag."""

VOCABULARY_SCHEMA = pa.schema(
    [
        pa.field("hash", pa.uint64(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("lemma", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("head", pa.string(), nullable=False),
        pa.field("attributes", pa.list_(pa.string()), nullable=False),
        pa.field("images", pa.int64(), nullable=False),
        pa.field("mentions", pa.int64(), nullable=False),
    ]
)


def key_hash(key: MergeKey) -> int:
    """The first 8 bytes, big-endian, of the sha256 of kind, label and lemma, joined by U+001F."""
    digest = hashlib.sha256(KEY_SEPARATOR.join(key).encode()).digest()
    return int.from_bytes(digest[:8], "big")


@dataclasses.dataclass(frozen=True, slots=True)
class VocabularyFooter:
    """What a vocabulary file says of itself, in its schema metadata.

    Attributes:
        format_version: the format that the file follows.
        maker: fingerprint of the files that were counted.
        images: how many images were counted, those without tags too.
        tags_an_image: pairs of a number of tags and how many images have that many, ascending.
    """

    format_version: int
    maker: str
    images: int
    tags_an_image: tuple[tuple[int, int], ...]

    def to_metadata(self) -> dict[bytes, bytes]:
        return {FOOTER_KEY: json.dumps(dataclasses.asdict(self), sort_keys=True).encode()}


@dataclasses.dataclass(frozen=True, slots=True)
class VocabularyEntry:
    """One tag of the vocabulary.

    Attributes:
        kind, label, lemma: the key under which tags merge.
        text: its commonest wording, by images; of equally common ones the smallest.
        head: lemma of the object that it is about, as of that wording.
        attributes: lemmas of the modifiers, as of that wording.
        images: how many images have it (document frequency).
        mentions: how many captions said it, over all images.
    """

    kind: str
    label: str
    lemma: str
    text: str
    head: str
    attributes: tuple[str, ...]
    images: int
    mentions: int


def is_kept(kind: str, images: int, min_images: int) -> bool:
    """Whether a tag in `images` images passes the floor for rare tags."""
    return images >= min_images or kind in EXEMPT_KINDS


class Vocabulary:
    """An open vocabulary, memory-mapped; make one with `open_vocabulary`.

    Attributes:
        path: the file.
        footer: what the file says of itself.
    """

    def __init__(self, path: Path, footer: VocabularyFooter, batches: list[pa.RecordBatch]) -> None:
        self.path = path
        self.footer = footer
        self._batches = batches
        self._hashes = [batch.column("hash").to_numpy(zero_copy_only=True) for batch in batches]
        self._validated: dict[int, list[pa.Array]] = {}
        self._firsts = np.array([hashes[0] for hashes in self._hashes], np.uint64)

    def __len__(self) -> int:
        return sum(batch.num_rows for batch in self._batches)

    def look_up(self, keys: Sequence[MergeKey]) -> list[VocabularyEntry | None]:
        """The entry of each key, None for those that no counted image has.

        Raises:
            DatastoreError: when the file is damaged where it is read.
        """
        return [self._find(key) for key in keys]

    def _find(self, key: MergeKey) -> VocabularyEntry | None:
        for number, row in self._rows_of_hash(key_hash(key)):
            values = [column[row].as_py() for column in self._columns(number)[1:]]
            # Two keys may share a hash, by chance or by design.
            if tuple(values[:3]) == key:
                *wording, attributes, images, mentions = values
                return VocabularyEntry(*wording, tuple(attributes), images, mentions)
        return None

    def _rows_of_hash(self, wanted: int) -> Iterator[tuple[int, int]]:
        """Batch and row of every entry with that hash."""
        target = np.uint64(wanted)
        # Entries of one hash may begin in the batch before the one that begins with it.
        number = max(int(np.searchsorted(self._firsts, target)) - 1, 0)
        for later in range(number, len(self._hashes)):
            hashes = self._hashes[later]
            start, end = np.searchsorted(hashes, target), np.searchsorted(hashes, target, "right")
            yield from ((later, row) for row in range(int(start), int(end)))
            if end < len(hashes):
                return

    def _columns(self, number: int) -> list[pa.Array]:
        if number not in self._validated:
            # A stranger's file may have offsets that lead outside of it.
            try:
                self._batches[number].validate(full=True)
            except pa.ArrowException as error:
                raise _unreadable(self.path, error) from error
            self._validated[number] = self._batches[number].columns
        return self._validated[number]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in batches of `VOCABULARY_SCHEMA`, validated.

        Raises:
            DatastoreError: when the file is damaged.
        """
        for number, batch in enumerate(self._batches):
            self._columns(number)
            yield batch

    def left_out(self, min_images: int) -> int:
        """How many tags the floor for rare tags leaves out; see `is_kept`."""
        rare = 0
        for batch in self.batches():
            exempt = pc.is_in(batch.column("kind"), value_set=pa.array(EXEMPT_KINDS))
            few = pc.less(batch.column("images"), min_images)
            rare += pc.sum(pc.and_not(few, exempt)).as_py() or 0
        return rare


def open_vocabulary(path: Path, maker: str | None = None) -> Vocabulary:
    """Open a vocabulary memory-mapped.

    Args:
        path: the file.
        maker: what the manifest says that it was made of, if a manifest pins it.

    Raises:
        DatastoreError: for a file that is damaged, no vocabulary, or made of other tags.
    """
    try:
        with pa.memory_map(str(path)) as source:
            schema, batches = read_file(source)
            footer = _parse_footer(schema.metadata)
            if not schema.remove_metadata().equals(VOCABULARY_SCHEMA):
                raise ValueError(f"its schema is {schema.remove_metadata()}")
            for batch in batches:
                batch.validate()
                if not batch.num_rows:
                    raise ValueError("it has a batch without rows")
            vocabulary = Vocabulary(path, footer, batches)
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError, RecursionError) as error:
        raise _unreadable(path, error) from error
    if maker not in (None, footer.maker):
        raise DatastoreError(
            f"{path} was made of other tags than the manifest says. Run tagmine index again."
        )
    return vocabulary


def _parse_footer(metadata: dict[bytes, bytes] | None) -> VocabularyFooter:
    record = json.loads((metadata or {})[FOOTER_KEY])
    pairs = tuple((int(tags), int(images)) for tags, images in record["tags_an_image"])
    footer = VocabularyFooter(**record | {"tags_an_image": pairs})
    if footer.format_version != FORMAT_VERSION:
        raise ValueError(
            f"it has format version {footer.format_version}, expected {FORMAT_VERSION}"
        )
    return footer


def _unreadable(path: Path, error: Exception) -> DatastoreError:
    return DatastoreError(
        f"{path} cannot be read as a vocabulary ({type(error).__name__}: {error}). Run tagmine "
        "index again; it counts the tags anew."
    )
