"""The card of a datastore: `README.md`, with the front matter that the Hugging Face hub knows."""

from __future__ import annotations

from pathlib import Path

from index.report import Report
from index.report_file import read_report
from tagmine.errors import DatastoreError
from tagmine.layout import MANIFEST, write_atomically
from tagmine.manifest import Manifest, read_manifest
from tagmine.parts import file_sha256
from tagmine.printable import printable
from tagmine.rejects import REMOVED
from tagmine.sources import Source, read_sources

CARD = "README.md"
YOURS = "<!-- What stands below this line is yours; tagmine keeps it. -->"
UNKNOWN_LICENSE = "unknown"
_REPORT = "report/report.json"
_TOPICS = ["tag-datastore", "retrieval", "tuna", "clip", "faiss"]
# As the hub has them.
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"))
_LARGER = ((10**7, "1M<n<10M"), (10**8, "10M<n<100M"), (10**9, "100M<n<1B"))
_DATASETS_SHOWN = 40

_LOADING = """\
## How to load it

```python
import datasets

tags = datasets.load_dataset("path/or/hub-name", split="train")
files = "path/embeddings/*.arrow"  # of the hub: "hf://datasets/hub-name/embeddings/*.arrow"
vectors = datasets.load_dataset("arrow", data_files=files, split="train")
```

In a folder on disk, `tags/*.parquet` opens with pandas, polars and DuckDB, `embeddings/*.arrow`
with pyarrow and polars, `index/shard-*.faiss` with `faiss.read_index`. To ask it with a photo:

```
tagmine query path/to/folder photo.jpg
```
"""


def write_card(root: Path) -> None:
    """Write the card of a finished datastore, as it is now; what its owner added stays.

    Raises:
        DatastoreError: when there is no finished datastore.
    """
    write_atomically(root / CARD, card_text(root, read_manifest(root)).encode())


def card_text(root: Path, manifest: Manifest) -> str:
    """The card of a datastore.

    Args:
        root: its folder, of which its sources, its report and its owner's words are.
        manifest: its own, or one of the same datastore that names fewer files, as it is published.
    """
    sources = read_sources(root)
    text = "\n".join(
        (
            _front_matter(manifest, sources),
            _lead(manifest),
            _sizes(manifest),
            _sources(manifest, sources),
            _makers(manifest),
            _quality(root, manifest),
            _LOADING,
            f"{YOURS}\n",
        )
    )
    return text + _of_the_owner(root / CARD)


def _of_the_owner(path: Path) -> str:
    if not path.exists():
        return ""
    text = path.read_text(encoding="utf-8", errors="replace")
    # A card that is not of tagmine is its owner's as a whole.
    return text.split(f"{YOURS}\n", 1)[1] if f"{YOURS}\n" in text else text


def _front_matter(manifest: Manifest, sources: list[Source]) -> str:
    from huggingface_hub import DatasetCardData

    licenses = sorted({source.license or UNKNOWN_LICENSE for source in sources})
    language = _language(manifest)
    data = DatasetCardData(
        pretty_name=printable(manifest.name),
        license=licenses[0] if len(licenses) == 1 else licenses,
        language=[language] if language else None,
        size_categories=[size_category(manifest.live_images)],
        task_categories=["image-to-text"],
        tags=_TOPICS,
        # Only the tags: datasets reads all of a card's configurations as files of one kind.
        configs=[{"config_name": "tags", "data_files": "tags/*.parquet", "default": True}],
    )
    return f"---\n{data.to_yaml()}\n---\n"


def size_category(images: int) -> str:
    """The hub's category for so many rows."""
    fitting = (name for limit, name in (*_SIZES, *_LARGER) if images < limit)
    return next(fitting, "1B<n<10B")


def _language(manifest: Manifest) -> str:
    """Of the captions that were kept, or that the pipeline is made for; "" where not known."""
    prefix = manifest.tagger.pipeline.split("_")[0]
    return manifest.tagger.language or (prefix if len(prefix) == 2 else "")


