"""Bytes from strangers to an RGB picture, or a reason why not."""

from __future__ import annotations

import dataclasses
import io
import re
import warnings

import numpy as np
from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP")

# Changes whenever the same bytes would give other pixels; part of every encoder's fingerprint.
DECODE_RULES = 1

# Progressive JPEGs may carry thousands of scans, each a pass over the whole picture: a small file
# that decodes for minutes. libjpeg-turbo's own fuzzers stop at this number.
MAX_JPEG_SCANS = 500

# How many times the target's side a JPEG decoded at reduced size must keep. Measured with 1 on 40
# COCO photos of 640 x 480 for a side of 224 (half size): decoding takes 2.0 ms instead of 6.2, and
# ViT-B-32 embeddings (random weights) have a cosine of 0.9999 on average and 0.9991 at least with
# those of the full decode. A margin of 2 would leave photos of this size without the gain.
DRAFT_MARGIN = 1

# RGB and what the decoder holds beside it.
_BYTES_A_PIXEL = 6

_ORIENTATION_TAG = 0x0112
_TRANSPOSE_BY_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# The limit below is checked on every picture, so PIL's own warning about large ones would only
# repeat it. Process-wide, because catch_warnings is not safe in the decoding threads.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# "Corrupt EXIF data" and its like, once a line of PIL: nothing a user of a job can act on.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
_PIL_MAX_PIXELS = 178_956_970


@dataclasses.dataclass(frozen=True, slots=True)
class ImageLimits:
    """How large a picture may be before it is rejected unread.

    Attributes:
        max_pixels: width times height; the default is a quarter of a gibibyte as RGB, PIL's own.
        max_bytes: length of the encoded file.

    Raises:
        ValueError: for a limit below 1, or more pixels than PIL opens (178,956,970).
    """

    max_pixels: int = 89_478_485
    max_bytes: int = 256 * 2**20

    def __post_init__(self) -> None:
        for name in ("max_pixels", "max_bytes"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name} is {value}, expected at least 1")
        if self.max_pixels > _PIL_MAX_PIXELS:
            raise ValueError(
                f"max_pixels is {self.max_pixels}; PIL opens nothing above {_PIL_MAX_PIXELS}"
            )


class ImageRejected(Exception):  # noqa: N818 - an outcome of the data, not a fault
    """A picture that cannot be used.

    Attributes:
        reason: "image_undecodable" or "image_too_large".
        detail: what was found; the same bytes always give the same words.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[ImageRejected], tuple[str, str]]:
        return ImageRejected, (self.reason, self.detail)


def decode_image(data: bytes, limits: ImageLimits, shortest_side: int | None = None) -> Image.Image:
    """Decodes a JPEG, PNG or WebP file to an RGB picture, upright by its EXIF orientation.

    Animations give their first frame; CMYK and grey are converted; 16-bit samples keep their high
    byte, which is what PIL does for 16-bit RGB. Transparency is dropped and not composited: the
    colours stored under it stay, as in `Image.convert("RGB")`, which is what open_clip's training
    loader (webdataset's "pilrgb") does.

    Args:
        data: the file's bytes.
        limits: checked from the header, before any pixel is decoded.
        shortest_side: where the caller will shrink the picture so that its shortest side is this
            many pixels, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size (DCT scaling), as
            long as both sides stay at least `DRAFT_MARGIN` times as long. None decodes in full.

    Returns:
        A picture of mode "RGB".

    Raises:
        ImageRejected: for anything that is not such a picture, is damaged, or exceeds a limit.
        MemoryError: when it may be a good picture, but there is not enough memory to tell.
    """
    if len(data) > limits.max_bytes:
        raise ImageRejected(
            "image_too_large", f"{len(data)} bytes; the limit is {limits.max_bytes}"
        )
    _check_canvas(_webp_canvas(data), limits)
    try:
        return _decode(data, limits, shortest_side)
    except ImageRejected as rejected:
        # Where memory is short, decoders fail at good pictures, and not all of them say why.
        if rejected.reason != "image_undecodable":
            raise
        _check_memory(limits, rejected)
        return _decode(data, limits, shortest_side)


def _check_memory(limits: ImageLimits, rejected: ImageRejected) -> None:
    """Tell a picture that cannot be decoded from one that there is no memory for.

    Raises:
        MemoryError: when the largest picture that is allowed would not fit.
    """
    try:
        np.empty(limits.max_pixels * _BYTES_A_PIXEL, np.uint8)
    except MemoryError as error:
        raise MemoryError(
            f"decoding a picture takes up to {limits.max_pixels * _BYTES_A_PIXEL:,} bytes, which "
            f"are not to be had; what the decoder said: {rejected.detail}"
        ) from error


def _decode(data: bytes, limits: ImageLimits, shortest_side: int | None) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_canvas(image.size, limits)
            _check_scans(image.format, data)
            if shortest_side is not None and image.format in ("JPEG", "MPO"):
                side = shortest_side * DRAFT_MARGIN
                image.draft(None, (side, side))
            image.load()
            return _upright(_to_rgb(image), _orientation(image))
    except ImageRejected:
        raise
    except Image.UnidentifiedImageError:
        start = f"starts with {data[:8]!r}" if data else "has no bytes"
        raise ImageRejected(
            "image_undecodable", f"no JPEG, PNG or WebP: the file {start}"
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageRejected("image_too_large", _words(error)) from error
    # PIL's plugins meet hostile bytes with nearly every exception there is (struct.error,
    # SyntaxError, IndexError, zlib.error, MemoryError …). None of them may end a job.
    except Exception as error:
        raise ImageRejected("image_undecodable", _words(error)) from error


def _check_canvas(size: tuple[int, int] | None, limits: ImageLimits) -> None:
    if size is not None and size[0] * size[1] > limits.max_pixels:
        raise ImageRejected(
            "image_too_large", f"{size[0]} x {size[1]} pixels; the limit is {limits.max_pixels}"
        )


def _check_scans(kind: str | None, data: bytes) -> None:
    # 0xFF is escaped inside the compressed data, so that this counts markers (and, harmlessly,
    # those of embedded thumbnails).
    scans = data.count(b"\xff\xda") if kind in ("JPEG", "MPO") else 0
    if scans > MAX_JPEG_SCANS:
        raise ImageRejected(
            "image_undecodable", f"a JPEG of {scans} scans; the limit is {MAX_JPEG_SCANS}"
        )


def _webp_canvas(data: bytes) -> tuple[int, int] | None:
    """Width and height in a WebP header; None for other files.

    Read here because opening a WebP with PIL allocates its canvas at once. Layout: RFC 9649.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        return None
    little = int.from_bytes
    if data[12:16] == b"VP8X":
        return little(data[24:27], "little") + 1, little(data[27:30], "little") + 1
    if data[12:16] == b"VP8L":
        bits = little(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return little(data[26:28], "little") & 0x3FFF, little(data[28:30], "little") & 0x3FFF


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # convert() would clip these 16-bit samples at 255 and give a white picture.
        samples = np.asarray(image).astype(np.int64) >> 8
        return Image.fromarray(samples.clip(0, 255).astype(np.uint8)).convert("RGB")
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    # The pixels are good; a broken EXIF block (any of PIL's exceptions) only loses the rotation.
    except Exception:
        return 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    method = _TRANSPOSE_BY_ORIENTATION.get(orientation)
    return image if method is None else image.transpose(method)


def _words(error: BaseException) -> str:
    """PIL's message without memory addresses, which would differ from run to run."""
    text = re.sub(r"<([\w.]+) object at 0x[0-9a-f]+>", r"<\1>", str(error)).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
