"""Shards and folders that several tests need."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# OpenMP threads that spin while they wait starve each other as soon as cores are shared.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"

WriteTar = Callable[[Path, Sequence[tuple[str, bytes]]], Path]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data that the project does not ship."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real data of ../shared/data is not here")
    return SHARED_DATA


@pytest.fixture(scope="session")
def write_tar() -> WriteTar:
    """A function that writes (name, bytes) pairs as a tar, in the order given."""

    def write(path: Path, members: Sequence[tuple[str, bytes]]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, "w") as archive:
            for name, data in members:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return path

    return write


@pytest.fixture(scope="session")
def jpeg() -> Callable[[int], bytes]:
    """A function that draws a small JPEG, another one for each seed."""

    def draw(seed: int) -> bytes:
        rng = np.random.default_rng(seed)
        blocks = rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        image = Image.fromarray(blocks).resize((96, 80), Image.Resampling.NEAREST)
        image.save(buffer, "JPEG", quality=90)
        return buffer.getvalue()

    return draw
