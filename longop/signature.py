"""The parameters of a call: which one takes the callback, and what the others accept.

    function ── Signature ──┐
    records of your own ────┴─▶ Parameters ── check, parse, bind ──▶ the arguments of the call

Knows nothing of jobs or HTTP; what an annotation asks of a value is `conversion`'s.
"""

from __future__ import annotations

import collections.abc
import inspect
import os
import re
import sys
import typing
from functools import partial
from typing import Any, Callable, Iterable, Mapping, NamedTuple, Sequence, Tuple

from .values.annotations import annotations_of, evaluate, signature_of
from .values.conversion import UNIONS, kind_of, tells_type
from .errors import BadParameters
from .functions.adapted import has_call
from .values.kinds import ANYTHING, Kind, cut

#: The positional and the keyword arguments of a call.
Arguments = Tuple[Tuple[Any, ...], typing.Dict[str, Any]]

#: The name of the parameter that takes the callback, False if there is none, None to find it.
CallbackName = typing.Union[str, typing.Literal[False], None]

#: What the parameter is usually called, the plainest names first.
CALLBACK_NAMES = (
    "callback", "progress", "reporthook", "on_progress", "progress_callback", "hook", "cb",
    "progress_hook", "progress_cb", "callback_fn", "on_step", "on_update", "update", "reporter",
    "monitor", "listener")

#: The default of a `Parameter` that has none.
REQUIRED: Any = object()

_EMPTY = inspect.Parameter.empty
_MOST_SHOWN = 10  # unknown names in an error: there may be very many


class Parameter(NamedTuple):
    """A parameter of a call; without a ``default`` it is required."""

    name: str
    kind: Kind = ANYTHING
    default: Any = REQUIRED
    description: str = ""

    @property
    def is_required(self) -> bool:
        """True if there is no default."""
        return self.default is REQUIRED

    def schema(self) -> dict[str, Any]:
        """Return what the parameter accepts, as a JSON Schema, which the caller may change."""
        schema = dict(self.kind.schema)
        if not self.is_required:
            schema["default"] = self.default
        if self.description:
            schema["description"] = self.description
        return schema


class Parameters:
    """The parameters of a call by name, for each door that starts it.

    For a function whose signature does not say what it takes, make one of records, or derive
    from it, and give it to the function as its ``signature``: see `parameters_of`.

    :param records: the parameters, in order, without the one that takes the callback.
    :param callback: the name of the parameter that takes the callback, or None.
    :param takes_more: whether other names are accepted too, with any value.
    """

    def __init__(self, records: Iterable[Parameter], *, callback: str | None = None,
                 takes_more: bool = False) -> None:
        self.callback = callback
        self.takes_more = takes_more
        self.by_name = {parameter.name: parameter for parameter in records}

    def check(self, values: Mapping[str, Any]) -> None:
        """Raise `BadParameters` if a parameter is missing or unknown."""
        errors = {name: "is missing" for name, parameter in self.by_name.items()
                  if parameter.is_required and name not in values}
        unknown = [name for name in values if not self._accepts(name)]
        known = ", ".join(self.by_name) or "none"
        for name in unknown[:_MOST_SHOWN]:
            errors[cut(name)] = f"is unknown; known are: {known}"
        if len(unknown) > _MOST_SHOWN:
            errors["..."] = f"and {len(unknown) - _MOST_SHOWN:,} more are unknown"
        if errors:
            raise BadParameters(errors)

    def takes_file(self, name: str) -> bool:
        """Return whether a parameter may be an uploaded file."""
        return self._kind_of(name).is_file

    def parse(self, values: Mapping[str, list[Any]]) -> dict[str, Any]:
        """Convert what a door was given, a list of values for each name, to typed parameters.

        Raises `BadParameters`, which names all that are missing, unknown or of the wrong type.
        """
        self.check(values)
        parameters = {}
        errors = {}
        for name, given in values.items():
            value = given[0] if len(given) == 1 else given
            try:
                parameters[name] = self._kind_of(name).convert(value)
            except ValueError as error:
                errors[name] = str(error)
        if errors:
            raise BadParameters(errors)
        return parameters

    def bind(self, values: Mapping[str, Any], callback: object) -> Arguments:
        """Return the arguments of the call: here, all of them by keyword."""
        return (), self._with_callback(values, callback)

    def schema(self) -> dict[str, Any]:
        """Return the parameters as a JSON Schema object, which the caller may change."""
        parameters = self.by_name.values()
        return {
            "type": "object",
            "properties": {parameter.name: parameter.schema() for parameter in parameters},
            "required": [parameter.name for parameter in parameters if parameter.is_required],
            "additionalProperties": self.takes_more,
        }

    def _accepts(self, name: str) -> bool:
        if name == self.callback:
            return False  # it is ours to give
        return self.takes_more or name in self.by_name

    def _kind_of(self, name: str) -> Kind:
        parameter = self.by_name.get(name)
        return ANYTHING if parameter is None else parameter.kind

    def _with_callback(self, values: Mapping[str, Any], callback: object) -> dict[str, Any]:
        arguments = dict(values)
        if self.callback is not None:
            arguments[self.callback] = callback
        return arguments


