"""Several annotations of one image: who votes, for what, and where they come from."""

from __future__ import annotations

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmine.annotation_rows import read_rows
from tagmine.annotations import index_annotations, look_up_table, open_annotations
from tagmine.captions import MAX_CAPTIONS, Caption, SampleRejected, distinct_captions, read_captions
from tagmine.errors import ConfigurationError
from tagmine.samples import Sample, SampleFields
from tagmine.tags import Tag, merge_captions

CAR = Tag("car", "car", "object", "car")
RED = Tag("red car", "red car", "attribute", "car", ("red",))
BLUE = Tag("blue car", "blue car", "attribute", "car", ("blue",))


def counts(tags: list[Tag]) -> dict[str, int]:
    return {tag.text: tag.count for tag in tags}


def test_complements_add_up_and_contradictions_keep_their_votes():
    parked = Tag("parked car", "parked car", "attribute", "car", ("parked",))
    merged = merge_captions([[RED], [parked, BLUE], [RED], [CAR], [RED]])
    assert counts(merged) == {"red car": 3, "parked car": 1, "blue car": 1, "car": 5}
    assert [tag.text for tag in merged] == ["red car", "parked car", "blue car", "car"]


def test_a_thing_that_nobody_names_bare_is_no_tag_of_its_own():
    assert counts(merge_captions([[RED], [BLUE]])) == {"red car": 1, "blue car": 1}


def test_a_name_or_field_is_not_backed_by_objects():
    name = Tag("car", "car", "entity", "car", label="PRODUCT")
    field = Tag("car", "car", "field", "car", label="type")
    merged = merge_captions([[RED], [name], [field]])
    assert [tag.count for tag in merged] == [1, 1, 1]


def test_the_commonest_wording_stays_and_the_first_among_equals():
    cars = Tag("red cars", "red car", "attribute", "car", ("red",))
    assert merge_captions([[cars], [RED], [RED]])[0].text == "red car"
    assert merge_captions([[cars], [RED]])[0].text == "red cars"
    assert merge_captions([[cars], [RED]], votes=[1, 2])[0].text == "red car"


def test_answers_weigh_what_they_were_given():
    assert counts(merge_captions([[RED], [BLUE], [CAR]], votes=[7, 3, 1])) == {
        "red car": 7,
        "blue car": 3,
        "car": 11,
    }
    with pytest.raises(ValueError, match="shorter"):
        merge_captions([[RED], [BLUE]], votes=[1])


def test_copies_do_not_vote_twice():
    texts = ["A red car.", "a red  car", "A RED CAR!", "a red, car", "the red car", "Ａ red car"]
    captions = [Caption(text, "s", votes) for votes, text in enumerate(texts, start=1)]
    distinct = distinct_captions(captions)
    assert [(caption.text, caption.votes) for caption in distinct] == [
        ("A red car.", 6),
        ("the red car", 5),
    ]


def sample(**record) -> tuple[Sample, dict]:
    return Sample(0, "0", {"json": json.dumps(record).encode()}, ("jpg", "json")), record


def read(fields: tuple[str, ...], **record) -> list[tuple[str, str, int]]:
    captions = read_captions(*_asked(fields, record))
    return [(caption.text, caption.source, caption.votes) for caption in captions]


def _asked(fields, record):
    made, record = sample(**record)
    return made, SampleFields(caption_json_fields=fields), record


def test_several_fields_of_text_and_questions():
    question = {"question": "What color is the car?", "answers": ["red", "red", "blue"]}
    found = read(
        ("captions", "qa", "gone", "title"),
        captions=["a car", " a parked  car "],
        qa=[question, {"question": "Is there a dog?", "answer": "no"}],
        title="cars",
    )
    assert found == [
        ("a car", "captions", 1),
        ("a parked car", "captions", 1),
        ("the car is red", "qa", 2),
        ("the car is blue", "qa", 1),
        ("cars", "title", 1),
    ]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"a": None}, "no_caption"),
        ({"a": []}, "empty_caption"),
        ({"a": {"question": "Is there a dog?", "answer": "no"}}, "empty_caption"),
        ({"a": {"caption": "x"}}, "bad_json"),
        ({"a": [None]}, "empty_caption"),
        ({"a": [7]}, "bad_json"),
        ({"a": {"question": 7}}, "bad_json"),
        ({"a": ["x"] * (MAX_CAPTIONS + 1)}, "bad_json"),
        ({"a": ["x"] * MAX_CAPTIONS, "b": ["y"]}, "too_many_captions"),
        ({"a": "x" * 10_001}, "caption_too_long"),
        ({"a": "\ud800"}, "caption_not_utf8"),
    ],
)
def test_what_cannot_be_read_is_a_reject(record, reason):
    with pytest.raises(SampleRejected) as caught:
        read(("a", "b"), **record)
    assert caught.value.reason == reason


