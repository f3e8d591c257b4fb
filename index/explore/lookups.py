"""Looks up what is asked, column by column, and asks the model."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from index.explore.asking import PhotoAnswerer
from index.explore.requests import Asked
from index.explore.stores import Query, look_up
from index.explore.views import Column, ModelAnswer, column_of
from tagmine.errors import ConfigurationError, DatastoreError

# Photos may have 89 million pixels, a quarter of a gibibyte each.
_AT_ONCE = 4
_QUESTION_LENGTH = 1000


class Lookups:
    """May be used from several threads: a few look up at once, the model answers one at a time."""

    def __init__(self, answerer: PhotoAnswerer | None) -> None:
        self._answerer = answerer
        self._turns = threading.BoundedSemaphore(_AT_ONCE)
        self._answering = threading.Lock()

    def columns(self, asked: Asked, query: Query) -> tuple[Column, ...]:
        """A column for each arrangement of the datastores; one that fails says why."""
        columns = []
        with self._turns:
            for stores in asked.columns:
                try:
                    columns.append(column_of(stores, look_up(stores, query, asked.k)))
                except DatastoreError as error:
                    columns.append(Column(stores, problem=str(error)))
        return tuple(columns)

    def answers(self, asked: Asked, query: Query, question: str) -> Sequence[ModelAnswer]:
        """What the model answers without tags, and with those of each column.

        Raises:
            ConfigurationError: for no model, or a question that it cannot be asked.
        """
        if self._answerer is None:
            raise ConfigurationError("No model was given; start the page with --model.")
        if not question or len(question) > _QUESTION_LENGTH:
            raise ConfigurationError(f"Ask something, in at most {_QUESTION_LENGTH} characters.")
        with self._answering:
            photo = query.decoded()
            said = self._answerer.answer(photo, question, None)
            answers = [ModelAnswer("", said)]
            for stores in asked.columns:
                title = " + ".join(store.name for store in stores)
                try:
                    found = look_up(stores, query, asked.k)
                except DatastoreError as error:
                    answers.append(ModelAnswer(title, problem=str(error)))
                    continue
                said = self._answerer.answer(photo, question, found.answer)
                answers.append(ModelAnswer(title, said))
        return answers
