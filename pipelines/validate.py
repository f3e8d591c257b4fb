"""`tagmine validate`: measure a datastore against exact search, and write its report."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from rich.console import Console

from index.card import write_card
from index.encoder import Encoder, load_encoder
from index.exact import Neighbours
from index.gate_words import measured_value
from index.pictures import read_from_shards, thumbnail
from index.queries import Queries, stored_queries
from index.reembed import SameEmbedding, embed_again
from index.report import GalleryEntry, Gate, Report
from index.report_file import without_pictures, write_report
from index.report_page import write_page
from index.search import Datastore, open_datastore
from index.shard_health import searched_files
from index.validation import Measured, Outcome, Settings, make_report, measure
from pipelines.exact_search import QUERIES, ExactJob, build, read_results
from pipelines.job_log import JobCounts, log_job
from pipelines.progress import Watch
from pipelines.query_shards import (
    QueryShards,
    embed_queries,
    encoder_name,
    plan_query_shards,
    wrong_encoder,
)
from pipelines.runner import check_runner, is_local, run_job
from pipelines.validate_options import ValidateOptions
from tagmine.errors import ConfigurationError, DatastoreError, TagmineError
from tagmine.layout import MANIFEST, locked
from tagmine.manifest import Manifest, read_manifest
from tagmine.opened import local_folder
from tagmine.parts import file_sha256
from tagmine.samples import datastore_fields
from tagmine.sources import Source, read_sources
from tagmine.stores import is_remote, open_store

_SCRATCH = ".validate-"
# Files of strangers with true hashes may still be junk to Arrow.
_UNREADABLE = (DatastoreError, pa.ArrowException)


class ValidationFailedError(TagmineError):
    """The report is written, and its verdict is red."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Encoding:
    """The encoder, or why there is none: `wrong` where it is another than the manifest pins."""

    encoder: Encoder | None
    missing: str = ""
    wrong: str = ""


def run(options: ValidateOptions, console: Console) -> None:
    """Measure, write report.json and index.html, print the verdict.

    Raises:
        ConfigurationError: for queries or a report folder that cannot be used.
        DatastoreError: for a folder that is no datastore.
        ValidationFailedError: when a gate fails; the report is there.
    """
    check_runner(options.runner)
    if not is_remote(options.datastore):
        _run(options, console)
        return
    if not is_local(options.runner):
        raise ConfigurationError(
            f"{options.datastore}: a datastore in an object store is validated by the local "
            "runner. Copy it with tagmine pull to a folder that all workers see."
        )
    root = local_folder(options.datastore).absolute()
    local = dataclasses.replace(options, datastore=str(root))
    if options.out is not None:
        _run(local, console)
        return
    with tempfile.TemporaryDirectory(prefix="tagmine-report-") as folder:
        _run(dataclasses.replace(local, out=folder), console, options.datastore)


def _run(options: ValidateOptions, console: Console, url: str | None = None) -> None:
    """Validate a folder; its report goes to `url`, without pictures, where one is given."""
    root = Path(options.datastore).absolute()
    manifest = read_manifest(root)
    sha256 = file_sha256(root / MANIFEST)
    shards = plan_query_shards(options, manifest) if options.queries else None
    folder = _report_folder(options, root)
    encoding = _load_encoder(options, manifest)
    with _scratch(folder) as scratch:
        outcome = _validate(options, manifest, sha256, shards, encoding, scratch, console)
    if file_sha256(root / MANIFEST) != sha256:
        raise DatastoreError(f"{root} was changed while it was validated. Run validate again.")
    report = make_report(outcome, _settings(options))
    if url is not None:
        report = without_pictures(report)
    write_report(folder / "report.json", report)
    write_page(report, folder / "index.html")
    if folder == root / "report":
        write_card(root)
    if url is not None:
        store = open_store(url, "the datastore")
        for name in ("report.json", "index.html"):
            store.put(folder / name, f"report/{name}")
    place = str(folder) if url is None else f"{url}/report"
    _print_report(console, report, place)
    if not report.passed:
        failed = [gate.name for gate in report.gates if not gate.passed]
        raise ValidationFailedError(
            f"{url or root} does not pass: {'; '.join(failed)}. See {place}/index.html"
        )


def _settings(options: ValidateOptions) -> Settings:
    return Settings(
        options.ks,
        options.at,
        options.limits,
        options.duplicate_cosine,
        options.gallery,
        options.seed,
    )


