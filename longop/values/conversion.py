"""An annotation as a `Kind`: the JSON Schema of its values, and the converter to them.

    "3" (a form), 3 (JSON), b"3" (an upload) ── kind_of(int).convert ──▶ 3, or ValueError

Knows nothing of functions or their parameters: that is `signature`.
"""

from __future__ import annotations

import collections.abc
import contextlib
import threading
import types
import typing
from collections import deque
from enum import Enum
from functools import partial
from typing import Any, Callable, Collection, Mapping, Sequence

from .given import UnfitJson, loads
from .jsontext import dumps, to_text
from .kinds import ANYTHING, Converter, Kind, attempt, cut, shown, wrong
from .records import fields_of, is_record, is_typed_dict
from .scalars import SCALARS, is_known, text_of

# The records that an annotation stands in; each list gets the kind once it is made.
_Above = typing.Mapping[type, typing.List[Kind]]

#: The origins of ``Optional[int]``, and of ``int | None`` (since Python 3.10).
UNIONS = (typing.Union, getattr(types, "UnionType", typing.Union))

_MAX_DEPTH = 50  # of records inside records of the same class
_nodes = threading.local()  # ``depth``: how many of them this thread is in
_ARRAYS = (tuple, set, frozenset, deque)
_TYPES_OF_DEFAULTS = (*SCALARS, dict, list, set, frozenset, Enum)
_OBJECT = "a JSON object"


def kind_of(annotation: Any) -> Kind:
    """Return the kind of values that an annotation stands for.

    An annotation that means nothing to us gives `ANYTHING`; a class that we do not know is
    called with the text.
    """
    return _kind_of(annotation, {})


def tells_type(default: Any) -> bool:
    """Return whether a default tells the kind of its parameter: `kind_of` its type."""
    kind = type(default)
    return isinstance(default, _TYPES_OF_DEFAULTS) or is_known(kind) or is_record(kind)


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
    if wanted in SCALARS:
        return SCALARS[wanted]
    return _kind_of_class(wanted, parts, above)


def _kind_of_class(wanted: type, parts: tuple[Any, ...], above: _Above) -> Kind:
    if is_record(wanted):
        return _record_of(wanted, above)
    if issubclass(wanted, collections.abc.Mapping):
        return _DICT
    if issubclass(wanted, Enum):
        return _enum_of(wanted)
    if wanted is tuple and parts and parts[-1] is not Ellipsis:
        return _tuple_of([_kind_of(part, above) for part in parts])
    if issubclass(wanted, collections.abc.Collection) and not issubclass(wanted, str):
        return _list_of(wanted, _kind_of(parts[0] if parts else Any, above))
    return text_of(wanted)


def _union_of(parts: tuple[Any, ...], above: _Above) -> Kind:
    nothing = type(None)
    kinds = [_NULL if part is nothing else _kind_of(part, above) for part in parts]
    converters = [kind.convert for kind in kinds if kind is not _NULL]
    nulls: tuple[Any, ...] = ()
    if nothing in parts:
        # An empty field of a form is not a value, but it is a text.
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
    schema: dict[str, Any] = {"enum": values}
    if not all(isinstance(value, str) for value in values):
        # What a number stands for: https://openapi-generator.tech/docs/templating/#enum
        schema["x-enum-varnames"] = [member.name for member in wanted]
    return Kind(schema, partial(_choose, choices))


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
        raise wrong(value, "one of " + ", ".join(choices))
    return choices[text]


def _convert_list(make: Callable[[list[Any]], Any], convert: Converter, value: Any) -> Any:
    return make([convert(item) for item in _to_list(value)])


def _convert_tuple(converters: Sequence[Converter], value: Any) -> Any:
    items = _to_list(value)
    if len(items) != len(converters):
        raise wrong(value, f"a list of {len(converters)} values")
    return tuple(convert(item) for convert, item in zip(converters, items))


def _to_list(value: Any) -> list[Any]:
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = loads(value)
        except UnfitJson:
            raise
        except ValueError:
            pass  # text that only begins like a JSON array
    if isinstance(value, (str, bytes)):
        value = [value]  # a form repeats the name for each item, and here is only one
    if not isinstance(value, list):
        raise wrong(value, "a list")
    return value


def _convert_record(make: Callable[..., Any], kinds: Mapping[str, Kind],
                    required: Collection[str], value: Any) -> Any:
    found = attempt(loads, _OBJECT, value) if isinstance(value, str) else value
    if isinstance(found, list) and hasattr(make, "_fields") and len(found) <= len(kinds):
        found = dict(zip(kinds, found))  # JSON shows a named tuple as a list
    if type(found) is not dict:
        raise wrong(value, _OBJECT)
    problems = [f"{name!r} is missing" for name in required if name not in found]
    values = {}
    for name in found:
        if name not in kinds:
            problems.append(f"{shown(name)} is unknown; known are: {', '.join(kinds)}")
            break  # one is enough: there may be very many
        try:
            values[name] = kinds[name].convert(found[name])
        except ValueError as error:
            problems.append(f"{name!r} {error}")
    if problems:
        raise ValueError("is wrong: " + ", ".join(problems))
    try:
        return make(**values)
    except (Exception, SystemExit) as error:  # the class itself checks what it is given
        raise ValueError(f"is wrong: {cut(to_text(error))}") from None


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


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else dumps(value)


_NULL = Kind({"type": "null"}, ANYTHING.convert)
_DICT = Kind({"type": "object"}, partial(attempt, _to_dict, _OBJECT))
