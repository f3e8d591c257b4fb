"""docs/domains.md: its commands and programs, run in order as one chain, do what the page says.

After a change, WRITE_PAGE=1 in the environment puts what they print into the page.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
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
from typing import Any

import datasets
import duckdb
import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import DatasetCard

from index.explore.pictures import PictureCache
from index.explore.shard_pictures import NoPictureError
from index.explore.stores import Query, Store, look_up, open_stores
from pipelines.command_line import parse
from pipelines.main import main
from tagmine.manifest import read_manifest
from tuna_model.main import main as tagmine_tuna
from tuna_model.main import make_parser
from tuna_model.modeling_tuna import TunaForConditionalGeneration
from tuna_model.processing_tuna import TunaProcessor

TESTS = Path(__file__).parents[1]
PATH = TESTS.parent / "docs" / "domains.md"
PAGE = PATH.read_text()
BLOCK = re.compile(r"^```(\w*) ?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^(\$ )?((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
PRODUCTS = 120
# Whose commands another test runs.
ELSEWHERE = {"img2dataset": "pipelines/test_img2dataset.py"}
CHAT = ["--device", "cpu", "--max-new-tokens", "3"]


# --- what a newcomer has --------------------------------------------------------------------


def samples(shard: Path) -> Iterator[tuple[dict, bytes]]:
    with tarfile.open(shard) as archive:
        for name in [name for name in archive.getnames() if name.endswith(".json")]:
            record = json.loads(archive.extractfile(name).read())
            yield record, archive.extractfile(name.replace(".json", ".jpg")).read()


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
    """Captions as COCO has them, and an animal or a vehicle that they name as an instance."""
    (root / "train2017").mkdir()
    (root / "annotations").mkdir()
    kinds = ("cat", "dog", "horse", "bus", "car", "train", "bicycle", "boat")
    images, captions, instances = [], [], []
    for record, photo in samples(shard):
        number = int(record["key"])
        name = f"{record['key']}.jpg"
        (root / "train2017" / name).write_bytes(photo)
        images.append({"id": number, "file_name": name})
        captions += [{"image_id": number, "caption": text} for text in record["captions"]]
        words = " ".join(record["captions"]).lower().split()
        instances += [
            {"image_id": number, "category_id": kinds.index(k)} for k in kinds if k in words
        ]
    categories = [{"id": number, "name": name} for number, name in enumerate(kinds)]
    for kind, said in (("captions", captions), ("instances", instances)):
        file = {"info": {}, "images": images, "annotations": said}
        file |= {"categories": categories} if kind == "instances" else {}
        (root / f"annotations/{kind}_train2017.json").write_text(json.dumps(file))


def write_dataset(folder: Path, shard: Path) -> None:
    """What `datasets` itself saves."""
    found = list(samples(shard))[:10]
    labels = sorted({record["articleType"] for record, _ in found})
    columns = {
        "image": [{"bytes": photo, "path": None} for _, photo in found],
        "text": [record["caption"] for record, _ in found],
        "label": [labels.index(record["articleType"]) for record, _ in found],
    }
    label = datasets.ClassLabel(names=labels)
    kinds = {"image": datasets.Image(), "text": datasets.Value("string"), "label": label}
    datasets.Dataset.from_dict(columns, datasets.Features(kinds)).save_to_disk(folder)


def write_model(folder: Path, parts) -> None:
    """A tiny random model that reads tags."""
    processor = TunaProcessor.from_llava(parts.processor, parts.clip_tokenizer, system_prompt="")
    model = TunaForConditionalGeneration.from_llava(parts.llava, parts.clip, processor=processor)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, shared_data, fashiongen, llava_parts) -> Path:
    root = tmp_path_factory.mktemp("domains")
    write_products(root, shared_data / "shards/fashion/00000.tar")
    write_coco(root, shared_data / "shards/coco-mini/coco-mini-train-0000.tar")
    shutil.copy(fashiongen, root / "fashiongen_256_256_train.h5")
    write_dataset(root / "my-dataset", shared_data / "shards/fashion/00002.tar")
    write_model(root / "tuna-7b", llava_parts)
    return root


# --- the chain ------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Ran:
    """A command or program of the page, what the page shows of it, and what came of it."""

    text: str
    shown: str | None
    printed: str
    made: Any = None


@contextlib.contextmanager
def captured(out: io.StringIO) -> Iterator[None]:
    """What this process prints to either of its outputs, however it prints it."""
    with tempfile.TemporaryFile("w+") as log:
        before = [os.dup(1), os.dup(2)]
        sys.stdout.flush()
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            with (
                os.fdopen(os.dup(1), "w") as stream,
                contextlib.redirect_stdout(stream),
                contextlib.redirect_stderr(stream),
            ):
                yield
        finally:
            for target, source in enumerate(before, start=1):
                os.dup2(source, target)
                os.close(source)
            log.seek(0)
            out.write(log.read())


def run(command: str, folder: Path) -> tuple[str, Any]:
    """What a command prints, less progress bars and the folder's name; and what it opened."""
    words = shlex.split(command.replace("\\\n", " "))
    out, made, status = io.StringIO(), None, 0
    with captured(out):
        if words[:2] == ["tagmine", "explore"]:
            made = explore(words, folder)
        elif words[0] == "tagmine":
            status = main(words[1:])
        elif words[:2] == ["tagmine-tuna", "explore"]:
            made = make_parser(["explore"]).parse_args(words[1:])
        elif words[0] == "tagmine-tuna":
            status = tagmine_tuna([*words[1:], *CHAT])
        elif words[0] == "duckdb":
            made = duckdb.sql(words[2]).fetchall()
        else:
            status = subprocess.call(["bash", "-c", command], stdout=1, stderr=2)
    assert status == 0, command + "\n" + out.getvalue()
    lines = [line.rstrip() for line in out.getvalue().replace(f"{folder}/", "").splitlines()]
    text = "\n".join(line for line in lines if "━" not in line).rstrip()
    return f"{text}\n" if text else "", made


