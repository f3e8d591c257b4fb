"""The real img2dataset downloads from a server on this machine, and what it wrote is built.

The commands are those of docs/domains.md.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import re
import shlex
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.img2dataset_env import img2dataset_python
from pipelines.main import main

PAGE = (Path(__file__).parents[2] / "docs" / "domains.md").read_text()
PHOTOS = 24
# What a file of addresses meets: nothing there, no picture, an empty file, half of a PNG.
BROKEN = {"page.jpg": b"<html>gone</html>", "empty.jpg": b"", "half.png": b"\x89PNG\r\n\x1a\n\0\0"}
MISSING = ("gone-1.jpg", "gone-2.jpg")
# One machine's share of the page's numbers.
FEWER = {"--processes_count": "1", "--thread_count": "4", "--number_sample_per_shard": "10"}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def web(shared_data, tmp_path_factory) -> Iterator[tuple[str, dict[str, str]]]:
    """Address of a server of real photos and of what is none; and the caption of each photo."""
    folder = tmp_path_factory.mktemp("web")
    captions = {}
    with tarfile.open(shared_data / "shards/coco-mini/coco-mini-train-0000.tar") as archive:
        for name in [name for name in archive.getnames() if name.endswith(".jpg")][:PHOTOS]:
            (folder / name).write_bytes(archive.extractfile(name).read())
            captions[name] = archive.extractfile(name.replace(".jpg", ".txt")).read().decode()
    for name, data in BROKEN.items():
        (folder / name).write_bytes(data)
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", captions
        server.shutdown()
        thread.join()


def commands() -> list[list[str]]:
    """The page's commands about img2dataset: downloading, and building from it."""
    (block,) = re.findall(r"^```\n(\$ img2dataset .*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    lines = block.replace("\\\n", " ").splitlines()
    return [shlex.split(line.removeprefix("$ ")) for line in lines if line.startswith("$ ")]


@pytest.fixture(scope="module")
def downloaded(web, tmp_path_factory) -> Path:
    """A folder with cc3m/ as img2dataset wrote it, of a TSV in CC3M's form."""
    python = img2dataset_python()
    if python is None:
        pytest.skip("img2dataset cannot be installed in an environment of its own here")
    address, captions = web
    folder = tmp_path_factory.mktemp("downloads")
    rows = [(caption, name) for name, caption in captions.items()]
    rows += [("nothing to see", name) for name in (*BROKEN, *MISSING)]
    lines = [f"{caption}\t{address}/{name}" for caption, name in rows]
    (folder / "cc3m.tsv").write_text("\n".join(["caption\turl", *lines]) + "\n")
    words = commands()[0]
    for flag, value in FEWER.items():
        words[words.index(flag) + 1] = value
    words[0] = str(python.with_name("img2dataset"))
    quiet = {"NO_ALBUMENTATIONS_UPDATE": "1", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    done = subprocess.run(
        words, cwd=folder, env=os.environ | quiet, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def built(downloaded) -> Path:
    """The datastore that the page's next command builds of it."""
    words = ["cc3m/*.tar" if word.startswith("cc3m/{") else word for word in commands()[1]]
    with contextlib.chdir(downloaded):
        assert main([*words[1:], "--clip-model", "demo"]) == 0
    return downloaded / "cc3m-tags"


def test_counts_of_the_build_are_those_of_img2dataset(downloaded, built):
    stats = [json.loads(path.read_text()) for path in downloaded.glob("cc3m/*_stats.json")]
    total = {name: sum(one[name] for one in stats) for name in ("count", "successes")}
    failed = sum(one["failed_to_download"] + one["failed_to_resize"] for one in stats)
    assert total["count"] == PHOTOS + len(BROKEN) + len(MISSING) == total["successes"] + failed
    counts = json.loads((built / "manifest.json").read_text())["totals"]
    for stage in ("mine", "embed"):
        assert counts[stage] == {"read": total["successes"], "written": PHOTOS, "rejected": {}}


def test_every_photo_has_its_own_caption(downloaded, built, web):
    address, captions = web
    rows = pq.read_table(built / "tags").to_pylist()
    sidecars = pq.read_table(sorted(downloaded.glob("cc3m/*.parquet"))).to_pylist()
    urls = {row["key"]: row["url"] for row in sidecars if row["status"] == "success"}
    found = {urls[row["key"].split("/")[-1]]: row["caption"] for row in rows}
    assert found == {f"{address}/{name}": caption for name, caption in captions.items()}
