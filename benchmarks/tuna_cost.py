"""What tags add to a training step and to the time to the first token of the same LLaVA.

    python -m benchmarks.tuna_cost [--preset small] [--vectors 1000000] [--tags 24]
    python -m benchmarks.tuna_cost --preset 7b --device cuda

The models have random weights and LLaVA-1.5's form: 576 tokens an image, 24 tags. The small preset
has its proportions too: the vision tower has about 5 % of the language model's parameters, the text
tower 1 %. Plain LLaVA is the same model without tags. It is also given a prompt with as many words
as the tags have tokens, which tells what of the ratio any longer prompt costs, and what is TUNA's
own. The three take turns; the median of the turns' ratios counts, of CPU seconds on a CPU and of
seconds on a GPU. The time to the first token includes
the search of a datastore of --vectors images and reading and pooling their tags; the CLIP
embeddings of the tags are not cached, which is the worst case. In training tags come from `tagmine
retrieve`, and the optimiser's step is left out: it is the same for both.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import CLIPConfig, CLIPModel, LlamaConfig, LlavaConfig
from transformers import LlavaForConditionalGeneration as Llava

from benchmarks.index_data import Collection, write_collection
from benchmarks.index_ours import build, publish
from index.search import Datastore, open_datastore
from tuna_model.modeling_tuna import TunaForConditionalGeneration

_IMAGE, _TAG, _SOFT, _WORDS = 5, 6, 7, 100
_WORDS_OF_TAG, _CLIP_TOKENS = 3, 6
_STEP_TARGET, _FIRST_TARGET = 1.05, 1.10
_K = 5
_INDEX = {1_000_000: "IVF4096,PQ32x8"}


@dataclasses.dataclass(frozen=True, slots=True)
class Preset:
    """Sizes of a LLaVA: layers and widths of its three towers, and the datastore's dimension."""

    language: tuple[int, int, int]
    vision: tuple[int, int]
    text: tuple[int, int]
    heads: int
    dim: int
    vocabulary: int


PRESETS = {
    "tiny": Preset((2, 64, 128), (2, 32), (2, 32), 2, 32, 200),
    "small": Preset((4, 384, 1024), (2, 128), (1, 96), 4, 512, 2000),
    "7b": Preset((32, 4096, 11008), (24, 1024), (12, 768), 32, 768, 32064),
}


def make_model(preset: Preset, device: str) -> TunaForConditionalGeneration:
    """A TUNA model of random weights; bfloat16 on a GPU."""
    torch.manual_seed(0)
    vision = {
        "num_hidden_layers": preset.vision[0],
        "hidden_size": preset.vision[1],
        "intermediate_size": 4 * preset.vision[1],
        "num_attention_heads": max(2, preset.vision[1] // 64),
        "image_size": 336,
        "patch_size": 14,
        "projection_dim": preset.dim,
    }
    text = {
        "num_hidden_layers": preset.text[0],
        "hidden_size": preset.text[1],
        "intermediate_size": 4 * preset.text[1],
        "num_attention_heads": max(2, preset.text[1] // 64),
        "vocab_size": 400,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 2,
        "projection_dim": preset.dim,
    }
    clip = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=preset.dim))
    layers, width, inner = preset.language
    language = LlamaConfig(
        vocab_size=preset.vocabulary,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=preset.heads,
        num_key_value_heads=preset.heads,
        max_position_embeddings=4096,
    )
    config = LlavaConfig(
        vision_config=clip.config.vision_config, text_config=language, image_token_index=_IMAGE
    )
    dtype = torch.bfloat16 if device != "cpu" else torch.float32
    with torch.device(device):
        llava = Llava._from_config(config, dtype=dtype)
    llava.model.vision_tower.load_state_dict(clip.vision_model.state_dict(), strict=False)
    return TunaForConditionalGeneration.from_llava(
        llava, clip, tag_token_id=_TAG, soft_token_id=_SOFT
    ).to(device)


