"""A bounded run of the fuzzers; `make fuzz` is the longer one."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns.seeds import make_seeds
from campaigns.targets import TARGETS

EXAMPLES = {"caption": 60, "faiss": 100}


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    return make_seeds(tmp_path_factory.mktemp("seeds"))


@pytest.mark.parametrize("name", TARGETS)
def test_true_files_with_some_bytes_changed(name, seeds):
    for seed in seeds[name]:
        TARGETS[name](seed)

    @settings(
        max_examples=EXAMPLES.get(name, 150),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(seeds[name]), st.data())
    def change(seed, data):
        changed = bytearray(seed)
        for _ in range(data.draw(st.integers(1, 6))):
            place = data.draw(st.integers(0, len(changed)))
            width = data.draw(st.sampled_from((0, 1, 4, 8)))
            changed[place : place + width] = data.draw(st.binary(max_size=8))
        TARGETS[name](bytes(changed))

    change()


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.text(max_size=200))
def test_any_text_is_a_caption(text):
    TARGETS["caption"](text.encode("utf-8", "surrogatepass"))


@pytest.mark.skipif(not importlib.util.find_spec("atheris"), reason="atheris is not installed")
def test_the_fuzzers_run_and_find_nothing():
    command = [sys.executable, "-m", "campaigns.fuzz", "--seconds", "250", "--runs", "500"]
    done = subprocess.run(
        [*command, "shard", "json"], capture_output=True, text=True, env={**os.environ}, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "no faults found" in done.stdout
    assert done.stderr.count("stat::number_of_executed_units: 500") == 2
