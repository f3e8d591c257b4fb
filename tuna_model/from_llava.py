"""A TUNA model from a LLaVA checkpoint and the CLIP that its vision tower comes from."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn
from transformers import CLIPModel, LlavaForConditionalGeneration, PreTrainedModel

from index.encoder import Encoder, load_encoder
from tagmine.errors import ConfigurationError
from tuna_model.clip_keys import start_from_clip
from tuna_model.configuration_tuna import TunaConfig
from tuna_model.open_clip_towers import OpenClipTextModel, OpenClipVisionModel, towers_of_encoder

if TYPE_CHECKING:
    from tuna_model.modeling_tuna import TunaForConditionalGeneration
    from tuna_model.processing_tuna import TunaProcessor

_Model = TypeVar("_Model", bound=PreTrainedModel)
_HUB_SECONDS = 10


def tuna_from_llava(
    cls: type[TunaForConditionalGeneration],
    llava: LlavaForConditionalGeneration | str | Path,
    clip: CLIPModel | Encoder | str | Path,
    *,
    processor: TunaProcessor | None = None,
    tag_token_id: int | None = None,
    soft_token_id: int | None = None,
    dtype: torch.dtype | None = None,
    **options: Any,
) -> TunaForConditionalGeneration:
    """A TUNA model whose answers without tags are those of the LLaVA.

    The placeholders take spare rows of the word embedding where there are some: LLaVA-1.5's has
    32,064 and its tokens end at 32,001. Otherwise rows are added; each is the mean of the others,
    so that its logit is the mean logit and never the largest. Other logits stay as they are.

    Args:
        llava: a model, which is copied, or a folder or hub name.
        clip: the CLIP of its vision tower: a model, the encoder of a datastore, a folder, a hub
            name of transformers, or "demo".
        processor: whose tokenizer numbers the placeholders; or give both numbers.
        tag_token_id: the number of `<tag>`.
        soft_token_id: the number of LION's token.
        dtype: of the weights, for a LLaVA that is loaded.
        options: of TunaConfig: weighting, temperature, max_tags …

    Raises:
        ConfigurationError: for something that cannot be loaded, or a CLIP of another tower.
    """
    if processor is not None:
        tag_token_id, soft_token_id = processor.tag_token_id, processor.soft_token_id
    if tag_token_id is None or soft_token_id is None:
        raise ConfigurationError(
            "the placeholders of tags have no numbers; pass processor=, a TunaProcessor, or "
            "tag_token_id= and soft_token_id="
        )
    if isinstance(llava, LlavaForConditionalGeneration):
        llava = copy.deepcopy(llava)
    else:
        llava = load_pretrained(LlavaForConditionalGeneration, llava, "LLaVA", dtype=dtype)
    config = _shared_options(llava.config)
    config.update(tag_token_id=tag_token_id, soft_token_id=soft_token_id, **options)
    model = _joined(cls, llava, clip, config)
    _make_rows(model, max(tag_token_id, soft_token_id) + 1)
    model.freeze()
    return model.eval()


def _joined(
    cls: type[TunaForConditionalGeneration], llava: Any, clip: Any, options: dict[str, Any]
) -> TunaForConditionalGeneration:
    """The model of a LLaVA and a CLIP, its cross-attention starting from CLIP's keys."""
    text, projection, logit_scale = _clip_parts(clip, llava.model.vision_tower)
    dim = text.config.projection_dim
    config = TunaConfig(**options, clip_text_config=text.config, clip_embedding_dim=dim)
    model = _assemble(cls, config, llava)
    inner = model.model
    inner.clip_text.tower = text.to(llava.dtype)
    if projection is not None:
        inner.visual_projection.load_state_dict(projection.state_dict())
    layer = config.vision_feature_layer
    start_from_clip(inner.cross_attention, inner.vision_tower, projection, logit_scale, layer)
    return model


def load_pretrained(cls: type[_Model], name: str | Path, what: str, **options: Any) -> _Model:
    """`cls.from_pretrained`, with one kind of error for whatever goes wrong.

    Raises:
        ConfigurationError: saying what to do.
    """
    try:
        if not Path(name).exists() and not _hub_answers(str(name)):
            # What was downloaded before still loads; else each file would be tried for a minute.
            options["local_files_only"] = True
        return cls.from_pretrained(str(name), **options)
    except ConfigurationError:
        raise
    # A missing folder, a hub out of reach, damaged weights: each library has its own words.
    except Exception as error:
        words = " ".join(str(error).split())[:300]
        raise ConfigurationError(
            f"{what} {str(name)!r} cannot be loaded ({type(error).__name__}: {words}). Pass a "
            "folder that save_pretrained wrote, or a name on the hub; where the hub is out of "
            "reach, download it on a connected machine and take the folder along."
        ) from error


