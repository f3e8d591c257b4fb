"""The `tagmine` command: parse, dispatch, and say in one sentence what went wrong."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from index.explore.options import ExploreOptions
from pipelines.bring_options import ShardsOptions
from pipelines.command_line import parse
from pipelines.compare_options import CompareOptions
from pipelines.copy_options import MergeOptions, SubsetOptions
from pipelines.diff_options import DiffOptions
from pipelines.failures import explained
from pipelines.jobs_options import JobsOptions
from pipelines.options import (
    BuildOptions,
    EmbedOptions,
    IndexOptions,
    MineOptions,
    QueryOptions,
    ShowOptions,
    VerifyOptions,
)
from pipelines.retrieve_options import RetrieveOptions
from pipelines.store_options import PullOptions, PushOptions
from pipelines.tags_options import TagsOptions
from pipelines.take_out_options import CompactOptions, RemoveOptions
from pipelines.validate_options import ValidateOptions
from tagmine.errors import TagmineError

_PIPE_WIDTH = 160
_INTERRUPTED = 130
_MODULES = {
    BuildOptions: "pipelines.build",
    MineOptions: "pipelines.mine",
    ShowOptions: "pipelines.show",
    EmbedOptions: "pipelines.embed",
    IndexOptions: "pipelines.index",
    VerifyOptions: "pipelines.verify",
    ValidateOptions: "pipelines.validate",
    QueryOptions: "pipelines.query",
    TagsOptions: "pipelines.tags",
    DiffOptions: "pipelines.diff",
    RetrieveOptions: "pipelines.retrieve",
    RemoveOptions: "pipelines.remove",
    CompactOptions: "pipelines.compact",
    ShardsOptions: "pipelines.bring",
    ExploreOptions: "pipelines.explore",
    PushOptions: "pipelines.push",
    PullOptions: "pipelines.pull",
    JobsOptions: "pipelines.jobs",
    MergeOptions: "pipelines.merge",
    SubsetOptions: "pipelines.subset",
    CompareOptions: "pipelines.compare",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Returns:
        The exit status: 0 when all is well, 1 for a failure, a lie found by verify or a red
        verdict of validate, 2 for a
        usage error, 130 when interrupted.
    """
    # Before FAISS and torch are loaded: OpenMP threads that spin while they wait starve each other
    # as soon as worker processes share cores; training an index took four times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    # Beam warns about optional packages of clouds that are not in use.
    for name in ("tagmine", "index", "pipelines"):
        logging.getLogger(name).setLevel(logging.INFO)
    try:
        options = parse(sys.argv[1:] if argv is None else argv)
        with explained():
            # Late: Beam, torch and FAISS take seconds to import, and --help needs none of them.
            module = importlib.import_module(_MODULES[type(options)])
        from rich.console import Console

        # What the user reads: standard output for answers, a copy of standard error for the rest,
        # since the original is turned aside while worker processes print to it.
        answering = QueryOptions | ShowOptions | TagsOptions | DiffOptions | JobsOptions
        answers = isinstance(options, answering | CompareOptions)
        # A terminal of another encoding shows "?" for what it lacks.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")
        stream = sys.stdout if answers else os.fdopen(os.dup(2), "w")
        # A pipe has no width; 80 columns would break lines for no one's benefit.
        width = None if stream.isatty() else _PIPE_WIDTH
        console = Console(file=stream, markup=False, highlight=False, width=width)
        with explained():
            module.run(options, console)
    except TagmineError as error:
        print(f"tagmine: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("tagmine: interrupted; run the same command to go on.", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has left; Python would complain again while closing it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def command() -> int:
    """The program `tagmine`: as `main`, in a process that has nothing else to do."""
    status = main()
    if status == _INTERRUPTED:
        # Prism's workers are threads that do not hear of it; when Python ends under those that are
        # in C code, the process crashes.
        _stop_children()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def _stop_children() -> None:
    """End workers and job servers that Beam started, where Ctrl-C did not reach them."""
    for listed in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in listed.read_text().split():
                os.kill(int(child), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(command())
