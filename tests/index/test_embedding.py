"""The stream of vectors: order, rejects, bytes that never change, memory, and threads that end."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from index.embedding import embed_stream
from index.encoder import CPU_ROWS, Encoder, load_encoder
from index.images import ImageLimits, ImageRejected, decode_image
from tagmine.errors import ConfigurationError

LIMITS = ImageLimits()
CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 48, "layers": 2, "width": 64, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("clip")
    (path / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG}))
    model = open_clip.model.CLIP(**CONFIG)
    save_file(model.state_dict(), path / "open_clip_model.safetensors")
    return path


@pytest.fixture
def encoder(folder: Path) -> Encoder:
    return load_encoder(str(folder), device="cpu", num_threads=2)


def photo(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    coarse.resize((80 + seed % 7, 60), Image.Resampling.BICUBIC).save(buffer, "JPEG")
    return buffer.getvalue()


PHOTOS = [photo(seed) for seed in range(45)]


def run(encoder: Encoder, items, batch_size: int = 16, workers: int = 2) -> list:
    stream = embed_stream(
        encoder, items, batch_size=batch_size, num_prepro_workers=workers, limits=LIMITS
    )
    return [pair for batch in stream for pair in batch]


def digest(pairs: list) -> bytes:
    return np.stack([vector for _, vector in pairs]).tobytes()


def decoding_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("tagmine-decode")]


def test_each_picture_gets_its_own_vector_in_order(encoder: Encoder) -> None:
    pairs = run(encoder, enumerate(PHOTOS))
    assert [tag for tag, _ in pairs] == list(range(45))
    pixels = [encoder.preprocess(decode_image(photo, LIMITS, 48)) for photo in PHOTOS]
    expected = encoder.embed_images(np.stack(pixels))
    assert digest(pairs) == expected.tobytes()


def test_rejects_keep_their_places_and_disturb_nobody(encoder: Encoder) -> None:
    good = dict(run(encoder, enumerate(PHOTOS)))
    items = [(i, data) for i, data in enumerate(PHOTOS)]
    for place in (45, 20, 19, 0):
        items.insert(place, (f"bad before {place}", b"not a picture"))
    pairs = run(encoder, items)
    assert [tag for tag, _ in pairs] == [tag for tag, _ in items]
    for tag, outcome in pairs:
        if isinstance(tag, str):
            assert isinstance(outcome, ImageRejected)
            assert outcome.reason == "image_undecodable"
        else:
            assert outcome.tobytes() == good[tag].tobytes()


def test_a_stream_of_rejects_or_of_nothing(encoder: Encoder) -> None:
    assert run(encoder, []) == []
    pairs = run(encoder, ((i, b"") for i in range(40)))
    assert [tag for tag, _ in pairs] == list(range(40))
    assert all(isinstance(outcome, ImageRejected) for _, outcome in pairs)


@pytest.mark.parametrize(("batch_size", "workers", "threads"), [(1, 1, 1), (7, 3, 2), (64, 2, 4)])
def test_the_bytes_do_not_depend_on_batch_size_or_threads(
    encoder: Encoder, folder: Path, batch_size: int, workers: int, threads: int
) -> None:
    other = load_encoder(str(folder), device="cpu", num_threads=threads)
    expected = digest(run(encoder, enumerate(PHOTOS)))
    assert digest(run(other, enumerate(PHOTOS), batch_size, workers)) == expected


@pytest.mark.parametrize("clip", ["folder", "demo"])
def test_processes_of_other_thread_counts_give_the_same_bytes(
    folder: Path, tmp_path: Path, clip: str
) -> None:
    # The demo encoder's convolutions are large enough to be shared out among threads.
    model = str(folder) if clip == "folder" else clip
    np.savez(tmp_path / "photos.npz", *[np.frombuffer(data, np.uint8) for data in PHOTOS])
    program = """
import sys
import numpy as np
from index.embedding import embed_stream
from index.encoder import load_encoder
from index.images import ImageLimits
photos = np.load(sys.argv[2])
items = ((name, photos[name].tobytes()) for name in photos.files)
stream = embed_stream(load_encoder(sys.argv[1], device="cpu"), items, batch_size=5,
                      num_prepro_workers=1, limits=ImageLimits())
