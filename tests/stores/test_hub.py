"""push and pull through the real huggingface_hub, to a hub on loopback and to one that is away."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest


@pytest.fixture
def hub(load_module):
    server = load_module("hub_server").Hub()
    yield server
    server.shutdown()


_RUN = """
import json, sys
import tagmine.hub
from pipelines.main import main
tagmine.hub._COMMIT_FILES = 8
print([main(line) for line in json.load(sys.stdin)])
"""


@pytest.fixture
def tagmine(bucket, tmp_path):
    """A function that runs command lines, in a process whose hub is at an address."""

    def run(address: str, *lines: list[str]) -> tuple[list[int], str]:
        there = {"HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HF_TOKEN": "hf_hushhush"}
        done = subprocess.run(
            [sys.executable, "-c", _RUN],
            env={**os.environ, **there, "HF_HOME": str(tmp_path / "hf")},
            input=json.dumps(lines),
            capture_output=True,
            text=True,
        )
        assert "Traceback" not in done.stderr and "hf_hushhush" not in done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1]), done.stderr

    return run


def test_to_the_hub_and_back(hub, tagmine, local_store, read_files, tmp_path):
    hub.fail_commits = 1
    url = "hf://datasets/me/ds/toys"
    push = ["push", str(local_store), url]
    statuses, said = tagmine(hub.url, push, push)
    assert statuses == [0, 0], said
    assert (hub.created["visibility"], hub.created["type"]) == ("private", "dataset")
    whole = read_files(local_store)
    assert hub.files == {f"toys/{name}": data for name, data in whole.items()}
    # The second push sent nothing. The first said first whose folder it is, and last what is in it.
    assert len(hub.commits) == 2 + (len(whole) - 2) // 8
    assert "toys/sources.json" in hub.commits[0][0]
    assert hub.commits[-1] == (["toys/manifest.json"], [])
    assert "push   0 files" in said
    # What is there and is wrong, or is of no use, is mended by the next push.
    hub.files["toys/tags/part-00001.parquet"] = b"other"
    hub.files["toys/index/shard-00009.faiss"] = b"stale"
    statuses, said = tagmine(hub.url, push, ["pull", url, str(tmp_path / "back")])
    assert statuses == [0, 0], said
    assert hub.files == {f"toys/{name}": data for name, data in whole.items()}
    assert read_files(tmp_path / "back") == whole


def test_what_others_have_in_the_repository_stays(hub, tagmine, local_store, read_files, tmp_path):
    root = tmp_path / "ds"
    shutil.copytree(local_store, root)
    theirs = {".gitattributes": b"hub's", "images/1.jpg": b"mine", "README.md": b"all mine"}
    hub.files = dict(theirs)
    whole, url = "hf://datasets/me/ds", "hf://datasets/me/ds/toys"
    other = tmp_path / "other"
    shutil.copytree(local_store, other)
    text = (other / "sources.json").read_text().replace("toys/", "holidays/")
    (other / "sources.json").write_text(text)
    lines = [["push", str(root), place] for place in (whole, url)]
    statuses, said = tagmine(hub.url, *lines, lines[0], ["push", str(other), url])
    assert statuses == [1, 0, 1, 1], said
    assert said.count("what is there is not a datastore (it holds README.md") == 2
    assert "what is there is another datastore" in said
    toys = {f"toys/{name}": data for name, data in read_files(root).items()}
    assert hub.files == theirs | toys
    # A datastore at the top takes away what it had before, and that alone.
    notes = {"report/notes.txt": b"mine", "toys.txt": b"mine"}
    hub.files = {".gitattributes": b"hub's"}
    statuses, said = tagmine(hub.url, lines[0])
    assert statuses == [0], said
    hub.files |= toys | notes | {"report/report.json": b"{}", "copied.json": b"{}"}
    statuses, said = tagmine(hub.url, lines[0])
    assert statuses == [0], said
    assert hub.files == {".gitattributes": b"hub's"} | read_files(root) | toys | notes
    (root / "sources.json").unlink()
    statuses, said = tagmine(hub.url, lines[0])
    assert statuses == [1] and "has no sources.json" in said


def test_a_hub_that_is_away_or_refuses_is_a_sentence(tagmine, hub, local_store, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(local_store, damaged)
    (damaged / "tags/part-00000.parquet").write_bytes(b"x")
    there = "hf://datasets/me/ds"
    statuses, said = tagmine(
        "http://127.0.0.1:9",
        ["push", str(local_store), there],
        ["pull", there, str(tmp_path / "ds")],
        ["push", str(local_store), "hf://me/ds"],
    )
    assert statuses == [1, 1, 1]
    assert said.count(f"{there}: the hub cannot be reached or refuses") == 2
    assert "give hf://datasets/OWNER/NAME" in said and "HF_HUB_OFFLINE" not in said
    lines = [["pull", f"{there}-not", str(tmp_path / "ds")], ["push", str(damaged), there]]
    statuses, said = tagmine(hub.url, *lines)
    assert statuses == [1, 1]
    assert f"{there}-not" in said and "not what the manifest says" in said and not hub.commits
