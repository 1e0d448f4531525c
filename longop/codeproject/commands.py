"""Goes with the last caller: `close_all` closes the owners of operations itself."""

from __future__ import annotations

from typing import Iterable

from ..operation import LongOperation


def close_modules(operations: Iterable[LongOperation]) -> None:
    """Do nothing."""
