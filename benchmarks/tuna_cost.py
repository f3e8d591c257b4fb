"""What tags add to a training step and to the time to the first token of the same LLaVA.

    python -m benchmarks.tuna_cost [--preset small] [--vectors 1000000] [--folder DIR]
    python -m benchmarks.tuna_cost --preset 7b --device cuda

The models have random weights and LLaVA-1.5's form; `benchmarks.tuna_sizes` says what of the real
model's proportions the small one keeps, and where the numbers of tags and of their tokens come
from; `benchmarks.tuna_flops` counts both. Two numbers of tags: what retrieval gives on average, and
the most that it may give. A prompt is 64 tokens beside its image: Vicuna's system prompt and roles
are 49 with a question of six words. A training row has 256, which is a guess: nobody here has
LLaVA-665K.

Plain LLaVA is the same model without tags. It is also given a prompt with as many words as the
tags have tokens, which tells what of the ratio any longer prompt costs, and what is TUNA's own. The
three take turns; the median of the turns' ratios counts, of CPU seconds of this process on a CPU,
since other work may share it, and of seconds on a GPU.

The time to the first token includes the search of a datastore of --vectors images, of the index and
effort that tagmine takes, and reading and pooling the captions and tags of five neighbours. The
query is what the vision tower gives anyway, as where the datastore's encoder is the model's own
(`tuna_model.own_tower`); turns go through 32 of them. CLIP's embeddings of the tags are made anew
for each first token, with retrieval or without, which is the worst case; a training step finds them
cached. In
training tags come from `tagmine retrieve`, and the optimiser's step is left out: it is the same for
both.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.index_data import Collection, write_collection
from benchmarks.index_ours import build, publish
from benchmarks.tuna_flops import FIRST_TARGET, STEP_TARGET
from benchmarks.tuna_flops import report as report_count
from benchmarks.tuna_sizes import CAP, PRESETS, RETRIEVED, inputs, labels_of, make_model, tag_tokens
from index.search import Datastore, open_datastore
from tagmine.layout import MANIFEST
from tuna_model.modeling_tuna import TunaForConditionalGeneration

_K = 5
_TAGS_OF_IMAGE = 3
_INDEX = {1_000_000: "IVF4096,PQ32x8"}


def training_step(
    model: TunaForConditionalGeneration, data: dict[str, torch.Tensor]
) -> Callable[[], None]:
    """Forward and backward of what instruction tuning trains."""
    labels = labels_of(data)

    def step() -> None:
        model.zero_grad(set_to_none=True)
        model(**data, labels=labels).loss.backward()

    return step


def first_token(
    model: TunaForConditionalGeneration,
    data: dict[str, torch.Tensor],
    datastore: Datastore | None,
    queries: np.ndarray,
) -> Callable[[], None]:
    """The picture, retrieval where there is a datastore, then the first token of an answer.

    Args:
        model: LLaVA or TUNA.
        data: the prompt and its picture.
        datastore: whom to ask, or None.
        queries: float32 [n, dim]; each call asks the next of them.
    """
    turns = itertools.cycle(queries)
    asked = {name: value for name, value in data.items() if name != "pixel_values"}

    @torch.inference_mode()
    def answer() -> None:
        seen = model.model.get_image_features(data["pixel_values"], return_dict=True)
        if datastore is not None:
            datastore.query(next(turns)[None], _K)
        model.model.clip_text.clear()
        asked["mm_encoder_outputs"] = {"image": seen}
        model.generate(**asked, max_new_tokens=1, do_sample=False)

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


def search_alone(datastore: Datastore, queries: np.ndarray) -> None:
    """Print what retrieval takes without a model, of pictures that it has not been asked for."""
    for stage, work in (
        ("search", lambda query: datastore.search(query, _K)),
        ("search, captions, tags", lambda query: datastore.query(query, _K)),
    ):
        taken = []
        for query in queries:
            cpu, wall = time.process_time(), time.perf_counter()
            work(query[None])
            taken.append((time.process_time() - cpu, time.perf_counter() - wall))
        cpu, wall = (statistics.median(one) * 1e3 for one in zip(*taken, strict=True))
        print(f"{stage}: {cpu:.1f} ms of CPU, {wall:.1f} ms by the clock", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    options = read_options(argv)
    torch.set_num_threads(1 if options.device == "cpu" else torch.get_num_threads())
    model = make_model(PRESETS[options.preset], options.device)
    report_count(options.preset, options.ask_words, options.train_words)
    dim = PRESETS[options.preset].dim
    with tempfile.TemporaryDirectory(prefix="tagmine-cost-") as folder:
        datastore = make_datastore(options.folder or Path(folder), options.vectors, dim)
        queries = Collection("clip", options.vectors, dim).queries(32)
        search_alone(datastore, queries)
        for tags in options.tags:
            measure(model, datastore, queries, tags, options)
    return 0


def read_options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", choices=sorted(PRESETS), default="small")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--vectors", type=int, default=1_000_000, help="images of the datastore")
    parser.add_argument(
        "--folder", type=Path, help="where the datastore is, or is made and stays (default: made)"
    )
    parser.add_argument("--tags", type=int, nargs="+", default=[RETRIEVED, CAP])
    parser.add_argument("--train-words", type=int, default=256, help="of a training conversation")
    parser.add_argument("--ask-words", type=int, default=64, help="of a question and its frame")
    parser.add_argument("--turns", type=int, default=9)
    return parser.parse_args(argv)


def measure(
    model: TunaForConditionalGeneration,
    datastore: Datastore,
    queries: np.ndarray,
    tags: int,
    options: argparse.Namespace,
) -> None:
    """Print what so many tags cost."""
    shapes = ((0, 0), (tag_tokens(tags), 0), (0, tags))
    train, asked = (
        [inputs(model, words + extra, count, options.device) for extra, count in shapes]
        for words in (options.train_words, options.ask_words)
    )
    for name, rows in (("training", train), ("first token", asked)):
        a, b = rows[0]["input_ids"].shape[1], rows[-1]["input_ids"].shape[1]
        print(f"{tags} tags, {name}: {a} tokens plain, {b} with tags, {b / a - 1:+.1%}")
    model.train()
    found = compare([training_step(model, d) for d in train], options.turns, options.device)
    report("training step", found, STEP_TARGET)
    model.eval()
    model.zero_grad(set_to_none=True)
    for name, store in (("time to first token", datastore), ("the same, no retrieval", None)):
        works = [first_token(model, row, None, queries) for row in asked[:2]]
        works.append(first_token(model, asked[2], store, queries))
        report(name, compare(works, options.turns, options.device), FIRST_TARGET)


def make_datastore(root: Path, vectors: int, dim: int) -> Datastore:
    """A datastore of synthetic vectors, each with a caption and three tags; or what is there."""
    if not (root / MANIFEST).exists():
        write_collection(root, Collection("clip", vectors, dim), _TAGS_OF_IMAGE)
        key = _INDEX.get(vectors, "IVF64,PQ16x8" if vectors >= 10_000 else "Flat")
        build(root, key, vectors)
        publish(root, key, vectors)
    return open_datastore(root)


if __name__ == "__main__":
    raise SystemExit(main())
