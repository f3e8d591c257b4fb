"""TUNA as a model of lmms-eval, which carries the paper's other benchmarks.

Written against lmms-eval 0.7.3 (`lmms_eval.api.model.lmms`, the "simple" form). With lmms-eval
installed beside tagmine it is there by name, through the entry point `lmms_eval.models`:

    python -m lmms_eval --model tuna --tasks pope,mme,gqa \\
        --model_args pretrained=tuna-7b,datastore=cc12m-tags,control=tuna --batch_size 8

lmms-eval is imported when the class `Tuna` is asked for, and not before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tagmine.errors import ConfigurationError
from tuna_model.tag_source import SourceOptions, check_max_tags, check_source, open_source

if TYPE_CHECKING:
    from PIL import Image

    from tuna_model.answering import Answerer, Decoding
    from tuna_model.tag_source import TagSource

MODEL_ID = "tuna"
_MAX_NEW_TOKENS = 1024
# What a task may ask of decoding; others change nothing here, and are said to be so.
_DECODING = ("max_new_tokens", "num_beams", "temperature", "top_p")
_KNOWN = frozenset((*_DECODING, "until", "do_sample"))


def manifest() -> Any:
    """What the entry point gives lmms-eval: where the model is."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(model_id=MODEL_ID, simple_class_path=f"{__name__}.Tuna")


def __getattr__(name: str) -> Any:
    """Make the class when it is asked for, which imports lmms-eval."""
    if name != "Tuna":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = make_class()
    globals()[name] = made
    return made


class SimpleRequests:
    """Answers requests of lmms-eval's simple form: (context, generation options, pictures of a
    document, document id, task, split).

    Args:
        answerer: the model.
        source: where tags of pictures come from.
        batch_size: requests at a time.
    """

    def __init__(self, answerer: Answerer, source: TagSource, batch_size: int = 1) -> None:
        self.answerer = answerer
        self._source = source
        self._batch_size = batch_size

    def answer(
        self, requests: Sequence[tuple], documents: Any
    ) -> Iterator[tuple[str, dict[str, Any], str]]:
        """Context, options and answer of each request, in order.

        Args:
            requests: the arguments of lmms-eval's instances.
            documents: `task_dict`: documents by task, split and id.
        """
        for batch in _alike(requests, self._batch_size):
            options = dict(batch[0][1])
            decoding, stops = read_generation(options)
            pictures = [_pictures(row[2](documents[row[4]][row[5]][row[3]])) for row in batch]
            asked = self._requests([row[0] for row in batch], pictures)
            said = self.answerer.answer(asked, decoding)
            for row, answer in zip(batch, said, strict=True):
                yield row[0], options, cut_at(answer, stops)

    def _requests(self, texts: list[str], pictures: list[tuple[Image.Image, ...]]) -> list:
        from index.retrievals import EMPTY
        from tuna_model.answering import Request

        first = [images[0] for images in pictures if images]
        found = iter(self._source.find([""] * len(first), first) if first else [])
        return [
            Request(text, images, next(found) if images else EMPTY)
            for text, images in zip(texts, pictures, strict=True)
        ]


def _alike(requests: Sequence[tuple], size: int) -> Iterator[list[tuple]]:
    """Neighbouring requests of one set of generation options, so many at a time."""
    batch: list[tuple] = []
    for row in requests:
        if batch and (len(batch) == size or row[1] != batch[0][1]):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _pictures(visuals: Any) -> tuple[Image.Image, ...]:
    """The pictures of a document, RGB.

    Raises:
        ConfigurationError: for a film or a sound, which this model cannot take.
    """
    from PIL import Image

    found = []
    for visual in visuals or ():
        if not isinstance(visual, Image.Image):
            raise ConfigurationError(
                f"a document has a {type(visual).__name__} where a picture is expected. TUNA reads "
                "pictures only; choose tasks of pictures."
            )
        found.append(visual.convert("RGB"))
    return tuple(found)


