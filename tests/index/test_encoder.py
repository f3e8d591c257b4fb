"""Loading CLIP models, their cards, and their vectors."""

from __future__ import annotations

import dataclasses
import json
import pickle
import shutil
import threading
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from index.clip_sources import ClipSource
from index.encoder import CPU_ROWS, Encoder, encoder_of, hash_weights, load_encoder
from tagmine.errors import ConfigurationError

VISION = {"image_size": 48, "layers": 2, "width": 64, "head_width": 16, "patch_size": 8}
TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
CONFIG = {"embed_dim": 32, "vision_cfg": VISION, "text_cfg": TEXT}
PREPROCESS = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3], "interpolation": "bilinear"}


def write_folder(folder: Path, model: torch.nn.Module, **model_options: object) -> Path:
    folder.mkdir(parents=True)
    record = {"model_cfg": {**CONFIG, **model_options}, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(record))
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="module")
def tiny_model() -> torch.nn.Module:
    torch.manual_seed(3)
    return open_clip.model.CLIP(**CONFIG).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_model: torch.nn.Module) -> Path:
    return write_folder(tmp_path_factory.mktemp("clip") / "tiny", tiny_model)


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Encoder:
    return load_encoder(str(folder), device="cpu")


def picture(seed: int, width: int = 90, height: int = 70) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (7, 9, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def pixels(encoder: Encoder, count: int) -> np.ndarray:
    return np.stack([encoder.preprocess(picture(seed)) for seed in range(count)])


def test_a_folder_gives_open_clips_own_vectors(encoder: Encoder, folder: Path) -> None:
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    with torch.inference_mode():
        inputs = torch.stack([preprocess(picture(seed)) for seed in range(11)])
        expected = torch.nn.functional.normalize(model.eval().encode_image(inputs), dim=-1)
    vectors = encoder.embed_images(pixels(encoder, 11))
    assert vectors.dtype == np.float16
    np.testing.assert_allclose(vectors, expected.numpy(), atol=2e-3)
    np.testing.assert_allclose(np.linalg.norm(vectors.astype(np.float64), axis=1), 1, atol=2e-3)


@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("size", [(90, 70), (30, 41), (400, 48)])
def test_preprocessing_is_open_clips(
    tmp_path: Path, tiny_model: torch.nn.Module, resize_mode: str, size: tuple[int, int]
) -> None:
    path = write_folder(tmp_path / "m", tiny_model)
    config = json.loads((path / "open_clip_config.json").read_text())
    config["preprocess_cfg"]["resize_mode"] = resize_mode
    (path / "open_clip_config.json").write_text(json.dumps(config))
    encoder = load_encoder(str(path), device="cpu")
    _, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{path}")
    seen: list[torch.Tensor] = []
    encoder.model.encode_image = lambda inputs: seen.append(inputs) or torch.ones(len(inputs), 32)
    encoder.embed_images(encoder.preprocess(picture(1, *size))[None])
    torch.testing.assert_close(seen[0][0], preprocess(picture(1, *size)), atol=1e-6, rtol=0)


def test_texts_meet_images_in_one_space(encoder: Encoder, folder: Path) -> None:
    texts = ["a narrow street", "a red apple", "", "word " * 500]
    model = open_clip.create_model(f"local-dir:{folder}").eval()
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(texts)
    with torch.inference_mode():
        expected = torch.nn.functional.normalize(model.encode_text(tokens), dim=-1)
    np.testing.assert_allclose(encoder.embed_texts(texts), expected.numpy(), atol=2e-3)


def test_nothing_in_is_nothing_out(encoder: Encoder) -> None:
    assert encoder.embed_texts([]).shape == (0, 32)
    assert encoder.embed_images(pixels(encoder, 1)[:0]).shape == (0, 32)


def test_the_model_is_frozen(encoder: Encoder) -> None:
    assert not encoder.model.training
    assert not any(parameter.requires_grad for parameter in encoder.model.parameters())


def test_vectors_depend_neither_on_threads_nor_on_how_many_come_at_once(folder: Path) -> None:
    one, three = (load_encoder(str(folder), device="cpu", num_threads=n) for n in (1, 3))
    batch = pixels(one, 3 * CPU_ROWS)
    expected = one.embed_images(batch).tobytes()
    assert three.embed_images(batch).tobytes() == expected
    parts = [three.embed_images(batch[i : i + CPU_ROWS]) for i in range(0, len(batch), CPU_ROWS)]
    assert np.concatenate(parts).tobytes() == expected


def test_loading_leaves_torchs_threads_as_they_were(folder: Path) -> None:
    before = torch.get_num_threads()
    load_encoder(str(folder), device="cpu", num_threads=2)
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert [torch.get_num_threads(), *seen] == [before, before]


def test_a_pass_has_one_thread_whatever_the_process_has(folder: Path) -> None:
    encoder = load_encoder(str(folder), device="cpu", num_threads=3)
    seen: list[int] = []
    encoder.model.visual.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        encoder.embed_images(pixels(encoder, 4 * CPU_ROWS))
    finally:
        torch.set_num_threads(before)
    assert seen == [1] * 4


def test_the_fingerprint_is_of_the_weights_and_not_of_their_file(
    encoder: Encoder, folder: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    weights = moved / "open_clip_model.safetensors"
    torch.save(open_clip.factory.load_state_dict(str(weights)), moved / "open_clip_model.bin")
    weights.unlink()
    other = load_encoder(f"local-dir:{moved}", device="cpu")
    assert other.card.clip_model != encoder.card.clip_model
    assert other.card.weights_sha256 == encoder.card.weights_sha256
    assert other.card.fingerprint == encoder.card.fingerprint


def test_the_weights_hash_sees_names_shapes_types_and_values() -> None:
    base = {"b": torch.arange(6.0), "a": torch.ones(2)}
    assert hash_weights(base) == hash_weights({"a": torch.ones(2), "b": torch.arange(6.0)})
    changed = [
        {**base, "b": torch.arange(6.0).reshape(2, 3)},
        {**base, "b": torch.arange(6.0).half()},
        {**base, "b": torch.arange(6.0) + 1e-6},
        {"c": base["b"], "a": base["a"]},
    ]
    assert len({hash_weights(state) for state in (base, *changed)}) == 5


@pytest.mark.parametrize(
    "change",
    [{"quick_gelu": True}, {"vision_cfg": {**VISION, "head_width": 32}}],
    ids=["activation", "heads"],
)
def test_what_the_weights_do_not_tell_changes_the_fingerprint(
    encoder: Encoder, tiny_model: torch.nn.Module, tmp_path: Path, change: dict
) -> None:
    other = load_encoder(str(write_folder(tmp_path / "m", tiny_model, **change)), device="cpu")
    assert other.card.weights_sha256 == encoder.card.weights_sha256
    assert other.card.fingerprint != encoder.card.fingerprint
    batch = pixels(encoder, 2)
    assert (encoder.embed_images(batch) != other.embed_images(batch)).any()


def test_the_card_names_the_activation_that_the_model_has(
    tiny_model: torch.nn.Module, encoder: Encoder, tmp_path: Path
) -> None:
    quick = write_folder(tmp_path / "m", tiny_model, quick_gelu=True)
    assert encoder.card.activation == "gelu"
    assert load_encoder(str(quick), device="cpu").card.activation == "quickgelu"
    assert encoder.card.precision == "float32"


def test_preprocessing_is_on_the_card(encoder: Encoder) -> None:
    record = json.loads(encoder.card.preprocessing)
    assert record["mean"] == PREPROCESS["mean"]
    assert record["interpolation"] == "bilinear"
    assert record["size"] == [48, 48]


@pytest.fixture
def tiny_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An architecture that open_clip knows by name, as it does its own."""
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIG_PATHS", [tmp_path / "tiny-test.json"])
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", {})
    (tmp_path / "tiny-test.json").write_text(json.dumps(CONFIG))
    open_clip.factory._rescan_model_configs()
    return "tiny-test"


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_an_architecture_with_a_local_checkpoint(
    tiny_architecture: str, tiny_model: torch.nn.Module, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"weights{suffix}"
    state = tiny_model.state_dict()
    save_file(state, path) if suffix == ".safetensors" else torch.save({"state_dict": state}, path)
    loaded = load_encoder(f"{tiny_architecture}/{path}", device="cpu")
    assert loaded.card.weights_sha256 == hash_weights(state)


class Bomb:
    """Unpickled, it would leave a file behind."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self):
        return Path.touch, (self.witness,)


@pytest.mark.parametrize("legacy", [True, False], ids=["pickle", "zip"])
def test_a_checkpoint_that_would_run_code_is_refused_unrun(
    tiny_architecture: str, tmp_path: Path, legacy: bool
) -> None:
    path, witness = tmp_path / "evil.pt", tmp_path / "witness"
    if legacy:
        path.write_bytes(pickle.dumps({"state_dict": Bomb(witness)}))
    else:
        torch.save({"state_dict": Bomb(witness)}, path)
    with pytest.raises(ConfigurationError, match=r"evil\.pt.*cannot load"):
        load_encoder(f"{tiny_architecture}/{path}", device="cpu")
    assert not witness.exists()


def test_a_torchscript_archive_is_refused(tiny_architecture: str, tmp_path: Path) -> None:
    path = tmp_path / "program.pt"
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), path)
    with pytest.raises(ConfigurationError, match="TorchScript"):
        load_encoder(f"{tiny_architecture}/{path}", device="cpu")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"text_cfg": {**TEXT, "tokenizer_kwargs": {"trust_remote_code": True}}}, "trust_remote"),
        ({"text_cfg": {**TEXT, "hf_model_name": "stranger/model"}}, "stranger/model"),
        ({"vision_cfg": {**VISION, "timm_model_name": "hf-hub:stranger/m"}}, "hf-hub:stranger/m"),
    ],
)
def test_a_folder_that_points_to_code_is_refused(
    tiny_model: torch.nn.Module, tmp_path: Path, change: dict, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        load_encoder(str(write_folder(tmp_path / "m", tiny_model, **change)), device="cpu")


def test_a_folder_without_weights_is_refused_and_not_random(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "m")
    (copy / "open_clip_model.safetensors").unlink()
    with pytest.raises(ConfigurationError, match="no weights"):
        load_encoder(str(copy), device="cpu")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"model_cfg": 3}', "[" * 100_000])
