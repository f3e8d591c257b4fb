"""Where `--html FILE` goes, and what is said where it cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tagmine.errors import ConfigurationError


def page_path(name: str | None) -> Path | None:
    """The file of a page, looked at before any work; None where none was asked for.

    Raises:
        ConfigurationError: for a folder, or a file in a folder that is not there.
    """
    if name is None:
        return None
    path = Path(name)
    if not path.parent.is_dir() or path.is_dir():
        raise ConfigurationError(f"--html {name}: give the name of a file in a folder that exists.")
    return path.absolute()


def write_or_explain(write: Callable[[], None], page: Path) -> None:
    """Write a page.

    Raises:
        ConfigurationError: when the file cannot be written.
    """
    try:
        write()
    except OSError as error:
        raise ConfigurationError(
            f"--html {page}: the page cannot be written ({error.strerror})."
        ) from error
