"""The look of the tables that commands print."""

from __future__ import annotations

from rich import box
from rich.table import Table


def make_table(title: str) -> Table:
    """A table without columns yet: no frame, its title bold and its header quiet."""
    return Table(
        box=box.SIMPLE_HEAD,
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="dim",
        show_edge=False,
        pad_edge=False,
    )
