"""All index shards as one index, whose lists lie in one file that is mapped and not read."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import faiss

from index.factory import create_index
from index.files import open_index, read_index
from index.shards import inverted_lists_of
from tagmine.errors import ConfigurationError
from tagmine.layout import MERGED_INDEX, MERGED_LISTS, TRAINED_INDEX, atomic_path, remove_file
from tagmine.manifest import FileCard
from tagmine.parts import file_sha256


def check_mergeable(index_key: str, dim: int) -> None:
    """Stop before any work when an index has no lists that could lie on disk.

    Raises:
        ConfigurationError: for such an index.
    """
    inverted = inverted_lists_of(create_index(index_key, dim))
    if inverted is None or not isinstance(
        faiss.downcast_InvertedLists(inverted.invlists), faiss.ArrayInvertedLists
    ):
        raise ConfigurationError(
            f"--merge-ondisk: {index_key} has no inverted lists that FAISS can keep on disk. "
            "Leave it out, or use an index such as IVF1024,PQ32x8 or IVF1024,SQ8."
        )


def merge_on_disk(root: Path, shards: Sequence[str]) -> None:
    """Write `index/merged.faiss` and, beside it, its lists; ids stay as they are.

    Memory holds the trained index and the tables of the lists; the lists themselves are copied
    from file to file.

    Args:
        root: the datastore's folder.
        shards: paths of the index shards in it, in order.
    """
    merged = read_index(root / TRAINED_INDEX)
    inverted = inverted_lists_of(merged)
    opened = [open_index(root / path) for path in shards]
    lists = faiss.InvertedListsPtrVector()
    for index in opened:
        lists.push_back(inverted_lists_of(index).invlists)
    with atomic_path(root / MERGED_LISTS) as temporary:
        on_disk = faiss.OnDiskInvertedLists(inverted.nlist, inverted.code_size, str(temporary))
        with _faiss_prints_elsewhere():
            inverted.ntotal = on_disk.merge_from_multiple(lists.data(), lists.size())
        # Only the last step of it is read, beside the index file: the folder can move.
        on_disk.filename = Path(MERGED_LISTS).name
        inverted.replace_invlists(on_disk, True)
        on_disk.this.disown()
        merged.ntotal = inverted.ntotal
        with atomic_path(root / MERGED_INDEX) as header:
            faiss.write_index(merged, str(header))


@contextlib.contextmanager
def _faiss_prints_elsewhere() -> Iterator[None]:
    """FAISS tells standard output how large the file gets; the user's results go there."""
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        ctypes.CDLL(None).fflush(None)
        os.dup2(saved, 1)
        os.close(saved)


def merged_cards(root: Path, vectors: int) -> tuple[FileCard, ...]:
    """The cards of the merged index and its lists, for the manifest."""
    paths = ((MERGED_INDEX, vectors), (MERGED_LISTS, 0))
    return tuple(
        FileCard(path, rows, (root / path).stat().st_size, file_sha256(root / path))
        for path, rows in paths
    )


def remove_unmerged(root: Path, merged: Sequence[FileCard]) -> None:
    """Delete a merged index that the manifest does not have."""
    if not merged:
        for path in (MERGED_INDEX, MERGED_LISTS):
            remove_file(root / path)


def open_merged(path: Path) -> faiss.Index:
    """The merged index, its lists memory-mapped from the file beside it.

    Raises:
        RuntimeError: when FAISS cannot read it.
    """
    # Not FAISS's own way to find the file beside the index: that prints to standard output.
    index = read_index(
        path, faiss.IO_FLAG_SKIP_IVF_DATA | faiss.IO_FLAG_READ_ONLY, lists_beside=True
    )
    lists = faiss.downcast_InvertedLists(inverted_lists_of(index).invlists)
    if not isinstance(lists, faiss.OnDiskInvertedLists):
        raise RuntimeError("its lists are not on disk")
    lists.filename = str(path.with_name(Path(MERGED_LISTS).name))
    lists.read_only = True
    lists.do_mmap()
    # Threads that read ahead cost more than they bring where pages are in memory.
    lists.prefetch_nthread = 0
    return index
