"""Disks, shards, clocks, memory and versions that fail: finished and alike, or a clear sentence."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import os
import resource
import shutil
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.utils.shared import Shared
from rich.console import Console

from campaigns.contents import read_datastore
from index.images import ImageLimits, decode_image
from pipelines import copying, embed, exact_search, index, mine, retrieve, thumbnails
from pipelines.code_version import code_version
from pipelines.failures import explain, explained
from pipelines.job_log import JobLog, read_jobs
from pipelines.main import main
from pipelines.progress import Heartbeat, show_progress
from tagmine.errors import TagmineError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def mined(tmp_path_factory, shards):
    root = tmp_path_factory.mktemp("mined") / "store"
    assert main(["mine", f"{shards}/0000[012].tar", "--out", str(root)]) == 0
    return root


@pytest.fixture
def disk(tmp_path):
    """A function that mounts a disk of a size, or changes it."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"a disk cannot be mounted here: {done.stderr.strip()}")
        return folder

    yield mount
    subprocess.run(["umount", "-l", str(folder)], capture_output=True)


def test_a_full_disk_stops_and_one_with_room_finishes(disk, shards, mined, capfd):
    root = disk("size=32k") / "store"
    command = ["mine", f"{shards}/0000[012].tar", "--out", str(root)]
    assert main(command) == 1
    said = capfd.readouterr().err
    assert "the disk is full" in said and "run the same command again when there is room" in said
    assert "Traceback" not in said
    assert not [path for path in root.rglob("part-*") if not path.stat().st_size]
    disk("remount,size=4m")
    assert main(command) == 0
    assert read_datastore(root) == read_datastore(mined)


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_record_that_finds_no_room_ends_nothing(disk):
    root = disk("size=64k")
    log = JobLog(root, "mine", "local", 3)
    with show_progress(Console(quiet=True), "mine", 3, 300, log) as folder:
        with contextlib.suppress(OSError):
            (root / "rest").write_bytes(bytes(1 << 20))
        Heartbeat(folder, 0)(50, 3)
        time.sleep(1.5)
        assert read_jobs(root)[0].samples_read == 0
        (root / "rest").unlink()
        deadline = time.monotonic() + 20
        while read_jobs(root)[0].samples_read != 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_an_output_that_is_read_only(disk, shards, mined, capfd):
    root = disk("size=4m") / "store"
    shutil.copytree(mined, root)
    (root / "tags/part-00001.parquet").unlink()
    disk("remount,ro")
    assert main(["mine", f"{shards}/0000[012].tar", "--out", str(root)]) == 1
    said = capfd.readouterr().err
    assert "Read-only file system" in said and "Traceback" not in said
    fresh = ["mine", f"{shards}/00000.tar", "--out", str(root.parent / "new")]
    assert main(fresh) == 1
    assert "Give --out a folder that you may write to" in capfd.readouterr().err


def test_a_shard_that_vanishes_or_changes_between_two_stages(tmp_path, shards, tiny_clip, capfd):
    folder = tmp_path / "toys"
    folder.mkdir()
    for number in (0, 1):
        shutil.copy(shards / f"{number:05d}.tar", folder)
    root = tmp_path / "store"
    out = ["--out", str(root), "--clip-model", tiny_clip]
    assert main(["mine", f"{folder}/*.tar", "--out", str(root)]) == 0
    (folder / "00001.tar").unlink()
    assert main(["embed", f"{folder}/0000{{0,1}}.tar", *out]) == 1
    assert "00001.tar" in capfd.readouterr().err
    # It comes back, larger.
    grown = (shards / "00001.tar").read_bytes()[:-1024].rstrip(b"\0")
    grown += bytes(-len(grown) % 512) + (shards / "00002.tar").read_bytes()
    (folder / "00001.tar").write_bytes(grown)
    assert main(["embed", f"{folder}/*.tar", *out]) == 0
    assert main(["index", str(root)]) == 1
    assert "changed between mining and embedding" in capfd.readouterr().err
    assert not (root / "manifest.json").exists()
    assert main(["build", f"{folder}/*.tar", *out]) == 0


def test_a_second_builder_is_refused(tmp_path, shards, capfd):
    from tagmine.layout import locked

    root = tmp_path / "store"
    with locked(root):
        assert main(["mine", f"{shards}/00000.tar", "--out", str(root)]) == 1
    assert "another tagmine job is writing to this folder" in capfd.readouterr().err
    assert list(root.iterdir()) == []


def test_clocks_decide_nothing(mined, tmp_path, shards):
    """Files of the year 1970 and of 2100 are what they were."""
    root, folder = tmp_path / "store", tmp_path / "toys"
    shutil.copytree(mined, root)
    shutil.copytree(shards, folder)
    for number, path in enumerate([*root.rglob("*"), *folder.rglob("*")]):
        os.utime(path, (0, 0) if number % 2 else (4102444800, 4102444800))
    inodes = {path: path.stat().st_ino for path in root.glob("tags/*")}
    assert main(["mine", f"{folder}/0000[012].tar", "--out", str(root)]) == 0
    assert {path: path.stat().st_ino for path in root.glob("tags/*")} == inodes
    assert read_datastore(root).keys() == read_datastore(mined).keys()


