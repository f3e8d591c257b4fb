"""The names of a domain, gathered from its structured fields."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from pathlib import Path

from tagmine.bring.catalogue import Catalogue
from tagmine.bring.folder import vocabulary_path
from tagmine.domain_vocabulary import fault_of_name, label_of
from tagmine.errors import ConfigurationError
from tagmine.layout import write_atomically
from tagmine.tag_policy import MAX_POLICY_BYTES

# Rarer values would not fit into the file.
_MAX_VALUES = 500_000
# "Shell: 96% virgin wool, 4% elastane": the fabrics are the names.
_SHARE = re.compile(r"\d\s?%\s*([^\W\d_][^\d%,.;:/()&]*)")


def names_in(value: str) -> list[str]:
    """The names that a field's value holds: itself, or what it lists by shares in per cent."""
    found = _SHARE.findall(value) if "%" in value else [value]
    return [" ".join(name.split()) for name in found if name.strip()]


def check_vocabulary_fields(fields: Iterable[str]) -> None:
    """Refuse a field whose name makes no label.

    Raises:
        ConfigurationError: naming it.
    """
    for field in fields:
        if label_of(field) is None or Path(vocabulary_path(field)).name != f"{field}.txt":
            raise ConfigurationError(
                f"--vocabulary-fields {field}: the field's name becomes the label of its names, "
                "and this one makes none: it begins with no letter, or is no file's name."
            )


def write_vocabulary(root: Path, catalogue: Catalogue, field: str) -> tuple[int, int]:
    """Write the names of a field as a file for `--vocabulary`, the commonest first.

    Returns:
        How many names it has, and how many were left out, since they could be found in no caption
        or the file would be larger than vocabularies may be.
    """
    images: dict[str, int] = {}
    written: dict[str, str] = {}
    for value, count in itertools.islice(catalogue.names(field), _MAX_VALUES):
        for name in names_in(value):
            images[name.casefold()] = images.get(name.casefold(), 0) + count
            written.setdefault(name.casefold(), name)
    ordered = sorted(images, key=lambda name: (-images[name], name))
    good = [written[name] for name in ordered if _usable(written[name])]
    lines, size = [], 0
    for name in good:
        size += len(name.encode()) + 1
        if size > MAX_POLICY_BYTES:
            break
        lines.append(name)
    if lines:
        write_atomically(root / vocabulary_path(field), ("\n".join(lines) + "\n").encode())
    else:
        (root / vocabulary_path(field)).unlink(missing_ok=True)
    return len(lines), len(ordered) - len(lines)


def _usable(name: str) -> bool:
    # A line that begins with "#" is a comment.
    return not name.startswith("#") and fault_of_name(name) is None
