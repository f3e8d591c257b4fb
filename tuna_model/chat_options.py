"""What `tagmine-tuna chat` is asked to do: its flags, and the options that they become."""

from __future__ import annotations

import argparse
import dataclasses

from tagmine.errors import ConfigurationError
from tagmine.printable import is_utf8
from tuna_model.controls import Tuner
from tuna_model.tag_source import (
    SourceOptions,
    add_source_flags,
    read_source_options,
    read_tuner,
)

EXAMPLES = """\
examples:
  tagmine-tuna chat --model tuna-7b --datastore cc12m-tags --image photo.jpg
  tagmine-tuna chat --model tuna-7b --datastore fashion-tags --image dress.jpg \\
      --question "What is she wearing?" --explain dress.html
  tagmine-tuna chat --model tuna-7b --control no_tags --image photo.jpg < questions.txt

Without --question, questions are read from the terminal or a pipe, one a line, and each is asked
with what was said before. Answers go to standard output, the tags to standard error."""


@dataclasses.dataclass(frozen=True, slots=True)
class ChatOptions:
    """`tagmine-tuna chat`.

    Attributes:
        model: folder that `tagmine-tuna train` wrote.
        image: a JPEG, PNG or WebP.
        source: where tags come from.
        control: name of one of `tuna_model.controls`.
        question: what is asked; None reads questions from standard input.
        explain: file for a page that shows what the model read; None for none.
        max_new_tokens: longest answer.
        device: as torch names it, or auto.
        tuner: how tags are weighted.

    Raises:
        ConfigurationError: for no room for an answer, an empty question or one that is no
            UTF-8, or a page of many
            answers.
    """

    model: str
    image: str
    source: SourceOptions
    control: str = "tuna"
    question: str | None = None
    explain: str | None = None
    max_new_tokens: int = 256
    device: str = "auto"
    tuner: Tuner = Tuner()

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ConfigurationError(f"--max-new-tokens {self.max_new_tokens}: give 1 or more.")
        if self.question is not None and not self.question.strip():
            raise ConfigurationError("--question: it is empty; ask something.")
        if self.question is not None and not is_utf8(self.question):
            raise ConfigurationError(
                f"--question {self.question[:80]!a}: it is no UTF-8. Write it in UTF-8."
            )
        if self.explain is not None and self.question is None:
            raise ConfigurationError(
                f"--explain {self.explain}: the page shows one answer; give --question too."
            )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `tagmine-tuna chat`."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "--model", required=True, metavar="DIR", help="folder that tagmine-tuna train wrote"
    )
    parser.add_argument("--image", required=True, metavar="FILE", help="the photo")
    parser.add_argument(
        "--question", metavar="TEXT", help="ask this and stop (default: read questions)"
    )
    parser.add_argument(
        "--explain",
        metavar="FILE",
        help="write a page with the tags, their weights, and where each looked in the photo",
    )
    parser.add_argument(
        "--max-new-tokens",
        type=int,
        default=256,
        metavar="N",
        help="longest answer (default: %(default)s)",
    )
    parser.add_argument(
        "--device", default="auto", metavar="NAME", help="auto, cpu, cuda or cuda:N"
    )
    add_source_flags(parser)


def read_options(arguments: argparse.Namespace) -> ChatOptions:
    """The options that the parsed flags ask for."""
    return ChatOptions(
        arguments.model,
        arguments.image,
        read_source_options(arguments),
        arguments.control,
        arguments.question,
        arguments.explain,
        arguments.max_new_tokens,
        arguments.device,
        read_tuner(arguments),
    )
