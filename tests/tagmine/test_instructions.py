"""Files of instructions: lists and lines, large and damaged ones."""

from __future__ import annotations

import json
import random

import pytest

from tagmine import instructions
from tagmine.errors import ConfigurationError
from tagmine.instructions import read_instruction_images


def write(path, text: str | bytes):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


ROWS = [
    {"id": "0", "image": "a/é 1.jpg", "conversations": [{"from": "human", "value": "]}[{\\"}]},
    {"id": "1", "conversations": []},
    {"id": "2", "image": ["b.jpg"]},
    {"id": "3", "image": None},
    {"id": "4", "image": ""},
    {"id": "5", "image": "c.jpg", "n": 1.5},
]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_a_list_is_read_whatever_its_layout(tmp_path, monkeypatch, indent, piece):
    monkeypatch.setattr(instructions, "_PIECE", piece)
    text = "\ufeff \n" + json.dumps(ROWS, indent=indent, ensure_ascii=False) + "\n"
    found = read_instruction_images(write(tmp_path / "x.json", text))
    assert found.images == ("a/é 1.jpg", "b.jpg", "c.jpg")
    assert (found.rows, found.with_image, found.text_only, found.bad_rows) == (6, 3, 3, ())


def test_lines_are_read_and_a_damaged_one_costs_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(instructions, "MAX_ROW", 2000)
    lines = [json.dumps(row, ensure_ascii=False) for row in ROWS]
    bad = [
        '{"image": "cut',
        "[" * 500,
        '{"image": "a"} {"image": "b"}',
        '{"image": "' + "x" * 3000 + '"}',
        '{"image": "\\ud800.jpg"}',
        '{"image": 5}',
        '{"image": 0}',
        '{"image": ["a", 1]}',
        '["image"]',
        '{"image": ["a.jpg", "b.jpg"]}',
        '{"n": ' + "9" * 1900 + "x}",
    ]
    mixed = [line for pair in zip(lines + bad[6:], bad, strict=False) for line in pair]
    content = "\n\n".join(mixed).encode() + b'\n{"image": "\xff"}\n'
    found = read_instruction_images(write(tmp_path / "x.jsonl", content))
    assert found.images == ("a/é 1.jpg", "b.jpg", "c.jpg")
    assert (found.with_image, found.text_only) == (3, 3)
    assert len(found.bad_rows) == len(mixed) - 6 + 1 and found.rows == len(mixed) + 1
    reasons = dict(found.bad_rows)
    assert "no JSON" in reasons[1] and "longer than 2,000" in reasons[7]


def test_a_number_of_many_digits_is_no_trouble(tmp_path):
    text = '[{"image": "a.jpg", "n": ' + "9" * 6000 + "}, " + "8" * 6000 + "]"
    found = read_instruction_images(write(tmp_path / "x.json", text))
    assert found.images == ("a.jpg",)
    assert found.bad_rows == ((1, "the row is a float, expected an object"),)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (json.dumps(ROWS)[:-5], "damaged at row 5"),
        (json.dumps(ROWS)[:-1], "at row 6, .*found the end of the file"),
        ('[{"image": "a"} {"image": "b"}]', "at row 1, .*found '{', expected ','"),
        ('[{"image": "a"},]', "at row 1"),
        ("[" * 200_000, "damaged at row 0"),
    ],
)
def test_a_damaged_list_says_where(tmp_path, text, says):
    with pytest.raises(ConfigurationError, match=says):
        read_instruction_images(write(tmp_path / "x.json", text))


@pytest.mark.parametrize("form", [b"[%b, %b, %b]", b"%b\n%b\n%b\n"])
def test_bytes_that_are_no_utf8_cost_their_row_only(tmp_path, form):
    rows = (b'{"image": "a.jpg"}', b'{"image": "b.jpg", "said": "\xff"}', b'{"image": "c.jpg"}')
    found = read_instruction_images(write(tmp_path / "x.json", form % rows))
    assert found.images == ("a.jpg", "c.jpg")
    assert [number for number, _ in found.bad_rows] == [1]


def test_a_row_without_end_is_not_read_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(instructions, "MAX_ROW", 1000)
    monkeypatch.setattr(instructions, "_PIECE", 100)
    path = write(tmp_path / "x.json", '[{"image": "' + "x" * 100_000)
    with pytest.raises(ConfigurationError, match="damaged at row 0"):
        read_instruction_images(path)


def test_a_missing_file_and_an_empty_list(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_instruction_images(tmp_path / "none.json")
    assert read_instruction_images(write(tmp_path / "x.json", " [ ] ")).rows == 0
    assert read_instruction_images(write(tmp_path / "y.json", "")).rows == 0


def test_any_prefix_of_a_list_is_damaged_or_whole(tmp_path):
    text = json.dumps(ROWS)
    chance = random.Random(0)
    for end in chance.sample(range(1, len(text)), 40):
        with pytest.raises(ConfigurationError, match="damaged"):
            read_instruction_images(write(tmp_path / "x.json", text[:end]))
