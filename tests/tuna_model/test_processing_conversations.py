"""Conversations for training: labels, cuts, and that answering begins as training did."""

from __future__ import annotations

import pytest
import torch

from index.retrievals import EMPTY
from tuna_model.conversations import VICUNA_SYSTEM

TURNS = [
    ("user", "<image> what is this ?"),
    ("assistant", "a red car ."),
    ("user", "is it a dog ?"),
    ("assistant", "no ."),
]


def labelled(processor, row):
    return processor.tokenizer.decode([token for token in row["labels"] if token >= 0])


def test_answers_and_their_ends_are_learned_and_nothing_else(tiny_processor, tools):
    row = tiny_processor.encode_conversation(TURNS, tools.retrieval("red car", "dog"))
    assert labelled(tiny_processor, row) == "a red car . </s> no . </s>"
    assert len(row["input_ids"]) == len(row["labels"]) == len(row["tag_index"])
    assert row["tags"] == ("red car", "dog")
    for token, label, index in zip(row["input_ids"], row["labels"], row["tag_index"], strict=True):
        assert label in (-100, token)
        assert not (index and label >= 0)
    assert row["input_ids"].count(tiny_processor.image_token_id) == tools.cells
    # Words in tags and answers alike: only the answers are learned.
    car = tiny_processor.tokenizer.convert_tokens_to_ids("car")
    assert row["input_ids"].count(car) == 2 and row["labels"].count(car) == 1


@pytest.mark.parametrize("control", ["tuna", "no_tags", "captions", "lion"])
def test_a_prompt_to_answer_is_what_training_saw_before_the_answer(tiny_processor, tools, control):
    found = tools.retrieval("red car", "dog")
    row = tiny_processor.encode_conversation(TURNS, found, control)
    for answered in (1, 3):
        text = tiny_processor.prompt(TURNS[:answered])
        asked = tiny_processor(
            images=[tools.picture(0)], text=text, retrievals=[found], control=control
        )
        length = len(asked["input_ids"][0])
        assert row["input_ids"][:length] == asked["input_ids"][0]
        assert row["labels"][length] >= 0 and row["labels"][length - 1] == -100
        if control == "tuna":
            assert row["tag_index"][:length] == asked["tag_index"][0]


def test_the_form_is_vicunas(tiny_processor):
    tiny_processor.system_prompt = VICUNA_SYSTEM
    assert tiny_processor.prompt(TURNS[:3]) == (
        f"{VICUNA_SYSTEM} USER: <image> what is this ? ASSISTANT: a red car .</s>"
        "USER: is it a dog ? ASSISTANT:"
    )


def test_rows_make_a_batch(tiny_processor, tiny_tuna, tools):
    rows = [
        tiny_processor.encode_conversation(TURNS, tools.retrieval("red car", "dog")),
        tiny_processor.encode_conversation(TURNS[:2], tools.retrieval("lisbon")),
        tiny_processor.encode_conversation([("user", "what ?"), ("assistant", "a cat .")]),
    ]
    batch = tiny_processor.pad(rows, return_tensors="pt")
    length = max(len(row["input_ids"]) for row in rows)
    for name in ("input_ids", "attention_mask", "labels", "tag_index"):
        assert batch[name].shape == (3, length)
    assert (batch["labels"][batch["attention_mask"] == 0] == -100).all()
    assert batch["tag_clip_ids"].shape[:2] == (3, 2)
    pictures = [tools.picture(0), tools.picture(1)]
    pixels = tiny_processor.image_processor(pictures, return_tensors="pt")["pixel_values"]
    loss = tiny_tuna(**batch, pixel_values=pixels).loss
    losses, counts = [], []
    for row, image in zip(rows, [*pixels, None], strict=True):
        one = tiny_processor.pad([row], return_tensors="pt")
        images = {} if image is None else {"pixel_values": image[None]}
        losses.append(tiny_tuna(**one, **images).loss)
        counts.append((one["labels"][:, 1:] >= 0).sum())
    expected = sum(a * n for a, n in zip(losses, counts, strict=True)) / sum(counts)
    assert torch.allclose(loss, expected, atol=1e-4)


def test_without_tags_a_batch_has_no_inputs_of_tags(tiny_processor):
    rows = [tiny_processor.encode_conversation(TURNS, EMPTY)]
    assert set(tiny_processor.pad(rows)) == {"input_ids", "attention_mask", "labels"}


def test_a_cut_leaves_tags_whole_and_images_alone(tiny_processor, tools):
    found = tools.retrieval("red car", "dog")
    whole = tiny_processor.encode_conversation(TURNS, found, max_length=None)
    start = next(n for n, label in enumerate(whole["labels"]) if label >= 0)
    for limit in range(start + 1, len(whole["input_ids"]) + 1):
        row = tiny_processor.encode_conversation(TURNS, found, max_length=limit)
        assert row["input_ids"] == whole["input_ids"][:limit]
        assert row["labels"] == whole["labels"][:limit]
    with pytest.raises(ValueError, match=f"nothing of the answers is left within .* {start}"):
        tiny_processor.encode_conversation(TURNS, found, max_length=start)
    with pytest.raises(ValueError, match="max_length 10 would cut 9 of the 16 placeholders"):
        tiny_processor.encode_conversation(TURNS, found, max_length=10)


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ([], "the turns are by nobody"),
        (TURNS[1:], "expected user and assistant by turns"),
        (TURNS[:1], "needs an answer"),
        ([("user", "a <tag>"), ("assistant", "b")], "has '<tag>'"),
        ([("user", "a"), ("assistant", "b <tag>")], "has '<tag>'"),
        ([("user", "a"), ("assistant", "b <hint>")], "has '<hint>'"),
        ([("user", "a"), ("assistant", "an <image>")], "an answer has '<image>'"),
    ],
)
def test_conversations_that_cannot_be_are_refused(tiny_processor, turns, message):
    with pytest.raises(ValueError, match=message):
        tiny_processor.encode_conversation(turns)


def test_an_answer_ends_once(tiny_processor):
    """Also with a tokenizer that ends every text itself."""
    from tokenizers import processors

    tokenizer = tiny_processor.tokenizer
    numbers = [(t, tokenizer.convert_tokens_to_ids(t)) for t in ("<s>", "</s>")]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=numbers
    )
    row = tiny_processor.encode_conversation(TURNS[:2])
    assert row["input_ids"].count(tokenizer.eos_token_id) == 1
    assert row["labels"][-1] == row["input_ids"][-1] == tokenizer.eos_token_id
