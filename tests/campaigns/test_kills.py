"""The campaign of kills sees a command that is refused, and a file that nobody finishes."""

from __future__ import annotations

import os
import random
import signal

import pytest

from campaigns.kills import Tally, disturb, wait_for_orphans
from campaigns.launched import start


def test_a_command_that_ends_badly_by_itself_fails_and_says_what_it_said(tmp_path):
    root = tmp_path / "killed" / "store"
    root.parent.mkdir()
    tally = Tally()
    with pytest.raises(AssertionError, match="exit 1, though it was not disturbed") as failure:
        disturb(root, ["verify", str(root)], 1e6, random.Random(0), tally)
    assert "there is no such folder" in str(failure.value)
    assert tally.kills == 0 and not tally.stages


def test_a_kill_counts_where_the_process_died_of_it(tmp_path):
    os.mkfifo(tmp_path / "unread")
    assert start(["verify", str(tmp_path)], tmp_path / "unread").kill()
    log = tmp_path / "log"
    refused = start(["verify", str(tmp_path)], log)
    refused.process.join()
    with pytest.raises(AssertionError, match="exit 1, though it was not disturbed"):
        refused.kill()
    with pytest.raises(AssertionError, match="exit 1, though it had to work"):
        start(["verify", str(tmp_path)], log).wait("it had to work")


def test_a_command_without_an_end_is_killed(tmp_path):
    os.mkfifo(tmp_path / "log")
    # It waits for a reader of what it says.
    stuck = start(["verify", str(tmp_path)], tmp_path / "log")
    with pytest.raises(AssertionError, match=rf"no end after 0\.1 s.*see {tmp_path}/log"):
        stuck.wait("it had to work", 0.1)
    assert stuck.process.exitcode == -signal.SIGKILL


def test_a_file_that_is_left_is_named(tmp_path):
    wait_for_orphans(tmp_path)
    left = tmp_path / "tags" / ".part-00000.parquet.tmp-1"
    left.parent.mkdir()
    left.touch()
    with pytest.raises(AssertionError, match=rf"left after 0\.3 s: {left}"):
        wait_for_orphans(tmp_path, 0.3)
