"""`tagmine retrieve` before it starts: what is looked up, and where the parts go."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

from index.image_files import ImageChunk, read_image_file
from index.images import ImageLimits, ImageRejected
from index.retrieval_folder import (
    RETRIEVAL_PIN,
    InstructionRows,
    RetrievalFooter,
    RetrievalPin,
    read_footers,
)
from pipelines.retrieve_options import RetrieveOptions
from tagmine.errors import ConfigurationError, DatastoreError
from tagmine.instructions import InstructionImages, read_instruction_images
from tagmine.layout import job_folder
from tagmine.parts import PartFooter
from tagmine.preview import preview_shards
from tagmine.samples import SampleFields
from tagmine.sources import Source, expand_shards, number_sources

CHUNK_IMAGES = 4096
"""Images of a part, of those that a file of instructions names."""
_LOOKED_AT = 50
_PART_NAME = re.compile(r"part-\d{5,}\.parquet")


@dataclasses.dataclass(frozen=True, slots=True)
class RetrievePlan:
    """A job before it starts.

    Attributes:
        root: folder of the retrievals.
        sources: shards, or chunks of images.
        found: a line that says what was found.
        instructions: what a file of instructions names, None for shards.
    """

    root: Path
    sources: tuple[Source, ...]
    found: str
    instructions: InstructionImages | None = None

    @property
    def rows(self) -> InstructionRows | None:
        named = self.instructions
        if named is None:
            return None
        return InstructionRows(named.rows, named.with_image, named.text_only, len(named.bad_rows))


def plan_retrieval(options: RetrieveOptions, fields: SampleFields) -> RetrievePlan:
    """Find the images; nothing is written yet.

    Raises:
        ConfigurationError: for inputs that are not there or name no image, an image folder that
            holds none of them, or an output folder that holds something else.
    """
    root = job_folder(options.out, RETRIEVAL_PIN, "retrieve")
    if options.instructions is None:
        urls = expand_shards(options.inputs)
        sources = tuple(number_sources(urls, options.dataset))
        noun = "shard" if len(sources) == 1 else "shards"
        found = f"{len(sources):,} {noun}; {preview_shards(sources, fields, need_captions=False)}"
        plan = RetrievePlan(root, sources, found)
    else:
        plan = _plan_instructions(root, options, Path(options.instructions))
    names = {source.part: source.name for source in plan.sources}
    for footer, _ in _known_parts(root):
        if names.get(footer.part) != footer.source:
            was, now = footer.source, names.get(footer.part, "nothing")
            if options.instructions is not None:
                stem = was.rpartition("/")[0]
                was += f" (images of {stem}.json or {stem}.jsonl, or a shard of that name)"
                now = options.instructions
            raise ConfigurationError(
                f"--out {options.out}: its part {footer.part} is of {was}, which was not given in "
                f"that place: {now} was. Give the same dataset, or another --out."
            )
    return plan


def check_same_datastore(root: Path, pin: RetrievalPin) -> None:
    """Keep the parts of a folder from being replaced by those of another datastore.

    Raises:
        ConfigurationError: where there is a part of another, or of another state of it.
    """
    for footer, more in _known_parts(root):
        if more.pin.datastore_sha256 != pin.datastore_sha256:
            raise ConfigurationError(
                f"--out {root}: its part {footer.part} was retrieved from the datastore "
                f"{more.pin.datastore} (manifest {more.pin.datastore_sha256[:8]}), and not from "
                f"{pin.datastore} as it is now ({pin.datastore_sha256[:8]}). Parts made in two "
                "ways are refused: give another --out, or remove the folder to retrieve anew."
            )


def _plan_instructions(root: Path, options: RetrieveOptions, path: Path) -> RetrievePlan:
    folder = Path(options.image_folder or "").absolute()
    if not folder.is_dir():
        raise ConfigurationError(
            f"--image-folder {options.image_folder}: there is no such folder. Give the one that "
            f"the image paths of {path} begin in."
        )
    named = read_instruction_images(path)
    if not named.images:
        why = f"; the first that cannot be used: {named.bad_rows[0][1]}" if named.bad_rows else ""
        raise ConfigurationError(
            f"{path}: none of its {named.rows:,} rows names an image{why}. Give a list of objects "
            "with id, image and conversations."
        )
    _check_folder(folder, named.images, path)
    starts = range(0, len(named.images), CHUNK_IMAGES)
    chunks = [named.images[start : start + CHUNK_IMAGES] for start in starts]
    sources = tuple(
        ImageChunk(part, f"{path.stem}/{part:05d}", str(folder), images=images)
        for part, images in enumerate(chunks)
    )
    found = (
        f"{named.rows:,} rows: {named.with_image:,} with an image, {named.text_only:,} text only, "
        f"{len(named.bad_rows):,} that cannot be used; {len(named.images):,} different images"
    )
    return RetrievePlan(root, sources, found, named)


def _check_folder(folder: Path, images: tuple[str, ...], path: Path) -> None:
    """Refuse a folder that has none of the first images: it is most likely the wrong one."""
    for image in images[:_LOOKED_AT]:
        try:
            read_image_file(folder, image, ImageLimits())
            return
        except ImageRejected as rejected:
            if rejected.reason == "image_too_large":
                return
    looked_at = len(images[:_LOOKED_AT])
    raise ConfigurationError(
        f"--image-folder {folder}: it has none of the first {looked_at:,} images that {path} "
        f"names, such as {images[0]!r}. Give the folder that these paths begin in."
    )


def _known_parts(root: Path) -> Iterator[tuple[PartFooter, RetrievalFooter]]:
    """What the parts of the folder say of themselves; damaged ones are left out."""
    for path in sorted((root / "parts").glob("part-*.parquet")):
        if not _PART_NAME.fullmatch(path.name):
            continue
        try:
            yield read_footers(path)
        except DatastoreError:
            continue
