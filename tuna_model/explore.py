"""`tagmine-tuna explore`: the page of `tagmine explore`, where a model answers questions, too."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from index.explore.options import add_explore_arguments, read_explore_options
from tagmine.errors import ConfigurationError

if TYPE_CHECKING:
    from PIL import Image

    from index.pooling import Answer
    from tuna_model.answering import Answerer

__all__ = ["ModelOfPage", "add_arguments", "run"]

EXAMPLES = """\
examples:
  tagmine-tuna explore --model tuna-7b cc12m-tags
  tagmine-tuna explore --model tuna-7b general fashion --port 9000

As tagmine explore, and for a photo the page has a question, which the model answers with the tags
of each datastore, of all stacked, and without any."""


class ModelOfPage:
    """An `index.explore.asking.PhotoAnswerer`.

    Attributes:
        name: of the model's folder.
    """

    def __init__(self, answerer: Answerer, name: str, max_new_tokens: int) -> None:
        from tuna_model.answering import Answerer, Decoding
        from tuna_model.controls import CONTROLS

        self.name = name
        self._answerer = answerer
        self._plain = Answerer(answerer.model, answerer.processor, CONTROLS["no_tags"])
        self._decoding = Decoding(max_new_tokens)

    def answer(self, photo: Image.Image, question: str, found: Answer | None) -> str:
        """The answer, with the tags of what was found, or without any for None.

        Raises:
            ConfigurationError: for a question that is longer than the model reads.
        """
        from index.retrievals import EMPTY, retrieval_of_answer
        from tuna_model.answering import Request

        answerer = self._plain if found is None else self._answerer
        most = answerer.processor.max_tags
        retrieval = EMPTY if found is None else retrieval_of_answer(found, most)
        request = Request(question, (photo,), retrieval)
        if why := answerer.too_long(request, self._decoding):
            raise ConfigurationError(f"{why}. Ask in fewer words.")
        (said,) = answerer.answer([request], self._decoding)
        return said


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `tagmine-tuna explore`."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "--model", required=True, metavar="DIR", help="folder that tagmine-tuna train wrote"
    )
    parser.add_argument(
        "--max-new-tokens",
        type=int,
        default=128,
        metavar="N",
        help="longest answer (default: %(default)s)",
    )
    parser.add_argument(
        "--device", default="auto", metavar="NAME", help="auto, cpu, cuda or cuda:N"
    )
    add_explore_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Serve the page until it is interrupted.

    Raises:
        ConfigurationError: for a model, port or shards that cannot be used.
        DatastoreError: for a folder that is no datastore.
    """
    options = read_explore_options(arguments)
    # Late: torch takes seconds to import, and a wrong flag needs none of it.
    import transformers
    from rich.console import Console

    from index.explore.server import serve
    from tuna_model.answering import load_answerer

    if not sys.stderr.isatty():
        transformers.utils.logging.disable_progress_bar()
    answerer = load_answerer(arguments.model, "tuna", arguments.device)
    model = ModelOfPage(answerer, Path(arguments.model).absolute().name, arguments.max_new_tokens)
    serve(options, Console(stderr=True, markup=False, highlight=False), model)
