"""Questions about a photo: with a datastore and without, one or many, and the page."""

from __future__ import annotations

import io
import json

import pytest

from index.retrievals import write_retrievals
from pipelines.main import main as tagmine
from tuna_model.answering import Decoding, Request, load_answerer
from tuna_model.chat import Conversation, read_photo
from tuna_model.main import main


@pytest.fixture(scope="module")
def store(tmp_path_factory, write_tar, jpeg):
    """A datastore of six images, and one of its photos."""
    root = tmp_path_factory.mktemp("store")
    kinds = ("car", "dog", "cat", "boat", "tree", "house")
    members = []
    for number, kind in enumerate(kinds):
        members += [(f"{number}.jpg", jpeg(number)), (f"{number}.txt", f"a red {kind}".encode())]
    shard = write_tar(root / "0.tar", members)
    assert tagmine(["build", str(shard), "--out", str(root / "tags"), "--clip-model", "demo"]) == 0
    (root / "photo.jpg").write_bytes(jpeg(0))
    return root


@pytest.fixture
def model(tmp_path, tiny_tuna, tiny_processor):
    tiny_tuna.save_pretrained(tmp_path / "model")
    tiny_processor.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def words(model, store, *more: str) -> list[str]:
    start = ["chat", "--model", str(model), "--image", str(store / "photo.jpg")]
    return [*start, "--device", "cpu", "--max-new-tokens", "6", *more]


def test_one_question_with_a_datastore_and_the_page(model, store, tmp_path, capsys):
    page = tmp_path / "page.html"
    datastore = ["--datastore", str(store / "tags"), "-k", "2"]
    asked = [*datastore, "--question", "what is this ?", "--explain", str(page)]
    assert main(words(model, store, *asked)) == 0
    out, err = capsys.readouterr()
    assert err.startswith("tags: red car, red ")
    assert len(out.splitlines()) == 1
    html = page.read_text()
    assert "red car" in html and "what is this ?" in html
    # The photo, two maps of tags, and the two neighbours out of the datastore's shard.
    near = html.split('<ol class="near">')[1]
    assert near.count('src="data:image/jpeg;base64,/9j/') == 2
    record = json.loads((tmp_path / "page.html.json").read_text())
    assert record["answer"] == out.strip()
    assert record["tags"][0]["text"] == "red car" and len(record["tags"]) == 2
    assert all(tag["weight"] > 0 for tag in record["tags"])
    assert main(words(model, store, "--control", "no_tags", "--question", "what is this ?")) == 0
    assert "tags: none" in capsys.readouterr().err


def test_captions_are_named_as_what_the_model_reads(model, store, tmp_path, capsys):
    page = tmp_path / "page.html"
    asked = ["--datastore", str(store / "tags"), "-k", "2", "--control", "captions"]
    assert main(words(model, store, *asked, "--question", "what ?", "--explain", str(page))) == 0
    said = capsys.readouterr().err
    assert said.startswith("captions: a red car | a red ") and "tags:" not in said
    html = page.read_text()
    assert "the model read the first caption of each neighbour" in html
    assert "with captions" in html and "without captions" in html and "read no tags" not in html


def test_tags_without_a_datastore_are_refused_before_the_model_is_loaded(store, capsys):
    assert main(words("nowhere", store, "--question", "what ?")) == 1
    assert "--datastore DIR" in capsys.readouterr().err


def test_a_photo_anywhere_finds_what_was_retrieved_for_it(model, store, tmp_path, capsys, tools):
    found = tmp_path / "found.parquet"
    write_retrievals(found, [("train/photo.jpg", tools.retrieval("boat"))])
    (tmp_path / "deep/train").mkdir(parents=True)
    photo = tmp_path / "deep/train/photo.jpg"
    photo.write_bytes((store / "photo.jpg").read_bytes())
    asked = ["--retrievals", str(found), "--question", "what ?"]
    assert main([*words(model, store, *asked), "--image", str(photo)]) == 0
    assert capsys.readouterr().err.startswith("tags: boat")
    assert main(words(model, store, *asked)) == 1
    said = capsys.readouterr().err
    assert "has 1 images, but none under this path or an end of it" in said


