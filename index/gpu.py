"""What runs on GPUs when FAISS sees some: clustering, assignment to lists, exact search."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator

import faiss
import numpy as np

from index.factory import transforms_of

# FAISS keeps 1.5 GiB of scratch memory on each GPU.
_SCRATCH_BYTES = 3 << 29


@dataclasses.dataclass(frozen=True, slots=True)
class GpuPlan:
    """Whether training and filling run on GPUs.

    Attributes:
        gpus: how many, 0 for the CPU.
        needed_bytes: memory that each GPU needs.
        reason: a few words for the user.
    """

    gpus: int
    needed_bytes: int
    reason: str


def plan_gpus(nlist: int, dim: int) -> GpuPlan:
    """Decide where training and filling run; never an error, since the CPU can do it all.

    On each GPU are the centroids, float32; vectors are sent in blocks, which FAISS's scratch
    memory holds. A GPU assigns vectors to their nearest list; where a graph finds the lists
    (`_HNSW32`), the CPU goes through it and misses the nearest for a few per cent, so that there
    an index filled on a GPU differs from one filled on the CPU.
    """
    needed = nlist * dim * 4 + _SCRATCH_BYTES
    gpus = faiss.get_num_gpus()
    if gpus == 0:
        return GpuPlan(0, needed, "on the CPU, since FAISS sees no GPU")
    if nlist == 0:
        return GpuPlan(0, needed, "on the CPU, since an index without lists has nothing to cluster")
    if not torch_sees_gpus():
        reason = "on the CPU, since torch, which tells how much memory a GPU has, sees none"
        return GpuPlan(0, needed, reason)
    free = min(_free_bytes(number) for number in range(gpus))
    if free < needed:
        short = f"a GPU has {free:,} bytes free and {needed:,} are needed"
        return GpuPlan(0, needed, f"on the CPU, since {short}")
    return GpuPlan(gpus, needed, f"on {gpus} GPU(s), {needed / 2**20:,.0f} MiB needed on each")


def torch_sees_gpus() -> bool:
    """Whether torch can be asked about the GPUs that FAISS sees."""
    import torch

    return torch.cuda.is_available()


def _free_bytes(gpu: int) -> int:
    import torch

    return torch.cuda.mem_get_info(gpu)[0]


def train(index: faiss.Index, sample: np.ndarray, plan: GpuPlan) -> None:
    """Train an index, its centroids on the planned GPUs.

    Args:
        index: empty and untrained.
        sample: float32 [n, dim].
        plan: where the centroids are clustered.
    """
    _train_transforms(index, sample)
    inverted = faiss.try_extract_index_ivf(index)
    if inverted is not None and transforms_of(faiss.downcast_index(inverted.quantizer)):
        with _one_thread():
            index.train(sample)
        return
    if not plan.gpus or inverted is None:
        index.train(sample)
        return
    before = inverted.clustering_index
    on_gpus = faiss.index_cpu_to_all_gpus(faiss.IndexFlatIP(inverted.d), ngpu=plan.gpus)
    inverted.clustering_index = on_gpus
    try:
        index.train(sample)
    finally:
        inverted.clustering_index = before


def _train_transforms(index: faiss.Index, sample: np.ndarray) -> None:
    """Train what vectors go through before the lists, such as OPQ's rotation, on one thread.

    On more, its sums round differently, and each list and code after it would depend on how many
    cores the machine has. Clustering and codes, which take longer, do not.
    """
    inner = faiss.downcast_index(index.index) if isinstance(index, faiss.IndexIDMap) else index
    before = None
    with _one_thread():
        for transform in transforms_of(inner):
            sample = sample if before is None else before.apply(sample)
            if not transform.is_trained:
                transform.train(sample)
            before = transform


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


class ListAssigner:
    """Tells the inverted list of vectors, on the planned GPUs or as FAISS itself would."""

    def __init__(self, inverted: faiss.IndexIVF, plan: GpuPlan) -> None:
        self._quantizer = inverted.quantizer
        if plan.gpus:
            centroids = inverted.quantizer.reconstruct_n(0, inverted.nlist)
            flat = faiss.IndexFlatIP(inverted.d)
            flat.add(centroids)
            self._quantizer = faiss.index_cpu_to_all_gpus(flat, ngpu=plan.gpus)

    def assign(self, vectors: np.ndarray) -> np.ndarray:
        """Lists int64 [n] of float32 [n, d], which the index's transforms have been applied to."""
        return self._quantizer.search(vectors, 1)[1][:, 0]


def inner_products(queries: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Inner products float32 [q, n] of float32 [q, dim] and [n, dim], on a GPU if FAISS sees one.

    The last bits depend on the device and on the shapes.
    """
    if faiss.get_num_gpus() == 0:
        return queries @ block.T
    return faiss.pairwise_distance_gpu(
        _gpu_resources(), queries, block, metric=faiss.METRIC_INNER_PRODUCT
    )


@functools.cache
def _gpu_resources() -> faiss.StandardGpuResources:
    return faiss.StandardGpuResources()
