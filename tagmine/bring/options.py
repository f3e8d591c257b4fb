"""What is to be brought, and which of its columns are what."""

from __future__ import annotations

import codecs
import dataclasses
from collections.abc import Sequence

from tagmine.errors import ConfigurationError

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
HDF5 = (".h5", ".hdf5")
POSES = ("all", "one")

_IMAGE_NAMES = ("image", "file_name", "filename", "image_path", "path", "photo", "img")
_CAPTION_NAMES = ("caption", "captions", "text", "title", "name", "description")


@dataclasses.dataclass(frozen=True, slots=True)
class BringOptions:
    """`tagmine shards`: what is read, and which of its columns are what.

    Attributes:
        sources: a folder or a file; several tables of one kind, or several of COCO's JSON files.
        image_folder: where a table's images are; None for the folder that the table lies in.
        image_column: the column with each image's path, or the image; None for a usual name.
        caption_columns: the columns with what is said of it; () for a usual name.
        key_column: the column with each sample's name; None numbers the rows.
        tag_fields: the fields whose values are tags already; None for those that are usual for
            what is brought.
        vocabulary_fields: the fields whose values are names to look for in texts; likewise.
        poses: "all" photos of a product, or "one".
        encoding: of a CSV or TSV file.
        split: of a `datasets` folder that holds several.

    Raises:
        ConfigurationError: for a value that cannot be.
    """

    sources: tuple[str, ...]
    image_folder: str | None = None
    image_column: str | None = None
    caption_columns: tuple[str, ...] = ()
    key_column: str | None = None
    tag_fields: tuple[str, ...] | None = None
    vocabulary_fields: tuple[str, ...] | None = None
    poses: str | None = None
    encoding: str | None = None
    split: str | None = None

    def __post_init__(self) -> None:
        if self.poses is not None and self.poses not in POSES:
            raise ConfigurationError(f"--poses {self.poses}: give {' or '.join(POSES)}.")
        try:
            codecs.lookup(self.encoding or "utf-8")
        except LookupError as error:
            raise ConfigurationError(
                f"--encoding {self.encoding}: there is no such encoding. Give utf-8, latin-1, "
                "cp1252 or another that Python knows."
            ) from error

    @property
    def named_columns(self) -> tuple[str, ...]:
        """Every column that an option names."""
        asked = [self.image_column, *self.caption_columns, self.key_column]
        asked += [*(self.tag_fields or ()), *(self.vocabulary_fields or ())]
        return tuple(name for name in asked if name is not None)

    def refuse(self, *names: str, why: str) -> None:
        """Stop where options were given that mean nothing for what is brought.

        Raises:
            ConfigurationError: naming the first such flag.
        """
        for name in names:
            if getattr(self, name):
                raise ConfigurationError(f"--{name.replace('_', '-')}: {why}")


@dataclasses.dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table are what.

    Attributes:
        image: the column with each image.
        captions: the columns with what is said of it.
        key: the column with each sample's name, None to number them.
        names: all columns.
    """

    image: str
    captions: tuple[str, ...]
    key: str | None
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"images from column {self.image}, captions from {', '.join(self.captions)}"


def choose_columns(
    options: BringOptions, what: str, names: Sequence[str], image: str | None = None
) -> Columns:
    """The columns that the options name, or that have usual names.

    Args:
        options: what was asked for.
        what: the table's name, for errors.
        names: its columns.
        image: the column that holds images by its type, if one does.

    Raises:
        ConfigurationError: for a column that is named and is not there, or that must be named.
    """
    for name in options.named_columns:
        if name not in names:
            raise ConfigurationError(
                f"{what}: there is no column {name!r}; the columns are {_listed(names)}."
            )
    image = options.image_column or image or _usual(_IMAGE_NAMES, names)
    if image is None:
        raise ConfigurationError(
            f"{what}: none of its columns is named as one of images ({', '.join(_IMAGE_NAMES)}). "
            f"Name it with --image-column; the columns are {_listed(names)}."
        )
    usual = _usual(_CAPTION_NAMES, [name for name in names if name != image])
    captions = options.caption_columns or ((usual,) if usual else ())
    if not captions:
        raise ConfigurationError(
            f"{what}: none of its columns is named as one of captions "
            f"({', '.join(_CAPTION_NAMES)}). Name it with --caption-columns; the columns are "
            f"{_listed(names)}."
        )
    return Columns(image, tuple(captions), options.key_column, tuple(names))


def _usual(usual: Sequence[str], names: Sequence[str]) -> str | None:
    """The column of the first usual name that there is, whatever its case."""
    by_name = {str(name).strip().lower(): name for name in reversed(names)}
    return next((by_name[name] for name in usual if name in by_name), None)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(str, names[:30])) or "none"
    return f"{shown}, …" if len(names) > 30 else shown
