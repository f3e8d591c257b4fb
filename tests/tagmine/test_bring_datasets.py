"""A Hugging Face `datasets` folder as `save_to_disk` lays it out, and Parquet files of images.

What `datasets` itself saves is read in one test; the others write the same layout, to spoil it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmine.bring.kinds import open_collection
from tagmine.bring.options import BringOptions
from tagmine.bring.picture import Picture
from tagmine.errors import ConfigurationError

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
FEATURES = {
    "photo": {"_type": "Image"},
    "text": {"dtype": "string", "_type": "Value"},
    "label": {"names": ["shirt", "shoe"], "_type": "ClassLabel"},
}


def table(pictures: list[dict | None]) -> pa.Table:
    count = len(pictures)
    columns = {
        "photo": pa.array(pictures, IMAGE),
        "text": [f"a thing {n}" for n in range(count)],
        "label": pa.array([n % 3 - 1 for n in range(count)], pa.int64()),
    }
    metadata = {b"huggingface": json.dumps({"info": {"features": FEATURES}}).encode()}
    return pa.table(columns).replace_schema_metadata(metadata)


def save(folder: Path, whole: pa.Table, files: int = 2, batch_rows: int = 3) -> Path:
    """As `Dataset.save_to_disk(folder, num_shards=files)`."""
    folder.mkdir(parents=True)
    names = [f"data-{n:05d}-of-{files:05d}.arrow" for n in range(files)]
    each = -(-whole.num_rows // files)
    for number, name in enumerate(names):
        with (
            pa.OSFile(str(folder / name), "wb") as sink,
            pa.ipc.new_stream(sink, whole.schema) as out,
        ):
            out.write_table(whole.slice(number * each, each), max_chunksize=batch_rows)
    state = {"_data_files": [{"filename": name} for name in names], "_split": None}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"features": FEATURES}))
    return folder


@pytest.fixture
def pictures(jpeg) -> list[dict]:
    return [{"bytes": jpeg(n), "path": f"{n}.jpg"} for n in range(10)]


def read(folder: Path, order: list[int] | None = None, **options):
    collection = open_collection(BringOptions((str(folder),), **options))
    rows = list(collection.rows())
    wanted = [rows[n].image for n in order or range(len(rows))]
    with collection.pictures.open() as reader:
        return rows, list(reader.read(wanted))


def data_of(found: list) -> list:
    return [one.data if isinstance(one, Picture) else one.reason for one in found]


def test_a_saved_dataset_is_read_with_its_labels_by_name(tmp_path, pictures, jpeg):
    folder = save(tmp_path / "saved", table(pictures))
    rows, found = read(folder)
    assert [row.captions for row in rows] == [(f"a thing {n}",) for n in range(10)]
    assert [row.fields.get("label") for row in rows[:4]] == [None, "shirt", "shoe", None]
    assert all("photo" not in row.fields for row in rows)
    assert data_of(found) == [jpeg(n) for n in range(10)]
    # Another process begins in the middle.
    assert data_of(read(folder, [4, 6, 9])[1]) == [jpeg(n) for n in (4, 6, 9)]


def test_what_datasets_itself_saved_is_read(tmp_path, pictures, jpeg):
    import datasets

    columns = {
        "photo": pictures,
        "text": [f"a thing {n}" for n in range(10)],
        "label": [n % 2 for n in range(10)],
    }
    label = datasets.ClassLabel(names=["shirt", "shoe"])
    features = {"photo": datasets.Image(), "text": datasets.Value("string"), "label": label}
    whole = datasets.Dataset.from_dict(columns, datasets.Features(features))
    whole.save_to_disk(tmp_path / "saved", num_shards=3)
    rows, found = read(tmp_path / "saved")
    assert [row.captions for row in rows] == [(f"a thing {n}",) for n in range(10)]
    assert [row.fields["label"] for row in rows] == ["shirt", "shoe"] * 5
    assert data_of(found) == [jpeg(n) for n in range(10)]
    # Rows in an order of their own, and splits.
    splits = {"train": whole.select([7, 2, 5]), "test": whole.select([0])}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "splits")
    rows, found = read(tmp_path / "splits", split="train")
    assert [row.captions[0] for row in rows] == ["a thing 7", "a thing 2", "a thing 5"]
    assert data_of(found) == [jpeg(n) for n in (7, 2, 5)]


@pytest.mark.parametrize("layout", ["data", "single file"])
def test_parquet_files_that_hold_images(tmp_path, pictures, jpeg, layout):
    whole = table(pictures)
    source = tmp_path / "hub"
    (source / "data").mkdir(parents=True)
    if layout == "data":
        for n in range(2):
            path = source / "data" / f"train-{n:05d}-of-00002.parquet"
            pq.write_table(whole.slice(n * 5, 5), path, row_group_size=2)
    else:
        flat = pa.table({"image": [p["bytes"] for p in pictures], "text": whole["text"]})
        source = tmp_path / "flat.parquet"
        pq.write_table(flat, source, row_group_size=4)
    rows, found = read(source, [0, 3, 4, 5, 9])
    assert len(rows) == 10 and rows[9].captions == ("a thing 9",)
    assert data_of(found) == [jpeg(n) for n in (0, 3, 4, 5, 9)]


def test_one_of_several_splits(tmp_path, pictures):
    for name, some in (("train", pictures[:6]), ("test", pictures[6:])):
        save(tmp_path / "saved" / name, table(some), files=1)
    (tmp_path / "saved/dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    assert len(read(tmp_path / "saved", split="test")[0]) == 4
    for split in (None, "validation", "../saved/train"):
        with pytest.raises(ConfigurationError, match="holds the splits train, test"):
            read(tmp_path / "saved", split=split)


def test_images_by_path_only_from_the_folder_that_is_named(tmp_path, jpeg):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").write_bytes(jpeg(1))
    (tmp_path / "secret.jpg").write_bytes(jpeg(2))
    named = ["a.jpg", str(tmp_path / "photos/a.jpg"), str(tmp_path / "secret.jpg"), "../secret.jpg"]
    rows = [{"bytes": None, "path": name} for name in named]
    folder = save(tmp_path / "saved", table([*rows, None, {"bytes": None, "path": None}]), files=1)
    with_folder = data_of(read(folder, image_folder=str(tmp_path / "photos"))[1])
    assert with_folder[:2] == [jpeg(1), jpeg(1)]
    assert with_folder[2:] == ["unsafe_image_path"] * 2 + ["no_image"] * 2
    assert data_of(read(folder)[1])[:4] == ["unsafe_image_path"] * 4


@pytest.mark.parametrize(
    ("name", "says"),
    [("../secret.arrow", "names no file beside it"), ("gone.arrow", "cannot be read")],
)
def test_a_folder_that_cannot_work_is_named(tmp_path, pictures, name, says):
    folder = save(tmp_path / "saved", table(pictures))
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    with pytest.raises(ConfigurationError, match=says):
        read(folder)


def test_a_damaged_file_is_named(tmp_path, pictures):
    folder = save(tmp_path / "saved", table(pictures), files=1)
    path = folder / "data-00000-of-00001.arrow"
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ConfigurationError, match="data-00000-of-00001.arrow cannot be read"):
        read(folder)


def test_offsets_that_point_outside_are_named(tmp_path):
    folder = save(tmp_path / "saved", table([None, None]), files=1)
    path = folder / "data-00000-of-00001.arrow"
    data = path.read_bytes()
    # Of "a thing 0", "a thing 1".
    good, bad = (np.array([0, 9, end], np.int32).tobytes() for end in (18, 1 << 28))
    assert data.count(good) == 1
    path.write_bytes(data.replace(good, bad))
    with pytest.raises(ConfigurationError, match="cannot be read: ArrowInvalid"):
        read(folder)
