"""`tagmine mine --show`: captions with their tags, in the terminal and as a page."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from pipelines.command_line import parse
from pipelines.main import main
from pipelines.options import ShowOptions

ROOT = Path(__file__).parents[2]


def test_captions_are_marked_and_nothing_is_written(shards, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["mine", f"{shards}/*.tar", "--show", "7", "--tag-fields", "brand"]) == 0
    printed = capfd.readouterr().out
    assert "a [red car ATTRIBUTE] parked next to a [yellow bicycle ATTRIBUTE]  (txt)" in printed
    assert "[Montepulciano GPE]" in printed and "×1   Élan  brand" in printed
    # The next shard's first sample is the seventh.
    assert printed.count("\ntoys/") == 7 and "toys/00001/0000" in printed
    assert "\x1b" not in printed and list(tmp_path.iterdir()) == []


def test_colour_where_it_is_asked_for(shards, capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert main(["mine", f"{shards}/00000.tar", "--show", "1"]) == 0
    assert "\x1b[1;32m ATTRIBUTE" in capfd.readouterr().out


def test_what_is_shown_is_what_is_mined(shards, tmp_path, capfd):
    import pyarrow.parquet as pq

    flags = ["--caption-json-field", "captions", "--tag-fields", "brand"]
    assert main(["mine", f"{shards}/00000.tar", "--out", str(tmp_path / "o"), *flags]) == 0
    capfd.readouterr()
    assert main(["mine", f"{shards}/00000.tar", "--show", "99", *flags]) == 0
    shown = [line.split("  ") for line in capfd.readouterr().out.splitlines() if "×" in line[:6]]
    rows = pq.read_table(tmp_path / "o/tags").to_pylist()
    expected = [
        (f"×{tag['count']}", tag["text"], tag["label"] or tag["kind"].upper())
        for row in rows
        for tag in row["tags"]
    ]
    parts = [[part.strip() for part in line if part.strip()] for line in shown]
    assert [(part[0], part[1], part[2]) for part in parts] == expected


def test_strangers_steer_neither_terminal_nor_page(tmp_path, write_tar, jpeg, capfd):
    captions = [
        "a \u202ered car\u202c & [bold red]two dogs[/] \x1b[31mand <script>alert(1)</script>",
        "",
        "x" * 20_000,
    ]
    members = []
    for number, caption in enumerate(captions):
        members += [(f"{number}<i>.jpg", jpeg(number)), (f"{number}<i>.txt", caption.encode())]
    shard = str(write_tar(tmp_path / "in" / "a.tar", members))
    page = tmp_path / "page.html"
    assert main(["mine", shard, "--show", "3", "--show-html", str(page)]) == 0
    printed = capfd.readouterr().out
    assert not any(c in printed for c in "\u202e\u202c\x1b") and "[bold " in printed
    assert "rejected: empty_caption" in printed and "rejected: caption_too_long" in printed
    html = page.read_text()
    assert "<script" not in html and "0<i>" not in html and "0&lt;i&gt;" in html
    assert "\u202e" not in html and "caption_too_long" in html
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "page.html"]


def test_a_page_that_cannot_be_written_is_one_sentence(shards, tmp_path, capfd):
    line = ["mine", f"{shards}/00000.tar", "--show", "1", "--show-html", f"{tmp_path}/no/x.html"]
    assert main(line) == 1
    assert "a folder that is there" in capfd.readouterr().err


def test_out_is_needed_without_show_only(capsys):
    options = parse(["mine", "a.tar", "--show", "20"])
    assert isinstance(options, ShowOptions) and options.samples == 20
    for line, says in (
        ("mine a.tar", "tagmine mine: error: the following arguments are required: --out"),
        ("mine a.tar --out d --show-html x", "give --show N too"),
        ("mine a.tar --show 2 --flink_master=h:1", "unrecognized arguments: --flink_master"),
    ):
        with pytest.raises(SystemExit) as caught:
            parse(line.split())
        assert caught.value.code == 2 and says in capsys.readouterr().err


@pytest.mark.parametrize("count", ["0", "1001"])
def test_a_page_has_a_size(count, capfd):
    assert main(["mine", "a.tar", "--show", count]) == 1
    assert "give 1 to 1,000" in capfd.readouterr().err


def test_the_page_on_merging_prints_what_the_command_prints(shared_data, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    spec = importlib.util.spec_from_file_location("run_examples", ROOT / "docs/run_examples.py")
    examples = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(examples)
    page = (ROOT / "docs/merging.md").read_text()
    assert page.count("$ tagmine") == 2
    again = examples.run_examples(page)
    assert again == page, "run: python docs/run_examples.py docs/merging.md"


def test_a_table_of_annotations_is_described(shards, tmp_path, capfd):
    table = tmp_path / "more.jsonl"
    table.write_text('{"key": "nobody", "caption": "a red bus"}\n{"caption": "no key"}\n')
    line = ["mine", f"{shards}/00000.tar", "--show", "1", "--annotations", str(table)]
    assert main(line) == 0
    printed = capfd.readouterr().out
    assert "annotations: 2 rows for 1 keys such as 'nobody'; 1 rows cannot be used" in printed
