"""The kinds of single values: numbers, texts, dates, bytes and the like."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import Any, Callable

from . import texts
from .kinds import Kind, attempt


def is_known(wanted: type) -> bool:
    """Return whether a class has its words here."""
    return wanted in SCALARS or _name_of(wanted) in _TEXTS or hasattr(wanted, "__fspath__")


def text_of(wanted: type) -> Kind:
    """Return the kind of a class whose values are written as text."""
    format, what, read = _TEXTS.get(_name_of(wanted), ("", "", None))
    if not what:
        what = f"a text that {wanted.__name__} takes"
        if hasattr(wanted, "__fspath__"):
            what = "a path"
    schema = {"type": "string"}
    if format:
        schema["format"] = format
    return Kind(schema, partial(attempt, partial(read or _call, wanted), what))


# Converters. Their last argument is the value; `partial` gives the ones before it.


def _call(wanted: type, value: Any) -> Any:
    return wanted(value)


def _to_int(value: Any) -> int:
    # Not ``isinstance``: True is not a number here.
    return value if type(value) is int else texts.to_int(value)


def _to_float(value: Any) -> float:
    return texts.to_float(_number_text(value))


def _number_text(value: Any) -> Any:
    """Return the text of a number of JSON, and anything else as it is."""
    return repr(value) if type(value) in (int, float) else value


def _read_text(read: Callable[[str], Any], wanted: type, value: Any) -> Any:
    return read(value)


def _read_number(wanted: type, value: Any) -> Any:
    return wanted(texts.check_number(_number_text(value)))


def _read_fraction(wanted: type, value: Any) -> Any:
    return wanted(texts.check_size(value) if isinstance(value, str) else value)


def _read_duration(wanted: type, value: Any) -> Any:
    with contextlib.suppress(ValueError):
        return wanted(seconds=_to_float(value))
    return texts.to_timedelta(value)


def _to_bool(value: Any) -> bool:
    return _BOOLEANS[str(value).lower()]


def _to_str(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode()  # an upload stands for the text in the file
    return str.__str__(value)  # raises TypeError for what is not a text


def _to_bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    import base64  # here, because few programs need it

    return base64.b64decode(value, validate=True)


def _name_of(wanted: type) -> str:
    return f"{wanted.__module__}.{wanted.__qualname__}"


_BOOLEANS = {
    "true": True, "yes": True, "on": True, "1": True,
    "false": False, "no": False, "off": False, "0": False,
}

# https://json-schema.org/draft/2020-12/json-schema-validation#section-8.3
_BASE64 = {"type": "string", "contentEncoding": "base64"}
_FILE = "an uploaded file or base64 text"

SCALARS: dict[Any, Kind] = {
    bool: Kind({"type": "boolean"}, partial(attempt, _to_bool, "true or false")),
    int: Kind({"type": "integer"}, partial(attempt, _to_int, "a whole number")),
    float: Kind({"type": "number"}, partial(attempt, _to_float, "a number")),
    str: Kind({"type": "string"}, partial(attempt, _to_str, "text")),
    bytes: Kind(_BASE64, partial(attempt, _to_bytes, _FILE)),
    bytearray: Kind(_BASE64, partial(attempt, lambda value: bytearray(_to_bytes(value)), _FILE)),
}

#: Classes whose values are text, by their names: a start imports none of their modules. Each
#: with its JSON Schema ``format``, what a value must be, and what reads it.
_TEXTS: dict[str, tuple[str, str, Callable[[type, Any], Any] | None]] = {
    "datetime.date": ("date", "a date such as 2026-11-28", partial(_read_text, texts.to_date)),
    "datetime.datetime": ("date-time", "a date and time such as 2026-11-28T14:30",
                          partial(_read_text, texts.to_datetime)),
    "datetime.time": ("time", "a time such as 14:30", partial(_read_text, texts.to_time)),
    "datetime.timedelta": ("duration", "a duration such as 1:30:00 or PT1H30M", _read_duration),
    "decimal.Decimal": ("decimal", "a number such as 1.10", _read_number),
    "uuid.UUID": ("uuid", "a UUID such as 123e4567-e89b-12d3-a456-426614174000", None),
    "fractions.Fraction": ("", "a fraction such as 1/3", _read_fraction),
    "builtins.complex": ("", "a complex number such as 1+2j", None),
    "zoneinfo.ZoneInfo": ("", "a time zone such as Europe/Berlin", None),
}
