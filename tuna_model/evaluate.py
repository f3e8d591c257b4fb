"""`tagmine-tuna eval`: ask a model a benchmark's questions, and score what it says."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tagmine.errors import ConfigurationError
from tagmine.layout import write_atomically
from tuna_model import fashion_bench, pope
from tuna_model.answer_log import AnswerLog
from tuna_model.eval_options import (
    EvalOptions,
    add_arguments,
    model_card,
    read_options,
    run_card,
)
from tuna_model.judge import HttpJudge, Judge, OverlapJudge
from tuna_model.question_files import PictureRejected, Question, read_picture
from tuna_model.tag_source import TagSource, check_max_tags, check_source, open_source

__all__ = ["add_arguments", "run"]

if TYPE_CHECKING:
    from PIL import Image

    from index.retrievals import Retrieval
    from tuna_model.answering import Answerer, Decoding

_RETRIEVALS_KEPT = 256
_DETAIL = 300


def run(arguments: argparse.Namespace) -> int:
    """Answer the questions, score the answers, write and print the results.

    Returns:
        0, also when some questions could not be asked; the results say how many and why.

    Raises:
        ConfigurationError: for options, questions or models that cannot be used.
    """
    from tuna_model.controls import control_named

    options = read_options(arguments)
    check_source(options.control, control_named(options.control), options.source)
    reader = {"pope": pope.read_questions, "fashion-bench": fashion_bench.read_questions}
    read = reader[options.task](options.questions)
    judge = _judge(options)
    questions = [getattr(one, "question", one) for one in read]
    card = run_card(options)
    with AnswerLog(options.beside("answers"), card) as log:
        answer_questions(options, questions, log)
        answers = {i: row["answer"] for i, row in log.rows.items() if "answer" in row}
        reasons = Counter(row["reason"] for row in log.rows.values() if "answer" not in row)
    if not answers:
        _refuse_scores_of_nothing(options, reasons, log)
    results = {"task": options.task, "run": card, "model": model_card(options)}
    results |= {"unanswered": dict(sorted(reasons.items()))}
    if judge is None:
        scores = pope.score(questions, answers)
        results["scores"] = scores.as_record()
    else:
        results["judge"] = judge.name
        results["scores"] = _judged(options, read, answers, judge, card)
    write_atomically(options.out, (json.dumps(results, indent=2) + "\n").encode())
    print(json.dumps(results["scores"], indent=2))
    for reason, count in results["unanswered"].items():
        print(f"{count} not answered: {reason}; {log.path} says which", file=sys.stderr)
    if judge is None and scores.unclear:
        print(
            f"{scores.unclear:,} of {scores.answered:,} answers do not say yes or no: neither, or "
            "both. POPE's rule takes most of those for a yes; clear_accuracy takes them for wrong",
            file=sys.stderr,
        )
    return 0


def _refuse_scores_of_nothing(options: EvalOptions, reasons: Counter, log: AnswerLog) -> NoReturn:
    counts = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
    ((commonest, _),) = reasons.most_common(1)
    example = next(row["detail"] for row in log.rows.values() if row["reason"] == commonest)
    raise ConfigurationError(
        f"none of the questions of {options.questions} could be answered: {counts}. The first "
        f"{commonest}: {example.rstrip('.')}. {log.path} has them all; check "
        f"--image-folder {options.image_folder} and --retrievals, whose paths "
        "and keys must be those of the questions."
    )


def _judge(options: EvalOptions) -> Judge | None:
    if options.judge is None:
        return None
    if options.judge_model is None:
        return OverlapJudge()
    return HttpJudge(options.judge, options.judge_model)


def answer_questions(options: EvalOptions, questions: Sequence[Question], log: AnswerLog) -> None:
    """Ask what has no answer in the log yet; those that could not be asked before, again."""
    from tuna_model.answering import Decoding, load_answerer

    waiting = [q for q in questions if "answer" not in log.rows.get(q.question_id, {})]
    if not waiting:
        return
    answerer = load_answerer(
        options.model, options.control, options.device, options.dtype, options.tuner
    )
    check_max_tags(answerer.control, options.source, answerer.processor.max_tags)
    decoding = Decoding(options.max_new_tokens)
    finder = _Finder(
        options.image_folder, open_source(answerer.control, options.source, answerer.tower)
    )
    batches = range(0, len(waiting), options.batch_size)
    for start in _with_progress(batches, len(questions) - len(waiting), len(questions)):
        batch = waiting[start : start + options.batch_size]
        for row in _answer_batch(batch, options.suffix, answerer, decoding, finder):
            log.add(row)


def _answer_batch(
    batch: Sequence[Question],
    suffix: str,
    answerer: Answerer,
    decoding: Decoding,
    finder: _Finder,
) -> Iterator[dict]:
    from tuna_model.answering import Request

    found = finder.find([question.image for question in batch])
    asked = []
    for question in batch:
        one = found[question.image]
        if isinstance(one, PictureRejected):
            yield _unanswered(question, one.reason, one.detail)
            continue
        image, retrieval = one
        request = Request(question.text + suffix, (image,), retrieval)
        if why := answerer.too_long(request, decoding):
            yield _unanswered(question, "too_long", why)
        else:
            asked.append((question, request))
    answers = answerer.answer([request for _, request in asked], decoding)
    for (question, request), answer in zip(asked, answers, strict=True):
        yield {
            "question_id": question.question_id,
            "image": question.image,
            "question": question.text,
            "answer": answer,
            "tags": len(answerer.tags_read(request)),
        }


def _unanswered(question: Question, reason: str, detail: str) -> dict:
    return {
        "question_id": question.question_id,
        "image": question.image,
        "reason": reason,
        "detail": detail,
    }


class _Finder:
    """Pictures with their tags; a benchmark asks several questions of one picture in a row."""

    def __init__(self, folder: Path, source: TagSource) -> None:
        self._folder = folder
        self._source = source
        self._known: OrderedDict[str, Retrieval] = OrderedDict()

    def find(
        self, names: Sequence[str]
    ) -> dict[str, tuple[Image.Image, Retrieval] | PictureRejected]:
        """The picture of each name with its tags, or why it cannot be used."""
        read: dict[str, Image.Image | PictureRejected] = {}
        for name in dict.fromkeys(names):
            try:
                read[name] = read_picture(self._folder, name)
            except PictureRejected as rejected:
                read[name] = rejected
        images = {n: one for n, one in read.items() if not isinstance(one, PictureRejected)}
        new = {name: image for name, image in images.items() if name not in self._known}
        for name, retrieval in self._retrieve(new):
            if isinstance(retrieval, PictureRejected):
                read[name] = retrieval
                del images[name]
            else:
                self._known[name] = retrieval
        found = {n: (images[n], self._known[n]) if n in images else read[n] for n in read}
        while len(self._known) > _RETRIEVALS_KEPT:
            self._known.popitem(last=False)
        return found

    def _retrieve(
        self, images: Mapping[str, Image.Image]
    ) -> Iterator[tuple[str, Retrieval | PictureRejected]]:
        from tuna_model.retrieval import UnknownImageError

        if not images:
            return
        try:
            yield from zip(images, self._source.find(list(images), [*images.values()]), strict=True)
        except UnknownImageError as error:
            if len(images) == 1:
                yield next(iter(images)), PictureRejected("not_retrieved", str(error)[:_DETAIL])
                return
            for name, image in images.items():
                yield from self._retrieve({name: image})


def _judged(
    options: EvalOptions,
    questions: Sequence[fashion_bench.OpenQuestion],
    answers: dict[str, str],
    judge: Judge,
    card: dict,
) -> dict:
    """Judge what has no judgement yet, and sum all up."""
    run_of = card | {"judge": judge.name}
    with AnswerLog(options.beside("judgements"), run_of) as log:
        waiting = [q for q in questions if "answer" not in log.rows.get(q.question.question_id, {})]
        total = len(questions)
        outcomes = fashion_bench.judge_answers(waiting, answers, judge)
        for _, outcome in zip(
            _with_progress(range(len(waiting)), total - len(waiting), total), outcomes, strict=True
        ):
            log.add(fashion_bench.record_of(outcome))
        rows = (log.rows[q.question.question_id] for q in questions)
        return fashion_bench.summarise([fashion_bench.outcome_of(row) for row in rows])


def _with_progress(steps: Sequence[int], done: int, total: int) -> Iterator[int]:
    """The steps, with a bar on a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    if done:
        console.print(f"{done:,} of {total:,} are there from an earlier run")
    yield from track(
        steps,
        description="asking",
        total=len(steps),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
