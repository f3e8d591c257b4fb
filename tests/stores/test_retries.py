"""How long a process waits for a store that fails all the time, and that it waits once."""

from __future__ import annotations

import dataclasses

import pytest

from tagmine.retries import PATIENCE_SECONDS, retry


@dataclasses.dataclass
class Clock:
    """As the module time, for one who sleeps and is never late."""

    now: float = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("tagmine.retries.time", clock)
    return clock


@pytest.fixture
def tries(monkeypatch, clock):
    """A function that asks a place until it gives up, and says how often it asked."""
    monkeypatch.setattr("tagmine.retries.TRIES", 1000)

    def ask(what: str, error: Exception) -> int:
        asked = []

        def call():
            asked.append(what)
            raise error

        with pytest.raises(type(error)):
            retry(call, what)
        return len(asked)

    return ask


def test_a_store_that_fails_all_the_time_is_waited_for_once(tries):
    assert tries("s3://dead/ds/lease", ConnectionError()) > 2
    assert tries("s3://dead/ds/jobs", ConnectionError()) == 1
    assert tries("s3://other/ds/jobs", ConnectionError()) > 2
    assert retry(lambda: 7, "s3://dead/ds/lease") == 7
    assert tries("s3://dead/ds/lease", ConnectionError()) > 2


def test_an_answer_that_refuses_is_a_sign_of_life(tries):
    assert tries("s3://stern/ds/lease", ConnectionError()) > 2
    assert tries("s3://stern/ds/jobs", PermissionError()) == 1
    assert tries("s3://stern/ds/lease", ConnectionError()) > 2


def test_what_was_not_asked_for_long_is_waited_for_again(tries, clock):
    assert tries("s3://idle/ds/lease", ConnectionError()) > 2
    clock.sleep(PATIENCE_SECONDS + 1)
    assert tries("s3://idle/ds/lease", ConnectionError()) > 1
