"""Write the drawn world as webdataset shards, as img2dataset would, or as plain photos.

    python -m demo.shards --out world --count 2000 --domain both --seed 0
    python -m demo.shards --out photos --count 20 --domain street --split heldout --plain

Equal options give equal bytes. The pictures of `--split heldout` are in no shard of the
default split, whatever the seed and the count: they are there to query a datastore with.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from demo.world import DOMAINS, IMAGE_SIDE, SPLITS, Scene, captions, draw, sample_scene, scene_tags
from tagmine.errors import ConfigurationError
from tagmine.tags import Tag

SEED_STRIDE = 1 << 24
"""Scenes of a seed; a seed's scenes never meet the next seed's."""

_SHARD_SPLITS = ("datastore", "heldout")
_MODIFIED = 1_700_000_000
"""Modification time of every member, since a clock would change the bytes."""


@dataclasses.dataclass(frozen=True, slots=True)
class ShardOptions:
    """Which scenes to write, and where.

    Attributes:
        out: folder to write into; made when it is not there.
        count: pictures in all.
        domain: "street", "fashion" or "both", which shares the pictures out between them.
        seed: picks the scenes, 0 or more.
        split: "datastore" or "heldout".
        shard_size: pictures a shard.
        image_side: side of a picture in pixels.
    """

    out: Path
    count: int = 2000
    domain: str = "both"
    seed: int = 0
    split: str = "datastore"
    shard_size: int = 250
    image_side: int = IMAGE_SIDE

    def __post_init__(self) -> None:
        for field in ("count", "shard_size", "image_side"):
            value = getattr(self, field)
            if value < 1:
                raise ConfigurationError(f"{field} is {value}; give a number of at least 1")
        if self.count > SEED_STRIDE:
            raise ConfigurationError(
                f"count is {self.count}; a seed has {SEED_STRIDE} scenes, use several seeds"
            )
        if not 0 <= self.seed < (1 << 16):
            raise ConfigurationError(f"seed is {self.seed}; give one from 0 to {(1 << 16) - 1}")
        if self.domain not in (*DOMAINS, "both"):
            raise ConfigurationError(f"domain {self.domain!r} is none of street, fashion, both")
        if self.split not in _SHARD_SPLITS:
            raise ConfigurationError(f"split {self.split!r} is none of {', '.join(_SHARD_SPLITS)}")


def scenes_of(options: ShardOptions) -> dict[str, list[Scene]]:
    """The scenes that the options name, by domain, in the order they are written."""
    domains = DOMAINS if options.domain == "both" else (options.domain,)
    first = SPLITS[options.split] + options.seed * SEED_STRIDE
    counts = [
        options.count // len(domains) + (i < options.count % len(domains))
        for i in range(len(domains))
    ]
    return {
        domain: [sample_scene(domain, first + i) for i in range(count)]
        for domain, count in zip(domains, counts, strict=True)
    }


def _tag_json(tag: Tag) -> dict[str, Any]:
    return dataclasses.asdict(tag) | {"attributes": list(tag.attributes)}


def sample_of(scene: Scene, key: str, image_side: int = IMAGE_SIDE) -> dict[str, Any]:
    """One webdataset sample of a scene.

    Returns:
        `__key__`; `jpg`, the picture; `txt`, the first caption; and `json` with `key`,
        `caption`, `captions` (up to three different ones), `domain`, the fields of a shop's or a
        guide's table (`category`, `kind`, `colour`, `pattern`, `size`, `material`, `brand`,
        `place`, `background`, "" where there is none), `gold` (for each caption its tags) and
        `scene_gold` (the tags of everything that is there).
    """
    written = captions(scene, 3)
    jpeg = io.BytesIO()
    draw(scene, image_side).save(jpeg, "JPEG", quality=90)
    main = scene.main
    fields = {
        "key": key,
        "caption": written[0].text,
        "captions": [caption.text for caption in written],
        "domain": scene.domain,
        "category": main.kind.category,
        "kind": main.kind.name,
        "kinds": [spec.kind.name for spec in scene.objects],
        "colour": main.colour,
        "pattern": main.pattern,
        "size": main.size,
        "material": main.material,
        "brand": scene.brand.name if scene.brand else "",
        "place": scene.place.name if scene.place else "",
        "background": scene.background.name,
        "relation": scene.relation,
        "gold": [[_tag_json(tag) for tag in caption.tags] for caption in written],
        "scene_gold": [_tag_json(tag) for tag in scene_tags(scene)],
    }
    text = json.dumps(fields, ensure_ascii=False, sort_keys=True).encode()
    return {
        "__key__": key,
        "jpg": jpeg.getvalue(),
        "txt": written[0].text.encode(),
        "json": text,
    }


def write_shards(
    options: ShardOptions, progress: Callable[[int], None] = lambda done: None
) -> list[Path]:
    """Write the scenes as `{domain}-00000.tar`, `{domain}-00001.tar`, ...

    Args:
        options: which scenes, and where.
        progress: called with the number of pictures written so far, after each.

    Returns:
        The shards, in order. Each is written to a temporary name and renamed, so that a shard
        that is there is whole.
    """
    import webdataset

    options.out.mkdir(parents=True, exist_ok=True)
    shards, done = [], 0
    for domain, scenes in scenes_of(options).items():
        for number, start in enumerate(range(0, len(scenes), options.shard_size)):
            path = options.out / f"{domain}-{number:05d}.tar"
            unfinished = path.with_name(f".{path.name}.tmp")
            with unfinished.open("wb") as stream:
                tar = webdataset.TarWriter(
                    stream, user="tagmine", group="tagmine", mtime=_MODIFIED, encoder=False
                )
                for i, scene in enumerate(scenes[start : start + options.shard_size], start):
                    key = f"{domain}-{options.split}-{options.seed:05d}-{i:08d}"
                    tar.write(sample_of(scene, key, options.image_side))
                    done += 1
                    progress(done)
                tar.close()
            unfinished.replace(path)
            shards.append(path)
    return shards


def write_photos(
    options: ShardOptions, progress: Callable[[int], None] = lambda done: None
) -> list[Path]:
    """Write the scenes as plain `{domain}-00000-{kind}.jpg`, to query a datastore with."""
    options.out.mkdir(parents=True, exist_ok=True)
    photos = []
    for domain, scenes in scenes_of(options).items():
        for i, scene in enumerate(scenes):
            name = scene.main.kind.name.replace(" ", "_")
            path = options.out / f"{domain}-{i:05d}-{name}.jpg"
            draw(scene, options.image_side).save(path, "JPEG", quality=90)
            photos.append(path)
            progress(len(photos))
    return photos


def parse(argv: Sequence[str] | None = None) -> tuple[ShardOptions, bool]:
    """Command line to options, and whether plain photos are wanted."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.shards",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--count", type=int, default=2000, help="pictures in all")
    parser.add_argument("--domain", default="both", choices=(*DOMAINS, "both"))
    parser.add_argument("--seed", type=int, default=0, help="picks the scenes")
    parser.add_argument("--split", default="datastore", choices=_SHARD_SPLITS)
    parser.add_argument("--shard-size", type=int, default=250, help="pictures a shard")
    parser.add_argument("--plain", action="store_true", help="plain .jpg files, no shards")
    arguments = vars(parser.parse_args(argv))
    plain = arguments.pop("plain")
    return ShardOptions(**arguments), plain


def main(argv: Sequence[str] | None = None) -> None:
    """Write shards or photos and say where they are."""
    from rich import progress

    options, plain = parse(argv)
    columns = (
        progress.TextColumn("drawing"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[rate]}"),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns) as bar:
        task = bar.add_task("drawing", total=options.count, rate="")
        started = time.monotonic()

        def show(done: int) -> None:
            rate = done / max(time.monotonic() - started, 1e-9)
            bar.update(task, completed=done, rate=f"{rate:.0f} pictures/s")

        written = (write_photos if plain else write_shards)(options, show)
    print(f"{options.count} pictures in {len(written)} files under {options.out}")


if __name__ == "__main__":
    main()
