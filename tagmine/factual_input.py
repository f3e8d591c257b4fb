"""Captions in pieces that a model of limited input can read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

_STOPS = frozenset({".", "!", "?"})
_CLAUSE_ENDS = frozenset({",", ";", ":", "-", "--", "–", "—", "...", "…"})
_CLAUSE_STARTERS = frozenset({"CCONJ", "SCONJ"})
_RELATIVE_TAGS = frozenset({"WDT", "WP", "WP$", "WRB"})


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """Part of a caption that a model reads at once.

    Attributes:
        start: its first token.
        end: one past its last token.
        is_whole: False where it ends within a clause, or is one word beyond the budget.
    """

    start: int
    end: int
    is_whole: bool = True


def split_caption(doc: Doc, costs: Sequence[int], budget: int) -> list[Piece]:
    """Cuts a caption into pieces, each as long as the budget allows; every token is in one.

    A piece ends where a sentence does, else where a clause seems to (a comma, a conjunction, a
    relative pronoun), else between two words.

    Args:
        doc: the parsed caption, with sentence starts.
        costs: what each of its tokens takes of the budget.
        budget: what a piece may take, at least 1.
    """
    sums = [0, *accumulate(costs)]
    pieces: list[Piece] = []
    start = 0
    while start < len(doc):
        limit = start + 1
        while limit < len(doc) and sums[limit + 1] - sums[start] <= budget:
            limit += 1
        end = limit if limit == len(doc) else _border(doc, start, limit)
        fits = sums[limit] - sums[start] <= budget
        pieces.append(Piece(start, end or limit, is_whole=end is not None and fits))
        start = end or limit
    return pieces


def _border(doc: Doc, start: int, limit: int) -> int | None:
    """The last border of sentences in (start, limit], else that of clauses."""
    for is_border in (_follows_stop, _starts_sentence, _starts_clause):
        for i in range(limit, start, -1):
            if is_border(doc[i - 1], doc[i]):
                return i
    return None


def _follows_stop(before: Token, token: Token) -> bool:
    return before.text in _STOPS and token.text not in _STOPS


def _starts_sentence(before: Token, token: Token) -> bool:
    # Less sure than a full stop: a small parser starts a sentence too early now and then.
    return bool(token.is_sent_start)


def _starts_clause(before: Token, token: Token) -> bool:
    return (
        before.text in _CLAUSE_ENDS
        or token.pos_ in _CLAUSE_STARTERS
        or token.tag_ in _RELATIVE_TAGS
    )
