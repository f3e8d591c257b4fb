"""Fashion-Bench's form: questions, a judge over real HTTP, scores whose counts reconcile."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tagmine.errors import ConfigurationError
from tuna_model.fashion_bench import Outcome, judge_answers, read_questions, record_of, summarise
from tuna_model.judge import (
    KEY_VARIABLE,
    Comparison,
    HttpJudge,
    JudgeError,
    Judgement,
    OverlapJudge,
    prompt_of,
    read_scores,
)

ROW = {
    "question_id": "1",
    "image": "dress.jpg",
    "category": "conv",
    "text": "What is she wearing?",
    "reference": "A long red dress of silk.",
    "caption": ["A woman in a red silk dress.", "Red dress on a runway."],
}
PAIR = Comparison("a red dress", "What is it?", "A red dress.", "A dress in red.")
Reply = tuple[int, dict[str, str], bytes]


class Endpoint:
    """A server on the loopback that replies in turn, and remembers what it was asked."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.asked: list[tuple[str, dict[str, str], dict]] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # noqa: N802 - the standard library's name
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.asked.append((self.path, dict(self.headers), body))
                status, headers, reply = endpoint.replies.pop(0)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def say(self, text: str) -> None:
        content = {"choices": [{"message": {"role": "assistant", "content": text}}]}
        self.replies.append((200, {}, json.dumps(content).encode()))


@pytest.fixture
def endpoint(monkeypatch) -> Iterator[Endpoint]:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    made = Endpoint()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def test_the_endpoint_is_asked_in_its_form_and_its_scores_are_read(endpoint, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "a-key")
    endpoint.say("8 6.5\nThe second is vaguer.")
    judgement = HttpJudge(endpoint.url + "/", "some-model").compare(PAIR)
    assert judgement == Judgement(8, 6.5, "The second is vaguer.")
    path, headers, body = endpoint.asked[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer a-key"
    assert body["model"] == "some-model" and body["temperature"] == 0
    assert body["messages"] == [{"role": "user", "content": prompt_of(PAIR)}]
    for part in (PAIR.context, PAIR.question, PAIR.first, PAIR.second):
        assert part in body["messages"][0]["content"]


def test_what_stays_on_this_machine_goes_through_no_proxy(endpoint, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    endpoint.say("5 5")
    assert HttpJudge(endpoint.url, "m", retries=0).compare(PAIR).first == 5


def test_without_a_key_none_is_sent(endpoint):
    endpoint.say("5 5")
    HttpJudge(endpoint.url, "m").compare(PAIR)
    assert "Authorization" not in endpoint.asked[0][1]


def test_what_fails_in_passing_is_asked_again(endpoint):
    endpoint.replies += [(503, {}, b"busy"), (429, {"Retry-After": "0"}, b"slower")]
    endpoint.say("7 7")
    assert HttpJudge(endpoint.url, "m", pause=0.01).compare(PAIR).second == 7
    assert len(endpoint.asked) == 3


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        ([(401, {}, b"who are you")], "http_401"),
        ([(503, {}, b""), (503, {}, b"")], "http_503"),
        ([(302, {"Location": "http://127.0.0.1:9/elsewhere"}, b"")], "http_302"),
        ([(200, {}, b"<html>")], "no_reply"),
        ([(200, {}, b'{"choices": []}')], "no_reply"),
        ([(200, {}, b'{"choices": [{"message": {"content": null}}]}')], "no_reply"),
        ([(200, {}, b"[" * 2_000_000)], "no_reply"),
    ],
)
def test_each_failure_has_its_reason(endpoint, replies, reason):
    endpoint.replies += replies
    with pytest.raises(JudgeError) as caught:
        HttpJudge(endpoint.url, "m", pause=0.01, retries=1).compare(PAIR)
    assert caught.value.reason == reason
    # A redirect is not followed, nor is a refusal asked again.
    assert len(endpoint.asked) == len(replies)


def test_a_key_that_the_endpoint_quotes_is_not_kept(endpoint, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "a-secret-key")
    endpoint.replies.append((401, {}, b"Incorrect API key provided: a-secret-key."))
    with pytest.raises(JudgeError) as caught:
        HttpJudge(endpoint.url, "m").compare(PAIR)
    assert caught.value.detail == "Incorrect API key provided: (the key)."


def test_an_endpoint_that_is_not_there_is_a_reason_too(endpoint):
    endpoint.server.server_close()
    with pytest.raises(JudgeError, match="no_reply"):
        HttpJudge(endpoint.url, "m", pause=0.01, retries=1).compare(PAIR)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://host/v1", "Expected the base of an endpoint"),
        ("host/v1", "Expected the base of an endpoint"),
        ("file:///etc/passwd", "Expected the base of an endpoint"),
        ("https://name:secret@host/v1", "holds credentials"),
        ("https://host/v1?api_key=secret", "holds credentials"),
        ("http://judge.example/v1", "in the clear"),
    ],
)
def test_urls_that_would_give_the_key_away_are_refused(monkeypatch, url, said):
    monkeypatch.setenv(KEY_VARIABLE, "a-key")
    with pytest.raises(ConfigurationError, match=said) as caught:
        HttpJudge(url, "m")
    assert "secret" not in str(caught.value) and "a-key" not in str(caught.value)


