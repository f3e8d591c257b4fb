"""The `tagmine-tuna` command: train, chat, explore and eval; only the chosen one is loaded."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import io
import logging
import os
import sys
from collections.abc import Sequence

from tagmine import __version__
from tagmine.errors import TagmineError


@dataclasses.dataclass(frozen=True, slots=True)
class Command:
    """A subcommand.

    Attributes:
        module: has `add_arguments(parser)` and `run(arguments)`, which gives an exit status or
            None for 0. It imports torch and transformers in `run` and not before.
        summary: one line for the help.
    """

    module: str
    summary: str


COMMANDS = {
    "train": Command("tuna_model.train_flags", "fine-tune a model on instructions and tags"),
    "chat": Command("tuna_model.chat", "ask about one photo, with or without a datastore"),
    "explore": Command("tuna_model.explore", "the page of tagmine explore, with a model to ask"),
    "eval": Command("tuna_model.evaluate", "measure a model on a benchmark's questions"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Returns:
        The exit status: 0 when all is well, 1 for a failure, 2 for a usage error, 130 when
        interrupted.
    """
    # Before torch is loaded: see pipelines.main.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    for name in ("tagmine", "index", "tuna_model"):
        logging.getLogger(name).setLevel(logging.INFO)
    words = [_plain_name(word) for word in (sys.argv[1:] if argv is None else argv)]
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        arguments = make_parser(words[:1]).parse_args(words)
        module = importlib.import_module(COMMANDS[arguments.command].module)
        return module.run(arguments) or 0
    except TagmineError as error:
        print(f"tagmine-tuna: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        advice = " run it again with --resume to go on." if words[:1] == ["train"] else ""
        print(f"tagmine-tuna: interrupted;{advice}".rstrip(";"), file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has left; Python would complain again while closing it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def make_parser(loaded: Sequence[str] = tuple(COMMANDS)) -> argparse.ArgumentParser:
    """The parser of the whole command.

    Args:
        loaded: the subcommands whose flags are added; the others only have their line of help,
            since knowing their flags would load their modules.
    """
    parser = argparse.ArgumentParser(
        prog="tagmine-tuna",
        allow_abbrev=False,
        description="Train, ask and measure a multimodal LLM that reads a tag datastore (TUNA).",
        epilog="`tagmine-tuna COMMAND --help` explains each.",
    )
    parser.add_argument("--version", action="version", version=f"tagmine-tuna {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        added = commands.add_parser(
            name,
            help=command.summary,
            description=command.summary[0].upper() + command.summary[1:] + ".",
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name in loaded:
            importlib.import_module(command.module).add_arguments(added)
    return parser


def _plain_name(word: str) -> str:
    """`--batch_size=8` as `--batch-size=8`: Trainer's flags have underscores, ours dashes."""
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value if name.startswith("--") else word


if __name__ == "__main__":
    sys.exit(main())