def test_a_folder_with_a_broken_configuration_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "open_clip_config.json").write_text(text)
    with pytest.raises(ConfigurationError, match="not open_clip's configuration"):
        load_encoder(str(tmp_path), device="cpu")


def test_weights_of_another_shape_are_refused(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "m")
    config = json.loads((copy / "open_clip_config.json").read_text())
    config["model_cfg"]["embed_dim"] = 48
    (copy / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigurationError, match="size mismatch"):
        load_encoder(str(copy), device="cpu")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ViT-B32/laion2b_s34b_b79k", "nearest: .*ViT-B-32"),
        ("ViT-B-32/laion2b_s34b_b79", "nearest: laion2b_s34b_b79k"),
        ("ViT-B-32/no/such/file.pt", "neither a file nor pretrained"),
        ("ViT-B-32", "name its weights, too, as in ViT-B-32/openai; known: openai, "),
        ("local-dir:/no/such/folder", "no CLIP model"),
        ("", "no architecture"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(name: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        load_encoder(name, device="cpu")


@pytest.mark.parametrize("device", ["tpu", "meta", "cuda:x"])
def test_unknown_devices_are_refused(device: str, folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="use cpu, cuda or cuda:N"):
        load_encoder(str(folder), device=device)


def test_a_hub_out_of_reach_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import constants

    # A port of this machine where nothing listens: out of reach on every machine.
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigurationError) as caught:
        load_encoder("ViT-B-32/laion2b_s34b_b79k", device="cpu")
    for words in ("HF_HOME", "ViT-B-32/FILE.safetensors", "--clip-model demo", "connected machine"):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_offline_mode_does_not_ask_the_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigurationError, match="HF_HUB_OFFLINE is set"):
        load_encoder("ViT-B-32/laion2b_s34b_b79k", device="cpu")


