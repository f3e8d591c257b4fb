"""A tiny CLIP, small shards, and the real command in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from campaigns.contents import read_datastore
from pipelines.main import main

CAPTIONS = (
    "A narrow street with colorful facades under a blue sky in Montepulciano, Italy.",
    "a red car parked next to a yellow bicycle",
    "Two dogs are playing with a wooden stick on the beach.",
    "an old man in a striped shirt reading a newspaper",
    "The cat on the sofa is black and white.",
)


BLOCK_CAPTIONS = (
    "a red car parked next to a yellow bicycle",
    "Two dogs are playing with a wooden stick on the beach.",
    "an old man in a striped shirt reading a newspaper",
    "The cat on the sofa is black and white.",
    "a bowl of green apples on a kitchen table",
)


KILLED_AT_A_RENAME = """
import os, signal, sys
from pipelines.main import main
left, rename = int(sys.argv[1]), os.replace
def replace(source, target):
    global left
    # Neither progress nor the record of the job is work, and both follow the clock.
    left -= "tagmine-progress-" not in str(target) and "/jobs/" not in str(target)
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target)
os.replace = replace
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture(scope="session")
def killed_at_a_rename() -> str:
    """A program for `python -c`: the command behind a number, killed at that many renames."""
    return KILLED_AT_A_RENAME


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory) -> str:
    """A folder with an untrained open_clip model of 64 dimensions."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("clip")
    vision = {"image_size": 32, "layers": 2, "width": 64, "head_width": 16, "patch_size": 8}
    text = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    torch.manual_seed(0)
    model = open_clip.CLIP(64, open_clip.CLIPVisionCfg(**vision), open_clip.CLIPTextCfg(**text))
    config = {
        "model_cfg": {"embed_dim": 64, "vision_cfg": vision, "text_cfg": text},
        "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bicubic"},
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return str(folder)


@pytest.fixture(scope="session")
def shards(tmp_path_factory, write_tar, jpeg) -> Path:
    """A folder of eight shards of six samples each."""
    folder = tmp_path_factory.mktemp("input") / "toys"
    for shard in range(8):
        members = []
        for number in range(6):
            seed = shard * 6 + number
            record = {"captions": [CAPTIONS[seed % 5], CAPTIONS[(seed + 1) % 5]], "brand": "Élan"}
            members += [
                (f"{number:04d}.jpg", jpeg(seed)),
                (f"{number:04d}.txt", CAPTIONS[seed % 5].encode()),
                (f"{number:04d}.json", json.dumps(record).encode()),
            ]
        write_tar(folder / f"{shard:05d}.tar", members)
    return folder


@pytest.fixture(scope="session")
def block_captions() -> tuple[str, ...]:
    """How the captions of `blocks` begin, in turn by the number of the picture."""
    return BLOCK_CAPTIONS


@pytest.fixture(scope="session")
def blocks(tmp_path_factory, write_tar, jpeg) -> Path:
    """Five shards of 160 samples each, named by number, and one of 40 that is held out."""
    folder = tmp_path_factory.mktemp("input") / "blocks"
    shards = {f"{shard:05d}": range(shard * 160, (shard + 1) * 160) for shard in range(5)}
    for name, seeds in {**shards, "held-out": range(9000, 9040)}.items():
        members = []
        for seed in seeds:
            caption = f"{BLOCK_CAPTIONS[seed % 5]} with a number {seed % 13}"
            members += [(f"{seed:05d}.jpg", jpeg(seed)), (f"{seed:05d}.txt", caption.encode())]
        write_tar(folder / f"{name}.tar", members)
    return folder


@pytest.fixture(scope="session")
def block_store(tmp_path_factory, blocks) -> Path:
    """The datastore of the five shards, never to be written to."""
    root = tmp_path_factory.mktemp("built") / "store"
    shards = [str(blocks / f"{n:05d}.tar") for n in range(5)]
    command = ["build", *shards, "--out", str(root), "--clip-model", "demo"]
    assert main([*command, "--index-key", "IVF16,PQ16x4"]) == 0
    return root


@pytest.fixture
def copied_store(block_store, tmp_path) -> Path:
    """A copy of `block_store`, to be changed or damaged."""
    root = tmp_path / "store"
    shutil.copytree(block_store, root, ignore=shutil.ignore_patterns("report"))
    return root


def start(*arguments: str) -> subprocess.Popen:
    """`tagmine …` in a process of its own, leader of its own process group."""
    command = [sys.executable, "-m", "pipelines.main", *arguments]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="session")
def start_tagmine() -> Callable[..., subprocess.Popen]:
    return start


@pytest.fixture(scope="session")
def tagmine() -> Callable[..., subprocess.CompletedProcess]:
    """A function that runs the command to its end."""

    def run(*arguments: str, expect: int = 0) -> subprocess.CompletedProcess:
        process = start(*arguments)
        out, err = process.communicate(timeout=300)
        assert process.returncode == expect, f"exit {process.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    return run


@pytest.fixture(scope="session")
def read_folder() -> Callable[[Path], dict[str, bytes]]:
    """Every file of a folder but the records of jobs, by its relative path."""
    return read_datastore
