"""Columnar files: a Hugging Face `datasets` folder on disk, and Parquet tables of images.

`datasets` itself is not needed: what it saves are Arrow streams whose schema says what is an image
and what the names of a class label are.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tagmine.bring.options import BringOptions, Columns, choose_columns
from tagmine.bring.picture import MAX_IMAGE_BYTES, FolderPictures, Picture
from tagmine.bring.rows import BadRow, Collection, Row
from tagmine.bring.tables import check_pictures, read_row
from tagmine.captions import SampleRejected
from tagmine.errors import ConfigurationError

STATE = "state.json"
SPLITS = "dataset_dict.json"
_MAX_JSON_BYTES = 4 << 20
_BATCH_ROWS = 256
_PICTURES_TOGETHER = 16


def open_datasets(options: BringOptions, folder: Path) -> Collection:
    """Look into a folder that `Dataset.save_to_disk` wrote, or one with Parquet files of the hub.

    Raises:
        ConfigurationError: for a folder that is damaged or holds several splits, or a column that
            is missing.
    """
    options.refuse("poses", "encoding", why="is not for datasets.")
    folder = _split_folder(options, folder)
    if (folder / STATE).is_file():
        listed = _json(folder / STATE).get("_data_files")
        names = [item.get("filename") for item in listed or [] if isinstance(item, dict)]
        for name in names:
            if not isinstance(name, str) or PurePath(name).name != name:
                raise ConfigurationError(f"{folder / STATE}: {name!r:.80} names no file beside it.")
        paths = tuple(folder / name for name in names)
    else:
        paths = parquet_files(folder)
    if not paths:
        raise ConfigurationError(f"{folder}: there is no {STATE} that lists files, and no Parquet.")
    return open_columnar(options, "datasets", str(folder), paths)


def parquet_files(folder: Path) -> tuple[Path, ...]:
    """The Parquet files of a folder, as `datasets` of the hub have them."""
    return tuple(sorted([*folder.glob("*.parquet"), *folder.glob("data/*.parquet")]))


def _split_folder(options: BringOptions, folder: Path) -> Path:
    if not (folder / SPLITS).is_file():
        options.refuse("split", why=f"{folder} does not hold several splits.")
        return folder
    splits = [str(name) for name in _json(folder / SPLITS).get("splits") or []]
    if options.split not in splits or PurePath(options.split).name != options.split:
        raise ConfigurationError(
            f"{folder} holds the splits {', '.join(splits)}: give one of them as --split."
        )
    return folder / options.split


def _json(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            value = json.loads(stream.read(_MAX_JSON_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}.") from error
    return value if isinstance(value, dict) else {}


def open_columnar(
    options: BringOptions, kind: str, what: str, paths: tuple[Path, ...]
) -> Collection:
    """Look into Arrow or Parquet files of one schema.

    Raises:
        ConfigurationError: for a file that cannot be read, or a column that is missing.
    """
    schema = _schema(paths[0])
    for path in paths[1:]:
        if _schema(path).names != schema.names:
            raise ConfigurationError(f"{path} has other columns than {paths[0]}.")
    holding = next((field.name for field in schema if _holds_images(field.type)), None)
    columns = choose_columns(options, what, schema.names, holding)
    embedded = _holds_images(schema.field(columns.image).type)
    folder = (
        None
        if options.image_folder is None and embedded
        else (Path(options.image_folder or paths[0].parent).absolute())
    )
    rows = ColumnarRows(paths, columns, _labels(schema), embedded)
    if embedded:
        pictures = EmbeddedPictures(
            tuple(str(path.absolute()) for path in paths), columns.image, folder and str(folder)
        )
    else:
        pictures = FolderPictures(str(folder))
        check_pictures(rows(), pictures, f"{what}: the folder {folder}")
    chosen = options.tag_fields or ()
    return Collection(
        kind, f"{what}; {columns}", rows, pictures, chosen, options.vocabulary_fields or ()
    )


def _holds_images(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return {"bytes", "path"} <= {field.name for field in kind}
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _labels(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """The names of class labels, by column, which the rows hold as numbers."""
    try:
        info = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = info["info"]["features"]
        listed = {
            name: feature["names"]
            for name, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
    return {name: tuple(map(str, names)) for name, names in listed.items()}


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise ConfigurationError(
            f"{path} cannot be read: {type(error).__name__}: {str(error)[:200]}."
        ) from error


def _schema(path: Path) -> pa.Schema:
    with _readable(path):
        if path.suffix == ".parquet":
            return pq.read_schema(path)
        with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as stream:
            return stream.schema


def _batches(
    path: Path, columns: Sequence[str], first: int, batch_rows: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The batches from the one with row `first` on, each with the number of its first row."""
    with _readable(path):
        if path.suffix == ".parquet":
            yield from _parquet_batches(path, columns, first, batch_rows)
            return
        # Mapped: columns that are not looked at are never read from disk.
        with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as stream:
            start = 0
            for batch in stream:
                if start + batch.num_rows > first:
                    wanted = batch.select(list(columns))
                    # Offsets of a stranger may point anywhere.
                    wanted.validate(full=True)
                    yield start, wanted
                start += batch.num_rows


