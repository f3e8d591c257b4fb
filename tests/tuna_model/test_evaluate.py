"""`tagmine-tuna eval`, as it is typed: what it asks, writes, resumes and refuses."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from index.retrieval_folder import SUMMARY
from index.retrievals import write_retrievals
from tuna_model import pope
from tuna_model.answering import Answerer, Decoding, Request, load_answerer
from tuna_model.controls import CONTROLS
from tuna_model.eval_options import EvalOptions, run_card
from tuna_model.main import main
from tuna_model.tag_source import SourceOptions

TEXTS = ["is it a red car ?", "is it a dog ?", "is this a boat ?"]
SUFFIX = "\nanswer yes or no"


@pytest.fixture(scope="module")
def world(tmp_path_factory, llava_parts, tools) -> Path:
    """A folder with a model, pictures, retrievals, and questions of both forms."""
    from tuna_model.modeling_tuna import TunaForConditionalGeneration
    from tuna_model.processing_tuna import TunaProcessor

    root = tmp_path_factory.mktemp("eval")
    processor = TunaProcessor.from_llava(
        llava_parts.processor, llava_parts.clip_tokenizer, system_prompt=""
    )
    model = TunaForConditionalGeneration.from_llava(
        llava_parts.llava, llava_parts.clip, processor=processor
    )
    model.save_pretrained(root / "model")
    processor.save_pretrained(root / "model")
    images = root / "images"
    images.mkdir()
    for number in range(3):
        tools.picture(number).save(images / f"{number}.png")
    found = [tools.retrieval("red car", "dog"), tools.retrieval("boat"), tools.retrieval()]
    write_retrievals(root / "found.parquet", ((f"{i}.png", r) for i, r in enumerate(found)))
    rows = [
        {
            "question_id": n,
            "image": f"{n // 3}.png",
            "text": TEXTS[n % 3],
            "label": ["yes", "no"][n % 2],
        }
        for n in range(9)
    ]
    write(root / "pope.json", rows)
    bench = [
        row | {"category": kind, "reference": "a red car", "caption": ["a car", "red"]}
        for row, kind in zip(rows[::3], ["conv", "detail", "complex"], strict=True)
    ]
    write(root / "bench.jsonl", bench)
    return root


def write(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def evaluate(world, tmp_path) -> Callable[..., int]:
    """`tagmine-tuna eval` over that folder; flags may be given again to replace the defaults."""

    def run(*flags: str) -> int:
        command = ["eval", "--task", "pope", "--questions", f"{world}/pope.json"]
        command += ["--image-folder", f"{world}/images", "--model", f"{world}/model"]
        command += ["--out", f"{tmp_path}/results.json", "--suffix", SUFFIX.replace("\n", r"\n")]
        return main([*command, "--max-new-tokens", "3", "--batch-size", "4", *flags])

    return run


@pytest.fixture
def stored(world) -> tuple[str, str]:
    return "--retrievals", str(world / "found.parquet")


def read_log(path: Path) -> tuple[dict, list[dict]]:
    header, *rows = (json.loads(line) for line in path.read_text().splitlines())
    return header["run"], rows


def test_each_question_is_asked_of_its_picture_with_its_tags(
    evaluate, stored, world, tmp_path, tools, capsys
):
    assert evaluate(*stored) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    run, rows = read_log(tmp_path / "results.answers.jsonl")
    assert results["run"] == run and run["control"] == "tuna"
    answerer = load_answerer(world / "model")
    found = [tools.retrieval("red car", "dog"), tools.retrieval("boat"), tools.retrieval()]
    answers = {}
    for number in range(len(rows)):
        # One at a time: neither company in a batch nor padding changes an answer.
        text, picture = TEXTS[number % 3] + SUFFIX, number // 3
        request = Request(text, (tools.picture(picture),), found[picture])
        answers[str(number)] = answerer.answer([request], Decoding(3))[0]
    assert {row["question_id"]: row["answer"] for row in rows} == answers
    assert [row["tags"] for row in rows] == [2, 2, 2, 1, 1, 1, 0, 0, 0]
    questions = pope.read_questions(world / "pope.json")
    assert results["scores"] == pope.score(questions, answers).as_record()
    assert results["scores"]["answered"] == 9 and results["unanswered"] == {}
    out, err = capsys.readouterr()
    assert json.loads(out) == results["scores"]
    assert f"{results['scores']['unclear']} of 9 answers do not say yes or no" in err


def test_pictures_that_cannot_be_used_are_counted_with_their_reasons(
    evaluate, world, tmp_path, capsys
):
    rows = [
        {"question_id": n, "image": image, "text": TEXTS[0], "label": "yes"}
        for n, image in enumerate(["0.png", "gone.png", "../pope.json", "torn.png", "1.png"])
    ]
    write(tmp_path / "mixed.json", rows)
    (world / "images" / "torn.png").write_bytes((world / "images/0.png").read_bytes()[:60])
    flags = ["--questions", f"{tmp_path}/mixed.json", "--control", "no_tags"]
    assert evaluate(*flags) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["unanswered"] == {
        "image_missing": 1,
        "image_undecodable": 1,
        "unsafe_image_path": 1,
    }
    scores = results["scores"]
    assert (scores["questions"], scores["answered"], scores["unanswered"]) == (5, 2, 3)
    assert "1 not answered: image_missing" in capsys.readouterr().err
    # Mended, they are asked again, and nothing else is.
    _, before = read_log(tmp_path / "results.answers.jsonl")
    (world / "images" / "torn.png").write_bytes((world / "images/0.png").read_bytes())
    assert evaluate(*flags) == 0
    _, after = read_log(tmp_path / "results.answers.jsonl")
    assert after[:5] == before
    assert [row["question_id"] for row in after[5:] if "answer" in row] == ["3"]
    (world / "images" / "torn.png").unlink()
    assert json.loads((tmp_path / "results.json").read_text())["scores"]["answered"] == 3


def test_an_interrupted_run_goes_on_to_the_same_results(evaluate, stored, tmp_path, capsys):
    assert evaluate(*stored) == 0
    log, out = tmp_path / "results.answers.jsonl", tmp_path / "results.json"
    whole, results = log.read_bytes(), out.read_bytes()
    lines = whole.splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:4]) + lines[4][:20])
    out.unlink()
    assert evaluate(*stored) == 0
    assert (log.read_bytes(), out.read_bytes()) == (whole, results)
    assert "3 of 9 are there from an earlier run" in capsys.readouterr().err
    # All there: not even the model is loaded.
    assert evaluate(*stored) == 0 and log.read_bytes() == whole


def test_answers_of_another_control_are_not_mixed_in(evaluate, stored, capsys):
    assert evaluate(*stored) == 0
    assert evaluate(*stored, "--control", "lion") == 1
    assert "control: 'tuna' then, 'lion' now" in capsys.readouterr().err


def test_answers_of_other_retrievals_in_the_same_place_are_not_mixed_in(
    evaluate, world, tmp_path, tools, capsys
):
    stored = tmp_path / "found.parquet"
    shutil.copy(world / "found.parquet", stored)
    assert evaluate("--retrievals", str(stored)) == 0
    shutil.copy(world / "found.parquet", tmp_path / "moved.parquet")
    assert evaluate("--retrievals", str(tmp_path / "moved.parquet")) == 0
    write_retrievals(stored, ((f"{i}.png", tools.retrieval("cat")) for i in range(3)))
    capsys.readouterr()
    assert evaluate("--retrievals", str(stored)) == 1
    said = capsys.readouterr().err
    assert "holds answers of another run (retrievals: " in said


def test_the_card_of_a_run_has_its_retrievals_and_its_encoder(world, tmp_path):
    def card(**source) -> dict:
        paths = world / "pope.json", world / "images", str(world / "model"), tmp_path / "o.json"
        return run_card(EvalOptions("pope", *paths, "tuna", SourceOptions(**source), "", 3))

    folder = tmp_path / "found"
    (folder / "parts").mkdir(parents=True)
    (folder / SUMMARY).write_text("{}")
    before = card(retrievals=str(folder))
    assert card(retrievals=str(folder)) == before
    (folder / SUMMARY).write_text('{"parts": 1}')
    assert card(retrievals=str(folder))["retrievals"] != before["retrievals"]
    assert card()["retrievals"] is None and card()["clip_model"] is None
    assert card(clip_model="demo")["clip_model"] == "demo"
    clip = tmp_path / "clip"
    clip.mkdir()
    named = card(clip_model=str(clip))
    (clip / "model.safetensors").write_bytes(b"other weights")
    assert card(clip_model=str(clip)) != named


@pytest.mark.parametrize("control", ["no_tags", "captions", "no_tuner", "lion_without_token"])
def test_a_control_is_one_switch(evaluate, stored, world, tmp_path, tools, control):
    assert evaluate(*stored, "--control", control) == 0
    _, rows = read_log(tmp_path / "results.answers.jsonl")
    answerer = load_answerer(world / "model", control)
    assert answerer.control == CONTROLS[control]
    request = Request(TEXTS[0] + SUFFIX, (tools.picture(0),), tools.retrieval("red car", "dog"))
    assert rows[0]["answer"] == answerer.answer([request], Decoding(3))[0]


def test_a_models_own_weighting_is_kept_but_for_the_control_without_one(world, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(world / "model", folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"weighting": "exponential"}))
    tuna = load_answerer(folder)
    assert tuna.control == dataclasses.replace(CONTROLS["tuna"], weighting="exponential")
    assert tuna.model.config.weighting == "exponential"
    assert load_answerer(folder, "no_tuner").model.config.weighting == "none"


def test_a_fashion_bench_is_answered_and_judged(evaluate, stored, world, tmp_path):
    flags = ["--task", "fashion-bench", "--questions", f"{world}/bench.jsonl"]
    flags += ["--judge", "overlap", *stored]
    assert evaluate(*flags) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert "no substitute" in results["judge"]
    scores = results["scores"]
    assert [scores[name]["questions"] for name in ("conversation", "detail", "complex")] == [1] * 3
    assert scores["all"]["judged"] == 3 and scores["all"]["reference"] == 10
    log = tmp_path / "results.judgements.jsonl"
    run, rows = read_log(log)
    assert run["judge"] == results["judge"] and len(rows) == 3
    assert scores["all"]["answer"] == pytest.approx(sum(row["answer"] for row in rows) / 3)
    # A judgement is not paid for twice.
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:2]))
    assert evaluate(*flags) == 0
    assert log.read_bytes() == b"".join(lines)
    assert json.loads((tmp_path / "results.json").read_text()) == results


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "--control tuna needs tags. Give --datastore DIR or --retrievals DIR"),
        (["--control", "random_tags", "--retrievals", "x"], "vocabulary from a datastore"),
        (["--control", "tagger_tags"], "vocabulary from a datastore"),
        (["--control", "tunna"], "nearest: tuna"),
        (["--datastore", "a", "--retrievals", "b"], "give one of them"),
        (["--retrievals", "nowhere"], "there are no retrievals"),
        (["--datastore", "nowhere"], "nowhere"),
        (["--control", "no_tags", "--questions", "nowhere.json"], "nowhere.json cannot be read"),
        (["--control", "no_tags", "--image-folder", "nowhere"], "nowhere: is no folder"),
        (["--control", "no_tags", "--model", "nowhere"], "nowhere is no folder"),
        (["--control", "no_tags", "--model", "."], "'.' cannot be loaded"),
        (["--control", "no_tags", "--out", "results"], "ends in .json"),
        (["--control", "no_tags", "--batch-size", "0"], "--batch-size 0"),
        (["--control", "no_tags", "-k", "0"], "-k 0"),
        (["--control", "no_tags", "--judge", "overlap"], "--judge is for fashion-bench"),
        (["--control", "no_tags", "--task", "fashion-bench"], "needs --judge URL"),
        (
            ["--control", "no_tags", "--task", "fashion-bench", "--judge", "https://x/v1"],
            "--judge-model NAME go together",
        ),
        (["--control", "no_tags", "--device", "abacus"], "give auto, cpu, cuda"),
        (["--control", "no_tags", "--dtype", "float3"], "give auto, float32"),
    ],
)
def test_what_cannot_work_is_said_in_a_sentence(
    evaluate, capsys, monkeypatch, tmp_path, flags, said
):
    monkeypatch.chdir(tmp_path)
    assert evaluate(*flags) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "results.json").exists()


def test_an_image_without_retrievals_is_no_image_without_tags(evaluate, stored, tmp_path, capsys):
    """A wrong prefix in the keys would otherwise measure the model without tags."""
    (tmp_path / "other.json").write_text(
        '{"question_id": 1, "image": "./0.png", "text": "is it a dog ?", "label": "no"}\n'
    )
    assert evaluate(*stored, "--questions", f"{tmp_path}/other.json") == 1
    assert "has no retrieval for './0.png'" in capsys.readouterr().err


def weighted(folder: Path) -> tuple:
    model = json.loads((folder / "results.json").read_text())["model"]
    return model["weighting"], model["temperature"]


@pytest.mark.parametrize("control", ["tuna", "no_tuner", "lion"])
def test_the_results_say_how_tags_were_weighted_whatever_said_it(
    evaluate, world, stored, tmp_path, control
):
    folder = tmp_path / "model"
    shutil.copytree(world / "model", folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"weighting": "exponential", "temperature": 9.0}
    (folder / "config.json").write_text(json.dumps(config))
    assert evaluate(*stored, "--model", str(folder), "--control", control) == 0
    assert weighted(tmp_path) == (("exponential", 9.0) if control == "tuna" else ("none", None))


def test_the_results_say_as_what_the_model_was_trained(evaluate, world, stored, tmp_path, caplog):
    folder = tmp_path / "model"
    shutil.copytree(world / "model", folder)
    (folder / "training.json").write_text('{"options": {"data": {"control": "tuna"}}}')
    assert evaluate(*stored, "--model", str(folder), "--control", "lion") == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert (results["model"]["trained_control"], results["run"]["control"]) == ("tuna", "lion")
    assert "was trained with --control tuna, and is asked as lion" in caplog.text


def test_bfloat16_runs(evaluate, stored, tmp_path):
    assert evaluate(*stored, "--dtype", "bfloat16") == 0
    assert json.loads((tmp_path / "results.json").read_text())["scores"]["answered"] == 9


def test_an_answerer_asks_nothing_of_nobody(tiny_tuna, tiny_processor):
    assert Answerer(tiny_tuna.eval(), tiny_processor, CONTROLS["tuna"]).answer([]) == []


def test_a_picture_that_was_not_retrieved_for_is_counted(evaluate, world, tmp_path, tools, capsys):
    write_retrievals(tmp_path / "few.parquet", [("0.png", tools.retrieval("dog"))])
    assert evaluate("--retrievals", f"{tmp_path}/few.parquet") == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["unanswered"] == {"not_retrieved": 6} and results["scores"]["answered"] == 3
    _, rows = read_log(tmp_path / "results.answers.jsonl")
    left_out = [row for row in rows if row.get("reason") == "not_retrieved"]
    assert {row["image"] for row in left_out} == {"1.png", "2.png"}
    assert "'1.png'" in left_out[0]["detail"]
    assert "6 not answered: not_retrieved" in capsys.readouterr().err


def test_scores_of_no_answer_are_refused(evaluate, tmp_path, capsys, stored):
    (tmp_path / "empty").mkdir()
    assert evaluate(*stored, "--image-folder", f"{tmp_path}/empty") == 1
    assert "could be answered: 9 image_missing" in capsys.readouterr().err
    assert not (tmp_path / "results.json").exists()


def test_why_nothing_was_answered_is_told_in_sentences(evaluate, tmp_path, tools, capsys):
    write_retrievals(tmp_path / "none.parquet", [("other.png", tools.retrieval("dog"))])
    lines = [("gone.png", 1), ("0.png", 2), ("1.png", 3)]
    rows = [{"question_id": n, "image": i, "text": "a dog ?", "label": "no"} for i, n in lines]
    write(tmp_path / "some.json", rows)
    flags = ["--questions", f"{tmp_path}/some.json", "--retrievals", f"{tmp_path}/none.parquet"]
    assert evaluate(*flags) == 1
    said = capsys.readouterr().err
    # Of the commonest reason, whatever came first; and each sentence has one end.
    assert "2 not_retrieved, 1 image_missing. The first not_retrieved: " in said
    assert "has no retrieval for '0.png'" in said and ".." not in said
    assert f"is written there. {tmp_path}/results.answers.jsonl has them all" in said


def test_the_weighting_is_a_flag_and_part_of_the_run(evaluate, tmp_path, stored, capsys):
    assert evaluate(*stored, "--weighting", "softmax_times_n", "--temperature", "20") == 0
    run, _ = read_log(tmp_path / "results.answers.jsonl")
    assert (run["weighting"], run["temperature"]) == ("softmax_times_n", 20.0)
    assert weighted(tmp_path) == ("softmax_times_n", 20.0)
    assert evaluate(*stored) == 1
    assert "temperature" in capsys.readouterr().err


@pytest.mark.parametrize("source", [["--control", "no_tags"], ["--retrievals", "found.parquet"]])
def test_a_plain_llava_is_not_scored_as_a_tuna(
    evaluate, world, llava_parts, tmp_path, monkeypatch, capsys, source
):
    monkeypatch.chdir(world)
    llava_parts.llava.save_pretrained(tmp_path / "llava")
    llava_parts.processor.save_pretrained(tmp_path / "llava")
    assert evaluate(*source, "--model", f"{tmp_path}/llava") == 1
    said = capsys.readouterr().err
    assert "llava is no TUNA model" in said and "--control no_tags" in said and "hub" not in said
    assert not (tmp_path / "results.json").exists()
