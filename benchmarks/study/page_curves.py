"""The three curves of docs/study.md, each with its table."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.study.arms import ARMS
from benchmarks.study.cells import (
    COUNTING,
    GROUPS,
    arms_of,
    cell,
    counted,
    mean_cell,
    percent,
    signed,
    table,
)
from benchmarks.study.curves import curve_file
from benchmarks.study.results import Results
from index.report_page.plots import Frame, Series

_PLAIN = "LLaVA, no tags"
_CURVE_HEAD = ["seen", "unseen", "seen, over LLaVA", "unseen, over LLaVA"]


def size_section(results: Results) -> tuple[str, str]:
    shards = results.settings["shard_size"]
    found = _curve(results, ["tuna"], "shards ")
    points = [(value * shards, cells) for value, cells in found]
    hits = results.facts["retrieval"]
    rows = [
        [
            f"{x:,.0f}",
            f"{x / shards:g}×",
            percent(hits[f"shards {x / shards:g}"]["street"]),
            *c,
            *_over_plain(results, f"shards {x / shards:g}"),
        ]
        for x, c in points
    ]
    rows.insert(0, [_PLAIN, "–", "–", *_plain(results), *["+0.0"] * 2])
    head = ["images", "size", "right kind among the tags", *_CURVE_HEAD]
    frame = Frame(
        "size", "Naming against datastore size", "Two rising curves.", "images", "named right"
    )
    curve = _drawn(results, frame, ["tuna"], "shards ", lambda value: value * shards)
    text = _question(
        "How large must the datastore be?",
        "TUNA, tuned once with the largest datastore; the smaller ones are its earlier states, as "
        "`tagmine build` into one folder made them.",
        head,
        rows,
        "study-size.svg",
    )
    return text, curve


def noise_section(results: Results) -> tuple[str, str]:
    arms = [arm for arm in arms_of(results) if "noise" in arm.curves]
    names = [arm.name for arm in arms]
    hits = results.facts["retrieval"]
    rows = [
        [
            f"{value:.0%}",
            percent(hits[f"wrong tags {value:g}"]["street"]),
            *_plain(results),
            *cells,
            *(cell(counted(results, f"wrong tags {value:g}", group)) for group in GROUPS[:2]),
            *_over_plain(results, f"wrong tags {value:g}"),
        ]
        for value, cells in _curve(results, names, "wrong tags ")
    ]
    titles = [_PLAIN, *(arm.title for arm in arms), COUNTING]
    head = ["wrong tags", "right kind among the tags"]
    head += [f"{title}, {group}" for title in titles for group in GROUPS[:2]]
    head += [f"TUNA over LLaVA, {group}" for group in GROUPS[:2]]
    frame = Frame(
        "noise",
        "Naming against wrong tags",
        "Falling curves.",
        "share of wrong tags",
        "unseen kinds named right",
    )
    curve = _drawn(results, frame, names, "wrong tags ", lambda value: value, ("unseen",))
    text = _question(
        "How many wrong tags does it bear?",
        "That share of each picture's tags is replaced by tags drawn from the datastore's "
        "vocabulary, which stand where the replaced ones stood; the models were tuned with tags as "
        "they are retrieved.",
        head,
        rows,
        "study-noise.svg",
    )
    return text, curve


def encoder_section(results: Results) -> tuple[str, str]:
    hits = results.facts["retrieval"]
    found = _curve(results, ["tuna"], "encoder noise ")
    rows = [
        [
            f"{value:g}",
            percent(hits[f"encoder noise {value:g}"]["street"]),
            *cells,
            *_over_plain(results, f"encoder noise {value:g}"),
        ]
        for value, cells in found
    ]
    rows.insert(0, [_PLAIN, "–", *_plain(results), *["+0.0"] * 2])
    head = ["noise", "right kind among the tags", *_CURVE_HEAD]
    frame = Frame(
        "encoder",
        "Naming against encoder strength",
        "Rising curves.",
        "share of pictures with their kind among the tags",
        "named right",
    )
    curve = _drawn(
        results,
        frame,
        ["tuna"],
        "encoder noise ",
        lambda value: hits[f"encoder noise {value:g}"]["street"],
    )
    text = _question(
        "How strong must the encoder be?",
        "The demo CLIP, made weaker: before the search, a Gaussian vector of the expected length "
        "“noise” is added to every unit-norm embedding, of the datastore and of the picture asked. "
        "The model and its vision tower stay as they are, so that this is the strength of the "
        "retrieval alone.",
        head,
        rows,
        "study-encoder.svg",
    )
    return text, curve


def _question(title: str, how: str, head: list[str], rows: list[list[str]], file: str) -> str:
    return f"## {title}\n\n{how} Naming accuracy.\n\n{table(head, rows)}\n![{title}]({file})\n"


def _curve(results: Results, arms: Sequence[str], prefix: str) -> list[tuple[float, list[str]]]:
    return [
        (
            value,
            [
                mean_cell(results, arm, condition, group, "name")
                for arm in arms
                for group in ("seen", "unseen")
            ],
        )
        for value, condition in _points(results, arms[0], prefix)
    ]


def _points(results: Results, arm: str, prefix: str) -> list[tuple[float, str]]:
    found = [c for c in results.conditions(arm) if c.startswith(prefix)]
    return sorted((float(condition.removeprefix(prefix)), condition) for condition in found)


def _plain(results: Results) -> list[str]:
    return [mean_cell(results, "baseline", "main", group, "name") for group in GROUPS[:2]]


def _over_plain(results: Results, condition: str) -> list[str]:
    """TUNA's gain over the plain model, which is told of no tags and so alike everywhere."""
    pair = ("tuna", condition), ("baseline", "main")
    return [signed(results.gain(*pair, group, "name")) for group in GROUPS[:2]]


def _drawn(results, frame, arms, prefix, place, groups=("seen", "unseen")) -> str:
    titles = {arm.name: arm.title for arm in ARMS}
    lines = []
    for arm in arms:
        for group in groups:
            points = sorted(
                (place(value), results.estimate(arm, condition, group, "name").mean)
                for value, condition in _points(results, arm, prefix)
            )
            lines.append(Series(f"{titles[arm]}: {group} kinds", tuple(points)))
    for group in groups:
        level = results.estimate("baseline", "main", group, "name").mean
        flat = tuple((x, level) for x, _ in lines[0].points)
        lines.append(Series(f"{titles['baseline']}: {group} kinds", flat))
    return curve_file(frame, lines)