def explore(words: list[str], folder: Path) -> tuple[Store, ...]:
    """The datastores that the page of a command would show."""
    if "--shards" in words:
        (folder / "coco").rename(folder / "moved")
    return open_stores(parse(words[1:]))


def links(folder: Path) -> Iterator[Ran]:
    """Every block of the page in turn."""
    for kind, name, body in BLOCK.findall(PAGE):
        if kind == "text":
            (folder / name).write_text(body)
        elif kind == "python":
            out, names = io.StringIO(), {}
            with captured(out):
                exec(body, names)
            yield Ran(body, None, out.getvalue(), names)
        elif not kind:
            shown = body.startswith("$ ")
            for _, command, output in COMMAND.findall(body) if shown else plain(body):
                if command.split()[0] in ELSEWHERE:
                    break
                yield Ran(command, output if shown else None, *run(command, folder))


def plain(body: str) -> list[tuple[str, str, str]]:
    return [("", command, "") for command in re.findall(r"(?:.*\\\n)*.+", body)]


@pytest.fixture(scope="module")
def chain(folder) -> list[Ran]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("COLUMNS", "100")
        patch.setenv("HF_HOME", str(folder / "hub"))
        patch.setattr("datasets.config.HF_DATASETS_CACHE", folder / "hub" / "datasets")
        ran = list(links(folder))
    if not os.environ.get("WRITE_PAGE"):
        return ran
    page = PAGE
    for link in [link for link in ran if link.shown is not None]:
        page = page.replace(f"$ {link.text}\n{link.shown}", f"$ {link.text}\n{link.printed}", 1)
    PATH.write_text(page)
    return [dataclasses.replace(link, shown=link.shown and link.printed) for link in ran]


def of(chain: list[Ran], beginning: str) -> list[Ran]:
    """The links whose text begins so."""
    return [link for link in chain if link.text.startswith(beginning)]


# --- what came of it ------------------------------------------------------------------------


def test_every_command_prints_what_the_page_shows(chain):
    shown = [link for link in chain if link.shown is not None]
    assert len(shown) >= 14
    for link in shown:
        assert link.shown == link.printed, link.text


def test_commands_that_run_elsewhere_do():
    for program, test in ELSEWHERE.items():
        assert f"$ {program} " in PAGE
        assert '"domains.md"' in (TESTS / test).read_text()


def test_the_store_of_the_shop_has_fields_and_names(chain, folder):
    rows = pq.read_table(folder / "shop-tags/tags").to_pylist()
    kinds = {(tag["kind"], tag["label"]) for row in rows for tag in row["tags"]}
    assert {("field", "articleType"), ("field", "baseColour"), ("entity", "BRAND")} <= kinds


def test_a_model_reads_the_tags_of_the_datastore_that_is_named(chain):
    general, shop = (link.printed for link in of(chain, "tagmine-tuna chat"))
    assert general.startswith("tags: ") and shop.startswith("tags: ")
    assert "Trousers" in shop and "Trousers" not in general


def test_several_datastores_answer_as_one(chain):
    both, *weighed = of(chain, "tagmine query coco-tags")[1:]
    assert len(weighed) == 2 and "in shop-tags" in both.printed
    (snippet,) = of(chain, "from index.stack")
    found = [line.split()[0] for line in snippet.printed.splitlines()]
    assert found.count("shop-tags") == 3 and len(found) == 5


def test_a_merge_holds_both_and_a_subset_some(chain, folder):
    (merged,), (cut,) = of(chain, "tagmine merge"), of(chain, "tagmine subset")
    counts = dict(of(chain, "duckdb")[0].made)
    assert counts == {"coco-tags": 30, "shop-tags": 99}
    assert "\n129 images of 2 datastores in both-tags\n" in merged.printed
    assert read_manifest(folder / "both-tags").images == 129
    assert 0 < read_manifest(folder / "shirts").images < 40 and "in shirts" in cut.printed


