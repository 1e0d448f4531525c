"""TARGET, as it is written on a command line, to the operations that are found there.

Wings may add targets of their own kind, such as CodeProject.AI Server's adapters: see `Loader`.
"""

from __future__ import annotations

import importlib
import operator
import os
import sys
import traceback
from types import FunctionType, ModuleType
from typing import Any, Callable, Protocol, Sequence

from .. import wings
from ..errors import TargetError
from ..operation import LongOperation
from ..signature import Signature
from ..values.annotations import signature_of

#: The modules of other wings that load targets of their own kind, where the wing is there.
LOADERS = ("codeproject.loader",)


class Loader(Protocol):
    """What a wing's module in `LOADERS` offers."""

    def prepare(self, file: str) -> None:
        """Do what must be done before a file is imported; the path is absolute."""
        ...

    def load(self, place: str, module: ModuleType, name: str) -> list[LongOperation]:
        """Return the operations of what a module has of this loader's kind, or an empty list.

        ``name`` is what was named in the target, or empty; ``place`` is the rest of the target.
        Raises `TargetError`.
        """
        ...

    def adopt(self, module: ModuleType, operations: list[LongOperation]) -> list[LongOperation]:
        """Return the operations of plain functions as those of the folder they are in."""
        ...


def load(target: str, start: str = "") -> list[LongOperation]:
    """Return the operations of ``package.module``, ``module:name`` or ``path/to/file.py[:name]``.

    Of a bare module these are its `LongOperation`s, or, if it has none, the functions it defines
    that take a callback. If there is a single one, and a single ``cancel...`` function without
    parameters beside it, that is its companion.

    :param start: the folder that a path is meant from; by default the working directory, which
        a loader may change.

    Raises `TargetError`, which says what to do.
    """
    loaders = [loader for loader in map(_find_loader, LOADERS) if loader is not None]
    place, name = split(target)
    module = _import(place, start, loaders)
    for loader in loaders:
        operations = loader.load(place, module, name)
        if operations:
            return operations
    operations = _load_functions(place, module, name)
    for loader in loaders:
        operations = loader.adopt(module, operations)
    return operations


def _find_loader(module: str) -> Loader | None:
    found: Any = wings.find(module)
    return found  # type: ignore[no-any-return]


def split(target: str) -> tuple[str, str]:
    """Return the module or file that a target names, and the name in it, or an empty one."""
    place, colon, name = target.rpartition(":")
    is_drive = os.path.splitdrive(target)[0] == place + colon and _is_file(name)
    if colon and place and not is_drive and name.replace(".", "_").isidentifier():
        return place, name
    return target, ""  # the colon of C:\work.py, or of C:work.py, names nothing


# Functions


def _load_functions(place: str, module: ModuleType, name: str) -> list[LongOperation]:
    """Return the operations of a module's functions."""
    functions = _public_functions(module)
    try:
        by_default = _operations_in(module) or [f for f in functions if Signature(f).certain]
        if name:
            found = [_look_up(place, module, name, functions)]
        else:
            found = by_default
        if not found:
            raise TargetError(f"{place} has no LongOperation and no function with a callback"
                              + _hint(place, functions))
        cancel = _companion(functions, found, by_default)
        return [_as_operation(one, cancel) for one in _unique(found)]
    except TypeError as error:  # raised by LongOperation, about the function
        raise TargetError(str(error)) from error


def _public_functions(module: ModuleType) -> list[Callable[..., Any]]:
    """Return the functions that a module defines itself, by a public name of their own."""
    return [value for key, value in vars(module).items()
            if isinstance(value, FunctionType) and value.__module__ == module.__name__
            and value.__name__ == key and not key.startswith("_")]


def _operations_in(module: ModuleType) -> list[Any]:
    return [value for value in vars(module).values() if isinstance(value, LongOperation)]


