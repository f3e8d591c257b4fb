"""What a model reads of the datastore for one image, and the Parquet files that keep it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from index.pooling import Answer
from tagmine.errors import DatastoreError
from tagmine.layout import atomic_path

GROUP_ROWS = 128
"""Rows of a row group: what one look-up decodes. Small, since training looks up in random order."""


def _needed(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


RETRIEVED_TAG_TYPE = pa.struct(
    [
        _needed("text", pa.string()),
        _needed("kind", pa.string()),
        _needed("votes", pa.int32()),
        _needed("score", pa.float64()),
        _needed("neighbours", pa.list_(pa.int32())),
    ]
)
_NEIGHBOUR_FIELDS = [
    _needed("id", pa.int64()),
    _needed("key", pa.string()),
    _needed("source", pa.string()),
    _needed("score", pa.float32()),
    _needed("captions", pa.list_(pa.string())),
    _needed("datastore", pa.string()),
]
RETRIEVED_NEIGHBOUR_TYPE = pa.struct(_NEIGHBOUR_FIELDS)


def _schema(neighbour: pa.StructType) -> pa.Schema:
    return pa.schema(
        [
            _needed("key", pa.string()),
            _needed("tags", pa.list_(RETRIEVED_TAG_TYPE)),
            _needed("neighbours", pa.list_(neighbour)),
        ]
    )


RETRIEVALS_SCHEMA = _schema(RETRIEVED_NEIGHBOUR_TYPE)
# As it was before several datastores could be asked.
_ONE_DATASTORE_SCHEMA = _schema(pa.struct(_NEIGHBOUR_FIELDS[:-1]))


@dataclasses.dataclass(frozen=True, slots=True)
class RetrievedTag:
    """A tag of the neighbours together.

    Attributes:
        text: its wording.
        kind: as in the tag table: object, attribute, entity, relation or field; or `random` and
            `tagger`, for tags that no datastore gave.
        votes: how many neighbours have it.
        score: the summed cosine of those neighbours over the summed cosine of all, in [0, 1].
        neighbours: their positions in the retrieval, ascending.
    """

    text: str
    kind: str
    votes: int
    score: float
    neighbours: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class RetrievedNeighbour:
    """One image of the datastore.

    Attributes:
        id: its id.
        key: its namespaced key.
        source: the shard it came from, `dataset/shard`.
        score: cosine with the query, in [-1, 1].
        captions: what was said of it.
        datastore: name of the datastore that it is in; "" where only one could be asked.
    """

    id: int
    key: str
    source: str
    score: float
    captions: tuple[str, ...]
    datastore: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Retrieval:
    """The neighbours of one image, nearest first, and their tags, heaviest first."""

    tags: tuple[RetrievedTag, ...]
    neighbours: tuple[RetrievedNeighbour, ...]


EMPTY = Retrieval((), ())
"""Nothing was looked up, or nothing found."""


def retrieval_of_answer(answer: Answer, max_tags: int) -> Retrieval:
    """What a model reads of an answer.

    Tags of one wording, such as an object and an entity, are one tag here, whichever letters are
    capitals: it has the votes of both, and the kind and wording of the heavier.

    Args:
        answer: neighbours and pooled tags, as `Datastore.query` gives them.
        max_tags: how many tags are kept, the heaviest.

    Raises:
        ValueError: for fewer than one tag.
    """
    if max_tags < 1:
        raise ValueError(f"expected max_tags of at least 1, got {max_tags}")
    weights = [neighbour.pull for neighbour in answer.neighbours]
    total = sum(weights)
    tagged = [{tag.merge_key for tag in neighbour.tags} for neighbour in answer.neighbours]
    worded: dict[str, tuple[str, str, set[int]]] = {}
    for pooled in answer.tags:
        tag = pooled.tag
        _, _, voters = worded.setdefault(tag.text.casefold(), (tag.text, tag.kind, set()))
        voters.update(place for place, keys in enumerate(tagged) if tag.merge_key in keys)
    tags = []
    for text, kind, voters in worded.values():
        places = tuple(sorted(voters))
        score = sum(weights[place] for place in places) / total if total else 0.0
        tags.append(RetrievedTag(text, kind, len(places), score, places))
    # Stable: of equal weight, those that the pooling has first.
    tags.sort(key=lambda tag: (-tag.score, -tag.votes))
    neighbours = tuple(
        RetrievedNeighbour(n.id, n.key, n.source, n.score, n.captions, n.datastore)
        for n in answer.neighbours
    )
    return Retrieval(tuple(tags[:max_tags]), neighbours)


def write_retrievals(
    path: Path,
    rows: Iterable[tuple[str, Retrieval]],
    footer: Callable[[int], Mapping[bytes, bytes]] | None = None,
) -> int:
    """Write retrievals by the keys of their images, whole or not at all; returns how many.

    Args:
        path: the Parquet file.
        rows: key and retrieval of each image, each key once; a row group of them is held at once.
        footer: called with the number of rows when all are written, for the file's metadata.
    """
    written = 0
    following = iter(rows)
    with atomic_path(path) as temporary:
        options = {"compression": "zstd", "write_page_checksum": True, "write_statistics": ["key"]}
        with pq.ParquetWriter(temporary, RETRIEVALS_SCHEMA, **options) as writer:
            while group := list(itertools.islice(following, GROUP_ROWS)):
                writer.write_table(_table(group))
                written += len(group)
            if footer is not None:
                writer.add_key_value_metadata(dict(footer(written)))
    return written


def _table(rows: list[tuple[str, Retrieval]]) -> pa.Table:
    columns = {
        "key": [key for key, _ in rows],
        "tags": [list(map(dataclasses.asdict, found.tags)) for _, found in rows],
        "neighbours": [list(map(dataclasses.asdict, found.neighbours)) for _, found in rows],
    }
    return pa.table(columns, schema=RETRIEVALS_SCHEMA)


def open_retrievals(path: Path) -> pq.ParquetFile:
    """A file that `write_retrievals` wrote, memory-mapped and not read yet.

    Raises:
        DatastoreError: for a file that is damaged, or is none.
    """
    try:
        opened = pq.ParquetFile(path, memory_map=True, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from error
    if opened.schema_arrow.remove_metadata() not in (RETRIEVALS_SCHEMA, _ONE_DATASTORE_SCHEMA):
        raise DatastoreError(
            f"{path} holds no retrievals; its columns are {', '.join(opened.schema_arrow.names)}. "
            "Give the folder or a part that tagmine retrieve wrote."
        )
    return opened


def read_retrievals(path: Path) -> Iterator[tuple[str, Retrieval]]:
    """Key and retrieval of each image of a file, in its order.

    Raises:
        DatastoreError: for a file that is damaged, or was not written by `write_retrievals`.
    """
    opened = open_retrievals(path)
    for group in range(opened.num_row_groups):
        for record in read_group(path, opened, group).to_pylist():
            yield record["key"], retrieval_of_record(path, record)


def read_group(
    path: Path, opened: pq.ParquetFile, group: int, columns: list[str] | None = None
) -> pa.Table:
    """A row group of an open file.

    Raises:
        DatastoreError: when it is damaged.
    """
    try:
        return opened.read_row_group(group, columns=columns, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from error


def retrieval_of_record(path: Path, record: dict) -> Retrieval:
    """The retrieval that a row is.

    Raises:
        DatastoreError: for a tag of a neighbour that the row does not have.
    """
    neighbours = tuple(
        RetrievedNeighbour(**{**n, "captions": tuple(n["captions"])}) for n in record["neighbours"]
    )
    tags = tuple(
        RetrievedTag(**{**tag, "neighbours": tuple(tag["neighbours"])}) for tag in record["tags"]
    )
    for tag in tags:
        if any(not 0 <= place < len(neighbours) for place in tag.neighbours):
            raise DatastoreError(
                f"{path}: the tag {tag.text!r} of {record['key']!r} names a neighbour that is not "
                "there. Run tagmine retrieve again into a new folder."
            )
    return Retrieval(tags, neighbours)


def unreadable(path: Path, error: Exception) -> DatastoreError:
    """What is said of a file of retrievals that cannot be read."""
    return DatastoreError(
        f"{path} cannot be read as retrievals ({type(error).__name__}: {error}). Run the same "
        "tagmine retrieve again; it makes damaged parts anew."
    )
