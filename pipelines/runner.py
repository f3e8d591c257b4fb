"""Run a pipeline on the runner that was asked for, and turn its failures into sentences."""

from __future__ import annotations

import contextlib
import difflib
import functools
import logging
import os
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import (
    PipelineOptions,
    PortableOptions,
    _BeamArgumentParser,
)
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.portability.job_server import ExternalJobServer
from apache_beam.runners.portability.portable_runner import PipelineResult as PortableResult
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.portability.prism_runner import PrismRunner
from apache_beam.runners.runner import PipelineResult, PipelineRunner, create_runner

from pipelines.job_log import JobCounts
from pipelines.local_workers import WorkerDiedError
from pipelines.meanwhile import meanwhile
from pipelines.options import DATAFLOW, LOCAL_RUNNERS, RunnerOptions
from pipelines.progress import INTERRUPTED, Watch, forget_counts, read_failure
from tagmine.errors import ConfigurationError, TagmineError

_LOG_SHOWN = 4000
# Each may be of a picture that ends its process, of which a shard costs one death at most.
_MAX_DEATHS = 16
_POLL_SECONDS = 2.0
# How alike two names of options are, of 1: with a slip of the hand, or just alike.
_SLIP = 0.9
_LIKE = 0.6
# Beam's name for a job server inside the launcher.
_EMBEDDED = "embed"
_JAR_FLAGS = {"FlinkRunner": "--flink_job_server_jar", "SparkRunner": "--spark_job_server_jar"}
# The line of a worker's stack, somewhere in what an engine says of a failure, that is ours.
_SENTENCE = re.compile(
    r"^\W*(?:(?:RuntimeError|[\w.]*Exception)[:\W]+)*(?:tagmine|index|pipelines)(?:\.\w+)+: (.+?)"
    r"(?: \[while running .*)?$",
    re.MULTILINE,
)


class JobError(TagmineError):
    """A Beam job failed; its text names the cause and what to do."""


def check_runner(options: RunnerOptions) -> None:
    """Stop before any work when Beam would not know a flag, which it ignores, or the runner.

    Raises:
        ConfigurationError: naming the flag, and the nearest one that Beam has; the runner; or what
            the runner lacks.
    """
    runner = None if is_local(options) else _create(options)
    parser = _BeamArgumentParser(allow_abbrev=False)
    for kind in PipelineOptions.__subclasses__():
        kind._add_argparse_args(parser)
    names = list(parser._option_string_actions)
    _, unknown = parser.parse_known_args(list(options.beam_args))
    # A slip is named at once; a job server takes seconds to start, and may not be there.
    slips = [flag for flag in unknown if _nearest(flag, names, _SLIP)]
    if not slips and _has_job_server(options, runner):
        known = _job_server_flags(options)
        unknown = [flag for flag in unknown if flag.split("=")[0] not in known]
    if unknown:
        flag = (slips or unknown)[0]
        near = _nearest(flag, names, _LIKE)
        hint = f" Did you mean {near}?" if near else ""
        raise ConfigurationError(
            f"{flag}: neither tagmine nor Beam has this option.{hint} Write Beam's options "
            "as --name=value; tagmine COMMAND --help lists ours."
        )
    if runner is not None:
        _check_options(options, runner)


def _nearest(flag: str, names: Sequence[str], cutoff: float) -> str | None:
    near = difflib.get_close_matches(flag.split("=")[0], names, n=1, cutoff=cutoff)
    return near[0] if near else None


def is_local(options: RunnerOptions) -> bool:
    """Whether workers are processes of this machine that see our temporary files."""
    return options.runner in LOCAL_RUNNERS


def run_job(options: RunnerOptions, build: Callable[[beam.Pipeline], object], watch: Watch) -> None:
    """Build a pipeline, run it, and wait for its end.

    When a local worker process dies, the job is started again, as clusters do: what it finished
    is kept.

    Args:
        options: which runner.
        build: adds the transforms to the pipeline.
        watch: where what is done, and a failure's cause, are found and kept.

    Raises:
        TagmineError: when the job fails.
    """
    deaths = 0
    while True:
        pipeline = _make_pipeline(options)
        build(pipeline)
        try:
            with _worker_log(options) as log:
                _run(options, pipeline, watch, log)
            return
        except WorkerDiedError as error:
            deaths += 1
            if deaths == _MAX_DEATHS:
                raise JobError(
                    f"worker processes died {deaths} times, the last time so: {error}. Nothing "
                    "finished is lost. If memory is short, run the same command with a smaller "
                    "--num-workers."
                ) from error
            if watch.folder:
                forget_counts(watch.folder)


