"""push and pull through the real huggingface_hub, to a hub on loopback and to one that is away."""

from __future__ import annotations

import shutil

import pytest


@pytest.fixture
def hub(load_module):
    server = load_module("hub_server").Hub()
    yield server
    server.shutdown()


@pytest.fixture
def tagmine(start_tagmine, tmp_path):
    """A function that runs the command with a hub at an address."""

    def run(address: str, *arguments: str) -> tuple[int, str]:
        there = {"HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HF_TOKEN": "hf_hushhush"}
        process = start_tagmine(*arguments, **there, HF_HOME=str(tmp_path / "hf"))
        out, err = process.communicate(timeout=120)
        assert "Traceback" not in err and "hf_hushhush" not in out + err
        return process.returncode, err

    return run


def test_to_the_hub_and_back(hub, tagmine, local_store, read_files, tmp_path):
    hub.fail_commits = 1
    url = "hf://datasets/me/ds/toys"
    status, said = tagmine(hub.url, "push", str(local_store), url)
    assert status == 0, said
    assert hub.created["private"] is True and hub.created["type"] == "dataset"
    whole = read_files(local_store)
    assert hub.files == {f"toys/{name}": data for name, data in whole.items()}
    assert hub.commits[-1] == (["toys/manifest.json"], [])
    assert not [names for names, _ in hub.commits[:-1] if "toys/manifest.json" in names]
    count = len(hub.commits)
    assert tagmine(hub.url, "push", str(local_store), url)[0] == 0
    assert len(hub.commits) == count
    # What is there and is wrong, or is of no use, is mended by the next push.
    hub.files["toys/tags/part-00001.parquet"] = b"other"
    hub.files["toys/index/shard-00009.faiss"] = b"stale"
    assert tagmine(hub.url, "push", str(local_store), url)[0] == 0
    assert hub.files == {f"toys/{name}": data for name, data in whole.items()}
    status, said = tagmine(hub.url, "pull", url, str(tmp_path / "back"))
    assert status == 0, said
    assert read_files(tmp_path / "back") == whole


def test_a_hub_that_is_away_or_refuses_is_a_quick_sentence(tagmine, hub, local_store, tmp_path):
    away = "http://127.0.0.1:9"
    for line in (
        ["push", str(local_store), "hf://datasets/me/ds"],
        ["pull", "hf://datasets/me/ds", str(tmp_path / "ds")],
    ):
        status, said = tagmine(away, *line)
        assert status == 1
        assert "hf://datasets/me/ds: the hub cannot be reached or refuses" in said
    status, said = tagmine(away, "push", str(local_store), "hf://me/ds")
    assert status == 1 and "give hf://datasets/OWNER/NAME" in said
    status, said = tagmine(hub.url, "pull", "hf://datasets/me/none", str(tmp_path / "ds"))
    assert status == 1 and "hf://datasets/me/none" in said
    damaged = tmp_path / "damaged"
    shutil.copytree(local_store, damaged)
    (damaged / "tags/part-00000.parquet").write_bytes(b"x")
    status, said = tagmine(hub.url, "push", str(damaged), "hf://datasets/me/ds")
    assert status == 1 and "not what the manifest says" in said and not hub.commits
