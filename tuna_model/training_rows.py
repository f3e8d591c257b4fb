"""Which rows of an instruction file are trained on: checked before any step is taken."""

from __future__ import annotations

import collections
import dataclasses
import json
import re
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from torch.utils.data import DataLoader, Dataset

from tagmine.errors import ConfigurationError
from tagmine.layout import atomic_path
from tuna_model.instruction_file import BadRow, RowPlace, RowReader, row_places
from tuna_model.instruction_rows import RowRejected, name_of

ROWS_FILE = "rows.parquet"
REJECTS_FILE = "rejects.parquet"

_ROWS_SCHEMA = pa.schema(
    [
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("tokens", pa.int32(), nullable=False),
        pa.field("image", pa.bool_(), nullable=False),
    ]
)
REJECTS_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
    ]
)
_ORIGIN, _REJECTED = b"tagmine.origin", b"tagmine.rejected"
_BATCH = 64
_HASH = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{56}\b")
_REJECTS_AT_ONCE = 4096


@dataclasses.dataclass(frozen=True, slots=True)
class Checked:
    """What a check found of a row that can be trained on: its tokens, and if it has an image."""

    tokens: int
    image: bool


class RowCheck(Protocol):
    """Says whether a parsed row can be trained on; picklable."""

    def check(self, value: object) -> Checked:
        """Raises RowRejected where it cannot."""


@dataclasses.dataclass(frozen=True, slots=True)
class TrainingRows:
    """The rows that are trained on, in the file's order.

    Attributes:
        offsets, lengths: each row's bytes in the instruction file.
        tokens: how long each is for the model.
        images: 1 for a row with an image, else 0.
        rejected: how many rows were left out, by reason.
    """

    offsets: array
    lengths: array
    tokens: array
    images: array
    rejected: Mapping[str, int]

    @property
    def read(self) -> int:
        """How many rows the file has."""
        return len(self.offsets) + sum(self.rejected.values())

    def __len__(self) -> int:
        return len(self.offsets)

    def place(self, row: int) -> RowPlace:
        return RowPlace(self.offsets[row], self.lengths[row])


def prepare_rows(
    data: Path, check: RowCheck, folder: Path, origin: Mapping[str, object], workers: int
) -> TrainingRows:
    """Check each row of `data`; write `rows.parquet` and `rejects.parquet` in `folder`.

    Args:
        data: LLaVA's instruction file.
        check: sent to the workers.
        folder: where the two files go; each is written whole or not at all.
        origin: what the rows are made of and how, for `load_rows`.
        workers: processes that check; 0 checks in this one.

    Raises:
        ConfigurationError: for a file that cannot be read, or one without a row to train on.
    """
    candidates = _Candidates(data, check)
    rows = TrainingRows(array("q"), array("q"), array("i"), array("b"), collections.Counter())
    loader = DataLoader(candidates, _BATCH, num_workers=workers, collate_fn=_Outcomes)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / REJECTS_FILE) as path, _RejectsWriter(path) as rejects:
        for number, outcome in enumerate(o for outcomes in loader for o in outcomes.listed):
            if isinstance(outcome, Checked):
                place = candidates.place(number)
                rows.offsets.append(place.offset)
                rows.lengths.append(place.length)
                rows.tokens.append(outcome.tokens)
                rows.images.append(outcome.image)
            else:
                rows.rejected[outcome.reason] += 1
                rejects.write(number, outcome)
    _write_rows(folder / ROWS_FILE, rows, origin)
    if not len(rows):
        raise ConfigurationError(
            f"{data}: none of its {rows.read} rows can be trained on ({reasons(rows) or 'empty'}). "
            f"{folder / REJECTS_FILE} says what is wrong with each."
        )
    return rows


def load_rows(folder: Path, origin: Mapping[str, object]) -> TrainingRows:
    """The rows that `prepare_rows` wrote, for a training that goes on.

    Raises:
        ConfigurationError: where they were made of something else, or are not there.
    """
    path = folder / ROWS_FILE
    if not path.is_file():
        raise ConfigurationError(
            f"{path}: there is no such file, so nothing says which rows the training had. Start "
            "again without --resume, in another --output."
        )
    table = pq.read_table(path)
    metadata = table.schema.metadata
    then = json.loads(metadata[_ORIGIN])
    changed = sorted(name for name in {*then, *origin} if then.get(name) != origin.get(name))
    if changed:
        name = changed[0]
        was, now = (_HASH.sub(r"sha256 \1…", str(one.get(name))) for one in (then, origin))
        raise ConfigurationError(
            f"--resume: {', '.join(changed)} is not what the training began with ({name} was "
            f"{was}, is {now}). Give what it began with, or start again "
            "in another --output."
        )
    columns = [table[name].to_numpy() for name in table.column_names]
    kinds = ("q", "q", "i", "b")
    arrays = [array(kind, column.tolist()) for kind, column in zip(kinds, columns, strict=True)]
    return TrainingRows(*arrays, json.loads(metadata[_REJECTED]))


def reasons(rows: TrainingRows) -> str:
    """The counts of rejects for people, commonest first."""
    counted = collections.Counter(rows.rejected).most_common()
    return ", ".join(f"{reason} {count:,}" for reason, count in counted)


def _write_rows(path: Path, rows: TrainingRows, origin: Mapping[str, object]) -> None:
    rejected = dict(sorted(rows.rejected.items()))
    metadata = {_ORIGIN: json.dumps(dict(origin), sort_keys=True), _REJECTED: json.dumps(rejected)}
    columns = [rows.offsets, rows.lengths, rows.tokens, [bool(image) for image in rows.images]]
    schema = _ROWS_SCHEMA.with_metadata(metadata)
    with atomic_path(path) as temporary:
        pq.write_table(pa.table(columns, schema=schema), temporary)


@dataclasses.dataclass(frozen=True, slots=True)
class _Reject:
    name: str
    reason: str
    detail: str


class _Outcomes:
    """A batch that torch's pinning and collating leave alone."""

    def __init__(self, listed: list[Checked | _Reject]) -> None:
        self.listed = listed


class _Candidates(Dataset):
    """All rows of a file; an item is the outcome of its check."""

    def __init__(self, data: Path, check: RowCheck) -> None:
        self._offsets, self._lengths = array("q"), array("q")
        for place in row_places(data):
            self._offsets.append(place.offset)
            self._lengths.append(place.length)
        self._reader, self._check = RowReader(data), check

    def __len__(self) -> int:
        return len(self._offsets)

    def place(self, number: int) -> RowPlace:
        return RowPlace(self._offsets[number], self._lengths[number])

    def __getitem__(self, number: int) -> Checked | _Reject:
        value: object = None
        try:
            value = self._reader.read(self.place(number))
            return self._check.check(value)
        except BadRow as error:
            return _Reject("", "bad_json", str(error))
        except RowRejected as error:
            return _Reject(name_of(value), error.reason, error.detail)


class _RejectsWriter:
    """Parquet of rejects, written as they come."""

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(path, REJECTS_SCHEMA)
        self._rows: list[dict[str, object]] = []

    def write(self, number: int, reject: _Reject) -> None:
        # What is not Unicode can be a reason, and Parquet holds Unicode only.
        name, detail = (
            text.encode("utf-8", "backslashreplace").decode()
            for text in (reject.name, reject.detail)
        )
        self._rows.append({"row": number, "id": name, "reason": reject.reason, "detail": detail})
        if len(self._rows) >= _REJECTS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=REJECTS_SCHEMA))
        self._rows.clear()

    def __enter__(self) -> _RejectsWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self._flush()
        self._writer.close()
