"""An environment of its own for autofaiss 2.18, which fails on today's FAISS and numpy.

    python -m benchmarks.autofaiss_env [FOLDER]

Prints the path of the environment's Python. The versions are those of autofaiss's last release.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

REQUIREMENTS = ("autofaiss==2.18.0", "faiss-cpu==1.8.0.post1", "numpy<2", "pyarrow<16")
DEFAULT_FOLDER = Path(__file__).parents[1] / ".venv-autofaiss"


def autofaiss_python(folder: Path = DEFAULT_FOLDER) -> Path | None:
    """The Python of the environment, made when it is not there; None where it cannot be made.

    The reason is printed.
    """
    python = folder / "bin/python"
    ready = folder / "ready"
    if ready.exists():
        return python
    venv.create(folder, with_pip=True, clear=True)
    command = [str(python), "-m", "pip", "install", "--quiet", *REQUIREMENTS]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        print(f"autofaiss is left out, it cannot be installed: {reason}", file=sys.stderr)
        return None
    ready.touch()
    return python


def main(argv: Sequence[str] | None = None) -> int:
    """Make the environment and print its Python."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=DEFAULT_FOLDER)
    python = autofaiss_python(parser.parse_args(argv).folder)
    if python is None:
        return 1
    print(python)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
