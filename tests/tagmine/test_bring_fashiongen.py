"""FashionGen: a file of the same layout, from real product photos, with accented brands."""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from tagmine.bring.catalogue import open_catalogue, write_catalogue
from tagmine.bring.fashiongen import open_fashiongen
from tagmine.bring.options import BringOptions
from tagmine.bring.rows import BadRow, Row
from tagmine.errors import ConfigurationError

BRANDS = ("Chloé", "Hermès", "Löwenherz", "Acne Studios")


def texts(values: list[str]) -> np.ndarray:
    """(n, 1) byte strings."""
    return np.array([[value.encode("latin-1")] for value in values])


def rows_of(path: Path, **options) -> list[Row | BadRow]:
    return list(open_fashiongen(BringOptions((str(path),), **options), path).rows())


def test_latin_1_is_read_as_such_and_no_row_is_lost(fashiongen):
    rows = rows_of(fashiongen)
    assert len(rows) == 24 and all(isinstance(row, Row) for row in rows)
    assert [row.fields["brand"] for row in rows[:4]] == list(BRANDS)
    assert rows[1].captions[1].startswith("Cotton shirt by Hermès in ")
    assert rows[0].key == "000000000"


def test_poses_of_a_product_share_words_and_keep_what_is_their_own(fashiongen):
    rows = rows_of(fashiongen)
    assert {row.words_from for row in rows[:12]} == {None}
    assert [row.words_from for row in rows[12:]] == list(range(12))
    assert rows[12].fields == {"index": 12, "pose": "id_gridfs_1"}


def test_one_pose_is_the_first_and_the_others_are_rejects(fashiongen):
    rows = rows_of(fashiongen, poses="one")
    assert [row.reason for row in rows[:12]] == ["other_pose"] * 12
    assert all(isinstance(row, Row) for row in rows[12:])
    assert rows[0].detail == "row 12 is kept of this product"
    # Its words are still those of the product's first row.
    assert rows[12].words_from == 0 and rows[0].words.fields["brand"] == "Chloé"


def test_pictures_are_those_of_their_rows(fashiongen, fashion_products):
    collection = open_fashiongen(BringOptions((str(fashiongen),)), fashiongen)
    with collection.pictures.open() as reader:
        found = dict(zip((0, 3, 4, 11, 23), reader.read(["0", "3", "4", "11", "23"]), strict=True))
    for row, picture in found.items():
        expected = np.asarray(fashion_products[row % 12][1].resize((256, 256)), np.int16)
        assert (
            np.frombuffer(picture.data, np.uint8).reshape(256, 256, 3).tolist() == expected.tolist()
        )
        extension, data = picture.as_file()
        written = np.asarray(Image.open(io.BytesIO(data)), np.int16)
        assert extension == "jpg" and np.abs(written - expected).mean() < 3


def test_fields_that_are_there_are_the_usual_ones(fashiongen):
    collection = open_fashiongen(BringOptions((str(fashiongen),)), fashiongen)
    assert collection.tag_fields == ("brand", "category", "composition", "gender")
    assert collection.vocabulary_fields == ("brand", "composition")
    assert "24 photos of 256 x 256" in collection.found


@pytest.mark.parametrize("poses", ["all", "one"])
def test_photos_share_what_is_wrong_with_their_product(fashiongen, tmp_path, poses):
    path = tmp_path / "some.h5"
    shutil.copy(fashiongen, path)
    with h5py.File(path, "r+") as file:
        brands = file["input_brand"][:].astype("S2000")
        brands[3] = b"x" * 2000
        del file["input_brand"]
        file["input_brand"] = brands
    collection = open_fashiongen(BringOptions((str(path),), poses=poses), path)
    write_catalogue(collection.rows(), tmp_path / "catalogue", collection.tag_fields, ())
    with open_catalogue(tmp_path / "catalogue") as catalogue:
        found = list(catalogue.read(0, 24))
    assert [entry.row for entry in found if entry.reason == "bad_row"] == [3, 15]
    assert found[15].detail.startswith("of row 3: field 'brand'")


def test_photos_of_a_product_without_a_text_are_rejects_too(fashiongen, tmp_path):
    path = tmp_path / "some.h5"
    shutil.copy(fashiongen, path)
    with h5py.File(path, "r+") as file:
        del file["input_name"]
        file["input_name"] = np.arange(24)[:, None]
    collection = open_fashiongen(BringOptions((str(path),)), path)
    write_catalogue(collection.rows(), tmp_path / "catalogue", collection.tag_fields, ())
    with open_catalogue(tmp_path / "catalogue") as catalogue:
        assert {entry.reason for entry in catalogue.read(0, 24)} == {"bad_row"}


def spoil(kind: str, file: h5py.File, path: Path) -> None:
    file["input_name"] = texts(["a shirt"] * 2)
    pixels = np.zeros((2, 8, 8, 3), np.uint8)
    if kind == "other file":
        file["input_image"] = h5py.ExternalLink("/etc/hostname", "/x")
    elif kind == "raw file":
        file.create_dataset("input_image", pixels.shape, np.uint8, external=[(str(path), 0, 384)])
    elif kind == "shape":
        file["input_image"] = pixels[..., 0]
    elif kind == "huge":
        file.create_dataset("input_image", (2, 9000, 9000, 3), np.uint8, chunks=(1, 64, 64, 3))
    elif kind == "bomb":
        chunks = (300, 1024, 1024, 3)
        file.create_dataset("input_image", (300, 1024, 1024, 3), np.uint8, chunks=chunks)
    elif kind == "wordless":
        del file["input_name"]
        file["input_image"] = pixels


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("other file", "input_image is a link"),
        ("raw file", "lies in another file"),
        ("shape", "expected uint8 of (n, 256, 256, 3)"),
        ("huge", "pictures of 9000 x 9000"),
        ("bomb", "stored in pieces of 943,718,400 bytes"),
        ("wordless", "neither input_name nor input_description"),
        ("none", "there is no input_image"),
    ],
)
def test_a_file_that_cannot_work_is_named(tmp_path, kind, says):
    path = tmp_path / "x.h5"
    (tmp_path / "raw").write_bytes(bytes(384))
    with h5py.File(path, "w") as file:
        spoil(kind, file, tmp_path / "raw")
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        rows_of(path)


def test_what_is_no_hdf5_is_named(tmp_path):
    path = tmp_path / "x.h5"
    path.write_bytes(b"not HDF5 at all")
    with pytest.raises(ConfigurationError, match="cannot be read as HDF5"):
        rows_of(path)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tag_fields": ("fabric",)}, "no field 'fabric'"),
        ({"image_column": "x"}, "--image-column: is for tables"),
        ({"poses": "two"}, "--poses two: give all or one"),
    ],
)
def test_options_that_cannot_work_are_named(fashiongen, options, says):
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        rows_of(fashiongen, **options)
