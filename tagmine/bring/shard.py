"""Make one shard: rows of the catalogue and their pictures, as a webdataset tar."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import itertools
import json
import re
import tarfile
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tagmine.bring.catalogue import Entry, open_catalogue
from tagmine.bring.folder import ShardCard, read_card, rejects_file, shard_path, write_card
from tagmine.bring.picture import JPEG_QUALITY, Picture
from tagmine.bring.rows import PictureReader, Pictures
from tagmine.captions import SampleRejected
from tagmine.layout import FORMAT_VERSION, atomic_path
from tagmine.manifest import fingerprint
from tagmine.parts import PartFooter, file_sha256, rejects_made_by, write_rejects
from tagmine.rejects import BRING, Reject
from tagmine.sources import Source
from tagmine.stage import PartResult, ReportProgress, ignore_progress

MAX_KEY_CHARACTERS = 200
RULES = ("shards", 2, JPEG_QUALITY, MAX_KEY_CHARACTERS)
"""What decides a shard's bytes beside its rows and pictures; changes with them."""

_READ_TOGETHER = 16
# A clock would change the bytes.
_MODIFIED = 1_700_000_000
_SAFE_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclasses.dataclass(frozen=True, slots=True)
class ShardRows(Source):
    """Some rows of a collection, which become a shard; `url` is the catalogue.

    Attributes:
        start: the first of them.
        stop: the one after the last.
        tag_fields: fields that the JSON of every sample has, null where the row says nothing:
            whoever looks into the first samples must find them.
    """

    start: int = 0
    stop: int = 0
    tag_fields: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class _Sample:
    """A row that is a sample, or why it is none."""

    entry: Entry
    key: str
    picture: Picture | None
    reason: str = ""
    detail: str = ""

    def add_to(self, digest: hashlib._Hash) -> None:
        """Hash all that the sample is made of."""
        entry = self.entry
        words = (entry.captions, entry.fields, entry.image)
        said = json.dumps([entry.row, self.key, *words, self.reason, self.detail])
        digest.update(f"{len(said)}\0{said}".encode())
        if self.picture is not None:
            digest.update(f"{len(self.picture.data)}\0{self.picture.size}\0".encode())
            digest.update(self.picture.data)


def sample_key(entry: Entry) -> str:
    """The key of a sample as webdataset can hold it: other characters than letters, digits, "_"
    and "-" become "%2E" and the like, so that two keys never become one.

    Raises:
        SampleRejected: "bad_key" for one that is too long.
    """
    key = entry.name
    if not _SAFE_KEY.fullmatch(key):
        key = urllib.parse.quote(key, safe="").replace(".", "%2E").replace("~", "%7E")
    if len(key) > MAX_KEY_CHARACTERS:
        detail = f"{len(key):,} characters; the limit is {MAX_KEY_CHARACTERS}"
        raise SampleRejected("bad_key", detail)
    return key


def write_shard(
    root: Path, rows: ShardRows, pictures: Pictures, report: ReportProgress = ignore_progress
) -> PartResult:
    """Make a shard, its rejects and its card, unless current ones are there already.

    Args:
        root: the folder of the shards.
        rows: which rows it is made of.
        pictures: where their pictures are.
        report: told of the progress.

    Returns:
        What the card says, and whether the shard was made now. Its `source_sha256` is a hash of
        the rows and pictures that it was made of.
    """
    maker = fingerprint(RULES)
    card = _finished(root, rows, maker)
    if card is not None and card.footer.source_sha256 == _input_hash(rows, pictures, report):
        return PartResult(rows.part, False, card.footer)
    writer = _ShardWriter(rows, report)
    target = root / shard_path(rows.part)
    with atomic_path(target) as temporary, temporary.open("wb") as stream:
        writer.write(stream, pictures)
    footer = writer.footer(maker)
    write_rejects(root / rejects_file(rows.part), writer.rejects, maker + footer.source_sha256)
    write_card(root, ShardCard(footer, writer.merged, file_sha256(target)))
    return PartResult(rows.part, True, footer)


def _finished(root: Path, rows: ShardRows, maker: str) -> ShardCard | None:
    """The card of a finished shard whose files are sound, else None."""
    card = read_card(root, rows.part)
    if card is None or (card.footer.maker, card.footer.source) != (maker, rows.name):
        return None
    footer = card.footer
    found = rejects_made_by(root / rejects_file(rows.part), maker + footer.source_sha256)
    tar = root / shard_path(rows.part)
    sound = found == sum(footer.rejected.values()) and tar.is_file()
    return card if sound and file_sha256(tar) == card.tar_sha256 else None


