"""An S3 server behind a door that can be shut, shards in it, and datastores of them."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.main import main

KEY, SECRET = "AKIAdoortest", "hush-hush-secret-value"
CAPTIONS = ("a red car parked next to a yellow bicycle", "two dogs on the beach in Lisbon")


def _load(name: str):
    path = Path(__file__).parent / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def load_module() -> Callable:
    """A function that loads a module of this folder, which is no package."""
    return _load


@pytest.fixture(scope="session")
def s3_server() -> Iterator:
    """The door before a real S3 server, and the environment that leads to it."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    door = _load("store_server").Door(*server.get_host_and_port())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", door.url)
        patch.setenv("AWS_ACCESS_KEY_ID", KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        # Its client's own tries would hide ours, and take minutes.
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        for name in [key for key in os.environ if key.lower().endswith("_proxy")]:
            patch.delenv(name)
        yield door
    door.shutdown()
    server.stop()


@pytest.fixture(scope="session")
def bucket(s3_server, write_tar, jpeg, tmp_path_factory):
    """The file system, with three shards of four samples in s3://bkt/toys."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    filesystem = s3fs.S3FileSystem(use_listings_cache=False)
    filesystem.mkdir("bkt")
    folder = tmp_path_factory.mktemp("input") / "toys"
    for shard in range(3):
        members = []
        for number in range(4):
            seed = shard * 4 + number
            caption = f"{CAPTIONS[seed % 2]} with a number {seed}".encode()
            members += [(f"{number}.jpg", jpeg(seed)), (f"{number}.txt", caption)]
        tar = write_tar(folder / f"{shard}.tar", members)
        filesystem.put(str(tar), f"bkt/toys/{shard}.tar")
    filesystem.local_shards = str(folder / "{0..2}.tar")
    filesystem.photo = str(folder.parent / "photo.jpg")
    Path(filesystem.photo).write_bytes(jpeg(5))
    return filesystem


@pytest.fixture
def door(s3_server, bucket, tmp_path, monkeypatch):
    """The door, open, before a machine with an empty cache."""
    monkeypatch.setenv("TAGMINE_CACHE", str(tmp_path / "cache"))
    s3_server.reset()
    yield s3_server
    s3_server.reset()


@pytest.fixture(scope="session")
def small_clip(tmp_path_factory) -> str:
    """A folder with an untrained open_clip model of 32 dimensions."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("clip")
    vision = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
    text = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1}
    torch.manual_seed(0)
    model = open_clip.CLIP(32, open_clip.CLIPVisionCfg(**vision), open_clip.CLIPTextCfg(**text))
    config = {
        "model_cfg": {"embed_dim": 32, "vision_cfg": vision, "text_cfg": text},
        "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bicubic"},
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return str(folder)


@pytest.fixture(scope="session")
def build(small_clip) -> Callable[..., int]:
    """A function that builds from shards into a place, in this process."""

    def run(shards: str, out: str, *more: str) -> int:
        return main(["build", shards, "--out", out, "--clip-model", small_clip, *more])

    return run


@pytest.fixture(scope="session")
def local_store(bucket, build, tmp_path_factory) -> Path:
    """The datastore of the three shards in a folder; never to be written to."""
    root = tmp_path_factory.mktemp("local") / "ds"
    assert build(bucket.local_shards, str(root)) == 0
    shutil.rmtree(root / "jobs")
    return root


def stored(filesystem, place: str) -> dict[str, bytes]:
    """Every object below a place by its relative name."""
    return {
        path.removeprefix(f"{place}/"): filesystem.cat_file(path) for path in filesystem.find(place)
    }


@pytest.fixture(scope="session")
def read_store(bucket) -> Callable[[str], dict[str, bytes]]:
    return lambda place: stored(bucket, place)


@pytest.fixture(scope="session")
def read_files() -> Callable[[Path], dict[str, bytes]]:
    """Every file of a folder by its relative path."""

    def read(root: Path) -> dict[str, bytes]:
        files = [path for path in sorted(root.rglob("*")) if path.is_file()]
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}

    return read


@pytest.fixture(scope="session")
def start_tagmine() -> Callable[..., subprocess.Popen]:
    """A function that starts the command in a process of its own."""

    def start(*arguments: str, **environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "pipelines.main", *arguments],
            env={**os.environ, "HF_HUB_OFFLINE": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start


@pytest.fixture(scope="session")
def secrets() -> tuple[str, str]:
    """What must stand in no file and no line of a log."""
    return KEY, SECRET
