"""How a function is called: which parameter takes the callback, and what the others are.

Turns what came as text, JSON or an upload (``bytes``) into what the annotations ask for. Knows
nothing of jobs or HTTP.
"""

from __future__ import annotations

import base64
import collections.abc
import contextlib
import functools
import inspect
import json
import types
import typing
from enum import Enum
from typing import Any, Callable, Mapping

from .errors import BadParameters

CALLBACK_NAMES = ("callback", "progress", "reporthook", "on_progress", "progress_callback", "hook")
_EMPTY = inspect.Parameter.empty
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
            anything = inspect.Parameter("parameters", inspect.Parameter.VAR_KEYWORD)
            self._signature = inspect.Signature([anything])
        plain = {name: p for name, p in self._signature.parameters.items()
                 if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        # The name of **parameters, which take what no other does.
        self._rest = next((name for name, p in self._signature.parameters.items()
                           if p.kind is p.VAR_KEYWORD), None)
        hints = _hints(function)
        wanted = {name: _wanted(p, hints) for name, p in plain.items()}
        self.certain = False
        if callback is None:
            callback, self.certain = _find_callback(function, plain, wanted)
        elif callback and callback not in plain and self._rest is None:
            raise TypeError(f"{function!r} has no parameter {callback!r}; "
                            f"it has {', '.join(plain) or 'none at all'}")
        self.callback = str(callback) if callback else None
        self._kinds = {name: _kind(wanted[name]) for name in plain if name != callback}
        self._defaults = {name: plain[name].default for name in self._kinds
                          if plain[name].default is not _EMPTY}

    def check(self, values: Mapping[str, Any]) -> None:
        """Raise `BadParameters` if one is missing or unknown."""
        needed = [name for name in self._kinds if name not in self._defaults]
        errors = {name: "is missing" for name in needed if name not in values}
        if self._rest is None:
            known = ", ".join(self._kinds) or "none"
            errors.update((name, f"is unknown; known are: {known}")
                          for name in values if name not in self._kinds)
        if errors:
            raise BadParameters(errors)

    def parse(self, values: Mapping[str, list[Any]]) -> dict[str, Any]:
        """Turn what a door was given, a list for each name, into typed parameters.

        Raises `BadParameters` for what is missing, unknown or of the wrong type.
        """
        self.check(values)
        parameters, errors = {}, {}
        for name, given in values.items():
            convert = self._kinds[name][1] if name in self._kinds else _keep
            try:
                parameters[name] = convert(given[0] if len(given) == 1 else given)
            except (ValueError, TypeError, ArithmeticError) as error:
                errors[name] = str(error)
        if errors:
            raise BadParameters(errors)
        return parameters

    def bind(self, values: Mapping[str, Any],
             callback: object) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the positional and the keyword arguments of the call."""
        arguments = dict(values, **{self.callback: callback} if self.callback else {})
        known = self._signature.parameters
        rest = {name: arguments.pop(name) for name in list(arguments) if name not in known}
        bound = self._signature.bind_partial(**rest)
        bound.arguments.update(arguments)
        bound.apply_defaults()  # leaves no gap before a parameter that is positional only
        return bound.args, bound.kwargs

    def schema(self) -> dict[str, Any]:
        """Return the parameters as a JSON Schema object."""
        properties = {name: dict(schema) for name, (schema, _) in self._kinds.items()}
        for name, default in self._defaults.items():
            default = default.value if isinstance(default, Enum) else default
            if default is None or isinstance(default, (bool, int, float, str, list, dict)):
                properties[name]["default"] = default
        return {"type": "object", "properties": properties,
                "required": [name for name in self._kinds if name not in self._defaults],
                "additionalProperties": self._rest is not None}


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
    if inspect.isgeneratorfunction(function):  # it reports by yielding
        return None, False
    return needed[0] if needed and needed[0] in able else None, False


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    while isinstance(function, functools.partial):
        function = function.func
    if not inspect.isroutine(function):  # an object that can be called, or a class
        function = getattr(function, "__init__" if inspect.isclass(function) else "__call__")
    try:
        return typing.get_type_hints(function)
    except Exception:  # a name that is not there, a syntax that this Python does not know
        return {}


def _wanted(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Any:
    """Return what a parameter is annotated as, else what its default is."""
    default, hint = parameter.default, hints.get(parameter.name, _EMPTY)
    if hint is _EMPTY:
        known = isinstance(default, (bool, int, float, str, bytes, list, dict, Enum))
        return type(default) if known else _EMPTY
    return typing.Optional[hint] if default is None and hint is not Any else hint


def _is_callable(wanted: Any) -> bool:
    if typing.get_origin(wanted) in _UNIONS:
        return any(_is_callable(part) for part in typing.get_args(wanted))
    if collections.abc.Callable in (wanted, typing.get_origin(wanted)):
        return True
    return isinstance(wanted, type) and any("__call__" in vars(base) for base in wanted.__mro__)


# What an annotation asks for. A converter returns the value or raises ValueError, which says what
# it must be.


def _kind(wanted: Any) -> tuple[dict[str, Any], Callable[[Any], Any]]:
    """Return an annotation's JSON Schema, and the converter to it."""
    origin, parts = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in _UNIONS:
        schemas, converters = zip(*map(_kind, parts))
        return {"anyOf": list(schemas)}, functools.partial(_first_of, converters)
    if origin is typing.Literal:
        choices = {str(part): part for part in parts}
        return {"enum": list(parts)}, functools.partial(_choose, choices, choices)
    kind: Any = origin or wanted
    if kind in _SCALARS:
        return _SCALARS[kind]
    if not isinstance(kind, type) or kind in (_EMPTY, object):
        return {}, _keep
    if issubclass(kind, Enum):
        shown = {str(member.value): member for member in kind}
        choices = {**kind.__members__, **shown}
        return {"enum": [member.value for member in kind]}, functools.partial(
            _choose, choices, shown)
    if issubclass(kind, collections.abc.Mapping):
        return _SCALARS[dict]
    if issubclass(kind, collections.abc.Collection):
        schema, convert = _kind(parts[0] if parts else Any)
        return {"type": "array", "items": schema}, functools.partial(_list, kind, convert)
    return {"type": "string"}, functools.partial(_make, kind)


def _make(kind: Callable[[str], Any], value: Any) -> Any:
    """Return what a class of the user's, or one such as Path, makes of a text."""
    return kind(value) if isinstance(value, str) else value


def _keep(value: Any) -> Any:
    return value


def _first_of(converters: tuple[Callable[[Any], Any], ...], value: Any) -> Any:
    errors = []
    for convert in converters:
        try:
            return convert(value)
        except (ValueError, TypeError, ArithmeticError) as error:
            errors.append(str(error))
    raise ValueError(" or ".join(filter(None, errors)))


def _choose(choices: Mapping[str, Any], shown: Mapping[str, Any], value: Any) -> Any:
    if str(value) not in choices:
        raise _wrong(value, "one of " + ", ".join(shown))
    return choices[str(value)]


def _list(kind: type, convert: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = json.loads(value)
    items = [convert(item) for item in (value if isinstance(value, list) else [value])]
    return kind(items) if kind in (tuple, set, frozenset) else items


def _parse(kind: Callable[[Any], Any], what: str, value: Any) -> Any:
    """Turn text, as JSON, and values of JSON into one of its kinds."""
    found = value
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            found = json.loads(_WORDS.get(value.lower(), value))
    if type(found) is kind or (kind is float and type(found) is int):
        return kind(found)
    if kind is bool and found in (0, 1):
        return found == 1
    raise _wrong(value, what)


def _null(value: Any) -> None:
    if value not in (None, ""):  # an empty field of a form
        raise ValueError


def _str(value: Any) -> str:
    if not isinstance(value, (str, bytes)):
        raise _wrong(value, "text")
    return value if isinstance(value, str) else value.decode()


def _bytes(value: Any) -> bytes:
    try:
        return value if isinstance(value, bytes) else base64.b64decode(value, validate=True)
    except (ValueError, TypeError):
        raise _wrong(value, "an uploaded file or base64 text") from None


def _wrong(value: Any, what: str) -> ValueError:
    text = repr(value)
    return ValueError(f"must be {what}, not {text if len(text) <= 80 else text[:77] + '...'}")


_WORDS = {"true": "true", "yes": "true", "on": "true",
          "false": "false", "no": "false", "off": "false"}
_SCALARS: dict[Any, tuple[dict[str, Any], Callable[[Any], Any]]] = {
    bool: ({"type": "boolean"}, functools.partial(_parse, bool, "true or false")),
    int: ({"type": "integer"}, functools.partial(_parse, int, "a whole number")),
    float: ({"type": "number"}, functools.partial(_parse, float, "a number")),
    dict: ({"type": "object"}, functools.partial(_parse, dict, "a JSON object")),
    str: ({"type": "string"}, _str),
    bytes: ({"type": "string", "contentEncoding": "base64"}, _bytes),
    type(None): ({"type": "null"}, _null),
}
