"""Every kind of picture that a stranger's shard may hold."""

from __future__ import annotations

import io
import pickle
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from index.images import ImageLimits, ImageRejected, decode_image

LIMITS = ImageLimits()


def scene(width: int = 64, height: int = 48) -> Image.Image:
    """Red left of blue, over a green third row of quarters: every flip and rotation shows."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2] = (220, 30, 30)
    pixels[:, width // 2 :] = (30, 30, 220)
    pixels[: height // 4] = (30, 200, 30)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 64)), (b"IEND", b""))
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def jpeg_header(width: int, height: int) -> bytes:
    """A small JPEG whose frame header claims another size."""
    data = bytearray(encoded(scene(), "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def webp_header(width: int, height: int) -> bytes:
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\0" * 4 + canvas
    return b"RIFF" + struct.pack("<I", len(body)) + body


def rejection(data: bytes, limits: ImageLimits = LIMITS) -> ImageRejected:
    with pytest.raises(ImageRejected) as caught:
        decode_image(data, limits)
    return caught.value


def close(image: Image.Image, expected: Image.Image, tolerance: float) -> bool:
    assert image.mode == "RGB"
    assert image.size == expected.size
    difference = np.asarray(image, np.int16) - np.asarray(expected.convert("RGB"), np.int16)
    return bool(np.abs(difference).mean() <= tolerance)


@pytest.mark.parametrize(("kind", "tolerance"), [("PNG", 0), ("JPEG", 4), ("WEBP", 4)])
def test_the_three_formats_decode(kind: str, tolerance: float) -> None:
    assert close(decode_image(encoded(scene(), kind), LIMITS), scene(), tolerance)


NOISE = np.random.default_rng(5).bytes(4000)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "has no bytes"),
        (NOISE, "no JPEG, PNG or WebP"),
        (b"\xff\xd8\xff\xe0" + NOISE, ""),
        (encoded(scene(256, 256), "JPEG")[:700], "truncated"),
        (encoded(scene(256, 256), "PNG")[:120], ""),
        (encoded(scene(256, 256), "WEBP")[:60], ""),
        (encoded(scene(), "GIF"), "GIF8"),
        (encoded(scene(), "TIFF"), "no JPEG, PNG or WebP"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "<svg"),
    ],
    ids=["empty", "noise", "noisy jpeg", "cut jpeg", "cut png", "cut webp", "gif", "tiff", "svg"],
)
def test_what_is_no_picture_is_undecodable(data: bytes, words: str) -> None:
    rejected = rejection(data)
    assert rejected.reason == "image_undecodable"
    assert words in rejected.detail


def test_the_detail_has_no_address_and_is_the_same_again() -> None:
    details = {rejection(data).detail for data in (NOISE, NOISE)}
    assert len(details) == 1
    assert "0x" not in details.pop()


@pytest.mark.parametrize("header", [png_header, jpeg_header, webp_header])
def test_a_giant_is_refused_from_its_header(header) -> None:
    side = 16_000 if header is webp_header else 30_000
    tracemalloc.start()
    rejected = rejection(header(side, side))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rejected.reason == "image_too_large"
    assert f"{side} x {side}" in rejected.detail or f"{side**2} pixels" in rejected.detail
    assert peak < 2**20


def test_just_above_the_limit_the_words_name_the_size_and_the_limit() -> None:
    detail = rejection(png_header(10_000, 9_000)).detail
    assert detail == "10000 x 9000 pixels; the limit is 89478485"


def test_a_limit_that_pil_cannot_honour_is_refused() -> None:
    ImageLimits(max_pixels=2 * Image.MAX_IMAGE_PIXELS)
    with pytest.raises(ValueError, match="PIL opens nothing above"):
        ImageLimits(max_pixels=2 * Image.MAX_IMAGE_PIXELS + 1)


def test_pixels_and_bytes_at_the_limit_pass_and_one_more_does_not() -> None:
    data = encoded(scene(64, 48), "PNG")
    decode_image(data, ImageLimits(max_pixels=64 * 48, max_bytes=len(data)))
    assert rejection(data, ImageLimits(max_pixels=64 * 48 - 1)).reason == "image_too_large"
    assert rejection(data, ImageLimits(max_bytes=len(data) - 1)).reason == "image_too_large"


@pytest.mark.parametrize("name", ["max_pixels", "max_bytes"])
def test_limits_below_one_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0"):
        ImageLimits(**{name: 0})


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_animation_gives_its_first_frame(kind: str) -> None:
    second = Image.new("RGB", (64, 48), (255, 255, 255))
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(scene(), kind, save_all=True, append_images=[second], duration=50, **options)
    assert Image.open(io.BytesIO(data)).n_frames == 2
    assert close(decode_image(data, LIMITS), scene(), 1)


def test_cmyk_keeps_its_colours() -> None:
    data = encoded(scene().convert("CMYK"), "JPEG", quality=95)
    assert Image.open(io.BytesIO(data)).mode == "CMYK"
    assert b"Adobe" in data
    assert close(decode_image(data, LIMITS), scene(), 5)


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    data = encoded(Image.fromarray(ramp), "PNG")
    assert Image.open(io.BytesIO(data)).mode.startswith("I")
    decoded = np.asarray(decode_image(data, LIMITS))
    assert (decoded == (ramp >> 8)[..., None]).all()


def test_transparency_is_dropped_and_the_colour_under_it_kept() -> None:
    colours = np.dstack([np.asarray(scene()), np.zeros((48, 64), np.uint8)])
    data = encoded(Image.fromarray(colours, "RGBA"), "PNG")
    assert close(decode_image(data, LIMITS), scene(), 0)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "PA"])
def test_other_modes_become_rgb_as_pil_converts_them(mode: str) -> None:
    kind = "PNG"
    source = scene().convert("P" if mode == "PA" else mode)
    options = {"transparency": 0} if mode == "PA" else {}
    data = encoded(source, kind, **options)
    assert close(decode_image(data, LIMITS), source, 0)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_applied(orientation: int, kind: str) -> None:
    undo = {2: 0, 3: 1 + 2, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = scene()
    if orientation > 1:
        stored = stored.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, kind, exif=exif.tobytes())
    assert close(decode_image(data, LIMITS), scene(), 4)


@pytest.mark.parametrize(
    "exif",
    [b"Exif\0\0nonsense", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"],
)
def test_malformed_exif_is_ignored(exif: bytes) -> None:
    assert close(decode_image(encoded(scene(), "JPEG", exif=exif), LIMITS), scene(), 4)


def test_a_known_target_decodes_a_jpeg_at_reduced_size_but_never_below_the_target() -> None:
    data = encoded(scene(1280, 960), "JPEG")
    assert decode_image(data, LIMITS).size == (1280, 960)
    assert decode_image(data, LIMITS, 224).size == (320, 240)
    assert decode_image(data, LIMITS, 241).size == (640, 480)
    assert decode_image(data, LIMITS, 2000).size == (1280, 960)


def test_a_turned_jpeg_is_reduced_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(scene(1280, 960), "JPEG", exif=exif.tobytes())
    assert decode_image(data, LIMITS, 224).size == (240, 320)


def test_a_jpeg_of_a_thousand_scans_is_refused() -> None:
    data = encoded(scene(), "JPEG", progressive=True)
    scan = data.index(b"\xff\xda")
    bomb = data[:scan] + data[scan:-2] * 600 + data[-2:]
    assert "scans" in rejection(bomb).detail


def test_a_rejection_can_travel_between_processes() -> None:
    rejected = pickle.loads(pickle.dumps(rejection(b"")))
    assert (rejected.reason, rejected.detail) == ("image_undecodable", rejection(b"").detail)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "WEBP"]), st.data())
def test_damaged_bytes_give_a_picture_or_a_rejection(kind: str, data: st.DataObject) -> None:
    damaged = bytearray(encoded(scene(), kind))
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    del damaged[data.draw(st.integers(0, len(damaged))) :]
    try:
        image = decode_image(bytes(damaged), ImageLimits(max_pixels=10**6), 16)
    except ImageRejected as rejected:
        assert rejected.reason in ("image_undecodable", "image_too_large")
    else:
        assert image.mode == "RGB"
