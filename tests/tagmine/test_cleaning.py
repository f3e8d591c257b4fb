"""Captions as they are read: without markup, camera talk and shouting."""

from __future__ import annotations

import pytest

from tagmine.cleaning import MAX_WORDS, clean_caption


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A dog &amp;amp; a cat", "A dog & a cat"),
        ("a 1950s car, 3 dogs", "a 1950s car, 3 dogs"),
        ("<b>bold</b> move < 3 and > 2", "bold move 3 and 2"),
        ("<person> at home", "someone at home"),
        ("AT & T logo", "AT & T logo"),
        ("state-of-the-art kitchen", "state-of-the-art kitchen"),
        ("U.S.A. flag", "U.S.A. flag"),
    ],
)
def test_cleaning(caption, expected):
    assert clean_caption(caption) == expected


@pytest.mark.parametrize("caption", ["an F/18 jet", "a 50 mm screw", "an ISO 9001 sign"])
def test_one_number_alone_is_no_camera_talk(caption):
    assert clean_caption(caption) == caption


def test_capitals_throughout_are_set_small():
    assert clean_caption("TWO PEOPLE IN ROME") == "two people in rome"
    assert clean_caption("NASA HQ") == "NASA HQ"


def test_a_caption_is_read_to_its_thousandth_word():
    assert len(clean_caption("a fox " * 600).split()) == MAX_WORDS