def _report_folder(options: ValidateOptions, root: Path) -> Path:
    folder = Path(options.out).absolute() if options.out else root / "report"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"--out {folder}: the folder cannot be made ({error.strerror}). Give one that you may "
            "write to."
        ) from error
    return folder


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder for queries and results, where workers can see it; a killed one's is removed."""
    with locked(folder):
        for left in folder.glob(f"{_SCRATCH}*"):
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=folder) as scratch:
            yield Path(scratch)


def _load_encoder(options: ValidateOptions, manifest: Manifest) -> _Encoding:
    try:
        encoder = load_encoder(encoder_name(options.datastore, options.clip_model, manifest))
    except ConfigurationError as error:
        # Stored images have their vectors; only what is embedded now needs the model.
        if options.queries or options.clip_model:
            raise
        return _Encoding(None, missing=f"the encoder cannot be loaded ({error})")
    if encoder.card.fingerprint == manifest.encoder.fingerprint:
        return _Encoding(encoder)
    wrong = wrong_encoder(manifest, encoder.card.weights_sha256, encoder.card.clip_model)
    if options.clip_model:
        raise DatastoreError(f"--clip-model {options.clip_model}: {wrong}.")
    return _Encoding(None, wrong=wrong)


def _validate(
    options: ValidateOptions,
    manifest: Manifest,
    sha256: str,
    shards: QueryShards | None,
    encoding: _Encoding,
    scratch: Path,
    console: Console,
) -> Outcome:
    root = Path(options.datastore).absolute()
    settings = _settings(options)
    datastore, trouble = _open(root)
    queries, cautions = None, []
    if datastore is not None and not (shards and encoding.wrong):
        queries, cautions, trouble = _make_queries(options, datastore, shards, scratch, console)
    truth, parts, health = _run_job(options, manifest, queries, settings, scratch)
    measured = Measured()
    same = SameEmbedding(0, None, "")
    sources = read_sources(root)
    if datastore is not None:
        if encoding.encoder is not None and not trouble:
            fields = datastore_fields(manifest.tagger)
            with contextlib.suppress(*_UNREADABLE):  # the job has named the part
                same = embed_again(datastore, encoding.encoder, sources, fields, options.seed)
        if queries is not None and len(queries):
            measured, trouble = _measure(datastore, queries, truth, settings)
    if measured.gallery and queries is not None:
        measured = _with_pictures(measured, queries, sources, shards, manifest)
    return Outcome(
        manifest=manifest,
        manifest_sha256=sha256,
        queries=queries,
        held_out=shards is not None,
        measured=measured,
        shards=health,
        trouble=trouble,
        parts=parts,
        encoder=encoding.wrong,
        same_embedding=same.lowest,
        worst_part=same.source,
        not_embedded=encoding.missing or "none of its pictures can be read from their shards",
        notes=tuple(_notes(measured, same)),
        cautions=(*cautions, *_cautions(shards, measured, queries)),
    )


def _open(root: Path) -> tuple[Datastore | None, str]:
    """The datastore, or why it does not open."""
    try:
        datastore = open_datastore(root)
        len(datastore.vocabulary)
    except DatastoreError as error:
        return None, str(error)
    return datastore, ""


def _make_queries(
    options: ValidateOptions,
    datastore: Datastore,
    shards: QueryShards | None,
    scratch: Path,
    console: Console,
) -> tuple[Queries | None, list[str], str]:
    """The queries, cautions, and why a damaged datastore has none."""
    if shards is not None:
        folder = scratch / "queries"
        folder.mkdir()
        return *embed_queries(options, shards, datastore, folder, console), ""
    try:
        return stored_queries(datastore, options.sample or 1, options.seed), [], ""
    except _UNREADABLE as error:
        return None, [], str(error)


def _run_job(
    options: ValidateOptions,
    manifest: Manifest,
    queries: Queries | None,
    settings: Settings,
    scratch: Path,
):
    dim = manifest.index.dim
    vectors = np.empty((0, dim), np.float32) if queries is None else queries.vectors
    np.save(scratch / QUERIES, vectors)
    root = str(Path(options.datastore).absolute())
    job = ExactJob(root, str(scratch), settings.depth)
    parts = [part.part for part in manifest.parts]
    numbers = list(range(len(searched_files(manifest))))
    # Beside the report: the datastore may be one that we may only read.
    place = Path(options.out or options.datastore).absolute()
    asked = JobCounts(len(numbers), 0, len(vectors), len(vectors))
    with log_job(place, "validate", options.runner.runner, len(numbers)) as log:
        run_job(options.runner, lambda p: build(p, job, parts, numbers), Watch(log, None))
        log.update(asked)
    return read_results(job, len(numbers))


