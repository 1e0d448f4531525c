"""JSON text: strict when it is read; when it is written, any value at all, as well as it can be."""

from __future__ import annotations

import base64
import contextlib
import json
from dataclasses import is_dataclass
from enum import Enum
from typing import Any

_MAX_DEPTH = 100  # of a value that json does not take as it is


def dumps(value: Any) -> str:
    """Return a value as compact JSON, in ASCII; raise nothing.

    Bytes become base64, sets and arrays lists, dataclasses objects, NaN and the infinities null
    (as in JavaScript), and what is left its ``str``.
    """
    try:
        return _encode(value)
    except Exception:  # NaN, a key that is no text, a ring: only then each part is looked at
        return _encode(_simplify(value, ()))


def loads(text: str) -> Any:
    """Return the value of a JSON text; raise ``ValueError`` if it is none, NaN included."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def to_text(value: Any) -> str:
    """Return a value's ``str``, or its type's name if that raises; raise nothing."""
    with contextlib.suppress(Exception):
        return str(value)
    return f"<{type(value).__name__}>"


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not in JSON")


def _plain(value: Any) -> Any:
    with contextlib.suppress(Exception):  # an object of the function's own may be broken
        if isinstance(value, (bytes, bytearray, memoryview)):
            return base64.b64encode(value).decode()
        if isinstance(value, (set, frozenset)):
            return list(value)
        if is_dataclass(value) and not isinstance(value, type):
            return vars(value)
        if hasattr(value, "tolist"):  # as numpy's have
            return value.tolist()
        return value.value if isinstance(value, Enum) else str(value)
    return f"<{type(value).__name__}>"


def _simplify(value: Any, above: tuple[int, ...]) -> Any:
    if id(value) in above or len(above) > _MAX_DEPTH:
        return "..."
    inside = (*above, id(value))
    if isinstance(value, dict):
        return {to_text(key): _simplify(item, inside) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_simplify(item, inside) for item in value]
    try:
        json.dumps(value, allow_nan=False)
        return value
    except TypeError:
        return _simplify(_plain(value), inside)
    except ValueError:  # NaN and the infinities, and whole numbers too long for str
        return None if isinstance(value, float) else to_text(value)


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_plain).encode
