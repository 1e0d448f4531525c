"""``modulesettings.json``: what a module of CodeProject.AI Server is called, and its routes.

As that server reads it: comments, trailing commas and a byte order mark are let pass, and the case
of a key does not matter. https://codeproject.github.io/codeproject.ai/devguide/module_settings.html
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Any

from .errors import TargetError
from .jsontext import loads

_TYPES: dict[str, type] = {"integer": int, "int": int, "float": float, "number": float,
                           "double": float, "boolean": bool, "bool": bool, "file": bytes}


@dataclass
class Input:
    """A parameter of a route, with its bounds."""

    name: str
    type: type
    description: str
    default: Any
    low: Any
    high: Any


@dataclass
class Route:
    """A path below ``/v1``, and the command that a request for it is."""

    path: str
    command: str
    name: str
    description: str = ""
    inputs: list[Input] = field(default_factory=list)


@dataclass
class Settings:
    """What the file in a folder says, or what the folder's name does if there is none."""

    id: str
    name: str
    version: str = ""
    routes: list[Route] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)


def read(folder: str) -> Settings:
    """Return the settings in a folder; raise `TargetError`, which says where something is wrong."""
    file = os.path.join(folder, "modulesettings.json")
    usual = os.path.basename(os.path.abspath(folder))
    if not os.path.exists(file):
        return Settings(usual, usual)
    try:
        with open(file, encoding="utf-8-sig") as source:
            whole = _Part(loads(_strip(source.read())), "")
        modules = whole.get("Modules", dict)
        if not modules.value:
            raise ValueError("Modules has no module")
        id = next(iter(modules.value))
        module = modules.get(id, dict)
        settings = Settings(id, module.text("Name", id), module.text("Version", ""))
        for route in module.get("RouteMaps", list, []).parts():
            path = route.text("Route").replace("%MODULE_ID%", id).strip("/")
            settings.routes.append(Route(
                path, route.text("Command", ""), route.text("Name", path),
                route.text("Description", ""),
                [_read_input(one) for one in route.get("Inputs", list, []).parts()]))
        variables = module.get("EnvironmentVariables", dict, {}).value
        places = {"%CURRENT_MODULE_PATH%": os.path.abspath(folder), "%MODULE_ID%": id}
        for name, value in variables.items():
            text = str(value)
            for macro, place in places.items():
                text = text.replace(macro, place)
            settings.environment[name.upper()] = text
        return settings
    except (OSError, ValueError) as error:
        raise TargetError(f"{file}: {error}") from error


def read_identity(folder: str) -> tuple[str, str]:
    """Return a module's id and name, as that server says them, else as the file does."""
    id, name = (os.environ.get(f"CPAI_MODULE_{key}") for key in ("ID", "NAME"))
    if not (id and name):
        settings = read(folder)
        id, name = id or settings.id, name or settings.name
    return id, name


def _read_input(part: _Part) -> Input:
    kind = _TYPES.get(part.text("Type", "text").lower(), str)
    default, low, high = (part.get(key, object, None).value
                          for key in ("DefaultValue", "MinValue", "MaxValue"))
    return Input(part.text("Name"), kind, part.text("Description", ""), default, low, high)


class _Part:
    """A value in the file, and where it stands."""

    def __init__(self, value: Any, place: str) -> None:
        self.value, self._place = value, place

    def get(self, key: str, kind: type, *default: Any) -> _Part:
        """Return what a key has, or the default; raise ``ValueError`` if it is of another kind."""
        place = f"{self._place}.{key}".lstrip(".")
        found = {name.lower(): value for name, value in self.value.items()}
        value = found.get(key.lower())
        if value is None and default:
            value = default[0]
        if not isinstance(value, kind) and kind is not object:
            raise ValueError(f"{place} is missing" if value is None else
                             f"{place} must be {_KINDS[kind]}, not {value!r:.40}")
        return _Part(value, place)

    def text(self, key: str, *default: str) -> str:
        """Return a text."""
        return str(self.get(key, str, *default).value)

    def parts(self) -> list[_Part]:
        """Return the objects in a list."""
        parts = [_Part(value, f"{self._place}[{i}]") for i, value in enumerate(self.value)]
        for part in parts:
            if not isinstance(part.value, dict):
                raise ValueError(f"{part._place} must be an object, not {part.value!r:.40}")
        return parts


_KINDS: dict[Any, str] = {dict: "an object", list: "a list", str: "a text"}


def _strip(text: str) -> str:
    """Return the text without comments and trailing commas, each line where it was."""
    def blank(match: re.Match[str]) -> str:
        return match[1] or re.sub(r"[^\n]", " ", match[0])

    strings = r'("(?:\\.|[^"\\\n])*")'
    text = re.sub(strings + r"|//[^\n]*|#[^\n]*|/\*.*?\*/", blank, text, flags=re.S)
    return re.sub(strings + r"|,(?=\s*[}\]])", blank, text)
