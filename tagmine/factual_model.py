"""FACTUAL's T5 checkpoints as a scene graph backend. Needs torch and transformers.

The one module of this package that imports them, and `tagmine.backends` imports it only where
FACTUAL is asked for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import transformers
from tokenizers import Tokenizer
from transformers import GenerationConfig, T5ForConditionalGeneration
from transformers.utils import logging as transformers_logging

from tagmine.errors import ConfigurationError
from tagmine.factual import merge_graphs, read_graph
from tagmine.factual_input import Piece, split_caption
from tagmine.scene_graph import SceneGraph

if TYPE_CHECKING:
    from spacy.tokens import Doc

CHECKPOINT = "lizhuang144/flan-t5-base-VG-factual-sg"
REVISION = "2e01585225e8f7fc20d922cdee9c591ea4cd6ef1"

# How the checkpoints were trained, as the public parser has it: this prompt, 64 tokens of input.
PROMPT = "Generate Scene Graph: "
MAX_INPUT_TOKENS = 64
# Greedy, as their published scores were measured; a beam of five takes several times as long.
NUM_BEAMS = 1
MAX_OUTPUT_TOKENS = 256
# Rounding depends on the shape of a batch, so it is no option.
BATCH_SIZE = 64

_FILES = ("config.json", "tokenizer.json", "model.safetensors")
_HUB_PROBE_SECONDS = 5


# Enough that their pieces fill several passes of the model, sorted by length.
DOCS_AT_ONCE = 256


class FactualBackend:
    """A FACTUAL checkpoint that reads captions in batches, on a GPU where there is one.

    A caption beyond the model's 64 tokens is read in pieces (`split_caption`), whose graphs are
    put together. Decoding is greedy and in single precision.

    Args:
        checkpoint: folder with config.json, tokenizer.json and model.safetensors; None for
            `CHECKPOINT` from the hub or its cache.

    Attributes:
        name: the checkpoint by the hash of its files, and how it is run.
        cut: captions so far of which something may have been lost: a piece ended within a
            clause, a word alone was too long, or the output reached its limit.
        docs_at_once: captions a batch.
        device: where the model runs.

    Raises:
        ConfigurationError: where the checkpoint cannot be had or is none of FACTUAL's form.
    """

    def __init__(self, checkpoint: Path | None = None) -> None:
        folder = _hub_folder() if checkpoint is None else _checked_folder(checkpoint)
        self.name = f"FACTUAL {_digest(folder)[:32]}, transformers {transformers.__version__}"
        self.cut = 0
        self.docs_at_once = DOCS_AT_ONCE
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._tokenizer = _load_tokenizer(folder)
        self._model = _load_model(folder, self._tokenizer).to(self.device)
        self._budget = MAX_INPUT_TOKENS - len(self._encode([PROMPT])[0])
        if self._budget < 1:
            raise _not_factual(folder, f"its prompt alone takes {MAX_INPUT_TOKENS} tokens or more")

    def parse_batch(self, docs: Sequence[Doc]) -> list[SceneGraph]:
        """The scene graph of each caption, in order."""
        pieces = self._pieces(docs)
        places = [(i, piece) for i, found in enumerate(pieces) for piece in found]
        texts = [docs[i][piece.start : piece.end].text.strip() for i, piece in places]
        outputs = self._generate(texts)
        graphs: list[list[SceneGraph]] = [[] for _ in docs]
        cut: set[int] = set()
        for (i, piece), (output, is_whole) in zip(places, outputs, strict=True):
            graphs[i].append(read_graph(docs[i], output, piece.start, piece.end))
            if not (piece.is_whole and is_whole):
                cut.add(i)
        self.cut += len(cut)
        return [merge_graphs(found) for found in graphs]

    def _pieces(self, docs: Sequence[Doc]) -> list[list[Piece]]:
        """The pieces of each caption; none of one without a word."""
        lengths = [len(ids) for ids in self._encode([PROMPT + doc.text for doc in docs])]
        return [
            self._split(doc)
            if length > MAX_INPUT_TOKENS
            else [Piece(0, len(doc))]
            if any(map(str.isalpha, doc.text))
            else []
            for doc, length in zip(docs, lengths, strict=True)
        ]

    def _split(self, doc: Doc) -> list[Piece]:
        # A token alone costs no less than within its text; each encoding ends with an end mark.
        costs = [len(ids) - 1 for ids in self._encode([token.text for token in doc])]
        return split_caption(doc, costs, self._budget)

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]

    def _generate(self, texts: Sequence[str]) -> list[tuple[str, bool]]:
        """What the model writes for each text, and whether it read and wrote all of it."""
        inputs = self._encode([PROMPT + text for text in texts])
        outputs: list[tuple[str, bool]] = [("", True)] * len(texts)
        # Texts of a length together: there is little padding, and they end at about one time.
        order = sorted(range(len(texts)), key=lambda i: len(inputs[i]))
        for start in range(0, len(order), BATCH_SIZE):
            batch = order[start : start + BATCH_SIZE]
            written = self._generate_batch([inputs[i] for i in batch])
            texts_written = self._tokenizer.decode_batch(written, skip_special_tokens=True)
            end = self._model.generation_config.eos_token_id
            for i, ids, text in zip(batch, written, texts_written, strict=True):
                outputs[i] = (text, end in ids and len(inputs[i]) <= MAX_INPUT_TOKENS)
        return outputs

    def _generate_batch(self, inputs: Sequence[list[int]]) -> list[list[int]]:
        """Token ids of what is written for each row of input ids."""
        pad = self._model.generation_config.pad_token_id
        rows = [_truncated(row) for row in inputs]
        width = max(map(len, rows))
        ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        with torch.inference_mode():
            written = self._model.generate(
                input_ids=ids.to(self.device), attention_mask=mask.to(self.device)
            )
        return written.tolist()


def _truncated(ids: list[int]) -> list[int]:
    """Ids within the model's limit; the end mark stays, as when a tokenizer truncates."""
    return ids if len(ids) <= MAX_INPUT_TOKENS else [*ids[: MAX_INPUT_TOKENS - 1], ids[-1]]


