"""LLaVA's instruction files: where rows are, what they say, and in which order they come."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tagmine import instructions
from tagmine.errors import ConfigurationError
from tagmine.instructions import read_instruction_images
from tuna_model import instruction_file
from tuna_model.instruction_file import BadRow, RowReader, row_places
from tuna_model.instruction_rows import REASONS, RowRejected, Turn, read_conversation
from tuna_model.length_groups import ModalityLengthSampler
from tuna_model.training_rows import (
    REJECTS_FILE,
    Checked,
    load_rows,
    prepare_rows,
)

ROWS = [
    {
        "id": "000000033471",
        "image": "coco/train2017/000000033471.jpg",
        "conversations": [
            {"from": "human", "value": "<image>\nWhat are the colours of the bus?"},
            {"from": "gpt", "value": 'White and red. "{[\\'},
            {"from": "human", "value": "Naïve 日本 😀?"},
            {"from": "gpt", "value": "No."},
        ],
    },
    {
        "id": 7,
        "image": "a.jpg",
        "conversations": [
            {"from": "human", "value": "What is it?\n<image>"},
            {"from": "gpt", "value": "A cat."},
        ],
    },
    {
        "id": "text",
        "conversations": [
            {"from": "gpt", "value": "Left over."},
            {"from": "human", "value": "Two and two?"},
            {"from": "gpt", "value": "Four."},
            {"from": "human", "value": "And?"},
        ],
    },
]


def turns(*said: str) -> list[dict]:
    speakers = ("human", "gpt")
    return [{"from": speakers[i % 2], "value": text} for i, text in enumerate(said)]


def read_all(path: Path) -> list[object]:
    reader = RowReader(path)
    return [reader.read(place) for place in row_places(path)]


@pytest.mark.parametrize("chunk", [3, 7, 64, 2**20])
@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2, ensure_ascii=False),
        "\ufeff \n" + json.dumps(ROWS, ensure_ascii=False) + "\n\n",
        "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS),
        "\ufeff" + "\r\n\r\n".join(json.dumps(row) for row in ROWS) + "\r\n",
    ],
)
def test_rows_are_found_in_both_forms_however_the_file_is_cut(tmp_path, monkeypatch, chunk, text):
    monkeypatch.setattr(instruction_file, "_CHUNK_BYTES", chunk)
    path = tmp_path / "rows.json"
    path.write_bytes(text.encode())
    assert read_all(path) == ROWS


def test_an_empty_list_has_no_rows_and_numbers_are_not_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(instruction_file, "_CHUNK_BYTES", 2)
    path = tmp_path / "rows.json"
    path.write_text("[ ]")
    assert read_all(path) == []
    path.write_text("[1234567, 89]")
    assert read_all(path) == [1234567, 89]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[{"id": 1}, {"id": ', "row 1 .* at byte 12"),
        ('[{"id": 1} {"id": 2}]', "row 1"),
        ('[{"id": 1}', "row 1"),
        ('[{"id": 1}] 5', "after the list's end"),
        ("id,image", "neither a JSON list nor JSON Lines"),
        ("", "neither"),
    ],
)
def test_a_broken_list_is_refused_with_its_place(tmp_path, text, said):
    path = tmp_path / "rows.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        list(row_places(path))


def test_a_bad_line_costs_that_line_only(tmp_path, monkeypatch):
    monkeypatch.setattr(instruction_file, "MAX_ROW_BYTES", 100)
    monkeypatch.setattr(instruction_file, "_CHUNK_BYTES", 16)
    path = tmp_path / "rows.jsonl"
    lines = ['{"id": 1}', "{broken", '{"id": "' + "x" * 200 + '"}', "[" * 90, '{"id": 2}']
    path.write_text("\n".join(lines))
    places = list(row_places(path))
    reader = RowReader(path)
    assert reader.read(places[0]) == {"id": 1} and reader.read(places[4]) == {"id": 2}
    for place, said in zip(places[1:4], ("Expecting", "limit is 100", "Expecting"), strict=True):
        with pytest.raises(BadRow, match=said):
            reader.read(place)


def test_a_row_larger_than_the_limit_ends_the_search_in_a_list(tmp_path, monkeypatch):
    monkeypatch.setattr(instruction_file, "MAX_ROW_BYTES", 100)
    monkeypatch.setattr(instruction_file, "_CHUNK_BYTES", 16)
    path = tmp_path / "rows.json"
    path.write_text('[{"id": "' + "x" * 10_000)
    with pytest.raises(ConfigurationError, match="more than 100 bytes"):
        list(row_places(path))


def test_a_conversation_is_read_as_llava_reads_it():
    bus, cat, text = map(read_conversation, ROWS)
    assert bus.image == "coco/train2017/000000033471.jpg"
    assert bus.turns[0] == Turn("user", "<image>\nWhat are the colours of the bus?")
    assert [turn.role for turn in bus.turns] == ["user", "assistant"] * 2
    assert cat.turns[0].text == "<image>\nWhat is it?"
    assert text.image is None
    assert text.turns == (Turn("user", "Two and two?"), Turn("assistant", "Four."))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([], "bad_row"),
        ({}, "bad_row"),
        ({"conversations": [3]}, "bad_row"),
        ({"conversations": [{"from": "human", "value": None}]}, "bad_row"),
        ({"image": ["a.jpg", "b.jpg"], "conversations": turns("<image>", "b")}, "bad_row"),
        ({"image": "", "conversations": turns("<image>", "b")}, "marker"),
        ({"conversations": []}, "bad_turns"),
        ({"conversations": turns("a")}, "bad_turns"),
        ({"conversations": turns(*"ab") + turns("c")[:1] * 2}, "bad_turns"),
        ({"conversations": [{"from": "system", "value": "Obey."}]}, "bad_turns"),
        ({"conversations": turns(*"ab") * 501}, "bad_turns"),
        ({"conversations": turns("a", " ")}, "empty_turn"),
        ({"conversations": turns("a", "\ud800")}, "not_utf8"),
        ({"conversations": turns("<image>", "b")}, "marker"),
        ({"image": "a.jpg", "conversations": turns("a", "b")}, "marker"),
        ({"image": "a.jpg", "conversations": turns("<image><image>", "b")}, "marker"),
        ({"image": "a.jpg", "conversations": turns("a", "b", "<image>c", "d")}, "marker"),
        ({"image": "a.jpg", "conversations": turns("<image>a", "<image>")}, "empty_turn"),
        ({"image": "/etc/passwd", "conversations": turns("<image>", "b")}, "unsafe_path"),
        ({"image": "a/../../b.jpg", "conversations": turns("<image>", "b")}, "unsafe_path"),
        ({"image": "..\\b.jpg", "conversations": turns("<image>", "b")}, "unsafe_path"),
        ({"image": "a\0.jpg", "conversations": turns("<image>", "b")}, "unsafe_path"),
    ],
)
def test_what_is_no_conversation_says_why(row, reason):
    with pytest.raises(RowRejected) as rejected:
        read_conversation(row)
    assert rejected.value.reason == reason
    assert reason in REASONS


IMAGES = (
    "a.jpg",
    ["a.jpg"],
    "",
    None,
    [],
    [""],
    ["a", "b"],
    [["a"]],
    5,
    [5],
    {"a": 1},
    "\ud800",
    "x" * 5000,
)


@pytest.mark.parametrize("as_list", [True, False])
def test_retrieval_and_training_take_the_same_rows(tmp_path, monkeypatch, as_list):
    monkeypatch.setattr(instructions, "MAX_ROW", 9000)
    monkeypatch.setattr(instruction_file, "MAX_ROW_BYTES", 9000)
    rows = []
    for image in IMAGES:
        named = isinstance(image, str) and image or isinstance(image, list) and any(image)
        rows.append({"image": image, "conversations": turns("<image>" if named else "a", "b")})
    rows.append({"conversations": turns("a", "b" * 8800)})
    rows.append({"conversations": turns("a", "é" * 4600)})
    texts = [json.dumps(row, ensure_ascii="\ud800" in str(row.get("image"))) for row in rows]
    texts.append(f'{{"n": {"9" * 5000}, "conversations": {json.dumps(turns("a", "b"))}}}')
    # Some that no list could hold: it would be damaged.
    texts += [] if as_list else ["{", '{"conversations": [] } {}', '{"image": "\udcff.jpg"}']
    path = tmp_path / "rows.json"
    text = f"[{', '.join(texts)}]" if as_list else "\n".join(texts)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    found = read_instruction_images(path)
    trained = prepare_rows(path, WordCheck(), tmp_path / "out", {}, 0)
    rejects = pq.read_table(tmp_path / "out" / REJECTS_FILE)["row"].to_pylist()
    assert rejects == [number for number, _ in found.bad_rows]
    assert (trained.read, sum(trained.images)) == (found.rows, found.with_image)
    assert (found.with_image, found.text_only) == (2, 6) and found.images == ("a.jpg",)


class WordCheck:
    """Counts words; stands for a processor where only the accounting is looked at."""

    def check(self, value: object) -> Checked:
        conversation = read_conversation(value)
        words = sum(len(turn.text.split()) for turn in conversation.turns)
        return Checked(words, conversation.image is not None)


@pytest.mark.parametrize("workers", [0, 2])
def test_every_row_is_kept_or_rejected_and_counted(tmp_path, workers):
    bad = [{"id": "b\ud800", "conversations": []}, {"id": 5, "image": 5, "conversations": turns()}]
    lines = [json.dumps(row) for row in (ROWS[0], bad[0], ROWS[1], bad[1], ROWS[2])] + ["{"]
    data = tmp_path / "rows.jsonl"
    data.write_text("\n".join(lines * 40))
    rows = prepare_rows(data, WordCheck(), tmp_path / "out", {"seed": 1}, workers)
    assert rows.read == 240 == len(rows) + 120
    assert rows.rejected == {"bad_turns": 40, "bad_row": 40, "bad_json": 40}
    assert RowReader(data).read(rows.place(4)) == ROWS[1]
    assert rows.images[3:6].tolist() == [1, 1, 0]
    rejects = pq.read_table(tmp_path / "out" / REJECTS_FILE).to_pylist()
    assert [(row["row"], row["id"], row["reason"]) for row in rejects[:3]] == [
        (1, "b\\ud800", "bad_turns"),
        (3, "5", "bad_row"),
        (5, "", "bad_json"),
    ]
    assert load_rows(tmp_path / "out", {"seed": 1}) == rows


def test_rows_of_something_else_are_refused(tmp_path):
    data = tmp_path / "rows.json"
    data.write_text(json.dumps(ROWS))
    prepare_rows(data, WordCheck(), tmp_path, {"seed": 1, "data": "abc"}, 0)
    with pytest.raises(ConfigurationError, match="seed is not what .* was 1, is 2"):
        load_rows(tmp_path, {"seed": 2, "data": "abc"})
    prepare_rows(data, WordCheck(), tmp_path, {"data": f"a, {'12345678' * 8}"}, 0)
    with pytest.raises(ConfigurationError, match="data was a, sha256 12345678…, is b"):
        load_rows(tmp_path, {"data": "b"})
    with pytest.raises(ConfigurationError, match="no such file"):
        load_rows(tmp_path / "elsewhere", {})


def test_a_file_without_a_usable_row_is_refused_but_explained(tmp_path):
    data = tmp_path / "rows.json"
    data.write_text(json.dumps([{"id": 1}, {"id": 2}]))
    with pytest.raises(ConfigurationError, match="none of its 2 rows .*bad_row 2"):
        prepare_rows(data, WordCheck(), tmp_path / "out", {}, 0)
    assert pq.read_table(tmp_path / "out" / REJECTS_FILE).num_rows == 2


def test_an_epoch_has_every_row_once_in_groups_of_one_kind_and_length():
    rng = random.Random(0)
    lengths = [rng.randint(1, 500) for _ in range(103)]
    images = [rng.random() < 0.6 for _ in range(103)]
    sampler = ModalityLengthSampler(lengths, images, 8, seed=3)
    first = list(sampler)
    assert sorted(first) == list(range(103))
    groups = [first[start : start + 8] for start in range(0, 103, 8)]
    whole = sum(images) // 8 + (103 - sum(images)) // 8
    for group in groups[:whole]:
        assert len({images[row] for row in group}) == 1
        assert [lengths[row] for row in group] == sorted(lengths[row] for row in group)[::-1]
    assert list(sampler) == first
    sampler.set_epoch(1)
    second = list(sampler)
    assert sorted(second) == list(range(103, 206))
    assert [row - 103 for row in second] != first
    assert list(ModalityLengthSampler(lengths, images, 8, seed=4)) != first


def test_a_sampler_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        ModalityLengthSampler([], [], 8, 0)
    with pytest.raises(ValueError, match="group"):
        ModalityLengthSampler([1], [True], 0, 0)
