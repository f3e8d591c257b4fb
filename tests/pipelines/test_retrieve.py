"""`tagmine retrieve`: shards and instructions, what is left out, killed and started again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile

import pyarrow.parquet as pq
import pytest

from index.retrievals import read_retrievals
from pipelines import retrieve_plan
from pipelines.main import main
from tagmine.errors import ConfigurationError

# To an untrained encoder, all pictures are nearly alike.
COPIES = ("--exclude-above", "0.9995")


@pytest.fixture(scope="module")
def store(tmp_path_factory, shards, tiny_clip):
    root = tmp_path_factory.mktemp("store") / "store"
    command = ["build", f"{shards}/0000[0-3].tar", "--out", str(root), "--clip-model", tiny_clip]
    assert main(command) == 0
    return root


@pytest.fixture(scope="module")
def retrieve(store, tiny_clip):
    """A function that runs the command on the datastore and returns its exit status."""

    def run(*words: object, datastore=store) -> int:
        given = ["--datastore", str(datastore), "--clip-model", tiny_clip, *COPIES]
        return main(["retrieve", *given, *map(str, words)])

    return run


@pytest.fixture(scope="module")
def photos(tmp_path_factory, shards):
    """A folder with the images of two shards, one in the datastore and one not, by shard."""
    folder = tmp_path_factory.mktemp("photos")
    for shard in ("00003", "00006"):
        with tarfile.open(shards / f"{shard}.tar") as archive:
            for member in archive.getmembers():
                if member.name.endswith(".jpg"):
                    target = folder / "toys" / shard / member.name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(archive.extractfile(member).read())
    return folder


def row(image: str | None = None) -> dict:
    turns = [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "A car."}]
    return {"id": "x", "conversations": turns} | ({} if image is None else {"image": image})


def summary(root) -> dict:
    return json.loads((root / "retrievals.json").read_text())


def found(root) -> dict:
    parts = sorted((root / "parts").glob("*.parquet"))
    return dict(pair for path in parts for pair in read_retrievals(path))


def rejects(root) -> dict:
    files = sorted((root / "rejects/retrieve").glob("part-*.parquet"))
    return {r["key"]: r["reason"] for path in files for r in pq.read_table(path).to_pylist()}


@pytest.fixture(scope="module")
def retrieved(tmp_path_factory, retrieve, shards):
    """Retrievals for six shards, four of which are the datastore's."""
    root = tmp_path_factory.mktemp("retrieved") / "r"
    assert retrieve(f"{shards}/0000[0-5].tar", "--out", root) == 0
    return root


def test_every_image_of_the_shards_is_a_row_with_its_neighbours(retrieved):
    rows = found(retrieved)
    assert list(rows) == [f"toys/{shard:05d}/{n:04d}" for shard in range(6) for n in range(6)]
    for key, retrieval in rows.items():
        assert len(retrieval.neighbours) == 5 and 1 <= len(retrieval.tags) <= 24
        assert key not in [near.key for near in retrieval.neighbours]
        scores = [near.score for near in retrieval.neighbours]
        assert scores == sorted(scores, reverse=True) and scores[0] < 0.9995
        weights = [tag.score for tag in retrieval.tags]
        assert weights == sorted(weights, reverse=True)
        assert all(tag.votes == len(tag.neighbours) >= 1 for tag in retrieval.tags)
    said = summary(retrieved)
    assert said["images"] == {"read": 36, "written": 36, "rejected": {}}
    assert (said["parts"], said["rows"]) == (6, None)


def test_the_neighbours_are_those_of_a_query(retrieved, store, tiny_clip, photos):
    from index import load_encoder, open_datastore
    from index.retrievals import retrieval_of_answer

    datastore = open_datastore(store, load_encoder(tiny_clip))
    answer = datastore.query_files([photos / "toys/00003/0002.jpg"], 6)[0]
    assert answer.neighbours[0].key == "toys/00003/0002"
    near = found(retrieved)["toys/00003/0002"].neighbours
    close = [n.key for n in answer.neighbours if n.score < 0.9995][: len(near)]
    assert [n.key for n in near[: len(close)]] == close
    # Of another shard, nothing is left out but copies by chance.
    with_all = retrieval_of_answer(datastore.query_files([photos / "toys/00006/0001.jpg"])[0], 24)
    assert max(n.score for n in with_all.neighbours) < 0.9995