sys.stdout.buffer.write(b"".join(row.tobytes() for batch in stream for _, row in batch))
"""
    root = Path(__file__).resolve().parents[2]
    found = [
        subprocess.run(
            [sys.executable, "-c", program, model, str(tmp_path / "photos.npz")],
            capture_output=True,
            check=True,
            cwd=root,
            env={"OMP_NUM_THREADS": threads, "PATH": ""},
        ).stdout
        for threads in ("1", "2", "3")
    ]
    expected = digest(run(load_encoder(model, device="cpu", num_threads=2), enumerate(PHOTOS)))
    assert found == [expected] * 3


def test_only_two_batches_are_held(encoder: Encoder) -> None:
    taken = 0

    def items() -> Iterator[tuple[int, bytes]]:
        nonlocal taken
        for i in range(400):
            taken += 1
            yield i, PHOTOS[i % 45]

    given = 0
    batch_size = 16
    held = []
    stream = embed_stream(
        encoder, items(), batch_size=batch_size, num_prepro_workers=2, limits=LIMITS
    )
    for batch in stream:
        given += len(batch)
        held.append(taken - given)
    assert given == 400
    assert max(held) <= 2 * batch_size + (encoder.passes + 1) * CPU_ROWS
    assert max(held) >= batch_size


def test_decoding_goes_on_while_the_model_computes(encoder: Encoder) -> None:
    """The model waits for a picture that only later decoding brings: no overlap, no end."""
    later_decoded = threading.Event()
    preprocess, forward = encoder.preprocess, encoder.model.encode_image
    decoded: list[int] = []

    def watched(image: Image.Image) -> np.ndarray:
        decoded.append(1)
        if len(decoded) > CPU_ROWS:
            later_decoded.set()
        return preprocess(image)

    def waiting(inputs: torch.Tensor) -> torch.Tensor:
        assert later_decoded.wait(timeout=30)
        return forward(inputs)

    encoder.preprocess, encoder.model.encode_image = watched, waiting
    assert len(run(encoder, enumerate(PHOTOS))) == 45


def test_threads_end_with_the_stream(encoder: Encoder) -> None:
    run(encoder, enumerate(PHOTOS))
    assert decoding_threads() == []


def test_threads_end_when_the_consumer_stops_early(encoder: Encoder) -> None:
    stream = embed_stream(
        encoder, enumerate(PHOTOS * 5), batch_size=16, num_prepro_workers=3, limits=LIMITS
    )
    next(stream)
    assert decoding_threads() != []
    stream.close()
    assert decoding_threads() == []


def test_an_error_of_the_source_comes_through_and_threads_end(encoder: Encoder) -> None:
    def broken() -> Iterator[tuple[int, bytes]]:
        yield from enumerate(PHOTOS)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        run(encoder, broken())
    assert decoding_threads() == []


def memory_for(encoder: Encoder, rows: int, error: Exception) -> list[int]:
    """Let the model fail above `rows` rows, as a small device does; returns the sizes tried."""
    forward = encoder.model.encode_image
    tried: list[int] = []

    def limited(inputs: torch.Tensor) -> torch.Tensor:
        tried.append(len(inputs))
        if len(inputs) > rows:
            raise error
        return forward(inputs)

    encoder.model.encode_image = limited
    return tried


GPU_FULL = torch.OutOfMemoryError("CUDA out of memory")
CPU_FULL = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")


@pytest.mark.parametrize("error", [GPU_FULL, CPU_FULL], ids=["gpu", "cpu"])
def test_a_full_device_halves_the_batch_and_remembers(encoder: Encoder, error: Exception) -> None:
    expected = np.stack([vector for _, vector in run(encoder, enumerate(PHOTOS))])
    tried = memory_for(encoder, 3, error)
    pairs = run(encoder, enumerate(PHOTOS))
    assert [tag for tag, _ in pairs] == list(range(45))
    vectors = np.stack([vector for _, vector in pairs])
    np.testing.assert_allclose(vectors, expected, atol=2e-3)
    first_success = tried.index(2)
    tried.clear()
    run(encoder, enumerate(PHOTOS))
    assert set(tried) == {2}
    assert first_success <= 2 * (encoder.passes + 1)


def test_a_device_too_small_for_one_picture_is_an_error(encoder: Encoder) -> None:
    memory_for(encoder, 0, GPU_FULL)
    with pytest.raises(ConfigurationError, match="too little memory to embed a single picture"):
        run(encoder, enumerate(PHOTOS))
    assert decoding_threads() == []


def test_other_errors_of_the_model_are_not_taken_for_a_full_device(encoder: Encoder) -> None:
    tried = memory_for(encoder, 0, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        run(encoder, enumerate(PHOTOS))
    assert set(tried) == {CPU_ROWS}


@pytest.mark.parametrize(("batch_size", "workers"), [(0, 1), (1, 0)])
def test_sizes_below_one_are_refused(encoder: Encoder, batch_size: int, workers: int) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        run(encoder, [], batch_size, workers)
