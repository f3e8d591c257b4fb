"""Files that a stranger's table names, read from a folder that no name leads out of."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath

from tagmine.captions import SampleRejected


def read_below(folder: Path, name: str, max_bytes: int) -> bytes:
    """The bytes of a file below `folder`.

    Links that lie in the folder are followed: whoever owns the folder put them there.

    Args:
        folder: where the file must be.
        name: a relative path of a stranger.
        max_bytes: how large the file may be.

    Raises:
        SampleRejected: for a path that is absolute or has "..", a file that is not there or is no
            plain file, or one that is too large.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise SampleRejected("unsafe_image_path", f"{name!r} is not a path below the image folder")
    try:
        # Not blocking: opening a pipe would wait for its writer.
        handle = os.open(folder / path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return _read_plain(handle, name, max_bytes)
        finally:
            os.close(handle)
    except OSError as error:
        raise SampleRejected("image_missing", f"{name!r}: {error.strerror}") from error
    except UnicodeEncodeError as error:
        raise SampleRejected("image_missing", f"{name!r}: no name of a file") from error


def _read_plain(handle: int, name: str, max_bytes: int) -> bytes:
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        raise SampleRejected("image_missing", f"{name!r} is not a plain file")
    if found.st_size > max_bytes:
        raise SampleRejected("image_too_large", f"{found.st_size} bytes; the limit is {max_bytes}")
    with open(handle, "rb", closefd=False) as stream:
        return stream.read(max_bytes + 1)
