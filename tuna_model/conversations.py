"""Conversations as LLaVA-1.5 writes them (Vicuna's form), and which words are answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tuna_model.prompts import Piece

VICUNA_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions."
)
_ROLES = ("user", "assistant")

Turn = tuple[str, str]


def join_turns(turns: Sequence[Turn], system: str, end: str) -> str:
    """The conversation before an answer: `SYSTEM USER: … ASSISTANT: …</s>USER: … ASSISTANT:`."""
    check_turns(turns)
    written = f"{system} " if system else ""
    for role, text in turns:
        written += f"USER: {text} ASSISTANT:" if role == "user" else f" {text.strip()}{end}"
    return written


def labelled_pieces(
    turns: Sequence[Turn],
    system: str,
    end: str,
    pieces_of_user: Callable[[str], list[Piece]],
) -> list[Piece]:
    """The pieces of a conversation for training; answers, each with its `end`, are marked.

    Tags go into the first user's turn.

    Raises:
        ValueError: when turns do not alternate or there is no answer.
    """
    check_turns(turns)
    if len(turns) < 2:
        raise ValueError("a conversation for training needs an answer; got one turn")
    pieces: list[Piece] = []
    opening = f"{system} " if system else ""
    for number, (role, text) in enumerate(turns):
        if role == "assistant":
            pieces.append(Piece(text.strip() + end, answered=True))
            continue
        said = f"{opening}USER: {text} ASSISTANT:"
        pieces.extend(pieces_of_user(said) if number == 0 else [Piece(said)])
        opening = ""
    return pieces


def check_turns(turns: Sequence[Turn]) -> None:
    """Raises ValueError unless user and assistant alternate, the user first."""
    roles = [role for role, _ in turns]
    expected = [_ROLES[number % 2] for number in range(len(roles))]
    if not roles or roles != expected:
        raise ValueError(
            f"the turns are by {roles or 'nobody'}; expected user and assistant by turns, the "
            "user first"
        )