def test_weights_in_the_hubs_cache_need_no_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_architecture: str, tiny_model
) -> None:
    from huggingface_hub import constants
    from open_clip import pretrained

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    tag = pretrained._pcfg(hf_hub="someone/tiny/", quick_gelu=True)
    monkeypatch.setitem(pretrained._PRETRAINED, tiny_architecture, {"made_up": tag})
    repository = tmp_path / "hub" / "models--someone--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("c0ffee")
    snapshot = repository / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    torch.save(tiny_model.state_dict(), snapshot / "open_clip_pytorch_model.bin")
    loaded = load_encoder(f"{tiny_architecture}/made_up", device="cpu")
    assert loaded.card.weights_sha256 == hash_weights(tiny_model.state_dict())
    # The tag's weights need it, and the architecture's name does not say so.
    assert loaded.card.activation == "quickgelu"


def test_a_model_in_hand_can_be_wrapped(tiny_model: torch.nn.Module) -> None:
    model = open_clip.model.CLIP(**CONFIG)
    model.load_state_dict(tiny_model.state_dict())
    open_clip.model.set_model_preprocess_cfg(
        model, dataclasses.asdict(open_clip.transform.PreprocessCfg(size=48))
    )
    wrapped = encoder_of(
        model, "tiny/random", ClipSource("tiny", None, CONFIG), device=torch.device("cpu")
    )
    assert wrapped.embed_images(pixels(wrapped, 3)).shape == (3, 32)