@functools.cache
def _hub_answers(name: str) -> bool:
    """Whether the hub says anything of a name, be it that there is no such thing."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        HfApi().model_info(name, timeout=_HUB_SECONDS)
    except (HfHubHTTPError, HFValidationError):
        return True
    # Offline mode, no network, a name server that is silent: each has an error of its own.
    except Exception:
        return False
    return True


def _clip_parts(clip: Any, vision: nn.Module) -> tuple[nn.Module, nn.Linear | None, float]:
    """The text tower, visual_projection where it is apart, and the logit scale of a CLIP."""
    if isinstance(clip, (str, Path)):
        folder = Path(clip)
        if str(clip) == "demo" or (folder / "open_clip_config.json").is_file():
            clip = load_encoder(str(clip), device="cpu")
        else:
            clip = load_pretrained(CLIPModel, clip, "CLIP")
    if isinstance(clip, Encoder):
        return _open_clip_parts(clip, vision)
    from transformers import CLIPTextModelWithProjection

    _check_same_tower(vision, clip.vision_model)
    text = CLIPTextModelWithProjection._from_config(clip.config.text_config)
    # The shared width is said by the whole, which a part's configuration may contradict.
    if text.config.projection_dim != clip.projection_dim:
        text.config.projection_dim = clip.projection_dim
        text = CLIPTextModelWithProjection._from_config(text.config)
    text.text_model.load_state_dict(clip.text_model.state_dict())
    text.text_projection.load_state_dict(clip.text_projection.state_dict())
    return text, clip.visual_projection, clip.logit_scale.item()


def _open_clip_parts(clip: Encoder, vision: nn.Module) -> tuple[OpenClipTextModel, None, float]:
    layer = vision.config.grid_layer if isinstance(vision, OpenClipVisionModel) else None
    tower, text = towers_of_encoder(clip, layer)
    _check_same_tower(vision, tower)
    return text, None, clip.model.logit_scale.item()


def _check_same_tower(vision: nn.Module, of_clip: nn.Module) -> None:
    """Another tower's embeddings have no meaningful cosine with this CLIP's texts."""
    ours, theirs = vision.state_dict(), of_clip.state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in ours.items()}
    if shapes != {name: tuple(tensor.shape) for name, tensor in theirs.items()}:
        raise ConfigurationError(
            f"LLaVA's vision tower ({type(vision).__name__}, {len(ours)} tensors) is not that of "
            f"the CLIP ({type(of_clip).__name__}, {len(theirs)} tensors). Pass the CLIP that the "
            "LLaVA was trained with; for LLaVA-1.5 that is openai/clip-vit-large-patch14-336."
        )
    for name, tensor in ours.items():
        if tensor.is_floating_point():
            same = torch.allclose(tensor.float(), theirs[name].float(), rtol=0.02, atol=0.02)
            if not same:
                raise ConfigurationError(
                    f"LLaVA's vision tower has other weights than the CLIP, first in {name}, so "
                    "that cosines of its pictures with the CLIP's texts mean nothing. Pass the "
                    "CLIP that the LLaVA was trained with; for LLaVA-1.5 that is "
                    "openai/clip-vit-large-patch14-336."
                )


def _shared_options(config: Any) -> dict[str, Any]:
    names = (
        "vision_config text_config image_token_index image_seq_length projector_hidden_act "
        "vision_feature_select_strategy vision_feature_layer multimodal_projector_bias "
        "tie_word_embeddings"
    )
    return {name: getattr(config, name) for name in names.split()}


def _assemble(
    cls: type[TunaForConditionalGeneration], config: TunaConfig, llava: Any
) -> TunaForConditionalGeneration:
    """The model round the LLaVA's own modules, which are large and not copied."""
    with torch.device("meta"):
        model = cls(config)
    for name in ("vision_tower", "multi_modal_projector", "language_model"):
        setattr(model.model, name, getattr(llava.model, name))
    model.lm_head = llava.lm_head
    for name in ("cross_attention", "soft_token", "visual_projection"):
        part = getattr(model.model, name, None)
        if part is not None:
            part.to_empty(device="cpu").apply(model._init_weights).to(llava.dtype)
    model.generation_config = llava.generation_config
    return model


def _make_rows(model: TunaForConditionalGeneration, needed: int) -> None:
    rows = model.get_input_embeddings().weight.shape[0]
    if needed <= rows:
        return
    means = [m.weight.data.float().mean(dim=0) for m in _word_matrices(model)]
    model.resize_token_embeddings(needed, mean_resizing=False)
    for matrix, mean in zip(_word_matrices(model), means, strict=True):
        matrix.weight.data[rows:] = mean.to(matrix.weight.dtype)


def _word_matrices(model: TunaForConditionalGeneration) -> list[nn.Module]:
    return [model.get_input_embeddings(), model.get_output_embeddings()]
