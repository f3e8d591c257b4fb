"""What must come out if the implementation is right, as differences that a seed can refute."""

from __future__ import annotations

import dataclasses
import math

from benchmarks.study.results import Results
from benchmarks.study.statistics import Estimate

# Half of the tags wrong: "noisy retrieval" of the claim about the tuner.
NOISY = "wrong tags 0.5"
# Two arms whose naming differs by less are "about equal"; one that is lower by less is "not below".
EQUAL_WITHIN = 0.05


@dataclasses.dataclass(frozen=True, slots=True)
class Claim:
    """One claim.

    Attributes:
        text: what is claimed.
        measure: what is compared, for a reader.
        first, second: arm and condition; the difference is first minus second.
        group: of the pictures.
        relation: "above", "not below" or "equal".
    """

    text: str
    measure: str
    first: tuple[str, str]
    second: tuple[str, str]
    group: str
    relation: str

    def difference(self, results: Results) -> Estimate:
        """The difference of naming accuracy."""
        return results.gain(self.first, self.second, self.group, "name")

    def verdict(self, results: Results) -> str:
        """ "yes", "no", or "not shown" where the interval leaves it open, as one seed's does."""
        found = self.difference(results)
        if math.isinf(found.half):
            return "not shown"
        if self.relation == "equal":
            if abs(found.mean) > EQUAL_WITHIN:
                return "no"
            return (
                "yes" if max(abs(found.low), abs(found.high)) <= 2 * EQUAL_WITHIN else "not shown"
            )
        if found.low > 0 or (self.relation == "not below" and found.low > -EQUAL_WITHIN):
            return "yes"
        return "no" if found.high < 0 else "not shown"


CLAIMS = (
    Claim(
        "unseen kinds are named far better with tags than without",
        "naming, unseen: TUNA − LLaVA",
        ("tuna", "main"),
        ("baseline", "main"),
        "unseen",
        "above",
    ),
    Claim(
        "tags are at least as good as captions",
        "naming, unseen: TUNA − captions",
        ("tuna", "main"),
        ("captions", "main"),
        "unseen",
        "not below",
    ),
    Claim(
        "the tuner is at least as good as none where half of the tags are wrong (softmax, τ = 1)",
        "naming, unseen, half wrong: softmax − no tuner",
        ("tuna", NOISY),
        ("no_tuner", NOISY),
        "unseen",
        "not below",
    ),
    Claim(
        "the same for the exponential form",
        "naming, unseen, half wrong: exponential − no tuner",
        ("exponential", NOISY),
        ("no_tuner", NOISY),
        "unseen",
        "not below",
    ),
    Claim(
        "random tags are about equal to the baseline",
        "naming, seen: random tags − LLaVA",
        ("random_tags", "main"),
        ("baseline", "main"),
        "seen",
        "equal",
    ),
    Claim(
        "the fashion datastore helps in fashion without training",
        "naming, fashion: fashion − street datastore",
        ("tuna", "fashion datastore"),
        ("tuna", "main"),
        "fashion",
        "above",
    ),
)
