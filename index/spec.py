"""Which FAISS index fits: a factory string from count, dimension and memory."""

from __future__ import annotations

import dataclasses
import math
import re

from index.factory import predict_bytes, vectors_per_shard
from tagmine.errors import ConfigurationError

# Up to here an exact search over float32 takes under a millisecond or two per query.
FLAT_BELOW = 10_000
# Up to here vectors are kept as they are, in lists: 200 MB at 512 dimensions.
IVF_FLAT_BELOW = 100_000
# From here on centroids are so many that a graph finds them faster, and a rotation pays.
ROTATED_FROM = 1_000_000
# FAISS asks for at least 39 training points a centroid, and uses at most 256.
POINTS_PER_CENTROID = 39
MAX_POINTS_PER_CENTROID = 256
# Lists gain little beyond this, and clustering is the longest part of a build.
MAX_POINTS_PER_LIST = 64
PQ_CENTROIDS = 256
DEFAULT_TRAINING_BYTES = 2 << 30
_DIMENSIONS_A_BYTE = 16
_MOST_CODE_BYTES = 64
_LEAST_CODE_BYTES = 8
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


@dataclasses.dataclass(frozen=True, slots=True)
class IndexSpec:
    """An index, before it is built.

    Attributes:
        index_key: FAISS factory string, without the wrapper that ids may need.
        nlist: number of inverted lists, 0 for an index without any.
        predicted_bytes: size of the index files.
        reason: one line that explains the choice.
    """

    index_key: str
    nlist: int
    predicted_bytes: int
    reason: str


