"""The manifest: what a datastore is made of and what must match when it is opened."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from tagmine.errors import DatastoreError
from tagmine.layout import FORMAT_VERSION, MANIFEST, write_atomically
from tagmine.rejects import REASONS
from tagmine.seal import is_intact, seal

# A manifest of 100,000 parts has about 100 MB.
MAX_MANIFEST_BYTES = 1 << 30

_Pin = TypeVar("_Pin")
_STRICT = ConfigDict(extra="forbid", strict=True)
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Count = Annotated[int, Field(ge=0, lt=1 << 63)]
# No absolute path and no "..": a datastore refers to nothing outside itself.
_RelativePath = Annotated[str, Field(pattern=r"^[a-z]+(/[a-z0-9][a-z0-9._-]*)+$", max_length=200)]


@dataclasses.dataclass(frozen=True, slots=True)
class FileCard:
    """One file: its path inside the datastore, its rows, size and hash."""

    __pydantic_config__ = _STRICT

    path: _RelativePath
    rows: _Count
    bytes: _Count
    sha256: _Sha256


@dataclasses.dataclass(frozen=True, slots=True)
class StageCount:
    """What a stage did with a part: read = written + the sum of rejected."""

    __pydantic_config__ = _STRICT

    read: _Count
    written: _Count
    rejected: dict[str, _Count]

    def __post_init__(self) -> None:
        unknown = sorted(set(self.rejected) - set(REASONS))
        if unknown:
            raise ValueError(f"unknown reject reasons {', '.join(unknown)}")
        if self.read != self.written + sum(self.rejected.values()):
            raise ValueError(
                f"{self.read} read is not {self.written} written + "
                f"{sum(self.rejected.values())} rejected"
            )

    def __add__(self, other: StageCount) -> StageCount:
        reasons = sorted({*self.rejected, *other.rejected})
        return StageCount(
            self.read + other.read,
            self.written + other.written,
            {r: self.rejected.get(r, 0) + other.rejected.get(r, 0) for r in reasons},
        )


@dataclasses.dataclass(frozen=True, slots=True)
class PartCard:
    """One part: its shard, its files, the counts of each stage, and, if it has them,
    its origins and thumbnails."""

    __pydantic_config__ = _STRICT

    part: Annotated[int, Field(ge=0, lt=1 << 31)]
    source: str
    source_sha256: _Sha256
    source_bytes: _Count
    tags: FileCard
    embeddings: FileCard
    rejects: tuple[FileCard, ...]
    stages: dict[Literal["mine", "embed", "index"], StageCount]
    captions_dropped: dict[str, _Count] = dataclasses.field(default_factory=dict)
    origins: FileCard | None = None
    thumbnails: FileCard | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class TaggerPin:
    """What the tags were made by."""

    __pydantic_config__ = _STRICT

    pipeline: str
    version: str
    spacy: str
    backend: str
    policy: _Sha256
    vocabularies: tuple[tuple[str, _Sha256], ...]
    relations: bool
    fingerprint: _Sha256
    image_keys: tuple[str, ...]
    caption_key: str
    json_key: str
    caption_json_fields: tuple[str, ...]
    tag_fields: tuple[str, ...]
    maker: _Sha256
    min_caption_words: _Count = 0
    max_caption_words: _Count | None = None
    language: str | None = None
    blocklist_sha256: _Sha256 | None = None
    annotations_sha256: _Sha256 | None = None
    annotations_key: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class EncoderPin:
    """What the embeddings were made by, and what queries must be embedded by."""

    __pydantic_config__ = _STRICT

    clip_model: str
    architecture: str
    weights_sha256: _Sha256
    activation: str
    preprocessing: str
    dim: Annotated[int, Field(gt=0, le=65536)]
    precision: str
    fingerprint: _Sha256
    maker: _Sha256
    clip_scores: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class IndexShardCard:
    """One index shard: its file and card, and the parts whose vectors it holds."""

    __pydantic_config__ = _STRICT

    file: FileCard
    card: FileCard
    parts: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class TuningCard:
    """What `nprobe` and `rerank` were tuned to: the goal, and what was measured.

    Attributes:
        goal: wanted share of the true `at` nearest that are found.
        at: how many nearest.
        recall: the share that was measured.
        queries: images of the datastore that it was measured on, each without itself.
        held_out: whether the index was trained on none of them; it may have been where this is
            missing, as where its training took nearly all images.
    """

    __pydantic_config__ = _STRICT

    goal: Annotated[float, Field(gt=0, le=1)]
    at: Annotated[int, Field(ge=1)]
    recall: Annotated[float, Field(ge=0, le=1)]
    queries: _Count
    held_out: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class DriftCard:
    """How parts that were added differ from those that the index was trained on.

    Attributes:
        trained_parts: how many parts it was trained on.
        trained_error, added_error: mean squared distance of sampled vectors of either to what the
            index keeps of them; where it keeps them whole, to the centroid of their list.
        trained_imbalance, imbalance: FAISS's imbalance factor of the lists that samples of the
            trained parts, and of all parts, fall into; 1 for lists of one size.
    """

    __pydantic_config__ = _STRICT

    trained_parts: _Count
    trained_error: float
    added_error: float
    trained_imbalance: float
    imbalance: float


@dataclasses.dataclass(frozen=True, slots=True)
class IndexCard:
    """The index: its specification, metric, search defaults and files."""

    __pydantic_config__ = _STRICT

    index_key: str
    metric: Literal["ip"]
    dim: Annotated[int, Field(gt=0, le=65536)]
    vectors: _Count
    trained_on: _Count
    nprobe: Annotated[int, Field(ge=0)]
    rerank: Annotated[int, Field(ge=0)]
    trained: FileCard
    trained_card: FileCard
    shards: tuple[IndexShardCard, ...]
    min_clip_score: Annotated[float, Field(ge=-1, le=1)] | None = None
    tuned: TuningCard | None = None
    drift: DriftCard | None = None
    merged: tuple[FileCard, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class VocabularyCard:
    """The vocabulary: its file, what it was made of, and the floor below which tags are rare."""

    __pydantic_config__ = _STRICT

    file: FileCard
    maker: _Sha256
    min_tag_images: Annotated[int, Field(ge=1, lt=1 << 63)]


@dataclasses.dataclass(frozen=True, slots=True)
class RemovedCard:
    """The record of what was taken out.

    Attributes:
        file: the record.
        pending: images of the index that it hides, until the datastore is compacted.
    """

    __pydantic_config__ = _STRICT

    file: FileCard
    pending: _Count


@dataclasses.dataclass(frozen=True, slots=True)
class Manifest:
    """The whole of `manifest.json`; docs/format.md says what each field means."""

    __pydantic_config__ = _STRICT

    format: Literal["tagmine-datastore"]
    format_version: int
    name: str
    images: _Count
    tagger: TaggerPin
    encoder: EncoderPin
    index: IndexCard
    vocabulary: VocabularyCard
    totals: dict[Literal["mine", "embed", "index"], StageCount]
    parts: tuple[PartCard, ...]
    removed: RemovedCard | None = None
    sha256: _Sha256 | None = dataclasses.field(default=None, compare=False)

    def __post_init__(self) -> None:
        for stage, total in self.totals.items():
            summed = sum_counts([part.stages[stage] for part in self.parts])
            if summed != total:
                raise ValueError(f"the totals of {stage} are not the sum over the parts")
        if self.images != self.index.vectors:
            raise ValueError(f"{self.images} images, but {self.index.vectors} vectors")
        if self.live_images < 0:
            raise ValueError(f"more images are hidden than the {self.images} that there are")
        numbers = [part.part for part in self.parts]
        if numbers != sorted(set(numbers)):
            raise ValueError("the parts are not in ascending order, each once")

    @property
    def live_images(self) -> int:
        """Images that can be an answer: those in the index that were not taken out."""
        return self.images - (self.removed.pending if self.removed else 0)

    def files(self) -> list[FileCard]:
        """Every file that the manifest pins."""
        listed = [self.index.trained, self.index.trained_card, self.vocabulary.file]
        for shard in self.index.shards:
            listed += [shard.file, shard.card]
        listed += self.index.merged
        listed += [self.removed.file] if self.removed else []
        for part in self.parts:
            listed += [part.tags, part.embeddings, *part.rejects]
            listed += [card for card in (part.origins, part.thumbnails) if card]
        return listed


def pin_bytes(pin: TaggerPin | EncoderPin) -> bytes:
    """The content of the file that records a pin."""
    # Options that are not used are left out, as they are in files of before there were any.
    return TypeAdapter(type(pin)).dump_json(pin, indent=1, exclude_defaults=True) + b"\n"


def write_pin(path: Path, pin: TaggerPin | EncoderPin) -> None:
    """Record what a stage works with, before its first part, for the stages that come later."""
    data = pin_bytes(pin)
    if not path.exists() or path.read_bytes() != data:
        write_atomically(path, data)


def read_pin(path: Path, kind: type[_Pin], stage: str) -> _Pin:
    """What `write_pin` recorded.

    Raises:
        DatastoreError: when the stage has not run, or the file is damaged.
    """
    if not path.is_file():
        raise DatastoreError(f"{path} is missing: run tagmine {stage} on this folder first.")
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except ValidationError as error:
        raise DatastoreError(
            f"{path} is damaged; remove it and run tagmine {stage} again."
        ) from error


def sum_counts(counts: list[StageCount]) -> StageCount:
    """The counts of several parts as one, reasons in alphabetical order."""
    return sum(counts, start=StageCount(0, 0, {}))


def fingerprint(*values: object) -> str:
    """sha256, as hex, of the canonical JSON of the values."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def write_manifest(root: Path, manifest: Manifest) -> None:
    """Publish the datastore: the last thing that a build does."""
    manifest = dataclasses.replace(manifest, sha256=None)
    data = TypeAdapter(Manifest).dump_json(manifest, indent=1, exclude_defaults=True)
    write_atomically(root / MANIFEST, seal(data))


