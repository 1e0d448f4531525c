"""The file ``modulesettings.json`` and those beside it for one kind of machine, as one value.

    modulesettings.json ◀─ .linux.json ◀─ .linux.arm64.json ◀─ .raspberrypi.json

They are read as CodeProject.AI Server reads them. Comments, trailing commas and a byte order
mark are accepted, and the case of a key does not matter. A later file overwrites what it
names, object by object and list by list, and deletes nothing.
https://codeproject.github.io/codeproject.ai/devguide/module_settings.html

Those for developers of the server (``.development.json``) and for Docker are not read.
"""

from __future__ import annotations

import math
import os
import re
from itertools import zip_longest
from typing import Any

from ..job import logger
from ..values.jsontext import loads
from . import folders, machine

_KINDS: dict[Any, str] = {dict: "an object", list: "a list", str: "a text"}
_STRING = r'("(?:\\.|[^"\\\n])*")'
_COMMENT = _STRING + r"|//[^\n]*|#[^\n]*|/\*.*?\*/"
_TRAILING_COMMA = _STRING + r"|,(?=\s*[}\]])"
_MISSING: Any = object()


def load(folder: str) -> Part:
    """Return what the files in a folder say, an object.

    Raises ``OSError`` or ``ValueError`` for the first one. Another one that cannot be read is
    left out, as that server leaves it out, with a warning.
    """
    whole = _read(os.path.join(folder, folders.SETTINGS))
    for file in _further_files(folder):
        try:
            whole = _merged(whole, _read(file))
        except (OSError, ValueError) as error:
            logger.warning("%s is left out: %s", file, " ".join(str(error).split()))
    return Part(whole, "")


def _read(file: str) -> dict[str, Any]:
    with open(file, encoding="utf-8-sig") as source:
        value = loads(_strip(source.read()))
    return dict(Part({"": value}, "").get("", dict).value)


def _further_files(folder: str) -> list[str]:
    """Return the files for this machine that are there, the most special one last."""
    begin, end = os.path.splitext(folders.SETTINGS)
    there = set(os.listdir(folder))
    if not any(name.startswith(begin + ".") and name != folders.SETTINGS for name in there):
        return []  # and nothing need be found out about the machine
    names = (f"{begin}.{kind}{end}" for kind in machine.kinds())
    return [os.path.join(folder, name) for name in names if name in there]


def _merged(old: Any, new: Any) -> Any:
    """Return a value with what a later one overwrites. Neither is changed."""
    if isinstance(old, dict) and isinstance(new, dict):
        known = {name.lower(): name for name in old}
        result = dict(old)
        for name, value in new.items():
            name = known.get(name.lower(), name)
            result[name] = _merged(old.get(name, _MISSING), value)
        return result
    if isinstance(old, list) and isinstance(new, list):
        return [_merged(*pair) for pair in zip_longest(old, new, fillvalue=_MISSING)]
    return old if new is _MISSING or isinstance(old, (dict, list)) else new


def _strip(text: str) -> str:
    """Return the text without comments and trailing commas.

    They become blanks, so that an error of the JSON reader names the right line and column.
    """
    text = re.sub(_COMMENT, _blank, text, flags=re.DOTALL)
    return re.sub(_TRAILING_COMMA, _blank, text)


def _blank(match: re.Match[str]) -> str:
    string = match[1]
    return string or re.sub(r"[^\n]", " ", match[0])


class Part:
    """A value in the file, and its place there, such as ``Modules.Mod.RouteMaps[0]``."""

    def __init__(self, value: Any, place: str) -> None:
        self.value = value
        self.place = place

    def get(self, key: str, kind: type, *default: Any) -> Part:
        """Return the value of a key, or the default.

        Raises ``ValueError`` if the value is of another kind, or missing without a default.
        """
        place = f"{self.place}.{key}".strip(".")
        by_lower_case = {name.lower(): value for name, value in self.value.items()}
        value = by_lower_case.get(key.lower())
        if value is None and default:
            return Part(default[0], place)
        if value is None and place:
            raise ValueError(f"{place} is missing")
        if not isinstance(value, kind):
            where = place or "the whole file"
            raise ValueError(f"{where} must be {_KINDS[kind]}, not {value!r:.40}")
        return Part(value, place)

    def text(self, key: str, *default: str) -> str:
        """Return a text."""
        return str(self.get(key, str, *default).value)

    def number(self, key: str) -> float | None:
        """Return a number, which may be written as text, or None if there is none."""
        part = self.get(key, object, None)
        if part.value is None:
            return None
        try:
            number = float(part.value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise ValueError(f"{part.place} must be a number, not {part.value!r:.40}")
        return number

    def count(self, key: str) -> str:
        """Return a whole number as text, or an empty text if there is none above 0."""
        number = int(self.number(key) or 0)
        return str(number) if number > 0 else ""

    def word(self, key: str) -> str:
        """Return a text, or an empty one if there is something else."""
        value = self.get(key, object, None).value
        return value if isinstance(value, str) else ""

    def parts(self) -> list[Part]:
        """Return the objects in a list."""
        return [Part({"": value}, f"{self.place}[{i}]").get("", dict)
                for i, value in enumerate(self.value)]
