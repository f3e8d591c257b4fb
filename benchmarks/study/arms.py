"""What is compared: the plain model, TUNA and every control of its ablation."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tagmine.errors import ConfigurationError
from tuna_model.controls import CONTROLS, Control

# Cosines of the demo encoder's tags with a picture lie a few tenths apart. With the paper's
# temperature of 1, softmax x N and the exponential would hardly differ from no tuner.
_SHARP = 10.0


@dataclasses.dataclass(frozen=True, slots=True)
class Arm:
    """One way to train and ask.

    Attributes:
        name: in tables and files.
        title: what it is, for a reader.
        control: what the model is told, and how.
        temperature: of the weighting.
        trained_as: name of the arm whose trained weights it uses; its own where that is empty.
        curves: which of "size", "noise" and "encoder" are measured with it.
    """

    name: str
    title: str
    control: Control
    temperature: float = 1.0
    trained_as: str = ""
    curves: tuple[str, ...] = ()


def _weighted(weighting: str) -> Control:
    return dataclasses.replace(CONTROLS["tuna"], weighting=weighting)


ARMS = (
    Arm("baseline", "LLaVA, no tags", CONTROLS["no_tags"]),
    Arm(
        "tuna", "TUNA (softmax, the paper's)", CONTROLS["tuna"], curves=("size", "noise", "encoder")
    ),
    Arm("random_tags", "random tags", CONTROLS["random_tags"]),
    Arm("captions", "captions instead of tags", CONTROLS["captions"]),
    Arm("no_tuner", "tags without the tuner", CONTROLS["no_tuner"], curves=("noise",)),
    Arm(
        "no_tag_tuning",
        "tags without tag-grounded tuning",
        CONTROLS["no_tag_tuning"],
        trained_as="baseline",
    ),
    Arm("lion", "LION's prompt, soft token", CONTROLS["lion"]),
    Arm("lion_without_token", "LION's prompt, no soft token", CONTROLS["lion_without_token"]),
    Arm("tagger_tags", "tags from a tagger", CONTROLS["tagger_tags"]),
    Arm(
        "softmax_times_n",
        f"TUNA, softmax × N, τ = {_SHARP:g}",
        _weighted("softmax_times_n"),
        _SHARP,
        curves=("noise",),
    ),
    Arm(
        "exponential",
        f"TUNA, exponential, τ = {_SHARP:g}",
        _weighted("exponential"),
        _SHARP,
        curves=("noise",),
    ),
)


def trained_arms(names: Sequence[str] | None = None) -> list[Arm]:
    """The arms of those names, or all, that are trained by themselves.

    Raises:
        ConfigurationError: for a name of no such arm.
    """
    trained = {arm.name: arm for arm in ARMS if not arm.trained_as}
    for name in names or ():
        if name not in trained:
            raise ConfigurationError(
                f"{name!r} is no arm that is trained by itself. Give some of {', '.join(trained)}."
            )
    return [trained[name] for name in names or trained]


def arm_named(name: str) -> Arm:
    """The arm of that name.

    Raises:
        KeyError: for an unknown name.
    """
    return {arm.name: arm for arm in ARMS}[name]
