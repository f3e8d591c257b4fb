"""From what `--clip-model` says to a configuration and a weights file that are safe to load."""

from __future__ import annotations

import dataclasses
import difflib
import importlib.resources
import json
import zipfile
from pathlib import Path
from typing import Any

from tagmine.errors import ConfigurationError

_CONFIG_NAME = "open_clip_config.json"
_CHECKPOINT_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
# Those that open_clip looks for in a folder.
_FOLDER_SUFFIXES = (".safetensors", ".bin", ".pth")
_HUB_PROBE_SECONDS = 8.0
_PREPROCESS_KEYS = ("mean", "std", "interpolation", "resize_mode")
# The rest of what a folder's tokenizer_kwargs may say reaches AutoTokenizer.from_pretrained, where
# trust_remote_code runs the folder's Python.
_TOKENIZER_OPTIONS = {"clean", "strip_sep_token", "language"}
_FORMS = (
    'expected "demo", a folder with open_clip_config.json, "ARCHITECTURE/PRETRAINED" such as '
    'ViT-B-32/laion2b_s34b_b79k, or "ARCHITECTURE/FILE.safetensors"'
)


@dataclasses.dataclass(frozen=True, slots=True)
class ClipSource:
    """What open_clip is to be called with.

    Attributes:
        model_name: an architecture of open_clip, or "local-dir:FOLDER".
        checkpoint: the weights file; None for a folder, whose file open_clip picks itself.
        model_config: open_clip's `model_cfg`.
        quick_gelu: whether the weights were trained with QuickGELU; None where only the
            configuration says so.
        preprocess: what the pretrained tag says about preprocessing.
    """

    model_name: str
    checkpoint: Path | None
    model_config: dict[str, Any]
    quick_gelu: bool | None = None
    preprocess: dict[str, Any] = dataclasses.field(default_factory=dict)


def resolve_clip_source(clip_model: str) -> ClipSource:
    """Find the configuration and weights of `clip_model`, fetching them from the hub if need be.

    Raises:
        ConfigurationError: for an unknown name, a file that is missing or could run code, or a hub
            that cannot be reached; after about ten seconds at most, name resolution aside.
    """
    if clip_model == "demo":
        return _from_folder(Path(str(importlib.resources.files("demo") / "clip")))
    folder = Path(clip_model.removeprefix("local-dir:"))
    if clip_model.startswith("local-dir:") or (clip_model and folder.is_dir()):
        return _from_folder(folder)
    return _from_architecture(clip_model)


def _from_folder(folder: Path) -> ClipSource:
    path = folder / _CONFIG_NAME
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        model_config = config["model_cfg"]
        text, vision = model_config["text_cfg"], model_config["vision_cfg"]
        tokenizer_options = set(text.get("tokenizer_kwargs") or {})
    except OSError as error:
        raise ConfigurationError(
            f"{folder} is no CLIP model: {_CONFIG_NAME} cannot be read there ({error.strerror}). "
            f"As --clip-model, {_FORMS}."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigurationError(
            f"{path} is not open_clip's configuration: {type(error).__name__} {error}. It needs "
            "model_cfg with embed_dim, vision_cfg and text_cfg."
        ) from error
    if tokenizer_options - _TOKENIZER_OPTIONS:
        raise ConfigurationError(
            f"{path} sets tokenizer_kwargs {sorted(tokenizer_options - _TOKENIZER_OPTIONS)}, which "
            f"may run code from the folder; only {sorted(_TOKENIZER_OPTIONS)} are allowed."
        )
    _check_borrowed_tower(path, "timm_model_name", vision)
    _check_borrowed_tower(path, "hf_model_name", text)
    weights = [p for s in _FOLDER_SUFFIXES for p in sorted(folder.glob(f"*{s}"))]
    if not weights:
        raise ConfigurationError(
            f"{folder} has a configuration but no weights; expected a file ending in "
            f"{', '.join(_FOLDER_SUFFIXES)} beside it."
        )
    for file in weights:
        check_checkpoint(file)
    return ClipSource(f"local-dir:{folder}", None, model_config)


def _check_borrowed_tower(path: Path, field: str, tower: dict[str, Any]) -> None:
    """Refuse towers that open_clip itself does not use: their names can point to remote code."""
    name = tower.get(field)
    if name is None:
        return
    import open_clip

    configs = [open_clip.get_model_config(known) for known in open_clip.list_models()]
    known = {c[t].get(field) for c in configs for t in ("vision_cfg", "text_cfg")}
    if name not in known:
        raise ConfigurationError(
            f"{path} takes its tower from {field} {name!r}, which none of open_clip's own "
            "configurations does; it would be fetched and run unseen."
        )


def _from_architecture(clip_model: str) -> ClipSource:
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    architecture, _, weights = clip_model.partition("/")
    if open_clip.get_model_config(architecture) is None:
        raise ConfigurationError(
            f"--clip-model {clip_model!r}: {architecture!r} is no architecture of open_clip"
            f"{_nearest(architecture, open_clip.list_models())}; {_FORMS}."
        )
    tags = list_pretrained_tags_by_model(architecture)
    config = open_clip.get_model_config(architecture)
    if weights in tags:
        _check_text_tower(clip_model, config)
        tag = get_pretrained_cfg(architecture, weights)
        return ClipSource(
            architecture,
            check_checkpoint(_fetch(clip_model, tag)),
            config,
            bool(tag.get("quick_gelu", False)),
            {key: tag[key] for key in _PREPROCESS_KEYS if key in tag},
        )
    if weights and Path(weights).is_file():
        _check_text_tower(clip_model, config)
        return ClipSource(architecture, check_checkpoint(Path(weights)), config)
    if not weights:
        example = f", as in {architecture}/{tags[0]}" if tags else ""
        raise ConfigurationError(
            f"--clip-model {clip_model!r}: name its weights, too{example}; known: "
            f"{', '.join(tags) or 'none'}. Or give {architecture}/FILE.safetensors."
        )
    raise ConfigurationError(
        f"--clip-model {clip_model!r}: {weights!r} is neither a file nor pretrained weights of "
        f"{architecture}{_nearest(weights, tags)}; known: {', '.join(tags) or 'none'}."
    )


def _nearest(name: str, known: list[str]) -> str:
    folded = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), folded, n=3, cutoff=0.5)
    return f" (nearest: {', '.join(folded[n] for n in near)})" if near else ""


