"""What a person can do about a full disk, a folder that cannot be written, or too little memory."""

from __future__ import annotations

import contextlib
import errno
import resource
from collections.abc import Iterator

from tagmine.errors import TagmineError

_KEPT = "Nothing finished is lost; run the same command again"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)
_ODD = (errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY, errno.ELOOP)
# How torch, FAISS, C++ and Python's threads say it, as a RuntimeError.
_NO_MEMORY = ("can't allocate memory", "bad_alloc", "out of memory", "can't start new thread")
# How the system's loader, FAISS and thinc say, in errors of other kinds, that a library is missing.
_NOT_LOADED = ("failed to map segment", "failed to load lib", "BLIS support requires blis")
# How Python says that C code gave up without a word: for want of memory, where that is limited.
_UNSAID = ("without exception set", "without setting an exception")
_NO_SPACE = ("No space left on device", "File too large")


def explain(error: BaseException) -> str | None:
    """A sentence about a failure of the machine; None for an error that is our own."""
    text = " ".join(str(error).split())
    if isinstance(error, ImportError) or any(words in text for words in _NOT_LOADED):
        return (
            f"a library did not load ({type(error).__name__}: {text}). {_memory_limit()}"
            f"{_KEPT} when it loads."
        )
    if isinstance(error, MemoryError) or any(words in text for words in (*_NO_MEMORY, *_unsaid())):
        return (
            f"memory ran out ({text or type(error).__name__}). {_memory_limit()}{_KEPT} with more "
            "memory, or with a smaller --num-workers, --num-prepro-workers or --batch-size."
        )
    code = error.errno if isinstance(error, OSError) else None
    if code in _FULL or any(words in text for words in _NO_SPACE):
        return f"the disk is full or a file may not grow ({text}). {_KEPT} when there is room."
    if code in _FORBIDDEN:
        return f"a file cannot be written or read ({text}). {_KEPT} when it can."
    if code in _ODD:
        return (
            f"something else is where a file or folder of ours belongs ({text}). Take it away; "
            f"{_KEPT.lower()} then."
        )
    return f"reading or writing failed ({text}). {_KEPT}." if isinstance(error, OSError) else None


def _unsaid() -> tuple[str, ...]:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return () if limit == resource.RLIM_INFINITY else _UNSAID


def _memory_limit() -> str:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return ""
    return (
        f"This process may address {limit / 2**30:.1f} GiB (ulimit -v), which may be too little: "
        "the models and their libraries ask for more than they use. "
    )


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn a failure of the machine into a `TagmineError`; other errors pass as they are."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (OSError, MemoryError, RuntimeError, ImportError, ValueError, SystemError) as error:
        sentence = explain(error)
        if sentence is None:
            raise
        raise TagmineError(sentence) from error