def _digest(folder: Path) -> str:
    """sha256, hexadecimal, over all that decides what the checkpoint writes."""
    digest = hashlib.sha256()
    settings = (PROMPT, MAX_INPUT_TOKENS, NUM_BEAMS, MAX_OUTPUT_TOKENS)
    digest.update(json.dumps(settings).encode())
    for name in _FILES:
        with (folder / name).open("rb") as file:
            digest.update(name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _checked_folder(folder: Path) -> Path:
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise ConfigurationError(
            f"The folder {str(folder)!r} is no FACTUAL checkpoint, since it has no "
            f"{' and no '.join(missing)}: download {CHECKPOINT} with "
            f"`hf download {CHECKPOINT} --local-dir DIR` and give factual:DIR."
        )
    return folder


def _load_tokenizer(folder: Path) -> Tokenizer:
    path = folder / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path))
    # tokenizers raises bare Exception.
    except Exception as error:
        raise ConfigurationError(
            f"{str(path)!r} is no tokenizer that tokenizers can load ({error}): download the "
            f"checkpoint again, or give another folder."
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _load_model(folder: Path, tokenizer: Tokenizer) -> T5ForConditionalGeneration:
    try:
        kind = json.loads((folder / "config.json").read_text()).get("model_type")
        if kind != "t5":
            raise ValueError(f"its model_type is {kind!r} and not 't5'")
        with _quiet():
            model, report = T5ForConditionalGeneration.from_pretrained(
                folder,
                output_loading_info=True,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
            )
    # A configuration or weights file can be wrong in any way, and each library has its own words.
    except Exception as error:
        raise _not_factual(folder, f"transformers cannot load it: {error}") from error
    absent = [*report["missing_keys"], *report["mismatched_keys"]]
    if absent:
        raise _not_factual(folder, f"its weights lack {len(absent)}, such as {absent[0]!s:.80}")
    size, words = model.config.vocab_size, tokenizer.get_vocab_size()
    end = tokenizer.encode(PROMPT).ids[-1]
    if words > size or end != model.config.eos_token_id:
        raise _not_factual(
            folder,
            f"its tokenizer has {words} tokens and ends a text with {end}, the model knows "
            f"{size} and ends with {model.config.eos_token_id}",
        )
    model.generation_config = _generation(model)
    return model.eval()


def _generation(model: T5ForConditionalGeneration) -> GenerationConfig:
    """Ours alone: a generation_config.json beside the weights does not count."""
    return GenerationConfig(
        do_sample=False,
        num_beams=NUM_BEAMS,
        max_new_tokens=MAX_OUTPUT_TOKENS,
        pad_token_id=model.config.pad_token_id,
        eos_token_id=model.config.eos_token_id,
        decoder_start_token_id=model.config.pad_token_id,
    )


def _not_factual(folder: Path, why: str) -> ConfigurationError:
    why = " ".join(why.split())
    return ConfigurationError(
        f"The folder {str(folder)!r} holds no FACTUAL checkpoint that can be used ({why:.300}): "
        f"give the folder of a T5 checkpoint such as {CHECKPOINT}."
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar, and no table of what was wrong: that is said by an error."""
    shown = transformers_logging.is_progress_bar_enabled()
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity(transformers_logging.CRITICAL)
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if shown:
            transformers_logging.enable_progress_bar()


def _hub_folder() -> Path:
    """The default checkpoint in the hub's cache, fetched where it is not there yet."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        cached = Path(snapshot_download(CHECKPOINT, revision=REVISION, local_files_only=True))
        if all((cached / name).is_file() for name in _FILES):
            return cached
    except LocalEntryNotFoundError:
        pass
    _require_hub()
    try:
        fetched = snapshot_download(CHECKPOINT, revision=REVISION, allow_patterns=list(_FILES))
    # The hub, the network and the disk under its cache fail in many ways; one sentence for all.
    except Exception as error:
        raise _unreachable(error) from error
    return _checked_folder(Path(fetched))


def _require_hub() -> None:
    """One short request; huggingface_hub's own retries would take most of a minute."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    if constants.HF_HUB_OFFLINE:
        raise _unreachable("HF_HUB_OFFLINE is set")
    try:
        status = get_session().head(constants.ENDPOINT, timeout=_HUB_PROBE_SECONDS).status_code
    # Whatever the HTTP library of the day raises, the hub is out of reach.
    except Exception as error:
        raise _unreachable(error) from error
    if status >= 500:
        raise _unreachable(f"it answers {status}")


def _unreachable(why: object) -> ConfigurationError:
    from huggingface_hub import constants

    return ConfigurationError(
        f"The FACTUAL checkpoint {CHECKPOINT} is not in the cache ({constants.HF_HUB_CACHE}) and "
        f"could not be fetched from {constants.ENDPOINT} ({' '.join(str(why).split()):.200}): on "
        f"a connected machine run `hf download {CHECKPOINT} --revision {REVISION} --local-dir "
        f"DIR`, bring the folder here, and give factual:DIR."
    )
