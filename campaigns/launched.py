"""Commands of tagmine, each in a process of its own that need not import anything again."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import multiprocessing.process
import os
import signal
import traceback
from pathlib import Path

from pipelines.main import main as tagmine

_TAIL_CHARACTERS = 2000
# They fork from a process in which gRPC and OpenMP have no threads, whose locks nobody would open
# in the fork: a command hangs or crashes there. Its environment and folder are those of the first
# start.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["pipelines.build", "pipelines.validate", "pipelines.verify"])


@dataclasses.dataclass(frozen=True, slots=True)
class Launched:
    """A command that was started.

    Attributes:
        process: leader of its own session.
        log: what it says; each command overwrites it.
    """

    process: multiprocessing.process.BaseProcess
    log: Path

    def ended(self) -> bool:
        """Whether it has ended by itself.

        Raises:
            AssertionError: with the end of its log, when it did not end well.
        """
        if self.process.is_alive():
            return False
        self._check("it was not disturbed")
        return True

    def wait(self, what: str, seconds: float | None = None) -> None:
        """Until it ends, which must be well, and within so many seconds if given.

        Raises:
            AssertionError: with `what` and the end of its log, when it did not.
        """
        self.process.join(seconds)
        if self.process.is_alive():
            self.kill()
            raise AssertionError(f"no end after {seconds:g} s, though {what}; see {self.log}")
        self._check(what)

    def kill(self) -> bool:
        """SIGKILL; False where it had ended before, which must be well."""
        self.process.kill()
        self.process.join()
        if self.process.exitcode == -signal.SIGKILL:
            return True
        self._check("it was not disturbed")
        return False

    def _check(self, what: str) -> None:
        if code := self.process.exitcode:
            tail = self.log.read_text(errors="replace")[-_TAIL_CHARACTERS:]
            raise AssertionError(f"exit {code}, though {what}. {self.log} ends:\n{tail}")


def start(command: list[str], log: Path) -> Launched:
    """Start a command of tagmine, which is ended where the calling process exits before."""
    process = _FORKS.Process(target=_run, args=(command, log), daemon=True)
    process.start()
    return Launched(process, log)


def _run(command: list[str], log: Path) -> None:
    os.setsid()
    code = 1
    try:
        with (
            log.open("w", buffering=1) as stream,
            contextlib.redirect_stderr(stream),
            contextlib.redirect_stdout(stream),
        ):
            # Of C, and of the workers.
            os.dup2(stream.fileno(), 2)
            code = tagmine(command)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        # As the command would: nothing of multiprocessing's own happens at its end.
        os._exit(code)
