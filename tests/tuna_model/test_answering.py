"""What an answerer knows of a request before it asks the model."""

from __future__ import annotations

import json

import pytest
import torch

from index.retrievals import EMPTY, write_retrievals
from tagmine.errors import ConfigurationError
from tuna_model.answering import (
    Answerer,
    Decoding,
    Request,
    check_dtype,
    load_answerer,
    torch_device,
)
from tuna_model.controls import CONTROLS
from tuna_model.main import main
from tuna_model.tag_source import SourceOptions, check_max_tags

TAGS = ("tag_index", "tag_clip_ids", "tag_clip_mask", "tag_features")
MANY = [f"car {number}" for number in range(30)]


@pytest.fixture
def answerer(tiny_tuna, tiny_processor) -> Answerer:
    return Answerer(tiny_tuna.eval(), tiny_processor, CONTROLS["tuna"])


@pytest.fixture
def benchmark(tmp_path, tiny_tuna, tiny_processor, tools):
    """`tagmine-tuna eval` over one picture and the given questions; returns its answers."""
    tiny_tuna.save_pretrained(tmp_path / "model")
    tiny_processor.save_pretrained(tmp_path / "model")
    (tmp_path / "images").mkdir()
    tools.picture(0).save(tmp_path / "images" / "a.png")

    def run(texts: list[str], found, control: str = "tuna") -> tuple[dict, list[dict]]:
        rows = [
            {"question_id": str(n), "image": "a.png", "text": text, "label": "yes"}
            for n, text in enumerate(texts)
        ]
        (tmp_path / "q.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
        write_retrievals(tmp_path / "found.parquet", [("a.png", found)])
        out = tmp_path / control / "results.json"
        command = ["eval", "--task", "pope", "--questions", f"{tmp_path}/q.json", "--suffix", ""]
        command += ["--image-folder", f"{tmp_path}/images", "--model", f"{tmp_path}/model"]
        command += ["--retrievals", f"{tmp_path}/found.parquet", "--control", control]
        command += ["--out", str(out), "--max-new-tokens", "3", "--device", "cpu"]
        assert main(command) == 0
        log = out.with_name("results.answers.jsonl").read_text().splitlines()[1:]
        return json.loads(out.read_text()), [json.loads(line) for line in log]

    return run


@pytest.mark.parametrize("name", ["int8", "complex64", "float8_e4m3fn", "bool", "nn", "float99"])
def test_a_dtype_that_no_layer_computes_in_is_refused_before_anything_is_loaded(name):
    with pytest.raises(ConfigurationError, match=f"dtype '{name}': give auto, float32"):
        load_answerer("nowhere", dtype=name)
    for good in ("auto", "float32", "bfloat16", "float16"):
        check_dtype(good)


def test_a_gpu_that_is_not_there_is_refused_before_anything_is_loaded():
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = [f"cuda:{count}"] if count else ["cuda", "cuda:0"]
    for name in names:
        with pytest.raises(ConfigurationError, match=f"'{name}': torch sees {count} GPUs here"):
            load_answerer("nowhere", device=name)
    assert torch_device("cpu") == torch.device("cpu")
    assert torch_device("auto").type == ("cuda" if count else "cpu")


@pytest.mark.parametrize("name", ["tuna", "lion", "captions", "no_tags"])
def test_the_length_is_that_of_the_prompt(tiny_tuna, tiny_processor, tools, name):
    answerer = Answerer(tiny_tuna.eval(), tiny_processor, CONTROLS[name])
    for images in ((), (tools.picture(1),), (tools.picture(1), tools.picture(2))):
        found = tools.retrieval("red car", "dog") if images else EMPTY
        before = (("user", "what ?"), ("assistant", "a car ."))
        request = Request("is it a dog ?", images, found, before)
        length = answerer.inputs([request])["input_ids"].shape[1]
        assert answerer.too_long(request, Decoding(512 - length)) == ""
        assert f"is {length} tokens" in answerer.too_long(request, Decoding(513 - length))


def test_a_question_longer_than_the_model_reads_is_not_asked(benchmark, tools):
    texts = ["is it a car ?", "car " * 600, "is it a dog ?"]
    results, rows = benchmark(texts, tools.retrieval("dog"))
    assert results["unanswered"] == {"too_long": 1}
    assert (results["scores"]["answered"], results["scores"]["unanswered"]) == (2, 1)
    (row,) = [row for row in rows if "answer" not in row]
    assert row["question_id"] == "1" and "longer than the 512 tokens" in row["detail"]


@pytest.mark.parametrize(
    ("control", "tags"), [("tuna", 24), ("lion", 24), ("captions", 0), ("no_tags", 0)]
)
def test_the_log_has_the_number_of_tags_that_were_read(benchmark, tools, control, tags):
    found = tools.retrieval("<tag> </s>", *MANY)
    _, rows = benchmark(["is it a car ?"], found, control)
    assert [row["tags"] for row in rows] == [tags]


def test_the_tags_that_were_read_are_those_of_the_prompt(answerer, tools):
    request = Request("what ?", (tools.picture(1),), tools.retrieval("<hint>", *MANY))
    assert answerer.tags_read(request) == tuple(MANY[:24])
    assert int(answerer.inputs([request])["tag_index"].max()) == 24


@pytest.mark.parametrize("beams", [1, 2])
def test_tags_enter_the_first_forward_and_no_other(answerer, tools, beams):
    request = Request("what ?", (tools.picture(1),), tools.retrieval("red car", "dog"))
    seen = []

    def remember(model, args, kwargs) -> None:
        seen.append({name for name in TAGS if kwargs.get(name) is not None})

    hook = answerer.model.model.register_forward_pre_hook(remember, with_kwargs=True)
    try:
        answerer.model.generate(
            **answerer.inputs([request]), min_new_tokens=3, max_new_tokens=3, num_beams=beams
        )
    finally:
        hook.remove()
    assert len(seen) == 3
    assert seen[0] == {"tag_features", "tag_index"} and seen[1:] == [set(), set()]


def test_the_limit_of_tags_is_the_processors():
    asked = SourceOptions(("store",), max_tags=9)
    with pytest.raises(ConfigurationError, match="--max-tags 9: .* hold 8 tags.* --max-tags 8"):
        check_max_tags(CONTROLS["lion"], asked, 8)
    check_max_tags(CONTROLS["lion"], asked, 9)
    # What was retrieved before is cut by the prompt, and the log has what was read.
    check_max_tags(CONTROLS["tuna"], SourceOptions(retrievals="found", max_tags=9), 8)
