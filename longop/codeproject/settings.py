"""``modulesettings.json``: what a module of CodeProject.AI Server is called, and its routes.

As that server reads it: comments, trailing commas and a byte order mark are let pass, and the case
of a key does not matter. https://codeproject.github.io/codeproject.ai/devguide/module_settings.html
"""

from __future__ import annotations

import os
import re
import typing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Callable, Mapping

from ..errors import TargetError
from ..jsontext import loads
from ..conversion import Kind, kind_of
from ..signature import Arguments, Parameter, Parameters

_TYPES: dict[str, type] = {"integer": int, "int": int, "float": float, "number": float,
                           "double": float, "boolean": bool, "bool": bool, "file": bytes}
_KINDS: dict[Any, str] = {dict: "an object", list: "a list", str: "a text"}


@dataclass
class Route:
    """A path below ``/v1``, and the command that a request for it is."""

    path: str
    name: str
    command: str
    description: str
    signature: Inputs


@dataclass
class Settings:
    """What the file in a folder says, or what the folder's name does if there is none."""

    id: str
    name: str
    version: str = ""
    routes: list[Route] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)


class Inputs(Parameters):
    """A route's inputs; what is called gets all of them together, after the callback."""

    def __init__(self, parts: list[_Part]) -> None:
        super().__init__(map(_read_input, parts), takes_more=True)

    def bind(self, values: Mapping[str, Any], callback: object) -> Arguments:
        """Return the positional and the keyword arguments of the call."""
        return (callback, values), {}


def _read_input(part: _Part) -> Parameter:
    name = part.text("Name")
    default = part.get("DefaultValue", object, None).value
    kind = kind_of(typing.Optional[_TYPES.get(part.text("Type", "text").lower(), str)])
    low = part.number("MinValue")
    high = part.number("MaxValue")
    known = {"description": part.text("Description", "") or None, "minimum": low, "maximum": high}
    schema = {**kind.schema,
              **{key: value for key, value in known.items() if value is not None}}
    return Parameter(name, Kind(schema, partial(_within, kind.convert, low, high)), default)


def _within(convert: Callable[[Any], Any], low: Any, high: Any, value: Any) -> Any:
    found = convert(value)
    if low is not None and isinstance(found, (int, float)) and found < low:
        raise ValueError(f"must be at least {low:g}, not {found}")
    if high is not None and isinstance(found, (int, float)) and found > high:
        raise ValueError(f"must be at most {high:g}, not {found}")
    return found


def read(folder: str) -> Settings:
    """Return the settings in a folder; raise `TargetError`, which says where something is wrong."""
    file = os.path.join(folder, "modulesettings.json")
    usual = os.path.basename(os.path.abspath(folder))
    if not os.path.exists(file):
        return Settings(usual, usual)
    try:
        with open(file, encoding="utf-8-sig") as source:
            whole = loads(_strip(source.read()))
        modules = _Part({"": whole}, "").get("", dict).get("Modules", dict)
        id = next(iter(modules.value), "")
        if not id:
            raise ValueError("Modules has no module")
        return _read(id, modules.get(id, dict), os.path.abspath(folder))
    except (OSError, ValueError) as error:
        raise TargetError(f"{file}: {' '.join(str(error).split())}") from error


def _read(id: str, module: _Part, folder: str) -> Settings:
    def text(part: _Part, key: str, *default: str) -> str:
        expanded = part.text(key, *default).replace("%MODULE_ID%", id)
        return expanded.replace("%CURRENT_MODULE_PATH%", folder)

    settings = Settings(id, module.text("Name", id), module.text("Version", ""))
    for route in module.get("RouteMaps", list, []).parts():
        path = text(route, "Route").strip("/")
        if not path:
            raise ValueError(f"{route.place}.Route is empty")
        settings.routes.append(Route(
            path, route.text("Name", path), text(route, "Command", ""),
            route.text("Description", ""),
            Inputs(route.get("Inputs", list, []).parts())))
    variables = module.get("EnvironmentVariables", dict, {})
    for name, value in variables.value.items():
        if isinstance(value, (dict, list)) or "=" in name or not name:
            raise ValueError(f"{variables.place}.{name} must be a text, without = in its name")
        if value is not None:
            settings.environment[name.upper()] = text(_Part({name: str(value)}, ""), name)
    return settings


def prepare(settings: Settings) -> None:
    """Set the variables of a module's environment that are not set already."""
    for name, value in settings.environment.items():
        os.environ.setdefault(name, value)


def read_identity(folder: str) -> tuple[str, str]:
    """Return a module's id and name, as that server says them, else as the file does."""
    id, name = (os.environ.get(f"CPAI_MODULE_{key}") for key in ("ID", "NAME"))
    if not (id and name):
        settings = read(folder)
        id, name = id or settings.id, name or settings.name
    return id, name


class _Part:
    """A value in the file, and where it stands."""

    def __init__(self, value: Any, place: str) -> None:
        self.value, self.place = value, place

    def get(self, key: str, kind: type, *default: Any) -> _Part:
        """Return what a key has, or the default; raise ``ValueError`` if it is of another kind."""
        place = f"{self.place}.{key}".strip(".")
        value = {name.lower(): value for name, value in self.value.items()}.get(key.lower())
        if value is None and default:
            value = default[0]
        elif not isinstance(value, kind):
            raise ValueError(f"{place or 'all of it'} " + (
                "is missing" if value is None and place else
                f"must be {_KINDS[kind]}, not {value!r:.40}"))
        return _Part(value, place)

    def text(self, key: str, *default: str) -> str:
        """Return a text."""
        return str(self.get(key, str, *default).value)

    def number(self, key: str) -> float | None:
        """Return a number, or the one in a text, or None if there is none."""
        part = self.get(key, object, None)
        try:
            return None if part.value is None else float(part.value)
        except (TypeError, ValueError):
            raise ValueError(f"{part.place} must be a number, not {part.value!r:.40}") from None

    def parts(self) -> list[_Part]:
        """Return the objects in a list."""
        return [_Part({"": value}, f"{self.place}[{i}]").get("", dict)
                for i, value in enumerate(self.value)]


def _strip(text: str) -> str:
    """Return the text without comments and trailing commas, each line where it was."""
    def blank(match: re.Match[str]) -> str:
        return match[1] or re.sub(r"[^\n]", " ", match[0])

    strings = r'("(?:\\.|[^"\\\n])*")'
    text = re.sub(strings + r"|//[^\n]*|#[^\n]*|/\*.*?\*/", blank, text, flags=re.S)
    return re.sub(strings + r"|,(?=\s*[}\]])", blank, text)
