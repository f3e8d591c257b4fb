"""POPE's questions, how its answers are read, and its scores."""

from __future__ import annotations

import json
import os
from collections import Counter

import pytest

from index.images import ImageLimits
from tagmine.errors import ConfigurationError
from tuna_model.pope import STRATEGIES, make_questions, read_answer, read_questions, score
from tuna_model.question_files import PictureRejected, Question, read_picture

WORLD = {
    "a.jpg": frozenset({"dog", "ball", "tree"}),
    "b.jpg": frozenset({"dog", "ball", "apple"}),
    "c.jpg": frozenset({"tree", "car", "apple", "bench"}),
    "d.jpg": frozenset({"dog", "car", "bench"}),
    "few.jpg": frozenset({"dog"}),
}


@pytest.mark.parametrize(
    ("answer", "yes", "clear"),
    [
        ("yes", True, True),
        ("Yes, there is a dog in the image.", True, True),
        ("No", False, True),
        ("No, there is not.", False, True),
        ("There is not a dog in the image.", False, True),
        ("Yes. No dog is black.", True, True),
        # POPE takes these for a yes, though nobody would.
        ("", True, False),
        ("a dog", True, False),
        ("NO", True, False),
        ("No!", True, False),
        ("none", True, False),
        # A word that only begins as "no" is none.
        ("Nothing but snow", True, False),
        ("yes and no", False, False),
    ],
)
def test_answers_are_read_as_popes_own_evaluation_reads_them(answer, yes, clear):
    assert read_answer(answer) == (yes, clear)


def questions(labels: str) -> list[Question]:
    names = {"y": "yes", "n": "no"}
    return [
        Question(str(i), "x.jpg", "Is there a dog in the image?", label=names[c])
        for i, c in enumerate(labels)
    ]


def test_scores_are_those_counted_by_hand():
    said = ["Yes", "yes", "No", "perhaps", "no", "no.", "Yes"]
    answers = {str(i): text for i, text in enumerate(said)}
    found = score(questions("yyynnnnn"), answers)
    # The last question has no answer; "perhaps" counts as POPE counts it, as a yes.
    assert (found.true_yes, found.false_yes, found.true_no, found.false_no) == (2, 2, 2, 1)
    assert (found.questions, found.answered, found.unanswered, found.unclear) == (8, 7, 1, 1)
    assert found.accuracy == pytest.approx(4 / 7)
    assert found.precision == pytest.approx(2 / 4)
    assert found.recall == pytest.approx(2 / 3)
    assert found.f1 == pytest.approx(2 * (1 / 2) * (2 / 3) / (1 / 2 + 2 / 3))
    assert found.yes_ratio == pytest.approx(4 / 7)
    assert found.clear_accuracy == pytest.approx(4 / 7)


def test_an_unclear_answer_that_popes_rule_makes_right_is_not_clearly_right():
    found = score(questions("yy"), {"0": "a dog", "1": "yes"})
    assert (found.accuracy, found.clear_accuracy) == (1.0, 0.5)


def test_scores_of_nothing_are_null_and_the_counts_reconcile():
    record = score(questions("yn"), {}).as_record()
    assert record["accuracy"] is record["precision"] is record["f1"] is None
    assert record["questions"] == record["answered"] + record["unanswered"] == 2
    json.dumps(record, allow_nan=False)


def test_the_published_questions_are_read_whole(shared_data):
    for strategy in STRATEGIES:
        found = read_questions(shared_data / "pope" / f"coco_pope_{strategy}.json")
        assert len(found) == 3000
        assert Counter(q.label for q in found) == {"yes": 1500, "no": 1500}
        assert len({q.image for q in found}) == 500
        perfect = score(found, {q.question_id: q.label for q in found})
        assert (perfect.accuracy, perfect.f1, perfect.yes_ratio) == (1.0, 1.0, 0.5)