def _input_hash(rows: ShardRows, pictures: Pictures, report: ReportProgress) -> str:
    digest, size = hashlib.sha256(), 0
    for count, sample in enumerate(_read(rows, pictures), start=1):
        if sample is not None:
            sample.add_to(digest)
            size += len(sample.picture.data) if sample.picture else 0
        report(size, count)
    return digest.hexdigest()


def _read(rows: ShardRows, pictures: Pictures) -> Iterator[_Sample | None]:
    """Each row with its picture; None for one that an earlier row has merged."""
    with open_catalogue(Path(rows.url)) as catalogue, pictures.open() as reader:
        entries = catalogue.read(rows.start, rows.stop)
        while batch := list(itertools.islice(entries, _READ_TOGETHER)):
            yield from _with_pictures(batch, reader)


def _with_pictures(batch: list[Entry | None], reader: PictureReader) -> Iterator[_Sample | None]:
    wanted = [entry.image for entry in batch if entry is not None and not entry.reason]
    found = iter(reader.read(wanted))
    for entry in batch:
        if entry is None:
            yield None
        elif entry.reason:
            yield _Sample(entry, entry.name, None, entry.reason, entry.detail)
        else:
            yield _sample(entry, next(found))


def _sample(entry: Entry, picture: Picture | SampleRejected) -> _Sample:
    try:
        key = sample_key(entry)
        if isinstance(picture, SampleRejected):
            raise picture
    except SampleRejected as rejected:
        return _Sample(entry, entry.name, None, rejected.reason, rejected.detail)
    return _Sample(entry, key, picture)


class _ShardWriter:
    """Writes the samples of a shard, and keeps its rejects until the tar is closed."""

    def __init__(self, rows: ShardRows, report: ReportProgress) -> None:
        self._rows = rows
        self._report = report
        self._digest = hashlib.sha256()
        self._bytes = self._written = self.merged = 0
        self.rejects: list[Reject] = []

    def write(self, stream: BinaryIO, pictures: Pictures) -> None:
        # webdataset's own writer imports torch, in every worker.
        with tarfile.open(fileobj=stream, mode="w") as tar:
            self._write_samples(tar, pictures)

    def _write_samples(self, tar: tarfile.TarFile, pictures: Pictures) -> None:
        for count, sample in enumerate(_read(self._rows, pictures), start=1):
            self._report(self._bytes, count)
            if sample is None:
                self.merged += 1
                continue
            sample.add_to(self._digest)
            self._bytes += len(sample.picture.data) if sample.picture else 0
            try:
                members = _members(sample, self._rows.tag_fields)
            except SampleRejected as rejected:
                self._reject(sample, rejected)
                continue
            for extension, data in members.items():
                _add(tar, f"{sample.key}.{extension}", data)
            self._written += 1

    def _reject(self, sample: _Sample, rejected: SampleRejected) -> None:
        key = f"{self._rows.name}/{sample.key}"
        row = sample.entry.row
        self.rejects.append(Reject(row, key, BRING, rejected.reason, rejected.detail))

    def footer(self, maker: str) -> PartFooter:
        reasons = Counter(reject.reason for reject in self.rejects)
        return PartFooter(
            format_version=FORMAT_VERSION,
            stage=BRING,
            part=self._rows.part,
            source=self._rows.name,
            source_sha256=self._digest.hexdigest(),
            source_bytes=self._bytes,
            samples="",
            maker=maker,
            read=self._written + len(self.rejects),
            written=self._written,
            rejected=dict(sorted(reasons.items())),
        )


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(data), 0o444, _MODIFIED
    info.uname = info.gname = "tagmine"
    tar.addfile(info, io.BytesIO(data))


def _members(sample: _Sample, tag_fields: tuple[str, ...]) -> dict[str, bytes]:
    """The members of a sample, by extension.

    Raises:
        SampleRejected: for a sample that is none.
    """
    if sample.picture is None:
        raise SampleRejected(sample.reason, sample.detail)
    extension, data = sample.picture.as_file()
    captions = sample.entry.captions
    record = {**dict.fromkeys(tag_fields), "key": sample.key, "caption": captions[0]}
    record |= sample.entry.fields
    record["captions"] = list(captions)
    return {
        extension: data,
        "txt": captions[0].encode(),
        "json": json.dumps(record, ensure_ascii=False).encode(),
    }
