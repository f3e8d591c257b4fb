"""docs/domains.md, "Look": what its commands open, on COCO's photos and a shop's."""

from __future__ import annotations

import re
import shlex
import tarfile
from pathlib import Path

import pytest

from index.explore.pictures import PictureCache
from index.explore.shard_pictures import NoPictureError
from index.explore.stores import Query, Store, look_up, open_stores
from pipelines.command_line import parse
from pipelines.main import main
from tuna_model.main import make_parser

PAGE = Path(__file__).parents[2] / "docs/domains.md"
SECTION = PAGE.read_text().split("\n## Look\n")[1].split("\n## ")[0]
COMMANDS = [
    shlex.split(line)
    for block in re.findall(r"^```\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, shared_data):
    """The working directory, with the two datastores of the page and the shop's shard."""
    root = tmp_path_factory.mktemp("look")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for source, name in (("coco-mini/coco-mini-train-0000", "coco"), ("fashion/00000", "shop")):
            take(shared_data / "shards" / f"{source}.tar", 24, root / f"{name}.tar")
            command = ["build", f"{name}.tar", "--out", f"{name}-tags", "--clip-model", "demo"]
            assert main(command) == 0
        yield root


def take(shard: Path, members: int, target: Path) -> None:
    with tarfile.open(shard) as archive, tarfile.open(target, "w") as taken:
        for member in [m for m in archive if m.isfile()][:members]:
            taken.addfile(member, archive.extractfile(member))


def pictures(store: Store) -> int:
    """How many of the first images have a picture."""
    shown = 0
    for row_id in store.samples():
        try:
            shown += PictureCache().get(store, row_id, "small").startswith(b"\xff\xd8")
        except NoPictureError:
            continue
    return shown


def test_each_command_is_known_and_opens_what_the_page_says(folder):
    first, moved, build, tuna = COMMANDS
    coco, shop = open_stores(parse(first[1:]))
    found = look_up([coco, shop], Query(photo=PictureCache().get(shop, 2, "large")), 5)
    assert found.stores[0].name == "shop-tags" and len(found.stores) == 5
    assert pictures(coco) == len(coco.samples()) > 3

    (folder / "moved").mkdir()
    (folder / "coco.tar").rename(folder / "moved" / "coco.tar")
    (without,) = open_stores(parse(["explore", "coco-tags"]))
    (again,) = open_stores(parse(moved[1:]))
    assert (pictures(without), pictures(again)) == (0, len(again.samples()))

    assert main([*build[1:], "--clip-model", "demo"]) == 0
    (folder / "shop.tar").unlink()
    (kept,) = open_stores(parse(["explore", "shop-pictures"]))
    assert pictures(kept) == len(kept.samples()) > 3

    asked = make_parser(["explore"]).parse_args(tuna[1:])
    assert (asked.model, asked.datastores) == ("tuna-7b", ["coco-tags", "shop-tags"])
