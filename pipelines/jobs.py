"""`tagmine jobs`: what the jobs of a folder have done, are doing, and how long they still take."""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from rich.console import Console
from rich.table import Table

from pipelines.job_log import JOBS, STATES, JobRecord, read_jobs, seconds_unseen
from pipelines.jobs_options import JobsOptions
from tagmine.errors import ConfigurationError
from tagmine.mirror import fetch_records
from tagmine.stores import is_remote

# What a record cannot say of its own job.
_STOPPED = "stopped"
_NUMBERS = {
    "parts": "Parts of the job.",
    "parts_done": "Parts that are finished.",
    "parts_kept": "Parts that were found finished.",
    "samples_read": "Samples read.",
    "samples_written": "Samples written to finished parts.",
    "samples_per_second": "Samples read a second since the job began.",
    "seconds": "Seconds since the job began, as of its last record.",
    "seconds_left": "Seconds that the parts left will take at the pace of those that were made.",
}


def run(options: JobsOptions, console: Console) -> None:
    """`tagmine jobs`.

    Raises:
        ConfigurationError: where there is no record of a job.
        DatastoreError: for a record that cannot be read.
    """
    records = _read(options.folder)
    if not records:
        raise ConfigurationError(
            f"{options.folder}: there is no record of a job in its {JOBS}. Give the --out of "
            "a build, mine, embed, index, validate or retrieve."
        )
    if options.prometheus:
        console.out(prometheus_text(records), end="", highlight=False)
        return
    console.print(_table(records))
    for record in records:
        if record.error:
            console.print(f"{record.job}: {record.error}", soft_wrap=True)


def _read(folder: str) -> list[JobRecord]:
    if not is_remote(folder):
        return read_jobs(Path(folder))
    with tempfile.TemporaryDirectory(prefix="tagmine-jobs-") as copy:
        fetch_records(folder, Path(copy))
        return read_jobs(Path(copy))


def _table(records: Sequence[JobRecord]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("started", "stage", "runner", "state"):
        table.add_column(name)
    for name in ("parts", "read", "written", "rejected", "samples/s", "left"):
        table.add_column(name, justify="right")
    for record in records:
        table.add_row(
            datetime.datetime.fromisoformat(record.started).strftime("%Y-%m-%d %H:%M:%S"),
            record.stage,
            record.runner,
            _state(record),
            f"{record.parts_done:,}/{record.parts:,}",
            f"{record.samples_read:,}",
            f"{record.samples_written:,}",
            _rejects(record),
            f"{record.samples_per_second:,.0f}",
            _left(record),
        )
    return table


def _rejects(record: JobRecord) -> str:
    total = sum(record.rejected.values())
    if not total:
        return "0"
    return f"{total:,} ({', '.join(f'{n:,} {reason}' for reason, n in record.rejected.items())})"


def _state(record: JobRecord) -> str:
    unseen = seconds_unseen(record)
    if unseen is None:
        return record.state
    return f"stopped? last seen {datetime.timedelta(seconds=round(unseen))} ago"


def _left(record: JobRecord) -> str:
    if record.state != "running" or seconds_unseen(record) is not None:
        return ""
    if record.seconds_left is None:
        return "?"
    return str(datetime.timedelta(seconds=round(record.seconds_left)))


def prometheus_text(records: Sequence[JobRecord]) -> str:
    """The newest job of each stage in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Collector({record.stage: record for record in records}.values()))
    return generate_latest(registry).decode()


class _Collector:
    def __init__(self, records: Iterator[JobRecord]) -> None:
        self._records = list(records)

    def collect(self) -> Iterator[Metric]:
        for name, text in _NUMBERS.items():
            family = GaugeMetricFamily(f"tagmine_job_{name}", text, labels=["stage", "runner"])
            for record in self._records:
                value = getattr(record, name)
                ends_never = name == "seconds_left" and seconds_unseen(record) is not None
                if value is not None and not ends_never:
                    family.add_metric([record.stage, record.runner], value)
            yield family
        yield self._rejected()
        yield self._state()
        yield self._moments(
            "updated", "When the record was last written; a running job does every second or so."
        )
        yield self._moments("part_finished", "When a part was last seen to be finished.")

    def _rejected(self) -> Metric:
        labels = ["stage", "runner", "reason"]
        family = GaugeMetricFamily(
            "tagmine_job_samples_rejected", "Samples rejected in finished parts.", labels=labels
        )
        for record in self._records:
            for reason, count in record.rejected.items():
                family.add_metric([record.stage, record.runner, reason], count)
        return family

    def _state(self) -> Metric:
        labels = ["stage", "runner", "state"]
        family = GaugeMetricFamily(
            "tagmine_job_state",
            "1 for the state that the job is in; stopped, if its record is no longer written.",
            labels=labels,
        )
        for record in self._records:
            now = _STOPPED if seconds_unseen(record) is not None else record.state
            for state in (*STATES, _STOPPED):
                family.add_metric([record.stage, record.runner, state], int(now == state))
        return family

    def _moments(self, name: str, text: str) -> Metric:
        labels = ["stage", "runner"]
        family = GaugeMetricFamily(f"tagmine_job_{name}_timestamp_seconds", text, labels=labels)
        for record in self._records:
            if moment := getattr(record, name):
                seconds = datetime.datetime.fromisoformat(moment).timestamp()
                family.add_metric([record.stage, record.runner], seconds)
        return family