def test_an_image_without_a_caption_of_its_own_lives_on_others():
    more = [Caption("a dog", "vqa")]
    made, fields, record = _asked(("a",), {})
    assert read_captions(made, fields, record, more) == more
    with pytest.raises(SampleRejected, match="no_caption"):
        read_captions(made, fields, record)


ROWS = [
    {"key": "1", "caption": "a red car", "source": "coco"},
    {"key": "2", "question": "Is there a dog?", "answer": "yes"},
    {"key": "1", "question": "How many cats are there?", "answer": "2", "source": "vqa"},
    {"key": "2", "question": "Is there a cow?", "answer": "no"},
    {"key": "", "caption": "nobody's"},
    {"key": "3", "caption": "x" * 10_001},
    {"key": "3"},
]


def write(path, rows):
    names = ("key", "caption", "question", "answer", "source")
    if path.suffix == ".parquet":
        columns = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in names}
        columns["image"] = pa.array([b"\xff\xd8"] * len(rows))
        pq.write_table(pa.table(columns), path, row_group_size=2)
    elif path.suffix == ".csv":
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, names)
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_a_table_is_joined_by_key_and_what_it_holds_is_counted(tmp_path, suffix):
    table = look_up_table(str(write(tmp_path / f"more{suffix}", ROWS)), None)
    found = index_annotations(table, tmp_path / "index")
    assert (found.rows, found.silent, found.unusable, found.keys) == (7, 1, 3, 2)
    assert found.first_unusable == "row 5: no usable key" and found.first_keys == ("1", "2")
    with open_annotations(tmp_path / "index") as annotations:
        assert annotations.sha256 == table.sha256
        assert annotations.find("1") == [Caption("a red car", "coco"), Caption("2 cats", "vqa")]
        assert annotations.find("2") == [Caption("there is a dog", "more")]
        assert annotations.find("01") == annotations.find("' or ''='") == []


def test_numbers_meet_texts_and_more_than_the_limit_shows(tmp_path):
    rows = [{"image_id": 7, "caption": f"dog {i}"} for i in range(MAX_CAPTIONS + 5)]
    path = write(tmp_path / "t.jsonl", [*rows, {"image_id": True, "caption": "x"}])
    with path.open("ab") as stream:
        stream.write(b"[1]\nno json\n" + b"[" * 100_000 + b"\n")
    table = look_up_table(str(path), "image_id")
    assert table.key == "image_id"
    assert index_annotations(table, tmp_path / "index").unusable == 4
    with open_annotations(tmp_path / "index") as annotations:
        assert len(annotations.find("7")) == MAX_CAPTIONS + 1


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("gone.csv", None, "no such file"),
        ("t.txt", "key,caption\n", "ends in"),
        ("t.csv", "image,caption\n1,x\n", "no column key; the columns are image, caption"),
        ("t.csv", "key,question\n1,x\n", "neither a column caption"),
        ("t.jsonl", "", "columns are none"),
        ("t.csv", "key,caption\n1,\xff\n", "cannot be read: UnicodeDecodeError"),
        ("t.parquet", "nope", "cannot be read"),
    ],
)
def test_a_table_that_cannot_work_is_named(tmp_path, name, content, says):
    if content is not None:
        (tmp_path / name).write_text(content, encoding="latin-1")
    with pytest.raises(ConfigurationError, match=says):
        look_up_table(str(tmp_path / name), None)


def test_answers_of_a_parquet_are_lists_and_its_pictures_are_not_read(tmp_path):
    record = {"key": ["7"], "question": ["What is this?"], "answers": [["cat", "cat", "dog"]]}
    pq.write_table(pa.table({"image": [b"x" * 100], **record}), tmp_path / "t.parquet")
    [row] = read_rows(tmp_path / "t.parquet", ("key",))
    assert set(row) == {"key", "question", "answers"}
    table = look_up_table(str(tmp_path / "t.parquet"), None)
    index_annotations(table, tmp_path / "index")
    with open_annotations(tmp_path / "index") as annotations:
        assert annotations.find("7") == [Caption("cat", "t", 2), Caption("dog", "t")]


def test_a_table_that_changes_while_it_is_read_is_refused(tmp_path):
    path = write(tmp_path / "t.csv", ROWS)
    table = look_up_table(str(path), None)
    write(path, ROWS[:2])
    with pytest.raises(ConfigurationError, match="changed while"):
        index_annotations(table, tmp_path / "index")
