"""`tagmine shards`: what it writes, killed or not, by however many, and what build makes of it."""

from __future__ import annotations

import csv
import io
import json
import shlex
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import webdataset

from pipelines.main import main


def write_csv(path: Path, rows: list[dict]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def shop(tmp_path, jpeg) -> tuple[list[str], list[dict]]:
    """A command line for forty products in photos/, two to a shard, and the rows of their table;
    two of them cannot be used, and one has two rows."""
    (tmp_path / "photos").mkdir()
    rows = []
    for number in range(40):
        (tmp_path / "photos" / f"{number}.jpg").write_bytes(jpeg(number))
        row = {"sku": f"Größe/{number}", "image": f"{number}.jpg", "title": f"a red hat {number}"}
        rows.append(row | {"brand": ["Élan", "Nike"][number % 2]})
    (tmp_path / "photos" / "3.jpg").unlink()
    rows[5]["image"] = "../shop.csv"
    rows.append(rows[0] | {"title": "a straw hat"})
    write_csv(tmp_path / "shop.csv", rows)
    words = ["shards", str(tmp_path / "shop.csv"), "--image-folder", str(tmp_path / "photos")]
    words += ["--key-column", "sku", "--tag-fields", "brand", "--vocabulary-fields", "brand"]
    return [*words, "--shard-size", "2", "--out"], rows


def members(folder: Path) -> dict[str, bytes]:
    found = {}
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as archive:
            found.update({f"{path.stem}/{m.name}": archive.extractfile(m).read() for m in archive})
    return found


def test_what_is_written_and_what_is_not(shop, tmp_path, jpeg, capfd):
    command, _ = shop
    out = tmp_path / "out"
    assert main([*command, str(out)]) == 0
    printed = capfd.readouterr().err
    assert "shards 40 read = 38 written + 2 rejected" in printed
    assert "1 more rows are of images that an earlier row names" in printed
    found = members(out)
    key = "00000/Gr%C3%B6%C3%9Fe%2F0"
    assert found[f"{key}.jpg"] == jpeg(0) and found[f"{key}.txt"] == b"a red hat 0"
    record = json.loads(found[f"{key}.json"])
    assert record["captions"] == ["a red hat 0", "a straw hat"]
    assert record["sku"] == "Größe/0" and record["brand"] == "Élan"
    rejects = pq.read_table(out / "rejects").to_pylist()
    assert [(row["id"], row["reason"], row["stage"]) for row in rejects] == [
        (3, "image_missing", "shards"),
        (5, "unsafe_image_path", "shards"),
    ]
    summary = json.loads((out / "shards.json").read_text())
    assert summary["rows"] == 41 == summary["images"]["read"] + summary["merged"]
    assert len(list(out.glob("*.tar"))) == summary["shards"] == 20
    assert (out / "vocabulary/brand.txt").read_text() == "Élan\nNike\n"


def test_webdataset_itself_reads_it(shop, tmp_path):
    command, _ = shop
    assert main([*command, str(tmp_path / "out")]) == 0
    urls = [str(path) for path in sorted((tmp_path / "out").glob("*.tar"))]
    rows = list(webdataset.WebDataset(urls, shardshuffle=False).decode("pil"))
    assert len(rows) == 38
    assert rows[1]["jpg"].size == (96, 80) and rows[1]["txt"] == "a red hat 1"
    assert rows[1]["json"]["key"] == rows[1]["__key__"] == "Gr%C3%B6%C3%9Fe%2F1"


def test_killed_and_run_again_the_bytes_are_the_same(
    killed_at_a_rename, shop, tmp_path, capfd, read_folder
):
    command, _ = shop
    undisturbed, root = tmp_path / "a/out", tmp_path / "b/out"
    assert main([*command, str(undisturbed)]) == 0
    words = [sys.executable, "-c", killed_at_a_rename, "31", *command, str(root)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (root / "shards.json").exists() and list(root.rglob(".*.tmp-*"))
    finished = {path: path.stat().st_ino for path in root.glob("cards/*.json")}
    capfd.readouterr()
    assert main([*command, str(root)]) == 0
    assert f"; {len(finished)} of 20 shards were finished before" in capfd.readouterr().err
    assert finished and {path: path.stat().st_ino for path in finished} == finished
    assert read_folder(root) == read_folder(undisturbed)


def test_several_processes_write_the_same_bytes(shop, tmp_path, tagmine, read_folder):
    command, _ = shop
    assert main([*command, str(tmp_path / "a/out")]) == 0
    tagmine(*command, str(tmp_path / "b/out"), "--num-workers", "2")
    assert read_folder(tmp_path / "a/out") == read_folder(tmp_path / "b/out")


def test_only_what_has_changed_is_made_again(shop, tmp_path, jpeg, capfd, read_folder):
    command, rows = shop
    out = tmp_path / "out"
    assert main([*command, str(out)]) == 0
    before = {path.name: path.stat().st_ino for path in out.glob("*.tar")}
    (tmp_path / "photos/7.jpg").write_bytes(jpeg(99))
    rows[20]["title"] = "a green hat"
    write_csv(tmp_path / "shop.csv", rows[:30])
    (out / "00001.tar").write_bytes(b"damaged")
    capfd.readouterr()
    assert main([*command, str(out)]) == 0
    printed = capfd.readouterr().err
    assert "30 read = 28 written + 2 rejected; 11 of 15 shards were finished before" in printed
    after = {path.name: path.stat().st_ino for path in out.glob("*.tar")}
    # Row 40 was of the image of row 0; the shards beyond the table's end are gone.
    changed = {name for name in after if after[name] != before[name]}
    assert len(after) == 15 and len(changed) == 4 and {"00000.tar", "00001.tar"} <= changed
    fresh = tmp_path / "fresh/out"
    assert main([*command, str(fresh)]) == 0
    assert read_folder(fresh) == read_folder(out)


def test_what_stops_before_any_work(shop, tmp_path, capfd):
    command, _ = shop
    out = str(tmp_path / "out")
    assert main([*command, out]) == 0
    before = (tmp_path / "out/shards.json").read_bytes()
    for flags, says in (
        (["--shard-size", "3"], "shard_size was 2, now 3"),
        (["--caption-columns", "brand"], "captions was not given, now brand"),
        (["--encoding", "cp1252"], "encoding was not given, now cp1252"),
        (["--shard-size", "0"], "--shard-size 0: give a number from 1"),
        (["--vocabulary-fields", "sku,größe"], "there is no column 'größe'"),
    ):
        assert main([*command, out, *flags]) == 1
        assert says in capfd.readouterr().err
    assert (tmp_path / "out/shards.json").read_bytes() == before


def test_a_field_whose_name_makes_no_label_is_refused(tmp_path, jpeg, capfd):
    (tmp_path / "a.jpg").write_bytes(jpeg(0))
    (tmp_path / "t.jsonl").write_text('{"image": "a.jpg", "title": "x", "../../up": "y"}')
    words = ["shards", str(tmp_path / "t.jsonl"), "--vocabulary-fields", "../../up"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 1
    assert "makes none" in capfd.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("held", "says"), [("notes.txt", "no tagmine shards began it"), ("manifest.json", "datastore")]
)
def test_a_folder_of_something_else_is_refused(shop, tmp_path, capfd, held, says):
    command, _ = shop
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / held).write_text("{}")
    assert main([*command, str(tmp_path / "out")]) == 1
    assert says in capfd.readouterr().err


def next_command(printed: str) -> list[str]:
    (line,) = [line for line in printed.splitlines() if line.startswith("next ")]
    return shlex.split(line.removeprefix("next"))[1:]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_field_that_the_first_rows_leave_empty_is_built_with_what_is_printed(
    shop, tmp_path, jpeg, capfd, suffix
):
    rows = []
    for number in range(60):
        (tmp_path / "photos" / f"{number}.jpg").write_bytes(jpeg(number % 7))
        rows.append({"image": f"{number}.jpg", "title": "a hat"})
    rows[-1]["sale"] = "half price"
    table = tmp_path / f"sparse{suffix}"
    if suffix == ".csv":
        write_csv(table, [{"sale": ""} | row for row in rows])
    else:
        table.write_text("\n".join(map(json.dumps, rows)))
    words = ["shards", str(table), "--image-folder", str(tmp_path / "photos")]
    assert main([*words, "--tag-fields", "sale", "--out", str(tmp_path / "out")]) == 0
    command = next_command(capfd.readouterr().err)
    assert command[-2:] == ["--tag-fields", "sale"]
    assert main(["mine", *command[1:]]) == 0
    mined = pq.read_table(tmp_path / "out-tags/tags").to_pylist()
    found = [[t["text"] for t in row["tags"] if t["kind"] == "field"] for row in mined]
    assert found == [[]] * 59 + [["half price"]]


def test_a_field_that_no_row_fills_and_another_encoding_are_said(shop, tmp_path, capfd):
    (tmp_path / "shop.csv").write_bytes(
        "image,title,brand\n1.jpg,a hat,\n2.jpg,ein Größen-Hut,\n".encode("cp1252")
    )
    words = ["shards", str(tmp_path / "shop.csv"), "--image-folder", str(tmp_path / "photos")]
    words += ["--tag-fields", "brand"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    printed = capfd.readouterr().err
    assert "note     no row has a value of 'brand', which --tag-fields names" in printed
    assert "1 × bad_encoding: the row of the table is in another encoding" in printed
    assert "try --encoding cp1252, with another --out" in printed
    assert main([*words, "--encoding", "cp1252", "--out", str(tmp_path / "other")]) == 0
    assert "2 read = 2 written + 0 rejected" in capfd.readouterr().err


@pytest.fixture(scope="module")
def fashion_store(fashiongen, tmp_path_factory) -> tuple[Path, str]:
    """FashionGen brought and built by the command that shards printed; and that print."""
    folder = tmp_path_factory.mktemp("fashion")
    printed = io.StringIO()
    from rich.console import Console

    from pipelines import bring
    from pipelines.command_line import parse

    words = ["shards", str(fashiongen), "--out", str(folder / "gen"), "--shard-size", "16"]
    bring.run(parse(words), Console(file=printed, width=400))
    assert main([*next_command(printed.getvalue()), "--clip-model", "demo"]) == 0
    return folder / "gen-tags", printed.getvalue()


def test_fields_are_tags_with_their_names_and_are_not_parsed(fashion_store):
    rows = pq.read_table(fashion_store[0] / "tags").to_pylist()
    assert "24 read = 24 written + 0 rejected" in fashion_store[1] and len(rows) == 24
    fields = {tag["label"]: tag["text"] for tag in rows[1]["tags"] if tag["kind"] == "field"}
    assert fields["brand"] == "Hermès"
    assert fields["composition"] == "Body: 96% cotton, 4% elastane. Trim: 100% calf leather."
    assert set(fields) == {"brand", "category", "composition", "gender"}


def test_names_of_the_fields_are_found_in_free_text(fashion_store):
    rows = pq.read_table(fashion_store[0] / "tags").to_pylist()
    for row in rows:
        names = {(tag["label"], tag["text"]) for tag in row["tags"] if tag["kind"] == "entity"}
        (brand,) = [tag["text"] for tag in row["tags"] if tag["label"] == "brand"]
        assert ("BRAND", brand) in names
    lists = fashion_store[0].parent / "gen/vocabulary"
    assert set((lists / "brand.txt").read_text().splitlines()) == {
        *("Chloé", "Hermès", "Löwenherz", "Acne Studios"),
    }
    fabrics = (lists / "composition.txt").read_text().splitlines()
    assert fabrics == ["calf leather", "cotton", "elastane"]


def test_poses_of_a_product_have_the_same_tags(fashion_store):
    rows = pq.read_table(fashion_store[0] / "tags").to_pylist()
    assert [row["tags"] for row in rows[:12]] == [row["tags"] for row in rows[12:]]


def test_one_pose_a_product(fashiongen, tmp_path, capfd):
    words = ["shards", str(fashiongen), "--out", str(tmp_path / "one"), "--poses", "one"]
    assert main(words) == 0
    assert "24 read = 12 written + 12 rejected" in capfd.readouterr().err
    records = [
        json.loads(data) for name, data in members(tmp_path / "one").items() if "json" in name
    ]
    assert {record["pose"] for record in records} == {"id_gridfs_1"}
    assert records[1]["brand"] == "Hermès" and len(records[1]["captions"]) == 2
    assert "Hermès" in (tmp_path / "one/vocabulary/brand.txt").read_text()
