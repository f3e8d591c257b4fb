"""What `tagmine-tuna eval` is asked to do: its flags, and the options that they become."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
from pathlib import Path

from index.retrieval_folder import SUMMARY as RETRIEVAL_SUMMARY
from index.stack_plan import parse_stack
from tagmine.errors import ConfigurationError
from tagmine.layout import MANIFEST
from tagmine.parts import file_sha256
from tagmine.printable import is_utf8
from tuna_model.controls import Tuner, control_named
from tuna_model.tag_source import (
    SourceOptions,
    add_source_flags,
    read_source_options,
    read_tuner,
)
from tuna_model.trained_as import trained_control

TASKS = ("pope", "fashion-bench")
# LLaVA-1.5's, for questions whose answer is a word.
_SUFFIXES = {
    "pope": "\\nAnswer the question using a single word or phrase.",
    "fashion-bench": "",
}
_TOKENS = {"pope": 16, "fashion-bench": 512}


@dataclasses.dataclass(frozen=True, slots=True)
class EvalOptions:
    """`tagmine-tuna eval`.

    Attributes:
        task: one of TASKS.
        questions: the benchmark's file.
        image_folder: where its pictures are.
        model: folder of the model.
        out: results, a JSON file; answers are kept beside it.
        control: name of one of `tuna_model.controls`.
        source: where tags come from.
        suffix: what follows each question.
        max_new_tokens: of an answer.
        judge: URL of an endpoint, or "overlap"; for fashion-bench.
        judge_model: its model.
        tuner: how tags are weighted.

    Raises:
        ConfigurationError: for a value that is none of its kind.
    """

    task: str
    questions: Path
    image_folder: Path
    model: str
    out: Path
    control: str
    source: SourceOptions
    suffix: str
    max_new_tokens: int
    batch_size: int = 8
    device: str = "auto"
    dtype: str = "auto"
    judge: str | None = None
    judge_model: str | None = None
    tuner: Tuner = Tuner()

    def __post_init__(self) -> None:
        for flag, number in (
            ("--batch-size", self.batch_size),
            ("--max-new-tokens", self.max_new_tokens),
        ):
            if number < 1:
                raise ConfigurationError(f"{flag} {number}: give 1 or more.")
        if not self.image_folder.is_dir():
            raise ConfigurationError(f"--image-folder {self.image_folder}: is no folder.")
        if not is_utf8(self.suffix):
            raise ConfigurationError(f"--suffix {self.suffix!a}: it is no UTF-8.")
        if self.out.suffix != ".json":
            raise ConfigurationError(f"--out {self.out}: give a file that ends in .json.")
        judged = self.task == "fashion-bench"
        if (self.judge is not None) != judged:
            raise ConfigurationError(
                "--task fashion-bench needs --judge URL, or --judge overlap to try it out."
                if judged
                else f"--judge is for fashion-bench; --task {self.task} has right answers."
            )
        if (self.judge not in (None, "overlap")) != (self.judge_model is not None):
            raise ConfigurationError(
                "--judge URL and --judge-model NAME go together: the endpoint must know which "
                "model is to judge."
            )

    def beside(self, kind: str) -> Path:
        """A file next to the results."""
        return self.out.with_name(f"{self.out.stem}.{kind}.jsonl")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `tagmine-tuna eval`."""
    parser.epilog = (
        "An interrupted run goes on when the same command is given again. The key of a judge, "
        "where it needs one, is read from the environment: TAGMINE_JUDGE_KEY."
    )
    group = parser.add_argument_group("benchmark")
    group.add_argument("--task", required=True, choices=TASKS, help="form of the questions")
    group.add_argument(
        "--questions", required=True, metavar="FILE", help="the benchmark's file, JSON lines"
    )
    group.add_argument(
        "--image-folder",
        required=True,
        metavar="DIR",
        help="folder that its images' paths begin in",
    )
    group.add_argument("--model", required=True, metavar="DIR", help="folder of the model")
    group.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help="results as JSON; answers are kept beside it, in NAME.answers.jsonl",
    )
    group.add_argument(
        "--suffix",
        metavar="TEXT",
        help=r"what follows each question, \n being a new line (default: for pope, LLaVA-1.5's "
        '"\\nAnswer the question using a single word or phrase."; else nothing)',
    )
    group.add_argument(
        "--judge",
        metavar="URL",
        help="base of an endpoint of the form of OpenAI's chat completions, such as "
        "https://HOST/v1; or overlap, which counts words and is no substitute for a judge",
    )
    group.add_argument("--judge-model", metavar="NAME", help="the model that is to judge there")
    add_source_flags(parser)
    _add_running_flags(parser)


