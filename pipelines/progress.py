"""A live progress line, fed by small files that local workers keep up to date, or by parts."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
)
from rich.table import Column

from pipelines.job_log import JobCounts, JobLog
from pipelines.seen_parts import SeenParts
from tagmine.errors import TagmineError
from tagmine.parts import PartFooter

_BEAT_SECONDS = 0.25
# Where nobody sees a bar move, such as in the log of a batch job.
_LINE_SECONDS = 30.0
_FAILURE = "failure.json"
_LAUNCHER = "launcher"
INTERRUPTED = "interrupted"


class _Tally:
    """What one worker process has done; a file a part would be 100,000 files to read again."""

    def __init__(self, folder: str) -> None:
        self._path = Path(folder) / f"tally-{os.getpid()}.json"
        self._lock = threading.Lock()
        self._finished = JobCounts()
        self._running: dict[int, tuple[int, int]] = {}
        self._last = 0.0

    def beat(self, part: int, bytes_read: int, samples: int) -> None:
        with self._lock:
            self._running[part] = (bytes_read, samples)
            if time.monotonic() - self._last >= _BEAT_SECONDS:
                self._write()

    def finish(self, part: int, counts: JobCounts) -> None:
        with self._lock:
            self._running.pop(part, None)
            self._finished += counts
            self._write()

    def drop(self, part: int) -> None:
        with self._lock:
            self._running.pop(part, None)

    def _write(self) -> None:
        self._last = time.monotonic()
        running = self._running.values()
        unfinished = [JobCounts(read=samples, bytes_read=size) for size, samples in running]
        counts = sum(unfinished, start=self._finished)
        temporary = self._path.with_suffix(".new")
        temporary.write_text(json.dumps(dataclasses.asdict(counts)))
        os.replace(temporary, self._path)


_tallies: dict[str, _Tally] = {}
_tallies_lock = threading.Lock()


def _tally(folder: str) -> _Tally:
    with _tallies_lock:
        if folder not in _tallies:
            _tallies.clear()
            _tallies[folder] = _Tally(folder)
        return _tallies[folder]


class Heartbeat:
    """Tells the launcher how far a part is; a `tagmine.stage.ReportProgress`.

    Worker processes share nothing with the launcher but the file system, and Beam's counters
    arrive when the job is over.
    """

    def __init__(self, folder: str | None, part: int) -> None:
        self._part = part
        self._tally = _tally(folder) if folder else None
        self._launcher = int((Path(folder) / _LAUNCHER).read_text()) if folder else None

    def __call__(self, bytes_read: int, samples: int) -> None:
        self._check_launcher()
        if self._tally:
            self._tally.beat(self._part, bytes_read, samples)

    def _check_launcher(self) -> None:
        if self._launcher is None:
            return
        try:
            os.kill(self._launcher, 0)
        except ProcessLookupError:
            # Killed; and another may be at work by now, with other options.
            raise TagmineError("the launcher of this job is gone; its worker stops") from None

    def finish(self, footer: PartFooter, kept: bool) -> None:
        """The part is there; `kept` if a finished one was found."""
        if self._tally:
            counts = JobCounts(
                1, int(kept), footer.read, footer.written, footer.rejected, footer.source_bytes
            )
            self._tally.finish(self._part, counts)

    def fail(self) -> None:
        """The part could not be made; a runner may try it again."""
        if self._tally:
            self._tally.drop(self._part)


def record_failure(folder: str | None, message: str) -> None:
    """Leave the sentence that explains a failure where the launcher finds it."""
    if folder:
        (Path(folder) / _FAILURE).write_text(json.dumps(message))


@contextlib.contextmanager
def recorded(folder: str | None) -> Iterator[None]:
    """Leave the sentence of a `TagmineError` where the launcher finds it."""
    try:
        yield
    except TagmineError as error:
        record_failure(folder, str(error))
        raise


@contextlib.contextmanager
def failure_folder(shared: bool) -> Iterator[str | None]:
    """A folder for `recorded`; None where workers do not share it with the launcher."""
    if not shared:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="tagmine-progress-") as folder:
        yield folder


def read_failure(folder: str) -> str | None:
    """The sentence that a worker left, if one did."""
    path = Path(folder) / _FAILURE
    return json.loads(path.read_text()) if path.exists() else None


def record_cut(folder: str | None, cut: int) -> None:
    """Leave the number of captions that this process has cut so far, if it has cut any."""
    if folder and cut:
        (Path(folder) / f"cut-{os.getpid()}.json").write_text(json.dumps(cut))


def count_cut(folder: str | None) -> int:
    """How many captions all processes have cut; 0 where workers are elsewhere."""
    found = Path(folder).glob("cut-*.json") if folder else ()
    return sum(json.loads(path.read_text()) for path in found)


def read_counts(folder: str) -> JobCounts:
    """What all worker processes have done so far."""
    counts = JobCounts()
    for path in Path(folder).glob("tally-*.json"):
        with contextlib.suppress(FileNotFoundError):
            counts += JobCounts(**json.loads(path.read_text()))
    return counts


def forget_counts(folder: str) -> None:
    """Before a job is started again, whose finished parts will be found and counted anew."""
    for path in Path(folder).glob("tally-*.json"):
        path.unlink()


@dataclasses.dataclass(frozen=True, slots=True)
class Watch:
    """How a running job is followed.

    Attributes:
        log: its record beside the datastore.
        folder: where workers leave what they have done, None where they are elsewhere and Beam's
            counters say it.
        seen: sees what workers elsewhere have finished before those say it.
    """

    log: JobLog
    folder: str | None
    seen: SeenParts | None = None

    @property
    def kept(self) -> int:
        """How many parts were found finished; 0 where nothing but the log knows it."""
        if self.seen is not None:
            return self.seen.counts().parts_kept
        return read_counts(self.folder).parts_kept if self.folder else 0

    def tell(self, counts: JobCounts) -> None:
        """Take over what Beam's counters say."""
        if self.seen is not None:
            self.seen.tell(counts)
            counts = self.seen.counts()
        self.log.update(counts)