def inputs(
    model: TunaForConditionalGeneration, words: int, tags: int, device: str
) -> dict[str, torch.Tensor]:
    """One row: an image, tags, so many words; with labels."""
    vocabulary = model.config.text_config.vocab_size
    cells = (336 // 14) ** 2
    ids, index = [1] + [_IMAGE] * cells, [0] * (1 + cells)
    rng = np.random.default_rng(0)
    for number in range(1, tags + 1):
        ids += [_TAG, *rng.integers(_WORDS, vocabulary, _WORDS_OF_TAG).tolist()]
        index += [number] * (1 + _WORDS_OF_TAG)
    ids += rng.integers(_WORDS, vocabulary, words).tolist()
    index += [0] * words
    data = {
        "input_ids": torch.tensor([ids]),
        "attention_mask": torch.ones(1, len(ids), dtype=torch.long),
        "pixel_values": torch.randn(1, 3, 336, 336, dtype=model.dtype),
    }
    if tags:
        clip_ids = torch.tensor(rng.integers(3, 400, (1, tags, _CLIP_TOKENS)))
        clip_ids[..., 0], clip_ids[..., -1] = 0, 1
        data["tag_index"] = torch.tensor([index])
        data["tag_clip_ids"] = clip_ids
        data["tag_clip_mask"] = torch.ones_like(clip_ids)
    return {name: value.to(device) for name, value in data.items()}


def training_step(
    model: TunaForConditionalGeneration, data: dict[str, torch.Tensor]
) -> Callable[[], None]:
    """Forward and backward of what instruction tuning trains."""
    labels = data["input_ids"].masked_fill(data["input_ids"] == _IMAGE, -100)

    def step() -> None:
        model.zero_grad(set_to_none=True)
        model(**data, labels=labels).loss.backward()

    return step


def first_token(
    model: TunaForConditionalGeneration,
    data: dict[str, torch.Tensor],
    datastore: Datastore | None,
    query: np.ndarray,
) -> Callable[[], None]:
    """Retrieval where there is a datastore, then the first token of an answer."""

    def answer() -> None:
        if datastore is not None:
            datastore.query(query, _K)
            model.model.clip_text.clear()
        model.generate(**data, max_new_tokens=1, do_sample=False)

    return answer


@dataclasses.dataclass(frozen=True, slots=True)
class Cost:
    """Median seconds of each, and medians of the turns' ratios.

    Attributes:
        plain, longer, tagged: seconds without tags, with as many more words, with tags.
        prompt: ratio of longer to plain.
        own: ratio of tagged to longer.
        whole: ratio of tagged to plain.
    """

    plain: float
    longer: float
    tagged: float
    prompt: float
    own: float
    whole: float


def compare(works: Sequence[Callable[[], None]], turns: int, device: str) -> Cost:
    """Take turns, after three to warm up: plain, longer and tagged, each of them first in turn."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    seconds = []
    for number in range(turns + 3):
        taken = [0.0] * 3
        # Who goes first gets what another left in the caches.
        for i in ((number + j) % 3 for j in range(3)):
            started = clock()
            works[i]()
            if device != "cpu":
                torch.cuda.synchronize()
            taken[i] = clock() - started
        seconds.append(taken)
    kept = seconds[3:]
    medians = [statistics.median(taken[i] for taken in kept) for i in range(3)]
    ratios = [statistics.median(t[i] / t[j] for t in kept) for i, j in ((1, 0), (2, 1), (2, 0))]
    return Cost(*medians, *ratios)


def report(name: str, found: Cost, target: float) -> None:
    """Print one line."""
    verdict = "met" if found.whole <= target else "MISSED"
    print(
        f"{name}: {found.plain * 1e3:.0f} ms plain, {found.longer * 1e3:.0f} ms with as many more "
        f"words, {found.tagged * 1e3:.0f} ms with tags; ratio {found.whole:.3f} ({verdict}: at "
        f"most {target:.2f}), of which longer prompt {found.prompt:.3f}, ours {found.own:.3f}",
        flush=True,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", choices=sorted(PRESETS), default="small")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--vectors", type=int, default=1_000_000, help="images of the datastore")
    parser.add_argument("--tags", type=int, default=24)
    parser.add_argument("--train-words", type=int, default=256, help="of a training conversation")
    parser.add_argument("--ask-words", type=int, default=64, help="of a question and its frame")
    parser.add_argument("--turns", type=int, default=9)
    options = parser.parse_args(argv)
    torch.set_num_threads(1 if options.device == "cpu" else torch.get_num_threads())
    preset = PRESETS[options.preset]
    model = make_model(preset, options.device)
    shown = sum(p.numel() for p in model.parameters()) / 1e6
    print(f"{options.preset}: {shown:,.1f} M parameters, {options.tags} tags, {options.device}")
    more = options.tags * (1 + _WORDS_OF_TAG)
    shapes = ((0, 0), (more, 0), (0, options.tags))
    train, asked = (
        [inputs(model, words + extra, tags, options.device) for extra, tags in shapes]
        for words in (options.train_words, options.ask_words)
    )
    for name, rows in (("training", train), ("first token", asked)):
        a, b = rows[0]["input_ids"].shape[1], rows[-1]["input_ids"].shape[1]
        print(f"{name}: {a} tokens plain, {b} with tags, {b / a - 1:+.1%}")
    model.train()
    found = compare([training_step(model, d) for d in train], options.turns, options.device)
    report("training step", found, _STEP_TARGET)
    model.eval()
    model.zero_grad(set_to_none=True)
    with tempfile.TemporaryDirectory(prefix="tagmine-cost-") as folder:
        datastore = make_datastore(Path(folder), options.vectors, preset.dim)
        query = Collection("clip", options.vectors, preset.dim).queries(1)
        for name, store in (("time to first token", datastore), ("the same, no retrieval", None)):
            works = [first_token(model, row, None, query) for row in asked[:2]]
            works.append(first_token(model, asked[2], store, query))
            report(name, compare(works, options.turns, options.device), _FIRST_TARGET)
    return 0


def make_datastore(root: Path, vectors: int, dim: int) -> Datastore:
    """A datastore of synthetic vectors, each with a caption and a tag."""
    write_collection(root, Collection("clip", vectors, dim))
    key = _INDEX.get(vectors, "IVF64,PQ16x8" if vectors >= 10_000 else "Flat")
    build(root, key, vectors)
    publish(root, key, vectors)
    return open_datastore(root)


if __name__ == "__main__":
    raise SystemExit(main())
