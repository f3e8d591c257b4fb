"""`tagmine build`: one process or several, undisturbed or killed, the same bytes."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest

from pipelines.main import main

KILLS = 6


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
    attempts = 0
    while killed < KILLS:
        attempts += 1
        assert attempts <= 3 * KILLS
        # Every other time with worker processes, which the kill leaves behind as orphans.
        width = ("--num-workers", "2") if killed % 2 else ()
        process = start_tagmine(*arguments, *width)
        wait_for_work(process, root, chance)
        process.send_signal(signal.SIGKILL)
        _, said = process.communicate()
        if process.returncode == 0:
            # It had ended before: no kill. The next one begins anew.
            shutil.rmtree(root)
            seen.clear()
            continue
        assert process.returncode == -signal.SIGKILL, said
        killed += 1
        for name, inode in finished_parts(root).items():
            # A finished part is never made again: it stays the very file that it was.
            assert seen.setdefault(name, inode) == inode
    done = tagmine(*arguments)
    assert {name: finished_parts(root)[name] for name in seen} == seen
    # Nothing is, where every kill came before the first part was there.
    assert ("parts were finished before" in done.stderr) == bool(seen)
    wait_until_nobody_writes(root)
    tagmine(*arguments)
    assert read_folder(root) == read_folder(built[0])


def test_killed_at_every_few_renames_of_every_stage(
    killed_at_a_rename, tmp_path, shards, tiny_clip, read_folder
):
    """Every file is published by a rename, so this visits mine, embed, index and the manifest."""
    command = ["build", f"{shards}/0000[01].tar", "--clip-model", tiny_clip]
    undisturbed = tmp_path / "undisturbed" / "store"
    assert main([*command, "--out", str(undisturbed)]) == 0
    root = tmp_path / "killed" / "store"
    stages, kills = set(), 0
    for renames in itertools.cycle((3, 5, 4, 3, 4)):
        words = [sys.executable, "-c", killed_at_a_rename, str(renames), *command]
        done = subprocess.run([*words, "--out", str(root)], capture_output=True)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        kills += 1
        # Only what says something of a whole datastore, as the card does, comes after the manifest.
        assert not (root / "manifest.json").exists() or main(["verify", str(root)]) == 0
        assert kills < 20
        stages |= {path.parent.name for path in root.rglob(".*.tmp-*")}
    assert kills >= 4 and len(stages) >= 3, stages
    assert read_folder(root) == read_folder(undisturbed)


def wait_for_work(process, root, chance):
    """Until some moment of the work, most of which comes after the imports."""
    deadline = time.monotonic() + 60
    before = work_below(root)
    while process.poll() is None and time.monotonic() < deadline:
        if work_below(root) > before:
            break
        time.sleep(0.01)
    time.sleep(chance.choice([0, 0.01, 0.1, 0.5, 2]) * chance.random())


def work_below(root):
    """Files of work: the record of the job and the marks of parts come before any."""
    marks = ("jobs", "under-way")
    return sum(not any(mark in str(p.relative_to(root)) for mark in marks) for p in root.rglob("*"))


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
    # The tags were made anew since the manifest was written.
    assert main(["verify", str(root)]) == 1
    # A caption in the JSON changes what makes a sample, so the ids may not agree.
    assert main(["index", str(root)]) == 1


def test_parts_made_in_two_ways_are_refused_before_anything_is_written(
    tmp_path, shards, tiny_clip, capfd, read_folder
):
    root = tmp_path / "store"
    model = ["--out", str(root), "--clip-model", tiny_clip]
    assert main(["build", f"{shards}/0000[01].tar", *model, "--tag-fields", "brand"]) == 0
    before = read_folder(root)
    capfd.readouterr()
    assert main(["build", f"{shards}/00002.tar", *model]) == 1
    printed = capfd.readouterr().err
    assert "tag_fields was ('brand',), now ()" in printed and "another --out" in printed
    assert read_folder(root) == before
    assert main(["build", f"{shards}/0000[012].tar", *model]) == 0


def test_a_shard_that_was_mined_but_not_embedded_is_named(tmp_path, shards, tiny_clip, capfd):
    root = str(tmp_path / "store")
    assert main(["mine", f"{shards}/0000[01].tar", "--out", root]) == 0
    assert main(["embed", f"{shards}/00000.tar", "--out", root, "--clip-model", tiny_clip]) == 0
    assert main(["index", root]) == 1
    assert "1 of 2 shards have not been through tagmine embed" in capfd.readouterr().err


def test_stages_that_disagree_on_what_is_a_sample_are_not_published(
    tmp_path, tiny_clip, write_tar, jpeg, capfd
):
    members = []
    for number in range(3):
        members += [(f"{number}.jpg", jpeg(number)), (f"{number}.en.jpg", jpeg(9))]
        members += [(f"{number}.txt", b"a red car"), (f"{number}.en.txt", b"a blue car")]
    shard = str(write_tar(tmp_path / "in" / "0.tar", members))
    root = str(tmp_path / "store")
    keys = ["--caption-key", "en.txt", "--image-key", "en.jpg"]
    assert main(["mine", shard, "--out", root, *keys]) == 0
    assert main(["embed", shard, "--out", root, "--clip-model", tiny_clip]) == 0
    assert main(["index", root]) == 1
    assert "different member options" in capfd.readouterr().err
    assert main(["embed", shard, "--out", root, "--clip-model", tiny_clip, *keys]) == 0
    assert main(["index", root]) == 0 and main(["verify", root]) == 0


def test_rejects_of_another_run_are_not_taken_for_ones_own(tmp_path, write_tar, jpeg):
    members = [("0.jpg", jpeg(0)), ("0.txt", b"a red car"), ("1.jpg", jpeg(1))]
    shard = str(write_tar(tmp_path / "in" / "0.tar", members))
    root = tmp_path / "store"
    assert main(["mine", shard, "--out", str(root)]) == 0
    rejects = root / "rejects/mine/part-00000.parquet"
    original = rejects.read_bytes()
    foreign = pq.read_table(rejects).replace_schema_metadata({b"tagmine": b"another"})
    pq.write_table(foreign, rejects)
    assert main(["mine", shard, "--out", str(root)]) == 0
    assert rejects.read_bytes() == original


def test_nothing_to_find_is_no_datastore(tmp_path, tiny_clip, write_tar, jpeg, capfd):
    members = [("0.jpg", jpeg(0)), ("0.txt", b" "), ("1.jpg", jpeg(1)), ("1.txt", b"")]
    shard = str(write_tar(tmp_path / "in" / "0.tar", members))
    root = tmp_path / "store"
    assert main(["build", shard, "--out", str(root), "--clip-model", tiny_clip]) == 1
    assert "nothing to find" in capfd.readouterr().err
    assert not (root / "manifest.json").exists()


def test_an_index_by_key_from_one_process_or_two(tmp_path, shards, tiny_clip, tagmine, read_folder):
    folders = []
    for width in ([], ["--num-workers", "2"]):
        root = tmp_path / str(len(width)) / "store"
        arguments = ["build", f"{shards}/*.tar", "--out", str(root), "--clip-model", tiny_clip]
        tagmine(*arguments, "--index-key", "IVF1,Flat", "--dataset", "named", *width)
        folders.append(read_folder(root))
    index = json.loads(folders[0]["manifest.json"])["index"]
    assert (index["index_key"], index["nprobe"], index["rerank"]) == ("IVF1,Flat", 1, 0)
    assert json.loads(folders[0]["manifest.json"])["parts"][0]["source"] == "named/00000"
    assert folders[0] == folders[1]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--index-key", "Nonsense9"], "--index-key 'Nonsense9'"),
        (["--max-index-memory-usage", "1k"], "Allow at least"),
        (["--index-key", "IVF4,Flat"], "at least 156 vectors"),
    ],
)
def test_an_index_that_cannot_be(tmp_path, shards, tiny_clip, capfd, flags, says):
    out = str(tmp_path / "store")
    command = ["build", f"{shards}/*.tar", "--out", out, "--clip-model", tiny_clip, *flags]
    assert main(command) == 1
    assert says in capfd.readouterr().err


def test_a_pipeline_by_path(tmp_path, shards):
    from tagmine.tagger import embedded_pipeline

    model = tmp_path / "pipeline"
    shutil.copytree(embedded_pipeline(), model)
    for name, flags in (("a", []), ("b", ["--spacy-model", str(model)])):
        command = ["mine", f"{shards}/00000.tar", "--out", str(tmp_path / name), *flags]
        assert main(command) == 0
    tags = [pq.read_table(tmp_path / name / "tags/part-00000.parquet") for name in ("a", "b")]
    assert tags[0].equals(tags[1])


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