@pytest.mark.parametrize(
    "reply", ["", "8", "8 9 10", "0 5", "11 5", "eight nine", "Answer: good\n8 9", "-8 x9"]
)
def test_a_reply_without_two_scores_is_none(reply):
    with pytest.raises(JudgeError, match="no_scores"):
        read_scores(reply)


@pytest.mark.parametrize("reply", ["8 9", "8, 9\nbecause", " 8.0 / 9.0 ", "8;9", "**8 9**"])
def test_two_scores_are_read_however_they_are_separated(reply):
    judgement = read_scores(reply)
    assert (judgement.first, judgement.second) == (8, 9)


def test_the_offline_judge_says_that_it_is_none_and_counts_words():
    judge = OverlapJudge()
    assert "no substitute" in judge.name
    same = judge.compare(Comparison("", "", "A red dress.", "a RED dress"))
    other = judge.compare(Comparison("", "", "A red dress.", "blue jeans"))
    half = judge.compare(Comparison("", "", "red dress", "red jeans"))
    assert (same.second, other.second, half.second) == (10, 1, 5.5)


@pytest.fixture
def write_rows(tmp_path) -> Callable:
    def write(*rows: dict):
        path = tmp_path / "bench.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows))
        return path

    return write


def test_questions_are_read_in_llava_benchs_form(write_rows):
    detail = ROW | {"question_id": 2, "category": "detail", "caption": "one"}
    found = read_questions(write_rows(ROW, detail))
    assert [one.question.category for one in found] == ["conversation", "detail"]
    assert found[0].context == "A woman in a red silk dress.\nRed dress on a runway."
    assert found[1].context == "one" and found[1].question.question_id == "2"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"category": "poem"}, "category is 'poem'"),
        ({"caption": None}, "caption is 'None'"),
        ({"caption": [3]}, "caption is"),
        ({"reference": ""}, "'reference' is ''"),
    ],
)
def test_what_is_no_question_is_refused_with_its_line(write_rows, change, said):
    with pytest.raises(ConfigurationError, match=f"line 1: {said}"):
        read_questions(write_rows(ROW | change))


def test_a_bench_is_judged_question_by_question(endpoint, write_rows):
    rows = [
        ROW | {"question_id": i, "category": c} for i, c in enumerate(["conv"] * 4 + ["detail"])
    ]
    questions = read_questions(write_rows(*rows))
    endpoint.say("10 5")
    endpoint.say("8 8")
    endpoint.say("I cannot tell.")
    answers = {"0": "a dress", "1": "a red dress", "2": "a hat", "3": "  "}
    outcomes = list(judge_answers(questions, answers, HttpJudge(endpoint.url, "m")))
    assert len(endpoint.asked) == 3
    found = summarise(outcomes)
    assert found["conversation"] == {
        "questions": 4,
        "judged": 3,
        "not_judged": {"no_scores": 1},
        "reference": pytest.approx(28 / 3),
        "answer": pytest.approx(14 / 3),
        "relative": pytest.approx(50),
    }
    assert found["detail"]["not_judged"] == {"unanswered": 1}
    assert found["detail"]["relative"] is None
    assert found["all"]["questions"] == 5 and found["complex"]["questions"] == 0
    for group in found.values():
        assert group["questions"] == group["judged"] + sum(group["not_judged"].values())


def test_the_reference_is_judged_first_and_the_answer_second(write_rows):
    """Swapped, every score would be of the other."""

    class Recording:
        name = "recording"

        def __init__(self) -> None:
            self.asked: list[Comparison] = []

        def compare(self, comparison: Comparison) -> Judgement:
            self.asked.append(comparison)
            return Judgement(9, 3)

    judge = Recording()
    questions = read_questions(write_rows(ROW))
    (outcome,) = judge_answers(questions, {"1": "A hat."}, judge)
    (asked,) = judge.asked
    assert (asked.first, asked.second) == (ROW["reference"], "A hat.")
    assert (asked.question, asked.context) == (ROW["text"], "\n".join(ROW["caption"]))
    scores = summarise([outcome])["all"]
    assert (scores["reference"], scores["answer"]) == (9, 3)
    assert record_of(outcome)["reference"] == 9 and record_of(outcome)["answer"] == 3


def test_relative_is_of_the_means_not_the_mean_of_ratios():
    outcomes = [
        Outcome("1", "complex", Judgement(10, 5)),
        Outcome("2", "complex", Judgement(2, 4)),
    ]
    assert summarise(outcomes)["complex"]["relative"] == pytest.approx(75)
