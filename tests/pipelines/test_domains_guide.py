"""docs/domains.md: its commands run in order, and print what the page says that they print.

After a change, WRITE_PAGE=1 in the environment puts what they print into the page.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from pipelines.main import main

PATH = Path(__file__).parents[2] / "docs" / "domains.md"
PAGE = PATH.read_text()
BLOCK = re.compile(r"^```\n(\$ .*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
PRODUCTS = 120
# Whose commands another test runs.
ELSEWHERE = {"img2dataset": "test_img2dataset.py"}


def samples(shard: Path) -> Iterator[tuple[dict, bytes]]:
    with tarfile.open(shard) as archive:
        for name in [name for name in archive.getnames() if name.endswith(".json")]:
            record = json.loads(archive.extractfile(name).read())
            yield record, archive.extractfile(name.replace(".json", ".jpg")).read()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, shared_data, fashiongen) -> Path:
    """A folder that has by name whatever the page names."""
    root = tmp_path_factory.mktemp("domains")
    write_products(root, shared_data / "shards/fashion/00000.tar")
    write_coco(root, shared_data / "shards/coco-mini/coco-mini-train-0000.tar")
    shutil.copy(fashiongen, root / "fashiongen_256_256_train.h5")
    write_dataset(root / "my-dataset", shared_data / "shards/fashion/00002.tar")
    shoe = samples(shared_data / "shards/fashion/00001.tar")
    photos = (photo for record, photo in shoe if record["articleType"] == "Casual Shoes")
    (root / "shoe.jpg").write_bytes(next(photos))
    return root


def write_products(root: Path, shard: Path) -> None:
    """A shop's table; the brand is what a name has before "Men", "Women" and the like."""
    (root / "photos").mkdir()
    rows = []
    for record, photo in list(samples(shard))[:PRODUCTS]:
        title = record["caption"]
        (root / f"photos/{record['product_id']}.jpg").write_bytes(photo)
        brand = re.split(rf"\s{record['gender']}\b|'s\b", title)[0]
        fields = {name: record[name] for name in ("articleType", "baseColour")}
        rows.append({"sku": record["product_id"], "title": title, "brand": brand, **fields})
    (root / f"photos/{rows[-1]['sku']}.jpg").unlink()
    with (root / "products.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def write_coco(root: Path, shard: Path) -> None:
    (root / "train2017").mkdir()
    images, annotations = [], []
    for record, photo in samples(shard):
        name = f"{record['key']}.jpg"
        (root / "train2017" / name).write_bytes(photo)
        images.append({"id": int(record["key"]), "file_name": name})
        said = [{"image_id": int(record["key"]), "caption": text} for text in record["captions"]]
        annotations += said
    text = json.dumps({"info": {}, "images": images, "annotations": annotations})
    (root / "captions_train2017.json").write_text(text)


def write_dataset(folder: Path, shard: Path) -> None:
    """As `Dataset.save_to_disk` lays it out."""
    folder.mkdir()
    found = list(samples(shard))[:10]
    labels = sorted({record["articleType"] for record, _ in found})
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {
        "image": pa.array([{"bytes": photo, "path": None} for _, photo in found], image),
        "text": [record["caption"] for record, _ in found],
        "label": [labels.index(record["articleType"]) for record, _ in found],
    }
    features = {"label": {"names": labels, "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table(columns).replace_schema_metadata(metadata)
    path = str(folder / "data-00000-of-00001.arrow")
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}
    (folder / "state.json").write_text(json.dumps(state))


@contextlib.contextmanager
def captured(out: io.StringIO) -> Iterator[None]:
    """What this process prints to either of its outputs, however it prints it."""
    with tempfile.TemporaryFile("w+") as log:
        before = [os.dup(1), os.dup(2)]
        sys.stdout.flush()
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            with contextlib.redirect_stdout(os.fdopen(os.dup(1), "w")) as stdout:
                yield
                stdout.flush()
        finally:
            for target, source in enumerate(before, start=1):
                os.dup2(source, target)
                os.close(source)
            log.seek(0)
            out.write(log.read())


def run(command: str, folder: Path) -> str:
    """What a command prints, less progress bars and the name of the folder."""
    words = shlex.split(command.replace("\\\n", " "))
    out = io.StringIO()
    with contextlib.chdir(folder), captured(out):
        status = main(words[1:]) if words[0] == "tagmine" else subprocess.call(words)
    assert status == 0, command + "\n" + out.getvalue()
    lines = [line.rstrip() for line in out.getvalue().replace(f"{folder}/", "").splitlines()]
    return "\n".join(line for line in lines if "━" not in line).rstrip() + "\n"


@pytest.fixture(scope="module")
def printed(folder) -> list[tuple[str, str, str]]:
    """Of each command of the page: itself, what the page shows, and what it prints now."""
    ran = []
    for block in BLOCK.findall(PAGE):
        for command, shown in COMMAND.findall(block):
            if command.split()[0] in ELSEWHERE:
                break
            ran.append((command, shown, run(command, folder)))
    if os.environ.get("WRITE_PAGE"):
        page = PAGE
        for command, shown, now in ran:
            page = page.replace(f"$ {command}\n{shown}", f"$ {command}\n{now}", 1)
        PATH.write_text(page)
        return [(command, now, now) for command, _, now in ran]
    return ran


def test_every_command_prints_what_the_page_shows(printed):
    assert len(printed) >= 8
    for command, shown, now in printed:
        assert shown == now, command


def test_commands_that_run_elsewhere_do(printed):
    for program, test in ELSEWHERE.items():
        assert f"$ {program} " in PAGE
        assert '"domains.md"' in (Path(__file__).parent / test).read_text()


def test_the_store_of_the_shop_has_fields_and_names(printed, folder):
    import pyarrow.parquet as pq

    rows = pq.read_table(folder / "shop-tags/tags").to_pylist()
    kinds = {(tag["kind"], tag["label"]) for row in rows for tag in row["tags"]}
    assert {("field", "articleType"), ("field", "baseColour"), ("entity", "BRAND")} <= kinds
