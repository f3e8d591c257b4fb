"""The records of jobs: of a whole build, of one that fails, while one runs, and for Prometheus."""

from __future__ import annotations

import datetime
import io
import json
import re
import time

import pytest
from apache_beam.metrics.monitoring_infos import int64_user_counter
from apache_beam.portability.api import beam_job_api_pb2
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from pipelines import job_log
from pipelines.job_log import JobCounts, JobLog, log_job, read_jobs
from pipelines.main import main
from pipelines.progress import Heartbeat, Watch, read_counts, show_progress
from pipelines.runner import PortableResult, _count, counts_of
from tagmine.errors import DatastoreError
from tagmine.parts import PartFooter


def footer(part: int, read: int, rejected: dict[str, int]) -> PartFooter:
    return PartFooter(
        format_version=1,
        stage="mine",
        part=part,
        source=f"toys/{part}",
        source_sha256="0" * 64,
        source_bytes=100,
        samples="0" * 64,
        maker="0" * 64,
        read=read,
        written=read - sum(rejected.values()),
        rejected=rejected,
    )


@pytest.fixture(scope="module")
def built(shards, tiny_clip, tmp_path_factory):
    """A datastore of shards in which one sample has no caption."""
    out = tmp_path_factory.mktemp("jobs") / "store"
    command = ["build", str(shards / "*.tar"), "--out", str(out), "--clip-model", tiny_clip]
    assert main(command) == 0
    return out, command


def test_each_stage_leaves_a_record_that_reconciles(built):
    out, _ = built
    records = {record.stage: record for record in read_jobs(out)}
    assert list(records) == ["mine", "embed", "index"]
    manifest = json.loads((out / "manifest.json").read_text())
    for stage, record in records.items():
        total = manifest["totals"][stage]
        assert record.state == "finished"
        assert record.parts_done == record.parts > 0
        assert (record.samples_read, record.samples_written) == (total["read"], total["written"])
        assert record.rejected == total["rejected"]
        assert record.seconds_left is None


def test_a_second_build_says_what_it_kept_and_leaves_the_datastore_as_it_was(built):
    out, command = built
    before = (out / "manifest.json").read_bytes()
    assert main(command) == 0
    again = [record for record in read_jobs(out) if record.stage == "mine"][-1]
    assert again.parts_kept == again.parts_done == again.parts
    assert (out / "manifest.json").read_bytes() == before


def test_a_failed_job_says_why(tmp_path):
    with pytest.raises(ValueError), log_job(tmp_path, "mine", "local", 3):
        raise ValueError("the disk is full")
    with pytest.raises(KeyboardInterrupt), log_job(tmp_path, "embed", "local", 3):
        raise KeyboardInterrupt
    failed, interrupted = read_jobs(tmp_path)
    assert (failed.state, failed.error) == ("failed", "the disk is full")
    assert (interrupted.state, interrupted.error) == ("interrupted", None)


def test_while_it_runs_the_pace_of_made_parts_tells_the_time_left(tmp_path):
    log = JobLog(tmp_path, "mine", "local", 10)
    assert read_jobs(tmp_path)[0].seconds_left is None
    deadline = time.monotonic() + 20
    counts = JobCounts(6, 4, 60, 58, {"no_caption": 2})
    while read_jobs(tmp_path)[0].parts_done != 6:
        assert time.monotonic() < deadline
        log.update(counts)
        time.sleep(0.05)
    record = read_jobs(tmp_path)[0]
    assert record.state == "running"
    # Two parts were made, four are left.
    assert record.seconds_left == pytest.approx(record.seconds * 4 / 2, rel=0.01)
    assert record.samples_per_second == pytest.approx(60 / record.seconds, rel=0.01)
    # An engine that lost its workers goes on saying that the job runs.
    while read_jobs(tmp_path)[0].updated <= record.updated:
        assert time.monotonic() < deadline
        log.update(counts)
        time.sleep(0.05)
    later = read_jobs(tmp_path)[0]
    assert record.started <= record.part_finished == later.part_finished < later.updated


def test_a_job_that_tells_nothing_is_seen_to_live(tmp_path, monkeypatch):
    monkeypatch.setattr(job_log, "_BEAT_SECONDS", 0.01)
    monkeypatch.setattr(job_log, "_WRITE_SECONDS", 0.0)
    with log_job(tmp_path, "index", "local", 3):
        (first,) = read_jobs(tmp_path)
        deadline = time.monotonic() + 20
        while read_jobs(tmp_path)[0].updated == first.updated:
            assert time.monotonic() < deadline
    assert read_jobs(tmp_path)[0].state == "finished"


@pytest.mark.parametrize(
    ("ago", "state", "left", "told"),
    [(3725, "stopped? last seen 1:02:0", "", 0), (5, "running", "0:00:07", 1)],
)
def test_a_job_that_was_killed_is_not_shown_as_running(tmp_path, capsys, ago, state, left, told):
    log = JobLog(tmp_path, "mine", "local", 10)
    record = json.loads(log.path.read_bytes()) | {"seconds_left": 7.0}
    updated = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=ago)
    log.path.write_text(json.dumps(record | {"updated": updated.isoformat()}))
    assert main(["jobs", str(tmp_path)]) == 0
    _, row = capsys.readouterr().out.splitlines()
    assert state in row and row.rstrip().endswith(left or "0")
    assert main(["jobs", str(tmp_path), "--prometheus"]) == 0
    families = {f.name: f for f in text_string_to_metric_families(capsys.readouterr().out)}
    assert len(families["tagmine_job_seconds_left"].samples) == told
    states = {s.labels["state"] for s in families["tagmine_job_state"].samples if s.value}
    assert states == {"running" if told else "stopped"}
    assert not families["tagmine_job_part_finished_timestamp_seconds"].samples


