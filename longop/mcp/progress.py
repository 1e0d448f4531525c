"""The progress of a call: numbers that only grow, from whatever a function reports."""

from __future__ import annotations

import math
import numbers
from typing import Any

from ..status import Status
from ..values.jsontext import to_text

_LONGEST = 200  # characters of a message: of a text that grows, its end


class Progress:
    """Turns the statuses of one job into the parameters of ``notifications/progress``.

    The progress is the function's ``step``, or, if its first report has none, the number of
    reports that were seen. It stays with the one that it began with, because the two cannot be
    compared. What does not grow is not sent.
    """

    def __init__(self, token: str | int) -> None:
        self._token = token
        self._counts: bool | None = None  # None until there was a report
        self._last = -math.inf
        self._seen: Any = (None, None, None, None)  # the last report

    def of(self, status: Status) -> dict[str, Any] | None:
        """Return what is to be sent of a status, or None if there is nothing new."""
        report = (status.result, status.step, status.total, status.message)
        # Compared by identity: a user's value may be large, or refuse to be compared.
        if all(new is old for new, old in zip(report, self._seen)):
            return None
        self._seen = report
        step = _number(status.step)
        if self._counts is None:
            self._counts = step is None
        if self._counts:
            step = max(self._last, 0) + 1
        if step is None or step <= self._last:
            return None
        self._last = step
        return self._describe(step, status)

    def _describe(self, step: float, status: Status) -> dict[str, Any]:
        params: dict[str, Any] = {"progressToken": self._token, "progress": step}
        total = _number(status.total)
        if total is not None and not self._counts:
            params["total"] = total
        message = message_of(status)
        if message:
            params["message"] = message
        return params


def message_of(status: Status) -> str:
    """Return what a job says of itself: its message, or the end of what it reported."""
    said = status.message
    if said is None:
        said = status.result
        if not isinstance(said, (str, int, float)) or str(said).startswith("data:"):
            return ""
    return to_text(said)[-_LONGEST:]


def _number(value: Any) -> float | None:
    """Return a number as JSON has it, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    number = float(value)
    if not math.isfinite(number):
        return None
    return int(number) if number == int(number) else number