def _look_up(place: str, module: ModuleType, name: str,
             functions: Sequence[Callable[..., Any]]) -> Any:
    try:
        return operator.attrgetter(name)(module)
    except AttributeError:
        known = ", ".join(function.__name__ for function in functions) or "no function"
        raise TargetError(f"{place} has no {name}; it has {known}") from None


def _hint(place: str, functions: Sequence[Callable[..., Any]]) -> str:
    return f": name one, such as {place}:{functions[0].__name__}" if functions else ""


def _companion(functions: Sequence[Callable[..., Any]], found: Sequence[Any],
               by_default: Sequence[Any]) -> Callable[..., Any] | None:
    """Return the ``cancel...`` function of a module, if it is clear what it cancels.

    It is clear if there is one such function, and one that could be meant.
    """
    companions = [function for function in functions
                  if function.__name__.startswith("cancel") and function not in found
                  and not signature_of(function).parameters]
    candidates = _unique([*by_default, *found])
    if len(candidates) == 1 and len(companions) == 1:
        return companions[0]
    return None


def _as_operation(found: Any, cancel: Callable[..., Any] | None) -> LongOperation:
    """Return a function, or an operation, as an operation that has a companion if there is one."""
    if not isinstance(found, LongOperation):
        return LongOperation(found, cancel=cancel)
    if cancel is not None and found.companion is None:
        return found.replace(cancel=cancel)
    return found


def _unique(values: Sequence[Any]) -> list[Any]:
    """Return the values in their order, each once: a module may have two names for one function."""
    return list({id(value): value for value in values}.values())


# Modules


def _import(place: str, start: str, loaders: Sequence[Loader]) -> ModuleType:
    """Import what a target names: a module, or a file, whose folder is then on the path."""
    if not _is_file(place):
        return _import_module(place, place)
    path = os.path.abspath(os.path.join(start, place))
    if not (_is_python(place) and os.path.isfile(path)):
        raise TargetError(f"there is no Python file {place}")
    folder, file = os.path.split(path)
    file = _spelled(folder, file)
    name, ending = os.path.splitext(file)
    if ending != ".py":
        raise TargetError(f"{place} cannot be imported, because its name ends with {ending}: "
                          f"rename it to {name}.py")
    if "." in name:
        raise TargetError(f"{place} cannot be imported, because of the dots in its name: "
                          f"rename it, such as to {name.replace('.', '_')}.py")
    sys.path.insert(0, folder)  # so that the file can import what stands beside it
    for loader in loaders:
        loader.prepare(path)
    module = _import_module(place, name)
    found = getattr(module, "__file__", None) or "a part of Python"
    if not (os.path.exists(found) and os.path.samefile(found, path)):
        raise TargetError(f"{place} has the name of another module, {found}: rename it")
    return module


def _is_file(place: str) -> bool:
    return _is_python(place) or "/" in place or os.sep in place


def _is_python(place: str) -> bool:
    return os.path.normcase(place).endswith(".py")  # on Windows, WORK.PY is such a file


def _spelled(folder: str, file: str) -> str:
    """Return a file's name as it is spelled in its folder, which an import looks for.

    Windows and macOS find a file by its name in any case.
    """
    found = os.listdir(folder)
    alike = [name for name in found if name.lower() == file.lower()]
    return file if file in found or not alike else alike[0]


def _import_module(place: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise TargetError(f"cannot import {place}: {_why(place, error)}") from error


def _why(place: str, error: BaseException) -> str:
    """Return why an import failed, on one line, with the place in the code or what to do."""
    why = " ".join(f"{type(error).__name__}: {error}".split())
    frame = traceback.extract_tb(error.__traceback__)[-1]
    if not frame.filename.startswith("<"):  # it is in the code, and not in importlib's
        return f"{why} ({frame.filename}, line {frame.lineno})"
    if isinstance(error, ModuleNotFoundError) and not _is_file(place):
        return f"{why}: run this in the folder that holds it, or give path/to/file.py"
    return why