class Signature(Parameters):
    """The parameters of a function, read from its signature, annotations and docstring.

    :param function: anything that can be called.
    :param callback: name of the parameter that takes the callback, or False if there is none.
        By default it is found by a usual name or an annotation; ``certain`` tells whether it
        was. ``candidates`` are the parameters that may take it although nothing says so.

    Raises ``TypeError`` if there is no such parameter, or if the function does not tell its
    parameters, as some written in C.
    """

    def __init__(self, function: Callable[..., Any], callback: CallbackName = None) -> None:
        self._signature = _inspect(function, callback is None)
        parameters = self._signature.parameters.values()
        named = {p.name: p for p in parameters
                 if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        takes_more = any(p.kind is p.VAR_KEYWORD for p in parameters)
        hints = _hints(function)
        wanted = {name: _wanted(p, hints) for name, p in named.items()}
        self.candidates: list[str] = []
        self.certain = False
        if callback is None:
            callback, self.candidates = _find_callback(function, named, wanted)
            self.certain = callback is not None
        elif callback and callback not in named and not takes_more:
            raise TypeError(f"{function!r} has no parameter {callback!r}; "
                            f"it has {', '.join(named) or 'none at all'}")
        self._named = set(named)
        docstring = inspect.getdoc(unwrap_partial(function)) or ""  # None under ``python -OO``
        records = []
        for name, p in named.items():
            if name != callback:
                default = REQUIRED if p.default is _EMPTY else p.default
                description = _describe(name, docstring)
                records.append(Parameter(name, kind_of(wanted[name]), default, description))
        super().__init__(records, callback=callback or None, takes_more=takes_more)

    def bind(self, values: Mapping[str, Any], callback: object) -> Arguments:
        """Return the arguments of the call, by position where a parameter is positional."""
        arguments = self._with_callback(values, callback)
        others = [name for name in arguments if name not in self._named]
        more = {name: arguments.pop(name) for name in others}  # for ``**rest``
        bound = self._signature.bind_partial(**more)
        bound.arguments.update(arguments)
        # With the defaults there is no gap before a parameter that is positional only.
        bound.apply_defaults()
        return bound.args, bound.kwargs


def parameters_of(function: Any, callback: CallbackName = None) -> Parameters:
    """Return the `Parameters` that a function has as its ``signature``, or else read them.

    Raises ``TypeError`` if it is in doubt whether a parameter takes the callback.
    """
    own = getattr(function, "signature", None)
    if isinstance(own, Parameters):
        return own
    signature = Signature(function, callback)
    if signature.candidates:
        raise TypeError(_ask(function, signature.candidates))
    return signature


def _ask(function: Any, candidates: Sequence[str]) -> str:
    """Return the question whether a parameter takes the callback, with its answers."""
    name = getattr(unwrap_partial(function), "__name__", repr(function))
    named = " or ".join(f'callback="{candidate}"' for candidate in candidates)
    return (f"{name}: does {' or '.join(candidates)} take the callback? Write {named}, or "
            f"callback=False if there is none. An annotation, such as {candidates[0]}: str, "
            "settles it too")


def unwrap_partial(function: Any) -> Any:
    """Return the function inside ``functools.partial`` objects, however deep."""
    while isinstance(function, partial):
        function = function.func
    return function


def module_name(function: Callable[..., Any]) -> str:
    """Return the last part of a function's module's name; of a script, its file's name."""
    module: str = getattr(function, "__module__", None) or type(function).__module__
    if module == "__main__":
        file = getattr(sys.modules[module], "__file__", None) or "main"
        module, _ = os.path.splitext(os.path.basename(file))
    return module.rpartition(".")[2]


def _inspect(function: Callable[..., Any], is_needed: bool) -> inspect.Signature:
    try:
        return signature_of(function)
    except ValueError:  # some functions written in C do not tell
        if is_needed:
            raise TypeError(
                f"{function!r} does not tell its parameters: name the one that takes the "
                "callback, callback=..., or say callback=False") from None
    return signature_of(lambda **parameters: None)


def _find_callback(function: Callable[..., Any], parameters: Mapping[str, inspect.Parameter],
                   wanted: Mapping[str, Any]) -> tuple[str | None, list[str]]:
    """Return the parameter that certainly takes the callback, or those that perhaps do."""
    able = [name for name, p in parameters.items() if _may_be_callback(p, wanted[name])]
    for name in CALLBACK_NAMES:
        if name in able:
            return name, []
    required = [name for name in able if parameters[name].default is _EMPTY]
    annotated = [name for name in required if _is_callable(wanted[name])]
    if len(annotated) == 1:
        return annotated[0], []
    if annotated:
        return None, annotated
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return None, []  # it reports by yielding
    return None, [name for name in required if name not in ("self", "cls")]


def _may_be_callback(parameter: inspect.Parameter, wanted: Any) -> bool:
    if not (wanted is Any or _is_callable(wanted)):
        return False
    return parameter.default in (_EMPTY, None) or callable(parameter.default)


def _is_callable(wanted: Any) -> bool:
    """Return whether an annotation is for something to call: ``Callable[...]``, or a class."""
    origin = typing.get_origin(wanted)
    if origin in UNIONS:
        return any(_is_callable(part) for part in typing.get_args(wanted))
    if collections.abc.Callable in (wanted, origin):
        return True
    return isinstance(wanted, type) and has_call(wanted)


def _wanted(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Any:
    """Return a parameter's annotation, or the type of its default, or ``Any``."""
    hint = hints.get(parameter.name, _EMPTY)
    default = parameter.default
    if hint is _EMPTY:
        return type(default) if tells_type(default) else Any
    if default is None and hint is not Any:
        return typing.Optional[hint]
    return hint


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Return a function's annotations, evaluated; those that cannot be are left out."""
    annotated: Any = inspect.unwrap(unwrap_partial(function))
    if inspect.isclass(annotated):
        annotated = annotated.__init__
    elif not inspect.isroutine(annotated):  # an object that can be called
        annotated = annotated.__call__
    return evaluate(annotations_of(annotated), getattr(annotated, "__globals__", {}))


def _describe(name: str, docstring: str) -> str:
    """Return what a docstring says of a parameter, in Sphinx's or Google's style."""
    found = re.search(
        r"^(?P<indent>[ \t]*)(?::param[^:\n]*)?"  # ``:param int name:``, or ``name:``
        rf"\b{re.escape(name)}\b(?: \([^)\n]*\))?"  # ``name (int):``
        r":[ \t]+(?P<text>.+(?:\n(?P=indent)[ \t]+.+)*)",  # further lines are indented deeper
        docstring, re.MULTILINE)
    return "" if found is None else " ".join(found["text"].split())