def test_own_key_and_copies_are_switches_of_their_own(tmp_path, retrieve, shards, capfd):
    def nearest(name: str, *flags: str) -> list[tuple[str, str, float]]:
        out = tmp_path / name
        assert retrieve(f"{shards}/00001.tar", "--out", out, *flags) == 0
        return [(key, r.neighbours[0].key, r.neighbours[0].score) for key, r in found(out).items()]

    kept = nearest("kept", "--keep-own-key", "--exclude-above", "off")
    assert all(key == near and score > 0.9995 for key, near, score in kept)
    assert all(key != near for key, near, _ in nearest("key", "--exclude-above", "off"))
    capfd.readouterr()
    assert all(key != near for key, near, _ in nearest("copies", "--keep-own-key"))
    assert "6 images have copies in the datastore (cosine 0.9995 or more)" in capfd.readouterr().err
    # The same images under another name: not the key, but the cosine tells.
    other = nearest("named", "--dataset", "other")
    assert all(near != key.replace("other/", "toys/") for key, near, _ in other)
    near = nearest("near", "--dataset", "other", "--exclude-above", "off")
    assert all(near == key.replace("other/", "toys/") for key, near, _ in near)


def test_instructions_are_keyed_by_image_and_text_rows_are_counted(
    tmp_path, retrieve, photos, capfd
):
    images = [f"toys/00003/{n:04d}.jpg" for n in range(6)] + ["toys/00006/0000.jpg"]
    (photos / "broken.jpg").write_bytes(b"no picture")
    bad = [
        "../secret.jpg",
        "/etc/hostname",
        "toys/../../secret.jpg",
        "gone.jpg",
        "broken.jpg",
        "toys",
    ]
    (photos.parent / "secret.jpg").write_bytes((photos / images[0]).read_bytes())
    rows = [*map(row, images), row(), *map(row, bad), row(images[2]), row(""), row(), 7]
    source = tmp_path / "train.json"
    source.write_text(json.dumps(rows))
    out = tmp_path / "out"
    line = (source, "--image-folder", photos, "--out", out, "--exclude-above", "off")
    assert retrieve(*line) == 0
    assert list(found(out)) == images
    for image, retrieval in found(out).items():
        # The key without its extension is that of the image in the datastore.
        assert image.removesuffix(".jpg") not in [n.key for n in retrieval.neighbours]
    assert rejects(out) == dict.fromkeys(bad[:3], "unsafe_image_path") | {
        "gone.jpg": "image_missing",
        "broken.jpg": "image_undecodable",
        "toys": "image_missing",
    }
    said = summary(out)
    assert said["images"]["read"] == 13 == said["images"]["written"] + 6
    assert said["rows"] == {"read": 18, "with_image": 14, "text_only": 3, "rejected": 1}
    assert pq.read_table(out / "rejects/retrieve/rows.parquet").to_pylist()[0]["id"] == 17
    printed = capfd.readouterr().err
    # Six of the seven are of a shard that is in the datastore, whose keys are these paths.
    assert said["with_own_key"] == 6
    assert "6 images are in the datastore under their own key, which was left out" in printed
    assert "13 read = 7 written + 6 rejected" in printed and "3 × unsafe_image_path" in printed
    assert "18 read = 14 with an image + 3 text only + 1 rejected" in printed
    (photos / "broken.jpg").unlink()


def test_the_own_key_of_a_path_that_begins_elsewhere_is_not_found_and_that_is_said(
    tmp_path, retrieve, photos, capfd
):
    source = tmp_path / "train.json"
    source.write_text(json.dumps([row(f"{n:04d}.jpg") for n in range(6)]))
    line = (source, "--image-folder", photos / "toys/00003", "--exclude-above", "off")
    assert retrieve(*line, "--out", tmp_path / "out") == 0
    assert "0 images are in the datastore under their own key" in capfd.readouterr().err
    near = found(tmp_path / "out")["0000.jpg"].neighbours[0].key
    assert near == "toys/00003/0000" and summary(tmp_path / "out")["with_own_key"] == 0
    assert retrieve(*line, "--out", tmp_path / "kept", "--keep-own-key") == 0
    assert "under their own key" not in capfd.readouterr().err


