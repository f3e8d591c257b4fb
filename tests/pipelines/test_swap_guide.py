"""docs/domains.md, "Swap and stack": its commands, in order, on COCO's photos and a shop's."""

from __future__ import annotations

import re
import shlex
import tarfile
from pathlib import Path

import duckdb
import pytest

from pipelines.main import main
from tagmine.manifest import read_manifest

PAGE = Path(__file__).parents[2] / "docs/domains.md"
SECTION = PAGE.read_text().split("\n## Swap and stack\n")[1].split("\n## ")[0]
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    text = "".join(body for kind, body in BLOCKS if not kind).replace("\\\n", " ")
    return [shlex.split(line) for line in text.splitlines()]


def first_samples(shard: Path, count: int, target: Path) -> None:
    """The first samples of a shard as a shard, so that the page takes no minutes."""
    with tarfile.open(shard) as archive, tarfile.open(target, "w") as taken:
        members = [member for member in archive if member.isfile()]
        keys = list(dict.fromkeys(member.name.split(".")[0] for member in members))[:count]
        for member in members:
            if member.name.split(".")[0] in keys:
                taken.addfile(member, archive.extractfile(member))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, shared_data) -> Path:
    """A folder with all that the section names, in which its commands have been run."""
    root = tmp_path_factory.mktemp("swap")
    (root / "coco").mkdir()
    shards = shared_data / "shards"
    for source, name, count in (
        ("coco-mini/coco-mini-train-0000.tar", "coco/00000.tar", 20),
        ("fashion/00000.tar", "shop.tar", 40),
        ("fashion/00005.tar", "held-out.tar", 12),
    ):
        first_samples(shards / source, count, root / name)
    with tarfile.open(root / "held-out.tar") as archive:
        photo = next(member for member in archive if member.name.endswith(".jpg"))
        (root / "photo.jpg").write_bytes(archive.extractfile(photo).read())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        fields = ["--tag-fields", "articleType,baseColour", "--clip-model", "demo"]
        assert main(["build", "shop.tar", *fields, "--out", "shop-tags"]) == 0
        for program, *words in commands():
            if program == "tagmine":
                assert main(words) == 0, words
    return root


def test_each_command_is_run_and_does_what_the_page_says(folder):
    ran = [words[1] for words in commands() if words[0] == "tagmine"]
    assert ran == ["build", "query", "query", "query", "merge", "subset", "compare"]
    both = read_manifest(folder / "both-tags")
    parts = [read_manifest(folder / name).images for name in ("coco-tags", "shop-tags")]
    assert both.images == sum(parts)
    assert 0 < read_manifest(folder / "shirts").images < both.images
    assert "<h1>" in (folder / "swap.html").read_text()


def test_the_other_tools_on_the_page_run_too(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    (query,) = [words[2] for words in commands() if words[0] == "duckdb"]
    assert dict(duckdb.sql(query).fetchall()) == {
        "coco-tags": read_manifest(folder / "coco-tags").totals["mine"].written,
        "shop-tags": read_manifest(folder / "shop-tags").totals["mine"].written,
    }
    (snippet,) = [body for kind, body in BLOCKS if kind == "python"]
    exec(snippet, {})
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed].count("shop-tags") == 3 and len(printed) == 5
