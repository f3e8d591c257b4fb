"""Empty FAISS indexes of a factory string, and how large they will be when they are filled."""

from __future__ import annotations

import re

import faiss

from tagmine.errors import ConfigurationError

METRIC = faiss.METRIC_INNER_PRODUCT
# FAISS alternates rotation and codebooks 50 times; half of that leaves 3 % more error.
OPQ_ROUNDS = 25
VECTORS_PER_SHARD = 1 << 20
_VECTORS_A_REPEAT = 8
_ID_BYTES = 8
_FAST_SCAN_BLOCK = 32


def create_index(index_key: str, dim: int) -> faiss.Index:
    """An empty index for inner product whose ids are given by the caller.

    Raises:
        ConfigurationError: for a factory string that FAISS does not know, or that cannot be.
    """
    # Only inverted lists store ids of their own.
    key = (
        index_key if "IVF" in index_key or index_key.startswith("IDMap") else f"IDMap2,{index_key}"
    )
    try:
        index = faiss.index_factory(dim, key, METRIC)
    except RuntimeError as error:
        raise ConfigurationError(
            f"--index-key {index_key!r}: FAISS cannot make this index for {dim} dimensions: "
            f"{cause_of(error)}. Give a string of FAISS's index factory, such as Flat, "
            "IVF1024,PQ32x8 or IVF1024,RaBitQ."
        ) from error
    problem = _why_not(index)
    if problem:
        raise ConfigurationError(f"--index-key {index_key!r}: {problem}")
    for step in transforms_of(index):
        if isinstance(step, faiss.OPQMatrix):
            step.niter = OPQ_ROUNDS
    _skip_polysemous_training(index)
    return index


def _why_not(index: faiss.Index) -> str | None:
    """Why a datastore cannot have an index that FAISS can make."""
    inner = innermost(index)
    if isinstance(index, faiss.IndexRefine) or isinstance(inner, faiss.IndexRefine):
        return (
            "an index that refines takes no ids. Leave the refinement out; the nearest candidates "
            "are scored exactly with the stored embeddings anyway."
        )
    if isinstance(index, faiss.IndexIDMap) and not isinstance(index, faiss.IndexIDMap2):
        return "IDMap cannot give a vector back by its id. Write IDMap2, or leave it out."
    if any(metric != METRIC for metric in metrics_of(index)):
        return "FAISS makes this index for L2 distance only, not for inner product. Take another."
    if isinstance(inner, faiss.IndexNSG | faiss.IndexNNDescent):
        return "this graph cannot grow, and shards are filled part by part. Take HNSW32."
    if isinstance(inner, faiss.IndexIVF) and inner.nlist < 1:
        return "it has no inverted lists. Give IVF at least 1."
    return None


def cause_of(error: RuntimeError) -> str:
    """What FAISS says in an exception, without the place in its source code."""
    last = str(error).strip().splitlines()[-1]
    return re.sub(r"^.*\.(?:cpp|h|hpp):\d+: ", "", last).removeprefix("Error: ").rstrip(".")


def _skip_polysemous_training(index: faiss.Index) -> None:
    """Leave codes unordered: only FAISS's filter by Hamming distance reads that order.

    Ordering them takes two seconds of CPU for each byte of code, most of a small training, and is
    on in every index with product quantization that FAISS's factory makes.
    """
    inner = innermost(index)
    if hasattr(inner, "do_polysemous_training"):
        inner.do_polysemous_training = False


def innermost(index: faiss.Index) -> faiss.Index:
    """The index inside of transforms and maps of ids, as its own type."""
    inner = faiss.downcast_index(index)
    while isinstance(inner, faiss.IndexPreTransform | faiss.IndexIDMap):
        inner = faiss.downcast_index(inner.index)
    # It is a part of `index`, which must not be freed before it.
    inner.referenced_objects = [index]
    return inner


def metrics_of(index: faiss.Index) -> tuple[int, ...]:
    """The metric of an index and of each index inside it, as FAISS numbers them."""
    inner = innermost(index)
    coarse = (inner.quantizer.metric_type,) if isinstance(inner, faiss.IndexIVF) else ()
    return (index.metric_type, inner.metric_type, *coarse)


def metric_name(metric: int) -> str:
    """What people call a metric of FAISS."""
    names = {faiss.METRIC_INNER_PRODUCT: "inner product", faiss.METRIC_L2: "L2 distance"}
    return names.get(metric, f"number {metric}")


