"""The small Llama and its words, trained from scratch on text about all kinds."""

from __future__ import annotations

import itertools
import json
import math
import time
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from benchmarks.study.settings import Settings
from benchmarks.study.texts import ASSISTANT, BOS, EOS, IMAGE, PAD, UNKNOWN, text_stream

_WORD_TEXTS = 20_000
_MAX_TOKENS = 96
_WARM_SHARE = 0.05
# Rows of the embedding beyond the words, for the tokens that TUNA adds.
_SPARE_ROWS = 16


def write_tokenizer(folder: Path) -> None:
    """Write a word-level, lower-casing tokenizer of every word that the world's texts have."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    split = pre_tokenizers.Whitespace()
    words: set[str] = set()
    for text in itertools.islice(text_stream(seed=-1), _WORD_TEXTS):
        words.update(word for word, _ in split.pre_tokenize_str(text.lower()))
    special = [PAD, BOS, EOS, UNKNOWN, IMAGE]
    vocabulary = {word: i for i, word in enumerate([*special, *sorted(words)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = split
    numbers = [(BOS, vocabulary[BOS])]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=numbers
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNKNOWN,
        extra_special_tokens={"image_token": IMAGE},
        padding_side="right",
    ).save_pretrained(folder)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of `write_tokenizer`."""
    return PreTrainedTokenizerFast.from_pretrained(folder)


def llama_config(settings: Settings, tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """Configuration of the Llama, with a few spare rows of the embedding."""
    return LlamaConfig(
        vocab_size=math.ceil((len(tokenizer) + _SPARE_ROWS) / 8) * 8,
        hidden_size=settings.width,
        intermediate_size=3 * settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        max_position_embeddings=256,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=False,
    )


def answer_labels(ids: list[int], tokenizer: PreTrainedTokenizerFast) -> list[bool]:
    """Which tokens are of an answer: those behind "assistant :", the end of the turn included."""
    start = tokenizer.encode(ASSISTANT, add_special_tokens=False)
    mask, inside = [], False
    for i, token in enumerate(ids):
        mask.append(inside)
        if token == tokenizer.eos_token_id:
            inside = False
        elif ids[i - len(start) + 1 : i + 1] == start:
            inside = True
    return mask


def rate_share(step: int, steps: int, warm_share: float) -> float:
    """Share of the highest learning rate: linear warm-up, then a cosine."""
    warm = max(1, round(steps * warm_share))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def train_language_model(folder: Path, settings: Settings) -> None:
    """Train the Llama on texts, each seen once, and write it with its tokenizer and its scores."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder)
    tokenizer = load_tokenizer(folder)
    model = LlamaForCausalLM(llama_config(settings, tokenizer))
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=settings.text_rate, betas=(0.9, 0.98), weight_decay=0.01
    )
    stream = text_stream(seed=0)
    started, smooth = time.process_time(), float("nan")
    for step in range(settings.text_steps):
        batch = _batch(list(itertools.islice(stream, settings.text_batch)), tokenizer)
        for group in optimiser.param_groups:
            group["lr"] = settings.text_rate * rate_share(step, settings.text_steps, _WARM_SHARE)
        loss = model(**batch).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        smooth = loss.item() if step == 0 else smooth + 0.05 * (loss.item() - smooth)
        if (step + 1) % 100 == 0:
            seconds = time.process_time() - started
            print(
                f"text step {step + 1}/{settings.text_steps}  loss {smooth:.3f}  {seconds:.0f} s",
                flush=True,
            )
    reading = reading_accuracy(model, tokenizer)
    scores = {
        "loss": smooth,
        "reading": reading,
        "words": len(tokenizer),
        "parameters": model.num_parameters(),
        "cpu_seconds": time.process_time() - started,
    }
    model.save_pretrained(folder)
    # Last: it says that the folder is finished.
    (folder / "scores.json").write_text(json.dumps(scores, indent=2) + "\n")


def reading_accuracy(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> float:
    """Share of answers of new descriptions and questions that come out right, token by token."""
    texts = [t for t in itertools.islice(text_stream(seed=1), 400) if ASSISTANT in t]
    batch = _batch(texts, tokenizer)
    ids = batch["input_ids"]
    model.eval()
    with torch.inference_mode():
        right = model(input_ids=ids, attention_mask=batch["attention_mask"]).logits.argmax(-1)
    hits = [
        right[row, i - 1].item() == ids[row, i].item()
        for row in range(len(ids))
        for i, answer in enumerate(answer_labels(ids[row].tolist(), tokenizer))
        if answer
    ]
    return sum(hits) / max(1, len(hits))


def _batch(texts: list[str], tokenizer: PreTrainedTokenizerFast) -> dict[str, torch.Tensor]:
    rows = [tokenizer.encode(text)[:_MAX_TOKENS] for text in texts]
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), tokenizer.pad_token_id)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.where(mask > 0, -100)}