def _parquet_batches(
    path: Path, columns: Sequence[str], first: int, batch_rows: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    with pq.ParquetFile(path) as file:
        start = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if start + rows > first:
                at = start
                for batch in file.iter_batches(batch_rows, [group], columns=list(columns)):
                    yield at, batch
                    at += batch.num_rows
            start += rows


@dataclasses.dataclass(frozen=True, slots=True)
class ColumnarRows:
    """Reads the rows of Arrow or Parquet files; pictures that they hold are not touched."""

    paths: tuple[Path, ...]
    columns: Columns
    labels: Mapping[str, tuple[str, ...]]
    embedded: bool

    def __call__(self) -> Iterator[Row | BadRow]:
        wanted = [name for name in self.columns.names if not self._is_picture(name)]
        for number, path in enumerate(self.paths):
            for start, batch in _batches(path, wanted, 0, _BATCH_ROWS):
                for offset in range(0, batch.num_rows, _BATCH_ROWS):
                    piece = batch.slice(offset, _BATCH_ROWS).to_pylist()
                    for row, cells in enumerate(piece, start + offset):
                        image = f"{number}:{row}" if self.embedded else None
                        yield read_row(self._named(cells), self.columns, image)

    def _is_picture(self, name: str) -> bool:
        return self.embedded and name == self.columns.image

    def _named(self, cells: dict[str, Any]) -> dict[str, Any]:
        for name, names in self.labels.items():
            value = cells.get(name)
            if isinstance(value, int):
                # -1 stands for "not known".
                cells[name] = names[value] if 0 <= value < len(names) else None
        return cells


@dataclasses.dataclass(frozen=True, slots=True)
class EmbeddedPictures:
    """Pictures within Arrow or Parquet files, or named by them.

    Attributes:
        paths: the files.
        column: the column of images: their bytes, or their bytes and path.
        folder: where images are of which only the path is there; None refuses these.
    """

    paths: tuple[str, ...]
    column: str
    folder: str | None

    @contextlib.contextmanager
    def open(self) -> Iterator[_OpenPictures]:
        yield _OpenPictures(self)


class _OpenPictures:
    """Reads on from where it is, since rows come in ascending order."""

    def __init__(self, pictures: EmbeddedPictures) -> None:
        self._pictures = pictures
        self._file = -1
        self._start = 0
        self._batch: pa.RecordBatch | None = None
        self._batches: Iterator[tuple[int, pa.RecordBatch]] = iter(())

    def read(self, images: Sequence[str]) -> Iterator[Picture | SampleRejected]:
        for image in images:
            file, _, row = image.partition(":")
            value = self._value(int(file), int(row))
            try:
                yield self._picture(value)
            except SampleRejected as rejected:
                yield rejected.with_traceback(None)

    def _value(self, file: int, row: int) -> pa.Scalar:
        if file != self._file or self._batch is None or row < self._start:
            path = Path(self._pictures.paths[file])
            self._file, column = file, [self._pictures.column]
            self._batches = _batches(path, column, row, _PICTURES_TOGETHER)
            self._start, self._batch = next(self._batches)
        while row >= self._start + self._batch.num_rows:
            self._start, self._batch = next(self._batches)
        return self._batch.column(0)[row - self._start]

    def _picture(self, value: pa.Scalar) -> Picture:
        if not value.is_valid:
            raise SampleRejected("no_image", f"column {self._pictures.column} is empty")
        if not isinstance(value, pa.StructScalar):
            return _bounded(value)
        if value["bytes"].is_valid:
            return _bounded(value["bytes"])
        path = value["path"].as_py()
        if not path:
            raise SampleRejected("no_image", "neither bytes nor a path")
        folder = self._pictures.folder
        if folder is None:
            raise SampleRejected(
                "unsafe_image_path", f"{path!r} is outside of the dataset; no --image-folder"
            )
        # datasets writes absolute paths; those below the folder are meant.
        below = PurePath(path)
        name = str(below.relative_to(folder)) if below.is_relative_to(folder) else path
        (found,) = FolderPictures(folder).read([name])
        if isinstance(found, SampleRejected):
            raise found
        return found


def _bounded(value: pa.Scalar) -> Picture:
    data = value.as_buffer()
    if data.size > MAX_IMAGE_BYTES:
        raise SampleRejected(
            "image_too_large", f"{data.size} bytes; the limit is {MAX_IMAGE_BYTES}"
        )
    return Picture(data.to_pybytes())
