"""An annotation as a `Kind`: the JSON Schema of its values, and the converter to them.

    "3" (a form), 3 (JSON), b"3" (an upload) ── kind_of(int).convert ──▶ 3, or ValueError

Knows nothing of functions or their parameters: that is `signature`.
"""

from __future__ import annotations

import base64
import collections.abc
import contextlib
import threading
import types
import typing
from collections import deque
from enum import Enum
from functools import partial
from typing import Any, Callable, Collection, Mapping, NamedTuple, Sequence

from .jsontext import dumps, loads, to_text
from .values import texts
from .values.records import fields_of, is_record, is_typed_dict

Converter = Callable[[Any], Any]
# The records that an annotation stands in; each list gets the kind once it is made.
_Above = typing.Mapping[type, typing.List["Kind"]]

#: The origins of ``Optional[int]``, and of ``int | None`` (since Python 3.10).
UNIONS = (typing.Union, getattr(types, "UnionType", typing.Union))

_LONGEST_SHOWN = 80  # characters of a wrong value that an error message shows
_MAX_DEPTH = 50  # of records inside records of the same class
_nodes = threading.local()  # ``depth``: how many of them this thread is in
_ARRAYS = (tuple, set, frozenset, deque)
_TYPES_OF_DEFAULTS = (bool, int, float, dict, str, bytes, bytearray, list, set, frozenset, Enum)



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
    return _kind_of(annotation, {})


def tells_type(default: Any) -> bool:
    """Return whether a default tells the kind of its parameter: `kind_of` its type."""
    kind = type(default)
    return (isinstance(default, _TYPES_OF_DEFAULTS) or hasattr(kind, "__fspath__")
            or _name_of(kind) in _TEXTS or is_record(kind))


def describes_file(schema: Mapping[str, Any]) -> bool:
    """Return whether values of a JSON Schema, such as those of a `Kind`, may be files."""
    if "contentEncoding" in schema:
        return True
    parts = [*schema.get("anyOf", ()), *schema.get("prefixItems", ()), schema.get("items")]
    # In another server's schema, a part may be True or False.
    return any(describes_file(part) for part in parts if isinstance(part, dict))


# Kinds that are made of an annotation's parts


def _kind_of(annotation: Any, above: _Above) -> Kind:
    origin = typing.get_origin(annotation)
    parts = typing.get_args(annotation)
    if origin in UNIONS:
        return _union_of(parts, above)
    if origin is typing.Literal:
        return _literal_of(parts)
    wanted: Any = origin or annotation
    # Since Python 3.11 ``Any`` is a class too.
    if not isinstance(wanted, type) or wanted in (Any, object):
        return ANYTHING
    if wanted in _SCALARS:
        return _SCALARS[wanted]
    return _kind_of_class(wanted, parts, above)


def _kind_of_class(wanted: type, parts: tuple[Any, ...], above: _Above) -> Kind:
    if is_record(wanted):
        return _record_of(wanted, above)
    if issubclass(wanted, collections.abc.Mapping):
        return _SCALARS[dict]
    if issubclass(wanted, Enum):
        return _enum_of(wanted)
    if wanted is tuple and parts and parts[-1] is not Ellipsis:
        return _tuple_of([_kind_of(part, above) for part in parts])
    if issubclass(wanted, collections.abc.Collection) and not issubclass(wanted, str):
        return _list_of(wanted, _kind_of(parts[0] if parts else Any, above))
    return _text_of(wanted)


def _text_of(wanted: type) -> Kind:
    """Return the kind of a class whose values are written as text."""
    format, what, read = _TEXTS.get(_name_of(wanted), ("", "", None))
    if not what:
        what = f"a text that {wanted.__name__} takes"
        if hasattr(wanted, "__fspath__"):
            what = "a path"
    schema = {"type": "string"}
    if format:
        schema["format"] = format
    return Kind(schema, partial(_make, partial(read or _call, wanted), what))


def _union_of(parts: tuple[Any, ...], above: _Above) -> Kind:
    nothing = type(None)
    kinds = [_NULL if part is nothing else _kind_of(part, above) for part in parts]
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
    make = wanted if wanted in _ARRAYS else list
    return Kind({"type": "array", "items": item.schema},
                partial(_convert_list, make, item.convert))


def _tuple_of(items: list[Kind]) -> Kind:
    # https://json-schema.org/draft/2020-12/json-schema-core#section-10.3.1.1
    schema = {"type": "array", "prefixItems": [item.schema for item in items],
              "minItems": len(items), "maxItems": len(items)}
    return Kind(schema, partial(_convert_tuple, [item.convert for item in items]))


# Records: a dataclass, a NamedTuple, a TypedDict


