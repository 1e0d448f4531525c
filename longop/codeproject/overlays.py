"""The file ``modulesettings.json`` and those beside it for one kind of machine, as one value.

    modulesettings.json ◀─ .linux.json ◀─ .linux.arm64.json ◀─ .raspberrypi.json

They are read as CodeProject.AI Server reads them. Comments, trailing commas and a byte order
mark are accepted, and the case of a key does not matter. A later file overwrites what it
names, object by object and list by list, and deletes nothing.
https://codeproject.github.io/codeproject.ai/devguide/module_settings.html

Those for developers of the server (``.development.json``) and for Docker are not read.
"""

from __future__ import annotations

import contextlib
import os
import re
from itertools import zip_longest
from typing import Any, Sequence

from ..job import logger
from ..values.jsontext import loads
from . import folders, machine
from .parts import Part

_STRING = r'("(?:\\.|[^"\\\n])*")'
_COMMENT = _STRING + r"|//[^\n]*|#[^\n]*|/\*.*?\*/"
_TRAILING_COMMA = _STRING + r"|,(?=\s*[}\]])"
_MISSING: Any = object()
# Those that were reported: a module's settings are read several times.
_left_out: set[str] = set()


def load(files: Sequence[str]) -> Part:
    """Return what some files say together, an object; see `files_of`.

    Raises ``OSError`` or ``ValueError`` for the first one. Another one that cannot be read is
    left out, as that server leaves it out, with a warning.
    """
    first, *others = files
    whole = _read(first)
    for file in others:
        try:
            whole = _merged(whole, _read(file))
        except (OSError, ValueError, RecursionError) as error:
            if file not in _left_out:
                _left_out.add(file)
                logger.warning("%s is left out: %s", file, " ".join(str(error).split()))
    return Part(whole, "")


def files_of(folder: str) -> list[str]:
    """Return the file with a module's settings, and those that overwrite it on this machine.

    The most specific one comes last.
    """
    first = os.path.join(folder, folders.SETTINGS)
    begin, end = os.path.splitext(folders.SETTINGS)
    there: set[str] = set()
    with contextlib.suppress(OSError):  # a folder may be one that cannot be listed
        there.update(os.listdir(folder))
    there.discard(folders.SETTINGS)
    if not any(name.startswith(begin + ".") for name in there):
        return [first]  # and nothing need be found out about the machine
    names = (f"{begin}.{kind}{end}" for kind in machine.kinds())
    return [first, *(os.path.join(folder, name) for name in names if name in there)]


def _read(file: str) -> Any:
    with open(file, encoding="utf-8-sig") as source:
        return Part.of(loads(_strip(source.read()))).value


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