def _run(options: RunnerOptions, pipeline: beam.Pipeline, watch: Watch, log: IO) -> None:
    # Beam logs each failure of a worker with its whole stack; the sentence comes from us.
    quiet = logging.getLogger("apache_beam")
    level = quiet.level
    quiet.setLevel(logging.CRITICAL if is_local(options) else level)
    try:
        if is_local(options):
            pipeline.run().wait_until_finish()
        else:
            _run_elsewhere(options, pipeline, watch)
    except WorkerDiedError:
        raise
    except (TagmineError, RuntimeError) as error:
        # Beam appends the step to the text of an exception; the sentence itself was recorded.
        message = read_failure(watch.folder) if watch.folder else None
        if message == INTERRUPTED or str(error).startswith("KeyboardInterrupt"):
            raise KeyboardInterrupt from error
        if message is None and isinstance(error, TagmineError):
            raise
        if message is None:
            log.seek(0)
            message = f"the {options.runner} job failed: {error}\n{log.read()[-_LOG_SHOWN:]}"
        raise JobError(message) from error
    finally:
        quiet.setLevel(level)


def _run_elsewhere(options: RunnerOptions, pipeline: beam.Pipeline, watch: Watch) -> None:
    try:
        with _own_interrupt():
            result = pipeline.run()
        with _quiet_streams(), _counting(result, watch):
            _wait(result)
    # Whatever a runner or its client library raises, and they raise all sorts, the job failed.
    except Exception as error:
        found = _SENTENCE.search(str(error))
        said = found[1] if found else f"{type(error).__name__} {error}"
        raise JobError(f"the {options.runner} job failed: {said}") from error


def _wait(result: PipelineResult) -> None:
    try:
        result.wait_until_finish()
    except KeyboardInterrupt:
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
        # An engine goes on with a job whose launcher has left; not all of them hear this.
        with contextlib.suppress(Exception):
            result.cancel()
        raise


@contextlib.contextmanager
def _quiet_streams() -> Iterator[None]:
    """Keep threads that wait for messages of a job from telling at length that it is gone."""
    before = threading.excepthook

    def tell(failure: threading.ExceptHookArgs) -> None:
        if isinstance(failure.exc_value, grpc.RpcError):
            logging.getLogger(__name__).debug("%s: %s", failure.thread, failure.exc_value)
        else:
            before(failure)

    threading.excepthook = tell
    try:
        yield
    except KeyboardInterrupt:
        # Those threads end later; the process, which ends too, keeps the hook.
        raise
    except BaseException:
        threading.excepthook = before
        raise
    threading.excepthook = before


@contextlib.contextmanager
def _own_interrupt() -> Iterator[None]:
    """Keep Beam from stopping its job server at Ctrl-C, before the job could be cancelled."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) != before:
            signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _counting(result: PipelineResult, watch: Watch) -> Iterator[None]:
    """Tell Beam's counters, while the job runs and when it is over."""
    try:
        with meanwhile(_POLL_SECONDS, lambda: _count(result, watch)):
            yield
    finally:
        _count(result, watch)


def _count(result: PipelineResult, watch: Watch) -> None:
    if isinstance(result, PortableResult):
        # It would say for ever what it was told first, which is nothing while a batch job runs.
        result._metrics = None
    try:
        found = result.metrics().query()["counters"]
    # Runners differ in what they say while a job runs, and in how they say that they cannot.
    except Exception as error:
        logging.getLogger(__name__).debug("no counters yet: %s", error)
        return
    # What was attempted counts lost work, too, and with Prism lacks that of some bundles.
    watch.tell(counts_of({c.key.metric.name: c.committed or c.attempted or 0 for c in found}))


def counts_of(counters: Mapping[str, int]) -> JobCounts:
    """What the counters of `pipelines.shards.process_part` say."""
    mark = "rejected_"
    rejected = {n.removeprefix(mark): v for n, v in counters.items() if n.startswith(mark) and v}
    names = ("parts_done", "parts_kept", "read", "written")
    return JobCounts(*(counters.get(name, 0) for name in names), dict(sorted(rejected.items())))


