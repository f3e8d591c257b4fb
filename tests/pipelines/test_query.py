"""`tagmine query` and reading shards from an object store."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from index import load_encoder, open_datastore
from pipelines.main import main
from tagmine.errors import DatastoreError


@pytest.fixture(scope="module")
def store(tmp_path_factory, shards, tiny_clip):
    root = tmp_path_factory.mktemp("query") / "store"
    command = ["build", f"{shards}/0000[0-2].tar", "--out", str(root), "--clip-model", tiny_clip]
    assert main([*command, "--caption-json-field", "captions"]) == 0
    return root


@pytest.fixture
def photo(tmp_path, jpeg):
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg(7))
    return path


def test_a_photo_of_the_datastore_finds_itself(store, photo, tiny_clip, capsys):
    assert main(["query", str(store), str(photo), "-k", "3", "--clip-model", tiny_clip]) == 0
    printed = capsys.readouterr().out
    assert "1.000  toys/00001/0001" in printed and "pooled tags" in printed


def test_json_for_machines(store, photo, tiny_clip, capsys):
    line = ["query", str(store), str(photo), str(photo), "--json", "--clip-model", tiny_clip]
    assert main(line) == 0
    answers = json.loads(capsys.readouterr().out)
    assert [answer["photo"] for answer in answers] == [str(photo)] * 2
    neighbours = answers[0]["neighbours"]
    assert [n["key"] for n in neighbours][0] == "toys/00001/0001" and len(neighbours) == 5
    assert len(neighbours[0]["captions"]) == 2
    for tag in answers[0]["tags"]:
        voters = [n for n in neighbours if tag["lemma"] in {t["lemma"] for t in n["tags"]}]
        assert tag["votes"] >= 1 and len(voters) >= tag["votes"]


def test_a_moved_datastore_answers(store, photo, tiny_clip, tmp_path, capsys):
    moved = tmp_path / "moved"
    shutil.copytree(store, moved)
    assert main(["query", str(moved), str(photo), "--clip-model", tiny_clip]) == 0
    assert main(["verify", str(moved)]) == 0


def test_the_python_way(store, photo, tiny_clip):
    from PIL import Image

    datastore = open_datastore(store, encoder=load_encoder(tiny_clip))
    answer = datastore.query_images([Image.open(photo)], k=2)[0]
    assert answer.neighbours[0].key == "toys/00001/0001"
    vector = datastore.encoder.embed_images(
        datastore.encoder.preprocess(Image.open(photo).convert("RGB"))[None]
    )
    assert datastore.query(vector, k=1)[0].neighbours[0].key == "toys/00001/0001"


def test_another_encoder_is_refused_and_both_are_named(store, tiny_clip, tmp_path, photo, capfd):
    from safetensors.torch import load_file, save_file

    other = tmp_path / "other"
    shutil.copytree(tiny_clip, other)
    weights = load_file(other / "open_clip_model.safetensors")
    weights["visual.proj"] = weights["visual.proj"] + 1
    save_file(weights, other / "open_clip_model.safetensors")
    with pytest.raises(DatastoreError) as caught:
        open_datastore(store, encoder=load_encoder(str(other)))
    assert tiny_clip in str(caught.value) and str(other) in str(caught.value)
    assert main(["query", str(store), str(photo), "--clip-model", str(other)]) == 1
    assert "was embedded with" in capfd.readouterr().err


def test_a_local_checkpoint_is_not_opened_unasked(store, photo, capfd):
    assert main(["query", str(store), str(photo)]) == 1
    assert "--clip-model" in capfd.readouterr().err


def test_photos_that_cannot_be_read(store, tmp_path, tiny_clip, capfd):
    (tmp_path / "text.jpg").write_text("no picture")
    for name, says in (("none.jpg", "cannot be read"), ("text.jpg", "no JPEG, PNG or WebP")):
        photo = str(tmp_path / name)
        assert main(["query", str(store), photo, "--clip-model", tiny_clip]) == 1
        printed = capfd.readouterr().err
        assert says in printed and photo in printed


def test_escape_sequences_of_strangers_do_not_reach_the_terminal(
    tmp_path, tiny_clip, write_tar, jpeg, capsys
):
    members = [("0.jpg", jpeg(0)), ("0.txt", b"a red \x1b[31mcar\x1b]0;owned\x07 [bold]")]
    shard = write_tar(tmp_path / "in" / "0.tar", members)
    (tmp_path / "p.jpg").write_bytes(jpeg(0))
    out = str(tmp_path / "store")
    assert main(["build", str(shard), "--out", out, "--clip-model", tiny_clip]) == 0
    capsys.readouterr()
    assert main(["query", out, str(tmp_path / "p.jpg"), "--clip-model", tiny_clip]) == 0
    printed = capsys.readouterr().out
    assert "\x1b]0" not in printed and "\x07" not in printed and "[bold]" in printed


@pytest.fixture
def s3(monkeypatch):
    """A real S3 server on loopback, and the environment that leads to it."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name in [key for key in os.environ if key.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    yield
    server.stop()


def test_shards_are_read_from_s3(s3, shards, tiny_clip, tmp_path, read_folder):
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    filesystem = s3fs.S3FileSystem()
    filesystem.mkdir("bucket")
    for name in ("00000.tar", "00001.tar"):
        filesystem.put(str(shards / name), f"bucket/toys/{name}")
    folders = []
    for url in ("s3://bucket/toys/*.tar", f"{shards}/0000[01].tar"):
        out = tmp_path / str(len(folders)) / "store"
        assert main(["build", url, "--out", str(out), "--clip-model", tiny_clip]) == 0
        folders.append(read_folder(out))
    sources = [folder.pop("sources.json") for folder in folders]
    assert b"s3://bucket/toys/00000.tar" in sources[0] and sources[0] != sources[1]
    assert folders[0] == folders[1]


def test_several_datastores_answer_together_and_each_neighbour_says_where_it_is(
    store, photo, tmp_path, shards, tiny_clip, capsys
):
    second = str(tmp_path / "second")
    shard = f"{shards}/00003.tar"
    assert main(["build", shard, "--out", second, "--clip-model", tiny_clip]) == 0
    line = ["query", str(store), second, str(photo), "-k", "24", "--clip-model", tiny_clip]
    assert main([*line, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)[0]["neighbours"]
    assert [(n["key"], n["datastore"]) for n in found][0] == ("toys/00001/0001", "store")
    assert len(found) == 24
    assert all((n["datastore"] == "second") == n["key"].startswith("toys/00003/") for n in found)
    assert main(line) == 0
    printed = capsys.readouterr().out
    assert "toys/00001/0001  in store" in printed and "  in second" in printed
    shared = [f"{store}=25%", f"{second}=75%", str(photo), "-k", "4", "--clip-model", tiny_clip]
    assert main(["query", *shared, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)[0]["neighbours"]
    assert sorted(n["datastore"] for n in found) == ["second"] * 3 + ["store"]
