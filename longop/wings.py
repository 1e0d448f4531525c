"""What this copy of longop is: its version, and the wings it has, which are found by name.

A wing is a sub-package or a file that may be deleted from a copy. This is the only way from the
core to a wing, and from one wing to another that it does not import. Knows nothing of what a wing
contains.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from .errors import LongOperationError

__version__ = "0.1.0"


def require(module: str, feature: str) -> ModuleType:
    """Import a module of a wing, such as ``"workers.processes"``, for a feature that needs it.

    Raises `LongOperationError`, which names both, if the wing is missing, or if this Python
    lacks a module of the standard library that the wing imports, such as ``sqlite3``.
    """
    try:
        found = find(module)
    except ImportError as error:
        missing = error.name or str(error)
        if missing.startswith(f"{__package__}."):
            raise
        raise LongOperationError(
            f"{feature} needs the module {missing}, which this Python does not have") from error
    if found is None:
        raise LongOperationError(
            f"{feature} needs longop.{module}, which is not in this copy of longop")
    return found


def find(module: str) -> ModuleType | None:
    """Import a module of a wing, or return None if it is missing.

    An ``ImportError`` about anything else, such as a package that the wing imports, is raised.
    """
    name = f"{__package__}.{module}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name == missing or name.startswith(f"{missing}."):
            return None
        raise