def read_manifest(root: Path) -> Manifest:
    """The manifest of the datastore in `root`.

    Raises:
        DatastoreError: when there is none, it is damaged, or it has another format version.
    """
    path = root / MANIFEST
    if not root.is_dir():
        raise DatastoreError(f"{root}: there is no such folder; give the folder of a datastore.")
    if path.is_symlink():
        raise DatastoreError(
            f"{path} is a link, and a datastore reads nothing outside of its folder. Copy it with "
            "what its links lead to, as cp -rL does."
        )
    if not path.is_file():
        raise DatastoreError(
            f"{root} has no {MANIFEST}, so it is not a finished datastore. If a build was "
            "interrupted, run the same tagmine build again; it goes on where it stopped."
        )
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise DatastoreError(f"{path} has more than {MAX_MANIFEST_BYTES:,} bytes; it is refused.")
    data = path.read_bytes()
    if not is_intact(data):
        raise DatastoreError(
            f"{path} is damaged: its content does not have the sha256 that it ends with. Restore "
            "it from a copy, or run tagmine build again with the same shards."
        )
    try:
        manifest = TypeAdapter(Manifest).validate_json(data)
    except ValidationError as error:
        # Only now, as it parses everything once more: another version may have other fields.
        _check_version(path, data)
        raise DatastoreError(
            f"{path} is damaged: {_what_is_wrong(error)}. Restore it from a copy, or run "
            "tagmine build again with the same shards."
        ) from error
    if manifest.format_version != FORMAT_VERSION:
        _check_version(path, data)
    return manifest


def _what_is_wrong(error: ValidationError) -> str:
    found = error.errors(include_url=False)[0]
    place = ".".join(str(step) for step in found["loc"]) or "the whole"
    if found["type"] != "string_pattern_mismatch" or found["loc"][-1] != "path":
        return f"{place}: {found['msg']}"
    name = found["input"]
    leads_out = name.startswith("/") or ".." in name.split("/")
    what = "a path that leads out of the folder" if leads_out else "no path of a file in a folder"
    return f"{place}: {name[:200]!a} is {what} of the datastore"


def _check_version(path: Path, data: bytes) -> None:
    try:
        header = json.loads(data)
        version = header["format_version"] if header["format"] == "tagmine-datastore" else None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DatastoreError(
            f"{path} is no tagmine manifest ({type(error).__name__}: {error}). Restore it from a "
            "copy, or run tagmine build again with the same shards."
        ) from error
    if version != FORMAT_VERSION:
        raise DatastoreError(
            f"{path} has format version {version!r}; this tagmine reads version {FORMAT_VERSION}. "
            "Upgrade tagmine to open a newer datastore, or build it again."
        )
