"""A folder of retrievals: where its files are, and what they say of how they were made."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from index.retrievals import open_retrievals, unreadable
from tagmine.errors import ConfigurationError, DatastoreError
from tagmine.layout import FORMAT_VERSION, write_atomically
from tagmine.manifest import StageCount
from tagmine.parts import PartFooter, parse_footer

RETRIEVAL_PIN = "retrieve.json"
SUMMARY = "retrievals.json"
BAD_ROWS = "rejects/retrieve/rows.parquet"
_PART_KEY = b"tagmine_retrieval"
_MAX_SUMMARY_BYTES = 1 << 20

_STRICT = ConfigDict(extra="forbid", strict=True)
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Count = Annotated[int, Field(ge=0, lt=1 << 63)]


def retrievals_path(part: int) -> str:
    return f"parts/part-{part:05d}.parquet"


@dataclasses.dataclass(frozen=True, slots=True)
class RetrievalPin:
    """What retrievals were made with.

    Attributes:
        format, format_version: what a reader expects.
        datastore: name of the datastore.
        datastore_sha256: hash of its manifest.
        clip_model: its encoder.
        encoder: fingerprint of the encoder.
        precision: what images were embedded in.
        k: neighbours an image.
        max_tags: most tags an image.
        exclude_above: images of this cosine or more were left out, as copies; None keeps them.
        exclude_own_key: whether images under the image's own key were left out.
        maker: fingerprint of all that decides a part, its images aside.
    """

    __pydantic_config__ = _STRICT

    format: Literal["tagmine-retrievals"]
    format_version: int
    datastore: str
    datastore_sha256: _Sha256
    clip_model: str
    encoder: _Sha256
    precision: str
    k: Annotated[int, Field(ge=1)]
    max_tags: Annotated[int, Field(ge=1)]
    exclude_above: float | None
    exclude_own_key: bool
    maker: _Sha256


@dataclasses.dataclass(frozen=True, slots=True)
class InstructionRows:
    """Rows of a file of instructions: read = with_image + text_only + rejected."""

    __pydantic_config__ = _STRICT

    read: _Count
    with_image: _Count
    text_only: _Count
    rejected: _Count

    def __post_init__(self) -> None:
        if self.read != self.with_image + self.text_only + self.rejected:
            raise ValueError(
                f"{self.read} read is not {self.with_image} with an image + {self.text_only} text "
                f"only + {self.rejected} rejected"
            )


@dataclasses.dataclass(frozen=True, slots=True)
class RetrievalSummary:
    """The whole of `retrievals.json`, which is written last.

    Attributes:
        pin: what the retrievals were made with.
        parts: how many parts there are, numbered from 0.
        images: what became of the images.
        with_copies: images of which the datastore has copies, which were left out.
        rows: of a file of instructions, its rows; None for shards.
        with_own_key: images that the datastore has under their own key, which were left out; None
            where a part does not say, as those of an older tagmine.
    """

    __pydantic_config__ = _STRICT

    pin: RetrievalPin
    parts: _Count
    images: StageCount
    with_copies: _Count
    rows: InstructionRows | None = None
    with_own_key: _Count | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class RetrievalFooter:
    """What a part says of itself beside its `PartFooter`."""

    __pydantic_config__ = _STRICT

    pin: RetrievalPin
    with_copies: _Count
    with_own_key: _Count | None = None


def to_metadata(footer: PartFooter, more: RetrievalFooter) -> dict[bytes, bytes]:
    """What a part carries in its Parquet file metadata."""
    return {
        **footer.to_metadata(),
        _PART_KEY: TypeAdapter(RetrievalFooter).dump_json(more),
    }


def read_footers(path: Path) -> tuple[PartFooter, RetrievalFooter]:
    """What a part says of itself.

    Raises:
        DatastoreError: for a file that is damaged, or is no part of retrievals.
    """
    metadata = open_retrievals(path).metadata.metadata or {}
    footer = parse_footer(path, metadata)
    try:
        more = TypeAdapter(RetrievalFooter).validate_json(metadata.get(_PART_KEY, b""))
    except ValidationError as error:
        raise unreadable(path, error) from error
    return footer, more


def write_summary(root: Path, summary: RetrievalSummary) -> None:
    """Say that the retrievals are complete: the last thing that the job does."""
    data = TypeAdapter(RetrievalSummary).dump_json(summary, indent=1)
    write_atomically(root / SUMMARY, data + b"\n")


def read_summary(root: Path) -> RetrievalSummary:
    """The summary of a finished folder.

    Raises:
        ConfigurationError: when there is no such folder, or no summary in it.
        DatastoreError: for a summary that is damaged, or of another format version.
    """
    path = root / SUMMARY
    if not path.is_file():
        raise ConfigurationError(
            f"{root} has no {SUMMARY}, so it holds no finished retrievals. Make them with tagmine "
            "retrieve; if it was interrupted, run the same command again."
        )
    data = path.read_bytes() if path.stat().st_size <= _MAX_SUMMARY_BYTES else b""
    try:
        summary = TypeAdapter(RetrievalSummary).validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise DatastoreError(
            f"{path} is damaged: {first['msg']}. Run the same tagmine retrieve again."
        ) from error
    if summary.pin.format_version != FORMAT_VERSION:
        raise DatastoreError(
            f"{path} has format version {summary.pin.format_version}; this tagmine reads version "
            f"{FORMAT_VERSION}. Use the tagmine that wrote it, or retrieve again."
        )
    return summary
