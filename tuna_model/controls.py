"""The paper's ablation on one switch: what the model is told about an image, and how."""

from __future__ import annotations

import dataclasses
import difflib
from typing import Literal, get_args

from tagmine.errors import ConfigurationError
from tuna_model.weighting import Weighting, check_weighting

Source = Literal["retrieved", "none", "random", "captions", "tagger"]
Form = Literal["pairs", "text", "lion", "lion_without_token"]


@dataclasses.dataclass(frozen=True, slots=True)
class Control:
    """What enters the prompt beside the image.

    Attributes:
        source: where tags come from; "captions" are the neighbours' captions instead of tags.
        form: "pairs" of (picture of the tag, its words), "text" alone, or LION's prompt with or
            without its learned token.
        weighting: how pairs are weighted; see `tuna_model.weighting`.
        tags_in_training: whether instruction tuning sees them; evaluation always does.

    Raises:
        ConfigurationError: for an unknown value, or captions in another form than text.
    """

    source: Source = "retrieved"
    form: Form = "pairs"
    weighting: Weighting = "softmax"
    tags_in_training: bool = True

    def __post_init__(self) -> None:
        for field, known in (("source", get_args(Source)), ("form", get_args(Form))):
            value = getattr(self, field)
            if value not in known:
                raise ConfigurationError(
                    f"{field} of a control is {value!r}; expected one of {', '.join(known)}."
                )
        check_weighting(self.weighting, 1.0)
        if self.source == "captions" and self.form != "text":
            raise ConfigurationError(
                f"captions have no form {self.form!r}; expected the form 'text'."
            )

    @property
    def has_pairs(self) -> bool:
        """Whether tags enter as pairs, which alone have weights."""
        return self.source != "none" and self.form == "pairs"


CONTROLS: dict[str, Control] = {
    "tuna": Control(),
    "no_tags": Control(source="none"),
    "random_tags": Control(source="random"),
    "captions": Control(source="captions", form="text"),
    "no_tuner": Control(weighting="none"),
    "no_tag_tuning": Control(tags_in_training=False),
    "lion": Control(form="lion"),
    "lion_without_token": Control(form="lion_without_token"),
    "tagger_tags": Control(source="tagger"),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Tuner:
    """How an answer's tags are weighted, where that is to be another way than the model's own.

    Attributes:
        weighting: one of `tuna_model.weighting.WEIGHTINGS`; None for the model's.
        temperature: τ; None for the model's.

    Raises:
        ConfigurationError: for an unknown weighting, or a τ that is not above 0.
    """

    weighting: str | None = None
    temperature: float | None = None

    def __post_init__(self) -> None:
        temperature = 1.0 if self.temperature is None else self.temperature
        check_weighting(self.weighting or "softmax", temperature)


def control_named(name: str, weighting: str | None = None) -> Control:
    """The preset of that name.

    Args:
        name: one of `CONTROLS`.
        weighting: another weighting than the paper's softmax, where the preset has the tuner.

    Raises:
        ConfigurationError: for an unknown name or weighting.
    """
    if name not in CONTROLS:
        near = difflib.get_close_matches(name, CONTROLS, n=1)
        raise ConfigurationError(
            f"--control {name!r} is unknown{f' (nearest: {near[0]})' if near else ''}; expected "
            f"one of {', '.join(CONTROLS)}."
        )
    control = CONTROLS[name]
    if weighting is None or control.weighting == "none":
        return control
    return dataclasses.replace(control, weighting=weighting)
