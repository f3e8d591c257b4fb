"""What a job has done so far, as a JSON file beside the datastore that other programs may read."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, get_args

from pydantic import TypeAdapter, ValidationError

from pipelines.meanwhile import meanwhile
from tagmine.errors import DatastoreError
from tagmine.layout import write_atomically

JOBS = "jobs"
State = Literal["running", "finished", "failed", "interrupted"]
STATES: tuple[State, ...] = get_args(State)

UNSEEN_SECONDS = 60.0
"""A running job writes its record more often; one that did not was killed, or stands still."""
_WRITE_SECONDS = 1.0
# Of a job that tells nothing for long, such as the training of an index.
_BEAT_SECONDS = 10.0
_MAX_RECORD_BYTES = 1 << 20
_MAX_ERROR = 2000


@dataclasses.dataclass(frozen=True, slots=True)
class JobCounts:
    """What the workers of a job have done so far.

    Attributes:
        parts_done: parts that are finished, those that were found finished among them.
        parts_kept: parts that were found finished.
        read: samples read, those of unfinished parts among them.
        written: samples written to finished parts.
        rejected: samples rejected in finished parts, by reason.
        bytes_read: bytes of the shards that were read; 0 where it is not known.
        unsure: parts that were there before and are in no count, since nobody knows yet whether
            they are made anew.
    """

    parts_done: int = 0
    parts_kept: int = 0
    read: int = 0
    written: int = 0
    rejected: Mapping[str, int] = dataclasses.field(default_factory=dict)
    bytes_read: int = 0
    unsure: int = 0

    def __add__(self, other: JobCounts) -> JobCounts:
        reasons = sorted({*self.rejected, *other.rejected})
        return JobCounts(
            self.parts_done + other.parts_done,
            self.parts_kept + other.parts_kept,
            self.read + other.read,
            self.written + other.written,
            {r: self.rejected.get(r, 0) + other.rejected.get(r, 0) for r in reasons},
            self.bytes_read + other.bytes_read,
            self.unsure + other.unsure,
        )


@dataclasses.dataclass(frozen=True, slots=True)
class JobRecord:
    """One job, as `jobs/*.json` has it; docs/format.md says what each field means."""

    job: str
    stage: str
    runner: str
    state: State
    host: str
    pid: int
    started: str
    updated: str
    seconds: float
    parts: int
    parts_done: int
    parts_kept: int
    samples_read: int
    samples_written: int
    rejected: dict[str, int]
    samples_per_second: float
    seconds_left: float | None = None
    part_finished: str | None = None
    error: str | None = None


class JobLog:
    """Keeps the record of one job up to date; `update` may be called as often as one likes."""

    def __init__(self, root: Path, stage: str, runner: str, parts: int) -> None:
        self._began = time.monotonic()
        self._last = float("-inf")
        self._writing = threading.Lock()
        self._counts = JobCounts()
        now = datetime.datetime.now(datetime.UTC)
        host, pid = socket.gethostname(), os.getpid()
        # The process, too, since two jobs may start within a microsecond.
        job = f"{now:%Y%m%dT%H%M%S%fZ}-{stage}-{pid}"
        self.path = root / JOBS / f"{job}.json"
        self._record = JobRecord(
            job, stage, runner, "running", host, pid, _iso(now), _iso(now), 0.0, parts,
            0, 0, 0, 0, {}, 0.0,
        )  # fmt: skip
        self._write()

    def update(self, counts: JobCounts) -> None:
        """Take over what is counted; it is written at most once a second."""
        self._counts = counts
        self._write_if_due()

    def beating(self) -> AbstractContextManager[None]:
        """Write the record now and then while the block runs, though nothing new is told."""
        return meanwhile(_BEAT_SECONDS, self._write_if_due)

    def _write_if_due(self) -> None:
        if time.monotonic() - self._last >= _WRITE_SECONDS:
            # A disk that is full is told of by the job itself, where it wants room.
            with contextlib.suppress(OSError):
                self._write()

    def finish(self, state: State, error: str | None = None) -> None:
        """Write the last record."""
        self._record = dataclasses.replace(
            self._record, state=state, error=error and error[:_MAX_ERROR]
        )
        self._write()

    def _write(self) -> None:
        with self._writing:
            self._write_alone()

    def _write_alone(self) -> None:
        self._last = time.monotonic()
        seconds = self._last - self._began
        counts = self._counts
        now = _iso(datetime.datetime.now(datetime.UTC))
        same = counts.parts_done == self._record.parts_done
        self._record = dataclasses.replace(
            self._record,
            updated=now,
            part_finished=self._record.part_finished if same else now,
            seconds=round(seconds, 3),
            parts_done=counts.parts_done,
            parts_kept=counts.parts_kept,
            samples_read=counts.read,
            samples_written=counts.written,
            rejected=dict(counts.rejected),
            samples_per_second=round(counts.read / max(seconds, 1e-9), 3),
            seconds_left=_seconds_left(self._record, counts, seconds),
        )
        data = TypeAdapter(JobRecord).dump_json(self._record, indent=1)
        write_atomically(self.path, data + b"\n")


def _seconds_left(record: JobRecord, counts: JobCounts, seconds: float) -> float | None:
    """At the pace of the parts that were made, as those that were found finished take no time."""
    made = counts.parts_done - counts.parts_kept
    left = record.parts - counts.parts_done
    if record.state != "running" or counts.unsure or (left and not made):
        return None
    return round(seconds * left / made, 3) if left else 0.0


@contextlib.contextmanager
def log_job(root: Path, stage: str, runner: str, parts: int) -> Iterator[JobLog]:
    """The log of a job, which says at its end how the block ended."""
    log = JobLog(root, stage, runner, parts)
    try:
        with log.beating():
            yield log
    except KeyboardInterrupt:
        _finish_anyway(log, "interrupted", None)
        raise
    except BaseException as error:
        _finish_anyway(log, "failed", str(error))
        raise
    log.finish("finished")


def _finish_anyway(log: JobLog, state: State, error: str | None) -> None:
    # A full disk that ended the job also ends its log; the job's own error is the one to be seen.
    with contextlib.suppress(OSError):
        log.finish(state, error)


def read_jobs(root: Path) -> list[JobRecord]:
    """The records of a folder's jobs, oldest first.

    Raises:
        DatastoreError: for a record that cannot be read.
    """
    records = []
    for path in sorted((root / JOBS).glob("*.json")):
        try:
            with path.open("rb") as stream:
                data = stream.read(_MAX_RECORD_BYTES)
            records.append(TypeAdapter(JobRecord).validate_json(data))
        except (OSError, ValidationError) as error:
            raise DatastoreError(
                f"{path} is no record of a job ({type(error).__name__}). Remove it; nothing "
                "depends on it."
            ) from error
    return records


def seconds_unseen(record: JobRecord) -> float | None:
    """How long ago a running job last said so; None for one that has ended, or said so lately."""
    now = datetime.datetime.now(datetime.UTC)
    seconds = (now - datetime.datetime.fromisoformat(record.updated)).total_seconds()
    return seconds if record.state == "running" and seconds > UNSEEN_SECONDS else None


def _iso(moment: datetime.datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
