"""A row of LLaVA's instruction data as a conversation, or a reason why it is none."""

from __future__ import annotations

import dataclasses
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

from tagmine.instructions import BadRowError, image_of_row

IMAGE_MARKER = "<image>"
MAX_TURNS = 1_000
MAX_DETAIL = 300

REASONS: dict[str, str] = {
    "bad_json": "the line cannot be parsed as JSON, or is longer than its limit",
    "bad_row": "the row has another form than {id, image?, conversations: [{from, value}, …]}",
    "bad_turns": "the turns are not a question and an answer by turns, or there is no answer",
    "empty_turn": "a turn says nothing",
    "not_utf8": "a text is not valid Unicode",
    "marker": "<image> is missing, there twice or not in the first question; or it is there "
    "without an image",
    "special_token": "a text holds one of the model's own tokens, such as <tag>",
    "unsafe_path": "the image's path is absolute or leads out of the image folder",
    "image_missing": "there is no such file in the image folder",
    "image_undecodable": "the image is no JPEG, PNG or WebP, or is damaged",
    "image_too_large": "the image has more pixels than the limit",
    "no_retrieval": "the image is not in the file of retrievals",
    "too_long": "no answer, or not all of the image, is left within --max-length",
}

Role = Literal["user", "assistant"]
_ROLES: dict[str, Role] = {"human": "user", "gpt": "assistant"}


class RowRejected(Exception):  # noqa: N818 - an outcome of the data, not a fault
    """A row that cannot be trained on.

    Attributes:
        reason: one of `REASONS`.
        detail: what was found.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail[:MAX_DETAIL]


class Turn(NamedTuple):
    """One thing said, as `TunaProcessor` takes it."""

    role: Role
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Conversation:
    """A row that can be trained on.

    Attributes:
        image: path in the image folder, as the row has it; None for text only.
        turns: question, answer, question, answer, …; with an image, the first question starts
            with `<image>` and a newline.
    """

    image: str | None
    turns: tuple[Turn, ...]


def name_of(value: object) -> str:
    """A row's `id` for people; empty where it has none."""
    found = value.get("id") if isinstance(value, dict) else None
    return str(found)[:MAX_DETAIL] if isinstance(found, str | int) else ""


def read_conversation(value: object) -> Conversation:
    """The conversation of a parsed row.

    As LLaVA's own training does, answers before the first question and a question after the last
    answer are left out, and the marker moves to the start of the first question.

    Raises:
        RowRejected: for a row that is none.
    """
    if not isinstance(value, dict):
        raise RowRejected("bad_row", f"expected an object, found {type(value).__name__}")
    try:
        image = image_of_row(value)
    except BadRowError as error:
        raise RowRejected("bad_row", str(error)) from None
    if image is not None:
        _check_path(image)
    turns = _turns(value.get("conversations"))
    markers = [turn.text.count(IMAGE_MARKER) for turn in turns]
    if image is None:
        if any(markers):
            raise RowRejected("marker", f"{sum(markers)} {IMAGE_MARKER} and no image")
        return Conversation(None, turns)
    if markers[0] != 1 or sum(markers) != 1:
        raise RowRejected(
            "marker", f"expected one {IMAGE_MARKER}, in the first question; found {markers[:20]}"
        )
    question = turns[0].text.replace(IMAGE_MARKER, "").strip()
    first = Turn("user", f"{IMAGE_MARKER}\n{question}".strip())
    return Conversation(image, (first, *turns[1:]))


def _check_path(image: str) -> None:
    parts = PurePosixPath(image).parts
    # Links inside the folder are its owner's: LLaVA's own layout is made of them.
    if image.startswith("/") or ".." in parts or "\\" in image or "\0" in image or not parts:
        raise RowRejected("unsafe_path", repr(image))


def _turns(listed: object) -> tuple[Turn, ...]:
    if not isinstance(listed, list):
        kind = type(listed).__name__
        raise RowRejected("bad_row", f"conversations: expected a list, found {kind}")
    if len(listed) > MAX_TURNS:
        raise RowRejected("bad_turns", f"{len(listed)} turns; the limit is {MAX_TURNS}")
    turns = [_turn(entry) for entry in listed]
    if turns and turns[0].role == "assistant":
        turns = turns[1:]
    if len(turns) % 2:
        turns = turns[:-1]
    for place, turn in enumerate(turns):
        expected = "assistant" if place % 2 else "user"
        if turn.role != expected:
            raise RowRejected("bad_turns", f"turn {place} is the {turn.role}'s")
        if not turn.text.replace(IMAGE_MARKER, "").strip() and not (
            place == 0 and IMAGE_MARKER in turn.text
        ):
            raise RowRejected("empty_turn", f"turn {place}, the {turn.role}'s")
    if not turns:
        raise RowRejected("bad_turns", "there is no question with an answer")
    return tuple(turns)


def _turn(entry: object) -> Turn:
    said = entry.get("value") if isinstance(entry, dict) else None
    speaker = entry.get("from") if isinstance(entry, dict) else None
    if not isinstance(said, str) or not isinstance(speaker, str):
        raise RowRejected("bad_row", f"a turn is {str(entry)!r:.100}; expected {{from, value}}")
    if speaker not in _ROLES:
        raise RowRejected("bad_turns", f"a turn is from {speaker!r:.40}; expected human or gpt")
    _check_text(said)
    return Turn(_ROLES[speaker], said.strip())


def _check_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RowRejected("not_utf8", f"{error.reason} at character {error.start}") from None