def test_lines_of_instructions_give_the_parts_of_a_list(
    tmp_path, retrieve, photos, monkeypatch, read_folder
):
    monkeypatch.setattr(retrieve_plan, "CHUNK_IMAGES", 5)
    rows = [row(f"toys/{shard}/{n:04d}.jpg") for shard in ("00003", "00006") for n in range(6)]
    (tmp_path / "a").mkdir()
    for name, text in (
        ("train.json", json.dumps(rows)),
        ("a/train.jsonl", "\n".join(map(json.dumps, rows)) + '\n{"image": "cut\n'),
    ):
        (tmp_path / name).write_text(text)
        out = tmp_path / f"{name.replace('/', '-')}.out"
        assert retrieve(tmp_path / name, "--image-folder", photos, "--out", out) == 0
    listed, lines = (tmp_path / name for name in ("train.json.out", "a-train.jsonl.out"))
    assert read_folder(listed / "parts") == read_folder(lines / "parts")
    assert len(read_folder(listed / "parts")) == 3
    assert summary(lines)["rows"]["rejected"] == 1


def test_a_run_again_keeps_what_is_current_and_makes_the_rest(
    tmp_path, retrieve, photos, monkeypatch, capfd, read_folder
):
    monkeypatch.setattr(retrieve_plan, "CHUNK_IMAGES", 4)
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    images = [f"toys/{shard}/{n:04d}.jpg" for shard in ("00003", "00006") for n in range(6)]
    source = tmp_path / "train.json"
    source.write_text(json.dumps([*map(row, images), row("late.jpg")]))
    out = tmp_path / "out"
    line = (source, "--image-folder", folder, "--out", out)
    assert retrieve(*line) == 0
    before, files = read_folder(out), sorted((out / "parts").iterdir())
    inodes = [path.stat().st_ino for path in files]
    capfd.readouterr()
    assert retrieve(*line) == 0
    assert "4 of 4 parts were finished before" in capfd.readouterr().err
    assert read_folder(out) == before and [p.stat().st_ino for p in files] == inodes
    # An image that was missing, and a damaged part: these parts alone are made again.
    shutil.copy(folder / images[0], folder / "late.jpg")
    files[1].write_bytes(files[1].read_bytes()[:-40])
    assert retrieve(*line) == 0
    assert "2 of 4 parts were finished before" in capfd.readouterr().err
    after = read_folder(out)
    assert [after[f"parts/{p.name}"] == before[f"parts/{p.name}"] for p in files[:3]] == [True] * 3
    assert summary(out)["images"] == {"read": 13, "written": 13, "rejected": {}}
    # Other options make every part anew.
    assert retrieve(*line, "-k", "2", "--max-tags", "3") == 0
    assert "finished before" not in capfd.readouterr().err
    assert {len(r.neighbours) for r in found(out).values()} == {2}
    assert max(len(r.tags) for r in found(out).values()) == 3


def test_several_processes_give_the_same_bytes(
    retrieved, tmp_path, tagmine, shards, store, tiny_clip, read_folder
):
    words = ("--datastore", str(store), "--clip-model", tiny_clip, "--num-workers", "2", *COPIES)
    out = tmp_path / "r"
    tagmine("retrieve", f"{shards}/0000[0-5].tar", "--out", str(out), *words, "--batch-size", "3")
    assert read_folder(out) == read_folder(retrieved)


