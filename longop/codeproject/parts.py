"""Parts of ``modulesettings.json``, each of which knows its place there, for what is wrong."""

from __future__ import annotations

import math
from typing import Any

_KINDS: dict[Any, str] = {dict: "an object", list: "a list", str: "a text"}


class Part:
    """A value in the file, and its place there, such as ``Modules.Mod.RouteMaps[0]``.

    The case of a key does not matter. Each method raises ``ValueError`` for what is not of its
    kind, and names the place.
    """

    def __init__(self, value: Any, place: str) -> None:
        self.value = value
        self.place = place

    @classmethod
    def of(cls, value: Any, place: str = "") -> Part:
        """Return an object at a place, which is the whole file if it is not named."""
        return cls({"": value}, place).get("", dict)

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
        return [Part.of(value, f"{self.place}[{i}]") for i, value in enumerate(self.value)]
