"""Finds the wings, which are sub-packages that may be deleted, by their names.

This is the only way from the core to a wing, and from one wing to another that it does not import.
Knows nothing of what is in them.
"""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from .errors import LongOperationError


def require(module: str, feature: str) -> ModuleType:
    """Import a module of a wing, such as ``"workers.processes"``, for a feature that needs it.

    Raises `LongOperationError`, which names both, if the wing is not there.
    """
    found = find(module)
    if found is None:
        raise LongOperationError(f"{feature} needs longop.{module}, which is not in this copy of "
                                 "longop")
    return found


def find(module: str) -> ModuleType | None:
    """Import a module of a wing, or return None if it is not there.

    What it imports in turn must be there: an ``ImportError`` of its own is raised as it is.
    """
    name = f"{__package__}.{module}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            return None
        raise
