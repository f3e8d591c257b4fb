"""`tagmine build`: one process or several, undisturbed or killed, the same bytes."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time

import pyarrow.parquet as pq
import pytest

from pipelines.main import main


@pytest.fixture(scope="module")
def built(tmp_path_factory, tagmine, shards, tiny_clip):
    """An undisturbed build, and what the command printed."""
    root = tmp_path_factory.mktemp("built") / "store"
    done = tagmine("build", f"{shards}/*.tar", "--out", str(root), "--clip-model", tiny_clip)
    return root, done.stderr


def test_says_what_it_found_read_and_wrote(built):
    root, printed = built
    for words in (
        "8 shards; toys/00000 has samples of .jpg, .json, .txt",
        "48 read = 48 written + 0 rejected",
        "48 images in",
        f"tagmine query {root}",
    ):
        assert words in printed
    manifest = json.loads((root / "manifest.json").read_text())
    assert manifest["images"] == 48 and len(manifest["parts"]) == 8


def test_the_figure_of_the_paper(built):
    root, _ = built
    row = pq.read_table(root / "tags/part-00000.parquet").to_pylist()[0]
    assert row["key"] == "toys/00000/0000" and row["id"] == 0
    assert sorted((tag["text"], tag["kind"], tag["label"]) for tag in row["tags"]) == [
        ("Italy", "entity", "GPE"),
        ("Montepulciano", "entity", "GPE"),
        ("blue sky", "attribute", ""),
        ("colorful facades", "attribute", ""),
        ("narrow street", "attribute", ""),
    ]


def test_several_processes_give_the_same_bytes(
    built, tmp_path, tagmine, shards, tiny_clip, read_folder
):
    root = tmp_path / "store"
    model = ("--clip-model", tiny_clip, "--num-workers", "2", "--batch-size", "4")
    tagmine("build", f"{shards}/*.tar", "--out", str(root), *model)
    assert read_folder(root) == read_folder(built[0])


def test_one_stage_at_a_time_gives_the_same_bytes(built, tmp_path, shards, tiny_clip, read_folder):
    root = str(tmp_path / "store")
    assert main(["embed", f"{shards}/*.tar", "--out", root, "--clip-model", tiny_clip]) == 0
    assert main(["mine", f"{shards}/*.tar", "--out", root]) == 0
    assert main(["index", root]) == 0
    assert main(["verify", root]) == 0
    assert read_folder(tmp_path / "store") == read_folder(built[0])


def test_killed_at_random_moments_and_started_again(
    built, tmp_path, start_tagmine, tagmine, shards, tiny_clip, read_folder
):
    root = tmp_path / "store"
    arguments = ("build", f"{shards}/*.tar", "--out", str(root), "--clip-model", tiny_clip)
    chance = random.Random(7)
    seen: dict[str, int] = {}
    killed = 0
    while killed < 10:
        # Every other time with worker processes, which the kill leaves behind as orphans.
        width = ("--num-workers", "2") if killed % 2 else ()
        process = start_tagmine(*arguments, *width)
        wait_for_work(process, root, chance)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += 1
        for name, inode in finished_parts(root).items():
            # A finished part is never made again: it stays the very file that it was.
            assert seen.setdefault(name, inode) == inode
    done = tagmine(*arguments)
    assert {name: finished_parts(root)[name] for name in seen} == seen
    assert "parts were finished before" in done.stderr
    wait_until_nobody_writes(root)
    tagmine(*arguments)
    assert read_folder(root) == read_folder(built[0])


def wait_for_work(process, root, chance):
    """Until some moment of the work, most of which comes after the imports."""
    deadline = time.monotonic() + 60
    before = len(list(root.rglob("*")))
    while process.poll() is None and time.monotonic() < deadline:
        if len(list(root.rglob("*"))) > before:
            break
        time.sleep(0.01)
    time.sleep(chance.choice([0, 0.01, 0.1, 0.5, 2]) * chance.random())


def finished_parts(root):
    files = [*root.glob("tags/part-*"), *root.glob("embeddings/part-*")]
    return {path.relative_to(root).as_posix(): path.stat().st_ino for path in files}


def wait_until_nobody_writes(root):
    deadline = time.monotonic() + 60
    while list(root.rglob(".*.tmp-*")) and time.monotonic() < deadline:
        time.sleep(0.2)


def test_a_changed_shard_is_made_again_and_only_that(
    built, tmp_path, shards, tiny_clip, write_tar, jpeg
):
    folder = tmp_path / "toys"
    shutil.copytree(shards, folder)
    root = tmp_path / "store"
    shutil.copytree(built[0], root)
    before = finished_parts(root)
    target = folder / "00003.tar"
    times = os.stat(target)
    write_tar(target, [("0000.jpg", jpeg(1)), ("0000.txt", b"a green boat")])
    os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))
    command = ["build", f"{folder}/*.tar", "--out", str(root), "--clip-model", tiny_clip]
    assert main(command) == 0
    after = finished_parts(root)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"tags/part-00003.parquet", "embeddings/part-00003.arrow"}
    assert json.loads((root / "manifest.json").read_text())["images"] == 43


def test_another_option_makes_the_parts_anew_and_more_shards_join(tmp_path, shards, tiny_clip):
    root = tmp_path / "store"
    model = ["--out", str(root), "--clip-model", tiny_clip]
    assert main(["build", f"{shards}/0000[01].tar", *model]) == 0
    first = finished_parts(root)
    assert main(["build", f"{shards}/0000[12].tar", *model]) == 0
    second = finished_parts(root)
    assert {name: second[name] for name in first} == first and len(second) == 6
    fields = ["--caption-json-field", "captions", "--tag-fields", "brand"]
    assert main(["mine", f"{shards}/0000[012].tar", "--out", str(root), *fields]) == 0
    row = pq.read_table(root / "tags/part-00002.parquet").to_pylist()[0]
    assert len(row["more_captions"]) == 1
    assert [t["text"] for t in row["tags"] if t["kind"] == "field"] == ["Élan"]
    # The embeddings were made for other member options, so publishing them together is refused.
    assert main(["verify", str(root)]) == 1


def test_images_without_captions_and_captions_without_images(
    tmp_path, tiny_clip, write_tar, jpeg, capsys
):
    members = [
        ("0.jpg", jpeg(0)),
        ("0.txt", b"a red car"),
        ("1.jpg", jpeg(1)),
        ("2.txt", b"a blue car"),
        ("3.jpg", jpeg(3)),
        ("3.txt", b"  \n"),
    ]
    shard = write_tar(tmp_path / "in" / "0.tar", members)
    root = tmp_path / "store"
    assert main(["build", str(shard), "--out", str(root), "--clip-model", tiny_clip]) == 0
    totals = json.loads((root / "manifest.json").read_text())["totals"]
    assert totals["mine"] == {
        "read": 4,
        "written": 2,
        "rejected": {"empty_caption": 1, "no_caption": 1},
    }
    assert totals["embed"] == {"read": 4, "written": 3, "rejected": {"no_image": 1}}
    assert totals["index"] == {"read": 3, "written": 1, "rejected": {"no_tags_row": 2}}
