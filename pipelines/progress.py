"""A live progress line for a local run, fed by small files that the workers keep up to date."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from tagmine.errors import TagmineError

_BEAT_SECONDS = 0.25
_FAILURE = "failure.json"
_LAUNCHER = "launcher"
INTERRUPTED = "interrupted"


class Heartbeat:
    """Tells the launcher how far a part is; a `tagmine.stage.ReportProgress`.

    Worker processes share nothing with the launcher but the file system, and Beam's counters
    arrive when the job is over.
    """

    def __init__(self, folder: str | None, part: int) -> None:
        self._path = Path(folder) / f"{part}.json" if folder else None
        self._launcher = int((Path(folder) / _LAUNCHER).read_text()) if folder else None
        self._last = 0.0
        self._latest = (0, 0)

    def __call__(self, bytes_read: int, samples: int) -> None:
        self._latest = (bytes_read, samples)
        self._check_launcher()
        now = time.monotonic()
        if now - self._last >= _BEAT_SECONDS:
            self._last = now
            self._write(done=False, kept=False)

    def _check_launcher(self) -> None:
        if self._launcher is None:
            return
        try:
            os.kill(self._launcher, 0)
        except ProcessLookupError:
            # Killed; and another may be at work by now, with other options.
            raise TagmineError("the launcher of this job is gone; its worker stops") from None

    def finish(self, kept: bool) -> None:
        """The part is there; `kept` if a finished one was found."""
        self._write(done=True, kept=kept)

    def _write(self, done: bool, kept: bool) -> None:
        if self._path is None:
            return
        temporary = self._path.with_suffix(".new")
        temporary.write_text(json.dumps([*self._latest, done, kept]))
        os.replace(temporary, self._path)


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


@dataclasses.dataclass(frozen=True, slots=True)
class _State:
    bytes_read: int
    samples: int
    parts: int
    kept: int


def _read_state(folder: Path) -> _State:
    beats = []
    for path in folder.glob("[0-9]*.json"):
        with contextlib.suppress(FileNotFoundError):
            beats.append(json.loads(path.read_text()))
    return _State(*(sum(beat[place] for beat in beats) for place in range(4)))


def count_kept(folder: str | None) -> int:
    """How many parts were found finished; 0 where workers are elsewhere."""
    return _read_state(Path(folder)).kept if folder else 0


@contextlib.contextmanager
def show_progress(console: Console, title: str, shards: int, total_bytes: int) -> Iterator[str]:
    """Show a bar, the finished shards, and samples a second, while the block runs.

    Yields:
        The folder that workers write their heartbeats to.
    """
    columns = (
        TextColumn("{task.description:<6}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TextColumn("shards  {task.fields[samples]:,} samples  {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
    )
    stop = threading.Event()
    with (
        tempfile.TemporaryDirectory(prefix="tagmine-progress-") as folder,
        Progress(*columns, console=console, transient=False) as progress,
    ):
        (Path(folder) / _LAUNCHER).write_text(str(os.getpid()))
        task = progress.add_task(title, total=shards, samples=0, rate=0.0)
        watcher = threading.Thread(
            target=_watch, args=(Path(folder), progress, task, stop, shards, total_bytes)
        )
        watcher.start()
        try:
            yield folder
        finally:
            stop.set()
            watcher.join()


def _watch(
    folder: Path, progress: Progress, task, stop: threading.Event, shards: int, total_bytes: int
) -> None:
    start = time.monotonic()
    while True:
        last = stop.wait(_BEAT_SECONDS)
        state = _read_state(folder)
        rate = state.samples / max(time.monotonic() - start, 1e-9)
        by_bytes = min(state.bytes_read / total_bytes, 1.0) * shards if total_bytes else 0.0
        finished = state.parts if last else max(by_bytes, state.parts)
        progress.update(task, completed=finished, samples=state.samples, rate=rate)
        if last:
            return
