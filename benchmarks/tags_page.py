"""Writes the measured and mined parts of docs/tags.md.

    python -m benchmarks.tags_page --data ../shared/data [--no-speed]

The page is prose with blocks between `<!-- begin NAME -->` and `<!-- end NAME -->`; this command
makes the blocks anew. Those that need data which is not there are left as they are.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.gold_score import score_pipelines
from benchmarks.mining_cost import measure
from benchmarks.mining_speed import compare, read_captions
from tagmine.tag_policy import LISTS, read_entries, shipped_policy
from tagmine.tagger import Tagger, load_tagger
from tagmine.tags import Tag

PAGE = Path(__file__).parents[1] / "docs" / "tags.md"
READ = Path(__file__).with_name("captions_read.tsv")
PORT = Path("models") / "en_core_web_sm-2.2.5-as-v3"
EXAMPLES = (
    "A narrow street with colorful facades under a blue sky in Montepulciano, Italy.",
    "The car is red and the truck behind it is blue.",
    "a red and white umbrella, three parked cars and a stop sign",
    "there is a slice of pizza on a wood table",
    "a group of people on the side of the road",
    "a bench made of stone in front of a snow covered mountain",
    "a man in a blue shirt riding a horse drawn cart",
    "cat laying on bed",
    "a woman's leather purse with a plaid scarf",
    "stock photo of a girl smiling , isolated on white background #summer IMG_1234.jpg",
    "<PERSON> in a French café, 50mm f/1.8",
)
ERRORS = {
    "abstract": 'a noun kept that names nothing one can see ("secret", "alternative")',
    "wording": 'a phrase cut or joined in the wrong place ("lights flashing")',
    "missed": "a thing that is said and has no tag",
    "attribute": "a modifier lost, or given to the wrong thing",
    "false": 'a tag for what is not there ("hand" of "hand drawn")',
    "name": "a name missed, of the wrong type, or seen in an ordinary word",
}


def scores_block(data: Path) -> str:
    """The table of scores on the gold scene graphs."""
    lines = [
        "| pipeline | reader | objects P | R | F1 | attributes P | R | F1 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in score_pipelines(data / "gold" / "factual_test.csv", [None, data / PORT]):
        numbers = [
            f"{value:.3f}"
            for score in (row.objects, row.attributes)
            for value in (score.precision, score.recall, score.f1)
        ]
        lines.append(f"| {row.pipeline} | {row.reader} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def examples_block(tagger: Tagger) -> str:
    """Captions with their tags."""
    lines = ["| caption | tags |", "|---|---|"]
    for caption, tags in zip(EXAMPLES, tagger.tag(EXAMPLES), strict=True):
        shown = " · ".join(_shown(tag) for tag in tags)
        lines.append(f"| {caption.replace('<', '&lt;')} | {shown} |")
    return "\n".join(lines)


def _shown(tag: Tag) -> str:
    if tag.kind == "entity":
        return f"**{tag.text}** ({tag.label})"
    return tag.text if tag.lemma == tag.text.casefold() else f"{tag.text} (*{tag.lemma}*)"


def lists_block() -> str:
    """The word lists with what each says of itself."""
    lines = ["| file | entries | what it is for |", "|---|---|---|"]
    for name in LISTS:
        path = shipped_policy() / f"{name}.txt"
        text = path.read_text(encoding="utf-8")
        comment = re.match(r"(?:# .*\n)+", text)[0].replace("# ", "").split("\n")
        purpose = " ".join(line for line in comment if line)
        count = len(read_entries(path, "the policy list"))
        lines.append(f"| `{path.name}` | {count:,} | {purpose} |")
    return "\n".join(lines)


def reading_block() -> str:
    """How many captions have which error, as read by hand."""
    rows = [line.split("\t") for line in READ.read_text().splitlines() if line[0] != "#"]
    found: dict[str, Counter[str]] = {}
    for file, _, errors, mended in rows:
        count = found.setdefault(file, Counter())
        count["captions"] += 1
        kinds = [] if errors == "-" else errors.split()
        count.update(kinds)
        count["none"] += not kinds
        count["mended"] += mended == "mended"
    files = sorted(found)
    lines = [f"| error | {' | '.join(files)} | what it is |", "|---|" + "---|" * (len(files) + 1)]
    for kind, meaning in ERRORS.items():
        lines.append(f"| {kind} | {' | '.join(str(found[f][kind]) for f in files)} | {meaning} |")
    for key, meaning in (
        ("none", "captions without any error"),
        ("mended", "captions whose error the reading led us to mend"),
        ("captions", "captions read"),
    ):
        lines.append(f"| *{key}* | {' | '.join(str(found[f][key]) for f in files)} | {meaning} |")
    return "\n".join(lines)


def cost_block(tagger: Tagger, captions: list[str]) -> str:
    """What each step costs."""
    costs = measure(tagger, captions)
    total = sum(cost.microseconds for cost in costs)
    lines = ["| step | µs a caption | share |", "|---|---|---|"]
    lines += [f"| {c.step} | {c.microseconds:.1f} | {c.microseconds / total:.1%} |" for c in costs]
    return "\n".join(lines)


def speed_block(captions: list[str]) -> str:
    """Mining beside the bare parse and the obvious loop."""
    return "\n".join(f"    {line}" for line in compare(None, captions))


def make_blocks(data: Path, *, speed: bool) -> Iterator[tuple[str, str]]:
    """Name and text of each block that can be made with what is there."""
    tagger = load_tagger()
    yield "examples", examples_block(tagger)
    yield "lists", lists_block()
    yield "reading", reading_block()
    if (data / "gold").is_dir():
        yield "scores", scores_block(data)
    captions = data / "captions" / "cc3m_val.tsv"
    if speed and captions.exists():
        yield "cost", cost_block(tagger, read_captions(captions, 2000))
        yield "speed", speed_block(read_captions(captions, 4000))


def replace_block(page: str, name: str, text: str) -> str:
    """The page with one block made anew.

    Raises:
        ValueError: where the page has no such block.
    """
    begin, end = f"<!-- begin {name} -->\n", f"\n<!-- end {name} -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise ValueError(f"docs/tags.md has no block {name!r}")
    head, _, rest = page.partition(begin)
    return head + begin + text + end + rest.partition(end)[2]


def main(argv: list[str]) -> None:
    """Rewrites docs/tags.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tags_page")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--no-speed", action="store_true", help="leave the timings as they are")
    options = parser.parse_args(argv)
    page = PAGE.read_text(encoding="utf-8")
    for name, text in make_blocks(options.data, speed=not options.no_speed):
        page = replace_block(page, name, text)
        print(f"{name} written")
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