def check_checkpoint(path: Path) -> Path:
    """Refuse a weights file that could run code; returns `path`.

    safetensors hold nothing but tensors. The others are pickles, which open_clip loads with
    `weights_only=True`; TorchScript archives are programs and not weights.

    Raises:
        ConfigurationError: naming the file and what to do.
    """
    if path.suffix not in _CHECKPOINT_SUFFIXES:
        raise ConfigurationError(
            f"{path} is no checkpoint; its name should end in {', '.join(_CHECKPOINT_SUFFIXES)}."
        )
    if path.suffix != ".safetensors" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
        if any(name.endswith("constants.pkl") or "/code/" in name for name in members):
            raise ConfigurationError(
                f"{path} is a TorchScript archive, which contains a program. Save its state_dict "
                "as safetensors where you trust it, and pass that file."
            )
    return path


def _fetch(clip_model: str, tag: dict[str, Any]) -> Path:
    """The weights of a pretrained tag: from the cache, else from the hub."""
    cached = _cached(tag)
    if cached is not None:
        return cached
    from open_clip.pretrained import download_pretrained

    _require_hub(clip_model)
    try:
        return Path(download_pretrained(tag))
    except Exception as error:
        raise ConfigurationError(_unreachable(clip_model, error)) from error


def _cached(tag: dict[str, Any]) -> Path | None:
    # open_clip asks the hub for the safetensors' name before it looks at what is in the cache, and
    # offline spends its retries on that.
    from huggingface_hub import try_to_load_from_cache
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

    repository, _, name = tag["hf_hub"].rpartition("/")
    stem = name.rpartition(".")[0]
    names = (f"{stem}.safetensors", name) if name else (HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME)
    found = (try_to_load_from_cache(repository, candidate) for candidate in names)
    return next((Path(path) for path in found if isinstance(path, str)), None)


def _check_text_tower(clip_model: str, config: dict[str, Any]) -> None:
    """Text towers of transformers fetch their configuration when the model is made."""
    from huggingface_hub import try_to_load_from_cache

    name = config["text_cfg"].get("hf_model_name")
    if name and not isinstance(try_to_load_from_cache(name, "config.json"), str):
        _require_hub(clip_model)


def _require_hub(clip_model: str) -> None:
    """One short request; huggingface_hub's own retries would take most of a minute a file."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    if constants.HF_HUB_OFFLINE:
        raise ConfigurationError(_unreachable(clip_model, "HF_HUB_OFFLINE is set"))
    try:
        status = get_session().head(constants.ENDPOINT, timeout=_HUB_PROBE_SECONDS).status_code
    # Whatever the HTTP library of the day raises, the hub is out of reach.
    except Exception as error:
        raise ConfigurationError(_unreachable(clip_model, error)) from error
    if status >= 500:
        raise ConfigurationError(_unreachable(clip_model, f"it answers {status}"))


def _unreachable(clip_model: str, why: object) -> str:
    from huggingface_hub import constants

    architecture = clip_model.partition("/")[0]
    return (
        f"--clip-model {clip_model}: the weights are not in the cache ({constants.HF_HUB_CACHE}) "
        f"and could not be fetched from {constants.ENDPOINT} ({why}). Run the command once on a "
        "connected machine and take the cache along (HF_HOME names it), pass a local checkpoint "
        f"as --clip-model {architecture}/FILE.safetensors, or use --clip-model demo."
    )
