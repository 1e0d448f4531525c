"""The fields of a record: of a dataclass, a ``NamedTuple`` or a ``TypedDict``."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import sys
import types
import typing
from typing import Any, Mapping, NamedTuple


class Field(NamedTuple):
    """A field of a record: what its annotation asks for, and whether it has no default."""

    wanted: Any
    is_required: bool


def is_record(wanted: type) -> bool:
    """Return whether a class is one of records."""
    return (dataclasses.is_dataclass(wanted) or is_typed_dict(wanted)
            or (issubclass(wanted, tuple) and hasattr(wanted, "_fields")))


def is_typed_dict(wanted: type) -> bool:
    """Return whether a class is a ``TypedDict``, whose records are plain dicts."""
    return issubclass(wanted, dict) and hasattr(wanted, "__total__")


def evaluate(annotations: Mapping[str, Any], space: Mapping[str, Any]) -> dict[str, Any]:
    """Return annotations, evaluated with some globals; those that cannot be are left out."""
    hints: dict[str, Any] = {}
    for name, hint in annotations.items():
        # One at a time, because one may have a name that is there for a type checker only, or
        # a syntax that this Python does not know.
        one = types.SimpleNamespace(__annotations__={name: hint}, __globals__=space)
        with contextlib.suppress(Exception):
            hints.update(typing.get_type_hints(one))
    return hints


def fields_of(wanted: type) -> dict[str, Field]:
    """Return the fields that a record is made of, by name."""
    hints: dict[str, Any] = {}
    for base in reversed(wanted.__mro__):
        space = vars(sys.modules.get(base.__module__, sys))
        hints.update(evaluate(getattr(base, "__annotations__", {}), space))
    if is_typed_dict(wanted):
        required = _required_keys(wanted)
    else:
        parameters = inspect.signature(wanted).parameters
        required = {name: p.default is p.empty for name, p in parameters.items()
                    if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    fields = {}
    for name, is_required in required.items():
        hint = hints.get(name, Any)
        if isinstance(hint, dataclasses.InitVar):
            hint = hint.type
        fields[name] = Field(hint, is_required)
    return fields


def _required_keys(wanted: Any) -> dict[str, bool]:
    """Return the keys of a TypedDict, and whether each is required."""
    names = wanted.__annotations__
    required = getattr(wanted, "__required_keys__", names if wanted.__total__ else ())
    # With ``from __future__ import annotations``, Python takes ``NotRequired[int]`` for text.
    return {name: (name in required or "Required[" in repr(hint))
            and "NotRequired[" not in repr(hint) for name, hint in names.items()}
