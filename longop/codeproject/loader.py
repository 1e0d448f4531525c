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
from . import folders

if TYPE_CHECKING:
    from .sdk import ModuleRunner


def prepare(file: str) -> None:
    """Make ready what a module's file finds when CodeProject starts it.

    That is its folder as the working directory, and the variables of its settings. These are
    beside the file, or above it if they say that it is what is started.

    Raises `TargetError` if they cannot be read.
    """
    folder = folders.module_folder(file)
    if not folders.has_settings(folder):
        return
    from . import settings

    found = settings.read(folder)
    is_beside = folder == os.path.dirname(file)
    if is_beside or os.path.normpath(os.path.join(folder, found.entry)) == file:
        settings.set_environment(found)
        folders.enter(folder)


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
    from .sdk import folder_of

    folders.enter(folder_of(kinds[0]))
    with beginning(kinds[0]):
        runner = kinds[0]()
    return Adapter(runner).load()


def adopt(module: ModuleType, operations: list[LongOperation]) -> list[LongOperation]:
    """Return the operations as a module's own, if there are settings beside their file."""
    folder = os.path.dirname(getattr(module, "__file__", None) or "")
    if not folders.has_settings(folder):
        return operations
    from .functions import Functions
    from .sdk import ModuleRunner

    return Functions(ModuleRunner(folder)).own(operations)


def _adapters_in(module: ModuleType, name: str) -> set[type[ModuleRunner]]:
    """Return the adapter that is named, or all that the module defines, or else imports."""
    from .sdk import ModuleRunner

    by_name = {key: value for key, value in vars(module).items()
               if isinstance(value, type) and issubclass(value, ModuleRunner)
               and value is not ModuleRunner}
    if name:
        return {by_name[name]} if name in by_name else set()
    own = {kind for kind in by_name.values() if kind.__module__ == module.__name__}
    return own or set(by_name.values())


def _most_derived(kinds: set[type[ModuleRunner]]) -> list[type[ModuleRunner]]:
    """Return the adapters that no other one derives from."""
    bases = {base for kind in kinds for base in kind.__mro__[1:]}
    return [kind for kind in kinds if kind not in bases]