@contextlib.contextmanager
def _worker_log(options: RunnerOptions) -> Iterator[IO]:
    """Keep what local worker processes print; each writes a page about its channels."""
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        if not (is_local(options) and options.num_workers > 1):
            yield log
            return
        sys.stderr.flush()
        before = os.dup(2)
        os.dup2(log.fileno(), 2)
        try:
            yield log
        finally:
            os.dup2(before, 2)
            os.close(before)


def _make_pipeline(options: RunnerOptions) -> beam.Pipeline:
    if not is_local(options):
        return beam.Pipeline(options=_beam_options(options))
    flags = list(options.beam_args)
    if options.num_workers > 1:
        flags += [
            "--direct_running_mode=multi_processing",
            f"--direct_num_workers={options.num_workers}",
        ]
    # Named, since "DirectRunner" would first download and try Prism, and where a job fails
    # there, run it a second time.
    return beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions(flags))


def _beam_options(options: RunnerOptions) -> PipelineOptions:
    """Beam's options for a runner that is not the local one."""
    flags = [f"--runner={options.runner}", *options.beam_args]
    if options.runner == DATAFLOW and options.num_workers > 1:
        flags.append(f"--num_workers={options.num_workers}")
    return PipelineOptions(flags)


def _create(options: RunnerOptions) -> PipelineRunner:
    try:
        return create_runner(options.runner)
    except (ValueError, ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"--runner {options.runner}: Beam has no such runner here ({error}). Give local, "
            "or one of Beam's, such as FlinkRunner, SparkRunner or DataflowRunner."
        ) from error


def _check_options(options: RunnerOptions, runner: PipelineRunner) -> None:
    problems = PipelineOptionsValidator(_beam_options(options), runner).validate()
    if problems:
        raise ConfigurationError(
            f"--runner {options.runner}: {' '.join(problem.strip() for problem in problems)} "
            "docs/runners.md has whole command lines."
        )


def _has_job_server(options: RunnerOptions, runner: PipelineRunner | None) -> bool:
    """Whether a job goes through a server that can be asked for its options before any work.

    Raises:
        ConfigurationError: for a runner that is told by no option where that is.
    """
    # Prism is a program of its own, which Beam keeps for all jobs of a process.
    if not isinstance(runner, PortableRunner) or isinstance(runner, PrismRunner):
        return False
    endpoint = _beam_options(options).view_as(PortableOptions).job_endpoint
    if type(runner) is PortableRunner and not endpoint:
        raise ConfigurationError(
            f"--runner {options.runner} needs the job server that it shall run on: add "
            "--job_endpoint=HOST:8099, or give --runner=FlinkRunner or SparkRunner, which start "
            "one. docs/runners.md has whole command lines."
        )
    return endpoint != _EMBEDDED


@functools.lru_cache(maxsize=1)
def _job_server_flags(options: RunnerOptions) -> frozenset[str]:
    """Flags of the engine itself, which only its job server knows; one is started to be asked."""
    parsed = _beam_options(options)
    portable = parsed.view_as(PortableOptions)
    timeout = portable.job_server_timeout
    try:
        if portable.job_endpoint:
            server = ExternalJobServer(portable.job_endpoint, timeout)
        else:
            server = _create(options).default_job_server(parsed)
        with contextlib.ExitStack() as stack:
            stack.callback(server.stop)
            request = beam_job_api_pb2.DescribePipelineOptionsRequest()
            described = server.start().DescribePipelineOptions(request, timeout=timeout)
    # Beam, grpc and the start of a Java process raise all sorts.
    except Exception as error:
        raise ConfigurationError(_no_job_server(options, portable.job_endpoint, error)) from error
    return frozenset(f"--{option.name}" for option in described.options)


def _no_job_server(options: RunnerOptions, endpoint: str | None, error: Exception) -> str:
    said = " ".join(f"{type(error).__name__} {error}".split())
    if endpoint:
        return (
            f"--runner {options.runner}: the job server of --job_endpoint={endpoint} does not "
            f"answer ({said}). Start it or give the address of one that runs; docs/runners.md has "
            "whole command lines."
        )
    jar = _JAR_FLAGS.get(options.runner)
    here = f"give its jar by {jar}=FILE, or " if jar else ""
    return (
        f"--runner {options.runner}: no job server can be started here ({said}). Beam fetches its "
        f"jar and runs it with Java; where it cannot, {here}name one that runs by "
        "--runner=PortableRunner --job_endpoint=HOST:8099. docs/runners.md has whole command lines."
    )
