"""What merge and subset share: every part is copied by a worker, then the index is made anew."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
from rich.console import Console

from index.copy_plan import CopyPlan, read_copy_pin
from index.thumbnails import copy_thumbnails
from pipelines import index, verify
from pipelines.code_version import check_code, code_version
from pipelines.options import IndexOptions, VerifyOptions
from pipelines.runner import check_runner, run_job
from pipelines.shards import process_part, watch_job
from tagmine.copy_part import PartCopy, copy_part, was_copied
from tagmine.errors import ConfigurationError
from tagmine.layout import (
    COPY_PIN,
    ENCODER_PIN,
    MANIFEST,
    SOURCES,
    TAGGER_PIN,
    is_leftover,
    locked,
    output_folder,
    remove_leftovers,
    write_atomically,
)
from tagmine.manifest import Manifest, write_pin
from tagmine.removed import Removed, newest_record, read_newest, record_path, write_removed
from tagmine.sources import Source, read_sources, write_sources
from tagmine.stage import PartResult, ReportProgress
from tagmine.stores import is_remote


class CopyParts(beam.PTransform):
    """`PartCopy` in, `PartResult` out: each as a part of the new datastore."""

    def __init__(self, out: str, progress: str | None) -> None:
        super().__init__()
        self._out = out
        self._progress = progress
        self._code = code_version()

    def expand(self, copies: beam.PCollection) -> beam.PCollection:
        return (
            copies
            | "Spread parts" >> beam.Reshuffle()
            | "Copy parts" >> beam.Map(_copy, self._out, self._progress, self._code)
        )


def _copy(copy: PartCopy, out: str, progress: str | None, code: str) -> PartResult:
    def make(report: ReportProgress) -> PartResult:
        check_code(code)
        made = copy_part(Path(out), copy, report)
        if was_copied(Path(out), copy):
            copy_thumbnails(copy, Path(out))
        return made

    return process_part("copy", copy.source, progress, make)


def build(
    root: beam.Pipeline, copies: Sequence[PartCopy], out: str, progress: str | None
) -> beam.PCollection:
    """The pipeline: every part copied; yields `PartResult`s."""
    return root | "List parts" >> beam.Create(copies) | "Copy" >> CopyParts(out, progress)


def prepare_folder(out: str, inputs: Sequence[str]) -> Path:
    """The folder that a copy is written to.

    Raises:
        ConfigurationError: for a URL, a folder that holds something else, or one of the inputs.
    """
    if is_remote(out):
        raise ConfigurationError(
            f"--out {out}: a copy is written to a local folder; tagmine push moves it afterwards."
        )
    root = Path(out).absolute()
    inside = [folder for folder in inputs if Path(folder).resolve() == root.resolve()]
    if inside:
        raise ConfigurationError(f"--out {out}: it is read from; give a folder of its own.")
    if not (root / COPY_PIN).exists():
        if (root / MANIFEST).exists() or (root / SOURCES).exists():
            raise ConfigurationError(
                f"--out {out}: this is a datastore, or the beginning of one; give a folder of its "
                "own."
            )
        return output_folder(out)
    return root


def make_copy(plan: CopyPlan, root: Path, options: IndexOptions, console: Console) -> Manifest:
    """Copy the parts, index them, verify; returns the manifest.

    Raises:
        ConfigurationError: for a folder that another copy was begun in, or nothing to copy.
        DatastoreError: for a part that is damaged.
    """
    check_runner(options.runner)
    for note in plan.notes:
        console.print(f"note   {note}", highlight=False, soft_wrap=True)
    with locked(root):
        _begin(root, plan)
        sources = tuple(copy.source for copy in plan.copies)
        with watch_job(root, options.runner, console, "copy", sources, sized=False) as watch:
            out, folder = str(root), watch.folder
            run_job(options.runner, lambda p: build(p, plan.copies, out, folder), watch)
        sources = _record(root, plan)
        floor = max(options.min_tag_images, plan.min_tag_images)
        options = dataclasses.replace(
            options, out=str(root), min_clip_score=plan.min_clip_score, min_tag_images=floor
        )
        manifest = index.index(options, root, sources, console)
    verify.run(VerifyOptions(str(root)), console)
    return manifest


def _begin(root: Path, plan: CopyPlan) -> None:
    before = read_copy_pin(root)
    if before is not None and before != plan.origin:
        raise ConfigurationError(
            f"{root} was begun by tagmine {before.get('command')} from other datastores, or from "
            "other states of them, or with another condition. Give another --out, or remove the "
            "folder."
        )
    others = [] if before else [p.name for p in root.iterdir() if not is_leftover(p)]
    if others:
        raise ConfigurationError(f"{root} is not empty; it holds {', '.join(sorted(others)[:3])}.")
    if read_newest(root).identities.known - plan.removed.known:
        raise ConfigurationError(
            f"{root}: images were taken out of it since it was made, and this would bring them "
            "back. Give another --out, or first take them out of the datastores that it is made of."
        )
    remove_leftovers(root)
    text = json.dumps(plan.origin, indent=1, ensure_ascii=False) + "\n"
    # First, since without it a folder that is not empty is not ours.
    write_atomically(root / COPY_PIN, text.encode())
    if plan.removed and newest_record(root) is None:
        write_removed(root / record_path(1), Removed(plan.removed))
    write_pin(root / TAGGER_PIN, plan.tagger)
    write_pin(root / ENCODER_PIN, plan.encoder)


def _record(root: Path, plan: CopyPlan) -> list[Source]:
    """Name the shards of the parts that were copied; those without a chosen row are none."""
    held = [copy.source for copy in plan.copies if was_copied(root, copy)]
    if not held:
        raise ConfigurationError(
            f"--where {plan.copies[0].where if plan.copies else ''}: it holds for no row."
        )
    if read_sources(root) != held:
        write_sources(root, held)
    return held