def test_killed_half_way_and_started_again_gives_the_same_bytes(
    killed_at_a_rename, retrieved, tmp_path, retrieve, shards, store, tiny_clip, read_folder
):
    from tuna_model.retrieval import StoredRetrievals

    out = tmp_path / "r"
    line = ["retrieve", f"{shards}/0000[0-5].tar", "--out", str(out), "--datastore", str(store)]
    words = [sys.executable, "-c", killed_at_a_rename, "5", *line, "--clip-model", tiny_clip]
    done = subprocess.run([*words, *COPIES], env=os.environ)
    assert done.returncode == -signal.SIGKILL
    with pytest.raises(ConfigurationError, match="no finished retrievals"):
        StoredRetrievals(out)
    kept = {path.name: path.stat().st_ino for path in (out / "parts").glob("part-*")}
    assert 1 < len(kept) < 6
    assert retrieve(f"{shards}/0000[0-5].tar", "--out", out) == 0
    assert {name: (out / "parts" / name).stat().st_ino for name in kept} == kept
    assert read_folder(out) == read_folder(retrieved)


def test_samples_without_captions_or_pictures(tmp_path, retrieve, write_tar, jpeg):
    members = [("0.jpg", jpeg(1)), ("0.json", b"{}"), ("1.json", b"{}"), ("2.jpg", b"noise")]
    shard = write_tar(tmp_path / "bare" / "0.tar", [*members, ("0.jpg", jpeg(2))])
    assert retrieve(shard, "--out", tmp_path / "r") == 0
    assert list(found(tmp_path / "r")) == ["bare/0/0"]
    assert summary(tmp_path / "r")["images"]["rejected"] == {
        "duplicate_key": 1,
        "image_undecodable": 1,
        "no_image": 1,
    }


@pytest.fixture
def trouble(tmp_path, photos, shards):
    """Words for the lines below."""
    files = {
        "good": [row("toys/00003/0000.jpg")],
        "text": [row(), row()],
        "wrong": [row("coco/1.jpg"), row("coco/2.jpg")],
        "bad": [row(), 5],
    }
    words = {"photos": photos, "shards": shards, "out": tmp_path / "out"}
    for name, rows in files.items():
        words[name] = tmp_path / f"{name}.json"
        words[name].write_text(json.dumps(rows))
    words["cut"] = tmp_path / "cut.json"
    words["cut"].write_text(words["good"].read_text()[:-4])
    return words


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{good} --out {out}", "give --image-folder DIR"),
        ("{good} --out {out} --image-folder {out}", "there is no such folder"),
        ("{text} --out {out} --image-folder {photos}", "none of its 2 rows names an image"),
        ("{bad} --out {out} --image-folder {photos}", "the row is a int, expected an object"),
        ("{wrong} --out {out} --image-folder {photos}", "such as 'coco/1.jpg'"),
        ("{cut} --out {out} --image-folder {photos}", "is damaged at row 0"),
        ("{good} {text} --out {out} --image-folder {photos}", "retrieved for alone"),
        ("{good} --out {out} --image-folder {photos} --dataset x", "keyed as it names them"),
        ("{shards}/*.tar --out {out} --image-folder {photos}", "shards hold their images"),
        ("{shards}/*.zip --out {out}", "0 shards were found"),
        ("{shards}/00000.tar --out {out} --image-key png", "no sample has an image member"),
        ("{shards}/00000.tar --out {out} -k 0", "give a number from 1 to 1,000"),
        ("{shards}/00000.tar --out {out} --max-tags 0", "give 1 or more"),
        ("{shards}/00000.tar --out {out} --batch-size 0", "give 1 or more"),
        ("{shards}/00000.tar --out {out} --num-prepro-workers 0", "give 1 or more"),
        ("{shards}/00000.tar --out {out} --exclude-above 1.5", "a cosine above 0 and up to 1"),
        ("{shards}/00000.tar --out {out} --dataset a/b", "without a slash"),
        ("{shards}/00000.tar --out {photos}", "no tagmine retrieve began it"),
        ("{shards}/00000.tar --out s3://b/r", "a local folder"),
        ("{shards}/00000.tar --out {good}", "a file of that name"),
    ],
)
def test_mistakes_stop_before_any_work(trouble, retrieve, capfd, line, says):
    words = [word.format(**trouble) for word in line.split()]
    assert retrieve(*words) == 1
    printed = capfd.readouterr().err
    assert printed.splitlines()[-1].startswith("tagmine: ") and says in printed
    assert not trouble["out"].exists()