def parse_bytes(text: str, flag: str | None = None) -> int:
    """Bytes of a size such as "4G", "512M" or "1.5GiB".

    Args:
        text: what was given.
        flag: the flag that it was given to, for the message.

    Raises:
        ConfigurationError: for anything else, or zero.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*", text.lower())
    size = int(float(match[1]) * _UNITS[match[2]]) if match else 0
    if size <= 0:
        named = f"{flag} " if flag else ""
        raise ConfigurationError(
            f"{named}{text!r} is not a size; write it like 4G, 512M or 1.5GiB."
        )
    return size


def choose_spec(
    count: int, dim: int, max_bytes: int, max_training_bytes: int = DEFAULT_TRAINING_BYTES
) -> IndexSpec:
    """The index for `count` vectors of `dim` that fits in `max_bytes` of memory when searched.

    Flat while exact search is cheap; whole vectors in inverted lists while they are small; then
    product quantization, with about 4 sqrt(count) lists (FAISS wiki, "Guidelines to choose an
    index") and the longest code that fits, up to a byte for 16 dimensions: the exact re-rank makes
    up for the rest. The bytes of a code divide the dimensions, as product quantization asks; where
    only fewer than 8 do, the reason says so. From a million vectors on, with a rotation (OPQ) and
    a graph over the centroids.

    Args:
        count: number of vectors.
        dim: their dimensions.
        max_bytes: what the index files may take together.
        max_training_bytes: what the training sample may take, as float32.

    Raises:
        ConfigurationError: when nothing fits; it names the nearest that would.
    """
    flat = _size("Flat", dim, count)
    if count < FLAT_BELOW and flat <= max_bytes:
        return IndexSpec(
            "Flat", 0, flat, f"Flat: {count:,} vectors are searched exactly in a moment"
        )
    if count < PQ_CENTROIDS * POINTS_PER_CENTROID:
        raise ConfigurationError(
            f"--max-index-memory-usage: {count:,} vectors need {flat:,} bytes in an exact "
            f"index, {max_bytes:,} were allowed, and they are too few to train a smaller one. "
            f"Allow at least {flat:,} bytes."
        )
    _check_training_bytes(dim, max_training_bytes)
    nlist = _list_count(count, dim, max_training_bytes)
    keys = _keys(count, dim, nlist)
    for key, what in keys:
        predicted = _size(key, dim, count)
        if predicted <= max_bytes:
            return IndexSpec(
                key,
                nlist,
                predicted,
                f"{key}: {count:,} vectors in {nlist:,} lists, {what}; about "
                f"{predicted / 2**20:,.0f} MiB of the {max_bytes / 2**20:,.0f} MiB allowed",
            )
    smallest = min(_size(key, dim, count) for key, _ in keys)
    raise ConfigurationError(
        f"--max-index-memory-usage: {max_bytes:,} bytes cannot hold {count:,} vectors; the "
        f"smallest index needs {smallest:,} bytes. Allow that much, or build fewer shards."
    )


def _size(index_key: str, dim: int, count: int) -> int:
    shards = math.ceil(count / vectors_per_shard(index_key, dim))
    return predict_bytes(index_key, dim, count, shards)


def _keys(count: int, dim: int, nlist: int) -> list[tuple[str, str]]:
    """Factory strings in order of preference, each with what it keeps of a vector."""
    whole = [(f"IVF{nlist},Flat", "each kept whole")] if count < IVF_FLAT_BELOW else []
    sizes = _code_sizes(dim)
    if count < ROTATED_FROM:
        return whole + [(f"IVF{nlist},PQ{m}x8", _said_of_code(m, dim)) for m in sizes]
    return [
        (f"OPQ{m}_{dim},IVF{nlist}_HNSW32,PQ{m}x8", f"rotated, {_said_of_code(m, dim)}")
        for m in sizes
    ]


def _code_sizes(dim: int) -> list[int]:
    """Bytes that a code may have, most first: those that divide the dimensions."""
    longest = min(max(dim // _DIMENSIONS_A_BYTE, _LEAST_CODE_BYTES), _MOST_CODE_BYTES)
    sizes = [size for size in range(longest, 0, -1) if dim % size == 0]
    return [size for size in sizes if size >= _LEAST_CODE_BYTES] or sizes[:1]


def _said_of_code(size: int, dim: int) -> str:
    said = f"{size} byte{'s' if size > 1 else ''} of code each"
    if size >= _LEAST_CODE_BYTES:
        return said
    return f"{said} (the most up to {_LEAST_CODE_BYTES} that divides {dim} dimensions)"


def _list_count(count: int, dim: int, max_training_bytes: int) -> int:
    wanted = 4 * int(count**0.5)
    trained_on = min(count, max_training_bytes // (4 * dim))
    trainable = max(trained_on // POINTS_PER_CENTROID, 1)
    return 1 << (min(wanted, trainable).bit_length() - 1)


def _check_training_bytes(dim: int, max_training_bytes: int) -> None:
    needed = PQ_CENTROIDS * POINTS_PER_CENTROID * dim * 4
    if max_training_bytes < needed:
        raise ConfigurationError(
            f"--max-training-memory: {max_training_bytes:,} bytes hold too few vectors of {dim} "
            f"dimensions to train on. Allow at least {needed:,} bytes."
        )


def training_size(index_key: str, nlist: int, count: int, max_rows: int | None = None) -> int:
    """How many vectors to train on: enough for every centroid, and not more than is of use.

    Args:
        index_key: FAISS factory string.
        nlist: number of inverted lists that it makes.
        count: how many vectors there are.
        max_rows: how many the training may hold in memory, None for any number.

    Raises:
        ConfigurationError: when there are too few vectors for the index, or too few are allowed.
    """
    codebook = _largest_codebook(index_key)
    needed = max(max(nlist, codebook) * POINTS_PER_CENTROID, _rows_of_transform(index_key))
    if count < needed:
        lists = max(count // POINTS_PER_CENTROID, 1)
        raise ConfigurationError(
            f"--index-key {index_key}: training it takes at least {needed:,} vectors and there "
            f"are {count:,}. Use Flat, or an index of at most {lists:,} lists and centroids."
        )
    if max_rows is not None and max_rows < needed:
        lists = max(max_rows // POINTS_PER_CENTROID, 1)
        raise ConfigurationError(
            f"--max-training-memory: training {index_key} takes at least {needed:,} vectors and "
            f"{max_rows:,} were allowed. Allow {needed / max(max_rows, 1):.1f} times as much, or "
            f"use an index of at most {lists:,} lists and centroids."
        )
    wanted = max(nlist * MAX_POINTS_PER_LIST, codebook * MAX_POINTS_PER_CENTROID, needed)
    return min(count, wanted, count if max_rows is None else max_rows)


def _largest_codebook(index_key: str) -> int:
    bits = [int(n or 8) for n in re.findall(r"PQ\d+(?:x(\d+))?", index_key)]
    trained = [256] if re.search(r"OPQ|ITQ|LSQ|RQ", index_key) else []
    return max([*(1 << b for b in bits), *trained], default=0)


def _rows_of_transform(index_key: str) -> int:
    """Vectors that a rotation or a scale is estimated from, besides codebooks."""
    reduced = [int(d) for d in re.findall(r"PCAW?R?(\d+)", index_key)]
    return max([*(4 * d for d in reduced), 256 if "SQ" in index_key else 0], default=0)
