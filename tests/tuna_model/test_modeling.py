"""What tags do to the model, and that without any it is LLaVA."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.retrievals import EMPTY
from tuna_model.controls import CONTROLS
from tuna_model.modeling_tuna import TunaForConditionalGeneration

QUESTION = "USER: <image> what is this ? ASSISTANT:"
TAGS = ("red car", "dog", "lisbon", "striped blue boat", "house")


def batch_of(processor, tools, *tags, padding_side="right", **options):
    """One row for each tuple of tags; None for a row without an image."""
    processor.tokenizer.padding_side = padding_side
    images = [tools.picture(seed) for seed, row in enumerate(tags) if row is not None]
    texts = ["what is it ? " * (n % 2) + QUESTION for n in range(len(tags))]
    texts = [
        text if row is not None else "what is a dog ?"
        for text, row in zip(texts, tags, strict=True)
    ]
    found = [tools.retrieval(*row) if row else EMPTY for row in tags]
    return processor(
        images=images or None,
        text=texts,
        retrievals=found,
        padding=True,
        return_tensors="pt",
        **options,
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_tags_the_model_is_llava_bit_for_bit(
    llava_parts, tiny_tuna, tiny_processor, tools, dtype
):
    llava, tuna = copy.deepcopy(llava_parts.llava).to(dtype), tiny_tuna.to(dtype)
    inputs = batch_of(tiny_processor, tools, (), None, (), padding_side="left").to(dtype)
    plain = llava_parts.processor(
        images=[tools.picture(0), tools.picture(2)],
        text=[QUESTION, "what is a dog ?", QUESTION],
        padding=True,
        padding_side="left",
        return_tensors="pt",
    ).to(dtype)
    assert inputs.keys() == plain.keys()
    assert all(torch.equal(inputs[name], plain[name]) for name in plain)
    labels = inputs["input_ids"]
    ours, theirs = tuna(**inputs, labels=labels), llava(**plain, labels=labels)
    assert torch.equal(ours.logits, theirs.logits)
    assert torch.equal(ours.loss, theirs.loss)
    for options in ({}, {"num_beams": 3}, {"do_sample": True}, {"use_cache": False}):
        torch.manual_seed(0)
        ours = tuna.generate(**inputs, max_new_tokens=6, **options)
        torch.manual_seed(0)
        assert torch.equal(ours, llava.generate(**plain, max_new_tokens=6, **options)), options


def test_the_gradients_without_tags_are_llavas(llava_parts, tiny_tuna, tiny_processor, tools):
    llava = copy.deepcopy(llava_parts.llava)
    inputs = batch_of(tiny_processor, tools, (), ())
    for model in (llava, tiny_tuna):
        model(**inputs, labels=inputs["input_ids"]).loss.backward()
    expected = dict(llava.named_parameters())
    for name, parameter in tiny_tuna.named_parameters():
        if parameter.grad is not None:
            assert torch.equal(parameter.grad, expected[name].grad), name


def test_a_tag_is_its_weighted_picture_and_its_weighted_words(tiny_tuna, tiny_processor, tools):
    inputs = batch_of(tiny_processor, tools, ("red car", "dog"))
    seen = {}
    tiny_tuna.model.language_model.register_forward_pre_hook(
        lambda _, __, kwargs: seen.update(kwargs), with_kwargs=True
    )
    out = tiny_tuna(**inputs)
    embeds, model = seen["inputs_embeds"][0], tiny_tuna.model
    # By hand, with no code of the package.
    vision = model.vision_tower(inputs["pixel_values"], output_hidden_states=True)
    grid = vision.hidden_states[-2][0, 1:]
    image = model.visual_projection(vision.pooler_output)[0]
    words = inputs["input_ids"][0]
    for number, weight in enumerate(out.tag_weights[0], start=1):
        ids = inputs["tag_clip_ids"][0, number - 1 : number]
        mask = inputs["tag_clip_mask"][0, number - 1 : number]
        text = model.clip_text.tower(ids, attention_mask=mask).text_embeds[0]
        cosine = torch.cosine_similarity(text, image, dim=0)
        assert torch.allclose(out.tag_cosines[0, number - 1], cosine, atol=1e-5)
        looked = out.tag_attention[0, number - 1] @ grid
        places = (inputs["tag_index"][0] == number).nonzero()[:, 0].tolist()
        assert words[places[0]] == tiny_processor.tag_token_id
        picture = weight * model.multi_modal_projector(looked)
        assert torch.allclose(embeds[places[0]], picture, atol=1e-5)
        for place in places[1:]:
            word = weight * model.get_input_embeddings()(words[place])
            assert torch.allclose(embeds[place], word, atol=1e-6)
    expected = out.tag_cosines.softmax(-1)
    assert torch.allclose(out.tag_weights, expected, atol=1e-6)


ROW = st.one_of(st.none(), st.lists(st.sampled_from(TAGS), max_size=4, unique=True).map(tuple))


@given(rows=st.lists(ROW, min_size=2, max_size=4), side=st.sampled_from(["left", "right"]))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_row_says_in_a_batch_what_it_says_alone(tiny_tuna, tiny_processor, tools, rows, side):
    together = batch_of(tiny_processor, tools, *rows, padding_side=side)
    with torch.no_grad():
        logits = tiny_tuna(**together).logits
    images = iter(together.get("pixel_values", []))
    for number, row in enumerate(rows):
        text = "what is a dog ?"
        if row is not None:
            text = "what is it ? " * (number % 2) + QUESTION
        alone = tiny_processor(
            images=[tools.picture(number)] if row is not None else None,
            text=text,
            retrievals=[tools.retrieval(*row) if row else EMPTY],
            return_tensors="pt",
        )
        if row is not None:
            assert torch.equal(alone["pixel_values"][0], next(images))
        with torch.no_grad():
            expected = tiny_tuna(**alone).logits[0]
        kept = together["attention_mask"][number].bool()
        assert torch.allclose(logits[number, kept], expected, atol=2e-4)


def test_several_images_of_a_row_tags_look_at_the_first(tiny_tuna, tiny_processor, tools):
    def explained(order):
        inputs = tiny_processor(
            images=[[tools.picture(n) for n in order], [tools.picture(9)]],
            text=["<image> <image> what ?", "<image> what ?"],
            retrievals=[tools.retrieval("dog"), tools.retrieval("red car")],
            padding=True,
            return_tensors="pt",
        )
        return tiny_tuna.explain(**inputs)

    ab, ac, ba = explained((1, 2)), explained((1, 3)), explained((2, 1))
    assert torch.allclose(ab.cosines, ac.cosines)
    assert torch.allclose(ab.cosines[1], ba.cosines[1])
    assert not torch.allclose(ab.cosines[0], ba.cosines[0])


@pytest.mark.parametrize(
    ("options", "dtype"),
    [
        ({}, torch.float32),
        ({}, torch.bfloat16),
        ({"num_beams": 2}, torch.float32),
        ({"num_return_sequences": 2, "do_sample": True}, torch.float32),
    ],
)
def test_generate_is_repeated_forward(tiny_tuna, tiny_processor, tools, options, dtype):
    """The cache after the prefill says what all the tags, read again each step, would say."""
    tuna = tiny_tuna.to(dtype)
    rows = (("red car", "dog"), None, ("lisbon",))
    inputs = batch_of(tiny_processor, tools, *rows, padding_side="left").to(dtype)
    written = {"max_new_tokens": 4, "return_dict_in_generate": True, "output_logits": True}
    torch.manual_seed(1)
    found = tuna.generate(**inputs, **written, **options)
    if options:
        torch.manual_seed(1)
        again = tuna.generate(**inputs, **written, **options, use_cache=False)
        assert torch.equal(found.sequences, again.sequences)
        return
    ids, mask, index = inputs["input_ids"], inputs["attention_mask"], inputs["tag_index"]
    for step, logits in enumerate(found.logits):
        now = {**inputs, "input_ids": ids, "attention_mask": mask, "tag_index": index}
        expected = tuna(**now).logits[:, -1].float()
        tolerance = 2e-4 if dtype == torch.float32 else 0.05
        assert torch.allclose(logits.float(), expected, atol=tolerance), step
        ids = found.sequences[:, : ids.shape[1] + 1]
        mask = torch.nn.functional.pad(mask, (0, 1), value=1)
        index = torch.nn.functional.pad(index, (0, 1))


def test_beams_of_a_batch_are_those_of_each_row(tiny_tuna, tiny_processor, tools):
    rows = (("red car", "dog"), ("lisbon",), ())
    options = {"max_new_tokens": 5, "num_beams": 3, "min_new_tokens": 5}
    inputs = batch_of(tiny_processor, tools, *rows, padding_side="left")
    together = tiny_tuna.generate(**inputs, **options)[:, -5:]
    for number, row in enumerate(rows):
        one = tiny_processor(
            images=[tools.picture(number)],
            text="what is it ? " * (number % 2) + QUESTION,
            retrievals=[tools.retrieval(*row)],
            return_tensors="pt",
        )
        assert torch.equal(together[number], tiny_tuna.generate(**one, **options)[0, -5:])


def test_a_long_prompt_may_be_read_in_chunks(tiny_tuna, tiny_processor, tools):
    inputs = batch_of(tiny_processor, tools, ("red car", "dog", "lisbon"))
    whole = tiny_tuna.generate(**inputs, max_new_tokens=5)
    assert torch.equal(whole, tiny_tuna.generate(**inputs, max_new_tokens=5, prefill_chunk_size=7))


def test_tags_change_the_answer_and_their_image_matters(tiny_tuna, tiny_processor, tools):
    inputs = batch_of(tiny_processor, tools, ("red car",), ("red car",))
    logits = tiny_tuna(**inputs).logits
    assert not torch.allclose(logits[0, -1], logits[1, -1])
    swapped = {**inputs, "tag_clip_ids": inputs["tag_clip_ids"].flip(-1)}
    assert not torch.allclose(logits, tiny_tuna(**swapped).logits)


def test_the_towers_run_once_and_the_text_tower_on_new_tags_only(tiny_tuna, tiny_processor, tools):
    runs = {"vision": 0, "text": []}

    def count_text(_, __, kwargs):
        runs["text"].append(len(kwargs["input_ids"]))

    def count_vision(*_):
        runs["vision"] += 1

    tiny_tuna.model.vision_tower.register_forward_pre_hook(count_vision)
    tower = tiny_tuna.model.clip_text.tower
    tower.register_forward_pre_hook(count_text, with_kwargs=True)
    inputs = batch_of(tiny_processor, tools, ("red car", "dog"), ("dog", "lisbon"))
    first = tiny_tuna(**inputs)
    assert runs == {"vision": 1, "text": [3]}
    tiny_tuna(**batch_of(tiny_processor, tools, ("house", "dog")))
    assert runs == {"vision": 2, "text": [3, 1]}
    tiny_tuna.generate(**inputs, max_new_tokens=3, num_beams=2)
    assert runs == {"vision": 3, "text": [3, 1]}
    assert torch.equal(tiny_tuna(**inputs).logits, first.logits)
    with torch.no_grad():
        tower.text_projection.weight.mul_(-1)
    tiny_tuna.load_state_dict(tiny_tuna.state_dict())
    assert torch.allclose(tiny_tuna(**inputs).tag_cosines, -first.tag_cosines, atol=1e-6)


def test_a_training_step_updates_all_but_the_towers(tiny_tuna, tiny_processor, tools):
    tiny_tuna.train()
    assert not any(m.training for t in tiny_tuna.model.frozen_modules() for m in t.modules())
    assert tiny_tuna.model.language_model.training
    inputs = batch_of(tiny_processor, tools, ("red car", "dog"), (), None)
    labels = inputs["input_ids"]
    tiny_tuna(**inputs, labels=labels).loss.backward()
    without = {n for n, p in tiny_tuna.named_parameters() if p.grad is None}
    frozen = {n for n, p in tiny_tuna.named_parameters() if not p.requires_grad}
    assert without == frozen
    towers = ("model.vision_tower.", "model.clip_text.", "model.visual_projection.")
    assert all(name.startswith((*towers, "model.soft_token.")) for name in frozen)
    moved = [p for p in tiny_tuna.model.cross_attention.parameters() if p.grad.abs().sum() > 0]
    assert len(moved) == len(list(tiny_tuna.model.cross_attention.parameters()))
    tiny_tuna.config.cross_attention_trainable = False
    tiny_tuna.freeze()
    assert not any(p.requires_grad for p in tiny_tuna.model.cross_attention.parameters())


def test_the_connector_learns_from_tags_too(tiny_tuna, tiny_processor, tools):
    """One connector for image and tags: the gradient of tags alone reaches it."""
    inputs = batch_of(tiny_processor, tools, ("red car", "dog"))
    features = tiny_tuna.model.encode_tags(
        inputs["input_ids"],
        tiny_tuna.model.get_image_features(inputs["pixel_values"], return_dict=True),
        inputs["tag_clip_ids"],
        inputs["tag_clip_mask"],
    )
    features.vectors.sum().backward()
    assert tiny_tuna.model.multi_modal_projector.linear_1.weight.grad.abs().sum() > 0
    assert tiny_tuna.model.language_model.layers[0].mlp.up_proj.weight.grad is None


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradient_checkpointing_changes_no_gradient(tiny_tuna, tiny_processor, tools, reentrant):
    inputs = batch_of(tiny_processor, tools, ("red car", "dog"), ())
    gradients = []
    tiny_tuna.train()
    for checkpointing in (False, True):
        if checkpointing:
            tiny_tuna.gradient_checkpointing_enable({"use_reentrant": reentrant})
        tiny_tuna.zero_grad()
        tiny_tuna(**inputs, labels=inputs["input_ids"]).loss.backward()
        gradients.append({n: p.grad for n, p in tiny_tuna.named_parameters() if p.requires_grad})
    for name, gradient in gradients[0].items():
        assert torch.allclose(gradient, gradients[1][name], atol=1e-6), name


def test_under_autocast_weights_and_cosines_keep_their_precision(tiny_tuna, tiny_processor, tools):
    inputs = batch_of(tiny_processor, tools, ("red car", "dog"), ("lisbon",))
    exact = tiny_tuna(**inputs)
    tiny_tuna.model.clip_text.clear()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = tiny_tuna(**inputs, labels=inputs["input_ids"])
    assert half.tag_weights.dtype == half.tag_attention.dtype == torch.float32
    assert torch.allclose(half.tag_weights, exact.tag_weights, atol=1e-2)
    half.loss.backward()


def test_lions_token_is_a_learned_vector(tiny_tuna, tiny_processor, tools):
    tiny_tuna.apply_control(CONTROLS["lion"])
    inputs = batch_of(tiny_processor, tools, ("red car", "dog"), control="lion")
    assert "tag_index" not in inputs
    assert (inputs["input_ids"] == tiny_processor.soft_token_id).sum() == 1
    before = tiny_tuna(**inputs, labels=inputs["input_ids"])
    before.loss.backward()
    assert tiny_tuna.model.soft_token.weight.grad.abs().sum() > 0
    with torch.no_grad():
        tiny_tuna.model.soft_token.weight.add_(1)
    assert not torch.allclose(before.logits[0, -1], tiny_tuna(**inputs).logits[0, -1])
    cached = tiny_tuna.generate(**inputs, max_new_tokens=4)
    assert torch.equal(cached, tiny_tuna.generate(**inputs, max_new_tokens=4, use_cache=False))


def broken(inputs, **changes):
    return {**inputs, **changes}


def test_what_does_not_fit_together_is_refused(tiny_tuna, tiny_processor, tools):
    inputs = batch_of(tiny_processor, tools, ("red car", "dog"), ())
    ids, index = inputs["input_ids"], inputs["tag_index"]
    first = (ids[0] == tiny_processor.tag_token_id).nonzero()[0, 0]
    no_placeholder, doubled, beyond = ids.clone(), index.clone(), index.clone()
    no_placeholder[0, first] = 5
    doubled[0][index[0] == 2] = 1
    beyond[0][index[0] == 2] = 9
    cases = {
        "row 0 has 1 placeholders for tags .* and 2 tags": {"input_ids": no_placeholder},
        "row 0 has 2 placeholders": {"tag_index": doubled},
        "row 0 has 2 placeholders for": {"tag_index": beyond},
        "expected that of input_ids": {"tag_index": index[:, 1:]},
        "tags need input_ids and tag_index": {"tag_index": None},
        "no pixel_values": {"pixel_values": None},
        "image placeholders; expected a multiple of 16": {"input_ids": ids.where(ids != 3, 5)},
        "placeholders for 2 images, but pixel_values holds 1": {
            "pixel_values": inputs["pixel_values"][:1]
        },
    }
    for message, change in cases.items():
        for call in (tiny_tuna, tiny_tuna.generate):
            with pytest.raises(ValueError, match=message):
                call(**broken(inputs, **change))
    tiny_tuna.config.max_tags = 1
    with pytest.raises(ValueError, match="an image has 2 tags, more than the 1"):
        tiny_tuna(**inputs)


def test_placeholders_without_tags_are_refused(tiny_tuna, tiny_processor, tools):
    inputs = batch_of(tiny_processor, tools, ("red car", "dog"))
    plain = {n: v for n, v in inputs.items() if not n.startswith("tag_")}
    with pytest.raises(ValueError, match="2 placeholders for tags .* but no tag_clip_ids"):
        tiny_tuna(**plain)
    with pytest.raises(ValueError, match="but no tag_clip_ids"):
        tiny_tuna.generate(**plain)


def test_a_tuple_may_be_asked_for(tiny_tuna, tiny_processor, tools):
    inputs = batch_of(tiny_processor, tools, ("red car",))
    assert torch.equal(tiny_tuna(**inputs, return_dict=False)[0], tiny_tuna(**inputs).logits)


def test_the_class_is_llavas(tiny_tuna):
    from transformers import LlavaForConditionalGeneration

    assert isinstance(tiny_tuna, LlavaForConditionalGeneration)
    assert type(tiny_tuna) is TunaForConditionalGeneration


def test_adapters_of_peft_train_and_generate(tiny_tuna, tiny_processor, tools):
    from peft import LoraConfig, get_peft_model

    lora = LoraConfig(
        target_modules=r".*language_model.*\.(q_proj|v_proj)",
        modules_to_save=["multi_modal_projector", "cross_attention"],
    )
    inputs = batch_of(tiny_processor, tools, ("red car", "dog"))
    before = tiny_tuna.generate(**inputs, max_new_tokens=4)
    model = get_peft_model(tiny_tuna, lora).train()
    model(**inputs, labels=inputs["input_ids"]).loss.backward()
    moved = {n for n, p in model.named_parameters() if p.grad is not None}
    assert any("cross_attention" in n for n in moved) and any("lora_B" in n for n in moved)
    assert any("multi_modal_projector" in n for n in moved)
    assert not any("vision_tower" in n or "clip_text" in n for n in moved)
    assert torch.equal(model.eval().generate(**inputs, max_new_tokens=4), before)
