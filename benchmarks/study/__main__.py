"""Run the study in miniature and write docs/study.md.

    python -m benchmarks.study [--work study-out] [--seeds 5] [--workers 2]
    python -m benchmarks.study --render
    python -m benchmarks.study --work side-128 --seeds 1 --arms baseline random_tags \
        --tuning-steps 128

Stages that are finished are kept in the work folder, so that an interrupted study goes on where it
was. --render writes the page again from docs/study.json and docs/study-side.json alone. --arms or
--tuning-steps make a side study, which goes to docs/study-side.json beside those of other steps;
docs/study.json stays as it is. Other sizes need another work folder.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from benchmarks.study.results import Results
from benchmarks.study.settings import PRESETS

_DOCS = Path(__file__).parents[2] / "docs"


def make_parser() -> argparse.ArgumentParser:
    """The options of the study."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.study",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--work", type=Path, default=Path("study-out"), help="folder of the stages")
    parser.add_argument("--docs", type=Path, default=_DOCS, help="where the page goes")
    parser.add_argument("--seeds", type=int, default=5, help="seeds, from 0 on")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="full", help="sizes")
    parser.add_argument("--arms", nargs="+", metavar="NAME", help="a side study of these arms")
    parser.add_argument("--tuning-steps", type=int, help="a side study of so many steps")
    parser.add_argument("--render", action="store_true", help="only write the page again")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is not finished, and write the results and the page."""
    arguments = make_parser().parse_args(argv)
    # Before torch and FAISS are loaded: processes share the cores, each with one thread.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from benchmarks.study.page import render
    from benchmarks.study.results import keep_side, read_results, read_side, write_results

    stored, beside = arguments.docs / "study.json", arguments.docs / "study-side.json"
    if not arguments.render:
        arguments.docs.mkdir(parents=True, exist_ok=True)
        results = _run(arguments)
        if _is_side(arguments):
            keep_side(beside, dataclasses.replace(results, facts={}))
            print(f"wrote {beside}; --render puts it on the page")
            return
        write_results(stored, results)
    page, curves = render(read_results(stored), read_side(beside))
    (arguments.docs / "study.md").write_text(page, encoding="utf-8")
    for name, curve in curves.items():
        (arguments.docs / name).write_text(curve, encoding="utf-8")
    print(f"wrote {arguments.docs / 'study.md'}")


def _is_side(arguments: argparse.Namespace) -> bool:
    return bool(arguments.arms) or arguments.tuning_steps is not None


def _run(arguments: argparse.Namespace) -> Results:
    from benchmarks.study.arms import trained_arms
    from benchmarks.study.campaign import run_all

    settings, seeds = PRESETS[arguments.preset], range(arguments.seeds)
    if arguments.tuning_steps is not None:
        settings = dataclasses.replace(settings, tuning_steps=arguments.tuning_steps)
    arms = trained_arms(arguments.arms)
    results = run_all(arguments.work, settings, seeds, arguments.workers, arms)
    return results.part([arm.name for arm in arms], seeds) if _is_side(arguments) else results


if __name__ == "__main__":
    main()
