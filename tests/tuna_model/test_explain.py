"""What is said of an answer is what the model did."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessor

from index.retrievals import EMPTY, Retrieval, RetrievedTag
from tuna_model.answering import Answerer, Decoding, Request
from tuna_model.controls import CONTROLS
from tuna_model.explain import explain, seen_box, write_explanation

SHORT = Decoding(max_new_tokens=3)


@pytest.fixture
def answerer(tiny_tuna, tiny_processor) -> Answerer:
    return Answerer(tiny_tuna.eval(), tiny_processor, CONTROLS["tuna"])


def test_weights_cosines_and_maps_are_the_models_own(answerer, tools):
    found = tools.retrieval("red car", "dog", "lisbon")
    image = tools.picture(1)
    shown = explain(answerer, image, "what is this ?", found, decoding=SHORT, name="x.jpg")
    inputs = answerer.inputs([Request("what is this ?", (image,), found)])
    with torch.inference_mode():
        outputs = answerer.model(**inputs)
    assert [tag.text for tag in shown.tags] == ["red car", "dog", "lisbon"]
    assert [t.weight for t in shown.tags] == pytest.approx(outputs.tag_weights[0].tolist())
    assert sum(t.weight for t in shown.tags) == pytest.approx(1)
    assert [t.cosine for t in shown.tags] == pytest.approx(outputs.tag_cosines[0].tolist())
    maps = np.array([tag.attention for tag in shown.tags])
    assert maps.shape == (3, 4, 4) and tools.cells == 16
    assert np.allclose(maps.reshape(3, 16), outputs.tag_attention[0], atol=1e-6)
    assert (shown.control, shown.weighting) == ("tuna", "softmax, temperature 1")
    assert shown.neighbours == found.neighbours and shown.image == "x.jpg"


def test_answers_are_those_that_the_model_gives_with_and_without(answerer, tools):
    found, image = tools.retrieval("red car"), tools.picture(1)
    shown = explain(answerer, image, "what is this ?", found, decoding=SHORT)
    plain = Answerer(answerer.model, answerer.processor, CONTROLS["no_tags"])
    ask = Request("what is this ?", (image,), found)
    assert shown.answer == answerer.answer([ask], SHORT)[0]
    assert shown.answer_without == plain.answer([ask], SHORT)[0]
    given = explain(answerer, image, "what ?", found, answer="a car", compare=False)
    assert (given.answer, given.answer_without) == ("a car", None)
    assert explain(answerer, image, "what ?", EMPTY, decoding=SHORT).tags == ()


def test_a_tag_of_which_nothing_reaches_the_prompt_takes_no_other_tags_map(answerer, tools):
    """Cleaned of the model's own tokens, it is empty, and the others move up."""
    hostile = RetrievedTag("<image> <tag>", "entity", 1, 0.9, (0,))
    found = tools.retrieval("red car", "dog")
    mixed = dataclasses.replace(found, tags=(hostile, *found.tags))
    image = tools.picture(1)
    assert explain(answerer, image, "what ?", mixed, decoding=SHORT).tags == (
        explain(answerer, image, "what ?", found, decoding=SHORT).tags
    )


def test_no_more_tags_are_shown_than_the_model_read(answerer, tools):
    answerer.processor.max_tags = 2
    found = tools.retrieval("red car", "dog", "cat")
    shown = explain(answerer, tools.picture(1), "what ?", found, decoding=SHORT)
    assert [tag.text for tag in shown.tags] == ["red car", "dog"]


@pytest.mark.parametrize(
    ("name", "tags", "weighed"),
    [("lion", 2, False), ("captions", 0, False), ("no_tags", 0, False), ("no_tuner", 2, True)],
)
def test_a_control_shows_what_it_reads(tiny_tuna, tiny_processor, tools, name, tags, weighed):
    control = CONTROLS[name]
    tiny_tuna.apply_control(control)
    answerer = Answerer(tiny_tuna.eval(), tiny_processor, control)
    found = tools.retrieval("red car", "dog")
    shown = explain(answerer, tools.picture(1), "what ?", found, decoding=SHORT)
    assert len(shown.tags) == tags and shown.control == name
    assert shown.weighting == "none"
    assert all((tag.weight is not None) == bool(tag.attention) == weighed for tag in shown.tags)
    if name == "no_tuner":
        assert [tag.weight for tag in shown.tags] == [1, 1]


