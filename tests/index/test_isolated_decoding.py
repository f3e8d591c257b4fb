"""Decoding in processes of their own: the same pixels, and a picture that ends them."""

from __future__ import annotations

import concurrent.futures
import io
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from index.images import ImageLimits, ImageRejected, decode_image
from index.isolated_decoding import IsolatedDecoding
from tagmine.errors import TagmineError
from tagmine.layout import is_leftover, remove_leftovers, under_way

LIMITS = ImageLimits()
# In the processes that decode, not in this one.
FRAGILE_DECODER = """
import ctypes, os, signal
from PIL import PngImagePlugin
prepare = PngImagePlugin.PngImageFile.load_prepare
def fragile(self):
    if self.size == (13, 1):
        ctypes.string_at(0)
    if self.size == (14, 1):
        os.kill(os.getpid(), signal.SIGKILL)
    prepare(self)
PngImagePlugin.PngImageFile.load_prepare = fragile
"""

DIES_AT_A_PART = """
import os, signal, sys
from pathlib import Path
from tagmine.layout import under_way
with under_way(Path(sys.argv[1])):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def decoding(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fragile")
    (folder / "sitecustomize.py").write_text(FRAGILE_DECODER)
    with pytest.MonkeyPatch.context() as patch, IsolatedDecoding(LIMITS, 64) as opened:
        patch.syspath_prepend(folder)
        yield opened


def test_gives_the_same_pixels_and_the_same_rejections(decoding, jpeg):
    large = io.BytesIO()
    Image.linear_gradient("L").resize((900, 700)).save(large, "JPEG")
    pictures = [jpeg(n) for n in range(6)] + [png(300, 200), large.getvalue()]
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        decoded = list(threads.map(decoding.decode, pictures))
    for data, picture in zip(pictures, decoded, strict=True):
        expected = decode_image(data, LIMITS, 64)
        assert picture.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(picture), np.asarray(expected))
    for bad in (b"", b"GIF89a", pictures[0][:300]):
        with pytest.raises(ImageRejected) as here:
            decode_image(bad, LIMITS, 64)
        with pytest.raises(ImageRejected) as there:
            decoding.decode(bad)
        assert (here.value.reason, here.value.detail) == (there.value.reason, there.value.detail)


def test_a_picture_that_ends_the_process_is_rejected_and_the_rest_goes_on(decoding):
    for _ in range(2):
        with pytest.raises(ImageRejected) as caught:
            decoding.decode(png(13, 1))
        assert caught.value.reason == "decoder_crashed"
        assert caught.value.detail == "decoding it ends the process by SIGSEGV"
        assert decoding.decode(png(12, 1)).size == (12, 1)


def test_a_process_that_was_killed_is_not_the_pictures_fault(decoding):
    with pytest.raises(TagmineError, match="ended by SIGKILL, which no picture does"):
        decoding.decode(png(14, 1))
    assert decoding.decode(png(12, 1)).size == (12, 1)


def test_a_process_that_does_not_start_is_no_rejection(tmp_path, monkeypatch, capfd):
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(tmp_path)
    with (
        IsolatedDecoding(LIMITS, 64) as decoding,
        pytest.raises(TagmineError, match="does not start"),
    ):
        decoding.decode(png(12, 1))


def test_only_a_process_that_dies_leaves_its_mark(tmp_path):
    target = tmp_path / "embeddings" / "part-00000.arrow"
    with pytest.raises(KeyboardInterrupt), under_way(target) as died:
        assert not died
        raise KeyboardInterrupt
    assert list(target.parent.iterdir()) == []
    died = subprocess.run([sys.executable, "-c", DIES_AT_A_PART, target])
    assert died.returncode == -signal.SIGKILL
    (mark,) = target.parent.iterdir()
    assert is_leftover(mark) and remove_leftovers(tmp_path) == 0
    # Interrupted before the part is made: it is still known that a process died.
    with pytest.raises(KeyboardInterrupt), under_way(target) as died:
        assert died
        raise KeyboardInterrupt
    with under_way(target) as died:
        assert died
    assert list(target.parent.iterdir()) == []
