"""What mine and embed share: look at the shards first, then turn each into a part."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
from apache_beam.metrics import Metrics
from rich.console import Console

from pipelines.options import InputOptions, RunnerOptions
from pipelines.progress import Heartbeat, record_failure, show_progress
from pipelines.runner import is_local
from tagmine.errors import TagmineError
from tagmine.layout import output_folder, remove_leftovers
from tagmine.preview import preview_shards
from tagmine.sources import (
    Source,
    expand_shards,
    number_sources,
    read_sources,
    write_sources,
)
from tagmine.stage import PartResult, ReportProgress


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """A job before it starts: where it writes, and the shards it reads."""

    root: Path
    sources: tuple[Source, ...]


def plan_inputs(out: str, inputs: InputOptions, console: Console) -> Plan:
    """Find the shards, look into the first, and number them; nothing is written yet.

    Raises:
        ConfigurationError: for shards that are not there or lack the members asked for.
    """
    root = output_folder(out)
    urls = expand_shards(inputs.shards)
    sources = number_sources(urls, inputs.dataset, read_sources(root))
    found = preview_shards(sources, inputs.fields)
    noun = "shard" if len(sources) == 1 else "shards"
    console.print(f"{len(sources):,} {noun}; {found}", highlight=False)
    return Plan(root, tuple(sources))


def open_output(plan: Plan) -> list[Source]:
    """Record the shards in the output folder and clear what killed jobs left; returns all."""
    remove_leftovers(plan.root)
    return write_sources(plan.root, plan.sources)


@contextlib.contextmanager
def progress_for(
    runner: RunnerOptions, console: Console, title: str, sources: tuple[Source, ...]
) -> Iterator[str | None]:
    """A progress line for a local run; nothing for one whose workers are elsewhere."""
    if not is_local(runner):
        yield None
        return
    with show_progress(console, title, len(sources), _total_bytes(sources)) as folder:
        yield folder


def _total_bytes(sources: tuple[Source, ...]) -> int:
    def size(source: Source) -> int:
        filesystem, path = fsspec.core.url_to_fs(source.url)
        return filesystem.size(path) or 0

    with ThreadPoolExecutor() as pool:
        return sum(pool.map(size, sources))


def process_part(
    stage: str,
    source: Source,
    progress: str | None,
    make: Callable[[ReportProgress], PartResult],
) -> PartResult:
    """Run a plain function over one shard inside a worker: heartbeat, counters, failure."""
    heartbeat = Heartbeat(progress, source.part)
    try:
        result = make(heartbeat)
    except TagmineError as error:
        record_failure(progress, str(error))
        raise
    heartbeat.finish(kept=not result.made)
    footer = result.footer
    Metrics.counter(stage, "read").inc(footer.read)
    Metrics.counter(stage, "written").inc(footer.written)
    Metrics.counter(stage, "parts_made" if result.made else "parts_kept").inc()
    for reason, count in footer.rejected.items():
        Metrics.counter(stage, f"rejected_{reason}").inc(count)
    return result
