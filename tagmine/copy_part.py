"""Copy a part of one datastore into another: renumbered, perhaps in part, without its shard."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tagmine.embeddings import EmbeddingsPart, open_embeddings, write_embeddings
from tagmine.errors import DatastoreError
from tagmine.layout import (
    POSITION_BITS,
    atomic_path,
    embeddings_path,
    rejects_path,
    sample_id,
    tags_path,
)
from tagmine.manifest import PartCard, fingerprint
from tagmine.parts import (
    ROW_GROUP_ROWS,
    TAGS_SCHEMA,
    PartFooter,
    file_sha256,
    read_tags_footer,
    write_rejects,
)
from tagmine.rejects import STAGES, Reject
from tagmine.row_origins import (
    OriginsFooter,
    origins_among,
    origins_of,
    origins_path,
    read_origins,
    read_origins_footer,
    write_origins,
)
from tagmine.select_rows import select_ids
from tagmine.sources import Source
from tagmine.stage import PartResult, ReportProgress, ignore_progress

_POSITION = (1 << POSITION_BITS) - 1
# Below what a reader takes for a row group, however long the captions.
_GROUP_BYTES = 1 << 26
_LOW = "low_clip_score"
_REMOVED = "removed"


@dataclasses.dataclass(frozen=True, slots=True)
class PartCopy:
    """What becomes of a part.

    Attributes:
        root: folder of the datastore that it is in.
        datastore: what origins call that datastore.
        card: the part.
        source: its new number and name, and where its shard was.
        tags_maker, embed_maker: what the copy's footers say made it.
        scored: whether CLIP scores are kept.
        drop_low: whether images that the index left out for their score are rejects of embed now,
            since the new index has no such limit.
        hidden: ids that were taken out of the datastore; they are counted, and listed nowhere.
        where: SQL condition of the rows that are copied, which are then counted from 0; None for
            all, which keep their positions.
    """

    root: str
    datastore: str
    card: PartCard
    source: Source
    tags_maker: str
    embed_maker: str
    scored: bool
    drop_low: bool
    hidden: tuple[int, ...] = ()
    where: str | None = None

    @property
    def fingerprint(self) -> str:
        """Of all that decides the copy's bytes."""
        inputs = [self.card.tags, self.card.embeddings, *self.card.rejects]
        inputs += [self.card.origins] if self.card.origins else []
        plain = dataclasses.replace(self, root="", card=None)
        return fingerprint("copy", [card.sha256 for card in inputs], dataclasses.asdict(plain))


def copy_part(out: Path, copy: PartCopy, report: ReportProgress = ignore_progress) -> PartResult:
    """Make a copied part, unless it is there already.

    The file of origins is written last, and finishes it. A part of which no row is chosen is not
    written at all.

    Args:
        out: folder of the new datastore.
        copy: what becomes of the part.
        report: told of the rows that were read.

    Returns:
        The footer of its tags, of nothing where no row is chosen, and whether it was made now.

    Raises:
        DatastoreError: for a part that is damaged.
        ConfigurationError: for a condition that cannot be evaluated.
    """
    part = copy.source.part
    if is_copied(out, copy):
        return PartResult(part, False, read_tags_footer(out / tags_path(part)))
    return PartResult(part, True, _Copier(out, copy, report).run())


def is_copied(out: Path, copy: PartCopy) -> bool:
    """Whether a finished copy is there, and its files are what was written."""
    try:
        footer = read_origins_footer(out / origins_path(copy.source.part))
        return footer.copy == copy.fingerprint and all(
            file_sha256(out / path) == sha256 for path, sha256 in footer.files.items()
        )
    except (DatastoreError, OSError):
        return False


def was_copied(out: Path, copy: PartCopy) -> bool:
    """Whether a copy was finished; its other files are not looked at."""
    path = out / origins_path(copy.source.part)
    return path.is_file() and read_origins_footer(path).copy == copy.fingerprint


def renamed(copy: PartCopy, keys: pa.Array) -> pa.Array:
    """Keys [n] of the part, as its copy has them."""
    old, new = copy.card.source + "/", copy.source.name + "/"
    if old == new:
        return keys
    within = pc.utf8_slice_codeunits(keys, len(old))
    return pc.if_else(pc.starts_with(keys, old), pc.binary_join_element_wise(new, within, ""), keys)


