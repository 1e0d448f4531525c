"""Goes as soon as `close_all` closes the owners of operations."""

from __future__ import annotations

from typing import Iterable

from ..operation import LongOperation


def close_modules(operations: Iterable[LongOperation]) -> None:
    """Have the modules clean up that operations are part of."""
    for module in {operation.owner for operation in operations} - {None}:
        module.close()