GOOD = {"question_id": 1, "image": "a.jpg", "text": "Is there a dog?", "label": "yes"}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([GOOD, GOOD | {"label": "maybe"}], "line 2: label is 'maybe'"),
        ([GOOD | {"image": 1.5}], "line 1: 'image' is '1.5'"),
        ([GOOD | {"text": " "}], "line 1: 'text' is ' '"),
        ([GOOD, GOOD], "question_id '1' stands twice"),
        (["[1]"], "line 1: a list"),
        (["{"], "line 1: no JSON"),
        (["[" * 100_000], "line 1: no JSON"),
        ([" " * 2_000_000], "line 1: longer than"),
        ([], "has no questions"),
    ],
)
def test_what_is_no_question_is_refused_with_its_line(tmp_path, lines, said):
    path = tmp_path / "questions.json"
    path.write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines))
    with pytest.raises(ConfigurationError, match=said):
        read_questions(path)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_made_questions_are_true_balanced_and_the_same_again(strategy):
    made = make_questions(WORLD, strategy, per_image=4, seed=3)
    assert made == make_questions(dict(reversed(WORLD.items())), strategy, per_image=4, seed=3)
    assert {q.image for q in made} == set(WORLD) - {"few.jpg"}
    assert len({q.question_id for q in made}) == len(made) == 16
    for image in {q.image for q in made}:
        asked = [q for q in made if q.image == image]
        names = [q.text.removesuffix(" in the image?").split(" ", 3)[3] for q in asked]
        assert len(set(names)) == 4
        assert Counter(q.label for q in asked) == {"yes": 2, "no": 2}
        for name, question in zip(names, asked, strict=True):
            assert (name in WORLD[image]) == (question.label == "yes")


def test_each_strategy_asks_about_what_it_should():
    popular = make_questions(WORLD, "popular", per_image=2)
    # Dogs are in four pictures of five; where there is one, trees, apples, … by name among equals.
    assert [q.text for q in popular if q.label == "no" and q.image == "c.jpg"] == [
        "Is there a dog in the image?"
    ]
    assert [q.text for q in popular if q.label == "no" and q.image == "a.jpg"] == [
        "Is there an apple in the image?"
    ]
    world = {f"{i}.jpg": frozenset({"cup", "saucer"}) for i in range(5)}
    world |= {f"{i}.jpg": frozenset({"hat", "coat"}) for i in range(5, 15)}
    tempting = make_questions(world | {"x.jpg": frozenset({"cup"})}, "adversarial", per_image=2)
    assert [q.text for q in tempting if q.label == "no" and q.image == "x.jpg"] == [
        "Is there a saucer in the image?"
    ]
    seeds = {
        tuple(q.text for q in make_questions(WORLD, "random", per_image=2, seed=s))
        for s in range(8)
    }
    assert len(seeds) > 1


def test_an_odd_number_of_questions_is_refused():
    with pytest.raises(ValueError, match="even number"):
        make_questions(WORLD, "random", per_image=3)


def test_no_picture_is_read_from_outside_the_folder(tmp_path, jpeg):
    folder = tmp_path / "images"
    folder.mkdir()
    (tmp_path / "secret.jpg").write_bytes(jpeg(0))
    (folder / "a.jpg").write_bytes(jpeg(1))
    (folder / "torn.jpg").write_bytes(jpeg(2)[:400])
    assert read_picture(folder, "a.jpg").size == (96, 80)
    for name, reason in [
        ("../secret.jpg", "unsafe_image_path"),
        ("x/../../secret.jpg", "unsafe_image_path"),
        (str(tmp_path / "secret.jpg"), "unsafe_image_path"),
        ("a\0.jpg", "unsafe_image_path"),
        ("b.jpg", "image_missing"),
        (".", "image_missing"),
        ("x" * 5000, "image_missing"),
        ("torn.jpg", "image_undecodable"),
    ]:
        with pytest.raises(PictureRejected) as caught:
            read_picture(folder, name)
        assert caught.value.reason == reason, name
    os.mkfifo(folder / "pipe.jpg")
    for name in ("pipe.jpg", "\ud800.jpg"):
        with pytest.raises(PictureRejected, match="image_missing"):
            read_picture(folder, name)
    with pytest.raises(PictureRejected, match="image_too_large"):
        read_picture(folder, "a.jpg", ImageLimits(max_bytes=100))
