"""JSON text: strict when read; when written, it takes any value at all.

JSON here is RFC 8259: NaN and the infinities, which Python's ``json`` knows, are not in it.
What becomes of the values that JSON does not have is a table in ``docs/values.md``.
"""

from __future__ import annotations

import binascii
import contextlib
import dataclasses
import json
import math
from collections import UserDict, UserList, UserString
from collections.abc import Mapping, Sequence, Set, ValuesView
from enum import Enum
from typing import Any, Callable

from .texts import to_duration

MAX_DEPTH = 100  # levels that are written of a value that json cannot encode as it is
_MAX_RANGE = 100_000  # numbers that are written of a range, which takes no memory itself
_MAX_BITS = 2_000  # of an int that is surely written; Python limits longer ones
_TRIES = 10  # to copy an object that another thread is changing
_TEXTS = (str, UserString)
_COLLECTIONS = (Sequence, Set, ValuesView)


class TooDeep(ValueError):
    """A JSON text is nested more deeply than Python can read it."""


def dumps(value: Any, above: tuple[int, ...] = ()) -> str:
    """Return a value as compact JSON in ASCII; raise nothing.

    Another thread may be changing the value: the text shows each dict and each list in it as
    it was at one moment.

    :param above: the ``id`` of each object that contains this one.
    """
    try:
        return _encode(value)  # at the speed of C: most values need no more
    except Exception:  # NaN, a key that is not a string, a reference cycle, an object
        pass
    try:
        return _encode(_simplify(value, above))
    except Exception:  # RecursionError, if the caller's stack is nearly full; MemoryError
        return f'"<{type(value).__name__}>"'


def loads(text: str) -> Any:
    """Return the value of a JSON text; raise ``ValueError`` if it is none."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise TooDeep("it is nested too deeply") from None


def to_text(value: Any) -> str:
    """Return a value's ``str``, or its type's name if that raises; raise nothing."""
    with contextlib.suppress(Exception):
        return str(value)
    return f"<{type(value).__name__}>"


def fields_of(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass's object by name, without those never set.

    They may be in ``__slots__`` and not in ``vars(value)``.
    """
    names = [field.name for field in dataclasses.fields(value)]
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not in JSON")


def plain(value: Any) -> Any:
    """Return something simpler for a value that json does not know; raise nothing."""
    with contextlib.suppress(Exception):  # a user's object may raise anything
        if isinstance(value, type):
            return str(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return binascii.b2a_base64(value, newline=False).decode()
        if isinstance(value, Enum):
            return value.value
        if dataclasses.is_dataclass(value):
            return fields_of(value)
        if hasattr(value, "tolist"):  # an array or a scalar of numpy
            return value.tolist()
        return _plain_container(value)
    return f"<{type(value).__name__}>"


def _plain_container(value: Any) -> Any:
    """Return a dict or a list for a container of another class, else the value's text."""
    if isinstance(value, (UserDict, UserList)):
        return value.data  # a real dict or list, whose copy is made in one step
    if isinstance(value, Mapping):
        return copy_of(dict, value)
    if isinstance(value, range) and value[_MAX_RANGE:]:
        return str(value)
    if isinstance(value, _COLLECTIONS) and not isinstance(value, _TEXTS):
        return copy_of(list, value)
    return _text_of(value)


def _text_of(value: Any) -> str:
    """Return a value's ``str``; of dates and times, what ISO 8601 makes of them."""
    from datetime import date, time, timedelta  # late, so that a start is quick

    if isinstance(value, (date, time)):
        return value.isoformat()
    return to_duration(value) if isinstance(value, timedelta) else str(value)


def copy_of(make: Callable[[Any], Any], value: Any) -> Any:
    """Return a container as a dict or a list, or its text if it does not hold still.

    Another thread, often the function's, may be changing it. A dict or a list is copied in one
    step under the GIL. Others may run Python code for each item, and raise when an item came
    or went meanwhile.
    """
    for _ in range(_TRIES):
        with contextlib.suppress(Exception):
            return make(value)
    return to_text(value)


def _simplify(value: Any, above: tuple[int, ...]) -> Any:
    """Return a copy that json can encode, part by part.

    :param above: the ``id`` of each object that contains this one. A cycle ends with "...",
        and so does what is nested too deeply.
    """
    if _is_simple(value):
        return value
    if id(value) in above or len(above) > MAX_DEPTH:
        return "..."
    inside = (*above, id(value))
    if isinstance(value, dict):
        value = copy_of(dict, value)
    elif isinstance(value, (list, tuple)):
        value = copy_of(list, value)
    if type(value) is dict:
        return {_key(key): _simplify(item, inside) for key, item in value.items()}
    if type(value) is list:
        return [_simplify(item, inside) for item in value]
    return _simplify_scalar(value, inside)


def _is_simple(value: Any) -> bool:
    """Return whether a value is one that json surely encodes as it is."""
    kind = type(value)
    if kind is float:
        return math.isfinite(value)
    if kind is int:
        return bool(value.bit_length() < _MAX_BITS)
    return kind is str or kind is bool or value is None


def _simplify_scalar(value: Any, inside: tuple[int, ...]) -> Any:
    try:
        _encode(value)
        return value
    except TypeError:
        return _simplify(plain(value), inside)
    except ValueError:  # NaN, an infinity, or an integer with too many digits for str
        return None if isinstance(value, float) else to_text(value)


def _key(key: Any) -> str:
    """Return a key as the text that json makes of it, or else its ``str``."""
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, (int, float)):
        with contextlib.suppress(ValueError):  # NaN
            return _encode(key)
    return to_text(key)


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
