"""Embedding from JPEG bytes against the bare model's forward pass on ready tensors.

    python -m benchmarks.embedding_speed --shards '../shared/data/shards/coco-mini/*.tar'

Both work on the same pictures with the same batch size and autocast, in turns, and the median of
the turns' ratios is what counts: whatever else the machine does then hits both. The weights are
random: they change no speed. Two baselines are timed. "bare" is what one would write: batches
through the model, torch's own threads. "bare, side by side" gives the bare model tagmine's own
arrangement (passes of a few rows, a thread each), so that what decoding costs shows by itself.
"""

from __future__ import annotations

import argparse
import glob
import io
import json
import statistics
import tarfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image

from index.clip_sources import ClipSource
from index.embedding import embed_stream
from index.encoder import Encoder, encoder_of
from index.images import ImageLimits, decode_image

_NAMES = ("bare", "bare, side by side", "tagmine from JPEG")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shards", help="tar or glob of tars with .jpg members; else drawn photos")
    parser.add_argument("--clip-model", default="ViT-B-32", help="open_clip architecture")
    parser.add_argument("--device", default=None, help="cpu, cuda; default: a GPU if there is one")
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--shrink-to", type=int, help="first store photos with this shortest side")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--num-prepro-workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the numbers there, too")
    options = parser.parse_args(argv)
    torch.manual_seed(0)
    encoder = _random_encoder(options.clip_model, options.device)
    photos = _photos(options.shards, options.images, options.shrink_to)
    report = _measure(encoder, photos, options)
    _print(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


def _random_encoder(architecture: str, device: str | None) -> Encoder:
    model = open_clip.create_model(architecture, pretrained=None)
    source = ClipSource(architecture, None, open_clip.get_model_config(architecture))
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return encoder_of(model, f"{architecture}/random", source, device=place)


def _photos(shards: str | None, count: int, shortest_side: int | None) -> list[bytes]:
    photos: list[bytes] = []
    for path in sorted(glob.glob(shards)) if shards else ():
        with tarfile.open(path) as archive:
            members = (m for m in archive if m.isfile() and m.name.endswith((".jpg", ".jpeg")))
            photos.extend(archive.extractfile(member).read() for member in members)
    if shards and not photos:
        raise SystemExit(f"no .jpg members in {shards}")
    if not photos:
        rng = np.random.default_rng(0)
        photos = [_drawn(rng) for _ in range(min(count, 64))]
    if shortest_side:
        photos = [_shrunk(photo, shortest_side) for photo in photos]
    return [photos[i % len(photos)] for i in range(count)]


def _drawn(rng: np.random.Generator) -> bytes:
    """640 x 480 with detail at several scales; compresses like a photo (about 100 KB)."""
    canvas = np.zeros((480, 640, 3), np.float32)
    for side, weight in ((6, 120.0), (40, 60.0), (480, 12.0)):
        coarse = rng.random((side, side, 3)).astype(np.float32) * weight
        rows, columns = np.arange(480) * side // 480, np.arange(640) * side // 640
        canvas += coarse[rows][:, columns]
    return _jpeg(Image.fromarray(canvas.clip(0, 255).astype(np.uint8)))


def _shrunk(photo: bytes, shortest_side: int) -> bytes:
    image = Image.open(io.BytesIO(photo)).convert("RGB")
    factor = shortest_side / min(image.size)
    return _jpeg(image.resize([round(side * factor) for side in image.size], Image.BICUBIC))


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def _measure(encoder: Encoder, photos: list[bytes], options: argparse.Namespace) -> dict:
    limits = ImageLimits()
    first = [decode_image(photo, limits, encoder.image_size) for photo in photos]
    pixels = np.stack([encoder.preprocess(image) for image in first])
    del first
    side_by_side = pixels.copy()
    tensors = _ready(encoder, pixels, options.batch_size)
    arms: tuple[Callable[[], object], ...] = (
        lambda: _bare(encoder, tensors),
        lambda: encoder.embed_images(side_by_side),
        lambda: [
            batch
            for batch in embed_stream(
                encoder,
                enumerate(photos),
                batch_size=options.batch_size,
                num_prepro_workers=options.num_prepro_workers,
                limits=limits,
            )
        ],
    )
    for arm in arms:
        arm()
    seconds = np.array([[_timed(arm, encoder) for arm in arms] for _ in range(options.repeats)])
    rates = len(photos) / np.median(seconds, axis=0)
    return {
        "clip_model": encoder.card.clip_model,
        "device": str(encoder.device),
        "precision": encoder.card.precision,
        "threads": torch.get_num_threads(),
        "images": len(photos),
        "batch_size": options.batch_size,
        "num_prepro_workers": options.num_prepro_workers,
        "repeats": options.repeats,
        "images_per_second": dict(zip(_NAMES, rates.round(2).tolist(), strict=True)),
        "ratio_to_bare": _ratios(seconds[:, 0] / seconds[:, 2]),
        "ratio_to_side_by_side": _ratios(seconds[:, 1] / seconds[:, 2]),
        "decode_ms": _decode_ms(encoder, photos, limits),
    }


def _ready(encoder: Encoder, pixels: np.ndarray, batch_size: int) -> list[torch.Tensor]:
    normalized = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(255).sub(0.45).div(0.27)
    return [piece.contiguous().to(encoder.device) for piece in normalized.split(batch_size)]


def _bare(encoder: Encoder, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    with torch.inference_mode(), encoder.autocast():
        return [encoder.model.encode_image(batch) for batch in tensors]


def _timed(arm: Callable[[], object], encoder: Encoder) -> float:
    begin = time.perf_counter()
    arm()
    if encoder.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def _decode_ms(encoder: Encoder, photos: list[bytes], limits: ImageLimits) -> float:
    """CPU time of one core to decode and shrink a photo."""
    begin = time.thread_time()
    for photo in photos:
        encoder.preprocess(decode_image(photo, limits, encoder.image_size))
    return round((time.thread_time() - begin) / len(photos) * 1000, 2)


def _ratios(turns: np.ndarray) -> dict[str, float]:
    values = [round(float(value), 3) for value in turns]
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def _print(report: dict) -> None:
    print(
        f"{report['clip_model']} on {report['device']} ({report['precision']}), "
        f"{report['images']} photos, batches of {report['batch_size']}, "
        f"{report['threads']} threads, median of {report['repeats']} alternating turns"
    )
    for name, rate in report["images_per_second"].items():
        print(f"  {name:<22}{rate:10.2f} images/s")
    for name in ("ratio_to_bare", "ratio_to_side_by_side"):
        ratio = report[name]
        label = name.replace("_", " ")
        print(f"  {label:<22}{ratio['median']:10.3f} ({ratio['lowest']} to {ratio['highest']})")
    print(f"  {'decode and shrink':<22}{report['decode_ms']:10.2f} ms of one core a photo")


if __name__ == "__main__":
    raise SystemExit(main())
