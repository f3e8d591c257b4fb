"""A picture on its way into a shard, and the folders that pictures come from."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from tagmine.captions import SampleRejected
from tagmine.files_below import read_below
from tagmine.samples import IMAGE_KEYS

MAX_IMAGE_BYTES = 256 << 20
JPEG_QUALITY = 95


@dataclasses.dataclass(frozen=True, slots=True)
class Picture:
    """A picture as the collection has it.

    Attributes:
        data: an image file, or the samples of an RGB picture, row by row.
        size: width and height in pixels of the latter; None for a file.
    """

    data: bytes
    size: tuple[int, int] | None = None

    def as_file(self) -> tuple[str, bytes]:
        """Extension and bytes of the image file; samples become a JPEG.

        Raises:
            SampleRejected: for a file that is no JPEG, PNG or WebP.
        """
        if self.size is not None:
            return "jpg", _encode(self.data, self.size)
        return _extension(self.data), self.data


def _encode(samples: bytes, size: tuple[int, int]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    picture = Image.frombytes("RGB", size, samples)
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def _extension(data: bytes) -> str:
    # By what they are: names of image files lie.
    if data[:3] == b"\xff\xd8\xff":
        return "jpg"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    found = f"starts with {data[:8]!r}" if data else "has no bytes"
    raise SampleRejected("image_undecodable", f"no JPEG, PNG or WebP: the file {found}")


@dataclasses.dataclass(frozen=True, slots=True)
class FolderPictures:
    """Image files below a folder, named by relative paths, perhaps without their extension."""

    folder: str

    @contextlib.contextmanager
    def open(self) -> Iterator[FolderPictures]:
        yield self

    def read(self, images: Sequence[str]) -> Iterator[Picture | SampleRejected]:
        for image in images:
            try:
                yield Picture(self._read(image))
            except SampleRejected as rejected:
                yield rejected.with_traceback(None)

    def _read(self, image: str) -> bytes:
        folder = Path(self.folder)
        try:
            return read_below(folder, image, MAX_IMAGE_BYTES)
        except SampleRejected as rejected:
            if rejected.reason != "image_missing" or _has_extension(image):
                raise
            missing = rejected
        for extension in IMAGE_KEYS:
            with contextlib.suppress(SampleRejected):
                return read_below(folder, f"{image}.{extension}", MAX_IMAGE_BYTES)
        raise missing


def _has_extension(image: str) -> bool:
    return PurePosixPath(image.lower()).suffix.removeprefix(".") in IMAGE_KEYS
