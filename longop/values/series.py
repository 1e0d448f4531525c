"""The numbers that a job reported, thinned: a chart that outlives whoever watched the job.

Knows nothing of callbacks.
"""

from __future__ import annotations

import math
import threading
from array import array
from typing import Any, NamedTuple

MOST = 500  # points; when there are so many, every second one is dropped
_MOST_NAMES = 50  # numbers of one report
_MISSING = math.nan  # stands in a column where a report lacked the number


class Point(NamedTuple):
    """A report: its step, and its numbers by name."""

    reports: int  # how many there were with it
    step: float
    numbers: dict[str, float]

    @classmethod
    def of(cls, count: int, step: Any, result: Any) -> Point:
        """Return the point of a report, with whatever step and result it has."""
        return cls(count, _to_float(step), _numbers_of(result))


class Series:
    """At most 500 points of a job's reports, from the first to the newest.

    Reports are taken at equal distances in their count. When there are 500 points, every second
    one is dropped and the distance doubles, so that the first one stays.
    """

    # The columns are arrays, because ten thousand jobs may have some. The lock guards them all:
    # any thread may report, and any may look. Few reports get here.

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._distance = 1
        self._count = 0  # of the newest point
        self._steps = array("d")
        self._columns: dict[str, array[float]] = {}

    def take(self, count: int, step: Any, result: Any) -> int:
        """Take the ``count``-th report; return at which count to take the next one."""
        point = Point.of(count, step, result)
        with self._lock:
            if point.numbers or self._columns:
                self._add(point)
            elif count >= MOST * self._distance:
                self._distance *= 2  # reports without numbers are looked at as rarely
            # At 1, 1 + distance, 1 + 2 * distance: also where the distance has just doubled.
            return count + self._distance - (count - 1) % self._distance

    def to_json(self, newest: Point) -> dict[str, Any]:
        """Return ``{"reports": ..., "step": [...], "series": {name: [...]}}``.

        All lists have one length. What a report lacked is None in them.

        :param newest: the newest report, which is the last point whether it was taken or not.
        """
        if not newest.numbers and not self._columns:
            return {"reports": newest.reports, "step": [], "series": {}}
        shown = self._copy()
        if newest.reports > shown._count:
            shown._add(newest)
        return {
            "reports": newest.reports,
            "step": [_whole(step) for step in shown._steps],
            "series": {name: [_or_none(number) for number in column]
                       for name, column in shown._columns.items()},
        }

    def _copy(self) -> Series:
        copy = Series()
        with self._lock:
            copy._count = self._count
            copy._steps = self._steps[:]
            copy._columns = {name: column[:] for name, column in self._columns.items()}
        return copy

    def _add(self, point: Point) -> None:
        for name in point.numbers:
            if name not in self._columns and len(self._columns) < _MOST_NAMES:
                self._columns[name] = array("d", [_MISSING]) * len(self._steps)
        for name, column in self._columns.items():
            column.append(point.numbers.get(name, _MISSING))
        self._steps.append(point.step)
        self._count = point.reports
        if len(self._steps) >= MOST:
            self._thin()

    def _thin(self) -> None:
        """Drop every second point, the newest one among them."""
        self._count -= self._distance
        self._distance *= 2
        self._steps = self._steps[::2]
        self._columns = {name: column[::2] for name, column in self._columns.items()}


def _numbers_of(result: Any) -> dict[str, float]:
    """Return the numbers in a result by name: of a number alone, by the name ``result``."""
    if not isinstance(result, dict):
        result = {"result": result}
    # A copy, made in one step: the function may be changing its own.
    numbers = {str(name): _to_float(value) for name, value in dict(result).items()}
    return {name: number for name, number in numbers.items() if not math.isnan(number)}


def _to_float(value: Any) -> float:
    """Return a number that JSON has, or what stands for a missing one."""
    if isinstance(value, (bool, str, bytes)) or not hasattr(value, "__float__"):
        return _MISSING
    try:
        number = float(value)
    except Exception:  # an array of more than one number, or a user's class
        return _MISSING
    return number if math.isfinite(number) else _MISSING


def _or_none(number: float) -> float | None:
    return None if math.isnan(number) else number


def _whole(number: float) -> float | int | None:
    """Return a step as it was probably reported: without a fraction if it has none."""
    if math.isnan(number):
        return None
    return int(number) if number.is_integer() else number