def read_generation(options: dict[str, Any]) -> tuple[Decoding, list[str]]:
    """How a task wants its answers: decoding, and texts that end an answer.

    Raises:
        ConfigurationError: for options that this model does not have, which would otherwise give
            scores of something else than what was asked.
    """
    from tuna_model.answering import Decoding

    unknown = sorted(options.keys() - _KNOWN)
    if unknown:
        raise ConfigurationError(
            f"generation options {', '.join(unknown)} are not known to TUNA's adapter, which has "
            f"{', '.join(sorted(_KNOWN))}. Leave them out with --gen_kwargs, or add them."
        )
    until = options.get("until") or []
    stops = [until] if isinstance(until, str) else list(until)
    chosen = {name: options[name] for name in _DECODING if options.get(name) is not None}
    if not options.get("do_sample", True):
        chosen["temperature"] = 0
    return Decoding(**{"max_new_tokens": _MAX_NEW_TOKENS, **chosen}), stops


def cut_at(answer: str, stops: Sequence[str]) -> str:
    """The answer before the first of the texts that end it."""
    for stop in stops:
        if stop:
            answer = answer.split(stop)[0]
    return answer.strip()


def make_class() -> type:
    """lmms-eval's model; imports lmms-eval.

    Raises:
        ConfigurationError: where it is not installed.
    """
    try:
        from lmms_eval.api.model import lmms
    except ImportError as error:
        raise ConfigurationError(
            f"lmms-eval cannot be imported ({error}). Install it beside tagmine: "
            "pip install 'lmms-eval==0.7.3'."
        ) from error

    class Tuna(lmms):
        """TUNA for lmms-eval; `pretrained` is a folder that `tagmine-tuna train` wrote."""

        is_simple = True

        def __init__(
            self,
            pretrained: str,
            datastore: str = "",
            control: str = "tuna",
            device: str = "auto",
            dtype: str = "auto",
            batch_size: int | str = 1,
            k: int = 5,
            max_tags: int = 24,
            max_batch_size: int | None = None,
            weighting: str | None = None,
            temperature: float | None = None,
        ) -> None:
            super().__init__()
            from accelerate import Accelerator

            from tuna_model.answering import load_answerer
            from tuna_model.controls import Tuner, control_named

            # Several datastores are separated by "+": lmms-eval's own separator is the comma.
            folders = tuple(one for one in str(datastore).split("+") if one)
            options = SourceOptions(folders, k=int(k), max_tags=int(max_tags))
            check_source(control, control_named(control), options)
            self.accelerator = Accelerator()
            several = self.accelerator.num_processes > 1
            self._device = str(self.accelerator.device) if several else device
            self._rank = self.accelerator.process_index
            self._world_size = self.accelerator.num_processes
            self.batch_size = int(batch_size)
            tuner = Tuner(weighting, None if temperature is None else float(temperature))
            answerer = load_answerer(pretrained, control, self._device, dtype, tuner)
            check_max_tags(answerer.control, options, answerer.processor.max_tags)
            source = open_source(answerer.control, options, answerer.tower)
            self._requests = SimpleRequests(answerer, source, self.batch_size)

        @property
        def device(self) -> Any:
            return self._requests.answerer.model.device

        def generate_until(self, requests: list) -> list[str]:
            from tqdm import tqdm

            rows = [request.args for request in requests]
            answered = self._requests.answer(rows, self.task_dict)
            said = []
            for context, options, answer in tqdm(
                answered, total=len(rows), disable=self.rank != 0, desc="Model Responding"
            ):
                self.cache_hook.add_partial("generate_until", (context, options), answer)
                said.append(answer)
            return said

        def loglikelihood(self, requests: list) -> list[tuple[float, bool]]:
            raise NotImplementedError(
                "TUNA answers by generation; choose tasks of output_type generate_until"
            )

        def generate_until_multi_round(self, requests: list) -> list[str]:
            raise NotImplementedError("TUNA answers single questions; choose tasks of one round")

    return Tuna
