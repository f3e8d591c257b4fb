"""Training: what changes and what does not, that it repeats itself, and that it goes on."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    CLIPImageProcessor,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from index.encoder import load_encoder
from index.retrievals import write_retrievals
from tagmine.errors import ConfigurationError
from tuna_model.main import main
from tuna_model.modeling_tuna import TunaForConditionalGeneration
from tuna_model.open_clip_towers import towers_of_encoder
from tuna_model.processing_tuna import TunaProcessor
from tuna_model.train import SUMMARY, train
from tuna_model.train_options import CONFIGS, DataOptions, LoraOptions, Schedule, TrainOptions
from tuna_model.trainer import TunaTrainer, last_checkpoint, training_arguments
from tuna_model.training_start import origin_of

ROOT = Path(__file__).parents[2]
KINDS = ("car", "dog", "boat", "tree")
COLOURS = ("red", "blue", "green")


@pytest.fixture
def start(tmp_path, tiny_tuna, tiny_processor, tools) -> Path:
    """A folder with a model, instructions, images and retrievals."""
    tiny_tuna.save_pretrained(tmp_path / "model")
    tiny_processor.save_pretrained(tmp_path / "model")
    (tmp_path / "images").mkdir()
    rows, found = [], []
    for number in range(20):
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


FROZEN = ("model.vision_tower.", "model.clip_text.", "model.visual_projection.")


def test_towers_stay_and_connector_language_model_and_cross_attention_move(start):
    returned = train(options(start, "out"))
    before, after = weights(start / "model"), weights(start / "out")
    moved = changed(before, after)
    trained = {
        name
        for name in before
        if name.startswith(("model.multi_modal_projector.", "model.language_model.", "lm_head."))
        or name.startswith("model.cross_attention.")
    }
    # Attention does not change when all scores of a query rise together.
    assert moved | {"model.cross_attention.key.bias"} == trained
    assert sum(name.startswith(FROZEN) for name in before) > 20
    assert not changed(returned.state_dict(), after)
    assert not any(parameter.requires_grad for parameter in returned.model.clip_text.parameters())
    saved = json.loads((start / "out/config.json").read_text())
    assert saved["text_config"].get("use_cache", True) is True


def test_a_frozen_cross_attention_stays(start):
    train(options(start, "out", train_cross_attention=False))
    moved = changed(weights(start / "model"), weights(start / "out"))
    assert "lm_head.weight" in moved
    assert not any("cross_attention" in name for name in moved)


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(start):
    noise = {"tag_dropout": 0.3, "random_tags": 0.3}
    train(options(start, "a", data=noise))
    train(options(start, "b", data=noise, workers=2))
    train(options(start, "c", data=noise | {"seed": 1}))
    assert not changed(weights(start / "a"), weights(start / "b"))
    assert changed(weights(start / "a"), weights(start / "c"))


class Killed(BaseException):
    """Not an Exception, so that nothing on the way tidies up for it."""


@pytest.mark.parametrize("lora", [None, LoraOptions(4, 8, 0.1)])
def test_a_killed_training_goes_on_to_the_same_weights(start, monkeypatch, lora):
    noise = {"tag_dropout": 0.3, "random_tags": 0.3}
    train(options(start, "whole", data=noise, lora=lora))
    passes = []
    step = TunaTrainer.training_step

    def killed_in_the_second_epoch(self, *arguments, **more):
        passes.append(1)
        if len(passes) > 15:
            raise Killed
        return step(self, *arguments, **more)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(TunaTrainer, "training_step", killed_in_the_second_epoch)
        train(options(start, "cut", data=noise, lora=lora))
    out = start / "cut"
    assert last_checkpoint(out) == out / "checkpoint-6"
    # What a kill while a checkpoint is written leaves.
    shutil.copytree(out / "checkpoint-6", out / "checkpoint-9")
    (out / "checkpoint-9/trainer_state.json").write_text('{"global_step"')
    (start / "images/0.png").touch()
    train(options(start, "cut", data=noise, lora=lora, resume=True))
    assert not changed(weights(start / "whole"), weights(out))
    whole, cut = (json.loads((start / n / SUMMARY).read_text()) for n in ("whole", "cut"))
    assert whole["rows"] == cut["rows"]
    assert whole["steps"] == cut["steps"] == 10


def test_adapters_are_merged_and_only_what_was_asked_moves(start):
    train(options(start, "out", lora=LoraOptions(4, 8)))
    before, after = weights(start / "model"), weights(start / "out")
    moved = changed(before, after)
    projections = {name for name in before if "language_model.layers" in name and "_proj" in name}
    full = {n for n in before if "multi_modal_projector" in n or "cross_attention" in n}
    assert moved | {"model.cross_attention.key.bias"} == projections | full
    adapter = json.loads((start / "out/checkpoint-10/adapter_config.json").read_text())
    assert (adapter["r"], adapter["lora_alpha"]) == (4, 8)


def test_a_trained_folder_opens_with_transformers_and_answers(start, tools):
    returned = train(options(start, "out", lora=LoraOptions(4, 8)))
    model = AutoModelForImageTextToText.from_pretrained(start / "out")
    processor = AutoProcessor.from_pretrained(start / "out")
    assert type(model) is TunaForConditionalGeneration
    assert type(processor) is TunaProcessor
    inputs = processor(
        tools.picture(0), "<image> what is this ?", [tools.retrieval("car")], return_tensors="pt"
    )
    with torch.no_grad():
        assert torch.equal(model(**inputs).logits, returned.eval()(**inputs).logits)
    assert model.generate(**inputs, max_new_tokens=2).shape[1] > inputs["input_ids"].shape[1]


@pytest.mark.parametrize("name", ["no_tags", "no_tag_tuning"])
def test_a_control_without_tags_in_training_reads_no_retrievals(start, name):
    train(options(start, "out", data={"control": name, "retrievals": None}))
    moved = changed(weights(start / "model"), weights(start / "out"))
    assert "model.multi_modal_projector.linear_1.weight" in moved
    assert not any("cross_attention" in one for one in moved)


def test_lions_token_is_trained_by_lions_control_only(start):
    train(options(start, "lion", data={"control": "lion"}))
    assert "model.soft_token.weight" in changed(weights(start / "model"), weights(start / "lion"))


def test_a_llava_checkpoint_with_its_clip_is_a_start(start, llava_parts):
    llava_parts.llava.save_pretrained(start / "llava")
    llava_parts.processor.save_pretrained(start / "llava")
    llava_parts.clip.save_pretrained(start / "clip")
    llava_parts.clip_tokenizer.save_pretrained(start / "clip")
    from_llava = dataclasses.replace(
        options(start, "out"), model=str(start / "llava"), clip=str(start / "clip")
    )
    train(dataclasses.replace(from_llava, weighting="exponential", temperature=20.0))
    config = TunaForConditionalGeneration.from_pretrained(start / "out").config
    assert (config.weighting, config.temperature) == ("exponential", 20.0)
    with pytest.raises(ConfigurationError, match="give --clip too"):
        train(dataclasses.replace(from_llava, clip=None, output=str(start / "none")))
    with pytest.raises(ConfigurationError, match="has its CLIP"):
        more = {"model": str(start / "model"), "output": str(start / "none")}
        train(dataclasses.replace(from_llava, **more))


def test_a_training_that_goes_on_must_be_the_same(start):
    train(options(start, "out"))
    with pytest.raises(ConfigurationError, match="the folder is not empty"):
        train(options(start, "out"))
    with pytest.raises(ConfigurationError, match="--resume: --seed is not what"):
        train(options(start, "out", data={"seed": 5}, resume=True))
    with pytest.raises(ConfigurationError, match="--precision is not .* was fp32, is bf16"):
        train(options(start, "out", precision="bf16", resume=True))
    with pytest.raises(ConfigurationError, match="--gradient-checkpointing is not what"):
        train(options(start, "out", gradient_checkpointing=True, resume=True))
    # What "auto" is on a CPU.
    asked = {"precision": "fp32", "gradient_checkpointing": False}
    train(options(start, "out", resume=True, **asked))
    rows = json.loads((start / "rows.json").read_text())
    (start / "rows.json").write_text(json.dumps(rows[1:]))
    with pytest.raises(ConfigurationError, match="--data is not what"):
        train(options(start, "out", resume=True))


def test_deepspeed_is_part_of_what_a_training_began_with(start):
    arguments = training_arguments(options(start, "out"))
    said = [
        origin_of(options(start, "out", deepspeed=name), arguments)["--deepspeed"]
        for name in (None, "zero2", str(CONFIGS / "zero2.json"), "zero3")
    ]
    assert said[1] == said[2] and len(set(said)) == 3


def test_a_row_that_changes_under_a_training_ends_it(start, monkeypatch):
    step = TunaTrainer.training_step

    def image_vanishes(self, *arguments, **more):
        (start / "images/0.png").unlink(missing_ok=True)
        return step(self, *arguments, **more)

    monkeypatch.setattr(TunaTrainer, "training_step", image_vanishes)
    with pytest.raises(ConfigurationError, match="could be used when the training began"):
        train(options(start, "out"))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"retrievals": None}, "give --retrievals"),
        ({"image_folder": "nowhere"}, "no such folder"),
        ({"retrievals": "nowhere"}, "there are no retrievals"),
        ({"data": "nowhere.json"}, "cannot be read"),
        ({"control": "tun"}, "nearest: tuna"),
        ({"control": "no_tags", "random_tags": 0.5}, "--control no_tags has none"),
        ({"control": "no_tags", "retrievals": None, "tag_dropout": 0.5}, "They need tags"),
    ],
)
def test_what_cannot_work_is_said_before_a_step(start, data, said):
    with pytest.raises(ConfigurationError, match=said):
        train(options(start, "out", data=data))
    assert not list(start.glob("out/checkpoint-*"))


def test_bad_rows_are_listed_with_their_reasons_and_the_counts_reconcile(start, capsys):
    rows = json.loads((start / "rows.json").read_text())
    (start / "images/torn.png").write_bytes((start / "images/0.png").read_bytes()[:60])
    (start / "secret.png").write_bytes((start / "images/0.png").read_bytes())

    def row(image: str | None, question: str, answer: str = "yes") -> dict:
        turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
        return {"id": image or question, "image": image, "conversations": turns}

    bad = {
        "unsafe_path": row("../secret.png", "<image>"),
        "image_missing": row("gone.png", "<image>"),
        "image_undecodable": row("torn.png", "<image>"),
        "special_token": row(None, "what is this ?", "a <tag> car"),
        "too_long": row(None, "car " * 300),
        "no_retrieval": row("extra.png", "<image>"),
        "marker": row("0.png", "what is this ?"),
    }
    (start / "images/extra.png").write_bytes((start / "images/0.png").read_bytes())
    (start / "rows.json").write_text(json.dumps([*bad.values(), *rows]))
    command = ["train", "--model", start / "model", "--output", start / "out"]
    command += ["--data", start / "rows.json", "--image-folder", start / "images"]
    command += ["--retrievals", start / "tags.parquet", "--batch_size=4", "--max-steps", "1"]
    command += ["--batch-size-per-device", 4, "--max-length", 200, "--device", "cpu"]
    assert main([str(word) for word in [*command, "--num-workers", 0]]) == 0
    rejects = pq.read_table(start / "out/rejects.parquet").to_pylist()
    assert [reject["reason"] for reject in rejects] == list(bad)
    summary = json.loads((start / "out" / SUMMARY).read_text())
    assert summary["rows"] == {"read": 27, "trained_on": 20, "rejected": dict.fromkeys(bad, 1)}
    assert summary["steps"] == 1
    assert main([str(word) for word in command]) == 1
    assert "the folder is not empty" in capsys.readouterr().err


def test_activations_computed_twice_give_the_same_weights(start):
    train(options(start, "kept"))
    train(options(start, "twice", gradient_checkpointing=True))
    kept, twice = weights(start / "kept"), weights(start / "twice")
    for name in kept:
        torch.testing.assert_close(kept[name], twice[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("lora", [None, LoraOptions(4, 8)])
def test_bf16_keeps_trained_weights_in_fp32_and_merges_adapters(start, lora):
    options_of = options(start, "out", precision="bf16", lora=lora, gradient_checkpointing=True)
    train(options_of)
    before, after = weights(start / "model"), weights(start / "out")
    assert after["lm_head.weight"].dtype == (torch.float32 if lora is None else torch.bfloat16)
    projection = "model.language_model.layers.0.mlp.down_proj.weight"
    assert not torch.equal(before[projection].bfloat16(), after[projection].bfloat16())
    assert all(torch.isfinite(tensor.float()).all() for tensor in after.values())


def test_two_processes_of_accelerate_launch_train_as_one(start):
    # The configuration that is shipped, on two processes of a CPU.
    shipped = (CONFIGS / "multi_gpu.yaml").read_text()
    config = start / "two.yaml"
    for words in ("num_processes: 8", "use_cpu: false", "gpu_ids: all\n"):
        assert words in shipped
    config.write_text(
        shipped.replace("num_processes: 8", "num_processes: 2")
        .replace("use_cpu: false", "use_cpu: true")
        .replace("gpu_ids: all\n", "")
    )
    words = ["train", "--model", start / "model", "--data", start / "rows.json"]
    words += ["--image-folder", start / "images", "--retrievals", start / "tags.parquet"]
    words += ["--batch-size", 4, "--batch-size-per-device", 2, "--device", "cpu", "--epochs", 2]
    words += ["--learning-rate", 1e-2, "--max-length", 200, "--num-workers", 0]
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", config]
    # Port 0 is any that is free.
    launch += ["--main_process_port", 0, "-m", "tuna_model.main", *words]
    done = subprocess.run(
        [*map(str, launch), "--output", str(start / "two")],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("rows are trained on") == 2
    train(options(start, "one"))
    one, two = weights(start / "one"), weights(start / "two")
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=0, atol=1e-5)


def test_the_repositorys_own_clip_may_be_the_tower(start, llava_parts):
    vision, _ = towers_of_encoder(load_encoder("demo", device="cpu"))
    sizes = {"hidden_size": 32, "intermediate_size": 32}
    text = LlamaConfig(vocab_size=96, num_hidden_layers=1, num_attention_heads=2, **sizes)
    llava = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=vision.config,
            text_config=text,
            vision_feature_layer=-1,
            vision_feature_select_strategy="full",
            image_token_index=llava_parts.processor.image_token_id,
            image_seq_length=16,
        )
    )
    llava.model.vision_tower.load_state_dict(vision.state_dict())
    llava.save_pretrained(start / "llava")
    images = CLIPImageProcessor(size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64})
    LlavaProcessor(
        images, llava_parts.processor.tokenizer, 16, vision_feature_select_strategy="full"
    ).save_pretrained(start / "llava")
    train(dataclasses.replace(options(start, "out"), model=str(start / "llava"), clip="demo"))
    trained = TunaForConditionalGeneration.from_pretrained(start / "out")
    assert not changed(vision.state_dict(), trained.model.vision_tower.state_dict())
    assert changed(llava.lm_head.state_dict(), {"weight": trained.lm_head.weight[:96]})