@contextlib.contextmanager
def show_progress(
    console: Console, title: str, shards: int, total_bytes: int, log: JobLog
) -> Iterator[str]:
    """Show a bar, the finished shards, and samples a second, while the block runs.

    Where the console is no terminal, a line says the same now and then, and the bar stands at the
    end.

    Args:
        console: where to.
        title: the stage.
        shards: how many there are.
        total_bytes: of all of them, 0 where that is not known.
        log: takes over what is counted.

    Yields:
        The folder that workers write their heartbeats to.
    """
    with tempfile.TemporaryDirectory(prefix="tagmine-progress-") as folder:
        (Path(folder) / _LAUNCHER).write_text(str(os.getpid()))
        bar = _Bar(console, title, shards, total_bytes)
        with bar.following(lambda: read_counts(folder), log):
            yield folder


@contextlib.contextmanager
def show_seen(
    console: Console, title: str, shards: int, seen: SeenParts, log: JobLog
) -> Iterator[None]:
    """As `show_progress`, for workers that are elsewhere; how long ago the last shard came, too."""

    def read() -> JobCounts:
        seen.look()
        return seen.counts()

    with _Bar(console, title, shards, 0, elsewhere=True).following(read, log):
        try:
            yield
        finally:
            seen.look_soon()


class _Bar:
    def __init__(
        self, console: Console, title: str, shards: int, total_bytes: int, elsewhere: bool = False
    ) -> None:
        # A terminal of 80 columns has no room for both.
        bar = (BarColumn(10),) if elsewhere else (BarColumn(), TaskProgressColumn())
        whole = Column(no_wrap=True, min_width=len(f"{shards}/{shards}"))
        columns = (
            TextColumn("{task.description:<6}"),
            *bar,
            MofNCompleteColumn(table_column=whole),
            TextColumn("shards  {task.fields[samples]:,} samples  {task.fields[rate]:,.0f}/s"),
            # By its own memory, Rich would take parts that were found for ones that were made.
            TextColumn("{task.fields[pace]}"),
        )
        self._title, self._shards, self._total_bytes = title, shards, total_bytes
        self._elsewhere = elsewhere
        self._progress = Progress(*columns, console=console, transient=False)
        self._task = self._progress.add_task(title, total=shards, samples=0, rate=0.0, pace="")

    @contextlib.contextmanager
    def following(self, read: Callable[[], JobCounts], log: JobLog) -> Iterator[None]:
        stop = threading.Event()
        # A second Ctrl-C does not wait for a store that does not answer.
        watcher = threading.Thread(target=self._watch, args=(read, stop, log), daemon=True)
        with self._progress:
            watcher.start()
            try:
                yield
            finally:
                stop.set()
                watcher.join()

    def _watch(self, read: Callable[[], JobCounts], stop: threading.Event, log: JobLog) -> None:
        start = said = time.monotonic()
        pace = _Pace(self._shards, start)
        while True:
            last = stop.wait(_BEAT_SECONDS)
            counts = read()
            now = time.monotonic()
            finished = counts.parts_done if last else self._finished(counts)
            rate = counts.read / max(now - start, 1e-9)
            pace.update(counts, finished, now)
            left, ago = pace.left(), f", {pace.ago(now)}" if self._elsewhere else ""
            self._progress.update(
                self._task,
                completed=finished,
                samples=counts.read,
                rate=rate,
                pace="" if last else f"{left or '-:--:--'}{ago}",
            )
            log.update(counts)
            if last:
                return
            if not self._progress.console.is_terminal and now - said >= _LINE_SECONDS:
                said = now
                so_far = f"{self._title} {counts.parts_done:,}/{self._shards:,} shards"
                line = f"{so_far}, {counts.read:,} samples, {rate:,.0f}/s, {left or '?'} left{ago}"
                self._progress.console.print(line, soft_wrap=True)

    def _finished(self, counts: JobCounts) -> float:
        if not self._total_bytes:
            return counts.parts_done
        by_bytes = min(counts.bytes_read / self._total_bytes, 1.0) * self._shards
        return max(by_bytes, counts.parts_done)


class _Pace:
    """How fast parts are made, from when the first was under way: workers take long to start."""

    def __init__(self, shards: int, now: float) -> None:
        self._shards = shards
        self._start = now
        self._done, self._moved = 0, now
        self._first: tuple[float, float] | None = None
        self._left: float | None = None

    def update(self, counts: JobCounts, finished: float, now: float) -> None:
        if counts.parts_done != self._done:
            self._done, self._moved = counts.parts_done, now
        made = finished - counts.parts_kept
        if made > 0 and self._first is None:
            self._first = now, made
        began, before = self._first or (now, made)
        if made <= before:
            began, before = self._start, 0.0
        known = made > before and not counts.unsure
        self._left = (now - began) * (self._shards - finished) / (made - before) if known else None

    def left(self) -> str:
        """Time that the parts left will take, "" where that is not known."""
        return "" if self._left is None else _clock(max(0.0, self._left))

    def ago(self, now: float) -> str:
        """How long nothing came: an engine that lost its workers does not say so here."""
        still = _clock(now - self._moved)
        return f"last {still} ago" if self._done else f"none new for {still}"


def _clock(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))
