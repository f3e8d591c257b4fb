"""Training: what changes and what does not, that it repeats itself, and that it goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from index.retrievals import write_retrievals
from tuna_model.modeling_tuna import TunaForConditionalGeneration
from tuna_model.processing_tuna import TunaProcessor
from tuna_model.train import train
from tuna_model.train_options import DataOptions, LoraOptions, Schedule, TrainOptions

KINDS = ("car", "dog", "boat", "tree")
COLOURS = ("red", "blue", "green")


@pytest.fixture
def start(tmp_path, tiny_tuna, tiny_processor, tools) -> Path:
    """A folder with a model, instructions, images and retrievals."""
    tiny_tuna.save_pretrained(tmp_path / "model")
    tiny_processor.save_pretrained(tmp_path / "model")
    (tmp_path / "images").mkdir()
    rows, found = [], []
    for number in range(18):
        kind, colour = KINDS[number % 4], COLOURS[number % 3]
        turns = [
            {"from": "human", "value": "<image>\nwhat is this ?"},
            {"from": "gpt", "value": f"a {colour} {kind} ."},
        ]
        row: dict = {"id": number, "conversations": turns}
        if number % 5 == 4:
            turns[0]["value"] = "what is a cat ?"
        else:
            row["image"] = f"{number}.png"
            tools.picture(number).save(tmp_path / "images" / row["image"])
            tags = (kind, f"{colour} {kind}", "house")[: number % 4]
            found.append((row["image"], tools.retrieval(*tags)))
        rows.append(row)
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    write_retrievals(tmp_path / "tags.parquet", found)
    return tmp_path


def options(start: Path, out: str, *, data: dict | None = None, **more) -> TrainOptions:
    folder = {
        "data": str(start / "rows.json"),
        "image_folder": str(start / "images"),
        "retrievals": str(start / "tags.parquet"),
        "max_length": 200,
    }
    schedule = Schedule(epochs=2, batch_size=4, batch_size_per_device=2, learning_rate=1e-2)
    defaults = {"schedule": schedule, "device": "cpu", "workers": 0, "save_steps": 3}
    return TrainOptions(
        str(start / "model"),
        str(start / out),
        DataOptions(**(folder | (data or {}))),
        **(defaults | more),
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(TunaForConditionalGeneration.from_pretrained(folder).state_dict())


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    assert set(before) == set(after)
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_a(start):
    train(options(start, "out"))
    moved = changed(weights(start / "model"), weights(start / "out"))
    print(moved)
    print(sorted(p.name for p in (start/"out").iterdir()))
