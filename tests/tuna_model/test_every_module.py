"""Processes that train together run the same modules, whatever their batches have."""

from __future__ import annotations

import copy

import pytest
import torch

from tuna_model.controls import CONTROLS

QUESTION = "USER: <image> what is this ? ASSISTANT: a red car"


def batch(processor, tools, *tags, image=True, control="tuna"):
    found = processor(
        images=[tools.picture(1)] if image else None,
        text=QUESTION if image else "USER: what ? ASSISTANT: a dog",
        retrievals=[tools.retrieval(*tags)],
        control=control,
        return_tensors="pt",
    )
    return dict(found) | {"labels": found["input_ids"].clone()}


@pytest.mark.parametrize("image", [True, False])
def test_a_batch_without_tags_has_gradients_of_zero(tiny_tuna, tiny_processor, tools, image):
    rows = batch(tiny_processor, tools, image=image)
    tiny_tuna.train()
    loss = tiny_tuna(**rows).loss
    loss.backward()
    tags = {n: p.grad for n, p in tiny_tuna.model.cross_attention.named_parameters()}
    assert all(grad is not None and not grad.any() for grad in tags.values()), tags
    connector = [p.grad for p in tiny_tuna.model.multi_modal_projector.parameters()]
    assert all(grad is not None and bool(grad.any()) == image for grad in connector)
    assert all(p.grad is None for p in tiny_tuna.model.vision_tower.parameters())
    assert tiny_tuna.model.soft_token.weight.grad is None
    assert tiny_tuna(**rows, return_dict=False)[0] == loss
    assert "loss" not in tiny_tuna(**{n: v for n, v in rows.items() if n != "labels"})


@pytest.mark.parametrize("image", [True, False])
def test_the_loss_of_such_a_batch_is_llavas_bit_for_bit(
    tiny_tuna, tiny_processor, llava_parts, tools, image
):
    rows = batch(tiny_processor, tools, image=image)
    llava = copy.deepcopy(llava_parts.llava)
    llava.resize_token_embeddings(tiny_tuna.get_input_embeddings().num_embeddings)
    theirs, ours = llava.train()(**rows), tiny_tuna.train()(**rows)
    assert torch.equal(theirs.loss, ours.loss) and torch.equal(theirs.logits, ours.logits)


def test_lions_token_has_a_gradient_where_no_prompt_has_it(tiny_tuna, tiny_processor, tools):
    tiny_tuna.apply_control(CONTROLS["lion"])
    tiny_tuna.train()(**batch(tiny_processor, tools)).loss.backward()
    assert tiny_tuna.model.soft_token.weight.grad is not None
    assert not tiny_tuna.model.soft_token.weight.grad.any()


@pytest.mark.parametrize("control", ["tuna", "lion"])
def test_with_shared_out_weights_all_batches_run_the_modules_in_one_order(
    tiny_tuna, tiny_processor, tools, control
):
    """ZeRO-3 marks weights with `ds_id`, and hangs where two processes differ in their order."""
    for number, parameter in enumerate(tiny_tuna.parameters()):
        parameter.ds_id = number
    tiny_tuna.apply_control(CONTROLS[control])
    ran: list[str] = []
    for name, module in tiny_tuna.named_modules():
        if any(True for _ in module.parameters(recurse=False)):
            module.register_forward_hook(lambda *_, name=name: ran.append(name))
            module.register_full_backward_pre_hook(lambda *_, name=name: ran.append(f"-{name}"))
    orders = []
    for rows in (
        batch(tiny_processor, tools, "red car", "dog", control=control),
        batch(tiny_processor, tools, "red car", "dog", control=control),
        batch(tiny_processor, tools),
        batch(tiny_processor, tools, image=False),
    ):
        ran.clear()
        tiny_tuna.train()(**rows).loss.backward()
        orders.append(list(ran))
    assert any("clip_text" in name for name in orders[0])
    assert any("vision_tower" in name for name in orders[0])
    backward = [name for name in orders[0] if name.startswith("-")]
    assert any("cross_attention" in name for name in backward)
    assert sum("multi_modal_projector" in name for name in backward) == 4
    assert all(order == orders[0] for order in orders[1:])