def test_the_shop_is_ahead_on_products_that_were_held_back(chain, folder):
    (compared,) = of(chain, "tagmine compare")
    rows = re.findall(r"^(coco-tags|shop-tags) .*", compared.printed, re.MULTILINE)
    assert rows == ["coco-tags", "shop-tags"] * 2
    for kind in ("precision", "recall"):
        table = compared.printed.split(f"{kind} of the retrieved tags")[1]
        coco, shop = (
            [float(end) for end in re.findall(r"\(([\d.]+) to ([\d.]+)\)", line)[0]]
            for line in re.findall(r"^(?:coco|shop)-tags .*", table, re.MULTILINE)[:2]
        )
        assert shop[0] > coco[1]
    assert "<h1>" in (folder / "swap.html").read_text()


def test_ten_are_gone_and_all_else_is_right(chain, folder):
    assert main(["verify", str(folder / "shop-tags")]) == 0
    manifest = read_manifest(folder / "shop-tags")
    assert manifest.totals["mine"].rejected["removed"] == 10
    assert manifest.totals["index"].written == 99 - 10


def pictures(store: Store) -> int:
    """How many of the first images have a picture."""
    shown = 0
    for row_id in store.samples():
        with contextlib.suppress(NoPictureError):
            shown += PictureCache().get(store, row_id, "small").startswith(b"\xff\xd8")
    return shown


def test_what_is_looked_at_has_answers_and_pictures(chain, folder, monkeypatch):
    monkeypatch.chdir(folder)
    (both, moved) = (link.made for link in of(chain, "tagmine explore"))
    coco, shop = both
    photo = (folder / "photos/12224.jpg").read_bytes()
    found = look_up([coco, shop], Query(photo=photo), 5)
    assert found.stores[0].name == "shop-tags" and len(found.stores) == 5
    # Its shards have moved meanwhile.
    assert pictures(coco) == 0 and pictures(moved[0]) == len(moved[0].samples()) > 3
    (folder / "shop").rename(folder / "shop-elsewhere")
    (kept,) = open_stores(parse(["explore", "shop-pictures"]))
    assert pictures(kept) == len(kept.samples()) > 3
    (asked,) = of(chain, "tagmine-tuna explore")
    assert (asked.made.model, asked.made.datastores) == ("tuna-7b", ["coco-tags", "shop-tags"])


def test_other_tools_open_it(chain):
    programs = [link.made for link in chain if link.text.startswith("import ")]
    assert len(programs) >= 6
    for names in programs:
        for rows in (names.get("tags"), names.get("vectors")):
            count = None if hasattr(rows, "collect") else 89
            assert rows is None or count is None or len(rows) == count
    (found,) = [names for names in programs if "ids" in names]
    assert found["ids"][0, 0] == found["part"]["id"][0].as_py()


def test_the_card_is_one_that_the_hub_reads(chain, folder):
    card = DatasetCard.load(folder / "shop-tags/README.md")
    assert card.data.license == "other" and card.data.language == ["en"]
    assert card.data.size_categories == ["n<1K"]
    front = yaml.safe_load((folder / "shop-tags/README.md").read_text().split("---")[1])
    assert [config["config_name"] for config in front["configs"]] == ["tags"]
    for words in ("| images | 89 |", "| shop | other |", "taken out on request | 10 |", "demo"):
        assert words in card.text


@pytest.fixture
def shop_tags(chain, folder, tmp_path, monkeypatch) -> Path:
    """A copy to change, in the working directory."""
    shutil.copytree(folder / "shop-tags", tmp_path / "shop-tags")
    monkeypatch.chdir(tmp_path)
    return Path("shop-tags")


def test_the_card_stays_true_and_keeps_what_its_owner_wrote(shop_tags):
    card = shop_tags / "README.md"
    before = card.read_text()
    assert "Not measured yet" in before
    card.write_text(before + "Ask Jane about these.\n")
    main(["validate", "shop-tags", "--sample", "50", "--gallery", "0"])
    measured = card.read_text()
    assert re.search(r"of the true 5 nearest, found \| [01]\.\d{3} \(", measured)
    assert "with 50 stored images as queries.\n" in measured
    Path("one.txt").write_text("shop/00000/16494")
    assert main(["remove", "shop-tags", "--keys", "one.txt"]) == 0
    hidden = card.read_text()
    assert "| images | 88 |" in hidden and "11, 1 not compacted yet" in hidden
    assert "in an earlier state of 89 images" in hidden
    assert main(["index", "shop-tags"]) == 0
    assert hidden.split("## Recall")[0] == card.read_text().split("## Recall")[0]
    assert card.read_text().endswith("Ask Jane about these.\n")


def test_a_card_of_another_is_kept_whole(shop_tags):
    (shop_tags / "README.md").write_text("All mine.\n")
    assert main(["compact", "shop-tags"]) == 0
    assert (shop_tags / "README.md").read_text().endswith("tagmine keeps it. -->\nAll mine.\n")


def test_a_license_that_is_none(capfd):
    assert main(["build", "a.tar", "--out", "x", "--license", "CC BY 4.0"]) == 1
    assert "in lower case and without spaces, such as cc-by-4.0" in capfd.readouterr().err
