"""A picture that takes its decoder down costs itself, not the job."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from PIL import Image, PngImagePlugin

from pipelines.main import main

# Any Python that starts with this on its path has a decoder that reads address 0 at such a picture.
FRAGILE_DECODER = """
import ctypes
from PIL import PngImagePlugin
prepare = PngImagePlugin.PngImageFile.load_prepare
def fragile(self):
    if "poison" in self.info:
        ctypes.string_at(0)
    prepare(self)
PngImagePlugin.PngImageFile.load_prepare = fragile
"""


@pytest.fixture
def fragile(tmp_path):
    """An environment in which Pillow crashes at a poisoned picture."""
    folder = tmp_path / "fragile"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(FRAGILE_DECODER)
    path = os.pathsep.join([str(folder), *sys.path])
    return {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": path, "COLUMNS": "200"}


def poison(seed: int) -> bytes:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("poison", str(seed))
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (seed * 40, 0, 99)).save(buffer, "PNG", pnginfo=notes)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory, write_tar, jpeg):
    """Two shards of five samples, the first with two poisoned ones."""
    folder = tmp_path_factory.mktemp("poison") / "in"
    for shard, places in enumerate(((1, 3), ())):
        members = []
        for n in range(5):
            bad = n in places
            picture = poison(n) if bad else jpeg(shard * 5 + n)
            members += [(f"{n}.{'png' if bad else 'jpg'}", picture), (f"{n}.txt", b"a red car")]
        write_tar(folder / f"{shard}.tar", members)
    return f"{folder}/*.tar"


def run(environment, *arguments):
    command = [sys.executable, "-m", "pipelines.main", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)


def rejects(root):
    rows = [row for path in sorted(root.glob("rejects/embed/*")) for row in read(path)]
    return {row["key"]: (row["reason"], row["detail"]) for row in rows}


def read(path):
    return pq.read_table(path).to_pylist()


CRASHED = ("decoder_crashed", "decoding it ends the process by SIGSEGV")


def test_the_same_command_gets_past_it(tmp_path, fragile, poisoned, tiny_clip, read_folder):
    root = tmp_path / "alone" / "store"
    command = ["embed", poisoned, "--clip-model", tiny_clip, "--out"]
    # The launcher decodes by itself.
    assert run(fragile, *command, str(root)).returncode == -signal.SIGSEGV
    done = run(fragile, *command, str(root))
    assert done.returncode == 0, done.stderr
    assert rejects(root) == {"in/0/1": CRASHED, "in/0/3": CRASHED}
    # With worker processes one command does, and gives the same bytes.
    other = tmp_path / "workers" / "store"
    done = run(fragile, *command, str(other), "--num-workers", "2")
    assert done.returncode == 0, done.stderr
    assert read_folder(other) == read_folder(root)
    for finish in (["mine", poisoned, "--out", str(root)], ["index", str(root)]):
        assert main(finish) == 0
    assert main(["verify", str(root)]) == 0
    assert json.loads((root / "manifest.json").read_text())["images"] == 8
