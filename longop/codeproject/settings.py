"""``modulesettings.json``: a module's name, routes and environment.

It is read as CodeProject.AI Server reads it: comments, trailing commas and a byte order mark
are accepted, and the case of a key does not matter.
https://codeproject.github.io/codeproject.ai/devguide/module_settings.html
"""

from __future__ import annotations

import os
import re
import typing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Iterable, Mapping, NamedTuple

from ..values.conversion import kind_of
from ..errors import TargetError
from ..values.jsontext import loads
from ..signature import Arguments, Parameter, Parameters
from ..values.kinds import Converter, Kind

FILE = "modulesettings.json"
#: What an input is converted to, by its ``Type`` in lower case. All others are text.
_TYPES: dict[str, type] = {
    "integer": int, "int": int,
    "float": float, "number": float, "double": float,
    "boolean": bool, "bool": bool,
    "file": bytes,
}
_KINDS: dict[Any, str] = {dict: "an object", list: "a list", str: "a text"}
_STRING = r'("(?:\\.|[^"\\\n])*")'
_COMMENT = _STRING + r"|//[^\n]*|#[^\n]*|/\*.*?\*/"
_TRAILING_COMMA = _STRING + r"|,(?=\s*[}\]])"


class RouteMap(NamedTuple):
    """A path below ``/v1``, and the command that a request for it stands for."""

    path: str
    name: str
    command: str
    description: str
    inputs: Inputs


@dataclass
class Settings:
    """What the file in a folder says. Without a file, the folder's name is the module's."""

    id: str
    name: str
    version: str = ""
    routes: list[RouteMap] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)


class Inputs(Parameters):
    """The inputs of a route: parameters that are passed together, as one mapping.

    None is required, and what the file does not name is accepted too, as in CodeProject.
    """

    def __init__(self, records: Iterable[Parameter] = ()) -> None:
        super().__init__(records, takes_more=True)

    def bind(self, values: Mapping[str, Any], callback: object) -> Arguments:
        """Return the arguments of the call: the callback, and all values as one mapping."""
        return (callback, values), {}


def read(folder: str) -> Settings:
    """Return the settings in a folder.

    Raises `TargetError`, which says what is wrong in the file, and where.
    """
    file = os.path.join(folder, FILE)
    if not os.path.exists(file):
        name = os.path.basename(os.path.abspath(folder))
        return Settings(name, name)
    try:
        with open(file, encoding="utf-8-sig") as source:
            whole = loads(_strip(source.read()))
        return _read_module(whole, os.path.abspath(folder))
    except (OSError, ValueError) as error:
        raise TargetError(f"{file}: {' '.join(str(error).split())}") from error


def set_environment(settings: Settings) -> None:
    """Set a module's variables in the environment; those that are set already stay."""
    for name, value in settings.environment.items():
        os.environ.setdefault(name, value)


def read_identity(folder: str) -> tuple[str, str]:
    """Return a module's id and name: from the environment, or else from the file."""
    id = os.environ.get("CPAI_MODULE_ID")
    name = os.environ.get("CPAI_MODULE_NAME")
    if not (id and name):
        settings = read(folder)
        id = id or settings.id
        name = name or settings.name
    return id, name


# The file


def _read_module(whole: Any, folder: str) -> Settings:
    """Return the settings of the first module in the file, as the SDK does."""
    modules = _Part({"": whole}, "").get("", dict).get("Modules", dict)
    id = next(iter(modules.value), "")
    if not id:
        raise ValueError("Modules has no module")
    module = modules.get(id, dict)
    macros = {"%MODULE_ID%": id, "%CURRENT_MODULE_PATH%": folder}
    settings = Settings(id, module.text("Name", id), module.text("Version", ""))
    for part in module.get("RouteMaps", list, []).parts():
        settings.routes.append(_read_route(part, macros))
    settings.environment = _read_environment(module, macros)
    return settings


