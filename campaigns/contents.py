"""What two builds are compared by."""

from __future__ import annotations

from pathlib import Path

from pipelines.job_log import JOBS


def read_datastore(root: Path) -> dict[str, bytes]:
    """Every file of a folder but the records of jobs, which say when each ran, by its path."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    files = [path for path in files if path.parent != root / JOBS]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}
