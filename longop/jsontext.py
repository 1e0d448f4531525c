"""Any value as JSON text: what a function made is shown, even where JSON has no word for it."""

from __future__ import annotations

import base64
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
        return json.dumps(value, separators=(",", ":"), allow_nan=False, default=_plain)
    except (ValueError, TypeError, RecursionError):
        # NaN, a key that is no text, a ring: seldom, and only then each part is looked at.
        return json.dumps(_simplify(value, ()), separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (set, frozenset)):
        return list(value)
    if is_dataclass(value) and not isinstance(value, type):
        return vars(value)
    if hasattr(value, "tolist"):  # numpy's scalars and arrays
        return value.tolist()
    return to_text(value)


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


def to_text(value: Any) -> str:
    """Return a value's ``str``, or its type's name if that raises; raise nothing."""
    try:
        return str(value)
    except Exception:  # an object of the function's own may be broken
        return f"<{type(value).__name__}>"
