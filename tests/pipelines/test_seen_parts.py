"""Progress on an engine, whose counters come at the end: parts are counted as they appear."""

from __future__ import annotations

import dataclasses
import io
import os
import re
import shutil
import time

import pytest
from rich.console import Console

from pipelines import seen_parts
from pipelines.job_log import JobCounts, JobLog, log_job, read_jobs
from pipelines.main import main
from pipelines.progress import Watch, show_seen
from pipelines.seen_parts import PartFiles, SeenParts
from tagmine.layout import tags_path, write_atomically
from tagmine.mirror import open_mirror
from tagmine.parts import read_tags_footer
from tagmine.sources import read_sources

MINED = PartFiles(tags_path, read_tags_footer)
PATIENCE = 60


@pytest.fixture(scope="module")
def mined(tmp_path_factory, shards):
    root = tmp_path_factory.mktemp("mined") / "store"
    assert main(["mine", f"{shards}/0000[0123].tar", "--out", str(root)]) == 0
    return root


@pytest.fixture(autouse=True)
def look_at_once(monkeypatch):
    monkeypatch.setattr(seen_parts, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(seen_parts, "_LOOK_SHARE", 1e6)


def counts_of(mined, *parts):
    footers = [read_tags_footer(mined / tags_path(part)) for part in parts]
    each = [JobCounts(1, 0, f.read, f.written, f.rejected) for f in footers]
    return sum(each, start=JobCounts())


def put(mined, root, part):
    (root / "tags").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(mined / tags_path(part), root / "tags" / "new")
    os.replace(root / "tags" / "new", root / tags_path(part))


def test_parts_that_appear_or_are_replaced_count_with_their_samples(mined, tmp_path):
    put(mined, tmp_path, 0)
    put(mined, tmp_path, 1)
    seen = SeenParts(tmp_path, MINED, read_sources(mined)[:3])
    assert seen.counts() == JobCounts()
    put(mined, tmp_path, 2)
    assert seen.counts() == seen.counts() == counts_of(mined, 2)
    # Made anew, as of a shard that has changed.
    put(mined, tmp_path, 0)
    assert seen.counts() == counts_of(mined, 0, 2)
    assert counts_of(mined, 0, 2).read > 0
    # Of no shard of this job, and not yet whole.
    put(mined, tmp_path, 3)
    (tmp_path / "tags" / ".part-00001.parquet.tmp-1").write_bytes(b"PAR1")
    assert seen.counts() == counts_of(mined, 0, 2)


def test_a_part_that_cannot_be_read_is_looked_at_again(mined, tmp_path):
    seen = SeenParts(tmp_path, MINED, read_sources(mined))
    (tmp_path / "tags").mkdir()
    (tmp_path / tags_path(1)).write_bytes(b"half of it")
    assert seen.counts() == JobCounts()
    put(mined, tmp_path, 1)
    assert seen.counts() == counts_of(mined, 1)


def test_counters_count_once_they_say_as_much(mined, tmp_path):
    seen = SeenParts(tmp_path, MINED, read_sources(mined))
    put(mined, tmp_path, 0)
    with log_job(tmp_path, "mine", "FlinkRunner", 4) as log:
        watch = Watch(log, None, seen)
        watch.tell(JobCounts())
        assert seen.counts() == counts_of(mined, 0)
        at_the_end = dataclasses.replace(counts_of(mined, 0, 1, 2, 3), parts_kept=3)
        watch.tell(at_the_end)
        assert seen.counts() == at_the_end
        assert watch.kept == 3


def test_a_listing_takes_a_twentieth_of_the_time_at_most(mined, tmp_path, monkeypatch):
    monkeypatch.undo()
    looks = []

    def look(root, folder):
        looks.append(time.monotonic())
        time.sleep(0.2)
        return {}

    monkeypatch.setattr(seen_parts, "files_below", look)
    seen = SeenParts(tmp_path, MINED, read_sources(mined))
    seen.counts()
    # The next one is due after 2 s by the clock alone, after 4 s by what the last one took.
    monkeypatch.setattr(time, "monotonic", lambda now=time.monotonic: now() + 3.0)
    seen.counts()
    assert len(looks) == 2
    monkeypatch.setattr(time, "monotonic", lambda now=time.monotonic: now() + 3.0)
    seen.counts()
    assert len(looks) == 3


def test_in_an_object_store_its_objects_are_counted(mined, tmp_path, monkeypatch):
    monkeypatch.setenv("TAGMINE_CACHE", str(tmp_path))
    root = open_mirror("memory://seen/ds")
    seen = SeenParts(root, MINED, read_sources(mined))
    assert seen.counts() == JobCounts()
    for part in (0, 2):
        write_atomically(root / tags_path(part), (mined / tags_path(part)).read_bytes())
        # Those that workers on other machines wrote are in no mirror but theirs.
        (root / tags_path(part)).unlink()
    assert seen.counts() == JobCounts(2)


def test_the_record_and_the_line_say_how_far_it_is(mined, tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.progress._LINE_SECONDS", 0.0)
    sources = read_sources(mined)
    seen, said = SeenParts(tmp_path, MINED, sources), io.StringIO()
    log = JobLog(tmp_path, "mine", "FlinkRunner", len(sources))
    with show_seen(Console(file=said, width=160), "mine", len(sources), seen, log):
        wait_until(lambda: "none after" in said.getvalue())
        put(mined, tmp_path, 2)
        wait_until(lambda: "mine 1/4" in said.getvalue())
        wait_until(lambda: read_jobs(tmp_path)[0].parts_done == 1)
    first, *_, last, bar = said.getvalue().splitlines()
    words = r"mine 0/4 shards, 0 samples, 0/s, \? left; none after 0:00:0\d"
    assert re.fullmatch(words, first)
    read = counts_of(mined, 2).read
    words = rf"mine 1/4 shards, {read} samples, \d+/s, 0:0\d:\d\d left; last 0:00:\d\d ago"
    assert re.fullmatch(words, last)
    assert "1/4 shards" in bar and "ago" not in bar
    record = read_jobs(tmp_path)[0]
    assert (record.samples_read, record.state) == (read, "running")


def wait_until(reached):
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)