def _read_route(part: _Part, macros: Mapping[str, str]) -> RouteMap:
    path = _expand(part.text("Route"), macros).strip("/")
    if not path:
        raise ValueError(f"{part.place}.Route is empty")
    return RouteMap(
        path=path,
        name=part.text("Name", path),
        command=_expand(part.text("Command", ""), macros),
        description=part.text("Description", ""),
        inputs=Inputs(map(_read_input, part.get("Inputs", list, []).parts())))


def _read_input(part: _Part) -> Parameter:
    wanted = _TYPES.get(part.text("Type", "text").lower(), str)
    return Parameter(
        name=part.text("Name"),
        kind=_bounded(kind_of(typing.Optional[wanted]),
                      part.number("MinValue"), part.number("MaxValue")),
        default=part.get("DefaultValue", object, None).value,
        description=part.text("Description", ""))


def _bounded(kind: Kind, low: float | None, high: float | None) -> Kind:
    """Return the kind with bounds, where there are any."""
    schema = dict(kind.schema)
    if low is not None:
        schema["minimum"] = low
    if high is not None:
        schema["maximum"] = high
    return Kind(schema, partial(_convert_within, kind.convert, low, high))


def _convert_within(convert: Converter, low: float | None, high: float | None,
                    value: Any) -> Any:
    found = convert(value)
    if isinstance(found, (int, float)):
        if low is not None and found < low:
            raise ValueError(f"must be at least {low:g}, not {found}")
        if high is not None and found > high:
            raise ValueError(f"must be at most {high:g}, not {found}")
    return found


def _read_environment(module: _Part, macros: Mapping[str, str]) -> dict[str, str]:
    variables = module.get("EnvironmentVariables", dict, {})
    found = {}
    for name, value in variables.value.items():
        if isinstance(value, (dict, list)) or "=" in name or not name:
            raise ValueError(f"{variables.place}.{name} must be a text, without = in its name")
        if value is not None:
            found[name.upper()] = _expand(str(value), macros)
    return found


def _expand(text: str, macros: Mapping[str, str]) -> str:
    for macro, value in macros.items():
        text = text.replace(macro, value)
    return text


def _strip(text: str) -> str:
    """Return the text without comments and trailing commas.

    They become blanks, so that an error of the JSON reader names the right line and column.
    """
    text = re.sub(_COMMENT, _blank, text, flags=re.DOTALL)
    return re.sub(_TRAILING_COMMA, _blank, text)


def _blank(match: re.Match[str]) -> str:
    string = match[1]
    return string or re.sub(r"[^\n]", " ", match[0])


class _Part:
    """A value in the file, and its place there, such as ``Modules.Mod.RouteMaps[0]``."""

    def __init__(self, value: Any, place: str) -> None:
        self.value = value
        self.place = place

    def get(self, key: str, kind: type, *default: Any) -> _Part:
        """Return the value of a key, or the default.

        Raises ``ValueError`` if the value is of another kind, or missing without a default.
        """
        place = f"{self.place}.{key}".strip(".")
        by_lower_case = {name.lower(): value for name, value in self.value.items()}
        value = by_lower_case.get(key.lower())
        if value is None and default:
            return _Part(default[0], place)
        if value is None and place:
            raise ValueError(f"{place} is missing")
        if not isinstance(value, kind):
            where = place or "the whole file"
            raise ValueError(f"{where} must be {_KINDS[kind]}, not {value!r:.40}")
        return _Part(value, place)

    def text(self, key: str, *default: str) -> str:
        """Return a text."""
        return str(self.get(key, str, *default).value)

    def number(self, key: str) -> float | None:
        """Return a number, which may be written as text, or None if there is none."""
        part = self.get(key, object, None)
        if part.value is None:
            return None
        try:
            return float(part.value)
        except (TypeError, ValueError):
            what = f"must be a number, not {part.value!r:.40}"
            raise ValueError(f"{part.place} {what}") from None

    def parts(self) -> list[_Part]:
        """Return the objects in a list."""
        return [_Part({"": value}, f"{self.place}[{i}]").get("", dict)
                for i, value in enumerate(self.value)]