def _add_running_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("running")
    group.add_argument(
        "--batch-size",
        type=int,
        default=8,
        metavar="N",
        help="questions at a time (default: %(default)s)",
    )
    group.add_argument(
        "--max-new-tokens",
        type=int,
        metavar="N",
        help="longest answer (default: 16 for pope, 512 for fashion-bench)",
    )
    group.add_argument(
        "--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)"
    )
    group.add_argument(
        "--dtype",
        default="auto",
        help="auto for that of the weights, float32, bfloat16 or float16 (default: %(default)s)",
    )


def read_options(arguments: argparse.Namespace) -> EvalOptions:
    """The options that the parsed flags ask for.

    Raises:
        ConfigurationError: for those that cannot work.
    """
    suffix = _SUFFIXES[arguments.task] if arguments.suffix is None else arguments.suffix
    tokens = arguments.max_new_tokens
    return EvalOptions(
        arguments.task,
        Path(arguments.questions),
        Path(arguments.image_folder),
        arguments.model,
        Path(arguments.out),
        arguments.control,
        read_source_options(arguments),
        suffix.replace("\\n", "\n"),
        _TOKENS[arguments.task] if tokens is None else tokens,
        arguments.batch_size,
        arguments.device,
        arguments.dtype,
        arguments.judge,
        arguments.judge_model,
        read_tuner(arguments),
    )


def run_card(options: EvalOptions) -> dict:
    """What the answers depend on, as JSON has it: two runs with one card may be mixed."""
    source = options.source
    return {
        "task": options.task,
        "questions": file_sha256(options.questions),
        "image_folder": str(options.image_folder.absolute()),
        "model": _files_of(Path(options.model)) or options.model,
        "control": options.control,
        "datastores": _datastores_of(source.datastores),
        "retrievals": source.retrievals and _retrievals_of(Path(source.retrievals)),
        "clip_model": _encoder_of(source.clip_model),
        "k": source.k,
        "max_tags": source.max_tags,
        "vocabulary": source.vocabulary,
        "seed": source.seed,
        "suffix": options.suffix,
        "max_new_tokens": options.max_new_tokens,
        "dtype": options.dtype,
        "weighting": options.tuner.weighting,
        "temperature": options.tuner.temperature,
    }


def model_card(options: EvalOptions) -> dict:
    """As what the model was trained, and how its tags were weighted when it answered.

    Raises:
        ConfigurationError: for a folder that cannot be read.
    """
    from tuna_model.configuration_tuna import TunaConfig
    from tuna_model.from_llava import load_pretrained

    config = load_pretrained(TunaConfig, options.model, "TUNA's configuration")
    tuner = options.tuner
    control = control_named(options.control, tuner.weighting or config.weighting)
    weighting = control.weighting if control.has_pairs else "none"
    temperature = config.temperature if tuner.temperature is None else tuner.temperature
    return {
        "trained_control": trained_control(options.model),
        "weighting": weighting,
        "temperature": None if weighting == "none" else temperature,
    }


def _datastores_of(words: tuple[str, ...]) -> list:
    """What the datastores are, and not where; with their weights or shares, where they have any."""
    if not words:
        return []
    plan = parse_stack(words)
    manifests = [Path(folder) / MANIFEST for folder in plan.folders]
    if not all(manifest.is_file() for manifest in manifests):
        return list(words)
    hashes = [file_sha256(manifest) for manifest in manifests]
    if plan.shares is None and set(plan.weights) == {1.0}:
        return hashes
    return [hashes, plan.weights, plan.shares]


def _retrievals_of(path: Path) -> str:
    """What the retrievals are, and not where: another run of tagmine retrieve may replace them."""
    summary = path / RETRIEVAL_SUMMARY if path.is_dir() else path
    # One that is not there is refused when it is opened.
    return file_sha256(summary) if summary.is_file() else str(path.absolute())


def _encoder_of(clip_model: str | None) -> str | None:
    # The name of the encoder that is shipped comes before a folder of that name.
    if clip_model in (None, "demo"):
        return clip_model
    return _files_of(Path(clip_model)) or clip_model


def _files_of(folder: Path) -> str:
    """The files of a model, by size and time: hashing them would take longer than many answers."""
    if not folder.is_dir():
        return ""
    stats = ((path.name, path.stat()) for path in sorted(folder.iterdir()) if path.is_file())
    listed = [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats]
    return f"{folder.absolute()}: " + hashlib.sha256("\n".join(listed).encode()).hexdigest()[:16]
