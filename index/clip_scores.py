"""How well a picture and its captions fit, as CLIP sees it: measured while embedding, and stored.

The score of an image is the highest cosine of its vector with the vectors of its captions. (Hessel
et al., "CLIPScore", EMNLP 2021, and LAION's filtering use this cosine; CLIPScore scales it by 2.5.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tagmine.captions import (
    MAX_CAPTION_CHARACTERS,
    MAX_CAPTIONS,
    MAX_JSON_BYTES,
    MAX_TEXT_BYTES,
    SampleRejected,
    read_captions,
    read_fields,
)
from tagmine.manifest import fingerprint
from tagmine.questions import QUESTION_RULES
from tagmine.samples import Sample, SampleFields

if TYPE_CHECKING:
    from index.encoder import Encoder

TEXTS_A_BLOCK = 1024
"""Texts embedded at once: whole passes of a CPU and of a GPU, so that blocks decide no bytes."""
_PROBE = ["A narrow street with 3 colourful façades, under a blue sky; naïve 赤い車 text."]


def text_limits(fields: SampleFields) -> dict[str, int]:
    """The most bytes of the members that captions are read from, by extension; as when mining.

    A sample with a larger one is rejected as "member_too_large" while embedding already.
    """
    limits = {fields.caption_member: MAX_TEXT_BYTES}
    return limits | ({fields.json_key: MAX_JSON_BYTES} if fields.needs_json else {})


def read_texts(sample: Sample, fields: SampleFields) -> tuple[str, ...]:
    """A sample's captions as the mine stage reads them; none where it would reject the sample."""
    try:
        captions = read_captions(sample, fields, read_fields(sample, fields))
    except SampleRejected:
        return ()
    return tuple(caption.text for caption in captions)


def texts_fingerprint(encoder: Encoder, fields: SampleFields) -> str:
    """Fingerprint of what decides the scores, beside what decides the vectors of the images.

    The tokenizer is known by what it makes of a text: it has no version of its own.

    Raises:
        ConfigurationError: when the tokenizer cannot be loaded.
    """
    members = (fields.caption_key, fields.caption_json_fields, QUESTION_RULES)
    limits = (MAX_CAPTION_CHARACTERS, MAX_CAPTIONS, MAX_TEXT_BYTES, MAX_JSON_BYTES)
    tokens = encoder.tokenize(_PROBE).tolist()
    return fingerprint("clip_score", members, limits, tokens)


class ClipScorer:
    """Scores the images of a part in the order given, by blocks of texts.

    Texts are cut into blocks by their position among the part's texts, so that scores depend
    neither on the batch size nor on the number of threads or processes.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._scores: list[float] = []
        self._texts: list[str] = []
        self._rows: list[int] = []
        self._vectors: list[np.ndarray] = []

    def add(self, vector: np.ndarray, texts: tuple[str, ...]) -> None:
        """The next image.

        Args:
            vector: float16 [dim], its vector, of unit norm.
            texts: its captions; without any, its score is not known.
        """
        row = len(self._scores)
        self._scores.append(float("nan"))
        for text in texts:
            self._texts.append(text)
            self._rows.append(row)
            self._vectors.append(vector)
            if len(self._texts) == TEXTS_A_BLOCK:
                self._score_block()

    def finish(self) -> np.ndarray:
        """The scores of all images, float32 [n], NaN for those without a caption."""
        self._score_block()
        return np.asarray(self._scores, np.float32)

    def _score_block(self) -> None:
        if not self._texts:
            return
        texts = self._encoder.embed_texts(self._texts).astype(np.float64)
        # In double precision the order of the sum is lost in rounding to float32.
        cosines = np.einsum("nd,nd->n", texts, np.stack(self._vectors).astype(np.float64))
        for row, cosine in zip(self._rows, cosines.tolist(), strict=True):
            # NaN loses: fmax takes the other one.
            self._scores[row] = float(np.fmax(self._scores[row], cosine))
        self._texts, self._rows, self._vectors = [], [], []
