"""What mine and embed share: look at the shards first, then turn each into a part."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import fsspec
from apache_beam.metrics import Metrics
from rich.console import Console

from pipelines.failures import explained
from pipelines.job_log import log_job
from pipelines.options import InputOptions, RunnerOptions
from pipelines.progress import (
    INTERRUPTED,
    Heartbeat,
    Watch,
    record_failure,
    show_progress,
    show_seen,
)
from pipelines.runner import is_local
from pipelines.seen_parts import PartFiles, SeenParts
from tagmine.errors import ConfigurationError, TagmineError
from tagmine.layout import locked, output_folder, remove_leftovers
from tagmine.manifest import EncoderPin, TaggerPin, read_pin
from tagmine.mirror import working_folder
from tagmine.preview import preview_shards
from tagmine.removed import NOTHING, Identities, read_removed
from tagmine.sources import (
    Source,
    expand_shards,
    number_sources,
    read_sources,
    recorded,
    write_sources,
)
from tagmine.stage import PartResult, ReportProgress
from tagmine.staging import finish_if_staged


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """A job before it starts: where it writes, the shards it reads, and those known before."""

    root: Path
    sources: tuple[Source, ...]
    known: tuple[Source, ...]


def plan_inputs(out: str, inputs: InputOptions) -> Plan:
    """Find and number the shards; none is opened and nothing is written yet.

    Raises:
        ConfigurationError: for shards that are not there, or an output folder that cannot be.
    """
    root = output_folder(out)
    if root.is_dir():
        # Said before models are loaded; the lock that counts is taken when writing begins.
        with locked(root):
            pass
    urls = expand_shards(inputs.shards)
    known = read_sources(root)
    sources = number_sources(urls, inputs.dataset, known, inputs.license)
    return Plan(root, tuple(sources), tuple(known))


def look_inside(plan: Plan, inputs: InputOptions, console: Console) -> None:
    """Open the first shard, and print what was found.

    Raises:
        ConfigurationError: when it lacks the members asked for.
    """
    found = preview_shards(plan.sources, inputs.fields)
    noun = "shard" if len(plan.sources) == 1 else "shards"
    console.print(f"{len(plan.sources):,} {noun}; {found}")
    places = {source.part: source.url for source in plan.known}
    for source in plan.sources:
        now = recorded(source).url
        before = places.get(source.part, now)
        if before != now:
            console.print(f"{source.name} now comes from {now}, before from {before}")


def open_output(plan: Plan) -> list[Source]:
    """Record the shards in the locked output folder and clear what killed jobs left.

    Returns:
        Every shard of the datastore, by part.

    Raises:
        ConfigurationError: when another job has added shards since the plan was made.
    """
    if tuple(read_sources(plan.root)) != plan.known:
        raise ConfigurationError(
            f"{plan.root}: another tagmine job has added shards in the meantime. Run the same "
            "command again."
        )
    finish_if_staged(plan.root)
    remove_leftovers(plan.root)
    return write_sources(plan.root, plan.sources)


def refuse_mixing(plan: Plan, path: str, pin: TaggerPin | EncoderPin, stage: str) -> None:
    """Stop before a datastore gets parts that were made in two ways.

    Raises:
        ConfigurationError: naming the options that differ, unless every shard is made anew.
    """
    others = {source.part for source in plan.known} - {source.part for source in plan.sources}
    if not others or not (plan.root / path).is_file():
        return
    before = read_pin(plan.root / path, type(pin), stage)
    if before.maker == pin.maker:
        return
    pairs = [(f.name, getattr(before, f.name), getattr(pin, f.name)) for f in fields(pin)]
    differ = [
        f"{name} was {str(old):.40}, now {str(new):.40}"
        for name, old, new in pairs
        if old != new and name not in ("maker", "fingerprint")
    ]
    raise ConfigurationError(
        f"{plan.root} holds {len(others):,} shards more than were given, and they were made "
        f"otherwise: {'; '.join(differ) or 'by another version of tagmine'}. Give the same "
        "options, or every shard of the datastore, or another --out."
    )


@contextlib.contextmanager
def watch_job(
    root: Path,
    runner: RunnerOptions,
    console: Console,
    title: str,
    sources: tuple[Source, ...],
    sized: bool = True,
    files: PartFiles | None = None,
) -> Iterator[Watch]:
    """The record of a job, and a progress line.

    Without `sized`, for sources whose bytes are not known, the line moves from part to part. Where
    workers are elsewhere, there is none without `files`, which are those that they make.
    """
    with log_job(root, title, runner.runner, len(sources)) as log:
        if not is_local(runner):
            if files is None:
                yield Watch(log, None)
                return
            seen = SeenParts(root, files, sources)
            with show_seen(console, title, len(sources), seen, log):
                yield Watch(log, None, seen)
            return
        total = _total_bytes(sources) if sized else 0
        with show_progress(console, title, len(sources), total, log) as folder:
            yield Watch(log, folder)


def _total_bytes(sources: tuple[Source, ...]) -> int:
    def size(source: Source) -> int:
        filesystem, path = fsspec.core.url_to_fs(source.url)
        # Only the bar depends on it; who reads the shard will say what is wrong with it.
        with contextlib.suppress(OSError):
            return filesystem.size(path) or 0
        return 0

    with ThreadPoolExecutor() as pool:
        return sum(pool.map(size, sources))


def worker_folder(
    address: str, files: Sequence[str], removed: str | None
) -> tuple[Path, Identities]:
    """Where a worker reads and writes, and what it must leave out.

    Args:
        address: of the output folder, as `tagmine.mirror.address_of` gave it.
        files: what the worker looks at there; those that do not exist yet are left out.
        removed: the record of what was taken out, None where nothing ever was.
    """
    root = working_folder(address, (*files, *((removed,) if removed else ())))
    return root, read_removed(root / removed).identities if removed else NOTHING


def check_pin(
    root: Path, path: str, kind: type[TaggerPin] | type[EncoderPin], stage: str, maker: str
) -> None:
    """Stop a worker that does not see the launcher's folder, or that the launcher has left.

    A cluster goes on with a job whose launcher was killed, beside the next one that is started.

    Raises:
        TagmineError: for a folder without the pin, or with that of a job with other options.
    """
    if not (root / path).is_file():
        raise TagmineError(
            f"a worker does not see {root / path}, which the launcher has written. Give --out a "
            "folder that every worker has at the same path, such as a network file system."
        )
    if read_pin(root / path, kind, stage).maker != maker:
        raise TagmineError(
            f"another job with other options has been started on {root} meanwhile; this one stops."
        )


def process_part(
    stage: str,
    source: Source,
    progress: str | None,
    make: Callable[[ReportProgress], PartResult],
) -> PartResult:
    """Run a plain function over one shard inside a worker: heartbeat, counters, failure."""
    heartbeat = Heartbeat(progress, source.part)
    try:
        with explained():
            result = make(heartbeat)
    except TagmineError as error:
        heartbeat.fail()
        record_failure(progress, str(error))
        raise
    except KeyboardInterrupt:
        record_failure(progress, INTERRUPTED)
        raise
    footer = result.footer
    heartbeat.finish(footer, kept=not result.made)
    Metrics.counter(stage, "read").inc(footer.read)
    Metrics.counter(stage, "written").inc(footer.written)
    Metrics.counter(stage, "parts_done").inc()
    Metrics.counter(stage, "parts_kept").inc(0 if result.made else 1)
    for reason, count in footer.rejected.items():
        Metrics.counter(stage, f"rejected_{reason}").inc(count)
    for reason, count in footer.captions_dropped.items():
        Metrics.counter(stage, f"dropped_{reason}").inc(count)
    return result
