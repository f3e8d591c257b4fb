"""From rows to batches: labels, padding, images and tags of unequal number, noise."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
import torch

from index.images import ImageLimits
from index.retrievals import write_retrievals
from tuna_model.collator import TunaCollator
from tuna_model.controls import CONTROLS
from tuna_model.instruction_rows import RowRejected
from tuna_model.noise import TagNoise
from tuna_model.retrieval import StoredRetrievals
from tuna_model.training_data import InstructionRows, RowLoader
from tuna_model.training_rows import prepare_rows
from tuna_model.training_start import tags_of

ANSWERS = ("a red car .", "yes", "a cat in the house", "no")


def row(image: str | None, *turns: str) -> dict:
    said = [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(turns)]
    return {"id": turns[0], "conversations": said} | ({} if image is None else {"image": image})


ROWS = (
    row("0.png", "what is this ?\n<image>", ANSWERS[0], "is it blue ?", ANSWERS[3]),
    row(None, "what is a cat ?", ANSWERS[2]),
    row("1.png", "<image>\na dog ?", ANSWERS[1]),
    row("2.png", "<image>", ANSWERS[1]),
)
TAGS = {"0.png": ("car", "red car", "lisbon"), "1.png": ("dog",), "2.png": ()}


@pytest.fixture
def loader(tmp_path, tiny_processor, tools) -> RowLoader:
    for number, name in enumerate(TAGS):
        tools.picture(number, 40).save(tmp_path / name)
    found = [(name, tools.retrieval(*tags)) for name, tags in TAGS.items()]
    write_retrievals(tmp_path / "tags.parquet", found)
    stored = StoredRetrievals(tmp_path / "tags.parquet")
    return RowLoader(tiny_processor, CONTROLS["tuna"], 200, tmp_path, stored)


def load(loader: RowLoader, value: object, noise: TagNoise | None = None) -> dict:
    import random

    return loader.load(value, noise, random.Random(0))


def test_labels_are_the_answers_and_the_end_of_each(loader):
    tokenizer = loader.processor.tokenizer
    for value in ROWS:
        loaded = load(loader, value)
        labels = [label for label in loaded["labels"] if label != -100]
        said = [turn["value"] for turn in value["conversations"][1::2]]
        expected = [
            tokenizer(f"{text}</s>", add_special_tokens=False)["input_ids"] for text in said
        ]
        assert labels == [token for answer in expected for token in answer]
        pairs = zip(loaded["input_ids"], loaded["labels"], strict=True)
        assert all(label in (-100, token) for token, label in pairs)


def test_a_row_has_its_images_placeholders_first_and_its_tags_after_them(loader, tools):
    loaded = load(loader, ROWS[0])
    processor = loader.processor
    ids = loaded["input_ids"]
    assert ids.count(processor.image_token_id) == tools.cells
    last_image = max(i for i, token in enumerate(ids) if token == processor.image_token_id)
    first_tag = ids.index(processor.tag_token_id)
    assert last_image < first_tag < ids.index(processor.tokenizer("what")["input_ids"][-1])
    assert loaded["tags"] == TAGS["0.png"]
    assert loaded["pixel_values"].shape == (3, 32, 32)
    assert "pixel_values" not in load(loader, ROWS[1])


def test_a_batch_of_unequal_rows_is_each_row_by_itself(loader, tiny_tuna):
    loaded = [load(loader, value) for value in ROWS]
    collate = TunaCollator(loader.processor)
    batch = collate(loaded)
    assert batch["pixel_values"].shape == (3, 3, 32, 32)
    assert batch["tag_clip_ids"].shape[:2] == (4, 3)
    assert batch["tag_clip_mask"].any(-1).sum(-1).tolist() == [3, 0, 1, 0]
    tiny_tuna.eval()
    with torch.no_grad():
        together = tiny_tuna(**batch, num_items_in_batch=1).loss
        alone = sum(tiny_tuna(**collate([one]), num_items_in_batch=1).loss for one in loaded)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)
    text = collate([loaded[1]])
    assert set(text) == {"input_ids", "attention_mask", "labels"}


def test_noise_belongs_to_the_item_and_not_to_who_loads_it(tmp_path, loader):
    data = tmp_path / "rows.json"
    data.write_text(json.dumps(ROWS))
    rows = prepare_rows(data, loader, tmp_path / "out", {}, 0)
    noise = TagNoise(0.4, 0.5, ("tree", "boat", "blue boat"))
    tags = [InstructionRows(data, rows, loader, noise, 3)[item]["tags"] for item in range(0, 80, 4)]
    again = InstructionRows(data, rows, loader, noise, 3)
    assert [again[item]["tags"] for item in reversed(range(0, 80, 4))] == tags[::-1]
    assert len(set(tags)) > 5
    assert all(len(found) <= 3 for found in tags)
    other = InstructionRows(data, rows, loader, noise, 4)
    assert [other[item]["tags"] for item in range(0, 80, 4)] != tags
    plain = InstructionRows(data, rows, loader, None, 3)
    assert plain[0]["tags"] == plain[4]["tags"] == TAGS["0.png"]


def test_noise_that_makes_a_row_too_long_is_left_out(loader):
    long = TagNoise(0, 1, ("a red car in the house in lisbon of the cat",))
    length = len(load(loader, ROWS[2])["input_ids"])
    tight = RowLoader(
        loader.processor, loader.control, length - 1, loader.image_folder, loader.retrievals
    )
    assert load(tight, ROWS[2], long)["tags"] == TAGS["1.png"]


def test_a_control_without_tags_gives_what_llava_gives(loader, llava_parts):
    plain = RowLoader(loader.processor, CONTROLS["no_tags"], 200, loader.image_folder)
    loaded = load(plain, ROWS[0])
    batch = TunaCollator(loader.processor)([loaded])
    assert not {"tag_index", "tag_clip_ids"} & set(batch)
    assert loader.processor.tag_token_id not in loaded["input_ids"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (row("gone.png", "<image>", "yes"), "image_missing"),
        (row("3.png", "<image>", "yes"), "no_retrieval"),
        (row(None, "<tags>", "yes"), "special_token"),
        (row(None, "what ?", "<hint>"), "special_token"),
        (row(None, "car " * 300, "yes"), "too_long"),
    ],
)
def test_a_row_that_cannot_be_used_says_why(loader, tmp_path, tools, value, reason):
    tools.picture(3).save(tmp_path / "3.png")
    with pytest.raises(RowRejected) as rejected:
        loader.check(value)
    assert rejected.value.reason == reason


def test_images_without_a_folder_are_missing(loader):
    blind = RowLoader(loader.processor, CONTROLS["no_tags"], 200)
    assert blind.check(ROWS[1]).image is False
    with pytest.raises(RowRejected, match="--image-folder"):
        blind.check(ROWS[0])


def test_an_image_that_is_too_large_is_said_to_be(loader):
    limits = ImageLimits(max_pixels=100)
    small = RowLoader(loader.processor, CONTROLS["no_tags"], 200, loader.image_folder, None, limits)
    with pytest.raises(RowRejected, match="image_too_large"):
        small.check(ROWS[0])


def test_random_tags_come_from_the_retrievals(tmp_path, loader):
    assert tags_of(tmp_path / "tags.parquet") == ("car", "red car", "lisbon", "dog")


def test_real_photos_become_batches(shared_data, tmp_path, tiny_processor):
    shard = shared_data / "shards/coco-mini/coco-mini-train-0000.tar"
    rows = []
    with tarfile.open(shard) as archive:
        for member in archive.getmembers():
            if Path(member.name).suffix == ".jpg" and len(rows) < 4:
                data = archive.extractfile(member).read()
                (tmp_path / Path(member.name).name).write_bytes(data)
                rows.append(row(Path(member.name).name, "<image>\nwhat is in this picture ?", "a"))
    loader = RowLoader(tiny_processor, CONTROLS["no_tags"], 200, tmp_path)
    assert all(loader.check(value).image for value in rows)
    batch = TunaCollator(tiny_processor)([load(loader, value) for value in rows])
    assert batch["pixel_values"].shape == (4, 3, 32, 32)
    assert batch["pixel_values"].std() > 0.3
