"""JSON text: strict when read; when written, it takes any value at all.

JSON here is RFC 8259: NaN and the infinities, which Python's ``json`` knows, are not in it.
"""

from __future__ import annotations

import base64
import contextlib
import json
from dataclasses import is_dataclass
from enum import Enum
from typing import Any

_MAX_DEPTH = 100  # levels that are written of a value that json cannot encode as it is


def dumps(value: Any) -> str:
    """Return a value as compact JSON in ASCII; raise nothing.

    Bytes become base64, sets and arrays lists, dataclasses objects, NaN and the infinities
    null (as in JavaScript), and anything else its ``str``.
    """
    try:
        return _encode(value)  # at the speed of C: most values need no more
    except Exception:  # NaN, a key that is no string, a reference cycle
        return _encode(_simplify(value, ()))


def loads(text: str) -> Any:
    """Return the value of a JSON text; raise ``ValueError`` if it is none."""
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
    """Return something simpler for a value that json does not know; raise nothing."""
    # Calls no function of ours: json calls this deep in a nested value, where a RecursionError
    # in here would be taken for an error of the value.
    with contextlib.suppress(Exception):  # a user's object may raise anything
        if isinstance(value, (bytes, bytearray, memoryview)):
            return base64.b64encode(value).decode()
        if isinstance(value, (set, frozenset)):
            return list(value)
        if is_dataclass(value) and not isinstance(value, type):
            return vars(value)
        to_list = getattr(value, "tolist", None)  # of an array or a scalar of numpy
        if to_list is not None:
            return to_list()
        if isinstance(value, Enum):
            return value.value
        return str(value)
    return f"<{type(value).__name__}>"


def _simplify(value: Any, above: tuple[int, ...]) -> Any:
    """Return a copy that json can encode, part by part.

    :param above: the ``id`` of each object that contains this one. A cycle ends with "...",
        and so does what is nested too deeply.
    """
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
    except ValueError:  # NaN, an infinity, or an integer with too many digits for str
        return None if isinstance(value, float) else to_text(value)


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_plain).encode
