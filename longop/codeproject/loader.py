"""Adapters, and functions with a ``modulesettings.json`` beside them, as targets.

A loader for `longop.cli`. It is imported for every target, so it imports what makes a module
only when there is one to make.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING

from ..errors import TargetError
from ..operation import LongOperation

if TYPE_CHECKING:
    from .sdk import ModuleRunner

_SETTINGS = "modulesettings.json"


def prepare(folder: str) -> None:
    """Set the environment variables from the settings in a folder.

    Raises `TargetError` if they cannot be read.
    """
    if os.path.exists(os.path.join(folder, _SETTINGS)):
        from . import settings

        settings.set_environment(settings.read(folder))


def load(place: str, module: ModuleType, name: str) -> list[LongOperation]:
    """Return the operations of a module's adapter, or of the one that is named.

    Raises `TargetError` if it is not clear which adapter is meant, or if it cannot begin.
    """
    if f"{__package__}.sdk" not in sys.modules:
        return []  # nobody has imported what an adapter derives from
    kinds = _most_derived(_adapters_in(module, name))
    if not kinds:
        return []
    if len(kinds) > 1:
        first = min(kind.__name__ for kind in kinds)
        raise TargetError(f"{place} has several adapters: name one, such as {place}:{first}")
    from .adapter import Adapter, beginning

    with beginning(kinds[0]):
        runner = kinds[0]()
    return Adapter(runner).load()


def adopt(module: ModuleType, operations: list[LongOperation]) -> list[LongOperation]:
    """Return the operations as a module's own, if there are settings beside their file."""
    folder = os.path.dirname(getattr(module, "__file__", None) or "")
    if not os.path.exists(os.path.join(folder, _SETTINGS)):
        return operations
    from .functions import Functions
    from .sdk import ModuleRunner

    return Functions(ModuleRunner(folder)).own(operations)


def _adapters_in(module: ModuleType, name: str) -> set[type[ModuleRunner]]:
    """Return the adapter that is named, or all that the module defines itself."""
    from .sdk import ModuleRunner

    found = set()
    for key, value in vars(module).items():
        if not (isinstance(value, type) and issubclass(value, ModuleRunner)):
            continue
        is_meant = key == name if name else value.__module__ == module.__name__
        if is_meant:
            found.add(value)
    return found


def _most_derived(kinds: set[type[ModuleRunner]]) -> list[type[ModuleRunner]]:
    """Return the adapters that no other one derives from."""
    bases = {base for kind in kinds for base in kind.__mro__[1:]}
    return [kind for kind in kinds if kind not in bases]
