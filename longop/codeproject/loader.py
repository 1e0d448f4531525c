"""Adapters, and functions with a ``modulesettings.json`` beside them, as targets."""

from __future__ import annotations

import os
import sys
from types import ModuleType

from ..errors import TargetError
from ..operation import LongOperation
from .settings import prepare as set_environment, read


def prepare(folder: str) -> None:
    """Set the variables that the settings in a folder ask for."""
    set_environment(read(folder))


def adopt(module: ModuleType, operations: list[LongOperation]) -> list[LongOperation]:
    """Return operations as that module's which a ``modulesettings.json`` beside them describes."""
    folder = os.path.dirname(getattr(module, "__file__", None) or "")
    if not os.path.exists(os.path.join(folder, "modulesettings.json")):
        return operations
    from .adapter import Functions
    from .sdk import ModuleRunner

    return Functions(ModuleRunner(folder)).own(operations)


def load(place: str, module: ModuleType, name: str) -> list[LongOperation]:
    """Return the operations of a module's adapter, or of the one that is named."""
    if f"{__package__}.sdk" not in sys.modules:  # which an adapter has imported
        return []
    from .adapter import Adapter, beginning
    from .sdk import ModuleRunner

    kinds = {kind for key, kind in vars(module).items() if isinstance(kind, type)
             and issubclass(kind, ModuleRunner) and (key == name or (
                 not name and kind.__module__ == module.__name__))}
    last = [kind for kind in kinds if not any(kind in other.__mro__[1:] for other in kinds)]
    if len(last) > 1:
        names = sorted(kind.__name__ for kind in last)
        raise TargetError(f"{place} has several adapters: name one, such as {place}:{names[0]}")
    operations = []
    for kind in last:
        with beginning(kind):
            runner = kind()
        operations += Adapter(runner).load()
    return operations
