"""The campaign against task managers, a round of it: one killed in each stage."""

from __future__ import annotations

import pytest

from campaigns.task_managers import run
from engines.fetch import MissingEngineError


@pytest.mark.engines
def test_a_round_of_the_campaign(tmp_path):
    try:
        killed = run(kills=1, seed=0, work=tmp_path)
    except MissingEngineError as error:
        pytest.skip(f"there is no Flink cluster here: {error}")
    assert set(killed) == {"mine", "embed", "index", "validate"}
    assert killed.total() >= 1
