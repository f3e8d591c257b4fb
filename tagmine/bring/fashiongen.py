"""FashionGen as it is distributed: HDF5 with pictures, and texts in Latin-1."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tagmine.bring.options import BringOptions
from tagmine.bring.picture import Picture
from tagmine.bring.rows import BadRow, Collection, Row, plain_fields, texts_of
from tagmine.errors import ConfigurationError

IMAGE = "input_image"
TAG_FIELDS = ("brand", "category", "subcategory", "composition", "gender")
VOCABULARY_FIELDS = ("brand", "composition")

_CAPTIONS = ("name", "description")
# What differs between two photos of one product.
_OF_THE_PHOTO = ("index", "index_2", "pose")
_MAX_SIDE = 4096
_BLOCK_BYTES = 32 << 20
_MAX_BLOCK_ROWS = 1024
_MAX_CHUNK_BYTES = 256 << 20


def open_fashiongen(options: BringOptions, path: Path) -> Collection:
    """Look into a FashionGen file.

    Raises:
        ConfigurationError: for a file that is no HDF5, has no pictures or no texts, refers to
            other files, or lacks a field that was asked for.
    """
    why = "is for tables; FashionGen's file holds its images and keys."
    options.refuse("image_folder", "image_column", "key_column", "encoding", "split", why=why)
    with _opened(path) as file:
        fields = _fields(path, file)
        count, height, width, _ = file[IMAGE].shape
    captions = options.caption_columns or tuple(name for name in _CAPTIONS if name in fields)
    chosen = _chosen(options.tag_fields, TAG_FIELDS, fields)
    vocabulary = _chosen(options.vocabulary_fields, VOCABULARY_FIELDS, fields)
    for name in (*captions, *chosen, *vocabulary):
        if name not in fields:
            raise ConfigurationError(f"{path}: no field {name!r}; it has {', '.join(fields)}.")
    if not captions:
        raise ConfigurationError(
            f"{path}: neither input_name nor input_description; name what holds the captions with "
            f"--caption-columns. It has {', '.join(fields)}."
        )
    poses = options.poses or "all"
    return Collection(
        "fashiongen",
        f"{path.name}: {count:,} photos of {width} x {height}; captions from "
        f"{', '.join(captions)}; {poses} of a product's poses",
        FashionRows(path, captions, poses == "one"),
        FashionPictures(str(path.absolute())),
        chosen,
        vocabulary,
    )


def _chosen(
    asked: tuple[str, ...] | None, usual: tuple[str, ...], fields: Mapping[str, str]
) -> tuple[str, ...]:
    return tuple(name for name in usual if name in fields) if asked is None else asked


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    try:
        with h5py.File(path, "r") as file:
            yield file
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read as HDF5: {error}.") from error


def _fields(path: Path, file: h5py.File) -> dict[str, str]:
    """The fields by their short names, each with the name of its dataset; checks the pictures."""
    count = None
    fields: dict[str, str] = {}
    for name in sorted(file, key=lambda name: (name != IMAGE, name)):
        # A link to another file would read that file.
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise ConfigurationError(f"{path}: {name} is a link, and is refused.")
        dataset = file[name]
        if not isinstance(dataset, h5py.Dataset):
            continue
        if dataset.external or dataset.is_virtual:
            raise ConfigurationError(f"{path}: {name} lies in another file, and is refused.")
        if name == IMAGE:
            count = _check_images(path, dataset)
        elif dataset.shape in ((count,), (count, 1)):
            _check_size(path, dataset)
            fields[name.removeprefix("input_")] = name
    if count is None:
        raise ConfigurationError(f"{path}: there is no {IMAGE}; is it a FashionGen file?")
    return fields


def _check_images(path: Path, dataset: h5py.Dataset) -> int:
    shape = dataset.shape
    if len(shape) != 4 or shape[3] != 3 or dataset.dtype != np.uint8:
        raise ConfigurationError(
            f"{path}: {IMAGE} is {dataset.dtype} of shape {shape}, expected uint8 of (n, 256, "
            "256, 3)."
        )
    if not 0 < shape[1] <= _MAX_SIDE or not 0 < shape[2] <= _MAX_SIDE:
        raise ConfigurationError(f"{path}: pictures of {shape[2]} x {shape[1]}; the limit is 4096.")
    _check_size(path, dataset)
    return shape[0]


def _check_size(path: Path, dataset: h5py.Dataset) -> None:
    item = dataset.dtype.itemsize
    chunk = item * int(np.prod(dataset.chunks, dtype=np.int64)) if dataset.chunks else item
    if max(chunk, item) > _MAX_CHUNK_BYTES:
        raise ConfigurationError(
            f"{path}: {dataset.name} is stored in pieces of {chunk:,} bytes; the limit is "
            f"{_MAX_CHUNK_BYTES:,}."
        )


def _column(dataset: h5py.Dataset, start: int, stop: int) -> list[Any]:
    """Rows of a field as Python values, bytes as the Latin-1 text that they are."""
    values = dataset[start:stop].reshape(-1).tolist()
    return [value.decode("latin-1") if isinstance(value, bytes) else value for value in values]


def _block_rows(dataset: h5py.Dataset) -> int:
    row = dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64))
    return max(1, min(_MAX_BLOCK_ROWS, _BLOCK_BYTES // max(1, row)))


@dataclasses.dataclass(frozen=True, slots=True)
class FashionRows:
    """Reads the rows of a FashionGen file; the photos of a product share its first row's words."""

    path: Path
    captions: tuple[str, ...]
    one_pose: bool

    def __call__(self) -> Iterator[Row | BadRow]:
        with _opened(self.path) as file:
            datasets = {name: file[full] for name, full in _fields(self.path, file).items()}
            first, kept = _products(datasets, file[IMAGE].shape[0], self.one_pose)
            step = min((_block_rows(dataset) for dataset in datasets.values()), default=1)
            for start in range(0, len(first), step):
                stop = min(start + step, len(first))
                block = {name: _column(data, start, stop) for name, data in datasets.items()}
                for row in range(start, stop):
                    cells = {name: values[row - start] for name, values in block.items()}
                    yield self._row(row, cells, int(first[row]), int(kept[row]))

    def _row(self, row: int, cells: Mapping[str, Any], first: int, kept: int) -> Row | BadRow:
        key = f"{row:09d}"
        words = None
        if first == row:
            try:
                texts = tuple(text for name in self.captions for text in texts_of(cells[name]))
            except ValueError as error:
                return BadRow("bad_row", str(error), key)
            words = Row(str(row), texts, plain_fields(cells), key)
        if kept != row:
            return BadRow("other_pose", f"row {kept} is kept of this product", key, words)
        if words is not None:
            return words
        own = plain_fields({name: cells[name] for name in _OF_THE_PHOTO if name in cells})
        return Row(str(row), (), own, key, first)


