"""docs/domains.md, "Take out" and "Share": every command and every snippet, as it stands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from huggingface_hub import DatasetCard

from pipelines.main import main
from tagmine.manifest import read_manifest

ROOT = Path(__file__).parents[2]


def section(title: str) -> str:
    return (ROOT / "docs/domains.md").read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]


def blocks(title: str, kind: str) -> list[tuple[str, str]]:
    """What follows the kind in the first line of a block, and what is in the block."""
    found = re.findall(r"^```([^\n]*)\n(.*?)^```$", section(title), re.MULTILINE | re.DOTALL)
    named = [(*info.partition(" "), body) for info, body in found]
    return [(name, body) for word, _, name, body in named if word == kind]


def commands(title: str) -> list[list[str]]:
    text = "".join(body for _, body in blocks(title, "")).replace("\\\n", " ")
    return [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("tagmine ")]


SNIPPETS = [body for _, body in blocks("Share", "python")]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, shared_data) -> Path:
    """A folder in which the guide's commands of "Take out" have been run."""
    folder = tmp_path_factory.mktemp("guide")
    (folder / "fashion").symlink_to(shared_data / "shards/fashion")
    for name, content in blocks("Take out", "text"):
        (folder / name).write_text(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        ran = commands("Take out")
        assert [words[0] for words in ran] == ["build", "remove", "compact"]
        for words in ran:
            assert main(words) == 0, words
    return folder


def test_eleven_are_gone_and_all_else_is_right(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    assert main(["verify", "fashion-tags"]) == 0
    manifest = read_manifest(Path("fashion-tags"))
    assert manifest.totals["mine"].rejected["removed"] == 11
    assert manifest.totals["index"].written == 400 - 11


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_other_tools_open_it(number, workplace, monkeypatch, tmp_path):
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    names: dict = {}
    exec(SNIPPETS[number], names)
    for rows in (names.get("tags"), names.get("vectors")):
        count = 389 if not hasattr(rows, "collect") else None
        assert rows is None or count is None or len(rows) == count
    if "ids" in names:
        assert names["ids"][0, 0] == names["part"]["id"][0].as_py()


def test_the_card_is_one_that_the_hub_reads(workplace):
    card = DatasetCard.load(workplace / "fashion-tags/README.md")
    assert card.data.license == "other" and card.data.language == ["en"]
    assert card.data.size_categories == ["n<1K"]
    front = yaml.safe_load((workplace / "fashion-tags/README.md").read_text().split("---")[1])
    assert [config["config_name"] for config in front["configs"]] == ["tags"]
    for words in ("| images | 389 |", "| fashion | other |", "taken out on request | 11 |", "demo"):
        assert words in card.text


def test_the_card_stays_true_and_keeps_what_its_owner_wrote(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    card = Path("fashion-tags/README.md")
    before = card.read_text()
    assert "Not measured yet" in before
    card.write_text(before + "Ask Jane about these.\n")
    main(["validate", "fashion-tags", "--sample", "50", "--gallery", "0"])
    measured = card.read_text()
    assert re.search(r"of the true 5 nearest, found \| [01]\.\d{3} \(", measured)
    assert "with 50 stored images as queries.\n" in measured
    Path("one.txt").write_text("fashion/00000/000000020")
    assert main(["remove", "fashion-tags", "--keys", "one.txt"]) == 0
    hidden = card.read_text()
    assert "| images | 388 |" in hidden and "12, 1 not compacted yet" in hidden
    assert "in an earlier state of 389 images" in hidden
    assert main(["index", "fashion-tags"]) == 0
    assert hidden.split("## Recall")[0] == card.read_text().split("## Recall")[0]
    assert card.read_text().endswith("Ask Jane about these.\n")


def test_a_card_of_another_is_kept_whole(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    card = Path("fashion-tags/README.md")
    card.write_text("All mine.\n")
    assert main(["compact", "fashion-tags"]) == 0
    assert card.read_text().endswith("tagmine keeps it. -->\nAll mine.\n")


def test_a_license_that_is_none(capfd):
    assert main(["build", "a.tar", "--out", "x", "--license", "CC BY 4.0"]) == 1
    assert "in lower case and without spaces, such as cc-by-4.0" in capfd.readouterr().err
