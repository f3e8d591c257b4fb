"""POPE: does the model see what is not there? Questions, how answers are read, and scores.

Li et al., "Evaluating Object Hallucination in Large Vision-Language Models", EMNLP 2023,
arXiv 2305.10355.
"""

from __future__ import annotations

import dataclasses
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tagmine.errors import ConfigurationError
from tuna_model.question_files import Question, read_rows, refuse_repeats, text_field

if TYPE_CHECKING:
    from index.search import Datastore

Strategy = Literal["random", "popular", "adversarial"]
STRATEGIES: tuple[Strategy, ...] = ("random", "popular", "adversarial")
_NEGATIONS = frozenset(("No", "not", "no"))
_WORD = re.compile(r"[^\W\d_]+")


def read_questions(path: Path) -> list[Question]:
    """The questions of a POPE file: `question_id`, `image`, `text`, and `label`, yes or no.

    Raises:
        ConfigurationError: naming the line, for one that is not of this form.
    """
    questions = []
    for number, row in read_rows(path):
        label = row.get("label")
        if label not in ("yes", "no"):
            raise ConfigurationError(
                f"{path}, line {number}: label is {str(label)[:40]!r}. Expected yes or no, as in "
                "POPE's files."
            )
        fields = (text_field(path, number, row, name) for name in ("question_id", "image", "text"))
        questions.append(Question(*fields, label=label))
    return refuse_repeats(path, questions)


def read_answer(answer: str) -> tuple[bool, bool]:
    """What an answer says, as POPE's own evaluation reads it, and whether it says it clearly.

    POPE's rule: of the text before the first full stop, without commas and split at spaces, a word
    that is exactly "No", "no" or "not" makes it a no; anything else, an empty answer included, is
    a yes. Its scores are comparable only if read in the same way, so that is what counts here.
    What it hides is counted beside it: an answer is clear if its words, in whatever capitals and
    punctuation, hold a yes or else a no, not both, and POPE's reading agrees.

    Returns:
        Whether it is a yes, and whether it is clear.
    """
    sentence = answer.split(".")[0]
    yes = not _NEGATIONS & set(sentence.replace(",", "").split(" "))
    words = {word.casefold() for word in _WORD.findall(sentence)}
    says_no = bool(words & {"no", "not"})
    return yes, ("yes" in words) != says_no and yes != says_no


@dataclasses.dataclass(frozen=True, slots=True)
class PopeScores:
    """Scores over the answered questions; "yes" is the positive class.

    `questions` = `answered` + `unanswered`, and `answered` is the sum of the four counts.

    Attributes:
        questions: how many there are.
        unanswered: without an answer, such as those whose picture is missing; in no score.
        unclear: answers that say neither yes nor no, or both; POPE counts them by its rule, and so
            do all scores but `clear_accuracy`.
        true_yes: answered yes, rightly; `false_yes` wrongly, which is a hallucination.
        true_no: answered no, rightly; `false_no` wrongly.
    """

    questions: int
    unanswered: int
    unclear: int
    true_yes: int
    false_yes: int
    true_no: int
    false_no: int
    clear_and_right: int

    @property
    def answered(self) -> int:
        return self.questions - self.unanswered

    @property
    def accuracy(self) -> float | None:
        return _ratio(self.true_yes + self.true_no, self.answered)

    @property
    def precision(self) -> float | None:
        return _ratio(self.true_yes, self.true_yes + self.false_yes)

    @property
    def recall(self) -> float | None:
        return _ratio(self.true_yes, self.true_yes + self.false_no)

    @property
    def f1(self) -> float | None:
        """2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall."""
        return _ratio(2 * self.true_yes, 2 * self.true_yes + self.false_yes + self.false_no)

    @property
    def yes_ratio(self) -> float | None:
        """The share of answers that are yes; half of POPE's questions should be."""
        return _ratio(self.true_yes + self.false_yes, self.answered)

    @property
    def clear_accuracy(self) -> float | None:
        """Accuracy with an unclear answer taken for a wrong one."""
        return _ratio(self.clear_and_right, self.answered)

    def as_record(self) -> dict:
        """Counts and scores as JSON has them; a score of nothing is null."""
        counts = dataclasses.asdict(self)
        del counts["clear_and_right"]
        names = ("accuracy", "precision", "recall", "f1", "yes_ratio", "clear_accuracy")
        scores = {name: getattr(self, name) for name in names}
        return {"answered": self.answered, **counts, **scores}


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def score(questions: Sequence[Question], answers: Mapping[str, str]) -> PopeScores:
    """Scores of the answers.

    Args:
        questions: with their labels.
        answers: by question_id; those without one are counted as unanswered.
    """
    counts: Counter[tuple[str, bool]] = Counter()
    unclear = clear_and_right = 0
    for question in questions:
        if question.question_id not in answers:
            continue
        yes, clear = read_answer(answers[question.question_id])
        counts[question.label, yes] += 1
        unclear += not clear
        clear_and_right += clear and yes == (question.label == "yes")
    return PopeScores(
        questions=len(questions),
        unanswered=len(questions) - counts.total(),
        unclear=unclear,
        true_yes=counts["yes", True],
        false_yes=counts["no", True],
        true_no=counts["no", False],
        false_no=counts["yes", False],
        clear_and_right=clear_and_right,
    )


