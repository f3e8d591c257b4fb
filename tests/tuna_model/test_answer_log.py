"""Answers that survive an interruption, and are never mixed with those of another run."""

from __future__ import annotations

import pytest

from tagmine.errors import ConfigurationError
from tuna_model.answer_log import AnswerLog

RUN = {"control": "tuna", "k": 5}


def test_rows_are_there_again_and_the_last_of_an_id_counts(tmp_path):
    path = tmp_path / "new" / "answers.jsonl"
    with AnswerLog(path, RUN) as log:
        assert log.rows == {}
        log.add({"question_id": "1", "reason": "image_missing"})
        log.add({"question_id": "2", "answer": "ja, grün"})
        log.add({"question_id": "1", "answer": "yes"})
    with AnswerLog(path, RUN) as log:
        assert {k: v.get("answer") for k, v in log.rows.items()} == {"1": "yes", "2": "ja, grün"}


@pytest.mark.parametrize("torn", [b'{"question_id": "2", "ans', b"x" * 200_000])
def test_a_line_that_was_torn_off_is_cut_away(tmp_path, torn):
    path = tmp_path / "answers.jsonl"
    with AnswerLog(path, RUN) as log:
        log.add({"question_id": "1", "answer": "yes"})
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    with AnswerLog(path, RUN) as log:
        assert list(log.rows) == ["1"]
        assert path.read_bytes() == whole
        log.add({"question_id": "2", "answer": "no"})
    with AnswerLog(path, RUN) as log:
        assert list(log.rows) == ["1", "2"]


def test_a_torn_header_is_written_again(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_bytes(b'{"run": {"contr')
    with AnswerLog(path, RUN) as log:
        log.add({"question_id": "1", "answer": "yes"})
    with AnswerLog(path, RUN) as log:
        assert list(log.rows) == ["1"]


def test_answers_of_another_run_are_refused_with_what_differs(tmp_path):
    path = tmp_path / "answers.jsonl"
    AnswerLog(path, RUN).__exit__()
    with pytest.raises(ConfigurationError, match="control: 'tuna' then, 'lion' now"):
        AnswerLog(path, RUN | {"control": "lion"})
    path.write_text('{"question_id": 1}\n')
    with pytest.raises(ConfigurationError, match="another run"):
        AnswerLog(path, RUN)


def test_two_runs_do_not_write_one_file(tmp_path):
    path = tmp_path / "answers.jsonl"
    with AnswerLog(path, RUN), pytest.raises(ConfigurationError, match="another run. Wait"):
        AnswerLog(path, RUN)
    AnswerLog(path, RUN).__exit__()