def transforms_of(index: faiss.Index) -> list[faiss.VectorTransform]:
    """What an index does to vectors before it stores them, in order; empty for most."""
    if not isinstance(index, faiss.IndexPreTransform):
        return []
    return [
        faiss.downcast_VectorTransform(index.chain.at(number))
        for number in range(index.chain.size())
    ]


def list_count(index: faiss.Index) -> int:
    """Number of inverted lists of an index, 0 when it has none."""
    inverted = faiss.try_extract_index_ivf(index)
    return inverted.nlist if inverted is not None else 0


def predict_bytes(index_key: str, dim: int, count: int, shards: int = 1) -> int:
    """Size of the index files together, before anything is built.

    Every shard's file has the coarse quantizer and the codebooks, and then its vectors.

    Args:
        index_key: FAISS factory string.
        dim: dimensions of a vector.
        count: vectors in all shards together.
        shards: how many files they are spread over.

    Raises:
        ConfigurationError: as `create_index`.
    """
    index = create_index(index_key, dim)
    try:
        vectors, fixed = _vector_bytes(index), _fixed_bytes(index)
    except RuntimeError as error:
        raise ConfigurationError(
            f"--index-key {index_key}: its size cannot be predicted ({cause_of(error)}). Take "
            "another, such as IVF1024,PQ32x8."
        ) from error
    return round(count * vectors + shards * fixed)


def vectors_per_shard(index_key: str, dim: int) -> int:
    """Vectors of a full index shard: a million, or so many that eight ninths of it are theirs.

    Every shard's file repeats the coarse quantizer, which for 131,072 lists is as large as four
    million codes.
    """
    index = create_index(index_key, dim)
    needed = _VECTORS_A_REPEAT * _fixed_bytes(index) / _vector_bytes(index)
    return max(VECTORS_PER_SHARD, round(needed))


def _vector_bytes(index: faiss.Index) -> float:
    """What one more vector adds."""
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexPreTransform):
        return _vector_bytes(index.index)
    if isinstance(index, faiss.IndexIDMap | faiss.IndexIDMap2):
        return _ID_BYTES + _vector_bytes(index.index)
    if isinstance(index, faiss.IndexIVF):
        return _ID_BYTES + index.code_size
    if isinstance(index, faiss.IndexHNSW):
        return _vector_bytes(index.storage) + _link_bytes(index.hnsw)
    if isinstance(index, faiss.IndexNSG):
        return _vector_bytes(index.storage) + 4 * index.nsg.R
    return index.sa_code_size()


def _link_bytes(hnsw: faiss.HNSW) -> float:
    """Links of one vector: all have those of level 0, one in M has those of each level above."""
    base, higher = hnsw.cum_nb_neighbors(1), hnsw.cum_nb_neighbors(2) - hnsw.cum_nb_neighbors(1)
    # Beside the links, of 4 bytes: an offset of 8 bytes and a level of 4.
    return 4 * (base + higher / (higher - 1)) + 12


def _fixed_bytes(index: faiss.Index) -> float:
    """What a file has however many vectors it holds."""
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexPreTransform):
        return _fixed_bytes(index.index) + sum(_transform_bytes(t) for t in transforms_of(index))
    if isinstance(index, faiss.IndexIDMap | faiss.IndexIDMap2):
        return _fixed_bytes(index.index)
    if isinstance(index, faiss.IndexHNSW):
        return _fixed_bytes(index.storage)
    codebooks = 4 * index.pq.d * index.pq.ksub if hasattr(index, "pq") else 0
    if hasattr(index, "aq"):
        codebooks = 4 * index.d * index.aq.total_codebook_size
    if not isinstance(index, faiss.IndexIVF):
        return codebooks
    quantizer = faiss.downcast_index(index.quantizer)
    coarse = index.nlist * _vector_bytes(quantizer) + _fixed_bytes(quantizer)
    # A list's last block of a fast scan is half empty on average.
    padding = _FAST_SCAN_BLOCK / 2 * index.code_size if isinstance(index, _FAST_SCANS) else 0
    return codebooks + coarse + index.nlist * (8 + padding)


_FAST_SCANS = (faiss.IndexIVFFastScan,)


def _transform_bytes(step: faiss.VectorTransform) -> int:
    # A PCA keeps the whole matrix, its eigenvalues and the mean besides what it applies.
    whole = step.d_in * step.d_in if isinstance(step, faiss.PCAMatrix) else 0
    return 4 * (step.d_in * step.d_out + whole)
