"""Fashion-Bench's form: open questions of three kinds, judged against reference answers.

TUNA's benchmark of the fashion domain takes LLaVA-Bench's form (Liu et al., "Visual Instruction
Tuning", NeurIPS 2023, arXiv 2304.08485, section 5.1): conversation, detailed description, complex
reasoning. Its questions are not public; anyone's in this form will do.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tagmine.errors import ConfigurationError
from tagmine.printable import is_utf8
from tuna_model.judge import Comparison, Judge, JudgeError, Judgement
from tuna_model.question_files import Question, read_rows, refuse_repeats, text_field

CATEGORIES = ("conversation", "detail", "complex")
# As LLaVA-Bench's files name them.
_ALIASES = {"conv": "conversation", "llava_bench_conv": "conversation"} | {
    f"llava_bench_{name}": name for name in ("detail", "complex")
}


@dataclasses.dataclass(frozen=True, slots=True)
class OpenQuestion:
    """A question with what a judge needs: the reference answer, and the picture in words."""

    question: Question
    reference: str
    context: str


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one question: a judgement, or the reason why there is none."""

    question_id: str
    category: str
    judgement: Judgement | None
    reason: str = ""
    detail: str = ""


def record_of(outcome: Outcome) -> dict:
    """The outcome as a line of a file; one that may be tried again has no `answer`."""
    row = {"question_id": outcome.question_id, "category": outcome.category}
    judgement = outcome.judgement
    if judgement is None:
        return row | {"reason": outcome.reason, "detail": outcome.detail}
    return row | {
        "reference": judgement.first,
        "answer": judgement.second,
        "review": judgement.review,
    }


def outcome_of(row: Mapping[str, Any]) -> Outcome:
    """The outcome that a line of a file is."""
    key = row["question_id"], row["category"]
    if "answer" not in row:
        return Outcome(*key, None, row["reason"], row["detail"])
    return Outcome(*key, Judgement(row["reference"], row["answer"], row["review"]))


def read_questions(path: Path) -> list[OpenQuestion]:
    """The questions of a file: `question_id`, `image`, `category`, `text`, `reference`, and
    `caption`, text or a list of texts, which tells the judge what the picture shows.

    Raises:
        ConfigurationError: naming the line, for one that is not of this form.
    """
    found = []
    for number, row in read_rows(path):
        category = _ALIASES.get(str(row.get("category")), row.get("category"))
        if category not in CATEGORIES:
            raise ConfigurationError(
                f"{path}, line {number}: category is {str(category)[:40]!r}. Expected one of "
                f"{', '.join(CATEGORIES)}."
            )
        names = ("question_id", "image", "text", "reference")
        ident, image, text, reference = (text_field(path, number, row, name) for name in names)
        caption = row.get("caption")
        lines = [caption] if isinstance(caption, str) else caption
        if not isinstance(lines, list) or not all(isinstance(x, str) and x for x in lines):
            raise ConfigurationError(
                f"{path}, line {number}: caption is {str(caption)[:40]!r}. Expected a text or a "
                "list of texts that say what the picture shows, since the judge does not see it."
            )
        if not is_utf8("".join(lines)):
            raise ConfigurationError(
                f"{path}, line {number}: caption holds half a character (a lone surrogate). "
                "Expected text that UTF-8 can hold."
            )
        question = Question(ident, image, text, category)
        found.append(OpenQuestion(question, reference, "\n".join(lines)))
    refuse_repeats(path, [one.question for one in found])
    return found


def judge_answers(
    questions: Sequence[OpenQuestion], answers: Mapping[str, str], judge: Judge
) -> Iterator[Outcome]:
    """What the judge says of each answer, in order; one by one, since each may cost money.

    An empty answer gets the lowest score without a call, and its reference the highest: there is
    nothing to compare.

    Args:
        questions: what was asked.
        answers: by question_id; a question without one is not judged, as `unanswered`.
        judge: who compares.
    """
    for one in questions:
        question = one.question
        key = question.question_id, question.category
        answer = answers.get(question.question_id)
        if answer is None:
            yield Outcome(*key, None, "unanswered")
        elif not answer.strip():
            yield Outcome(*key, Judgement(10, 1, "There is no answer."))
        else:
            comparison = Comparison(one.context, question.text, one.reference, answer)
            try:
                yield Outcome(*key, judge.compare(comparison))
            except JudgeError as error:
                yield Outcome(*key, None, error.reason, error.detail)


def summarise(outcomes: Sequence[Outcome]) -> dict:
    """Counts and mean scores of each category and of all, as JSON has them.

    `relative` is LLaVA-Bench's: 100 x the mean score of the answers over that of the references.
    `questions` = `judged` + the sum of `not_judged`, everywhere.
    """
    named = {name: [o for o in outcomes if o.category == name] for name in CATEGORIES}
    return {name: _scores(group) for name, group in {**named, "all": outcomes}.items()}


def _scores(outcomes: Sequence[Outcome]) -> dict:
    judged = [o.judgement for o in outcomes if o.judgement is not None]
    reference = _mean([judgement.first for judgement in judged])
    answer = _mean([judgement.second for judgement in judged])
    reasons = Counter(o.reason for o in outcomes if o.judgement is None)
    return {
        "questions": len(outcomes),
        "judged": len(judged),
        "not_judged": dict(sorted(reasons.items())),
        "reference": reference,
        "answer": answer,
        "relative": 100 * answer / reference if reference and answer is not None else None,
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
