"""What a validation asks of a datastore."""

from __future__ import annotations

import dataclasses

from tagmine.errors import ConfigurationError


@dataclasses.dataclass(frozen=True, slots=True)
class Thresholds:
    """What is asked of a datastore.

    Attributes:
        min_recall: least overlap of the nearest with the true nearest.
        min_self_lookup: least share of stored vectors that find themselves, in each shard.
        min_tag_agreement: least of the own tags that the index finds, as a share of what exact
            search finds.
        min_same_embedding: least mean cosine of a part's stored vectors with those that the
            encoder makes of the pictures now.
        max_imbalance: greatest imbalance factor of the inverted lists.
        max_untagged: greatest share of images without tags.
        max_duplicates: greatest number of near-duplicates, as a share of the images looked at.

    Raises:
        ConfigurationError: for a share outside 0 to 1, or an imbalance below 1.
    """

    min_recall: float = 0.9
    min_self_lookup: float = 0.95
    min_tag_agreement: float = 0.9
    min_same_embedding: float = 0.98
    max_imbalance: float = 8.0
    max_untagged: float = 0.2
    max_duplicates: float = 0.5

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            flag = "--" + field.name.replace("_", "-")
            if field.name == "max_imbalance":
                if not value >= 1:
                    raise ConfigurationError(f"{flag} {value}: give 1 or more; 1 is even.")
            elif not 0 <= value <= 1:
                raise ConfigurationError(f"{flag} {value}: it is a share, from 0 to 1.")
