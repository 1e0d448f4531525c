"""Numbers and times in short, as a line of a terminal shows them.

Knows nothing of jobs. A function may report any value as a number, so nothing here raises.
"""

from __future__ import annotations

import math
from typing import Any

from ..values.jsontext import to_text

_PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")  # of the SI, for thousands
_SMALLEST_SHORTENED = 100_000  # below it, whole numbers are written out
_LONGEST_EACH = 100.0  # seconds that one step takes, above which they are shown as a time


def count(step: Any, total: Any) -> str:
    """Return how far something is: ``12/30``, ``1.98G/4.94G``, or the step alone."""
    if total is None:
        return _number(step, _is_large(step))
    is_large = _is_large(step) or _is_large(total)  # both in one way
    return f"{_number(step, is_large)}/{_number(total, is_large)}"


def rate(step: Any, seconds: float) -> str:
    """Return ``1.5/s``, or ``4 s each`` if it is slower than one a second, or nothing."""
    number = _finite(step)
    if number is None or number <= 0 or seconds <= 0:
        return ""
    if number >= seconds:
        return f"{_shorten(number / seconds)}/s"
    each = seconds / number
    if each >= _LONGEST_EACH:
        return f"{clock(each)} each" if math.isfinite(each) else ""
    return f"{each:.2g} s each"


def clock(seconds: float) -> str:
    """Return seconds as minutes and seconds, with hours if there are any."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{seconds:02}"
    return f"{minutes}:{seconds:02}"


def _number(value: Any, is_shortened: bool) -> str:
    number = _finite(value)
    if number is None:
        return to_text(value)
    if is_shortened:
        return _shorten(number)
    return str(value) if isinstance(value, int) else f"{number:.4g}"


def _shorten(number: float) -> str:
    """Return three digits and a prefix of the SI."""
    for prefix in _PREFIXES:
        if abs(number) < 999.5:  # which would be rounded to four digits
            return f"{number:.3g}{prefix}"
        number /= 1000
    return f"{number:.3g}{_PREFIXES[-1]}"


def _is_large(value: Any) -> bool:
    number = _finite(value)
    return number is not None and abs(number) >= _SMALLEST_SHORTENED


def _finite(value: Any) -> float | None:
    """Return a number as a float; None for what is none, or is too large to be one."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
