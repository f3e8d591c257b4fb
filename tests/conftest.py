"""Shards and folders that several tests need."""

from __future__ import annotations

import hashlib
import io
import json
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


@pytest.fixture(scope="session")
def repin() -> Callable[..., None]:
    """A function that makes cards and manifest agree with altered files, as a liar would.

    Takes the datastore's folder, the altered file's path in it, and for an index shard how many
    vectors to say that it has.
    """

    def alter(root: Path, path: str, rows: int | None = None) -> None:
        card = (root / path).with_suffix(".json")
        if path.startswith("index/") and card.exists():
            record = json.loads(card.read_text()) | {"sha256": _sha256(root / path)}
            card.write_text(json.dumps(record | ({} if rows is None else {"vectors": rows})))
            _pin(root, f"index/{card.name}", None)
        _pin(root, path, rows)

    return alter


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _pin(root: Path, path: str, rows: int | None) -> None:
    manifest = json.loads((root / "manifest.json").read_text())
    cards = [manifest["index"]["trained"], manifest["index"]["trained_card"]]
    cards += [shard[kind] for shard in manifest["index"]["shards"] for kind in ("file", "card")]
    kinds = ("tags", "embeddings", "thumbnails")
    cards += [part[kind] for part in manifest["parts"] for kind in kinds if kind in part]
    card = next(card for card in cards if card["path"] == path)
    card |= {"bytes": (root / path).stat().st_size, "sha256": _sha256(root / path)}
    if rows is not None:
        card["rows"] = rows
    (root / "manifest.json").write_text(json.dumps(manifest))


# Captions, and what FACTUAL writes of captions like them.
FACTUAL_PAIRS = (
    (
        "a red car parked next to a yellow bicycle .",
        "( car , is , red ) , ( bicycle , is , yellow ) , ( car , park next to , bicycle )",
    ),
    (
        "two dogs playing on the beach in Lisbon .",
        "( dogs , is , 2 ) , ( dogs , play on , beach ) , ( beach , in , lisbon )",
    ),
    ("this is a wooden bench .", "( bench , is , wooden )"),
)


@pytest.fixture(scope="session")
def factual_pairs() -> tuple[tuple[str, str], ...]:
    """Captions, and the output of FACTUAL that `tiny_factual` has learned for each."""
    return FACTUAL_PAIRS


@pytest.fixture(scope="session")
def tiny_factual(tmp_path_factory) -> Path:
    """A tiny T5 in FACTUAL's form that has learned `FACTUAL_PAIRS` by heart."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import T5Config, T5ForConditionalGeneration

    folder = tmp_path_factory.mktemp("factual")
    texts = [f"Generate Scene Graph: {text}" for pair in FACTUAL_PAIRS for text in pair]
    words = dict.fromkeys(" ".join(texts).split())
    vocabulary = {word: i for i, word in enumerate(["<pad>", "</s>", "<unk>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing("$A </s>", None, [("</s>", 1)])
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tokenizer.save(str(folder / "tokenizer.json"))

    def batch(texts: Sequence[str], pad: int) -> torch.Tensor:
        rows = [tokenizer.encode(text).ids for text in texts]
        width = max(map(len, rows))
        return torch.tensor([row + [pad] * (width - len(row)) for row in rows])

    torch.manual_seed(0)
    sizes = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2}
    options = {"dropout_rate": 0.0, "tie_word_embeddings": False, "decoder_start_token_id": 0}
    config = T5Config(vocab_size=len(vocabulary), **sizes, **options)
    model = T5ForConditionalGeneration(config)
    captions = batch([f"Generate Scene Graph: {caption}" for caption, _ in FACTUAL_PAIRS], 0)
    graphs = batch([graph for _, graph in FACTUAL_PAIRS], -100)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    for _ in range(600):
        loss = model(input_ids=captions, attention_mask=captions.ne(0), labels=graphs).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss < 0.001:
            break
    assert loss < 0.001
    model.save_pretrained(folder)
    return folder


_BRANDS = ("Chloé", "Hermès", "Löwenherz", "Acne Studios")


@pytest.fixture(scope="session")
def fashion_products(shared_data) -> list[tuple[dict, Image.Image]]:
    """Twelve real products with their photos."""
    with tarfile.open(shared_data / "shards/fashion/00000.tar") as archive:
        found = []
        for number in range(12):
            record = json.loads(archive.extractfile(f"{number:09d}.json").read())
            data = archive.extractfile(f"{number:09d}.jpg").read()
            found.append((record, Image.open(io.BytesIO(data)).convert("RGB")))
    return found


def latin_1(values: list[str], width: int = 400) -> np.ndarray:
    """(n, 1) byte strings in Latin-1, as the file has them."""
    return np.array([[value.encode("latin-1")] for value in values], f"S{width}")


@pytest.fixture(scope="session")
def fashiongen(fashion_products, tmp_path_factory) -> Path:
    """FashionGen's layout: two poses of each of twelve products, apart, the second one first."""
    import h5py

    path = tmp_path_factory.mktemp("fashion") / "fashiongen_256_256_train.h5"
    twice = [*fashion_products, *fashion_products]
    records = [record for record, _ in twice]
    brands = [_BRANDS[n % 12 % 4] for n in range(24)]
    pixels = [np.asarray(photo.resize((256, 256))) for _, photo in twice]
    with h5py.File(path, "w") as file:
        file["index"] = np.arange(24)[:, None]
        file.create_dataset("input_image", data=np.stack(pixels), chunks=(5, 256, 256, 3))
        file["input_name"] = latin_1([record["caption"] for record in records])
        said = [
            f"Cotton shirt by {brand} in {r['baseColour']}."
            for brand, r in zip(brands, records, strict=True)
        ]
        # The second photo of a product says nothing of its own.
        file["input_description"] = latin_1([*said[:12], *[""] * 12])
        file["input_brand"] = latin_1(brands)
        file["input_category"] = latin_1([r["articleType"].upper() for r in records])
        file["input_composition"] = latin_1(
            ["Body: 96% cotton, 4% elastane. Trim: 100% calf leather."] * 24
        )
        file["input_gender"] = latin_1([record["gender"] for record in records])
        file["input_productID"] = np.array([[n % 12 + 700] for n in range(24)])
        file["input_pose"] = latin_1(["id_gridfs_2"] * 12 + ["id_gridfs_1"] * 12)
    return path
