"""What is fuzzed: functions of bytes that may refuse them in the documented way, and nothing else.

Each raises for bytes that show a fault: an exception that a caller would not expect, or a broken
promise.
"""

from __future__ import annotations

import functools
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from index.files import open_index, read_card, read_index
from index.tag_rows import read_tag_rows
from tagmine.archive import HashingReader
from tagmine.captions import SampleRejected
from tagmine.cleaning import clean_caption
from tagmine.embeddings import open_embeddings
from tagmine.errors import DatastoreError
from tagmine.image_text import ImageReader
from tagmine.layout import MANIFEST, SOURCES
from tagmine.manifest import read_manifest
from tagmine.parts import read_tags_footer
from tagmine.rejects import REASONS
from tagmine.samples import Sample, SampleFields, read_samples
from tagmine.sources import Source, read_sources
from tagmine.tagger import load_tagger
from tagmine.vocabulary import open_vocabulary

_LIMITS = {"jpg": 1000, "txt": 1000, "json": 1000}
_JSON_FIELDS = SampleFields(caption_json_fields=("captions", "qa"), tag_fields=("brand",))
_SOURCE = Source(0, "d/s", "/d/s.tar")


def read_shard(data: bytes) -> None:
    """Samples are numbered without a gap, and each that must not be used says why."""
    for wanted in (_LIMITS, {"jpg": 1000}):
        stream = HashingReader(io.BytesIO(data))
        for place, sample in enumerate(read_samples(stream, SampleFields(), wanted)):
            assert sample.position == place
            assert sample.problem is None or sample.problem[0] in REASONS
            assert sum(map(len, sample.members.values())) <= sum(wanted.values())


def read_text(data: bytes) -> None:
    """Captions, structured fields, questions with answers: read, or a reject with a reason."""
    for fields, member in ((SampleFields(), "txt"), (_JSON_FIELDS, "json")):
        sample = Sample(0, "k", {member: data}, (member,))
        try:
            text = ImageReader(fields).read(sample, _SOURCE)
        except SampleRejected as rejected:
            assert rejected.reason in REASONS
        else:
            "".join(caption.text for caption in text.captions).encode()


@functools.cache
def _tagger():
    return load_tagger()


def mine_caption(data: bytes) -> None:
    """Whatever is said, the tags of it are text that can be written."""
    caption = clean_caption(data.decode("utf-8", "replace"))
    (tags,) = _tagger().tag([caption])
    for tag in tags:
        "".join((tag.text, tag.lemma, tag.head, tag.label, *tag.attributes)).encode()


def _with_file(name: str, data: bytes, read: Callable[[Path], object]) -> None:
    with tempfile.TemporaryDirectory(prefix="tagmine-fuzz-") as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        try:
            read(path)
        except DatastoreError as error:
            assert str(error).endswith((".", "…"))


def read_json_files(data: bytes) -> None:
    """The manifest, the list of sources, and the card of an index file."""
    _with_file(MANIFEST, data, lambda path: read_manifest(path.parent).files())
    _with_file(SOURCES, data, lambda path: read_sources(path.parent))
    _with_file("shard-00000.json", data, lambda path: read_card(path.with_suffix(".faiss")))


def read_parquet(data: bytes) -> None:
    """A tags part: its footer, and its rows as `Datastore.rows` reads them."""

    def read(path: Path) -> None:
        read_tags_footer(path)
        read_tag_rows(path, (0, 1), accept=lambda footer: None)

    _with_file("part-00000.parquet", data, read)


def read_arrow(data: bytes) -> None:
    """An embeddings part and a vocabulary."""

    def read_part(path: Path) -> None:
        part = open_embeddings(path)
        try:
            part.keys()
        except pa.ArrowException:
            return
        part.check_rows()

    def read_vocabulary(path: Path) -> None:
        vocabulary = open_vocabulary(path)
        for batch in vocabulary.batches():
            batch.to_pylist()
        vocabulary.look_up([("object", "", "car")])

    _with_file("part-00000.arrow", data, read_part)
    _with_file("tags.arrow", data, read_vocabulary)


def read_faiss(data: bytes) -> None:
    """The header of an index file."""

    def read(path: Path) -> None:
        try:
            # Mapped, FAISS itself crashes where a file breaks off within a number: security.md.
            read_index(path)
            open_index(path)
        except RuntimeError:
            return

    _with_file("shard-00000.faiss", data, read)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "shard": read_shard,
    "text": read_text,
    "caption": mine_caption,
    "json": read_json_files,
    "parquet": read_parquet,
    "arrow": read_arrow,
    "faiss": read_faiss,
}


def text_seeds() -> list[bytes]:
    """Captions and records to begin with."""
    record = {"captions": ["a red car"], "brand": ["Élan"], "qa": [{"q": "What?", "a": "a dog"}]}
    captions = ("A narrow street in Montepulciano, Italy.", "two dogs , no cat", "<PERSON> sits")
    return [json.dumps(record).encode(), *(caption.encode() for caption in captions)]
