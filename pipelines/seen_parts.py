"""What a job has finished, told by the parts that appear, where its workers tell nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path

from pipelines.job_log import JobCounts
from tagmine.errors import TagmineError
from tagmine.mirror import files_below, is_mirror
from tagmine.parts import PartFooter
from tagmine.sources import Source

_LOOK_SECONDS = 2.0
# Of the time between two looks, what one may take: listing a bucket of many parts takes seconds.
_LOOK_SHARE = 0.05


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

    A file that was there before and stays is in no count but the counters': it may be the finished
    part of an earlier job, or one that is yet to be made anew. In an object store files are
    counted, and not their samples.
    """

    def __init__(self, root: Path, files: PartFiles, sources: Sequence[Source]) -> None:
        """Before the job is started.

        Raises:
            StoreError: when an object store does not answer.
        """
        self._root = root
        self._files = files
        self._names = {files.path(source.part) for source in sources}
        self._folder = str(Path(files.path(0)).parent)
        self._before = self._look()
        self._next_look = 0.0
        self._new: set[str] = set()
        self._seen = JobCounts()
        self._told = JobCounts()

    def tell(self, counts: JobCounts) -> None:
        """Take over Beam's counters, of which an engine may have none yet."""
        self._told = counts

    def counts(self) -> JobCounts:
        """What is known to be done; looks again only now and then."""
        began = time.monotonic()
        if began >= self._next_look:
            # The job itself says it when its folder, or the store, is away.
            with contextlib.suppress(OSError, TagmineError):
                self._count_new(self._look())
            now = time.monotonic()
            self._next_look = now + max(_LOOK_SECONDS, (now - began) / _LOOK_SHARE)
        return max(self._told, self._seen, key=lambda counts: (counts.parts_done, counts.read))

    def _look(self) -> Mapping[str, Hashable]:
        found = files_below(self._root, self._folder)
        return {name: state for name, state in found.items() if name in self._names}

    def _count_new(self, found: Mapping[str, Hashable]) -> None:
        for name, state in found.items():
            if name not in self._new and state != self._before.get(name):
                self._seen += self._count(name)
                self._new.add(name)

    def _count(self, name: str) -> JobCounts:
        if is_mirror(self._root):
            return JobCounts(1)
        footer = self._files.footer(self._root / name)
        return JobCounts(1, 0, footer.read, footer.written, footer.rejected)
