"""docs/commands.md, written from the parser: python -m pipelines.command_docs > docs/commands.md"""

from __future__ import annotations

import argparse
import sys

from pipelines.command_line import make_parser


def render() -> str:
    """The page as Markdown."""
    parser = make_parser()
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    pages = [_command_page(name, command) for name, command in commands.choices.items()]
    return (
        "# Commands\n\n"
        "Written from the program's own help by `python -m pipelines.command_docs`; a test holds "
        "this page to it.\n\nEvery flag may be written with underscores too (`--batch_size`), and "
        "`--wds_image_key` and `--wds_caption_key` mean `--image-key` and `--caption-key`.\n\n"
        + "\n".join(pages)
    )


def _command_page(name: str, command: argparse.ArgumentParser) -> str:
    lines = [f"## tagmine {name}", "", command.description or "", ""]
    for group in command._action_groups:
        actions = [a for a in group._group_actions if a.help and a.dest != "help"]
        if not actions:
            continue
        if group.description:
            lines += [group.description, ""]
        lines += ["| | |", "|---|---|", *(_row(action) for action in actions), ""]
    lines += ["```", command.epilog or "", "```", ""]
    return "\n".join(lines)


def _row(action: argparse.Action) -> str:
    name = ", ".join(action.option_strings) or str(action.metavar)
    value = f" {action.metavar}" if action.option_strings and action.metavar else ""
    text = (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")
    needed = " (required)" if action.option_strings and action.required else ""
    return f"| `{name}{value}` | {text}{needed} |"


if __name__ == "__main__":
    sys.stdout.write(render())