def test_another_weighting_is_still_the_same_control(tiny_tuna, tiny_processor, tools):
    control = dataclasses.replace(CONTROLS["tuna"], weighting="exponential")
    tiny_tuna.apply_control(control)
    answerer = Answerer(tiny_tuna.eval(), tiny_processor, control)
    shown = explain(answerer, tools.picture(1), "what ?", tools.retrieval("dog"), decoding=SHORT)
    assert (shown.control, shown.weighting) == ("tuna", "exponential, temperature 1")


def test_page_and_json_are_written_side_by_side(answerer, tools, tmp_path):
    photo = tools.picture(1)
    shown = explain(answerer, photo, "what ?", tools.retrieval("dog"), decoding=SHORT)
    record = write_explanation(shown, photo, tmp_path / "seen" / "answer.html")
    assert record == tmp_path / "seen" / "answer.html.json"
    read = json.loads(record.read_text())
    assert read["tags"][0]["text"] == "dog" and len(read["tags"][0]["attention"]) == 4
    page = (tmp_path / "seen" / "answer.html").read_text()
    assert page.count('class="map m0"') == 1 and "what ?" in page


def gradient(width: int, height: int) -> Image.Image:
    """Red grows from left to right, green from top to bottom."""
    across = np.tile(np.linspace(0, 255, width), (height, 1))
    down = np.tile(np.linspace(0, 255, height)[:, None], (1, width))
    return Image.fromarray(np.stack([across, down, 0 * down], -1).round().astype(np.uint8))


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (256, 256)])
@pytest.mark.parametrize(
    "options",
    [
        {"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}},
        {"size": {"shortest_edge": 80}, "crop_size": {"height": 64, "width": 64}},
        {"size": {"height": 64, "width": 64}, "do_center_crop": False},
    ],
)
def test_the_box_is_what_the_image_processor_lets_through(size, options):
    """Read off the pixels themselves: their colours say where they are from."""
    processor = CLIPImageProcessor(**options)
    pixels = processor(gradient(*size), return_tensors="np", do_normalize=False)["pixel_values"][0]
    left, top, right, bottom = seen_box(processor, *size)
    # The middle of the first and last pixels.
    half = (right - left) / 128, (bottom - top) / 128
    assert pixels[0, 32, 0] == pytest.approx(left + half[0], abs=0.015)
    assert pixels[0, 32, -1] == pytest.approx(right - half[0], abs=0.015)
    assert pixels[1, 0, 32] == pytest.approx(top + half[1], abs=0.015)
    assert pixels[1, -1, 32] == pytest.approx(bottom - half[1], abs=0.015)


def test_a_padded_picture_reaches_beyond_its_sides():
    processor = CLIPImageProcessor(
        size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}
    )
    processor.do_pad = True
    assert seen_box(processor, 400, 200) == pytest.approx((0, -0.5, 1, 1.5))


def test_a_grid_that_is_not_square_is_refused(answerer, tools, monkeypatch):
    real = answerer.model.explain
    monkeypatch.setattr(
        answerer.model,
        "explain",
        lambda **inputs: dataclasses.replace(
            real(**inputs), attention=real(**inputs).attention[..., :15]
        ),
    )
    with pytest.raises(ValueError, match="15 cells"):
        explain(answerer, tools.picture(1), "what ?", tools.retrieval("dog"), decoding=SHORT)


def test_what_a_question_says_is_no_image(answerer, tools):
    """An image token in the words of a stranger would ask for a picture that is not there."""
    ask = Request("what is <image> ?", (tools.picture(1),), Retrieval((), ()))
    inputs = answerer.inputs([ask])
    image_token = answerer.model.config.image_token_id
    assert int((inputs["input_ids"] == image_token).sum()) == tools.cells
    assert len(answerer.answer([ask], SHORT)) == 1
