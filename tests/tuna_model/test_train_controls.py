"""What each control is trained on: inputs of its own, and none that another control has."""

from __future__ import annotations

import dataclasses
import json
import random
from collections import defaultdict
from pathlib import Path

import pytest
import torch

from index.retrievals import Retrieval, write_retrievals
from tagmine.errors import ConfigurationError
from tuna_model.collator import TunaCollator
from tuna_model.controls import CONTROLS, control_named
from tuna_model.train_options import DataOptions, TrainOptions
from tuna_model.trainer import training_arguments
from tuna_model.training_start import load_start, make_loader, make_noise, origin_of

PAGE = (Path(__file__).parents[2] / "docs" / "tuna.md").read_text()
ALIKE = {"no_tags", "no_tag_tuning"}
OWN = ("red car", "lisbon", "house")
OTHERS = ("dog", "blue boat", "tree", "cat", "striped boat", "green tree")
ROW = {
    "image": "0.png",
    "conversations": [
        {"from": "human", "value": "<image>\nwhat is this ?"},
        {"from": "gpt", "value": "a red car ."},
    ],
}


@pytest.fixture
def start(tmp_path, tiny_tuna, tiny_processor, tools) -> Path:
    tiny_tuna.save_pretrained(tmp_path / "model")
    tiny_processor.save_pretrained(tmp_path / "model")
    tools.picture(0).save(tmp_path / "0.png")
    found = [("0.png", tools.retrieval(*OWN)), ("1.png", tools.retrieval(*OTHERS))]
    write_retrievals(tmp_path / "found.parquet", [*found, ("2.png", tools.retrieval())])
    tagged = tools.retrieval("porto", "red car", "tree").tags
    tagger = Retrieval(
        tuple(dataclasses.replace(tag, kind="tagger", neighbours=()) for tag in tagged), ()
    )
    write_retrievals(tmp_path / "tagger.parquet", [("0.png", tagger), ("1.png", Retrieval((), ()))])
    return tmp_path


def data_of(start: Path, control: str, **more) -> DataOptions:
    stored = "tagger" if control == "tagger_tags" else "found"
    given = {"max_length": 200, "retrievals": str(start / f"{stored}.parquet")} | more
    return DataOptions(str(start / "rows.json"), str(start), control=control, **given)


def loaded(start: Path, processor, control: str, seed: int = 0) -> dict:
    """The row as a training with this control gives it to the model."""
    data = data_of(start, control)
    loader = make_loader(data, control_named(control), processor)
    return loader.load(ROW, make_noise(data, control_named(control)), random.Random(seed))


def loss(start: Path, control: str) -> float:
    options = TrainOptions(str(start / "model"), str(start / "out"), data_of(start, control))
    model, processor = load_start(options, bf16=False)
    batch = TunaCollator(processor)([loaded(start, processor, control)])
    with torch.no_grad():
        return model.eval()(**batch).loss.item()


def test_no_two_controls_train_alike_but_those_that_the_page_names(start):
    groups = defaultdict(set)
    for control in CONTROLS:
        groups[loss(start, control)].add(control)
    assert [group for group in groups.values() if len(group) > 1] == [ALIKE]
    assert sum(map(len, groups.values())) == len(CONTROLS)
    assert "There `no_tags` and `no_tag_tuning` are one and the same" in PAGE


def test_the_taggers_control_wants_the_taggers_tags(start, tiny_processor):
    assert loaded(start, tiny_processor, "tagger_tags")["tags"] == ("porto", "red car", "tree")
    neighbours = data_of(start, "tagger_tags", retrievals=str(start / "found.parquet"))
    with pytest.raises(
        ConfigurationError, match="of the kind object, expected tagger .*ClipTagger"
    ):
        make_loader(neighbours, CONTROLS["tagger_tags"], tiny_processor)


def test_random_tags_of_training_are_as_many_as_the_pictures_and_none_of_them(
    start, tiny_processor
):
    drawn = [loaded(start, tiny_processor, "random_tags", seed)["tags"] for seed in range(20)]
    assert all(len(set(tags)) == len(OWN) and set(tags) <= set(OTHERS) for tags in drawn)
    assert {tag for tags in drawn for tag in tags} == set(OTHERS)
    data = data_of(start, "random_tags", retrievals=None)
    with pytest.raises(ConfigurationError, match="--retrievals"):
        make_noise(data, CONTROLS["random_tags"])


def test_a_share_of_random_tags_replaces_that_share(start, tiny_processor):
    data = data_of(start, "tuna", random_tags=0.25)
    loader, noise = (
        make_loader(data, CONTROLS["tuna"], tiny_processor),
        make_noise(data, CONTROLS["tuna"]),
    )
    rng = random.Random(0)
    tags = [loader.load(ROW, noise, rng)["tags"] for _ in range(200)]
    assert {len(one) for one in tags} == {len(OWN)}
    replaced = sum(tag not in OWN for one in tags for tag in one) / (200 * len(OWN))
    assert 0.2 < replaced < 0.3


def test_other_retrievals_are_named_by_their_datastore(start):
    pin = {"format": "tagmine-retrievals", "format_version": 1, "datastore_sha256": "a" * 64}
    pin |= {"clip_model": "demo", "encoder": "b" * 64, "precision": "fp32", "k": 5, "max_tags": 24}
    pin |= {"exclude_above": None, "exclude_own_key": True, "maker": "c" * 64}
    (start / "rows.json").write_text("[]")
    said = []
    for datastore in ("coco-tags", "fashion-tags"):
        folder = start / datastore
        folder.mkdir()
        counts = {"read": 0, "written": 0, "rejected": {}}
        summary = {"pin": pin | {"datastore": datastore}, "parts": 0, "images": counts}
        (folder / "retrievals.json").write_text(json.dumps(summary | {"with_copies": 0}))
        data = data_of(start, "tuna", retrievals=str(folder))
        asked = TrainOptions(str(start / "model"), str(start / "out"), data, device="cpu")
        said.append(origin_of(asked, training_arguments(asked))["--retrievals"])
    assert said[0].startswith("coco-tags with k 5, ")
    assert said[1].startswith("fashion-tags with k 5, ")
