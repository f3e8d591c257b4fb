"""Questions with their answers: what they say, and what they must never say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmine.questions import MAX_ANSWERS, read_questions, statement

PAGE = Path(__file__).parents[2] / "docs/merging.md"
ROW = re.compile(r"^\| ([A-Z][^|]+\?) \| ([^|]+) \|([^|]*)\|$", re.MULTILINE)


def test_the_table_of_the_page():
    rows = ROW.findall(PAGE.read_text())
    assert len(rows) > 10
    for question, answer, said in rows:
        assert statement(question, answer) == said.strip(), question


@pytest.mark.parametrize(
    ("question", "answer", "said"),
    [
        ("What color shirt is the man wearing?", "blue", "the man is wearing blue shirt"),
        ("what is the colour of the car", "White", "the car is White"),
        ("How many people are in the picture?", "3 people", "3 people"),
        ("How many cats do you see?", "several", "several cats"),
        ("How many cats are there on the sofa?", "two", "two cats on the sofa"),
        ("How many people are wearing hats?", "3", "3 people are wearing hats"),
        ("What is the cat sitting on?", "sofa", "the cat is sitting on sofa"),
        ("What is the man wearing on his head?", "a hat", "the man is wearing a hat on his head"),
        ("What is the man doing?", "skateboarding", "the man is skateboarding"),
        ("What is in the picture?", "a cat", "a cat"),
        ("Who is holding the umbrella?", "a man", "a man is holding the umbrella"),
        ("Are there any dogs in the picture?", "Yes, 2 of them", "there are dogs"),
        ("Is the man wearing a hat?", "yes", "the man is wearing a hat"),
        ("Is the car red?", "yes.", "the car is red"),
        ("Is this a cat or a dog?", "dog", "dog"),
        ("Can you see any birds?", "yes", "birds"),
    ],
)
def test_what_is_turned(question, answer, said):
    assert statement(question, answer) == said


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How many cats are there?", "0"),
        ("How many cats are there?", "none"),
        ("How many cats are there?", "blue"),
        ("Is there a dog?", "i don't think so"),
        ("Is there a dog?", "maybe"),
        ("Is there no dog?", "yes"),
        ("Isn't there a dog?", "yes"),
        ("What is the man holding?", "nothing"),
        ("What is the man holding?", "I can't tell"),
        ("What is this?", "it is brown"),
        ("What is the weather like?", "sunny"),
        ("Is the car red or blue?", "yes"),
        ("Is he happy?", "yes"),
        ("What time is it?", "noon"),
        ("Why is he smiling?", "a joke"),
        ("", "yes"),
        ("What is this?", ""),
        ("x" * 400, "yes"),
    ],
)
def test_what_says_nothing(question, answer):
    assert statement(question, answer) == ""


@given(st.text(alphabet="isaretwhoman y?ngcl", max_size=320), st.sampled_from(["no", "No.", "0"]))
def test_a_no_never_says_anything(question, answer):
    assert statement(question, answer) == ""


def test_answers_are_votes():
    record = {
        "question": "What color is the car?",
        "answer": "green",
        "answers": ["red", {"answer": "red", "answer_id": 2}, "Red", "blue", "no idea", None],
    }
    assert read_questions(record) == [
        ("the car is red", 3),
        ("the car is blue", 1),
    ]
    assert read_questions({"question": "How many cats are there?", "answer": 2.0}) == [
        ("2 cats", 1)
    ]
    assert read_questions({"question": "Is there a cat?", "answer": True}) == [
        ("there is a cat", 1)
    ]
    assert read_questions({"question": "Is there a cat?", "answer": False}) == []
    assert read_questions({"question": "Is there a cat?"}) == []


@pytest.mark.parametrize(
    "record",
    [
        {"question": 7, "answer": "red"},
        {"question": "What is this?", "answers": [["a"]]},
        {"question": "What is this?", "answers": ["a"] * (MAX_ANSWERS + 1)},
    ],
)
def test_records_of_another_form_are_refused(record):
    with pytest.raises(ValueError, match="must be|limit"):
        read_questions(record)


@pytest.mark.parametrize("empty", ["", [], None])
def test_an_empty_list_of_answers_hides_no_answer(empty):
    record = {"question": "What color is the car?", "answer": "red", "answers": empty}
    assert read_questions(record) == [("the car is red", 1)]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is missing from the picture?", "wheel"),
        ("Which fruit is absent?", "apple"),
        ("What is the pizza lacking?", "feta"),
        ("What would you use to cut this?", "knife"),
        ("How many dogs are there?", "00"),
    ],
)
def test_what_is_not_there_is_not_said(question, answer):
    assert statement(question, answer) == ""
