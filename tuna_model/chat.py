"""`tagmine-tuna chat`: questions about one photo, with the tags of a datastore or without."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tagmine.errors import ConfigurationError
from tagmine.printable import printable
from tuna_model.chat_options import ChatOptions, add_arguments, read_options

if TYPE_CHECKING:
    from PIL import Image

    from index.retrievals import Retrieval
    from tuna_model.answering import Answerer, Request

__all__ = ["Conversation", "add_arguments", "run"]


class Conversation:
    """Questions and answers about one photo; each question is asked with what was said before.

    Attributes:
        turns: what was said, (role, text) in turn.
    """

    def __init__(
        self, answerer: Answerer, image: Image.Image, retrieval: Retrieval, max_new_tokens: int
    ) -> None:
        self._answerer, self._image, self._retrieval = answerer, image, retrieval
        self._max_new_tokens = max_new_tokens
        self.turns: list[tuple[str, str]] = []

    def ask(self, question: str) -> str:
        """The answer.

        Raises:
            ConfigurationError: for a question that, with its answer, is longer than the model
                reads.
        """
        from tuna_model.answering import Decoding

        decoding = Decoding(self._max_new_tokens)
        if self._answerer.too_long(self._request(question), decoding):
            # What was said first is forgotten; the photo and its tags come with any question.
            self.turns = []
            if why := self._answerer.too_long(self._request(question), decoding):
                raise ConfigurationError(
                    f"{why}. Ask in fewer words, or give a smaller --max-new-tokens."
                )
        answer = self._answerer.answer([self._request(question)], decoding)[0]
        self.turns += [("user", question), ("assistant", answer)]
        return answer

    def _request(self, question: str) -> Request:
        from tuna_model.answering import Request

        return Request(question, (self._image,), self._retrieval, tuple(self.turns))


def run(arguments: argparse.Namespace) -> None:
    """Ask as the parsed flags say.

    Raises:
        ConfigurationError: for a photo, model or options that cannot be used.
        DatastoreError: for a datastore that cannot be opened.
    """
    options = read_options(arguments)
    image = read_photo(options.image)
    # Late: torch takes seconds to import, and a photo that cannot be read needs none of it.
    import transformers

    from tuna_model.answering import load_answerer
    from tuna_model.controls import control_named
    from tuna_model.tag_source import check_max_tags, check_source, open_source, photo_key

    control = control_named(options.control)
    check_source(options.control, control, options.source)
    if not sys.stderr.isatty():
        transformers.utils.logging.disable_progress_bar()
    answerer = load_answerer(options.model, options.control, options.device, tuner=options.tuner)
    check_max_tags(answerer.control, options.source, answerer.processor.max_tags)
    source = open_source(answerer.control, options.source, answerer.tower)
    retrieval = source.find([photo_key(source, options.image)], [image])[0]
    print(_read_beside(answerer, retrieval), file=sys.stderr)
    conversation = Conversation(answerer, image, retrieval, options.max_new_tokens)
    for question in _questions(options):
        answer = conversation.ask(question)
        print(_lines(answer), flush=True)
        if options.explain is not None:
            _explain(options, answerer, image, retrieval, answer)


def _read_beside(answerer: Answerer, retrieval: Retrieval) -> str:
    """What the model reads beside the photo, as a line for people."""
    from tuna_model.answering import Request

    request = Request("", retrieval=retrieval)
    if answerer.control.source == "captions":
        captions = " | ".join(answerer.captions_read(request))
        return f"captions: {printable(captions) or 'none'}"
    return f"tags: {printable(', '.join(answerer.tags_read(request))) or 'none'}"


def read_photo(path: str) -> Image.Image:
    """The picture in a file, RGB and upright.

    Raises:
        ConfigurationError: for a file that is none.
    """
    from index.images import ImageLimits, ImageRejected, decode_image

    try:
        return decode_image(Path(path).read_bytes(), ImageLimits())
    except OSError as error:
        raise ConfigurationError(
            f"--image {path}: the file cannot be read ({error.strerror}). Give a JPEG, PNG or WebP."
        ) from error
    except ImageRejected as rejected:
        raise ConfigurationError(
            f"--image {path}: {rejected.detail}. Give a JPEG, PNG or WebP."
        ) from rejected


def _explain(
    options: ChatOptions,
    answerer: Answerer,
    image: Image.Image,
    retrieval: Retrieval,
    answer: str,
) -> None:
    from tuna_model.answering import Decoding
    from tuna_model.explain import explain, write_explanation
    from tuna_model.neighbour_pictures import neighbour_pictures

    explanation = explain(
        answerer,
        image,
        options.question or "",
        retrieval,
        name=Path(options.image).name,
        answer=answer,
        decoding=Decoding(options.max_new_tokens),
    )
    page = Path(options.explain or "")
    pictures = neighbour_pictures(options.source.datastores, explanation.neighbours)
    try:
        record = write_explanation(explanation, image, page, pictures)
    except OSError as error:
        raise ConfigurationError(
            f"--explain {page}: it cannot be written ({error.strerror}). Give another file."
        ) from error
    print(f"{page} shows what the model read; {record} has the numbers", file=sys.stderr)


def _questions(options: ChatOptions) -> Iterator[str]:
    if options.question is not None:
        yield options.question
        return
    terminal = sys.stdin.isatty()
    if terminal:
        print("Ask about the photo; an empty line or Ctrl-D ends.", file=sys.stderr)
    while True:
        if terminal:
            print("> ", end="", file=sys.stderr, flush=True)
        line = _line_of_input()
        if not line.strip():
            # In a file, an empty line is only that.
            if terminal or not line:
                return
            continue
        yield line.strip()


def _line_of_input() -> str:
    try:
        line = sys.stdin.readline()
        line.encode()
    except UnicodeError as error:
        raise ConfigurationError(
            f"a question on standard input is no UTF-8 ({error}). Write questions in UTF-8."
        ) from error
    return line


def _lines(answer: str) -> str:
    """An answer for a terminal; a model may write anything, control characters too."""
    return "\n".join(printable(line) for line in answer.splitlines())
