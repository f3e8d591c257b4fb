"""Image files that a stranger's list names, read from a folder that they never lead out of."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path

from index.images import ImageLimits, ImageRejected
from tagmine.captions import SampleRejected
from tagmine.files_below import read_below
from tagmine.sources import Source


@dataclasses.dataclass(frozen=True, slots=True)
class ImageChunk(Source):
    """Some of the images that a list names; `url` is their folder.

    Attributes:
        images: paths below that folder, as the list has them.
    """

    images: tuple[str, ...] = ()


def read_image_file(folder: Path, image: str, limits: ImageLimits) -> bytes:
    """The bytes of an image file.

    Links that lie in the folder are followed: whoever owns the folder put them there.

    Args:
        folder: the image folder.
        image: a relative path of a stranger.
        limits: how large a file may be.

    Raises:
        ImageRejected: for a path that is absolute or has "..", a file that is not there or is no
            plain file, or one that is too large.
    """
    try:
        return read_below(folder, image, limits.max_bytes)
    except SampleRejected as rejected:
        raise ImageRejected(rejected.reason, rejected.detail) from rejected


class ImageFiles:
    """The files of a chunk, in order, hashed while they are read; a `HashedInput`.

    Attributes:
        bytes_read: how many bytes were read so far.
    """

    def __init__(self, chunk: ImageChunk, limits: ImageLimits) -> None:
        self.bytes_read = 0
        self._hash = hashlib.sha256()
        self._files = self._read(chunk, limits)

    def __iter__(self) -> Iterator[tuple[str, bytes | ImageRejected]]:
        """Each image, and its bytes or why there are none."""
        return self._files

    def _read(
        self, chunk: ImageChunk, limits: ImageLimits
    ) -> Iterator[tuple[str, bytes | ImageRejected]]:
        for image in chunk.images:
            found: bytes | ImageRejected
            try:
                found = read_image_file(Path(chunk.url), image, limits)
            except ImageRejected as rejected:
                found = rejected.with_traceback(None)
            data = found if isinstance(found, bytes) else str(found).encode()
            kind = "bytes" if isinstance(found, bytes) else "rejected"
            self._hash.update(f"{image}\0{kind}\0{len(data)}\0".encode())
            self._hash.update(data)
            self.bytes_read += len(data)
            yield image, found

    def drain(self) -> str:
        """Read to the end and return the sha256 of names and files, as hex."""
        for _ in self._files:
            pass
        return self._hash.hexdigest()


@contextlib.contextmanager
def open_chunk(chunk: ImageChunk, limits: ImageLimits) -> Iterator[ImageFiles]:
    """The files of a chunk; none is held open between two of them."""
    yield ImageFiles(chunk, limits)