FILE_TIMES = {f"st_{which}time{unit}" for which in "amc" for unit in ("", "_ns")}
CLOCKS = FILE_TIMES | {"getatime", "getmtime", "getctime", "now", "utcnow", "today"}
# Of the module, since a datetime has some of these names; it has clocks of durations, too.
CLOCKS_OF_TIME = {"time", "time_ns", "ctime", "asctime", "localtime", "gmtime", "strftime"}
CLOCKS_OF_TIME |= {"clock_gettime", "clock_gettime_ns"}
# Copies of what lies in an object store: a file of another time is hashed or fetched again.
ALLOWED_CLOCKS = {
    "tagmine/cache.py": {"st_mtime"},
    "tagmine/mirror.py": {"st_mtime_ns"},
    "tagmine/opened.py": {"st_mtime_ns"},
    "pipelines/job_log.py": {"now"},
}


def clocks_in(source: str) -> set[str]:
    """The clocks that tell what time it is, and times of files, that a module reads."""
    nodes = list(ast.walk(ast.parse(source)))
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module == "time"]
    found = {alias.name for node in froms for alias in node.names} & (CLOCKS_OF_TIME | {"*"})
    imports = [alias for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    modules = {alias.asname or alias.name for alias in imports if alias.name == "time"}
    for node in nodes:
        if isinstance(node, ast.Attribute):
            of_time = isinstance(node.value, ast.Name) and node.value.id in modules
            found |= {node.attr} & (CLOCKS | CLOCKS_OF_TIME if of_time else CLOCKS)
    return found


@pytest.mark.parametrize(
    ("source", "clocks"),
    [
        ("import time\nx = time.time()", {"time"}),
        ("import time as t\nx = t.time_ns()", {"time_ns"}),
        ("from time import time as now_is", {"time"}),
        ("from time import *", {"*"}),
        ("from datetime import datetime\nx = datetime.now(None)", {"now"}),
        ("import datetime\nx = datetime.date.today()", {"today"}),
        ("import os\nx = os.stat('a').st_mtime_ns + os.path.getctime('a')",
         {"st_mtime_ns", "getctime"}),
        ("import time, datetime\nx = time.monotonic()\ny = datetime.time(1)", set()),
    ],
)  # fmt: skip
def test_a_clock_is_seen_however_it_is_read(source, clocks):
    assert clocks_in(source) == clocks


def test_no_stage_reads_a_clock_or_the_time_of_a_file():
    """What makes parts has no clock; the records of jobs have one."""
    folders = [ROOT / name for name in ("tagmine", "index", "pipelines")]
    paths = {path for folder in folders for path in folder.rglob("*.py")}
    found = {path.relative_to(ROOT).as_posix(): clocks_in(path.read_text()) for path in paths}
    assert {name: clocks for name, clocks in found.items() if clocks} == ALLOWED_CLOCKS


DAMAGED = (
    "tags/part-00000.parquet",
    "embeddings/part-00001.arrow",
    "rejects/mine/part-00001.parquet",
    "rejects/index/part-00000.parquet",
    "index/trained.faiss",
    "index/shard-00000.faiss",
    "index/shard-00000.json",
    "vocabulary/tags.arrow",
    "manifest.json",
    "tagger.json",
)


def test_a_build_makes_damaged_files_anew(tmp_path, shards, tiny_clip):
    root = tmp_path / "store"
    command = ["build", f"{shards}/0000[01].tar", "--out", str(root), "--clip-model", tiny_clip]
    assert main(command) == 0
    undamaged = read_datastore(root)
    for place in (0.3, 0.7):
        for name in DAMAGED:
            data = bytearray(undamaged[name])
            data[int(len(data) * place)] ^= 0x10
            (root / name).write_bytes(data)
        assert main(["verify", str(root)]) == 1
        assert main(command) == 0
        mended = read_datastore(root)
        assert mended.keys() == undamaged.keys()
        # Bytes that nothing reads, such as padding, may stay as they are.
        different = [name for name in mended if mended[name] != undamaged[name]]
        assert {Path(name).suffix for name in different} <= {".parquet", ".arrow", ".json"}
        for name in different:
            if name != "manifest.json":
                assert table(mended[name]).equals(table(undamaged[name])), name
        assert main(["verify", str(root)]) == 0


def table(data: bytes) -> pa.Table:
    if data.startswith(b"PAR1"):
        return pq.read_table(pa.BufferReader(data))
    return pa.ipc.open_file(data).read_all()


@pytest.mark.parametrize(
    "work",
    [
        lambda code: mine._mine(_source(), _job(mine.MineJob, code), Shared()),
        lambda code: embed._embed(_source(), _job(embed.EmbedJob, code), Shared()),
        lambda code: thumbnails._shrink(_source(), _job(thumbnails.ThumbnailsJob, code)),
        lambda code: index._train(_job(index.IndexJob, code)),
        lambda code: index._fill(None, _job(index.IndexJob, code)),
        lambda code: retrieve._retrieve(_source(), _job(retrieve.RetrieveJob, code), Shared()),
        lambda code: exact_search._scan(0, _job(exact_search.ExactJob, code), Shared()),
        lambda code: exact_search._examine(0, _job(exact_search.ExactJob, code), Shared()),
        lambda code: copying._copy(types.SimpleNamespace(source=_source()), "x", None, code),
    ],
)
def test_a_worker_of_other_code_is_refused(work):
    with pytest.raises(TagmineError, match=r"the launcher 0\.0\.1\+0+; parts of two versions"):
        work("0.0.1+000000000000")


@pytest.mark.parametrize(
    "kind",
    [
        mine.MineJob,
        embed.EmbedJob,
        thumbnails.ThumbnailsJob,
        index.IndexJob,
        retrieve.RetrieveJob,
        exact_search.ExactJob,
    ],
)
def test_a_job_carries_the_launchers_code(kind):
    assert _job(kind).code == code_version()


def _job(kind, *code):
    """A job with nothing in it but the launcher's code."""
    required = [f for f in dataclasses.fields(kind) if f.default is f.default_factory]
    return kind(*[None] * len(required), **({"code": code[0]} if code else {}))


def _source():
    from tagmine.sources import Source

    return Source(0, "d/s", "/d/s.tar")


DECODED_IN_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from index.images import ImageLimits, decode_image

data = Path(sys.argv[1]).read_bytes()

pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + (20 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    decode_image(data, ImageLimits())
except MemoryError as error:
    sys.exit(42 if "which are not to be had" in str(error) else 3)
"""


def test_a_good_picture_is_not_rejected_for_want_of_memory(tmp_path):
    from PIL import Image

    picture = tmp_path / "large.png"
    # 144 MB: more than any process has to spare of what it gave back.
    Image.new("RGB", (8000, 6000)).save(picture)
    # A process of its own: what this one has freed would be enough.
    words = [sys.executable, "-c", DECODED_IN_LITTLE_MEMORY, str(picture)]
    assert subprocess.run(words, cwd=ROOT).returncode == 42
    assert decode_image(picture.read_bytes(), ImageLimits()).size == (8000, 6000)


def test_a_command_that_may_not_have_the_memory_it_needs(tmp_path, shards):
    command = [sys.executable, "-m", "pipelines.main", "mine", str(shards / "00000.tar"), "--out"]
    out = tmp_path / "store"
    limited = ["bash", "-c", 'ulimit -v 600000; exec "$@"', "-", *command, str(out)]
    done = subprocess.run(limited, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and not out.exists()
    assert "0.6 GiB (ulimit -v)" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert subprocess.run([*command, str(out)], cwd=ROOT, capture_output=True).returncode == 0


def test_a_library_that_does_not_load_is_said_in_a_sentence():
    blis = ValueError("BLIS support requires blis: pip install blis")
    cublas = RuntimeError("faiss-gpu: failed to load libcublas.so.12 from x: corrupt wheel?")
    mapped = OSError("x.so: failed to map segment")
    for error in (blis, cublas, ImportError("DLL load failed"), mapped):
        with pytest.raises(TagmineError, match="a library did not load"), explained():
            raise error
    with pytest.raises(ValueError, match="another"), explained():
        raise ValueError("another")


@pytest.mark.parametrize("limit", [resource.RLIM_INFINITY, 600_000 << 10])
def test_c_code_that_does_not_say_why_ran_out_of_memory_where_it_is_limited(monkeypatch, limit):
    monkeypatch.setattr(resource, "getrlimit", lambda which: (limit, resource.RLIM_INFINITY))
    unlimited = limit == resource.RLIM_INFINITY
    expected = (
        (SystemError, "^error") if unlimited else (TagmineError, r"memory ran out .* 0\.6 GiB")
    )
    with pytest.raises(expected[0], match=expected[1]), explained():
        raise SystemError("error return without exception set")


def test_want_of_memory_is_said_in_a_sentence():
    with pytest.raises(TagmineError, match="memory ran out .* smaller --num-workers"), explained():
        np.empty(1 << 60, np.uint8)
    assert "memory ran out" in explain(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    assert explain(RuntimeError("another")) is None


def test_a_folder_in_the_place_of_a_part_is_named(tmp_path, shards, mined, capfd):
    root = tmp_path / "store"
    shutil.copytree(mined, root)
    part = root / "tags" / "part-00001.parquet"
    part.unlink()
    part.mkdir()
    command = ["mine", f"{shards}/0000[012].tar", "--out", str(root)]
    assert main(command) == 1
    said = capfd.readouterr().err
    assert "part-00001.parquet" in said and "Take it away; nothing finished is lost" in said
    part.rmdir()
    assert main(command) == 0
    assert read_datastore(root) == read_datastore(mined)
    with pytest.raises(RuntimeError, match="another"), explained():
        raise RuntimeError("another")
