"""Which datastores are searched together, as typed: `DIR`, `DIR=0.5` or `DIR=40%`."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tagmine.errors import ConfigurationError, DatastoreError
from tagmine.layout import MANIFEST
from tagmine.redaction import refuse_credentials
from tagmine.stores import is_remote

if TYPE_CHECKING:
    from tagmine.manifest import EncoderPin

_NUMBERED = re.compile(r"(?P<path>.+)=(?P<number>[^=/%]+)(?P<percent>%?)")


@dataclasses.dataclass(frozen=True, slots=True)
class StackPlan:
    """Datastores that are searched as one.

    Attributes:
        folders: of the datastores, as typed.
        weights: what the cosines of each count for when the answers are merged; 1 by default.
        shares: of the k neighbours, the share that each datastore gives; None where the nearest
            of all are taken.

    Raises:
        ConfigurationError: for no folder, weights that are not positive, or shares that do not add
            up to 1.
    """

    folders: tuple[str, ...]
    weights: tuple[float, ...] = ()
    shares: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not self.folders:
            raise ConfigurationError("no datastore was given; give the folder of one or of several")
        object.__setattr__(self, "weights", self.weights or (1.0,) * len(self.folders))
        check_numbers(self.folders, self.weights, self.shares)

    def __str__(self) -> str:
        return "+".join(
            folder + number for folder, number in zip(self.folders, self._numbers(), strict=True)
        )

    @property
    def short(self) -> str:
        """As it is typed, with the folders' own names for their paths."""
        names = [Path(folder).absolute().name for folder in self.folders]
        return "+".join(name + n for name, n in zip(names, self._numbers(), strict=True))

    def _numbers(self) -> list[str]:
        if self.shares is not None:
            return [f"={share:.4g}%" for share in (100 * share for share in self.shares)]
        return ["" if weight == 1 else f"={weight:g}" for weight in self.weights]


def check_numbers(
    names: Sequence[str], weights: Sequence[float], shares: Sequence[float] | None
) -> None:
    """Refuse weights and shares that mean nothing.

    Raises:
        ConfigurationError: see `StackPlan`.
    """
    if len(weights) != len(names) or (shares is not None and len(shares) != len(names)):
        raise ConfigurationError(
            f"{len(names)} datastores, {len(weights)} weights and "
            f"{'no' if shares is None else len(shares)} shares; give one number for each datastore."
        )
    for name, weight in zip(names, weights, strict=True):
        # Not the other way round: a NaN compares false with everything.
        if not 0 < weight < math.inf:
            raise ConfigurationError(f"{name}={weight:g}: a weight is a number above 0.")
    if shares is None:
        return
    for name, share in zip(names, shares, strict=True):
        if not 0 <= share <= 1:
            raise ConfigurationError(f"{name}={share:.4g}: a share is 0 % to 100 %.")
    if not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise ConfigurationError(
            f"the shares of {', '.join(names)} add up to {sum(shares):.0%}; they must make 100 %."
        )


def check_encoders(stores: Sequence[tuple[Path, EncoderPin]]) -> None:
    """Refuse datastores whose vectors cannot be compared.

    Args:
        stores: folder and encoder of each.

    Raises:
        DatastoreError: naming two of them and their encoders.
    """
    root, one = stores[0]
    for other, two in stores[1:]:
        if one.fingerprint != two.fingerprint:
            raise DatastoreError(
                f"{root} and {other} do not go together, since their vectors cannot be compared: "
                f"{root} was embedded with {one.clip_model} (weights {one.weights_sha256[:12]}, "
                f"{one.dim} dimensions), {other} with {two.clip_model} (weights "
                f"{two.weights_sha256[:12]}, {two.dim} dimensions). Embed the shards of one with "
                "the encoder of the other."
            )


def parse_stack(words: Sequence[str]) -> StackPlan:
    """The plan that `DIR`, `DIR=0.5` or `DIR=40%` ask for; a folder of that very name goes first.

    Raises:
        ConfigurationError: for numbers that mean nothing, or shares for some datastores only.
    """
    folders, weights, shares = [], [], []
    for word in words:
        # First, since what cannot be read below is repeated.
        refuse_credentials(word, "the datastore")
        found = None if Path(word).is_dir() else _NUMBERED.fullmatch(word)
        folders.append(word if found is None else found["path"])
        number = 1.0 if found is None else _number(word, found["number"])
        percent = found is not None and bool(found["percent"])
        weights.append(1.0 if percent else number)
        shares.append(number / 100 if percent else None)
    given = [share for share in shares if share is not None]
    if given and len(given) != len(folders):
        without = folders[shares.index(None)]
        raise ConfigurationError(f"{without}: give every datastore a share, or none of them.")
    return StackPlan(tuple(folders), tuple(weights), tuple(given) or None)


def parse_sum(word: str) -> StackPlan:
    """The plan that `A`, `A+B` or `A=0.5+B` asks for; a folder of that very name goes first.

    Raises:
        ConfigurationError: as `parse_stack`.
    """
    parts = [word] if Path(word).is_dir() else [part for part in word.split("+") if part]
    return parse_stack(parts)


def _number(word: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ConfigurationError(
            f"{word}: {text!r} is no number. Write DIR=0.5 for a weight, DIR=40% for a share; "
            "there is no such folder either."
        ) from error


def split_inputs(words: Sequence[str]) -> tuple[StackPlan, tuple[str, ...]]:
    """Datastores first, photos after: the first is a datastore, and so is each folder behind it.

    Raises:
        ConfigurationError: where no photo follows, or a photo is before a datastore.
    """
    if Path(words[0]).is_file():
        raise ConfigurationError(
            f"{words[0]} is a file, where a datastore is expected. Give the datastores first, and "
            "the photos after them."
        )
    count = 1
    while count < len(words) and _is_store(words[count]):
        count += 1
    photos = tuple(words[count:])
    late = [word for word in photos if (Path(word) / MANIFEST).is_file()]
    if late:
        raise ConfigurationError(f"{late[0]}: give datastores before the photos.")
    if not photos:
        raise ConfigurationError(
            f"no photo was given, only {', '.join(words)}. Give a JPEG, PNG or WebP file after the "
            "datastores."
        )
    return parse_stack(words[:count]), photos


def _is_store(word: str) -> bool:
    # Photos are files of this machine.
    if is_remote(word):
        return True
    found = _NUMBERED.fullmatch(word)
    with contextlib.suppress(ValueError):
        if found is not None and not Path(word).is_file():
            float(found["number"])
            return True
    return Path(word).is_dir()
