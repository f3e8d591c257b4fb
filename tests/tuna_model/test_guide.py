"""docs/tuna.md: each of its commands runs, at tiny scale, in a folder that has what it names."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
import tarfile
import textwrap
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import CLIPModel, LlavaForConditionalGeneration

from demo.tiny_models import main as write_tiny_models
from pipelines.main import main as tagmine
from tuna_model.answering import load_answerer
from tuna_model.controls import CONTROLS
from tuna_model.main import main as tagmine_tuna
from tuna_model.main import make_parser
from tuna_model.train_options import CONFIGS

PAGE = (Path(__file__).parents[2] / "docs" / "tuna.md").read_text()
BLOCK = re.compile(r"^```(\w*)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LLAVA, CLIP = "llava-hf/llava-1.5-7b-hf", "openai/clip-vit-large-patch14-336"
# Sizes, and the names that no folder can stand in for.
SMALLER = {
    "ViT-L-14-336/openai": "demo",
    "articleType,baseColour": "kind,colour",
    "cc12m/{00000..01242}.tar": "cc12m/{00000..00001}.tar",
    "fashion/{00000..00005}.tar": "fashion/{00000..00000}.tar",
}
MORE = {
    "train": "--batch-size 2 --batch-size-per-device 2 --max-steps 1 --device cpu --num-workers 0",
    "chat": "--max-new-tokens 3 --device cpu",
    "eval": "--max-new-tokens 3 --device cpu",
}


def blocks(language: str) -> list[tuple[str, str]]:
    """Name and content of the page's blocks of a language; "" for commands."""
    return [(name, body) for kind, name, body in BLOCK.findall(PAGE) if kind == language]


def commands(marked: bool) -> list[list[str]]:
    """The commands of the page as words: those that a `$` marks, which run here, or the others."""
    text = "".join(body for _, body in blocks("")).replace("\\\n", " ")
    lines = [
        line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ") == marked
    ]
    return [shlex.split(line.strip()) for line in lines]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, llava_parts) -> Path:
    """A folder that has by name whatever the page names, tiny: shards, pictures, models."""
    root = tmp_path_factory.mktemp("guide")
    llava_parts.save(root / LLAVA, root / CLIP)
    draw(root / "cc12m", "street", 24, 12)
    draw(root / "fashion", "fashion", 12, 12)
    draw(root / "photos", "street", 4, 4, seed=1)
    (root / "images").mkdir()
    rows, questions = [], []
    for number, (name, data) in enumerate(pictures(root / "photos/00000.tar").items()):
        (root / "images" / name).write_bytes(data)
        turns = ["<image>\nwhat is this ?", "a red car ."]
        said = [
            {"from": who, "value": text} for who, text in zip(("human", "gpt"), turns, strict=True)
        ]
        rows.append({"id": number, "image": name, "conversations": said})
        question = {"question_id": number, "image": name, "text": "Is there a car in the image?"}
        questions.append(question | {"label": ["yes", "no"][number % 2]})
    shutil.copytree(root / "images", root / "val2014")
    (root / "llava_v1_5_mix665k.json").write_text(json.dumps(rows))
    (root / "coco_pope_adversarial.json").write_text("\n".join(map(json.dumps, questions)))
    (root / "photo.jpg").write_bytes((root / "images" / rows[0]["image"]).read_bytes())
    dress = next(iter(pictures(root / "fashion/00000.tar").values()))
    (root / "dress.jpg").write_bytes(dress)
    (root / "fashion/dress.jpg").write_bytes(dress)
    for name, content in blocks("jsonl"):
        (root / name).write_text(content)
    return root


def draw(folder: Path, domain: str, count: int, shard_size: int, seed: int = 0) -> None:
    """Shards of the drawn world, named as the page's."""
    from demo.shards import ShardOptions, write_shards

    options = ShardOptions(
        folder.with_name(f"{folder.name}-drawn"), count, domain, seed, shard_size=shard_size
    )
    folder.mkdir()
    for number, path in enumerate(write_shards(options)):
        path.rename(folder / f"{number:05d}.tar")


def pictures(shard: Path) -> dict[str, bytes]:
    with tarfile.open(shard) as archive:
        names = [name for name in archive.getnames() if name.endswith(".jpg")]
        return {name: archive.extractfile(name).read() for name in names}


@pytest.fixture(scope="module")
def ran(folder) -> dict[str, str]:
    """What each command of the page printed, all run in the page's order, but builds first."""
    import contextlib

    marked = [c for c in commands(marked=True) if c[0] in ("tagmine", "tagmine-tuna", "python")]
    printed: dict[str, str] = {}
    with contextlib.chdir(folder):
        for words in sorted(marked, key=lambda words: words[:2] != ["tagmine", "build"]):
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                assert run(words) == 0, words
            printed[shlex.join(words)] = out.getvalue()
    return printed


def run(words: list[str]) -> int:
    program, *rest = [SMALLER.get(word, word) for word in words]
    if program == "tagmine":
        return tagmine(rest)
    if program == "python":
        assert rest[:2] == ["-m", "demo.tiny_models"]
        return write_tiny_models(rest[2:])
    # The last of a flag that is given twice counts.
    return tagmine_tuna([*rest, *MORE[rest[0]].split()])


def test_every_command_of_the_page_runs(ran):
    programs = [command.split()[:2] for command in ran]
    for wanted in (
        ["tagmine", "build"],
        ["tagmine", "retrieve"],
        ["tagmine-tuna", "train"],
        ["tagmine-tuna", "chat"],
        ["tagmine-tuna", "eval"],
    ):
        assert wanted in programs
    assert len(ran) >= 12


