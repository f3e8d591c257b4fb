"""How large the study is: every number that decides its cost, in one place."""

from __future__ import annotations

import dataclasses

from tagmine.errors import ConfigurationError


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """Sizes of a study.

    Attributes:
        tuning_pool: street pictures from which each seed takes those of its seen kinds.
        test_per_kind: held-out pictures of each kind, of both domains.
        test_every: of the kinds, in the order of the catalogue, each n-th is tested.
        shard_size: pictures of a shard of a datastore.
        street_shards: shards of the street datastore, a power of two; 1 is the "1x" of the curve.
        fashion_shards: shards of the fashion datastore.
        neighbours: k, the images that a picture's tags come from.
        max_tags: tags of a picture at most.
        layers, width, heads: of the Llama.
        text_steps, text_batch, text_rate: its training on text, in AdamW steps.
        align_steps, align_batch, align_rate: training of the connector on captions, before.
        tuning_steps, tuning_batch: instruction tuning; pictures are seen in ever new orders.
        connector_rate: highest learning rate of connector, cross-attention and LION's token, which
            begin untrained; LLaVA trains its connector with 1e-3 before it tunes.
        tuning_rate: highest learning rate of the Llama, a fifteenth of `text_rate`, as the paper's
            2e-5 is of the 3e-4 that Llama 7B was trained with. Tuned as fast as it was trained, it
            unlearns to say the kinds that tuning never names.
        noise_shares: shares of wrong tags that are tried.
        encoder_noise: lengths of the Gaussian vector that is added to unit-norm embeddings of
            pictures, datastore's and asked ones, before they are searched with.
    """

    tuning_pool: int = 9000
    test_per_kind: int = 2
    test_every: int = 1
    shard_size: int = 64
    street_shards: int = 64
    fashion_shards: int = 24
    neighbours: int = 5
    max_tags: int = 12
    layers: int = 3
    width: int = 128
    heads: int = 4
    text_steps: int = 800
    text_batch: int = 64
    text_rate: float = 3e-3
    align_steps: int = 300
    align_batch: int = 64
    align_rate: float = 1e-2
    tuning_steps: int = 48
    tuning_batch: int = 32
    connector_rate: float = 2e-3
    tuning_rate: float = 2e-4
    noise_shares: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    encoder_noise: tuple[float, ...] = (0.0, 1.0, 1.5, 2.0, 4.0)

    def __post_init__(self) -> None:
        shards = self.street_shards
        if shards < 1 or shards & (shards - 1):
            raise ConfigurationError(f"street_shards is {shards}; give a power of two")
        if self.width % self.heads:
            raise ConfigurationError(f"width {self.width} is no multiple of heads {self.heads}")

    @property
    def store_shards(self) -> tuple[int, ...]:
        """Shards of the street datastore at each size of the curve, doubling."""
        return tuple(1 << i for i in range(self.street_shards.bit_length()))


FULL = Settings()
TOY = Settings(
    tuning_pool=64,
    test_per_kind=1,
    test_every=16,
    shard_size=20,
    street_shards=2,
    fashion_shards=1,
    max_tags=6,
    layers=1,
    width=32,
    heads=2,
    text_steps=4,
    text_batch=8,
    align_steps=2,
    align_batch=8,
    tuning_steps=2,
    tuning_batch=8,
    noise_shares=(0.0, 0.5),
    encoder_noise=(0.0, 1.0),
)
PRESETS = {"full": FULL, "toy": TOY}
