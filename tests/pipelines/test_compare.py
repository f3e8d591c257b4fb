"""`tagmine compare` on the drawn world: each store is ahead on what it knows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from demo.shards import ShardOptions, write_shards
from pipelines.main import main

FIELDS = ["--caption-json-field", "captions"]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """Datastores `street` and `fashion` of 120 pictures each, and held-out shards of 40 each."""
    root = tmp_path_factory.mktemp("swap")
    for domain in ("street", "fashion"):
        shards = write_shards(ShardOptions(root / "in", count=120, domain=domain))
        line = ["build", *map(str, shards), "--out", str(root / domain), "--clip-model", "demo"]
        assert main([*line, *FIELDS]) == 0
        write_shards(ShardOptions(root / "held", count=40, domain=domain, split="heldout"))
    return root


@pytest.fixture(scope="module")
def compare(world):
    def run(domain: str, *more: str) -> list[str]:
        stores = [str(world / name) for name in ("street", "fashion")]
        queries = str(world / f"held/{domain}-00000.tar")
        return ["compare", queries, *FIELDS, "--datastores", *stores, "+".join(stores), *more]

    return run


@pytest.mark.parametrize(("domain", "ahead", "behind"), [("street", 0, 1), ("fashion", 1, 0)])
def test_each_datastore_is_ahead_on_its_own_domain(compare, domain, ahead, behind, capfd):
    assert main(compare(domain, "--json")) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["queries"] == 40 and found["without_tags"] == 0
    stores = found["stores"]
    assert [store["name"] for store in stores] == ["street", "fashion", "street+fashion"]
    assert [store["images"] for store in stores] == [120, 120, 240]
    for number, cut in enumerate((5, 10, 24)):
        one, other, both = (stores[i]["scores"][number] for i in (ahead, behind, 2))
        assert one["at"] == cut and one["recall"]["low"] > other["recall"]["high"]
        assert one["precision"]["low"] > other["precision"]["high"]
        assert both["recall"]["low"] > other["recall"]["high"]
    query = found["differ"][0]
    assert abs(query["answers"][0]["recall"] - query["answers"][1]["recall"]) > 0.2
    assert {near["datastore"] for near in query["answers"][2]["neighbours"]} <= {
        "street",
        "fashion",
    }


def test_the_table_and_the_page_with_pictures(compare, world, tmp_path, capfd):
    page = tmp_path / "swap.html"
    assert main(compare("fashion", "--html", str(page), "--gallery", "2", "--sample", "20")) == 0
    printed = capfd.readouterr().out
    assert "20 queries" in printed and "recall of the retrieved tags" in printed
    assert "note:" not in printed
    assert printed.count("street+fashion") == 3 and "fashion-00000/fashion-heldout" in printed
    text = page.read_text()
    # Two queries and their five neighbours in each of three, all read again from their shards.
    assert text.count("data:image/jpeg;base64") == 2 * (1 + 3 * 5)
    assert "out of reach" not in text and "<script" not in text


def test_a_datastore_of_held_out_images_asks_as_its_shards_do(compare, world, tmp_path, capfd):
    held = tmp_path / "held"
    shard = str(world / "held/street-00000.tar")
    assert main(["build", shard, "--out", str(held), "--clip-model", "demo", *FIELDS]) == 0
    capfd.readouterr()
    answers = []
    for line in (
        compare("street", "--json"),
        ["compare", str(held), *compare("street", "--json")[4:]],
    ):
        assert main(line) == 0
        answers.append(json.loads(capfd.readouterr().out)["stores"])
    assert answers[0] == answers[1]
    line = ["compare", str(held), "--datastores", str(held), str(world / "fashion")]
    assert main(line) == 1
    assert "find themselves" in capfd.readouterr().err


def test_queries_that_are_mined_otherwise_than_a_datastore_are_noted(
    compare, world, tmp_path, capfd
):
    (tmp_path / "shade.txt").write_text("crimson\n")
    page = tmp_path / "swap.html"
    more = ["--vocabulary", str(tmp_path / "shade.txt"), "--sample", "8", "--html", str(page)]
    assert main(compare("street", *more)) == 0
    printed = capfd.readouterr().out
    for name in ("street", "fashion"):
        assert f"note: the tags of {name} were mined by" in printed
    assert printed.count("with names of shade.txt, and not alike") == 2
    assert "and not alike" in page.read_text()


def test_what_cannot_be_compared(compare, world, tmp_path, capfd):
    stored = str(next((world / "in").glob("street-*.tar")))
    store = str(world / "street")
    for words, says in (
        (["compare", stored, "--datastores", store], "is in the datastore street"),
        (["compare", "none.tar", "--datastores", store], "no such file"),
        (compare("street", "--html", str(tmp_path / "no" / "page.html")), "a folder that exists"),
        (compare("street", "-k", "0"), "-k 0"),
        (["compare", "a.tar", "--datastores", f"{store}=20%+{world}/fashion"], "a share, or none"),
    ):
        assert main(words) == 1, words
        assert says in capfd.readouterr().err, words
