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
from pipelines.progress import Watch, _Pace, show_seen
from pipelines.seen_parts import PartFiles, SeenParts
from tagmine.layout import tags_path, write_atomically
from tagmine.mirror import open_mirror
from tagmine.parts import read_tags_footer
from tagmine.sources import read_sources
from tagmine.stores import StoreError

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
    monkeypatch.setattr(seen_parts, "_LOOK_RESTS", 0.0)


def looked(seen):
    seen.look()
    return seen.counts()


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
    assert looked(seen) == JobCounts(unsure=2)
    put(mined, tmp_path, 2)
    assert looked(seen) == looked(seen) == dataclasses.replace(counts_of(mined, 2), unsure=2)
    # Made anew, as of a shard that has changed.
    put(mined, tmp_path, 0)
    both = dataclasses.replace(counts_of(mined, 0, 2), unsure=1)
    assert looked(seen) == both and both.read > 0
    # Of no shard of this job, and not yet whole.
    put(mined, tmp_path, 3)
    (tmp_path / "tags" / ".part-00001.parquet.tmp-1").write_bytes(b"PAR1")
    assert looked(seen) == both


def test_what_cannot_be_read_hides_nothing_else_and_is_looked_at_again(mined, tmp_path):
    (tmp_path / "tags").mkdir()
    gone = tmp_path / tags_path(0)
    gone.symlink_to("nowhere")
    seen = SeenParts(tmp_path, MINED, read_sources(mined))
    (tmp_path / tags_path(1)).write_bytes(b"half of it")
    (tmp_path / tags_path(2)).mkdir()
    put(mined, tmp_path, 3)
    assert looked(seen) == dataclasses.replace(counts_of(mined, 3), unsure=1)
    put(mined, tmp_path, 0)
    put(mined, tmp_path, 1)
    assert looked(seen) == counts_of(mined, 0, 1, 3)


def test_a_look_reads_so_many_footers_that_it_comes_to_an_end(mined, tmp_path, monkeypatch):
    monkeypatch.setattr(seen_parts, "_READ_SECONDS", 0.0)
    seen = SeenParts(tmp_path, MINED, read_sources(mined))
    for part in range(4):
        put(mined, tmp_path, part)
    assert [looked(seen).parts_done for _ in range(5)] == [1, 2, 3, 4, 4]


def test_counters_count_once_they_say_as_much(mined, tmp_path):
    put(mined, tmp_path, 3)
    seen = SeenParts(tmp_path, MINED, read_sources(mined))
    put(mined, tmp_path, 0)
    with log_job(tmp_path, "mine", "FlinkRunner", 4) as log:
        watch = Watch(log, None, seen)
        watch.tell(JobCounts())
        assert looked(seen) == dataclasses.replace(counts_of(mined, 0), unsure=1)
        # Of an engine that tells them all along: each number only grows.
        watch.tell(JobCounts(1, 1, 1000, 990, {"no_caption": 10}))
        put(mined, tmp_path, 1)
        assert looked(seen) == JobCounts(3, 1, 1000, 990, {"no_caption": 10})
        # Prism's go up and down.
        watch.tell(JobCounts(1, 0, 400, 395, {"no_caption": 5}))
        assert seen.counts() == JobCounts(3, 1, 1000, 990, {"no_caption": 10})
        # A restarted engine finds parts that it made in this very job.
        watch.tell(JobCounts(4, 3, 1200, 1190, {"no_caption": 10}))
    assert seen.counts().parts_done == 4 and watch.kept == 1
    (record,) = read_jobs(tmp_path)
    assert (record.parts_done, record.parts_kept, record.samples_read) == (4, 1, 1200)


def test_between_two_looks_is_thrice_the_time_of_one(mined, tmp_path, monkeypatch):
    monkeypatch.undo()
    clock, looks = [100.0], []

    def look(root, folder):
        looks.append(clock[0])
        clock[0] += 5.0
        return iter(())

    monkeypatch.setattr(seen_parts, "files_below", look)
    monkeypatch.setattr(seen_parts.time, "monotonic", lambda: clock[0])
    seen = SeenParts(tmp_path, MINED, read_sources(mined))
    for _ in range(40):
        clock[0] += 1.0
        seen.look()
    assert looks == [100.0, 120.0, 140.0]


