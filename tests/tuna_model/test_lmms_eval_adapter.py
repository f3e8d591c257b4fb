"""The adapter for lmms-eval: with the real base class where it is installed.

lmms-eval is no dependency (it brings some ninety packages), so that those tests skip without it:
put an unpacked lmms-eval 0.7.3 on PYTHONPATH to run them. What the adapter does of its own is
tested in any case.
"""

from __future__ import annotations

import types

import pytest

from tagmine.errors import ConfigurationError
from tuna_model import lmms_eval_adapter as adapter
from tuna_model.answering import Answerer, Decoding, Request
from tuna_model.controls import CONTROLS
from tuna_model.tag_source import SourceOptions, open_source

GREEDY = {"max_new_tokens": 3, "temperature": 0, "top_p": 1.0, "num_beams": 1, "do_sample": False}
LONGER = GREEDY | {"max_new_tokens": 4, "until": ["cat", "dog"]}


def rows(documents: dict, options: list[dict]) -> list[tuple]:
    """The arguments of instances, as lmms-eval's tasks make them."""
    asked = documents["task"]["test"]
    return [
        (doc["text"], dict(wanted), lambda doc: doc["pictures"], number, "task", "test")
        for (number, doc), wanted in zip(enumerate(asked), options, strict=True)
    ]


@pytest.fixture
def documents(tools) -> dict:
    pictures = [[tools.picture(1)], [], [tools.picture(2), tools.picture(3)], [tools.picture(4)]]
    texts = ["what is this ?", "yes or no ?", "what is in the picture ?", "what is it ?"]
    docs = [{"text": t, "pictures": p} for t, p in zip(texts, pictures, strict=True)]
    return {"task": {"test": docs}}


@pytest.fixture
def answerer(tiny_tuna, tiny_processor) -> Answerer:
    return Answerer(tiny_tuna.eval(), tiny_processor, CONTROLS["tuna"])


class FoundByName:
    """The same tags for every picture; remembers how many it was asked about."""

    def __init__(self, retrieval) -> None:
        self.retrieval = retrieval
        self.asked: list[int] = []

    def find(self, names, images):
        self.asked.append(len(images))
        return [self.retrieval] * len(images)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_requests_are_answered_in_order_whatever_the_batch(answerer, documents, tools, batch_size):
    found = tools.retrieval("red car", "dog")
    options = [GREEDY, GREEDY, GREEDY, LONGER]
    source = FoundByName(found)
    requests = adapter.SimpleRequests(answerer, source, batch_size)
    answered = list(requests.answer(rows(documents, options), documents))
    docs = documents["task"]["test"]
    assert [context for context, _, _ in answered] == [doc["text"] for doc in docs]
    assert [given for _, given, _ in answered] == options
    # Text-only questions ask no datastore, and a document's tags are those of its first picture.
    assert sum(source.asked) == 3
    for doc, wanted, (_, _, said) in zip(docs, options, answered, strict=True):
        tags = {"retrieval": found} if doc["pictures"] else {}
        alone = Request(doc["text"], tuple(doc["pictures"]), **tags)
        (expected,) = answerer.answer([alone], Decoding(wanted["max_new_tokens"]))
        assert said == adapter.cut_at(expected, wanted.get("until", []))


def test_generation_options_become_ours():
    decoding, stops = adapter.read_generation(LONGER)
    assert decoding == Decoding(4, 1, 0, 1.0) and stops == ["cat", "dog"]
    assert adapter.read_generation({"until": "\n"}) == (Decoding(1024), ["\n"])
    assert adapter.read_generation({"temperature": 0.7})[0].temperature == 0.7
    assert adapter.read_generation({"temperature": 0.7, "do_sample": False})[0].temperature == 0
    with pytest.raises(ConfigurationError, match="repetition_penalty"):
        adapter.read_generation({"repetition_penalty": 2})


def test_answers_end_where_the_task_says():
    assert adapter.cut_at(" a cat\nand a dog", ["dog", "\n", ""]) == "a cat"


def test_a_film_is_refused(answerer, documents):
    documents["task"]["test"][0]["pictures"] = ["film.mp4"]
    requests = adapter.SimpleRequests(answerer, open_source(CONTROLS["no_tags"], SourceOptions()))
    with pytest.raises(ConfigurationError, match="has a str where a picture is expected"):
        list(requests.answer(rows(documents, [GREEDY] * 4), documents))


def test_without_lmms_eval_the_module_is_there_and_the_class_says_what_to_install():
    try:
        import lmms_eval.api.model  # noqa: F401
    except ImportError:
        with pytest.raises(ConfigurationError, match="pip install 'lmms-eval==0.7.3'"):
            adapter.Tuna  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        adapter.Nothing  # noqa: B018


@pytest.fixture
def saved(tiny_tuna, tiny_processor, tmp_path) -> str:
    tiny_tuna.save_pretrained(tmp_path / "model")
    tiny_processor.save_pretrained(tmp_path / "model")
    return str(tmp_path / "model")


@pytest.fixture
def lmms() -> types.ModuleType:
    return pytest.importorskip(
        "lmms_eval.api.model", reason="lmms-eval 0.7.3 is not on PYTHONPATH", exc_type=ImportError
    )


def test_lmms_eval_finds_and_makes_the_model(lmms, saved):
    from lmms_eval.models.registry_v2 import ModelRegistryV2

    registry = ModelRegistryV2()
    registry.register_manifest(adapter.manifest())
    made = registry.get_model_class("tuna")
    assert issubclass(made, lmms.lmms) and made is adapter.Tuna
    model = made.create_from_arg_string(
        f"pretrained={saved},control=no_tags",
        {"batch_size": "2", "max_batch_size": None, "device": "cpu"},
    )
    assert (model.batch_size, model.rank, model.world_size) == (2, 0, 1)
    assert model.device.type == "cpu" and model.is_simple
    with pytest.raises(ConfigurationError, match="needs tags"):
        made(saved)
    with pytest.raises(NotImplementedError, match="generate_until"):
        model.loglikelihood([])
    with pytest.raises(NotImplementedError, match="one round"):
        model.generate_until_multi_round([])


def test_lmms_evals_own_instances_are_answered_and_cached(lmms, saved, documents, answerer):
    from lmms_eval.api.instance import Instance

    model = adapter.Tuna(saved, control="no_tags", batch_size=2, device="cpu")
    model.task_dict = documents
    kept = []
    model.cache_hook = types.SimpleNamespace(add_partial=lambda *row: kept.append(row))
    metadata = {"task": "task", "doc_id": 0, "repeats": 1}
    instances = [
        Instance("generate_until", arguments, 0, metadata)
        for arguments in rows(documents, [GREEDY] * 4)
    ]
    said = model.generate_until(instances)
    plain = Answerer(answerer.model, answerer.processor, CONTROLS["no_tags"])
    docs = documents["task"]["test"]
    asked = [Request(doc["text"], tuple(doc["pictures"])) for doc in docs]
    assert said == [plain.answer([one], Decoding(3))[0] for one in asked]
    assert [(name, key[0], answer) for name, key, answer in kept] == [
        ("generate_until", doc["text"], answer) for doc, answer in zip(docs, said, strict=True)
    ]
