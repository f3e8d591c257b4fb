"""Index files: how they are read, and the cards that say what each was made from."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import faiss

from tagmine.layout import atomic_path, card_path, write_atomically
from tagmine.parts import file_sha256

# What FAISS keeps for the lists of an index before anything is in them.
_SMALLEST_LIMIT = 1 << 20
# FAISS checks the size of a table that no file holds, also where none will be made: of a product
# quantizer, 256 numbers for each list and each piece of a vector, of whose numbers the file has one
# for each list at least.
_TABLE_GROWTH = 256
# FAISS's limits are of the whole process.
_limits = threading.Lock()


@dataclasses.dataclass(frozen=True, slots=True)
class IndexFileCard:
    """What an index file was made from; it stands beside the file, as JSON.

    Attributes:
        format_version: the format that it follows.
        index_key: FAISS factory string.
        parts: numbers of the parts whose vectors it holds; for the trained index, those that
            its sample was drawn from.
        vectors: how many it holds; for the trained index, how many it was trained on.
        maker: fingerprint of all that decides the file's bytes.
        sha256: hash of the index file.
        thinned: of the trained index, how many images were taken out of its parts since; absent
            from the file where there are none.
    """

    format_version: int
    index_key: str
    parts: tuple[int, ...]
    vectors: int
    maker: str
    sha256: str
    thinned: int = 0


def write_index(target: Path, index: faiss.Index, card: IndexFileCard) -> None:
    """Write an index file and then its card, whose hash is filled in here."""
    # The card last: a file whose card does not fit it is made again.
    with atomic_path(target) as temporary:
        faiss.write_index(index, str(temporary))
    write_card(target, dataclasses.replace(card, sha256=file_sha256(target)))


def write_card(index_file: Path, card: IndexFileCard) -> None:
    """Write the card beside an index file."""
    record = dataclasses.asdict(card)
    if not card.thinned:
        del record["thinned"]
    text = json.dumps(record, indent=1) + "\n"
    write_atomically(index_file.with_suffix(".json"), text.encode())


def read_card(index_file: Path, maker: str | None = None) -> IndexFileCard | None:
    """The card of an index file that is whole and, if given, made by `maker`; else None."""
    path = Path(card_path(str(index_file)))
    try:
        record = json.loads(path.read_bytes())
        card = IndexFileCard(**{**record, "parts": tuple(record["parts"])})
        whole = card.sha256 == file_sha256(index_file)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return card if whole and maker in (None, card.maker) else None


def read_index(path: Path, flags: int = 0, lists_beside: bool = False) -> faiss.Index:
    """An index file as FAISS reads it, if it holds what it says that it holds.

    Each array in it is at most as large as the file, since the file would hold it, and so is each
    number of things that FAISS goes through; for a product quantizer 256 times as large. By itself
    FAISS allocates up to a terabyte because a header says so.

    Args:
        path: the file.
        flags: of `faiss.read_index`.
        lists_beside: whether its lists may be in another file, which is not opened here.

    Raises:
        RuntimeError: when FAISS cannot read it, or its lists are in another file.
    """
    size = max(path.stat().st_size, _SMALLEST_LIMIT)
    # A file may name another that its lists are in: not one of another folder.
    flags |= faiss.IO_FLAG_ONDISK_SAME_DIR
    try:
        with _limited_to(size):
            index = faiss.read_index(str(path), flags)
    except RuntimeError as error:
        if "precomputed_table" not in str(error):
            raise
        with _limited_to(_TABLE_GROWTH * size):
            index = faiss.read_index(str(path), flags)
    if not lists_beside and _lists_elsewhere(index):
        raise RuntimeError("its lists are in another file")
    return index


@contextlib.contextmanager
def _limited_to(size: int) -> Iterator[None]:
    """Let FAISS allocate no more at once; afterwards, whoever else uses it has its own limits."""
    with _limits:
        before = (
            faiss.get_deserialization_vector_byte_limit(),
            faiss.get_deserialization_loop_limit(),
        )
        faiss.set_deserialization_vector_byte_limit(size)
        faiss.set_deserialization_loop_limit(size)
        try:
            yield
        finally:
            faiss.set_deserialization_vector_byte_limit(before[0])
            faiss.set_deserialization_loop_limit(before[1])


def _lists_elsewhere(index: faiss.Index) -> bool:
    inverted = faiss.try_extract_index_ivf(index)
    lists = inverted and faiss.downcast_InvertedLists(inverted.invlists)
    if not isinstance(lists, faiss.OnDiskInvertedLists):
        return False
    # With IO_FLAG_MMAP, an index's own lists are of this type as well, mapped and without a name.
    return bool(lists.filename) or not lists.ptr


def open_index(path: Path) -> faiss.Index:
    """An index file, memory-mapped: opening it reads next to nothing.

    Raises:
        RuntimeError: when FAISS cannot read it.
    """
    return read_index(path, faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_READ_ONLY)
