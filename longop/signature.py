"""How a function is called: which parameter takes the callback, and what the others are.

Turns what came as text, JSON or an upload (``bytes``) into what the annotations ask for. Knows
nothing of jobs or HTTP.
"""

from __future__ import annotations

import base64
import collections.abc
import contextlib
import inspect
import re
import types
import typing
from enum import Enum
from functools import partial
from typing import Any, Callable, Mapping

from .errors import BadParameters
from .jsontext import dumps, loads

CALLBACK_NAMES = ("callback", "progress", "reporthook", "on_progress", "progress_callback", "hook")
_EMPTY = inspect.Parameter.empty
Converter = Callable[[Any], Any]
_UNIONS = (typing.Union, getattr(types, "UnionType", typing.Union))  # int | None, since 3.10


class Signature:
    """The parameters of a function, for whoever is to call it.

    ``callback`` names the parameter that takes the callback, or is False where there is none; it
    is found where it is not given, and ``certain`` says whether by a usual name or an annotation.
    Raises ``TypeError`` if there is no such parameter, or if the function does not tell.
    """

    def __init__(self, function: Callable[..., Any], callback: str | bool | None = None) -> None:
        try:
            self._signature = inspect.signature(function)
        except ValueError:  # some functions written in C do not tell
            if callback is None:
                raise TypeError(f"{function!r} does not tell its parameters: name the one that "
                                "takes the callback, callback=..., or say callback=False") from None
            self._signature = inspect.signature(lambda **parameters: None)
        parameters = self._signature.parameters
        plain = {name: p for name, p in parameters.items()
                 if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        self._rest = any(p.kind is p.VAR_KEYWORD for p in parameters.values())  # takes any name
        hints = _hints(function)
        wanted = {name: _wanted(p, hints) for name, p in plain.items()}
        self.certain = False
        if callback is None:
            callback, self.certain = _find_callback(function, plain, wanted)
        elif callback and callback not in plain and not self._rest:
            raise TypeError(f"{function!r} has no parameter {callback!r}; "
                            f"it has {', '.join(plain) or 'none at all'}")
        self.callback = str(callback) if callback else None
        self._help = inspect.getdoc(unwrap_partial(function)) or ""
        self._plain = set(plain)
        self._kinds = {name: kind_of(wanted[name]) for name in plain if name != callback}
        self._defaults = {name: plain[name].default for name in self._kinds
                          if plain[name].default is not _EMPTY}

    @classmethod
    def of(cls, function: Any, callback: str | bool | None = None) -> Signature:
        """Return a function's signature, which may be one of its own, as an adapter's has it."""
        own = getattr(function, "signature", None)
        return own if isinstance(own, Signature) else cls(function, callback)

    def check(self, values: Mapping[str, Any]) -> None:
        """Raise `BadParameters` if one is missing or unknown."""
        errors = {name: "is missing" for name in self._kinds
                  if name not in self._defaults and name not in values}
        known = ", ".join(self._kinds) or "none"
        errors.update((name, f"is unknown; known are: {known}") for name in values
                      if name == self.callback or not (self._rest or name in self._kinds))
        if errors:
            raise BadParameters(errors)

    def takes_file(self, name: str) -> bool:
        """Return whether a parameter may be an uploaded file."""
        return "contentEncoding" in str(self._kinds.get(name, _ANY)[0])

    def parse(self, values: Mapping[str, list[Any]]) -> dict[str, Any]:
        """Turn what a door was given, a list for each name, into typed parameters.

        Raises `BadParameters` for what is missing, unknown or of the wrong type.
        """
        self.check(values)
        parameters, errors = {}, {}
        for name, given in values.items():
            value = given[0] if len(given) == 1 else given
            try:
                parameters[name] = self._kinds.get(name, _ANY)[1](value)
            except ValueError as error:
                errors[name] = str(error)
        if errors:
            raise BadParameters(errors)
        return parameters

    def bind(self, values: Mapping[str, Any],
             callback: object) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the positional and the keyword arguments of the call."""
        arguments = dict(values, **{self.callback: callback} if self.callback else {})
        rest = {name: arguments.pop(name) for name in list(arguments) if name not in self._plain}
        bound = self._signature.bind_partial(**rest)
        bound.arguments.update(arguments)
        bound.apply_defaults()  # leaves no gap before a parameter that is positional only
        return bound.args, bound.kwargs

    def schema(self) -> dict[str, Any]:
        """Return the parameters as a JSON Schema object."""
        properties = {name: dict(schema) for name, (schema, _) in self._kinds.items()}
        for name, default in self._defaults.items():
            properties[name]["default"] = default
        for name in self._kinds:
            # ``:param name: text``, or ``name: text`` as in Google's style, with further lines.
            found = re.search(r"^([ \t]*)(?::param[^:\n]*)?\b" + re.escape(name) +
                              r"\b(?: \([^)\n]*\))?:[ \t]+(.+(?:\n\1[ \t]+.+)*)", self._help, re.M)
            if found:
                properties[name]["description"] = " ".join(found[2].split())
        return {"type": "object", "properties": properties,
                "required": [name for name in self._kinds if name not in self._defaults],
                "additionalProperties": self._rest}


def unwrap_partial(function: Any) -> Any:
    """Return the function that ``functools.partial`` was made of, any number of times."""
    return unwrap_partial(function.func) if isinstance(function, partial) else function


def _find_callback(function: Callable[..., Any], parameters: Mapping[str, inspect.Parameter],
                   wanted: Mapping[str, Any]) -> tuple[str | None, bool]:
    able = [name for name, p in parameters.items()
            if (wanted[name] in (_EMPTY, Any) or _is_callable(wanted[name]))
            and (p.default in (_EMPTY, None) or callable(p.default))]
    needed = [name for name, p in parameters.items() if p.default is _EMPTY]
    sure = [name for name in CALLBACK_NAMES if name in able]
    sure += [name for name in needed if _is_callable(wanted[name])]
    if sure:
        return sure[0], True
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return None, False  # what it yields is its report
    return next((name for name in needed[:1] if name in able), None), False


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    function = inspect.unwrap(unwrap_partial(function))
    if not inspect.isroutine(function):  # an object that can be called, or a class
        function = getattr(function, "__init__" if inspect.isclass(function) else "__call__")
    hints: dict[str, Any] = {}
    for name, hint in getattr(function, "__annotations__", {}).items():
        # A name that is not there, a syntax that this Python does not know: then it is not known.
        with contextlib.suppress(Exception):
            one = types.SimpleNamespace(__annotations__={name: hint},
                                        __globals__=getattr(function, "__globals__", {}))
            hints.update(typing.get_type_hints(one))
    return hints


def _wanted(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Any:
    """Return what a parameter is annotated as, else what its default is."""
    default, hint = parameter.default, hints.get(parameter.name, _EMPTY)
    if hint is _EMPTY:
        known = isinstance(default, (*_SCALARS, list, Enum))
        return type(default) if known else _EMPTY
    return typing.Optional[hint] if default is None and hint is not Any else hint


def _is_callable(wanted: Any) -> bool:
    if typing.get_origin(wanted) in _UNIONS:
        return any(_is_callable(part) for part in typing.get_args(wanted))
    if collections.abc.Callable in (wanted, typing.get_origin(wanted)):
        return True
    return isinstance(wanted, type) and any("__call__" in vars(base) for base in wanted.__mro__)


# What an annotation asks for. A converter returns the value, or raises ValueError, which says
# what it must be.


def kind_of(wanted: Any) -> tuple[dict[str, Any], Converter]:
    """Return an annotation's JSON Schema, and the converter to it."""
    origin, parts = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in _UNIONS:
        schemas = [{"type": "null"} if part is type(None) else kind_of(part)[0] for part in parts]
        nulls = (None,) if str in parts else (None, "")  # an empty field of a form
        converters = [kind_of(part)[1] for part in parts if part is not type(None)]
        return {"anyOf": schemas}, partial(
            _first_of, converters, nulls if type(None) in parts else ())
    if origin is typing.Literal:
        return {"enum": list(parts)}, partial(_choose, {_as_text(part): part for part in parts})
    kind: Any = origin or wanted
    if not isinstance(kind, type) or kind in (_EMPTY, Any, object):
        return _ANY
    if kind in _SCALARS or issubclass(kind, collections.abc.Mapping):
        return _SCALARS.get(kind, _SCALARS[dict])
    if issubclass(kind, Enum):
        choices = {**kind.__members__, **{_as_text(member.value): member for member in kind}}
        return {"enum": [member.value for member in kind]}, partial(_choose, choices)
    if issubclass(kind, collections.abc.Collection) and not issubclass(kind, str):
        schema, convert = kind_of(parts[0] if parts else Any)
        return {"type": "array", "items": schema}, partial(_list, kind, convert)
    return {"type": "string"}, partial(_make, kind, f"a text that {kind.__name__} takes")


def _first_of(converters: list[Converter], nulls: tuple[Any, ...], value: Any) -> Any:
    if value in nulls:
        return None
    for convert in converters[:-1]:
        with contextlib.suppress(ValueError):
            return convert(value)
    return converters[-1](value)


def _choose(choices: Mapping[str, Any], value: Any) -> Any:
    if _as_text(value) not in choices:
        raise _wrong(value, "one of " + ", ".join(choices))
    return choices[_as_text(value)]


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else dumps(value)


def _list(kind: type, convert: Converter, value: Any) -> Any:
    if isinstance(value, str) and value.lstrip().startswith("["):
        with contextlib.suppress(ValueError):
            value = loads(value)
    if isinstance(value, (str, bytes)):  # of a form, in which each item has the same name
        value = [value]
    if not isinstance(value, list):
        raise _wrong(value, "a list")
    items = [convert(item) for item in value]
    return kind(items) if kind in (tuple, set, frozenset) else items


def _scalar(kind: type, what: str, value: Any) -> Any:
    """Turn text, read as JSON, and values of JSON into a kind of value that JSON knows."""
    found = _make(loads, what, value) if isinstance(value, str) else value
    if type(found) is kind or (kind is float and type(found) is int):
        return _make(kind, what, found)
    raise _wrong(value, what)


def _make(make: Converter, what: str, value: Any) -> Any:
    try:
        return make(value)
    except Exception:  # whatever a class of the user's raises for a value that it does not take
        raise _wrong(value, what) from None


def _wrong(value: Any, what: str) -> ValueError:
    text = repr(value)
    return ValueError(f"must be {what}, not {text if len(text) <= 80 else text[:77] + '...'}")


def _str(value: Any) -> str:  # an upload is the text in the file
    return value.decode() if isinstance(value, bytes) else str.__str__(value)


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else base64.b64decode(value, validate=True)


_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True,
             "false": False, "no": False, "off": False, "0": False}
_ANY: tuple[dict[str, Any], Converter] = {}, lambda value: value
_SCALARS: dict[Any, tuple[dict[str, Any], Converter]] = {
    bool: ({"type": "boolean"}, partial(_make, lambda value: _BOOLEANS[str(value).lower()],
                                         "true or false")),
    int: ({"type": "integer"}, partial(_scalar, int, "a whole number")),
    float: ({"type": "number"}, partial(_scalar, float, "a number")),
    dict: ({"type": "object"}, partial(_scalar, dict, "a JSON object")),
    str: ({"type": "string"}, partial(_make, _str, "text")),
    bytes: ({"type": "string", "contentEncoding": "base64"},
            partial(_make, _bytes, "an uploaded file or base64 text")),
}
