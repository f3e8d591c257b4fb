"""docs/study.md and its curves, from the stored results alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.study.arms import ARMS
from benchmarks.study.cells import (
    COUNTING,
    GROUPS,
    arms_of,
    cell,
    counted,
    counts,
    mean_cell,
    percent,
    signed,
    table,
)
from benchmarks.study.claims import CLAIMS, EQUAL_WITHIN
from benchmarks.study.page_curves import encoder_section, noise_section, size_section
from benchmarks.study.results import Results
from benchmarks.study.statistics import paired

WHOLE_SEEDS = 5
_FINDINGS = Path(__file__).with_name("findings.md")
_TASKS = ("colour", "pattern", "material")
_POPE = ("exists", "exists precision", "exists recall", "exists f1", "exists yes")
_INTRODUCTION = """# The study in miniature

Written by `make study` (`python -m benchmarks.study`) from `docs/study.json` and
`docs/study-side.json`; do not edit.
`python -m benchmarks.study --render` writes it again without running anything.

In the drawn world of `demo/world`, the demo CLIP knows every kind of object, and a small Llama has
read about every kind. Connector and Llama are then tuned on questions about street pictures in
which a third of the street's kinds never occurs, nor any kind of fashion. What CLIP sees and the
Llama could say, the connector between them has never learned: the alignment gap, made on purpose.
Datastores hold captioned pictures of all kinds, and are made by `tagmine build`.
"""


def render(results: Results, side: Sequence[Results] = ()) -> tuple[str, dict[str, str]]:
    """The page, and its curves by file name.

    Args:
        results: of the study.
        side: of side studies, by ascending tuning steps.
    """
    sections = [_INTRODUCTION, *_first_look(results), _setting(results)]
    sections += [_naming_table(results), _claims(results)]
    sections += [_findings(results), _attribute_table(results), _pope_table(results)]
    sections.append(_swap_table(results))
    sections += [_side_table(results, side)] if side else []
    curves: dict[str, str] = {}
    for name, build in (
        ("size", size_section),
        ("noise", noise_section),
        ("encoder", encoder_section),
    ):
        if not any(name in arm.curves for arm in arms_of(results)):
            continue
        text, curve = build(results)
        sections.append(text)
        curves[f"study-{name}.svg"] = curve
    return "\n".join(sections), curves


def _first_look(results: Results) -> list[str]:
    """A warning where the page shows less than the whole study."""
    seeds, arms = len(results.seeds()), len(arms_of(results))
    if seeds >= WHOLE_SEEDS and arms == len(ARMS):
        return []
    return [
        f"> **A first look, not the study:** {seeds} of {WHOLE_SEEDS} seeds, {arms} of "
        f"{len(ARMS)} arms. One seed has no interval, so that no claim is shown or refuted by it. "
        "`make study` runs the rest.\n"
    ]


def _setting(results: Results) -> str:
    facts, seeds = results.facts, results.seeds()
    words = [
        "## How it is measured",
        f"- Seeds: {', '.join(map(str, seeds))}. A seed draws which kinds are unseen, the tuning "
        "pictures and questions, and the first weights of connector and cross-attention. Numbers "
        "are percentages: the mean over seeds ± half of its 95 % interval (Student's t); "
        "differences are paired by seed. The Llama and the datastores are the same for all seeds.",
        f"- Llama: {results.settings['layers']} layers × {results.settings['width']}, "
        f"{facts['llama']['parameters']:,} parameters, {facts['llama']['words']} words, "
        f"{results.settings['text_steps']} steps on text. Asked about new descriptions in words, "
        f"it gets {percent(facts['llama']['reading'])} of the answers' words right.",
        f"- First stage, as LLaVA-1.5's: {results.settings['align_steps']} steps of "
        f"{results.settings['align_batch']} pictures of seen kinds with a caption train the "
        f"connector alone, at {results.settings['align_rate']:g} at most; all arms of a seed begin "
        "with that connector. Its size was chosen by how many seen kinds the model without tags "
        "then names on pictures that are in no training and not in the test: "
        f"{mean_cell(results, 'baseline', 'check', 'seen', 'name')} %.",
        f"- Tuning: {results.settings['tuning_steps']} steps of "
        f"{results.settings['tuning_batch']} conversations, AdamW, "
        f"{results.settings['connector_rate']:g} at most for connector and cross-attention, "
        f"{results.settings['tuning_rate']:g} for the Llama; the CLIP towers are frozen. The "
        "Llama's rate was chosen in an earlier form by accuracy on *unseen test* kinds "
        "(“A Llama that is tuned too fast”, below), and so not blindly.",
        f"- Test: {facts['test']['street']} street and {facts['test']['fashion']} fashion "
        "pictures of one object, held out: in no datastore and no tuning set. An answer is right "
        "when greedy decoding gives it word for word, up to its end. Absent kinds of yes/no "
        "questions come from the picture's own group, half of them of the same category.",
        f"- Retrieval: {results.settings['neighbours']} neighbours, at most "
        f"{results.settings['max_tags']} tags; tuning pictures ask the street datastore of "
        f"{facts['store']['street']:,} images, copies and images with unseen kinds left out: "
        "tuning meets unseen kinds neither in pictures nor as tags. A tag names the right kind for "
        f"{percent(facts['retrieval']['main']['street'])} of the street pictures, the first tag "
        f"for {percent(facts['first tag']['street'])}; a neighbour's caption has the kind's name "
        f"for {percent(facts['captions']['street'])}.",
        f"- “{COUNTING}” needs no model: it answers with the kind that most of the told tags name, "
        "of those that as many name with the first.",
        "- Grid features and embeddings of pictures are worked out once and handed to the model in "
        "place of pixels; everything behind the vision tower is TunaForConditionalGeneration.",
        "",
    ]
    return "\n".join(words)


def _naming_table(results: Results) -> str:
    rows = [
        [
            arm.title,
            *(mean_cell(results, arm.name, "main", group, "name") for group in GROUPS),
            signed(results.gain((arm.name, "main"), ("baseline", "main"), "unseen", "name")),
        ]
        for arm in arms_of(results)
    ]
    by_counting = [counted(results, "main", group) for group in GROUPS]
    over = paired(counts(results, "main", "unseen"), _baseline(results, "unseen"))
    rows.append([COUNTING, *map(cell, by_counting), signed(over)])
    head = ["", "seen kinds", "unseen kinds", "fashion", "unseen, over LLaVA"]
    return (
        "## Naming: “what is the main thing in the picture?”\n\nAll with the street datastore, "
        "which holds no fashion.\n\n" + table(head, rows)
    )


def _baseline(results: Results, group: str) -> list[float]:
    return results.values("baseline", "main", group, "name")


def _claims(results: Results) -> str:
    rows = [
        [claim.text, claim.measure, signed(claim.difference(results)), claim.verdict(results)]
        for claim in CLAIMS
        if {claim.first[0], claim.second[0]} <= {arm.name for arm in arms_of(results)}
    ]
    within = f"{100 * EQUAL_WITHIN:g}"
    how = (
        "A difference is “above” where its whole interval is over 0. “At least as good” tolerates "
        f"{within} points: the interval ends over −{within}, or over 0. “About equal” is a mean "
        f"within {within} points of 0 and an interval within {100 * 2 * EQUAL_WITHIN:g}.\n\n"
    )
    rows_shown = table(["claim", "measured", "difference", "found"], rows)
    return f"## What must come out\n\n{how}{rows_shown}"


def _findings(results: Results) -> str:
    return _FINDINGS.read_text(encoding="utf-8") if _FINDINGS.exists() else ""


def _attribute_table(results: Results) -> str:
    head = ["", *(f"{task}, {group}" for task in _TASKS for group in ("seen", "unseen"))]
    rows = [
        [
            arm.title,
            *(
                mean_cell(results, arm.name, "main", group, task)
                for task in _TASKS
                for group in ("seen", "unseen")
            ),
        ]
        for arm in arms_of(results)
    ]
    rows.insert(
        0,
        [
            "*questions, fewest to most of a seed*",
            *(_asked(results, group, task) for task in _TASKS for group in ("seen", "unseen")),
        ],
    )
    return (
        "## Attributes: “what colour is it?”, pattern, material\n\nThe kind is not named in the "
        "question.\n\n" + table(head, rows)
    )


def _asked(results: Results, group: str, task: str) -> str:
    asked = results.facts["questions"]
    counts = [asked[str(seed)].get(group, {}).get(task, 0) for seed in results.seeds()]
    low, high = min(counts), max(counts)
    return f"{low}" if low == high else f"{low}–{high}"


def _pope_table(results: Results) -> str:
    head = ["", "pictures", "accuracy", "precision", "recall", "F1", "yes"]
    rows = [
        [
            arm.title,
            group,
            *(mean_cell(results, arm.name, "main", group, measure) for measure in _POPE),
        ]
        for arm in arms_of(results)
        for group in ("seen", "unseen")
    ]
    return "## POPE's questions: “is there a … in the picture?”\n\n" + table(head, rows)


def _swap_table(results: Results) -> str:
    rows = []
    for arm in arms_of(results):
        for condition, store in (("main", "street"), ("fashion datastore", "fashion")):
            if condition in results.conditions(arm.name):
                cells = [
                    mean_cell(results, arm.name, condition, "fashion", measure)
                    for measure in ("name", "exists", "colour", "pattern", "material")
                ]
                rows.append([arm.title, store, *cells])
    for condition, store in (("main", "street"), ("fashion datastore", "fashion")):
        named = cell(counted(results, condition, "fashion"))
        rows.append([COUNTING, store, named, "–", "–", "–", "–"])
    head = ["", "datastore", "name", "yes/no", "colour", "pattern", "material"]
    return (
        "## Another domain by swapping the datastore\n\nTuned on street pictures with the street "
        "datastore, then asked about fashion; nothing is trained between the rows.\n\n"
        + table(head, rows)
    )


def _side_table(results: Results, side: Sequence[Results]) -> str:
    rows = []
    for one in (results, *side):
        arms = [arm for arm in arms_of(results) if arm.name in {run.arm for run in side[0].runs}]
        part = one.part([arm.name for arm in arms], side[0].seeds())
        rows += [
            [f"{one.settings['tuning_steps']}", arm.title]
            + [mean_cell(part, arm.name, "main", group, "name") for group in GROUPS[:2]]
            for arm in arms
        ]
    seeds = ", ".join(map(str, side[0].seeds()))
    return (
        f"## Random tags, tuned longer\n\nSide studies of these arms with seed {seeds} alone, each "
        "with as many tuning steps, as\n`python -m benchmarks.study --work side-128 --seeds 1 "
        f"--arms baseline random_tags --tuning-steps 128`\nmakes them.{_sources(side)} Naming "
        "accuracy.\n\n" + table(["steps", "", "seen kinds", "unseen kinds"], rows)
    )


def _sources(side: Sequence[Results]) -> str:
    said = dict.fromkeys(one.facts["source"] for one in side if "source" in one.facts)
    return "".join(f" {text}" for text in said)