class _Copier:
    """The files of one copy, one after the other."""

    def __init__(self, out: Path, copy: PartCopy, report: ReportProgress) -> None:
        self._out = out
        self._copy = copy
        self._root = Path(copy.root)
        self._part = copy.source.part
        self._hidden = np.array(copy.hidden, np.int64)
        self._tags = self._root / copy.card.tags.path
        self._chosen: np.ndarray | None = None
        self._report = report

    def run(self) -> PartFooter:
        copy = self._copy
        footer = read_tags_footer(self._tags)
        embeddings = open_embeddings(self._root / copy.card.embeddings.path)
        embeddings.check_rows()
        if copy.where is not None:
            self._chosen = self._live(select_ids(self._tags, copy.where))
            if not len(self._chosen):
                return self._footer(footer, 0, Counter(), copy.tags_maker)
        tag_ids, made = self._copy_tags(footer)
        embedded = self._copy_embeddings(embeddings)
        self._write_origins(np.union1d(tag_ids, embedded), embeddings.footer.source_sha256)
        return made

    def _live(self, ids: np.ndarray) -> np.ndarray:
        """Those that are copied, of ids of the part."""
        live = ids[~np.isin(ids, self._hidden)]
        return live if self._chosen is None else live[np.isin(live, self._chosen)]

    def _renumber(self, ids: np.ndarray) -> np.ndarray:
        """The new ids of ids that are copied."""
        chosen = self._chosen
        positions = ids & _POSITION if chosen is None else np.searchsorted(chosen, ids)
        return positions + sample_id(self._part, 0)

    def _copy_tags(self, footer: PartFooter) -> tuple[np.ndarray, PartFooter]:
        """Write tags and rejects of mine; returns the old ids of the rows, and the footer."""
        target = self._out / tags_path(self._part)
        rejects, counts = self._rejects("mine", footer)
        ids = [np.empty(0, np.int64)]
        with atomic_path(target) as temporary:
            options = {"compression": "zstd", "write_page_checksum": True}
            with pq.ParquetWriter(temporary, TAGS_SCHEMA, **options) as writer:
                for table in _regroup(self._live_rows()):
                    ids.append(table.column("id").to_numpy())
                    self._report(0, sum(map(len, ids)))
                    writer.write_table(self._renumbered(table))
                old = np.concatenate(ids)
                made = self._footer(footer, len(old), counts, self._copy.tags_maker)
                writer.add_key_value_metadata(made.to_metadata())
        self._write_rejects("mine", rejects, made)
        return old, made

    def _live_rows(self) -> Iterator[pa.Table]:
        """The rows of the tag table that are copied, as they are."""
        try:
            with pq.ParquetFile(self._tags, page_checksum_verification=True) as file:
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group)
                    ids = table.column("id").to_numpy()
                    yield table.filter(pa.array(np.isin(ids, self._live(ids))))
        except (OSError, pa.ArrowException) as error:
            raise DatastoreError(
                f"{self._tags} cannot be read: {error}. Run tagmine verify {self._root} to see "
                "what else is damaged."
            ) from error

    def _renumbered(self, table: pa.Table) -> pa.Table:
        columns = {name: table.column(name) for name in table.schema.names}
        columns["id"] = pa.array(self._renumber(table.column("id").to_numpy()))
        columns["key"] = renamed(self._copy, table.column("key").combine_chunks())
        columns["source"] = pa.array([self._copy.source.name] * table.num_rows, pa.string())
        return pa.table(columns, schema=TAGS_SCHEMA)

    def _copy_embeddings(self, part: EmbeddingsPart) -> np.ndarray:
        """Write embeddings and rejects of embed; returns the old ids of the rows."""
        rejects, counts = self._rejects("embed", part.footer)
        low = self._low_scores() if self._copy.drop_low else []
        rejects = sorted([*rejects, *low], key=lambda reject: reject.id)
        counts[_LOW] += len(low)
        ids = self._live(part.ids)
        left = np.array([reject.id for reject in low], np.int64)
        kept = ids[~np.isin(self._renumber(ids), left)]
        rows = part.rows_of(kept)
        whole = len(rows) == len(part.ids)
        keys = renamed(self._copy, part.keys().take(pa.array(rows))).to_pylist()
        scores = part.clip_scores() if self._copy.scored else None
        footer = self._footer(part.footer, len(kept), counts, self._copy.embed_maker)
        write_embeddings(
            self._out / embeddings_path(self._part),
            self._renumber(kept),
            keys,
            part.vectors if whole else part.vectors[rows],
            footer,
            None if scores is None else scores[rows],
        )
        self._write_rejects("embed", rejects, footer)
        return kept

    def _low_scores(self) -> list[Reject]:
        found = self._read_rejects("index")
        return [dataclasses.replace(r, stage="embed") for r in found if r.reason == _LOW]

    def _rejects(self, stage: str, footer: PartFooter) -> tuple[list[Reject], Counter[str]]:
        """The rejects that are copied, and how many there are for each reason.

        Samples that were taken out before are counted in the footer alone.
        """
        rejects = self._read_rejects(stage)
        if self._chosen is not None:
            return rejects, Counter(reject.reason for reject in rejects)
        counts = Counter(footer.rejected)
        counts.subtract(Counter(self._reasons_of_hidden(stage)))
        counts[_REMOVED] += len(self._hidden)
        return rejects, counts

    def _reasons_of_hidden(self, stage: str) -> list[str]:
        table = self._rejects_table(stage)
        hidden = np.isin(table.column("id").to_numpy(), self._hidden)
        return table.column("reason").filter(pa.array(hidden)).to_pylist()

    def _read_rejects(self, stage: str) -> list[Reject]:
        """Those of a stage that are copied, under their new ids and keys."""
        table = self._rejects_table(stage)
        ids = table.column("id").to_numpy()
        table = table.filter(pa.array(np.isin(ids, self._live(ids))))
        keys = renamed(self._copy, table.column("key").combine_chunks())
        new = self._renumber(table.column("id").to_numpy()).tolist()
        rest = [table.column(name).to_pylist() for name in ("stage", "reason", "detail")]
        return [Reject(*values) for values in zip(new, keys.to_pylist(), *rest, strict=True)]

    def _rejects_table(self, stage: str) -> pa.Table:
        path = self._root / self._copy.card.rejects[STAGES.index(stage)].path
        try:
            return pq.read_table(path, page_checksum_verification=True)
        except (OSError, pa.ArrowException) as error:
            raise DatastoreError(f"{path} cannot be read: {error}.") from error

    def _footer(
        self, footer: PartFooter, written: int, counts: Counter[str], maker: str
    ) -> PartFooter:
        rejected = {reason: count for reason, count in sorted(counts.items()) if count}
        chosen = {}
        if self._chosen is not None:
            # Its positions are no longer those of the shard's samples.
            samples = fingerprint("subset", footer.samples, self._copy.where)
            chosen = {"samples": samples, "captions_dropped": {}, "annotated": 0}
        return dataclasses.replace(
            footer,
            part=self._part,
            source=self._copy.source.name,
            maker=maker,
            read=footer.read if self._chosen is None else len(self._chosen),
            written=written,
            rejected=rejected,
            **chosen,
        )

    def _write_rejects(self, stage: str, rejects: list[Reject], footer: PartFooter) -> None:
        path = self._out / rejects_path(stage, self._part)
        write_rejects(path, rejects, footer.maker + footer.source_sha256)

    def _write_origins(self, ids: np.ndarray, source_sha256: str) -> None:
        copy = self._copy
        if copy.card.origins:
            found = origins_among(read_origins(self._root / copy.card.origins.path), ids)
        else:
            found = origins_of(ids, copy.datastore, copy.card.source)
        new = pa.array(self._renumber(found.column("id").to_numpy()))
        written = [tags_path(self._part), embeddings_path(self._part)]
        written += [rejects_path(stage, self._part) for stage in ("mine", "embed")]
        hashes = {path: file_sha256(self._out / path) for path in written}
        footer = OriginsFooter(copy.fingerprint, source_sha256, copy.tags_maker, hashes)
        table = found.set_column(0, "id", new)
        write_origins(self._out / origins_path(self._part), table, footer)


def _regroup(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables of a row group each, in one array a column."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        rows, size = sum(t.num_rows for t in waiting), sum(t.nbytes for t in waiting)
        if rows >= ROW_GROUP_ROWS or size >= _GROUP_BYTES:
            joined = pa.concat_tables(waiting)
            yield joined.slice(0, ROW_GROUP_ROWS).combine_chunks()
            waiting = [joined.slice(ROW_GROUP_ROWS)]
    rest = pa.concat_tables(waiting) if waiting else None
    if rest is not None and rest.num_rows:
        yield rest.combine_chunks()
