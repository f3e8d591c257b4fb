"""Environments of their own for programs that need other versions than ours."""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

_INSTALL_SECONDS = 600


def own_python(folder: Path, name: str, requirements: Sequence[str]) -> Path | None:
    """The Python of an environment, made when it is not there; None where it cannot be made.

    The reason is printed.

    Args:
        folder: the environment.
        name: what is installed, for the reason.
        requirements: as pip takes them.
    """
    python = folder / "bin/python"
    ready = folder / "ready"
    if ready.exists():
        return python
    venv.create(folder, with_pip=True, clear=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--retries", "1", *requirements]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
        failed = done.returncode != 0
        reason = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
    except subprocess.TimeoutExpired:
        failed, reason = True, f"pip was not done in {_INSTALL_SECONDS} s"
    if failed:
        print(f"{name} is left out, it cannot be installed: {reason}", file=sys.stderr)
        return None
    ready.touch()
    return python
