"""As which control a model was trained, which `tagmine-tuna train` writes into its folder."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from tuna_model.controls import CONTROLS

SUMMARY = "training.json"
_MAX_BYTES = 1 << 20
# One and the same training; see docs/tuna.md.
_ALIKE = {"no_tag_tuning": "no_tags"}

_log = logging.getLogger(__name__)


def trained_control(folder: str | Path) -> str | None:
    """The control that the model of a folder was trained with; None where it does not say."""
    path = Path(folder) / SUMMARY
    if not path.is_file() or path.stat().st_size > _MAX_BYTES:
        return None
    try:
        found = json.loads(path.read_bytes())["options"]["data"]["control"]
    except (ValueError, KeyError, TypeError, RecursionError):
        # Another program's file of that name.
        return None
    return found if found in tuple(CONTROLS) else None


def warn_of_another_control(folder: str | Path, asked: str) -> None:
    """Say that answers are of no arm of the ablation, whose arms are trained as they are asked.

    Without tags any model is asked on purpose, to see what its tags are worth.
    """
    trained = trained_control(folder)
    if trained is None or asked == "no_tags":
        return
    if _ALIKE.get(trained, trained) != _ALIKE.get(asked, asked):
        _log.warning(
            "%s was trained with --control %s, and is asked as %s. In the ablation a model "
            "is asked as it was trained: train one with --control %s, too",
            folder,
            trained,
            asked,
            asked,
        )