def test_the_weighting_is_a_flag(model, store, tmp_path, capsys):
    page = tmp_path / "page.html"
    asked = ["--datastore", str(store / "tags"), "-k", "2", "--question", "what ?"]
    weights = {}
    for name, more in {
        "model": [],
        "none": ["--weighting", "none"],
        "sharp": ["--weighting", "exponential", "--temperature", "50"],
    }.items():
        assert main(words(model, store, *asked, "--explain", str(page), *more)) == 0
        record = json.loads((tmp_path / "page.html.json").read_text())
        weights[name] = [tag["weight"] for tag in record["tags"]]
    assert sum(weights["model"]) == pytest.approx(1)
    assert weights["none"] == [1, 1]
    assert max(weights["sharp"]) == 1 and min(weights["sharp"]) < 0.9
    assert record["weighting"] == "exponential, temperature 50"
    capsys.readouterr()
    for flags in (["--weighting", "sofmax"], ["--temperature", "0"]):
        assert main(words("nowhere", store, *asked, *flags)) == 1
        assert "expected" in capsys.readouterr().err


def test_questions_of_a_pipe_go_on_from_each_other(model, store, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("what is this ?\n\nis it a car ?\n"))
    assert main(words(model, store, "--control", "no_tags")) == 0
    piped = capsys.readouterr().out.splitlines()
    assert len(piped) == 2
    answerer = load_answerer(model, "no_tags", "cpu")
    photo = read_photo(str(store / "photo.jpg"))
    from index.retrievals import EMPTY

    talk = Conversation(answerer, photo, EMPTY, 6)
    assert [talk.ask("what is this ?"), talk.ask("is it a car ?")] == piped
    assert [role for role, _ in talk.turns] == ["user", "assistant"] * 2
    # The second is asked with the first, and not alone.
    before = tuple(talk.turns[:2])
    again = Request("is it a car ?", (photo,), before=before)
    assert answerer.answer([again], Decoding(6)) == piped[1:]
    assert "what is this ?" in answerer.prompt(again)


def test_a_question_that_the_model_cannot_hold_is_refused_and_old_turns_are_forgotten(model, store):
    from index.retrievals import EMPTY
    from tagmine.errors import ConfigurationError

    answerer = load_answerer(model, "no_tags", "cpu")
    photo = read_photo(str(store / "photo.jpg"))
    talk = Conversation(answerer, photo, EMPTY, 6)
    for _ in range(4):
        talk.ask("car " * 150)
    assert 2 <= len(talk.turns) <= 6
    with pytest.raises(ConfigurationError, match="longer than the 512 tokens"):
        talk.ask("car " * 600)


def test_more_tags_than_a_prompt_holds_are_refused(model, store, capsys):
    asked = ["--datastore", str(store / "tags"), "--max-tags", "25", "--question", "what ?"]
    assert main(words(model, store, *asked)) == 1
    assert "--max-tags 25: the model's prompts hold 24 tags" in capsys.readouterr().err
    # Without tags, the number is of nothing.
    plain = ["--control", "no_tags", "--max-tags", "25", "--question", "what ?"]
    assert main(words(model, store, *plain)) == 0


def test_an_image_token_in_a_question_is_only_words(model, store, capsys):
    asked = ["--control", "no_tags", "--question", "is <image> a car ?"]
    assert main(words(model, store, *asked)) == 0


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\xff\xd8\xff\xe0torn"])
def test_a_photo_that_is_none_is_refused(tmp_path, capsys, data):
    (tmp_path / "photo.jpg").write_bytes(data)
    command = ["chat", "--model", "m", "--image", str(tmp_path / "photo.jpg")]
    assert main([*command, "--question", "what ?"]) == 1
    assert "Give a JPEG, PNG or WebP" in capsys.readouterr().err
