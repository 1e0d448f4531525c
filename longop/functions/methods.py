"""An operation in a class: how it is bound to an object, and by which name it is found.

    class Thing:
        @longop.long_operation
        def method(self, callback): ...        Thing().method.start()

Knows nothing of jobs: `operation` is the descriptor, and asks here what it should do.
"""

from __future__ import annotations

import functools
import sys
import types
from enum import Enum
from typing import Any, Callable

from ..values.annotations import signature_of

_RECEIVERS = ("self", "cls")  # what the first parameter of a method is called, see PEP 8


class Binding(Enum):
    """What an operation that is looked up on an object or a class is bound to."""

    NONE = "nothing"
    OBJECT = "the object"
    CLASS = "the class"


def binding_of(function: Any) -> tuple[Any, Binding]:
    """Return the function that a decorator was handed, and how it is bound in a class.

    A plain function is bound if it was defined in the body of a class, or if its first
    parameter is called ``self`` or ``cls``. Another one that is shared through a class is not.
    """
    if isinstance(function, staticmethod):
        return function.__func__, Binding.NONE
    if isinstance(function, classmethod):
        return function.__func__, Binding.CLASS
    if isinstance(function, types.FunctionType) and _is_method(function):
        return function, Binding.OBJECT
    return function, Binding.NONE


def _is_method(function: types.FunctionType) -> bool:
    around = function.__qualname__.rpartition(".")[0]
    if around and not around.endswith("<locals>"):  # of a class, not of a function
        return True
    first = next(iter(signature_of(function).parameters), None)
    return first in _RECEIVERS


def name_of(receiver: Any) -> str:
    """Return what to call an object that an operation is bound to, without its ``repr``."""
    if isinstance(receiver, type):
        return receiver.__name__
    return f"a {type(receiver).__name__}"


def find(module: str, name: str) -> Any:
    """Return what a module has under a dotted name, or None."""
    try:
        return functools.reduce(getattr, name.split("."), sys.modules.get(module))
    except AttributeError:
        return None


# Pickled, an operation is looked up by its name where it arrives. A decorated function's name
# is the operation's, so the plain function is sent under the name of an attribute of it.


def plain_of(function: Callable[..., Any], module: str, name: str) -> Callable[..., Any]:
    """Return a call of a function that is found as ``_plain`` below its operation's name.

    So both kinds of pickler can send it in their own way: those that send a function's name,
    and those that send its code, as cloudpickle does for what a notebook defines.
    """
    def plain(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    plain.__module__ = module
    plain.__qualname__ = f"{name}._plain"
    return plain


def operation_of(plain: Callable[..., Any], binding: Binding) -> Any:
    """Return the operation that was pickled, or a plain call if only its code has arrived.

    In a class that was sent as code, too, the plain call is bound as the operation would be.
    """
    found = find(plain.__module__, plain.__qualname__.rpartition(".")[0])
    if getattr(found, "_plain", None) is plain:
        return found.unbound
    if binding is Binding.OBJECT:
        return plain
    return classmethod(plain) if binding is Binding.CLASS else _Unbound(plain)


class _Unbound:
    """A call of a function that no class binds; since Python 3.14 a partial is bound."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)


def bound_to(operation: Any, receiver: Any) -> Any:
    """Return the bound operation that was pickled, or a plain call with the object."""
    bind = getattr(operation, "bound_to", None)
    if bind is not None:
        return bind(receiver)
    function, _ = binding_of(operation)
    return functools.partial(function, receiver)
