"""What the demo encoder reads in training, and the small tokenizer that reads it."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

from demo.world import Scene, caption, scene_tags

CONTEXT_LENGTH = 24
VOCABULARY = 2048

_PAD, _START, _END = "<pad>", "<start_of_text>", "<end_of_text>"


def training_text(scene: Scene, rng: random.Random) -> str:
    """A text that goes with a scene: mostly a caption, else one of its tags.

    Tags are among them because the encoder must place "striped red car" and "Lisbon" alone
    near their pictures: a reader of a datastore weighs single tags against an image.
    """
    draw = rng.random()
    if draw < 0.5:
        return caption(scene, rng).text
    spec = rng.choice(scene.objects)
    if draw < 0.72:
        return " ".join((*spec.attributes, spec.kind.name))
    if draw < 0.92:
        return spec.kind.name
    return rng.choice(scene_tags(scene)).text


def write_tokenizer(texts: Iterable[str], folder: Path) -> None:
    """Train a byte-level BPE tokenizer on `texts` and write it in transformers' layout.

    Every byte is in its alphabet, so that emoji and other scripts have tokens too. The end of
    text has the highest number: open_clip's text tower pools at the largest token.
    """
    import tokenizers
    from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - 2,
        special_tokens=[_PAD],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([_START, _END])
    numbers = [(token, tokenizer.token_to_id(token)) for token in (_START, _END)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{_START} $A {_END}", special_tokens=numbers
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=_PAD,
        bos_token=_START,
        eos_token=_END,
        model_max_length=CONTEXT_LENGTH,
        padding_side="right",
    ).save_pretrained(folder)
