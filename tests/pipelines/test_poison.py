"""A picture that takes its decoder down costs itself, not the job."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest
from PIL import Image, PngImagePlugin

from campaigns.kills import workers_of
from pipelines.job_log import read_jobs
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


def test_the_same_command_gets_past_it(tmp_path, fragile, poisoned, tiny_clip, monkeypatch):
    root = tmp_path / "store"
    command = ["embed", poisoned, "--clip-model", tiny_clip, "--out"]
    # The launcher decodes by itself.
    assert run(fragile, *command, str(root)).returncode == -signal.SIGSEGV
    # Of this process only those that it starts to decode have that decoder.
    monkeypatch.syspath_prepend(fragile["PYTHONPATH"].split(os.pathsep)[0])
    assert main([*command, str(root)]) == 0
    assert rejects(root) == {"in/0/1": CRASHED, "in/0/3": CRASHED}
    for finish in (["mine", poisoned, "--out", str(root)], ["index", str(root)]):
        assert main(finish) == 0
    assert main(["verify", str(root)]) == 0
    assert json.loads((root / "manifest.json").read_text())["images"] == 8


def test_one_command_with_workers_gets_past_it(tmp_path, fragile, poisoned, tiny_clip, read_folder):
    command = ["embed", poisoned, "--clip-model", tiny_clip, "--num-workers", "2", "--out"]
    root = tmp_path / "store"
    done = run(fragile, *command, str(root))
    assert done.returncode == 0, done.stderr
    assert rejects(root) == {"in/0/1": CRASHED, "in/0/3": CRASHED}
    (record,) = read_jobs(root)
    assert (record.parts_done, record.parts, record.samples_read) == (2, 2, 10)
    assert record.rejected == {"decoder_crashed": 2}


def test_killed_workers_change_nothing(tmp_path, shards, start_tagmine, tagmine, read_folder):
    command = ["mine", f"{shards}/*.tar", "--out"]
    here, there = tmp_path / "here/store", tmp_path / "there/store"
    tagmine(*command, str(here))
    process = start_tagmine(*command, str(there), "--num-workers", "2")
    deadline = time.monotonic() + 120
    while not list(there.glob("tags/part-*.parquet")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    _, printed = process.communicate(timeout=250)
    assert process.returncode == 0, printed
    assert read_folder(there) == read_folder(here)
    (record,), (undisturbed,) = read_jobs(there), read_jobs(here)
    for name in ("parts_done", "samples_read", "samples_written", "rejected"):
        assert getattr(record, name) == getattr(undisturbed, name)
    assert record.parts_kept > 0


def test_a_worker_that_dies_does_not_end_the_job(tmp_path):
    """Beam by itself waits for the answer of a dead worker for ever."""
    (tmp_path / "deadly.py").write_text(DEADLY)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-c", "import deadly; deadly.run()", str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.glob("item-*")) == ["item-0", "item-1", "item-2"]
    assert "worker processes died 1 times" in done.stdout


DEADLY = """
import os, signal, sys
from pathlib import Path
import apache_beam as beam
import pipelines.runner
from pipelines.options import RunnerOptions
from pipelines.progress import Watch

def work(item, folder, mercy):
    died = Path(folder, "died")
    if item == 0 and not (mercy and died.exists()):
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    Path(folder, f"item-{item}").touch()

def job(mercy):
    def build(root):
        items = root | beam.Create(range(3)) | beam.Reshuffle()
        return items | beam.Map(work, sys.argv[1], mercy)
    pipelines.runner.run_job(RunnerOptions(num_workers=2), build, Watch(None, None))

def run():
    job(mercy=True)
    pipelines.runner._MAX_DEATHS = 1
    try:
        job(mercy=False)
    except pipelines.runner.JobError as error:
        print(error)
"""
