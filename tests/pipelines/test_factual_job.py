"""`tagmine mine --scene-graph factual:DIR` over real shards."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from pipelines.main import main


@pytest.fixture(scope="module")
def two_shards(tmp_path_factory, write_tar, jpeg, factual_pairs):
    folder = tmp_path_factory.mktemp("input") / "pairs"
    captions = [caption for caption, _ in factual_pairs]
    captions += ["bench " * 90, "an older couple, unknown to the model", ""]
    for shard in range(2):
        members = []
        for number, caption in enumerate(captions):
            members += [(f"{number}.jpg", jpeg(number)), (f"{number}.txt", caption.encode())]
        write_tar(folder / f"{shard:05d}.tar", members)
    return folder


def files(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.parent != root / "jobs"
    }


def test_two_runs_give_the_same_bytes_and_counts_reconcile(
    two_shards, tiny_factual, tmp_path, capfd
):
    command = ["mine", f"{two_shards}/*.tar", "--scene-graph", f"factual:{tiny_factual}", "--out"]
    assert main([*command, str(tmp_path / "a")]) == 0
    printed = capfd.readouterr().err
    assert "12 read = 10 written + 2 rejected" in printed
    assert "2 captions were cut at a limit of the scene graph parser" in printed
    assert main([*command, str(tmp_path / "b")]) == 0
    assert files(tmp_path / "a") == files(tmp_path / "b")
    rows = pq.read_table(tmp_path / "a" / "tags").to_pylist()
    assert len(rows) == 10
    for row in rows[::5]:
        assert [tag["text"] for tag in row["tags"]] == ["red car", "yellow bicycle"]


def test_parts_of_another_parser_are_not_mixed_in(two_shards, tiny_factual, tmp_path, capfd):
    out = str(tmp_path / "store")
    assert main(["mine", f"{two_shards}/*.tar", "--out", out]) == 0
    command = ["mine", f"{two_shards}/00000.tar", "--out", out]
    capfd.readouterr()
    assert main([*command, "--scene-graph", f"factual:{tiny_factual}"]) == 1
    assert "backend was SceneGraphParser 0.1.0, now FACTUAL" in capfd.readouterr().err


@pytest.mark.parametrize("command", ["mine", "build"])
def test_a_wrong_parser_stops_the_command_before_any_work(two_shards, tmp_path, capfd, command):
    out = tmp_path / "store"
    clip = ["--clip-model", "demo"] if command == "build" else []
    words = [command, f"{two_shards}/*.tar", "--out", str(out), *clip, "--scene-graph"]
    for choice, says in (("nope", "'nope' is unknown"), (f"factual:{tmp_path}", "no config.json")):
        assert main([*words, choice]) == 1
        printed = capfd.readouterr().err
        assert printed.startswith("tagmine: ") and says in printed and "Traceback" not in printed
        assert not out.exists()
