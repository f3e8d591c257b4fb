"""A stream of encoded pictures to a stream of vectors, decoding while the model computes."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

import numpy as np
from PIL import Image

from index.encoder import Encoder
from index.images import ImageLimits, ImageRejected, decode_image
from index.isolated_decoding import IsolatedDecoding

T = TypeVar("T")
Outcome = np.ndarray | ImageRejected
_Decode = Callable[[bytes], np.ndarray | ImageRejected]

_BATCHES_AHEAD = 2


@dataclasses.dataclass(slots=True)
class _Pass(Generic[T]):
    """What one forward pass will yield: rejects in their places, vectors once they are there."""

    entries: list[tuple[T, ImageRejected | None]]
    vectors: concurrent.futures.Future[np.ndarray] | None

    def outcomes(self) -> list[tuple[T, Outcome]]:
        rows = iter(self.vectors.result()) if self.vectors else iter(())
        return [
            (tag, next(rows) if rejected is None else rejected) for tag, rejected in self.entries
        ]


def embed_stream(
    encoder: Encoder,
    items: Iterable[tuple[T, bytes]],
    *,
    batch_size: int,
    num_prepro_workers: int,
    limits: ImageLimits,
    isolated: bool = False,
) -> Iterator[list[tuple[T, Outcome]]]:
    """Embed pictures in the order given, with bounded memory.

    Threads decode and shrink up to two batches ahead while the model computes. Passes are cut by
    position among the good pictures, so that the same stream always gives the same bytes. On a
    CPU they have a fixed number of rows (`index.encoder.CPU_ROWS`) and a thread each, so that the
    bytes depend neither on `batch_size` nor on the number of threads or processes. Threads end
    when the iterator is exhausted, closed or raises.

    Args:
        encoder: the model.
        items: pairs of anything and a picture's bytes; read as far ahead as needed, in the
            consumer's thread.
        batch_size: pictures a forward pass on a GPU, where it is halved when the memory is too
            small; everywhere, half of how many are held at once.
        num_prepro_workers: decoding threads.
        limits: what a picture may cost.
        isolated: whether each thread decodes in a process of its own, so that a picture that
            takes its decoder down is rejected; slower, and the same pixels.

    Yields:
        For each pass, (tag, float16 [dim] of unit norm, or why the picture was rejected).

    Raises:
        ValueError: for a batch size or number of workers below 1.
        ConfigurationError: when not even a single picture fits into the device's memory.
    """
    if batch_size < 1 or num_prepro_workers < 1:
        raise ValueError(
            f"batch_size is {batch_size} and num_prepro_workers is {num_prepro_workers}; both "
            "must be at least 1"
        )
    decoders = concurrent.futures.ThreadPoolExecutor(
        num_prepro_workers, thread_name_prefix="tagmine-decode"
    )
    under_way: collections.deque[_Pass[T]] = collections.deque()
    with contextlib.ExitStack() as stack:
        decode = _decoder(encoder, limits, isolated, stack)
        stack.callback(_end, decoders, under_way)
        ahead = max(_BATCHES_AHEAD * batch_size, encoder.rows_per_pass(batch_size))
        decoded = _decode_ahead(iter(items), decode, decoders, ahead)
        for entries, pixels in _cut(decoded, encoder, batch_size):
            vectors = encoder.submit_images(np.stack(pixels)) if pixels else None
            under_way.append(_Pass(entries, vectors))
            # One more than can run, so that a pass that ends finds the next one waiting.
            if len(under_way) > encoder.passes:
                yield under_way.popleft().outcomes()
        while under_way:
            yield under_way.popleft().outcomes()


def _end(decoders: concurrent.futures.Executor, under_way: Iterable[_Pass]) -> None:
    decoders.shutdown(wait=True, cancel_futures=True)
    for running in under_way:
        if running.vectors:
            running.vectors.cancel()


def _decoder(
    encoder: Encoder, limits: ImageLimits, isolated: bool, stack: contextlib.ExitStack
) -> _Decode:
    side = encoder.image_size
    to_picture: Callable[[bytes], Image.Image] = functools.partial(
        decode_image, limits=limits, shortest_side=side
    )
    if isolated:
        to_picture = stack.enter_context(IsolatedDecoding(limits, side)).decode

    def decode(data: bytes) -> np.ndarray | ImageRejected:
        try:
            return encoder.preprocess(to_picture(data))
        except ImageRejected as rejected:
            # The traceback would keep the picture's bytes for as long as the reject is kept.
            return rejected.with_traceback(None)

    return decode


def _decode_ahead(
    items: Iterator[tuple[T, bytes]],
    decode: _Decode,
    decoders: concurrent.futures.Executor,
    ahead: int,
) -> Iterator[tuple[T, np.ndarray | ImageRejected]]:
    pending: collections.deque[tuple[T, concurrent.futures.Future]] = collections.deque()
    while True:
        for tag, data in itertools.islice(items, ahead - len(pending)):
            pending.append((tag, decoders.submit(decode, data)))
        if not pending:
            return
        tag, future = pending.popleft()
        yield tag, future.result()


def _cut(
    decoded: Iterator[tuple[T, np.ndarray | ImageRejected]], encoder: Encoder, batch_size: int
) -> Iterator[tuple[list[tuple[T, ImageRejected | None]], list[np.ndarray]]]:
    entries: list[tuple[T, ImageRejected | None]] = []
    pixels: list[np.ndarray] = []
    for tag, outcome in decoded:
        if isinstance(outcome, ImageRejected):
            entries.append((tag, outcome))
            continue
        entries.append((tag, None))
        pixels.append(outcome)
        if len(pixels) >= encoder.rows_per_pass(batch_size):
            yield entries, pixels
            entries, pixels = [], []
    if entries:
        yield entries, pixels
