"""Decode pictures in processes of their own, for shards at which a process died before."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
from typing import BinaryIO

import numpy as np
from PIL import Image

from index.images import ImageLimits, ImageRejected, decode_image
from tagmine.errors import TagmineError

_READY = b"ready\n"
# A picture that takes its process down must do so twice, each time in a process that is new.
_TRIES = 2
# Sent from outside: by a person, or by a system that is short of memory.
_FOREIGN_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class _ChildDiedError(Exception):
    pass


class IsolatedDecoding:
    """`decode_image` for several threads, each with a process that may die at its work.

    Used as a context manager; the processes end with the block.
    """

    def __init__(self, limits: ImageLimits, shortest_side: int) -> None:
        """Nothing is started yet.

        Args:
            limits: what a picture may cost.
            shortest_side: as for `decode_image`.
        """
        self._order = {**dataclasses.asdict(limits), "shortest_side": shortest_side}
        self._own = threading.local()
        self._started: list[subprocess.Popen] = []

    def __enter__(self) -> IsolatedDecoding:
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._started:
            _end(child)

    def decode(self, data: bytes) -> Image.Image:
        """As `decode_image`.

        Raises:
            ImageRejected: as `decode_image`; "decoder_crashed" when it ends the process.
            TagmineError: when the process was killed from outside, or does not start.
        """
        for _ in range(_TRIES):
            try:
                return self._ask(data)
            except _ChildDiedError:
                died_of = self._bury()
        raise ImageRejected("decoder_crashed", f"decoding it ends the process by {died_of}")

    def _ask(self, data: bytes) -> Image.Image:
        child = self._child()
        try:
            _send(child.stdin, {**self._order, "bytes": len(data)}, data)
            answer = _read_header(child.stdout)
            if answer is None:
                raise _ChildDiedError
            if "reason" in answer:
                raise ImageRejected(answer["reason"], answer["detail"])
            width, height = answer["size"]
            pixels = _read_exactly(child.stdout, width * height * 3)
        except (BrokenPipeError, EOFError) as error:
            raise _ChildDiedError from error
        return Image.fromarray(np.frombuffer(pixels, np.uint8).reshape(height, width, 3))

    def _child(self) -> subprocess.Popen:
        child = getattr(self._own, "child", None)
        if child is None:
            child = self._own.child = _start()
            self._started.append(child)
        return child

    def _bury(self) -> str:
        """The name of the signal that ended this thread's process."""
        child, self._own.child = self._own.child, None
        self._started.remove(child)
        child.wait()
        status = _end(child)
        if status >= 0 or -status in _FOREIGN_SIGNALS:
            how = f"exit status {status}" if status >= 0 else signal.Signals(-status).name
            raise TagmineError(
                f"a process that decodes pictures was ended by {how}, which no picture does. "
                "Nothing finished is lost; if memory is short, run the same command with a "
                "smaller --num-prepro-workers or --num-workers, else run it again."
            )
        return signal.Signals(-status).name


def _start() -> subprocess.Popen:
    # -P and our own path: a module in the folder that a user works in is not ours.
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "index.isolated_decoding"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        # Ctrl-C is for the job, which ends its processes itself.
        process_group=0,
    )
    if child.stdout.readline() != _READY:
        raise TagmineError(
            f"a process that decodes pictures does not start (exit status {child.wait()}); what "
            "it printed is above."
        )
    return child


def _end(child: subprocess.Popen) -> int:
    child.kill()
    # What it never read is still in our buffer.
    with contextlib.suppress(BrokenPipeError):
        child.stdin.close()
    child.stdout.close()
    return child.wait()


def serve() -> None:
    """The work of such a process: pictures from standard input, pixels to standard output."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    answers.write(_READY)
    answers.flush()
    while (order := _read_header(requests)) is not None:
        data = _read_exactly(requests, order["bytes"])
        limits = ImageLimits(order["max_pixels"], order["max_bytes"])
        try:
            image = decode_image(data, limits, order["shortest_side"])
        except ImageRejected as rejected:
            _send(answers, {"reason": rejected.reason, "detail": rejected.detail}, b"")
        else:
            _send(answers, {"size": image.size}, image.tobytes())


def _send(stream: BinaryIO, header: dict, body: bytes) -> None:
    stream.write(json.dumps(header).encode() + b"\n")
    stream.write(body)
    stream.flush()


def _read_header(stream: BinaryIO) -> dict | None:
    line = stream.readline()
    return json.loads(line) if line.endswith(b"\n") else None


def _read_exactly(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise EOFError
    return data


if __name__ == "__main__":
    serve()