def test_a_folder_that_is_away_is_waited_for(mined, tmp_path, monkeypatch):
    def away(root, folder):
        raise StoreError("s3://far/ds does not answer")
        yield

    with monkeypatch.context() as patch:
        patch.setattr(seen_parts, "files_below", away)
        seen = SeenParts(tmp_path, MINED, read_sources(mined))
        put(mined, tmp_path, 0)
        assert looked(seen) == JobCounts()
    # When it is back nobody knows what was there before, and what is new.
    assert looked(seen) == JobCounts(unsure=1)
    put(mined, tmp_path, 1)
    assert looked(seen) == dataclasses.replace(counts_of(mined, 1), unsure=1)


def test_in_an_object_store_its_objects_are_counted(mined, tmp_path, monkeypatch):
    monkeypatch.setenv("TAGMINE_CACHE", str(tmp_path))
    root = open_mirror("memory://seen/ds")
    write_atomically(root / tags_path(1), b"of before")
    seen = SeenParts(root, MINED, read_sources(mined))
    assert looked(seen) == JobCounts(unsure=1)
    for part in (0, 2):
        write_atomically(root / tags_path(part), (mined / tags_path(part)).read_bytes())
        # Those that workers on other machines wrote are in no mirror but theirs.
        (root / tags_path(part)).unlink()
    assert looked(seen) == JobCounts(2, unsure=1)
    write_atomically(root / tags_path(1), b"made anew")
    assert looked(seen) == JobCounts(3)


def test_the_record_and_the_line_say_how_far_it_is(mined, tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.progress._LINE_SECONDS", 0.0)
    sources = read_sources(mined)
    put(mined, tmp_path, 3)
    seen, said = SeenParts(tmp_path, MINED, sources), io.StringIO()
    log = JobLog(tmp_path, "mine", "FlinkRunner", len(sources))
    with show_seen(Console(file=said, width=160), "mine", len(sources), seen, log):
        wait_until(lambda: "none new" in said.getvalue())
        put(mined, tmp_path, 2)
        wait_until(lambda: "mine 1/4" in said.getvalue())
        wait_until(lambda: read_jobs(tmp_path)[0].parts_done == 1)
        # Part 3 may be a finished one, so that nobody knows how much is left.
        assert read_jobs(tmp_path)[0].seconds_left is None
        put(mined, tmp_path, 3)
        wait_until(lambda: "mine 2/4" in said.getvalue())
        wait_until(lambda: read_jobs(tmp_path)[0].parts_done == 2)
    first, *lines, bar = said.getvalue().splitlines()
    assert re.fullmatch(r"mine 0/4 shards, 0 samples, 0/s, \? left, none new for [0-9:]+", first)
    read = [counts_of(mined, 2).read, counts_of(mined, 2, 3).read]
    for part, left in ((0, r"\?"), (1, "[0-9:]+")):
        words = (
            rf"mine {part + 1}/4 shards, {read[part]} samples, \d+/s, {left} left, last [0-9:]+ ago"
        )
        assert any(re.fullmatch(words, line) for line in lines), lines
    assert "2/4 shards" in bar and "ago" not in bar
    record = read_jobs(tmp_path)[0]
    assert (record.samples_read, record.state) == (read[1], "running")
    assert record.seconds_left is not None


def test_the_time_left_is_that_of_parts_that_are_made():
    pace = _Pace(100, now=0.0)
    pace.update(JobCounts(90, 90), 90, now=20.0)
    assert pace.left() == "" and pace.ago(25.0) == "last 0:00:05 ago"
    # The first may have waited for the engine to start; later ones tell more.
    pace.update(JobCounts(91, 90), 91, now=30.0)
    assert pace.left() == "0:04:30"
    pace.update(JobCounts(93, 90), 93, now=36.0)
    assert pace.left() == "0:00:21"
    pace.update(JobCounts(93, 90, unsure=1), 93, now=37.0)
    assert pace.left() == ""


def wait_until(reached):
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)