def _measure(
    datastore: Datastore, queries: Queries, truth: Neighbours, settings: Settings
) -> tuple[Measured, str]:
    try:
        return measure(datastore, queries, truth, settings), ""
    except _UNREADABLE as error:
        return Measured(), str(error)


def _with_pictures(
    measured: Measured,
    queries: Queries,
    sources: list[Source],
    shards: QueryShards | None,
    manifest: Manifest,
) -> Measured:
    """The gallery with thumbnails of all that can be read."""
    fields = datastore_fields(manifest.tagger)
    wanted = {near.id: near.key for entry in measured.gallery for near in entry.neighbours}
    asked = {int(queries.ids[row]): queries.keys[row] for row in measured.query_rows}
    if shards is None:
        found = read_from_shards(sources, wanted | asked, fields)
        theirs = found
    else:
        found = read_from_shards(sources, wanted, fields)
        theirs = read_from_shards(shards.sources, asked, shards.fields)
    entries = tuple(
        _picture(entry, theirs.get(int(queries.ids[row])), found)
        for entry, row in zip(measured.gallery, measured.query_rows, strict=True)
    )
    return dataclasses.replace(measured, gallery=entries)


def _picture(entry: GalleryEntry, own: bytes | None, found: dict[int, bytes]) -> GalleryEntry:
    neighbours = tuple(
        dataclasses.replace(near, thumbnail=thumbnail(found[near.id]) if near.id in found else "")
        for near in entry.neighbours
    )
    return dataclasses.replace(
        entry, neighbours=neighbours, thumbnail=thumbnail(own) if own is not None else ""
    )


def _cautions(shards: QueryShards | None, measured: Measured, queries: Queries | None) -> list[str]:
    if shards is None:
        return [
            "the queries are stored images, looked up without their own match; held-out queries "
            "(--queries) are harder"
        ]
    if measured.copies and queries is not None:
        are = "is" if measured.copies == 1 else "are"
        return [
            f"{measured.copies:,} of {len(queries):,} queries {are} all but the same as a stored "
            "image, although their shards are not in the datastore"
        ]
    return []


def _notes(measured: Measured, same: SameEmbedding) -> list[str]:
    notes = []
    if same.images:
        were = "picture was" if same.images == 1 else "pictures were"
        notes.append(
            f"{same.images:,} {were} embedded again, to see that the encoder is the datastore's"
        )
    if measured.gallery and any(
        not near.thumbnail for entry in measured.gallery for near in entry.neighbours
    ):
        notes.append("some pictures are missing: their source shards cannot be read from here")
    return notes


def _print_report(console: Console, report: Report, place: str) -> None:
    kind = "held-out queries" if report.held_out else "stored images as queries"
    console.print(f"validate {report.queries:,} {kind}, {report.images:,} images")
    for recall in report.recall:
        console.print(
            f"         k = {recall.k}: 1-recall {recall.one_recall:.3f}, overlap "
            f"{recall.overlap:.3f} ({recall.low:.3f} to {recall.high:.3f})"
        )
    for gate in report.gates:
        console.print(f"  {_gate_line(gate)}", soft_wrap=True)
        if gate.detail:
            console.print(f"          {gate.detail}", soft_wrap=True)
    for caution in report.cautions:
        console.print(f"  mind    {caution}", soft_wrap=True)
    for note in report.notes:
        console.print(f"  note    {note}", soft_wrap=True)
    console.print(f"report   {place}/index.html", soft_wrap=True)


def _gate_line(gate: Gate) -> str:
    limit = "" if gate.counts else f" ({'≥' if gate.at_least else '≤'} {gate.limit:g})"
    if gate.value is None and gate.passed:
        return f"–       {gate.name}: not measured{limit}"
    value = measured_value(gate, f"{gate.value or 0:.3f}")
    return f"{'passed' if gate.passed else 'FAILED'}  {gate.name}: {value}{limit}"
