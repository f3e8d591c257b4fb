"""What a job has finished, told by the parts that appear, where its workers tell nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path

from pipelines.job_log import JobCounts
from tagmine.errors import TagmineError
from tagmine.mirror import files_below, is_mirror
from tagmine.parts import PartFooter
from tagmine.sources import Source

_LOOK_SECONDS = 2.0
# A folder or bucket of many parts takes seconds to list: so often its time between two looks.
_LOOK_RESTS = 3.0
# Of a look; footers that are not reached are read in the next one.
_READ_SECONDS = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class PartFiles:
    """The files that a stage makes, one for each part.

    Attributes:
        path: of a part, relative to the root; all are in one folder.
        footer: what such a file says of its samples.
    """

    path: Callable[[int], str]
    footer: Callable[[Path], PartFooter]


class SeenParts:
    """Counts what a job does on an engine that tells Beam's counters only when it is over.

    A file that was there before and stays may be the finished part of an earlier job, or one that
    is yet to be made anew: until the counters say it, it is not counted. In an object store files
    are counted, and not their samples.
    """

    def __init__(self, root: Path, files: PartFiles, sources: Sequence[Source]) -> None:
        """Looks at what is there before the job is started."""
        self._root = root
        self._files = files
        self._names = {files.path(source.part) for source in sources}
        self._folder = str(Path(files.path(0)).parent)
        self._before: dict[str, Hashable] | None = None
        self._stay = 0
        self._new: set[str] = set()
        self._seen = JobCounts()
        self._told = JobCounts()
        self._known = JobCounts()
        self._next_look = 0.0
        self.look()

    def tell(self, counts: JobCounts) -> None:
        """Take over Beam's counters, of which an engine may have none yet."""
        self._told = counts

    def look(self) -> None:
        """Look again if that is due, and not all is known."""
        began = time.monotonic()
        if began < self._next_look or self._told.parts_done >= len(self._names):
            return
        # Where its folder or store is away, the job itself says so.
        with contextlib.suppress(OSError, TagmineError):
            self._look()
        now = time.monotonic()
        self._next_look = now + max(_LOOK_SECONDS, _LOOK_RESTS * (now - began))

    def look_soon(self) -> None:
        """Make the next look due, as at the end of a job."""
        self._next_look = 0.0

    def counts(self) -> JobCounts:
        """What is known to be done, by the counters and by what was seen; it only grows."""
        told, seen = self._told, self._seen
        stay = self._stay
        # A restarted engine also finds parts that it made itself in this job.
        found = told.parts_kept if self._before is None else min(told.parts_kept, stay)
        kept = max(found, self._known.parts_kept)
        known = [self._known, told, seen, JobCounts(seen.parts_done + found)]
        done = min(max(counts.parts_done for counts in known), len(self._names))
        self._known = JobCounts(
            done,
            kept,
            max(counts.read for counts in known),
            max(counts.written for counts in known),
            max(known, key=lambda counts: counts.read).rejected,
            unsure=0 if done == len(self._names) else max(0, stay - kept),
        )
        return self._known

    def _look(self) -> None:
        found = [(name, see) for name, see in self._list() if name not in self._new]
        if self._before is None:
            self._before = {name: _see(see) for name, see in found}
            self._stay = len(self._before)
            return
        began = time.monotonic()
        for name, see in found:
            if name in self._before and _see(see) == self._before[name]:
                continue
            # One that cannot be read is looked at again, and hides none of the others.
            with contextlib.suppress(OSError, TagmineError):
                self._seen += self._count(name)
                self._new.add(name)
                self._stay -= name in self._before
            if time.monotonic() - began > _READ_SECONDS:
                return

    def _list(self) -> Iterator[tuple[str, Callable[[], Hashable]]]:
        for name, see in files_below(self._root, self._folder):
            if name in self._names:
                yield name, see

    def _count(self, name: str) -> JobCounts:
        if is_mirror(self._root):
            return JobCounts(1)
        footer = self._files.footer(self._root / name)
        return JobCounts(1, 0, footer.read, footer.written, footer.rejected)


def _see(see: Callable[[], Hashable]) -> Hashable:
    with contextlib.suppress(OSError):
        return see()
    return None
