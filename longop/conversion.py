"""An annotation as a `Kind`: the JSON Schema of its values, and the converter to them.

    "3" (a form), 3 (JSON), b"3" (an upload) ── kind_of(int).convert ──▶ 3, or ValueError

Knows nothing of functions or their parameters: that is `signature`.
"""

from __future__ import annotations

import base64
import collections.abc
import contextlib
import types
import typing
from enum import Enum
from functools import partial
from typing import Any, Callable, Collection, Mapping, NamedTuple, Sequence

from .jsontext import dumps, loads

Converter = Callable[[Any], Any]

#: The origins of ``Optional[int]``, and of ``int | None`` (since Python 3.10).
UNIONS = (typing.Union, getattr(types, "UnionType", typing.Union))

_LONGEST_SHOWN = 80  # characters of a wrong value that an error message shows


class Kind(NamedTuple):
    """A kind of values: their JSON Schema, and what converts a given value to one of them.

    The converter takes text, values of JSON and uploads (``bytes``). It raises ``ValueError``
    with a message that says what the value must be.
    """

    schema: Mapping[str, Any]
    convert: Converter

    @property
    def is_file(self) -> bool:
        """True if a value may be an uploaded file."""
        return describes_file(self.schema)


def kind_of(annotation: Any) -> Kind:
    """Return the kind of values that an annotation stands for.

    An annotation that means nothing to us gives `ANYTHING`; a class that we do not know is
    called with the text.
    """
    origin = typing.get_origin(annotation)
    parts = typing.get_args(annotation)
    if origin in UNIONS:
        return _union_of(parts)
    if origin is typing.Literal:
        return _literal_of(parts)
    wanted: Any = origin or annotation
    # Since Python 3.11 ``Any`` is a class too.
    if not isinstance(wanted, type) or wanted in (Any, object):
        return ANYTHING
    if wanted in _SCALARS:
        return _SCALARS[wanted]
    return _kind_of_class(wanted, parts)


def describes_file(schema: Mapping[str, Any]) -> bool:
    """Return whether values of a JSON Schema, such as those of a `Kind`, may be files."""
    if "contentEncoding" in schema:
        return True
    if "items" in schema:
        return describes_file(schema["items"])
    return any(describes_file(part) for part in schema.get("anyOf", ()))


# Kinds that are made of an annotation's parts


def _kind_of_class(wanted: type, parts: tuple[Any, ...]) -> Kind:
    if issubclass(wanted, collections.abc.Mapping):
        return _SCALARS[dict]
    if issubclass(wanted, Enum):
        return _enum_of(wanted)
    if issubclass(wanted, collections.abc.Collection) and not issubclass(wanted, str):
        return _list_of(wanted, kind_of(parts[0] if parts else Any))
    what = f"a text that {wanted.__name__} takes"
    return Kind({"type": "string"}, partial(_make, wanted, what))


def _union_of(parts: tuple[Any, ...]) -> Kind:
    nothing = type(None)
    kinds = [_NULL if part is nothing else kind_of(part) for part in parts]
    converters = [kind.convert for kind in kinds if kind is not _NULL]
    nulls: tuple[Any, ...] = ()
    if nothing in parts:
        # An empty field of a form is no value, but it is a text.
        nulls = (None,) if str in parts else (None, "")
    schema = {"anyOf": [kind.schema for kind in kinds]}
    return Kind(schema, partial(_convert_to_first, converters, nulls))


def _literal_of(parts: tuple[Any, ...]) -> Kind:
    choices = {_as_text(part): part for part in parts}
    return Kind({"enum": list(parts)}, partial(_choose, choices))


def _enum_of(wanted: type[Enum]) -> Kind:
    # A member may be given by its name or by its value. Where a value is the name of another
    # member, the value counts: it is what the schema shows.
    choices = dict(wanted.__members__)
    choices.update((_as_text(member.value), member) for member in wanted)
    values = [member.value for member in wanted]
    return Kind({"enum": values}, partial(_choose, choices))


def _list_of(wanted: type, item: Kind) -> Kind:
    # ``list`` stands for abstract classes too, such as ``Sequence``.
    make = wanted if wanted in (tuple, set, frozenset) else list
    return Kind({"type": "array", "items": item.schema},
                partial(_convert_list, make, item.convert))


# Converters. Their last argument is the value; `partial` gives the ones before it.


def _keep(value: Any) -> Any:
    return value


def _convert_to_first(converters: Sequence[Converter], nulls: Collection[Any],
                      value: Any) -> Any:
    """Return what the first converter that takes the value makes of it."""
    if value in nulls:
        return None
    for convert in converters[:-1]:
        with contextlib.suppress(ValueError):
            return convert(value)
    return converters[-1](value)  # its error is the one to show


def _choose(choices: Mapping[str, Any], value: Any) -> Any:
    text = _as_text(value)
    if text not in choices:
        raise _wrong(value, "one of " + ", ".join(choices))
    return choices[text]


def _convert_list(make: Callable[[list[Any]], Any], convert: Converter, value: Any) -> Any:
    if isinstance(value, str) and value.lstrip().startswith("["):
        with contextlib.suppress(ValueError):  # text that only begins like a JSON array
            value = loads(value)
    if isinstance(value, (str, bytes)):
        value = [value]  # a form repeats the name for each item, and here is only one
    if not isinstance(value, list):
        raise _wrong(value, "a list")
    return make([convert(item) for item in value])


def _convert_json(wanted: type, what: str, value: Any) -> Any:
    """Convert text, read as JSON, or a value of JSON to a type that JSON has too."""
    found = value
    if isinstance(value, str):
        found = _make(loads, what, value)
    # Not ``isinstance``: True is no number here.
    if type(found) is wanted or (wanted is float and type(found) is int):
        return _make(wanted, what, found)
    raise _wrong(value, what)


def _make(make: Converter, what: str, value: Any) -> Any:
    try:
        return make(value)
    except Exception:  # a class of the user's may raise anything for a value it does not take
        raise _wrong(value, what) from None


def _to_bool(value: Any) -> bool:
    return _BOOLEANS[str(value).lower()]


def _to_str(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode()  # an upload stands for the text in the file
    return str.__str__(value)  # raises TypeError for what is no text


def _to_bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    return base64.b64decode(value, validate=True)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else dumps(value)


def _wrong(value: Any, what: str) -> ValueError:
    shown = repr(value)
    if len(shown) > _LONGEST_SHOWN:
        shown = shown[:_LONGEST_SHOWN - 3] + "..."
    return ValueError(f"must be {what}, not {shown}")


_BOOLEANS = {
    "true": True, "yes": True, "on": True, "1": True,
    "false": False, "no": False, "off": False, "0": False,
}

#: Any value, as it was given.
ANYTHING = Kind({}, _keep)

_NULL = Kind({"type": "null"}, _keep)

_SCALARS: dict[Any, Kind] = {
    bool: Kind({"type": "boolean"}, partial(_make, _to_bool, "true or false")),
    int: Kind({"type": "integer"}, partial(_convert_json, int, "a whole number")),
    float: Kind({"type": "number"}, partial(_convert_json, float, "a number")),
    dict: Kind({"type": "object"}, partial(_convert_json, dict, "a JSON object")),
    str: Kind({"type": "string"}, partial(_make, _to_str, "text")),
    # https://json-schema.org/draft/2020-12/json-schema-validation#section-8.3
    bytes: Kind({"type": "string", "contentEncoding": "base64"},
                partial(_make, _to_bytes, "an uploaded file or base64 text")),
}