def _products(
    datasets: Mapping[str, h5py.Dataset], count: int, one_pose: bool
) -> tuple[np.ndarray, np.ndarray]:
    """For each row, the first row of its product, and the row that is kept in its place.

    Returns:
        int64, (count,) each.
    """
    own = np.arange(count)
    if "productID" not in datasets:
        return own, own
    names = _whole(datasets["productID"])
    _, product = np.unique(names, return_inverse=True)
    # A row without a product is a product of its own.
    nameless = names == names.dtype.type() if names.dtype.kind == "S" else np.zeros(count, bool)
    first = np.where(nameless, own, _least(product, own)[product])
    if not one_pose:
        return first, own
    poses = np.zeros(count, np.int64)
    if "pose" in datasets:
        numbers = (re.search(rb"\d{1,9}", bytes(pose)) for pose in _whole(datasets["pose"]))
        poses = np.array([int(found[0]) if found else 0 for found in numbers], np.int64)
    return first, np.where(nameless, own, _least(product, poses)[product])


def _least(product: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The row of each product whose value is least, the first among equals."""
    order = np.lexsort((np.arange(len(product)), value, product))
    return order[np.flatnonzero(np.diff(product[order], prepend=-1))]


def _whole(dataset: h5py.Dataset) -> np.ndarray:
    """A short field of all rows: (n,), bytes or numbers."""
    if dataset.dtype.itemsize > 256:
        dataset = dataset.astype("S256")
    values = dataset[:].reshape(-1)
    return values.astype("S256") if values.dtype.kind == "O" else values


@dataclasses.dataclass(frozen=True, slots=True)
class FashionPictures:
    """The pictures of a FashionGen file, known by their row."""

    path: str

    @contextlib.contextmanager
    def open(self) -> Iterator[_OpenPictures]:
        with _opened(Path(self.path)) as file:
            _fields(Path(self.path), file)
            yield _OpenPictures(file[IMAGE])


class _OpenPictures:
    def __init__(self, images: h5py.Dataset) -> None:
        self._images = images
        self._rows = _block_rows(images)
        self._start = self._stop = 0
        self._block = np.empty(0)

    def read(self, images: Sequence[str]) -> Iterator[Picture]:
        _, height, width, _ = self._images.shape
        for row in map(int, images):
            # By the block: a compressed chunk holds many rows.
            if not self._start <= row < self._stop:
                self._start = row
                self._stop = min(row + self._rows, len(self._images))
                self._block = self._images[self._start : self._stop]
            yield Picture(self._block[row - self._start].tobytes(), (width, height))