def test_the_names_that_the_page_replaces_are_on_it():
    words = [word for command in commands(marked=True) for word in command]
    assert set(SMALLER) <= set(words)


def test_what_the_commands_leave_is_what_the_page_says(ran, folder):
    assert json.loads((folder / "tuna-7b/config.json").read_text())["model_type"] == "tuna"
    assert load_answerer(folder / "tuna-7b-lora").model.config.model_type == "tuna"
    scores = json.loads((folder / "pope.json").read_text())["scores"]
    assert {"accuracy", "precision", "recall", "f1", "yes_ratio", "clear_accuracy"} <= set(scores)
    assert scores["questions"] == scores["answered"] == 4
    assert (folder / "pope.answers.jsonl").is_file()
    tiny = folder / "tiny-models"
    assert sorted(path.name for path in tiny.iterdir()) == ["clip", "llava", "tuna"]
    clip = CLIPModel.from_pretrained(tiny / "clip").vision_model.state_dict()
    tower = LlavaForConditionalGeneration.from_pretrained(tiny / "llava").model.vision_tower
    assert all(torch.equal(weight, clip[name]) for name, weight in tower.state_dict().items())
    page = (folder / "photo.html").read_text()
    assert "What the model read" in page and 'class="map m0"' in page
    record = json.loads((folder / "photo.html.json").read_text())
    table = PAGE.split("`photo.html.json` has the same for programs:")[1].split("\n\n")[1]
    documented = set(re.findall(r"`(\w+)`", table))
    fields = set(record) | set(record["tags"][0]) | set(record["neighbours"][0])
    assert fields - {"format"} == documented - {"cosine"} | {"cosine"}
    assert record["tags"] and record["neighbours"]


def test_the_judge_of_the_page_is_asked(ran, folder):
    dry = json.loads((folder / "bench-dry-run.json").read_text())
    assert dry["scores"]["all"]["judged"] == 2 and "no substitute" in dry["judge"]
    (keyed,) = [c for c in commands(marked=True) if c[0].startswith("TAGMINE_JUDGE_KEY=")]
    parsed = make_parser(["eval"]).parse_args(keyed[2:])
    assert parsed.judge.startswith("https://") and parsed.judge_model


def test_commands_that_need_gpus_have_flags_that_exist():
    (launch,) = [c for c in commands(marked=False) if c[:2] == ["accelerate", "launch"]]
    assert (CONFIGS / launch[launch.index("--configs)/multi_gpu.yaml")].split("/")[1]).is_file()
    after = launch.index("tuna_model.main") + 1
    parsed = make_parser(["train"]).parse_args(launch[after:])
    assert parsed.deepspeed == "zero2" and parsed.output == "tuna-7b"


def test_the_controls_of_the_page_are_those_there_are():
    table = PAGE.split("The paper's ablation is one switch")[1].split("A datastore that holds")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(CONTROLS)


@pytest.mark.parametrize("control", list(CONTROLS))
def test_every_control_of_the_table_runs(ran, folder, tmp_path, control):
    words = ["eval", "--task", "pope", "--questions", f"{folder}/coco_pope_adversarial.json"]
    words += ["--image-folder", f"{folder}/val2014", "--model", f"{folder}/tuna-7b"]
    words += ["--datastore", f"{folder}/cc12m-tags", "--control", control]
    words += ["--out", f"{tmp_path}/results.json", *MORE["eval"].split()]
    assert tagmine_tuna(words) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["run"]["control"] == control and results["scores"]["answered"] == 4


def test_where_tags_come_from_is_as_the_flags_say(ran, folder):
    from index import open_datastore
    from tuna_model.retrieval import commonest_tags
    from tuna_model.tag_source import SourceOptions, open_source

    photo = Image.open(folder / "photo.jpg").convert("RGB")
    store = (str(folder / "cc12m-tags"),)

    def found(control: str, **options):
        source = open_source(CONTROLS[control], SourceOptions(store, **options))
        return source.find(["photo.jpg"], [photo])[0]

    common = commonest_tags(open_datastore(store[0]).vocabulary, 10)
    small = {"vocabulary": 10, "max_tags": 4}
    drawn = [tuple(t.text for t in found("random_tags", seed=i, **small).tags) for i in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2] and set(drawn[0] + drawn[2]) <= set(common)
    own = {tag.text.casefold() for tag in found("tuna", max_tags=4).tags}
    assert len(drawn[0]) == len(own) and not own & {text.casefold() for text in drawn[0]}
    nearest = [tag.text for tag in found("tagger_tags", **small).tags]
    assert len(nearest) == 4 and set(nearest) <= set(common)
    retrieved = found("tuna", k=3, max_tags=2, clip_model="demo")
    assert (len(retrieved.neighbours), len(retrieved.tags)) == (3, 2)
    assert found("captions", k=1).neighbours == retrieved.neighbours[:1]
    assert found("no_tags").tags == ()


def test_the_programs_of_the_page_run(ran, folder, llava_parts, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    programs = blocks("python")
    assert len(programs) == 5
    for _, program in programs:
        exec(compile(textwrap.dedent(program), "docs/tuna.md", "exec"), {})
    made = [json.loads(line) for line in Path("my-pope.json").read_text().splitlines()]
    assert made and {"yes", "no"} == {row["label"] for row in made}
    assert "What the model read" in Path("python.html").read_text()
    joined = load_answerer("llava-as-it-is", "no_tags", "cpu").model.state_dict()
    for name, weight in llava_parts.llava.state_dict().items():
        assert torch.equal(joined[name], weight)
    assert Image.open("photo.jpg").size[0] > 0 and capsys.readouterr().out
