"""docs/tags.md says what the command that makes it would say."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import tags_page


def test_the_page_is_as_the_command_makes_it(shared_data: Path):
    page = tags_page.PAGE.read_text(encoding="utf-8")
    made = dict(tags_page.make_blocks(shared_data, speed=False))
    assert {"examples", "lists", "reading"} <= set(made)
    for name, text in made.items():
        assert tags_page.replace_block(page, name, text) == page, f"run make tags-page: {name}"


def test_the_scores_are_those_that_were_asked_for(shared_data: Path):
    gold = shared_data / "gold" / "factual_test.csv"
    if not gold.exists():
        pytest.skip(f"{gold} is not here")
    rows = list(tags_page.score_pipelines(gold, [None, shared_data / tags_page.PORT]))
    for row in rows:
        if row.reader.startswith("tagmine"):
            assert row.objects.f1 >= 0.90
            assert row.attributes.f1 >= 0.75


def test_a_block_that_is_missing_is_named():
    with pytest.raises(ValueError, match="no block 'scores'"):
        tags_page.replace_block("# nothing here", "scores", "")
