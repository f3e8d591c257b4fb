"""Try again what a network or a busy server let fail, each time after a longer wait."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from tagmine.redaction import redact

_T = TypeVar("_T")
_LOG = logging.getLogger(__name__)

TRIES = 8
"""With the waits below, a minute; most clients try a few times by themselves in each."""
PATIENCE_SECONDS = 180.0
"""No new try after it, where each takes its own time to fail."""
_FIRST_WAIT = 0.5
_LONGEST_WAIT = 16.0
# Trying again brings no key, no file and no package.
_PERMANENT = (
    FileNotFoundError,
    FileExistsError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
    NotImplementedError,
    ImportError,
    TypeError,
    ValueError,
    AttributeError,
)


# Of the answers 4xx of HTTP: too late, too early, too many.
_PASSING_STATUSES = frozenset({408, 425, 429})


def is_transient(error: Exception) -> bool:
    """Whether the same call may succeed a moment later."""
    # To fsspec's HTTP a file is not found for whatever the server answers.
    status = _http_status(error.__cause__ if isinstance(error, FileNotFoundError) else error)
    if status is not None:
        return status >= 500 or status in _PASSING_STATUSES
    return not isinstance(error, _PERMANENT) and "Credential" not in type(error).__name__


def _http_status(error: BaseException | None) -> int | None:
    """What an HTTP server answered instead of what was asked for; None for any other failure."""
    status = getattr(error, "status", None)
    return status if isinstance(status, int) and status >= 400 else None


def retry(call: Callable[[], _T], what: str) -> _T:
    """The result of `call`, tried up to `TRIES` times with waits that double, with jitter.

    It gives up sooner when `PATIENCE_SECONDS` have passed.

    Args:
        call: what to do; safe to do twice.
        what: what it does, for the log.

    Raises:
        Exception: the last one, or the first that is not transient.
    """
    started = time.monotonic()
    for attempt in range(1, TRIES + 1):
        try:
            return call()
        # Each file system of fsspec has exceptions of its own, not all of them OSErrors.
        except Exception as error:
            impatient = time.monotonic() - started > PATIENCE_SECONDS
            if attempt == TRIES or impatient or not is_transient(error):
                raise
            wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (attempt - 1)) * random.uniform(0.5, 1)
            _LOG.warning(
                "%s failed (%s: %s); trying again in %.1f s",
                redact(what),
                type(error).__name__,
                redact(str(error)),
                wait,
            )
            time.sleep(wait)
    raise AssertionError("unreachable")
