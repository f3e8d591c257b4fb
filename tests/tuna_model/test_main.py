"""The command line of tagmine-tuna: help without torch, examples, configurations."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.utils.deepspeed import HfDeepSpeedConfig

from index.explore.options import read_explore_options
from tagmine.errors import ConfigurationError
from tuna_model import chat_options, train_flags
from tuna_model.chat_options import ChatOptions
from tuna_model.controls import CONTROLS
from tuna_model.main import COMMANDS, main, make_parser
from tuna_model.tag_source import SourceOptions
from tuna_model.train_options import CONFIGS, DataOptions, LoraOptions, Schedule, TrainOptions
from tuna_model.trainer import training_arguments
from tuna_model.weighting import WEIGHTINGS

ROOT = Path(__file__).parents[2]
READERS = {
    "train": train_flags.read_options,
    "chat": chat_options.read_options,
    "explore": read_explore_options,
}

# https://www.deepspeed.ai/docs/config-json: sections of the whole and of ZeRO.
DEEPSPEED = {
    "fp16",
    "bf16",
    "train_micro_batch_size_per_gpu",
    "train_batch_size",
    "gradient_accumulation_steps",
    "gradient_clipping",
    "zero_optimization",
}
ZERO = {
    "stage",
    "overlap_comm",
    "contiguous_gradients",
    "sub_group_size",
    "reduce_bucket_size",
    "stage3_prefetch_bucket_size",
    "stage3_param_persistence_threshold",
    "stage3_max_live_parameters",
    "stage3_max_reuse_distance",
    "stage3_gather_16bit_weights_on_model_save",
}


def commands() -> dict[str, argparse.ArgumentParser]:
    parser = make_parser()
    return next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction)).choices


def examples() -> list[str]:
    found = []
    for name in READERS:
        text = commands()[name].epilog.replace("\\\n", " ")
        found += re.findall(r"^  tagmine-tuna (.*)$", text, re.MULTILINE)
    return found


@pytest.mark.parametrize("words", [["--help"], *([command, "--help"] for command in READERS)])
def test_help_imports_neither_torch_nor_transformers(words):
    script = (
        "import sys\n"
        "from tuna_model.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'faiss', 'pyarrow', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr.decode()
    assert b"usage: tagmine-tuna" in done.stdout


@pytest.mark.parametrize("example", examples())
def test_every_example_of_the_help_is_understood(example):
    words = shlex.split(example.split("<")[0])
    if words[-3:] == ["…the", "same", "flags"]:
        words = [*words[:-3], "--model", "m", "--data", "d", "--output", "o"]
    arguments = make_parser(words[:1]).parse_args(words)
    assert READERS[words[0]](arguments) is not None


def test_help_names_every_control_and_weighting():
    train = commands()["train"].format_help()
    assert all(name in train for name in (*CONTROLS, *WEIGHTINGS))


def test_a_word_too_many_is_a_usage_error_and_underscores_are_dashes(capsys):
    for words in ([], ["teach"], ["chat", "--model", "m", "--image", "i", "--loud"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2
    words = ["chat", "--model", "m", "--image", "nowhere.jpg", "--max_new_tokens=4"]
    assert main(words) == 1
    assert "tagmine-tuna: --image nowhere.jpg" in capsys.readouterr().err


def test_configs_says_where_they_are(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["train", "--configs"])
    assert ended.value.code == 0
    assert Path(capsys.readouterr().out.strip()) == CONFIGS


def test_an_interrupted_training_says_how_to_go_on(monkeypatch, capsys):
    def interrupt(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(train_flags, "run", interrupt)
    assert main(["train", "--model", "m", "--data", "d", "--output", "o"]) == 130
    assert "--resume" in capsys.readouterr().err
    assert set(COMMANDS) == {"train", "chat", "explore", "eval"}


@pytest.mark.parametrize(("name", "processes"), [("multi_gpu", 8), ("single_gpu_lora", 1)])
def test_accelerate_reads_its_configurations(name, processes):
    config = load_config_from_file(str(CONFIGS / f"{name}.yaml"))
    assert config.num_processes == processes
    assert config.num_machines == 1
    kinds = {"multi_gpu": "MULTI_GPU", "single_gpu_lora": "NO"}
    assert config.distributed_type == kinds[name]


@pytest.mark.parametrize("stage", [2, 3])
def test_deepspeed_configurations_have_keys_that_it_knows(stage):
    path = CONFIGS / f"zero{stage}.json"
    config = json.loads(path.read_text())
    assert set(config) <= DEEPSPEED
    assert set(config["zero_optimization"]) <= ZERO
    assert config["zero_optimization"]["stage"] == stage
    parsed = HfDeepSpeedConfig(str(path))
    assert parsed.is_zero3() == (stage == 3)


def test_the_recipe_is_the_papers():
    options = TrainOptions("model", "output", DataOptions("rows.json"), device="cpu")
    arguments = training_arguments(options)
    assert arguments.learning_rate == 2e-5
    assert arguments.lr_scheduler_type == "cosine"
    assert arguments.get_warmup_steps(5200) == 156
    assert arguments.num_train_epochs == 1
    assert arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps == 128
    assert options.data.max_length == 2048
    assert not arguments.bf16


def test_batches_are_shared_among_processes_or_refused():
    assert Schedule().accumulation(8) == 1
    assert Schedule(batch_size=64, batch_size_per_device=8).accumulation(2) == 4
    with pytest.raises(ConfigurationError, match="no multiple of the 48 rows"):
        Schedule().accumulation(3)


def test_deepspeed_that_is_not_installed_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "deepspeed", None)
    options = TrainOptions("m", "o", DataOptions("d"), device="cpu", deepspeed="zero2")
    with pytest.raises(ConfigurationError, match="pip install deepspeed"):
        training_arguments(options)


@pytest.mark.parametrize(
    "make",
    [
        lambda: DataOptions("d", max_length=0),
        lambda: DataOptions("d", tag_dropout=1.5),
        lambda: DataOptions("d", random_tags=float("nan")),
        lambda: DataOptions("d", seed=-1),
        lambda: Schedule(epochs=0),
        lambda: Schedule(learning_rate=float("nan")),
        lambda: Schedule(batch_size=0),
        lambda: Schedule(max_steps=0),
        lambda: Schedule(warmup_ratio=2),
        lambda: Schedule(weight_decay=-1),
        lambda: LoraOptions(0, 1),
        lambda: LoraOptions(1, 0),
        lambda: LoraOptions(1, 1, 2),
        lambda: TrainOptions("m", "o", DataOptions("d"), save_steps=0),
        lambda: TrainOptions("m", "o", DataOptions("d"), workers=-1),
        lambda: TrainOptions("m", "o", DataOptions("d"), deepspeed="zero9"),
        lambda: TrainOptions("m", "o", DataOptions("d"), deepspeed="zero3", lora=LoraOptions(1, 1)),
        lambda: ChatOptions("m", "i", SourceOptions(), max_new_tokens=0),
        lambda: ChatOptions("m", "i", SourceOptions(), question=" "),
        lambda: ChatOptions("m", "i", SourceOptions(), explain="page.html"),
    ],
)
def test_values_that_cannot_work_are_refused(make):
    with pytest.raises(ConfigurationError):
        make()


def test_lora_has_a_rate_of_its_own():
    words = ["train", "--model", "m", "--data", "d", "--output", "o"]

    def read(*more: str) -> TrainOptions:
        return train_flags.read_options(make_parser(["train"]).parse_args([*words, *more]))

    assert read().schedule.learning_rate == 2e-5 and read().lora is None
    assert read("--lora", "8").schedule.learning_rate == 2e-4
    assert read("--lora", "8").lora == LoraOptions(8, 16)
    assert read("--lora", "8", "--learning-rate", "1e-3").schedule.learning_rate == 1e-3
    with pytest.raises(ConfigurationError, match="give --lora RANK too"):
        read("--lora-alpha", "8")
