"""Which code a launcher and its workers run."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import index
import pipelines
import tagmine
from tagmine.errors import TagmineError

_PACKAGES = (tagmine, index, pipelines)


@functools.cache
def code_version() -> str:
    """The version of tagmine and a hash of the modules that workers run: `0.1.0+1a2b3c4d5e6f`."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        root = Path(package.__file__).parent
        for path in sorted(root.rglob("*.py")):
            digest.update(f"{package.__name__}/{path.relative_to(root).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return f"{tagmine.__version__}+{digest.hexdigest()[:12]}"


def check_code(launcher: str) -> None:
    """Stop a worker whose code is not the launcher's.

    Raises:
        TagmineError: naming both.
    """
    if code_version() != launcher:
        raise TagmineError(
            f"a worker runs tagmine {code_version()}, the launcher {launcher}; parts of two "
            "versions would not be alike. Install the same one everywhere, as with --setup_file "
            "or an image, and run the same command again."
        )
