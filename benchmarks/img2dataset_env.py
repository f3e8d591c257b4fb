"""An environment of its own for img2dataset, which has a hundred dependencies that we do not want.

    python -m benchmarks.img2dataset_env [FOLDER]

Prints the path of the environment's Python; `img2dataset` lies beside it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.environments import own_python

REQUIREMENTS = ("img2dataset==1.47.0",)
DEFAULT_FOLDER = Path(__file__).parents[1] / ".venv-img2dataset"


def img2dataset_python(folder: Path = DEFAULT_FOLDER) -> Path | None:
    """The Python of the environment, made when it is not there; None where it cannot be made."""
    return own_python(folder, "img2dataset", REQUIREMENTS)


def main(argv: Sequence[str] | None = None) -> int:
    """Make the environment and print its Python."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=DEFAULT_FOLDER)
    python = img2dataset_python(parser.parse_args(argv).folder)
    if python is None:
        return 1
    print(python)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
