"""Try again what a network or a busy server let fail, each time after a longer wait."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from tagmine.redaction import redact

_T = TypeVar("_T")
_LOG = logging.getLogger(__name__)

TRIES = 8
"""With the waits below, a minute; most clients try a few times by themselves in each."""
PATIENCE_SECONDS = 180.0
"""No new try of a store after it, in which whatever was asked of it failed."""
_FIRST_WAIT = 0.5
_LONGEST_WAIT = 16.0
# By place: when the first and the last of the calls failed since which none succeeded.
_FAILING: dict[str, tuple[float, float]] = {}
_failing_lock = threading.Lock()
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


def retry(call: Callable[[], _T], what: str, tries: int | None = None) -> _T:
    """The result of `call`, tried up to `TRIES` times with waits that double, with jitter.

    It gives up sooner when every call to the same place, of whichever thread, has failed for
    `PATIENCE_SECONDS`: what a command asks of a dead store one after another waits once.

    Args:
        call: what to do; safe to do twice.
        what: what it does, for the log; the place is the server or bucket of a URL.
        tries: fewer, for what is asked again later anyway.

    Raises:
        Exception: the last one, or the first that is not transient.
    """
    place = "/".join(what.split("/", 3)[:3]) if "://" in what else what
    tries = tries or TRIES
    for attempt in range(1, tries + 1):
        try:
            result = call()
        # Each file system of fsspec has exceptions of its own, not all of them OSErrors.
        except Exception as error:
            if not is_transient(error):
                _answers(place)
                raise
            if _seconds_failing(place) > PATIENCE_SECONDS or attempt == tries:
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
        else:
            _answers(place)
            return result
    raise AssertionError("unreachable")


def _answers(place: str) -> None:
    with _failing_lock:
        _FAILING.pop(place, None)


def _seconds_failing(place: str) -> float:
    """Since when no call to a place that has just failed again has succeeded."""
    now = time.monotonic()
    with _failing_lock:
        first, last = _FAILING.get(place, (now, now))
        # What was not asked for so long may have been well meanwhile.
        if now - last > PATIENCE_SECONDS:
            first = now
        _FAILING[place] = first, now
    return now - first
