"""The fields of a record: of a dataclass, a ``NamedTuple`` or a ``TypedDict``."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any, NamedTuple

from .annotations import annotations_of, evaluate, signature_of


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


def fields_of(wanted: type) -> dict[str, Field]:
    """Return the fields that a record is made of, by name."""
    hints: dict[str, Any] = {}
    for base in reversed(wanted.__mro__):
        space = vars(sys.modules.get(base.__module__, sys))
        hints.update(evaluate(annotations_of(base), space))
    if is_typed_dict(wanted):
        required = _required_keys(wanted)
    else:
        parameters = signature_of(wanted).parameters
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
    names = annotations_of(wanted)
    required = getattr(wanted, "__required_keys__", names if wanted.__total__ else ())
    # With ``from __future__ import annotations``, Python takes ``NotRequired[int]`` for text.
    return {name: (name in required or "Required[" in repr(hint))
            and "NotRequired[" not in repr(hint) for name, hint in names.items()}
