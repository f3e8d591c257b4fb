"""An environment of its own for autofaiss 2.18, which fails on today's FAISS and numpy.

    python -m benchmarks.autofaiss_env [FOLDER]

Prints the path of the environment's Python. The versions are those of autofaiss's last release.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.environments import own_python

REQUIREMENTS = ("autofaiss==2.18.0", "faiss-cpu==1.8.0.post1", "numpy<2", "pyarrow<16")
DEFAULT_FOLDER = Path(__file__).parents[1] / ".venv-autofaiss"


def autofaiss_python(folder: Path = DEFAULT_FOLDER) -> Path | None:
    """The Python of the environment, made when it is not there; None where it cannot be made.

    The reason is printed.
    """
    return own_python(folder, "autofaiss", REQUIREMENTS)


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
