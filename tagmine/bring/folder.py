"""A folder of shards that `tagmine shards` writes: where its files are, and what they say."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from tagmine.errors import ConfigurationError
from tagmine.layout import write_atomically
from tagmine.manifest import StageCount
from tagmine.parts import PartFooter

PIN = "source.json"
SUMMARY = "shards.json"
_MAX_CARD_BYTES = 1 << 20
_STRICT = ConfigDict(extra="forbid", strict=True)
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Count = Annotated[int, Field(ge=0, lt=1 << 63)]


def shard_path(part: int) -> str:
    return f"{part:05d}.tar"


def rejects_file(part: int) -> str:
    return f"rejects/{part:05d}.parquet"


def _card_path(part: int) -> str:
    return f"cards/{part:05d}.json"


def vocabulary_path(field: str) -> str:
    return f"vocabulary/{field}.txt"


@dataclasses.dataclass(frozen=True, slots=True)
class BringPin:
    """What shards are made of and how: whoever goes on with them must ask for the same.

    Attributes:
        format, format_version: what a reader expects.
        kind: "fashiongen", "table", "coco" or "datasets".
        sources: names of the files or of the folder, without their folders.
        shard_size: samples a shard.
        captions: the columns of captions.
        image, key: the columns of images and keys, where there are such.
        tag_fields: fields whose values are tags.
        vocabulary_fields: fields whose values are names.
        poses, encoding, split: as they were asked for.
        maker: fingerprint of the rules that shards are written by.
    """

    __pydantic_config__ = _STRICT

    format: Literal["tagmine-shards"]
    format_version: int
    kind: str
    sources: tuple[str, ...]
    shard_size: Annotated[int, Field(ge=1)]
    captions: tuple[str, ...]
    image: str | None
    key: str | None
    tag_fields: tuple[str, ...]
    vocabulary_fields: tuple[str, ...]
    poses: str | None
    encoding: str | None
    split: str | None
    maker: _Sha256


@dataclasses.dataclass(frozen=True, slots=True)
class ShardCard:
    """What a shard says of itself.

    Attributes:
        footer: its counts, and hashes of what made it.
        merged: rows that are further rows of an image.
        tar_sha256: hash of the shard.
    """

    footer: PartFooter
    merged: _Count
    tar_sha256: _Sha256


@dataclasses.dataclass(frozen=True, slots=True)
class BringSummary:
    """The whole of `shards.json`, which is written last: rows = images read + merged.

    Attributes:
        pin: what the shards are made of.
        shards: how many there are, numbered from 0.
        rows: rows of the collection.
        merged: rows that are further rows of an image.
        images: what became of the others.
        vocabulary: names in each file of names, by field.
    """

    __pydantic_config__ = _STRICT

    pin: BringPin
    shards: _Count
    rows: _Count
    merged: _Count
    images: StageCount
    vocabulary: dict[str, _Count]

    def __post_init__(self) -> None:
        if self.rows != self.images.read + self.merged:
            raise ValueError(
                f"{self.rows} rows are not {self.images.read} images + {self.merged} merged"
            )


def write_card(root: Path, card: ShardCard) -> None:
    """Say that a shard is finished: the last that is written of it."""
    data = TypeAdapter(ShardCard).dump_json(card)
    write_atomically(root / _card_path(card.footer.part), data + b"\n")


def read_card(root: Path, part: int) -> ShardCard | None:
    """The card of a shard; None where there is none, or a damaged one."""
    path = root / _card_path(part)
    try:
        data = path.read_bytes() if path.stat().st_size <= _MAX_CARD_BYTES else b""
        return TypeAdapter(ShardCard).validate_json(data)
    except (OSError, ValidationError):
        return None


def begin(root: Path, pin: BringPin) -> None:
    """Say what the shards are made of, and that they are not complete.

    Raises:
        ConfigurationError: for a folder of shards that were made otherwise.
    """
    path = root / PIN
    data = TypeAdapter(BringPin).dump_json(pin, indent=1) + b"\n"
    if path.is_file() and path.read_bytes() != data:
        raise ConfigurationError(
            f"{root} holds shards that were made otherwise: {_differences(path, pin)}. Give the "
            "same sources and options, or another --out."
        )
    (root / SUMMARY).unlink(missing_ok=True)
    write_atomically(path, data)


def _differences(path: Path, pin: BringPin) -> str:
    try:
        before = TypeAdapter(BringPin).validate_json(path.read_bytes())
    except ValidationError:
        return f"{path.name} is of another tagmine, or damaged"
    old, new = dataclasses.asdict(before), dataclasses.asdict(pin)
    return "; ".join(
        f"{name} was {_said(old[name]):.60}, now {_said(new[name]):.60}"
        for name in old
        if old[name] != new[name]
    )


def _said(value: object) -> str:
    if value is None or value == ():
        return "not given"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def drop_beyond(root: Path, shards: int) -> int:
    """Delete the shards of a collection that has become shorter; returns how many."""
    beyond = [path for path in root.glob("*.tar") if path.stem.isdecimal()]
    beyond = [path for path in beyond if int(path.stem) >= shards]
    for path in beyond:
        (root / rejects_file(int(path.stem))).unlink(missing_ok=True)
        (root / _card_path(int(path.stem))).unlink(missing_ok=True)
        path.unlink()
    return len(beyond)


def write_summary(root: Path, summary: BringSummary) -> None:
    """Say that the shards are complete: the last thing that the job does."""
    data = TypeAdapter(BringSummary).dump_json(summary, indent=1)
    write_atomically(root / SUMMARY, data + b"\n")
