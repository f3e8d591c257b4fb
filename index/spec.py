"""Which FAISS index fits: a factory string from count, dimension and memory."""

from __future__ import annotations

import dataclasses
import re

from tagmine.errors import ConfigurationError

# Up to here an exact search over float32 takes under a millisecond or two per query.
FLAT_BELOW = 10_000
# FAISS asks for at least 39 training points a centroid, and 256 centroids a sub-quantizer.
POINTS_PER_CENTROID = 39
MAX_POINTS_PER_CENTROID = 256
PQ_CENTROIDS = 256
_CODE_SIZES = (64, 48, 32, 24, 16, 8)
_ID_BYTES = 8
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


def parse_bytes(text: str) -> int:
    """Bytes of a size such as "4G", "512M" or "1.5GiB".

    Raises:
        ConfigurationError: for anything else, or zero.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*", text.lower())
    size = int(float(match[1]) * _UNITS[match[2]]) if match else 0
    if size <= 0:
        raise ConfigurationError(f"{text!r} is not a size; write it like 4G, 512M or 1.5GiB.")
    return size


def choose_spec(count: int, dim: int, max_bytes: int) -> IndexSpec:
    """The index for `count` vectors of `dim` that fits in `max_bytes` of memory when searched.

    Flat while exact search is cheap, else IVF with product quantization, 4 sqrt(count) lists
    (FAISS wiki, "Guidelines to choose an index") and the longest code that fits.

    Raises:
        ConfigurationError: when even the shortest code does not fit.
    """
    flat_bytes = count * (dim * 4 + _ID_BYTES)
    if count < FLAT_BELOW and flat_bytes <= max_bytes:
        reason = f"Flat: {count:,} vectors are searched exactly in a moment"
        return IndexSpec("Flat", 0, flat_bytes, reason)
    if count < PQ_CENTROIDS * POINTS_PER_CENTROID:
        raise ConfigurationError(
            f"--max-index-memory-usage: {count:,} vectors need {flat_bytes:,} bytes in an exact "
            f"index, {max_bytes:,} were allowed, and they are too few to train a smaller one. "
            f"Allow at least {flat_bytes:,} bytes."
        )
    nlist = _list_count(count)
    sizes = [size for size in _CODE_SIZES if dim % size == 0] or [1]
    for code_size in sizes:
        predicted = _ivf_pq_bytes(count, dim, nlist, code_size)
        if predicted <= max_bytes:
            reason = (
                f"IVF{nlist},PQ{code_size}x8: {count:,} vectors in {nlist:,} lists, {code_size} "
                f"bytes of code each, {predicted / 2**20:,.0f} MiB of the {max_bytes / 2**20:,.0f} "
                "MiB allowed"
            )
            return IndexSpec(f"IVF{nlist},PQ{code_size}x8", nlist, predicted, reason)
    smallest = _ivf_pq_bytes(count, dim, nlist, sizes[-1])
    raise ConfigurationError(
        f"--max-index-memory-usage: {max_bytes:,} bytes cannot hold {count:,} vectors; the "
        f"smallest index needs {smallest:,} bytes. Allow that much, or build fewer shards."
    )


def _list_count(count: int) -> int:
    wanted = 4 * int(count**0.5)
    power = 1 << (wanted.bit_length() - 1)
    trainable = max(count // POINTS_PER_CENTROID, 1)
    while power > trainable:
        power >>= 1
    return max(power, 1)


def _ivf_pq_bytes(count: int, dim: int, nlist: int, code_size: int) -> int:
    coarse = nlist * dim * 4
    codebooks = PQ_CENTROIDS * dim * 4
    return count * (code_size + _ID_BYTES) + coarse + codebooks


def training_size(index_key: str, nlist: int, count: int) -> int:
    """How many vectors to train on: enough for every centroid, at most 256 for each.

    Args:
        index_key: FAISS factory string.
        nlist: number of inverted lists that it makes.
        count: how many vectors there are.

    Raises:
        ConfigurationError: when there are too few vectors for the index.
    """
    centroids = max(nlist, _largest_codebook(index_key))
    if centroids == 0:
        return 0
    needed = centroids * POINTS_PER_CENTROID
    if count < needed:
        lists = max(count // POINTS_PER_CENTROID, 1)
        raise ConfigurationError(
            f"--index-key {index_key}: training it takes at least {needed:,} vectors and there "
            f"are {count:,}. Use Flat, or an index of at most {lists:,} lists and centroids."
        )
    return min(count, centroids * MAX_POINTS_PER_CENTROID)


def _largest_codebook(index_key: str) -> int:
    bits = [int(n or 8) for n in re.findall(r"PQ\d+(?:x(\d+))?", index_key)]
    trained = [256] if re.search(r"SQ|RaBitQ|OPQ|PCA|ITQ|LSQ|RQ", index_key) else []
    return max([*(1 << b for b in bits), *trained], default=0)
