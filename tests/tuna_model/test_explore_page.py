"""A model on the page: the same question with the tags of each datastore, of a stack, without."""

from __future__ import annotations

import http.client
import re
import signal
import subprocess
import sys
from urllib.parse import urlencode

import pytest
from PIL import Image

from index.explore.asking import PhotoAnswerer
from index.search import open_datastore
from pipelines.main import main as tagmine
from tagmine.errors import ConfigurationError
from tuna_model.answering import Answerer, load_answerer
from tuna_model.explore import ModelOfPage
from tuna_model.main import main


@pytest.fixture(scope="module")
def stores(tmp_path_factory, write_tar, jpeg):
    """Two datastores with other tags for the same pictures, and one of the pictures."""
    root = tmp_path_factory.mktemp("stores")
    for name, kinds in (("cars", ("car", "boat")), ("pets", ("dog", "cat"))):
        members = []
        for number, kind in enumerate(kinds):
            texts = f"a red {kind}".encode()
            members += [(f"{number}.jpg", jpeg(number)), (f"{number}.txt", texts)]
        shard = write_tar(root / "in" / name / "0.tar", members)
        assert (
            tagmine(["build", str(shard), "--out", str(root / name), "--clip-model", "demo"]) == 0
        )
    (root / "photo.jpg").write_bytes(jpeg(0))
    return root


@pytest.fixture
def model(tmp_path, tiny_tuna, tiny_processor):
    tiny_tuna.save_pretrained(tmp_path / "model")
    tiny_processor.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_the_model_reads_what_was_found(model, stores, monkeypatch):
    read = []

    def record(self, requests, decoding=None):
        read.append(self.tags_read(requests[0]))
        return answer(self, requests, decoding)

    answer = Answerer.answer
    monkeypatch.setattr(Answerer, "answer", record)
    answerer = load_answerer(model, "tuna", "cpu")
    asked: PhotoAnswerer = ModelOfPage(answerer, "tiny", 6)
    photo = Image.open(stores / "photo.jpg").convert("RGB")
    found = [open_datastore(stores / n).query_images([photo], 2)[0] for n in ("cars", "pets")]
    said = [asked.answer(photo, "what is this ?", each) for each in (*found, None)]
    assert all(said)
    cars, pets, none = map(set, read)
    assert {"red car", "red boat"} <= cars and {"red dog", "red cat"} <= pets
    assert not none and not cars & pets
    with pytest.raises(ConfigurationError, match="longer than the 512 tokens"):
        asked.answer(photo, "car " * 600, None)


def test_a_question_is_asked_on_the_page(model, stores):
    words = ["explore", "--model", str(model), "--device", "cpu", "--max-new-tokens", "4"]
    words += [str(stores / "cars"), str(stores / "pets"), "--no-browser", "--port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tuna_model.main", *words], stderr=subprocess.PIPE, text=True
    )
    try:
        found = (re.match(r"http://127\.0\.0\.1:(\d+)/", line) for line in process.stderr)
        connection = http.client.HTTPConnection("127.0.0.1", int(next(filter(None, found))[1]))
        connection.request("GET", "/")
        assert b"Ask <bdi>model</bdi>" in connection.getresponse().read()
        query = urlencode({"question": "what is <b>this</b> ?", "arrange": "both"})
        photo = (stores / "photo.jpg").read_bytes()
        connection.request("POST", f"/ask?{query}", photo, {"Content-Type": "image/jpeg"})
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status == 200, text
        assert re.findall("<dt>(.*?)</dt>", text) == [
            "without tags",
            "with the tags of <bdi>cars</bdi>",
            "with the tags of <bdi>pets</bdi>",
            "with the tags of <bdi>cars + pets</bdi>",
        ]
        assert "what is &lt;b&gt;this&lt;/b&gt; ?" in text
        for question, says in (("", "Ask something"), ("? " * 499, "longer than the 512")):
            query = urlencode({"question": question})
            connection.request("POST", f"/ask?{query}", photo, {"Content-Type": "image/jpeg"})
            answer = connection.getresponse()
            assert answer.status == 400 and says in answer.read().decode()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=300) == 0
    finally:
        process.kill()
        process.wait()


def test_a_folder_without_a_model_is_refused(stores, capsys):
    assert main(["explore", "--model", str(stores), str(stores / "cars"), "--no-browser"]) == 1
    assert "TUNA" in capsys.readouterr().err