def test_wrong_datastores_and_encoders_stop_before_any_work(
    tmp_path, store, retrieve, shards, tiny_clip, capfd
):
    shard, out = f"{shards}/00000.tar", tmp_path / "out"
    assert retrieve(shard, "--out", out, datastore=tmp_path) == 1
    assert "not a finished datastore" in capfd.readouterr().err
    assert retrieve(shard, "--out", store) == 1
    assert "this is a datastore" in capfd.readouterr().err
    words = ["retrieve", shard, "--out", str(out), "--datastore", str(store)]
    assert main(words) == 1
    assert "Give it with --clip-model" in capfd.readouterr().err
    assert main([*words, "--clip-model", "demo"]) == 1
    assert "was embedded with" in capfd.readouterr().err
    assert not out.exists()


def test_another_dataset_does_not_take_the_place_of_one(tmp_path, retrieve, shards, capfd):
    out = tmp_path / "r"
    assert retrieve(f"{shards}/0000[45].tar", "--out", out) == 0
    before = found(out)
    for other in ("00006", "00005", "00004"):
        assert retrieve(f"{shards}/{other}.tar", "--out", out) == 1
        assert "was not given in that place" in capfd.readouterr().err
    assert found(out) == before
    assert retrieve(f"{shards}/0000[4-6].tar", "--out", out) == 0
    assert "2 of 3 parts were finished before" in capfd.readouterr().err


def test_another_file_of_instructions_is_refused_by_its_name(trouble, retrieve, photos, capfd):
    line = ("--image-folder", photos, "--out", trouble["out"])
    assert retrieve(trouble["good"], *line) == 0
    trouble["wrong"].write_text(json.dumps([row("toys/00003/0001.jpg")]))
    assert retrieve(trouble["wrong"], *line) == 1
    said = capfd.readouterr().err
    assert "part 0 is of good/00000 (images of good.json or good.jsonl" in said
    assert f"{trouble['wrong']} was. Give the same dataset, or another --out" in said


def test_retrievals_of_another_datastore_are_not_replaced(
    tmp_path, retrieve, shards, tiny_clip, capfd, read_folder
):
    other, line = tmp_path / "other", (f"{shards}/00005.tar", "--out", tmp_path / "r")
    command = ["build", f"{shards}/00004.tar", "--out", str(other), "--clip-model", tiny_clip]
    assert main(command) == 0 and retrieve(*line) == 0
    before = read_folder(tmp_path / "r")
    assert retrieve(*line, datastore=other) == 1
    said = capfd.readouterr().err
    assert "was retrieved from the datastore store (manifest " in said
    assert "and not from other as it is now (" in said and "give another --out" in said
    assert read_folder(tmp_path / "r") == before


def test_real_photos_do_not_find_themselves(shared_data, tmp_path):
    """Photos whose datastore has them under other keys, and a file of instructions about them."""
    shards = sorted((shared_data / "shards/coco-mini").glob("*.tar"))[:2]
    folder, store, out = tmp_path / "images", tmp_path / "store", tmp_path / "out"
    flags = ["--caption-json-field", "captions", "--clip-model", "demo"]
    assert main(["build", *map(str, shards), "--out", str(store), *flags]) == 0
    with tarfile.open(shards[0]) as archive:
        members = [m for m in archive.getmembers() if m.name.endswith(".jpg")]
        folder.mkdir()
        for member in members:
            (folder / f"photo-{member.name}").write_bytes(archive.extractfile(member).read())
    source = tmp_path / "train.jsonl"
    names = [f"photo-{member.name}" for member in members]
    source.write_text("".join(json.dumps(row(name)) + "\n" for name in names))
    line = ["retrieve", str(source), "--image-folder", str(folder), "--datastore", str(store)]
    assert main([*line, "--out", str(out)]) == 0
    rows = found(out)
    assert list(rows) == names and summary(out)["with_copies"] == len(names)
    for name, retrieval in rows.items():
        itself = name.removeprefix("photo-").removesuffix(".jpg")
        assert all(not near.key.endswith(itself) for near in retrieval.neighbours)
        assert retrieval.tags and retrieval.neighbours[0].captions