def _lead(manifest: Manifest) -> str:
    held = sum(part.thumbnails.rows for part in manifest.parts if part.thumbnails)
    pictures = f"small pictures of\n{held:,} images" if held else "no\npictures"
    return (
        f"# {printable(manifest.name)}\n\n"
        "A tag datastore, made by tagmine: embeddings of images are the keys, tags mined from "
        "their captions\nthe values. A multimodal LLM looks up a new photo's neighbours and reads "
        f"their tags. It holds {pictures}.\n"
    )


def _sizes(manifest: Manifest) -> str:
    removed = manifest.totals["mine"].rejected.get(REMOVED, 0)
    pending = manifest.removed.pending if manifest.removed else 0
    rows = [
        ("images", f"{manifest.live_images:,}"),
        ("different tags", f"{manifest.vocabulary.file.rows:,}"),
        ("input shards", f"{len(manifest.parts):,}"),
        ("bytes", f"{sum(card.bytes for card in manifest.files()):,}"),
    ]
    if removed or pending:
        taken = f"{removed + pending:,}" + (f", {pending:,} not compacted yet" if pending else "")
        rows.append(("taken out on request", taken))
    return _section("Sizes", rows)


def _sources(manifest: Manifest, sources: list[Source]) -> str:
    licenses: dict[str, set[str]] = {}
    for source in sources:
        dataset = source.name.split("/")[0]
        licenses.setdefault(dataset, set()).add(source.license or UNKNOWN_LICENSE)
    rows = [(name, ", ".join(sorted(found))) for name, found in sorted(licenses.items())]
    hidden = len(rows) - _DATASETS_SHOWN
    more = [("…", f"and {hidden:,} more")] if hidden > 0 else []
    return _section("Sources and their licences", rows[:_DATASETS_SHOWN] + more)


def _makers(manifest: Manifest) -> str:
    encoder, tagger, index = manifest.encoder, manifest.tagger, manifest.index
    rows = [
        ("encoder", f"{encoder.clip_model}, {encoder.dim:,} dimensions"),
        ("its weights", f"sha256 {encoder.weights_sha256[:16]}…"),
        ("tagger", f"{tagger.pipeline} {tagger.version}, spaCy {tagger.spacy}, {tagger.backend}"),
        ("index", f"{index.index_key}, trained on {index.trained_on:,} vectors"),
        ("search", f"nprobe {index.nprobe}, re-rank {index.rerank}"),
    ]
    return _section("What made it", rows)


def _quality(root: Path, manifest: Manifest) -> str:
    try:
        report = read_report(root / _REPORT)
    except DatastoreError:
        return "## Recall\n\nNot measured yet: `tagmine validate` does.\n"
    return _section("Recall", _recall_rows(report), _measured_on(root, report))


def _recall_rows(report: Report) -> list[tuple[str, str]]:
    return [
        (
            f"of the true {recall.k} nearest, found",
            f"{recall.overlap:.3f} ({recall.low:.3f} to {recall.high:.3f})",
        )
        for recall in report.recall
    ] + [("verdict", "passed" if report.passed else "failed")]


def _measured_on(root: Path, report: Report) -> str:
    queries = "held-out queries" if report.held_out else "stored images as queries"
    now = report.manifest_sha256 == file_sha256(root / MANIFEST)
    when = "" if now else f", when it was in an earlier state of {report.images:,} images"
    return f"Measured by `tagmine validate` with {report.queries:,} {queries}{when}.\n"


def _section(title: str, rows: list[tuple[str, str]], lead: str = "") -> str:
    lines = [f"| {_cell(name)} | {_cell(value)} |" for name, value in rows]
    before = f"{lead}\n" if lead else ""
    return f"## {title}\n\n{before}| | |\n|---|---|\n" + "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Text of strangers as a cell of a table: no markup, no line break."""
    escaped = printable(text).replace("\\", "\\\\").replace("|", "\\|")
    return escaped.replace("<", "&lt;").replace("[", "\\[").replace("`", "\\`")
