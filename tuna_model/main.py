"""The `tagmine-tuna` command."""

from __future__ import annotations
