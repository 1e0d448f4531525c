"""JSON text that somebody sent: strict, and within bounds.

Little text can become large values: the three bytes ``[],`` are a list of 80 bytes. So the
text is looked at first, and nothing is made of it that is out of bounds. A door sets its own
with `bounded`; they hold for JSON inside the texts of a form, too.
"""

from __future__ import annotations

import contextlib
import math
import re
import threading
from typing import Any, Iterator, Mapping, NamedTuple

from . import jsontext


class UnfitJson(ValueError):
    """The text is JSON, but cannot be taken. The message says what it is, or what it has."""


class Bounds(NamedTuple):
    """How deep JSON may be nested, and how many values it may have.

    So that values and memory go together, a text counts as 3 values, a list as 4 and an object
    as 8, and each of its names as 3.
    """

    depth: int = 100
    values: int = 1_000_000


_DEFAULT = Bounds()
_current = threading.local()  # ``bounds`` of the request that this thread answers

# What of a JSON text says how many values there are: a comma stands between two of them. With
# these weights, 8 times the size of the text and 40 MiB are enough for a million values, and
# Python's parser, which no other thread can interrupt, takes about 0.1 seconds.
_WEIGHTS: Mapping[str, int] = {",": 1, ":": 1, '"': 2, "[": 3, "{": 7}
_TOKEN = re.compile('"[^"]*"?|[,:[{]')
# What ``{"name":[`` weighs, less 1 for the last value, after which there is no comma: so a
# list of as many numbers as the bound says is still within it.
_OUTER = 12
# Half of a character beyond U+FFFF: no encoding can express it alone. Compiled at the first use,
# as that takes longer than to load this file.
_LONE_SURROGATE = "[\ud800-\udfff]"


@contextlib.contextmanager
def bounded(bounds: Bounds) -> Iterator[None]:
    """Set the bounds of what this thread reads meanwhile."""
    before = getattr(_current, "bounds", _DEFAULT)
    _current.bounds = bounds
    try:
        yield
    finally:
        _current.bounds = before


def loads(text: str, more_depth: int = 0) -> Any:
    """Return the value of a JSON text.

    :param more_depth: levels that are allowed beyond the bound.

    Raises `UnfitJson` if it is out of bounds, or holds a number that is not finite or half
    of a character, and ``ValueError`` if it is no JSON.
    """
    bounds = getattr(_current, "bounds", _DEFAULT)
    if _is_large(text, bounds.values):
        raise UnfitJson(f"has more than {bounds.values:,} values")
    try:
        value = jsontext.loads(text)
        _check(value, bounds, bounds.depth + more_depth)
    except (jsontext.TooDeep, RecursionError):  # the latter if the bound is above Python's
        raise _too_deep(bounds) from None
    return value


def _is_large(text: str, most: int) -> bool:
    """Return whether a text has more values; it takes no memory but for a copy of the text."""
    most += _OUTER
    # Characters inside of texts are counted too, so this may be too many, but never too few.
    if sum(_WEIGHTS[char] * text.count(char) for char in _WEIGHTS) <= most:
        return False
    # Without what is escaped, a text ends at the next quotation mark.
    plain = text.replace("\\\\", "").replace('\\"', "")
    left = most
    for token in _TOKEN.finditer(plain):
        left -= _WEIGHTS[plain[token.start()]]
        if left < 0:
            return True
    return False


def _check(value: Any, bounds: Bounds, depth: int) -> None:
    """Raise `UnfitJson` for what is wrong anywhere in a value that has `depth` levels left."""
    if isinstance(value, str):
        if not value.isascii() and re.search(_LONE_SURROGATE, value):
            raise UnfitJson("has half of a character (a lone surrogate)")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise UnfitJson("has a number that is out of range")
    elif isinstance(value, list):
        _check_all(value, bounds, depth)
    elif isinstance(value, dict):
        _check_all(value, bounds, depth)
        _check_all(value.values(), bounds, depth)


def _check_all(values: Any, bounds: Bounds, depth: int) -> None:
    if depth == 0:
        raise _too_deep(bounds)
    for value in values:
        _check(value, bounds, depth - 1)


def _too_deep(bounds: Bounds) -> UnfitJson:
    return UnfitJson(f"is nested too deeply (more than {bounds.depth} levels)")
