"""TARGET, as it is written on a command line, to the operations that are found there."""

from __future__ import annotations

import importlib
import inspect
import operator
import os
import sys
import traceback
from types import FunctionType, ModuleType
from typing import Any

from ..errors import TargetError
from ..operation import LongOperation
from ..codeproject.settings import prepare, read
from ..signature import Signature


def load(target: str) -> list[LongOperation]:
    """Return the operations of ``package.module``, ``module:name`` or ``path/to/file.py[:name]``.

    Of a bare module these are its `LongOperation`s, else the functions it defines that take a
    callback. A ``cancel...`` function without parameters beside a single one is its companion.
    Raises `TargetError`, which says what to do.
    """
    place, _, name = target.rpartition(":")
    if not place or not name.replace(".", "_").isidentifier():  # a colon as in C:\ names nothing
        place, name = target, ""
    module = _import(place)
    adapters = _adapters(place, module, name)
    if adapters:
        return adapters
    own = [f for key, f in vars(module).items() if isinstance(f, FunctionType)
           and f.__module__ == module.__name__ and f.__name__ == key and key[0] != "_"]
    try:
        all_: list[Any] = [f for f in vars(module).values() if isinstance(f, LongOperation)] or [
            f for f in own if Signature(f).certain]
        found = [operator.attrgetter(name)(module)] if name else all_
        if not found:
            hint = f": name one, such as {place}:{own[0].__name__}" if own else ""
            raise TargetError(f"{place} has no LongOperation and no function with a callback{hint}")
        companions = [f for f in own if f.__name__.startswith("cancel") and f not in found
                      and not inspect.signature(f).parameters]
        single = len({id(f) for f in (*all_, *found)}) == len(companions) == 1
        companion = companions[0] if single else None
        found = [f if isinstance(f, LongOperation) else LongOperation(f)
                 for f in {id(f): f for f in found}.values()]
        if companion is not None:
            found = [one if one.companion else one.replace(cancel=companion) for one in found]
        return _with_settings(module, found)
    except AttributeError:
        known = ", ".join(f.__name__ for f in own) or "no function"
        raise TargetError(f"{place} has no {name}; it has {known}") from None
    except TypeError as error:  # of LongOperation, about what was named
        raise TargetError(str(error)) from error


def _with_settings(module: ModuleType, operations: list[LongOperation]) -> list[LongOperation]:
    """Return operations as that module's which a ``modulesettings.json`` beside them describes."""
    folder = os.path.dirname(getattr(module, "__file__", None) or "")
    if not os.path.exists(os.path.join(folder, "modulesettings.json")):
        return operations
    from ..codeproject.adapter import Functions
    from ..codeproject.sdk import ModuleRunner

    return Functions(ModuleRunner(folder)).own(operations)


def _adapters(place: str, module: ModuleType, name: str) -> list[LongOperation]:
    """Return the operations of a module's adapter, or of the one that is named."""
    if "longop.codeproject" not in sys.modules:  # which an adapter has imported
        return []
    from ..codeproject.adapter import Adapter, beginning
    from ..codeproject.sdk import ModuleRunner

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


def _import(place: str) -> ModuleType:
    is_file = place.endswith(".py") or "/" in place or os.sep in place
    if is_file and not (place.endswith(".py") and os.path.isfile(place)):
        raise TargetError(f"there is no Python file {place}")
    name = os.path.basename(place)[:-3] if is_file else place
    if is_file:  # what is beside the file can be imported too
        sys.path.insert(0, os.path.dirname(os.path.abspath(place)))
        prepare(read(sys.path[0]))
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        frame = traceback.extract_tb(error.__traceback__)[-1]
        if not frame.filename.startswith("<"):
            what += f" ({frame.filename}, line {frame.lineno})"
        elif isinstance(error, ModuleNotFoundError):
            what += ": run this in the folder that holds it, or give path/to/file.py"
        raise TargetError(f"cannot import {place}: {what}") from error
    found = getattr(module, "__file__", None) or "a part of Python"
    if is_file and not (os.path.exists(found) and os.path.samefile(found, place)):
        raise TargetError(f"{place} has the name of another module, {found}: rename it")
    return module
