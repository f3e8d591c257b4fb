"""Index files and the cards beside them, which say what each was made from."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import faiss

from tagmine.layout import atomic_path, card_path, write_atomically
from tagmine.parts import file_sha256


@dataclasses.dataclass(frozen=True, slots=True)
class IndexFileCard:
    """What an index file was made from; it stands beside the file, as JSON.

    Attributes:
        format_version: the format that it follows.
        index_key: FAISS factory string.
        parts: numbers of the parts whose vectors it holds; for the trained index, those that
            its sample was drawn from.
        vectors: how many it holds; for the trained index, how many it was trained on.
        maker: fingerprint of all that decides the file's bytes.
        sha256: hash of the index file.
        thinned: of the trained index, how many images were taken out of its parts since; absent
            from the file where there are none.
    """

    format_version: int
    index_key: str
    parts: tuple[int, ...]
    vectors: int
    maker: str
    sha256: str
    thinned: int = 0


def write_index(target: Path, index: faiss.Index, card: IndexFileCard) -> None:
    """Write an index file and then its card, whose hash is filled in here."""
    # The card last: a file whose card does not fit it is made again.
    with atomic_path(target) as temporary:
        faiss.write_index(index, str(temporary))
    write_card(target, dataclasses.replace(card, sha256=file_sha256(target)))


def write_card(index_file: Path, card: IndexFileCard) -> None:
    """Write the card beside an index file."""
    record = dataclasses.asdict(card)
    if not card.thinned:
        del record["thinned"]
    text = json.dumps(record, indent=1) + "\n"
    write_atomically(index_file.with_suffix(".json"), text.encode())


def read_card(index_file: Path, maker: str | None = None) -> IndexFileCard | None:
    """The card of an index file that is whole and, if given, made by `maker`; else None."""
    path = Path(card_path(str(index_file)))
    try:
        record = json.loads(path.read_bytes())
        card = IndexFileCard(**{**record, "parts": tuple(record["parts"])})
        whole = card.sha256 == file_sha256(index_file)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return card if whole and maker in (None, card.maker) else None