def test_workers_tally_their_parts_in_one_file_a_process(tmp_path):
    log = JobLog(tmp_path, "mine", "local", 3)
    with show_progress(Console(quiet=True), "mine", 3, 300, log) as folder:
        for part in range(2):
            beat = Heartbeat(folder, part)
            beat(50, 3)
            beat.finish(footer(part, 6, {"no_caption": 1}), kept=part == 1)
        failing = Heartbeat(folder, 2)
        failing(50, 3)
        failing.fail()
        Heartbeat(folder, 3).finish(footer(3, 4, {}), kept=False)
        assert read_counts(folder) == JobCounts(3, 1, 16, 14, {"no_caption": 2}, 300)


def test_a_job_without_a_terminal_says_now_and_then_how_far_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.progress._LINE_SECONDS", 0.0)
    log, said = JobLog(tmp_path, "mine", "local", 4), io.StringIO()
    with show_progress(Console(file=said, width=160), "mine", 4, 400, log) as folder:
        Heartbeat(folder, 0).finish(footer(0, 2000, {}), kept=False)
        deadline = time.monotonic() + 20
        while "1/4" not in said.getvalue():
            assert time.monotonic() < deadline
            time.sleep(0.05)
    *lines, bar = said.getvalue().splitlines()
    words = r"mine 1/4 shards, 2,000 samples, [0-9,]+/s, 0:00:[0-9]+ left"
    assert re.fullmatch(words, lines[-1]), lines
    assert "4 shards  2,000 samples" in bar


def test_beams_counters_are_read_as_the_same_counts():
    counters = {
        "read": 16,
        "written": 14,
        "parts_done": 3,
        "parts_kept": 1,
        "rejected_no_caption": 2,
        "dropped_too_short": 5,
    }
    assert counts_of(counters) == JobCounts(3, 1, 16, 14, {"no_caption": 2})


def infos_of(counters):
    return [int64_user_counter("mine", n, v, ptransform="s") for n, v in counters.items()]


class JobServiceOfABatchJob:
    """As Beam's Java job server: silent about counters while a batch job runs.

    Flink and Spark say what was attempted, Prism what was committed, too, and less as attempted.
    """

    def __init__(self, attempted, committed):
        self.over = False
        self.metrics = beam_job_api_pb2.MetricResults(
            attempted=infos_of(attempted), committed=infos_of(committed)
        )

    def GetJobMetrics(self, request):  # noqa: N802
        metrics = self.metrics if self.over else None
        return beam_job_api_pb2.GetJobMetricsResponse(metrics=metrics)


COUNTERS = {"read": 16, "written": 14, "parts_done": 3}


@pytest.mark.parametrize(
    ("attempted", "committed"),
    [
        (COUNTERS, {}),
        ({"read": 9, "written": 8, "parts_done": 2}, COUNTERS),
        ({"read": 20, "written": 18, "parts_done": 4}, COUNTERS),
    ],
)
def test_an_engine_that_tells_its_counters_at_the_end_is_asked_again(
    tmp_path, attempted, committed
):
    service = JobServiceOfABatchJob(attempted, committed)
    result = PortableResult(service, "job", (), ())
    with log_job(tmp_path, "mine", "FlinkRunner", 3) as log:
        _count(result, Watch(log, None))
        service.over = True
        _count(result, Watch(log, None))
    (record,) = read_jobs(tmp_path)
    assert (record.samples_read, record.samples_written, record.parts_done) == (16, 14, 3)


def test_the_command_prints_a_table_and_what_prometheus_parses(built, capsys):
    out, _ = built
    capsys.readouterr()
    assert main(["jobs", str(out)]) == 0
    table = capsys.readouterr().out
    assert "finished" in table and "embed" in table
    assert main(["jobs", str(out), "--prometheus"]) == 0
    families = {f.name: f for f in text_string_to_metric_families(capsys.readouterr().out)}
    record = [record for record in read_jobs(out) if record.stage == "mine"][-1]
    written = {s.labels["stage"]: s.value for s in families["tagmine_job_samples_written"].samples}
    assert written["mine"] == record.samples_written
    moments = families["tagmine_job_part_finished_timestamp_seconds"].samples
    finished = datetime.datetime.fromisoformat(record.part_finished).timestamp()
    assert {s.labels["stage"]: s.value for s in moments}["mine"] == pytest.approx(finished)
    states = families["tagmine_job_state"].samples
    assert {s.labels["state"] for s in states if s.value} == {"finished"}


def test_a_folder_without_jobs_and_a_broken_record_are_said(tmp_path, capsys):
    assert main(["jobs", str(tmp_path)]) == 1
    assert "no record of a job" in capsys.readouterr().err
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "x.json").write_text('{"job": 1}')
    with pytest.raises(DatastoreError, match=r"x\.json is no record of a job"):
        read_jobs(tmp_path)
