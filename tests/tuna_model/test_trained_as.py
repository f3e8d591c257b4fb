"""A model that is asked as another control than it was trained with."""

from __future__ import annotations

import json
import logging

import pytest

from tuna_model.trained_as import SUMMARY, trained_control, warn_of_another_control


def write(folder, control: object) -> None:
    (folder / SUMMARY).write_text(json.dumps({"options": {"data": {"control": control}}}))


@pytest.mark.parametrize(
    ("trained", "asked", "warned"),
    [
        ("tuna", "tuna", False),
        ("tuna", "lion", True),
        ("tuna", "random_tags", True),
        ("lion", "tuna", True),
        ("no_tags", "no_tag_tuning", False),
        ("tuna", "no_tag_tuning", True),
        ("tuna", "no_tags", False),
    ],
)
def test_another_control_is_warned_of(tmp_path, caplog, trained, asked, warned):
    write(tmp_path, trained)
    with caplog.at_level(logging.WARNING):
        warn_of_another_control(tmp_path, asked)
    said = f"was trained with --control {trained}, and is asked as {asked}"
    assert (said in caplog.text) == bool(caplog.records) == warned


@pytest.mark.parametrize("text", ["", "[" * 100_000, "3", "{}", '{"options": {"data": 3}}'])
def test_a_file_of_that_name_by_another_program_says_nothing(tmp_path, text):
    assert trained_control(tmp_path) is None
    (tmp_path / SUMMARY).write_text(text)
    assert trained_control(tmp_path) is None
    for odd in (["tuna"], "tunna", None):
        write(tmp_path, odd)
        assert trained_control(tmp_path) is None
    write(tmp_path, "lion")
    assert trained_control(tmp_path) == "lion"
