"""Numbers, dates, times and durations as text, as people and browsers write them.

Reading raises ``ValueError`` for another text, or ``OverflowError`` for a number out of range.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import date, datetime, time, timedelta, tzinfo

# ``007``, ``+5``, ``.5``, ``1e3``
# Not longer than Python limits it since 3.8.14: ``int`` takes the square of the digits' time.
_WHOLE = r"([+-]?[0-9]{1,4300})(?:[eE]\+?([0-9]{1,4}))?"
_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"

# ISO 8601, as far as RFC 3339 and the fields of a browser's form write it. ``fromisoformat``
# takes no ``Z`` and few fractions before Python 3.11.
_DATE = "([0-9]{4})-([0-9]{2})-([0-9]{2})"
_TIME = "([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]+))?)?(Z|[+-][0-9]{2}:?[0-9]{2})?"
_AMOUNT = "([0-9]+(?:[.,][0-9]+)?)"
_DURATION = (f"([+-]?)P(?=[0-9T])(?:{_AMOUNT}W)?(?:{_AMOUNT}D)?"
             f"(?:T(?=[0-9])(?:{_AMOUNT}H)?(?:{_AMOUNT}M)?(?:{_AMOUNT}S)?)?")
_CLOCK = f"([+-]?)()(?:([0-9]+) days?, )?([0-9]+):([0-5][0-9]):{_AMOUNT}"  # Python's


def to_int(text: str) -> int:
    """Return the whole number of a text such as ``007`` or ``1e3``."""
    sign_and_digits, exponent = _match(_WHOLE, text)
    return int(sign_and_digits + "0" * int(exponent or 0))


def to_float(text: str) -> float:
    """Return the number of a text such as ``.5``; it is neither NaN nor infinite."""
    number = float(check_number(text))
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is too large")
    return number


def check_number(text: str) -> str:
    """Return the text of a number without the space around it."""
    _match(_NUMBER, text)
    return text.strip()


def check_size(text: str) -> str:
    """Return the text of a number whose digits can all be made in no time."""
    _match("[^e]{1,4300}(?:e[+-]?[0-9]{1,4})?", text)
    return text


def to_date(text: str) -> date:
    """Return the date of a text such as ``2026-11-28``."""
    from datetime import date

    return date(*map(int, _match(_DATE, text)))


def to_time(text: str) -> time:
    """Return the time of a text such as ``14:30`` or ``14:30:15.5Z``."""
    from datetime import time

    *numbers, zone = _read_time(_match(_TIME, text))
    return time(*numbers).replace(tzinfo=zone)


def to_datetime(text: str) -> datetime:
    """Return the moment of a text such as ``2026-11-28T14:30``; without a time, midnight."""
    from datetime import datetime

    year, month, day, *clock = _match(f"{_DATE}(?:[T ]{_TIME})?", text)
    *numbers, zone = _read_time(clock)
    return datetime(int(year), int(month), int(day), *numbers).replace(tzinfo=zone)


def to_timedelta(text: str) -> timedelta:
    """Return the duration of a text such as ``PT1H30M`` or ``1:30:00``."""
    from datetime import timedelta

    sign, *amounts = _match(f"{_DURATION}|{_CLOCK}", text)
    half = len(amounts) // 2
    if sign is None:
        sign, *amounts = amounts[half:]
    weeks, days, hours, minutes, seconds = (
        float((amount or "0").replace(",", ".")) for amount in amounts[:5])
    delta = timedelta(days, seconds, 0, 0, minutes, hours, weeks)
    return -delta if sign == "-" else delta


def to_duration(delta: timedelta) -> str:
    """Return a duration as ISO 8601 writes it, such as ``P1DT2H30M0.5S``."""
    sign = "-" if delta.days < 0 else ""
    delta = abs(delta)
    minutes, seconds = divmod(delta.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{delta.microseconds:06}".rstrip("0").rstrip(".")
    days = f"{delta.days}D" if delta.days else ""
    clock = f"{hours}H" if hours else ""
    if minutes or (hours and (seconds or fraction)):
        clock += f"{minutes}M"
    if seconds or fraction or not (days or clock):
        clock += f"{seconds}{fraction}S"
    return f"{sign}P{days}T{clock}" if clock else f"{sign}P{days}"


def _match(pattern: str, text: str) -> list[Any]:
    """Return the groups of a pattern, which must match the text but for space around it."""
    found = re.fullmatch(pattern, text.strip(), re.IGNORECASE)
    if found is None:
        raise ValueError(f"{text!r} is written in another way")
    return list(found.groups())


def _read_time(groups: list[Any]) -> list[Any]:
    *clock, fraction, zone = groups
    microseconds = (fraction or "")[:6].ljust(6, "0")
    return [*(int(part or 0) for part in clock), int(microseconds), _read_zone(zone)]


def _read_zone(text: str | None) -> tzinfo | None:
    from datetime import timedelta, timezone

    if text is None:
        return None
    if text in "Zz":
        return timezone.utc
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-offset if text[0] == "-" else offset)