def _record_of(wanted: type, above: _Above) -> Kind:
    if wanted in above:  # a tree, whose nodes have nodes
        return Kind({"type": "object"}, partial(_convert_node, above[wanted]))
    made: list[Kind] = []
    inside = {**above, wanted: made}
    fields = fields_of(wanted)
    kinds = {name: _kind_of(field.wanted, inside) for name, field in fields.items()}
    required = [name for name, field in fields.items() if field.is_required]
    schema = {
        "type": "object",
        "properties": {name: kind.schema for name, kind in kinds.items()},
        "required": required,
        "additionalProperties": False,
    }
    make = dict if is_typed_dict(wanted) else wanted
    made.append(Kind(schema, partial(_convert_record, make, kinds, required)))
    return made[0]


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
    return make([convert(item) for item in _to_list(value)])


def _convert_tuple(converters: Sequence[Converter], value: Any) -> Any:
    items = _to_list(value)
    if len(items) != len(converters):
        raise _wrong(value, f"a list of {len(converters)} values")
    return tuple(convert(item) for convert, item in zip(converters, items))


def _to_list(value: Any) -> list[Any]:
    if isinstance(value, str) and value.lstrip().startswith("["):
        with contextlib.suppress(ValueError):  # text that only begins like a JSON array
            value = loads(value)
    if isinstance(value, (str, bytes)):
        value = [value]  # a form repeats the name for each item, and here is only one
    if not isinstance(value, list):
        raise _wrong(value, "a list")
    return value


def _convert_record(make: Callable[..., Any], kinds: Mapping[str, Kind],
                    required: Collection[str], value: Any) -> Any:
    found = _make(loads, _OBJECT, value) if isinstance(value, str) else value
    if isinstance(found, list) and hasattr(make, "_fields") and len(found) <= len(kinds):
        found = dict(zip(kinds, found))  # JSON shows a named tuple as a list
    if type(found) is not dict:
        raise _wrong(value, _OBJECT)
    problems = [f"{name!r} is missing" for name in required if name not in found]
    values = {}
    for name in found:
        if name not in kinds:
            problems.append(f"{_shown(name)} is unknown; known are: {', '.join(kinds)}")
            break  # one is enough: there may be very many
        try:
            values[name] = kinds[name].convert(found[name])
        except ValueError as error:
            problems.append(f"{name!r} {error}")
    if problems:
        raise ValueError("is wrong: " + ", ".join(problems))
    try:
        return make(**values)
    except Exception as error:  # the class itself checks what it is given
        raise ValueError(f"is wrong: {_cut(to_text(error))}") from None


def _convert_node(made: list[Kind], value: Any) -> Any:
    # Counted, because Python 3.8 does not survive some RecursionErrors.
    depth = getattr(_nodes, "depth", 0)
    if depth == _MAX_DEPTH:
        raise ValueError("is nested too deeply")
    _nodes.depth = depth + 1
    try:
        return made[0].convert(value)
    finally:
        _nodes.depth = depth


def _to_dict(value: Any) -> Any:
    found = loads(value) if isinstance(value, str) else value
    if type(found) is not dict:
        raise TypeError
    return found


def _make(make: Converter, what: str, value: Any) -> Any:
    try:
        return make(value)
    except Exception:  # a class of the user's may raise anything for a value it does not take
        raise _wrong(value, what) from None


def _call(wanted: type, value: Any) -> Any:
    return wanted(value)


def _to_int(value: Any) -> int:
    # Not ``isinstance``: True is no number here.
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


def _read_duration(wanted: type, value: Any) -> Any:
    with contextlib.suppress(ValueError):
        return wanted(seconds=_to_float(value))
    return texts.to_timedelta(value)


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
    return ValueError(f"must be {what}, not {_shown(value)}")


def _shown(value: Any) -> str:
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN - 3] + "..."


def _name_of(wanted: type) -> str:
    return f"{wanted.__module__}.{wanted.__qualname__}"


_BOOLEANS = {
    "true": True, "yes": True, "on": True, "1": True,
    "false": False, "no": False, "off": False, "0": False,
}

#: Any value, as it was given.
ANYTHING = Kind({}, _keep)

_NULL = Kind({"type": "null"}, _keep)

_OBJECT = "a JSON object"

# https://json-schema.org/draft/2020-12/json-schema-validation#section-8.3
_BASE64 = {"type": "string", "contentEncoding": "base64"}
_FILE = "an uploaded file or base64 text"

_SCALARS: dict[Any, Kind] = {
    bool: Kind({"type": "boolean"}, partial(_make, _to_bool, "true or false")),
    int: Kind({"type": "integer"}, partial(_make, _to_int, "a whole number")),
    float: Kind({"type": "number"}, partial(_make, _to_float, "a number")),
    dict: Kind({"type": "object"}, partial(_make, _to_dict, _OBJECT)),
    str: Kind({"type": "string"}, partial(_make, _to_str, "text")),
    bytes: Kind(_BASE64, partial(_make, _to_bytes, _FILE)),
    bytearray: Kind(_BASE64, partial(_make, lambda value: bytearray(_to_bytes(value)), _FILE)),
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
    "fractions.Fraction": ("", "a fraction such as 1/3", None),
    "builtins.complex": ("", "a complex number such as 1+2j", None),
    "zoneinfo.ZoneInfo": ("", "a time zone such as Europe/Berlin", None),
}
