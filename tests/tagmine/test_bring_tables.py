"""Tables of images in a folder, and COCO's JSON: what is a row, and what becomes of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmine.bring.catalogue import Entry, open_catalogue, write_catalogue
from tagmine.bring.kinds import open_collection
from tagmine.bring.options import BringOptions
from tagmine.captions import SampleRejected
from tagmine.errors import ConfigurationError

ROWS = [
    {"sku": "A.1", "image": "a.jpg", "title": "a red shirt", "brand": "Élan", "size": "S"},
    {"sku": "A.2", "image": "sub/b.png", "title": "blue shoes", "brand": "Nike", "size": "40"},
    {"sku": "A.3", "image": "c", "title": "a hat", "brand": "", "size": "M"},
]


@pytest.fixture
def folder(tmp_path, jpeg) -> Path:
    """Pictures a.jpg, sub/b.png (a JPEG by what it holds) and c.jpeg."""
    (tmp_path / "sub").mkdir()
    for number, name in enumerate(("a.jpg", "sub/b.png", "c.jpeg")):
        (tmp_path / name).write_bytes(jpeg(number))
    return tmp_path


def write_table(folder: Path, suffix: str, rows: list[dict], encoding: str = "utf-8") -> Path:
    path = folder / f"table{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows))
    else:
        delimiter = {".csv": ",", ".tsv": "\t"}[suffix]
        lines = [delimiter.join(rows[0]), *(delimiter.join(row.values()) for row in rows)]
        path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def entries(*paths: Path, **options) -> list[Entry | None]:
    """The whole catalogue of what is brought."""
    collection = open_collection(BringOptions(tuple(map(str, paths)), **options))
    target = paths[0].parent / "catalogue"
    target.unlink(missing_ok=True)
    write_catalogue(collection.rows(), target, collection.tag_fields, ())
    with open_catalogue(target) as catalogue:
        return list(catalogue.read(0, catalogue.rows))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_kind_of_table_says_the_same(folder, suffix):
    found = entries(write_table(folder, suffix, ROWS))
    assert [entry.captions for entry in found] == [("a red shirt",), ("blue shoes",), ("a hat",)]
    assert found[0].fields == ROWS[0]
    # What is empty is left out.
    assert "brand" not in found[2].fields
    assert [entry.name for entry in found] == ["000000000", "000000001", "000000002"]


def test_a_folder_with_one_table_is_brought_by_its_name(folder):
    write_table(folder, ".csv", ROWS)
    found = entries(folder)
    assert len(found) == 3
    write_table(folder, ".tsv", ROWS)
    with pytest.raises(ConfigurationError, match=r"tables in it: table\.csv, table\.tsv"):
        entries(folder)


def test_several_tables_are_read_one_after_the_other(folder):
    first = write_table(folder, ".csv", ROWS[:2])
    second = first.rename(folder / "first.csv"), write_table(folder, ".csv", ROWS[2:])
    assert [entry.captions[0] for entry in entries(*second)][2] == "a hat"


def test_pictures_are_found_by_path_and_without_their_extension(folder, jpeg):
    collection = open_collection(BringOptions((str(write_table(folder, ".csv", ROWS)),)))
    with collection.pictures.open() as reader:
        found = list(reader.read(["a.jpg", "sub/b.png", "c", "d", "../a.jpg", "/etc/passwd"]))
    assert [picture.as_file() for picture in found[:3]] == [("jpg", jpeg(n)) for n in range(3)]
    reasons = [rejected.reason for rejected in found[3:]]
    assert reasons == ["image_missing", "unsafe_image_path", "unsafe_image_path"]


def test_rows_of_one_image_are_one_sample(folder):
    more = [ROWS[0] | {"title": "red cotton", "size": "L"}, ROWS[0], ROWS[1] | {"title": "shoes"}]
    found = entries(write_table(folder, ".csv", [*ROWS, *more]))
    assert found[3:] == [None, None, None]
    assert found[0].captions == ("a red shirt", "red cotton")
    assert found[0].fields["size"] == ["S", "L"] and found[0].fields["brand"] == "Élan"
    assert found[1].captions == ("blue shoes", "shoes")


def test_a_key_that_two_images_have_is_a_duplicate(folder):
    rows = [ROWS[0], ROWS[1] | {"sku": "A.1"}, ROWS[2] | {"sku": ""}]
    found = entries(write_table(folder, ".csv", rows), key_column="sku")
    assert found[0].name == "A.1" and not found[0].reason
    assert (found[1].reason, found[1].detail) == (
        "duplicate_key",
        "row 0 has the key 'A.1', too",
    )
    assert found[2].reason == "bad_key"


def test_bad_rows_cost_a_reject_each(folder):
    path = folder / "table.csv"
    lines = [b"image,title,brand", b"a.jpg,a shirt,x", b"a.jpg,too,many,cells", b",none,x"]
    lines += [b"sub/b.png,,x", b"c,caf\xe9,x", b'"' + b"x" * 200_000 + b'",huge,x', b"c,a hat,x"]
    path.write_bytes(b"\n".join(lines))
    found = entries(path)
    assert [entry.reason for entry in found] == [
        *("", "bad_row", "no_image", "empty_caption", "bad_encoding", "bad_row", ""),
    ]
    assert found[4].detail == "a cell that is no utf-8"


def test_a_quote_in_a_tsv_takes_no_rows_along(folder):
    path = folder / "table.tsv"
    cells = ['"stand by me" at the club', '"the cast of', 'said "so', '"a ""red"" hat"', '"a\tb"']
    lines = ['image\t"title"', *(f"a.jpg\t{cell}" for cell in cells), "c\t a hat"]
    path.write_text("\n".join(lines) + "\n")
    found = entries(path)
    assert len(found) == 6 and found[0].captions == (*cells[:3], 'a "red" hat')
    assert found[4].reason == "bad_row" and found[4].detail == "more cells than columns"
    assert found[5].captions == ("a hat",)


def test_bad_lines_of_json_cost_a_reject_each(folder):
    path = folder / "table.jsonl"
    good = {"image": "a.jpg", "title": ["one", None, "two"], "brand": {"deep": ["x"]}}
    lines = [json.dumps(good), "{no", "[1]", json.dumps(good | {"title": 5})]
    lines += ['{"image": "c", "title": "half \\ud800"}', '{"image": "c", "title": "x", "n": NaN}']
    path.write_text("\n".join(lines))
    found = entries(path)
    assert [entry.reason for entry in found] == ["", "bad_row", "bad_row", "bad_row", "bad_row", ""]
    assert found[0].captions == ("one", "two") and found[0].fields["brand"] == {"deep": ["x"]}
    assert found[5].fields == {"image": "c", "title": "x"}


def test_a_value_that_makes_no_tag_is_a_reject(folder):
    path = folder / "table.jsonl"
    rows = [ROWS[0] | {"brand": {"name": "Élan"}}, ROWS[1] | {"brand": ["Nike", "Puma"]}]
    path.write_text("\n".join(map(json.dumps, rows)))
    found = entries(path, tag_fields=("brand",))
    assert found[0].reason == "bad_row" and "field 'brand' holds a dict" in found[0].detail
    assert not found[1].reason


def test_another_encoding_by_its_name(folder):
    path = write_table(folder, ".csv", ROWS, encoding="latin-1")
    assert entries(path)[0].reason == "bad_encoding"
    assert entries(path, encoding="latin-1")[0].fields["brand"] == "Élan"


@pytest.mark.parametrize(
    ("suffix", "content", "says"),
    [
        (".csv", b"sku,Photo\n", "table.csv: the table has no rows."),
        (".csv", b"", "table.csv: the table has no rows."),
        (".jsonl", b"", "table.jsonl: the table has no rows."),
        (
            ".csv",
            b"image,title\n" + b"a.jpg,caf\xe9\n" * 60,
            "none of the first 50 rows can be used, the first for a cell that is no utf-8. Give "
            "the encoding of the table as --encoding, such as cp1252.",
        ),
    ],
)
def test_tables_without_a_row_to_use_are_said_to_have_none(folder, suffix, content, says):
    path = folder / f"table{suffix}"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        entries(path, image_column="Photo")


def test_a_column_that_only_late_lines_of_json_have_is_found(folder):
    rows = [{"image": "a.jpg", "title": "a hat"}] * 60
    path = write_table(folder, ".jsonl", [*rows, ROWS[0] | {"sale": "half price"}])
    assert entries(path, tag_fields=("sale",))[0].fields["sale"] == "half price"
    with pytest.raises(ConfigurationError, match="no column 'sail'; the columns are image, title"):
        entries(path, tag_fields=("sale", "sail"))


def test_shards_are_cut_by_samples(folder):
    rows = [ROWS[0], ROWS[0] | {"title": "x"}, *(ROWS[2] | {"image": f"{n}"} for n in range(5))]
    path = write_table(folder, ".csv", [*rows, ROWS[0] | {"title": "y"}])
    entries(path)
    with open_catalogue(folder / "catalogue") as catalogue:
        assert catalogue.cut(2) == [(0, 3), (3, 5), (5, 8)]
        assert catalogue.cut(100) == [(0, 8)]


def coco(folder: Path) -> tuple[Path, Path]:
    """COCO's two files of the same images, the sections in COCO's order."""
    images = [{"id": n, "file_name": name} for n, name in ((7, "a.jpg"), (5, "c.jpeg"), (9, "x"))]
    captions = [{"image_id": 7, "id": 1, "caption": "a shirt"}, {"image_id": 5, "caption": "hat"}]
    captions.append({"image_id": 7, "id": 2, "caption": "a shirt"})
    things = [{"image_id": i, "category_id": c, "bbox": [1.5, 2]} for i, c in ((7, 2), (7, 1))]
    things += [{"image_id": 7, "category_id": 2}, {"image_id": 4, "category_id": 2}]
    names = [{"supercategory": "outdoor", "id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    first, second = folder / "captions_val.json", folder / "instances_val.json"
    first.write_text(json.dumps({"info": {}, "images": images, "annotations": captions}))
    second.write_text(json.dumps({"images": images, "annotations": things, "categories": names}))
    return first, second


def test_coco_gives_captions_and_categories(folder):
    found = entries(*coco(folder))
    assert [entry.name for entry in found[:3]] == ["000000000007", "000000000005", "000000000009"]
    assert found[0].captions == ("a shirt",)
    assert found[0].fields["categories"] == ["dog", "cat"]
    assert found[0].fields["supercategories"] == ["outdoor"]
    assert found[0].fields["captions"] == ["a shirt", "a shirt"]
    assert found[1].captions == ("hat",) and "categories" not in found[1].fields
    # Nothing says what is on the third, and nobody has the picture of image 4.
    assert [entry.reason for entry in found[2:]] == ["empty_caption", "bad_row"]


def test_coco_instances_alone_are_captions_too(folder):
    found = entries(coco(folder)[1])
    assert found[0].captions == ("dog", "cat")


def test_a_caption_column_that_coco_has_not_is_named(folder):
    with pytest.raises(ConfigurationError, match="--caption-columns title: of COCO give captions"):
        entries(*coco(folder), caption_columns=("title",))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"images": [', "cannot be read as JSON"),
        ('{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"x": 1}]}', "one of COCO"),
    ],
)
def test_json_that_is_not_cocos_is_named(folder, content, says):
    path = folder / "x.json"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=says):
        entries(path)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"image_column": "foto"}, "no column 'foto'; the columns are sku, image, title"),
        ({"tag_fields": ("fabric",)}, "no column 'fabric'"),
        ({"image_folder": "nowhere"}, "--image-folder nowhere: there is no such folder"),
        (
            {"image_column": "title", "caption_columns": ("title",)},
            "has none of the first 3 images, such as 'a red shirt'",
        ),
        ({"encoding": "utf-99"}, "--encoding utf-99: there is no such encoding"),
        ({"poses": "one"}, "--poses: is not for tables"),
        ({"split": "train"}, "--split: is not for tables"),
    ],
)
def test_options_that_cannot_work_are_named(folder, options, says):
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        entries(write_table(folder, ".csv", ROWS), **options)


def test_tables_without_usual_names_ask_for_them(folder):
    rows = [{"sku": "a", "picture_file": "a.jpg", "what": "a shirt"}]
    path = write_table(folder, ".csv", rows)
    with pytest.raises(ConfigurationError, match="Name it with --image-column"):
        entries(path)
    with pytest.raises(ConfigurationError, match="Name it with --caption-columns"):
        entries(path, image_column="picture_file")
    assert entries(path, image_column="picture_file", caption_columns=("what",))[0].captions


def test_addresses_are_sent_to_img2dataset(folder):
    rows = [{"image": "https://example.com/a.jpg", "title": "a shirt"}]
    with pytest.raises(ConfigurationError, match="img2dataset"):
        entries(write_table(folder, ".csv", rows))


def test_a_source_of_no_kind_is_named(tmp_path):
    for name in ("gone.csv", "x.txt"):
        (tmp_path / "x.txt").write_text("x")
        with pytest.raises(ConfigurationError, match=name):
            entries(tmp_path / name)


def test_a_file_that_is_no_picture_is_a_reject(folder):
    (folder / "a.jpg").write_bytes(b"GIF89a")
    collection = open_collection(BringOptions((str(write_table(folder, ".csv", ROWS)),)))
    with collection.pictures.open() as reader:
        (picture,) = reader.read(["a.jpg"])
    with pytest.raises(SampleRejected, match="image_undecodable: no JPEG, PNG or WebP"):
        picture.as_file()