def objects_of(datastore: Datastore) -> dict[str, frozenset[str]]:
    """The lemmas of the objects of each image of a datastore, by key.

    They are what captions name. A caption does not name all that is in a picture, so that
    questions made of them say "no" of some things that are there; POPE's own are made of
    annotations that are meant to be complete.
    """
    found: dict[str, frozenset[str]] = {}
    for part in datastore.manifest.parts:
        ids = [int(row_id) for row_id in datastore.embeddings(part.part).ids]
        for row in datastore.rows(ids).values():
            objects = (tag["lemma"] for tag in row["tags"] if tag["kind"] == "object")
            found[row["key"]] = frozenset(objects)
    return found


def make_questions(
    objects: Mapping[str, frozenset[str]], strategy: Strategy, per_image: int = 6, seed: int = 0
) -> list[Question]:
    """Questions in POPE's form: for each picture as many with the answer yes as with no.

    What is asked about that is not there is, as POPE has it: `random`, any object; `popular`, the
    objects that most pictures have; `adversarial`, for each object that is asked about and there,
    the one that most often stands beside it.

    Args:
        objects: what each picture shows, by its path or key.
        strategy: one of the three.
        per_image: questions a picture, an even number. Pictures with fewer than half as many
            objects, or that lack fewer, are left out.
        seed: decides what is asked about.

    Raises:
        ValueError: for an odd number of questions, or an unknown strategy.
    """
    if per_image < 2 or per_image % 2 or strategy not in STRATEGIES:
        raise ValueError(
            f"expected an even number of questions and one of {STRATEGIES}, got {per_image}, "
            f"{strategy!r}"
        )
    half = per_image // 2
    frequency = Counter(name for shown in objects.values() for name in shown)
    # By name among equals: the same questions whatever order the pictures come in.
    popular = sorted(frequency, key=lambda name: (-frequency[name], name))
    beside = _neighbours_of(objects) if strategy == "adversarial" else {}
    questions: list[Question] = []
    for image in sorted(objects):
        shown = objects[image]
        absent = [name for name in popular if name not in shown]
        if len(shown) < half or len(absent) < half:
            continue
        lot = random.Random(f"{seed}/{image}")
        there = lot.sample(sorted(shown), half)
        if strategy == "random":
            missing = lot.sample(absent, half)
        elif strategy == "popular":
            missing = absent[:half]
        else:
            missing = _most_tempting(there, absent, beside)
        for name, label in zip(there + missing, ["yes"] * half + ["no"] * half, strict=True):
            text = f"Is there {_article(name)} {name} in the image?"
            questions.append(Question(str(len(questions) + 1), image, text, strategy, label))
    return questions


def _neighbours_of(objects: Mapping[str, frozenset[str]]) -> dict[str, Counter[str]]:
    beside: dict[str, Counter[str]] = {}
    for shown in objects.values():
        for name in shown:
            beside.setdefault(name, Counter()).update(shown - {name})
    return beside


def _most_tempting(
    there: Sequence[str], absent: Sequence[str], beside: Mapping[str, Counter[str]]
) -> list[str]:
    """For each object that is there, the absent one most often beside it; by popularity among
    equals, and no object twice."""
    chosen: list[str] = []
    for name in there:
        left = [other for other in absent if other not in chosen]
        chosen.append(max(left, key=lambda other: beside[name][other]))
    return chosen


def _article(name: str) -> str:
    return "an" if name[:1].casefold() in "aeiou" else "a"
