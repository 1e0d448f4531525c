"""How much may be written at a rate, so that an SD card lives long."""

from __future__ import annotations

from typing import Callable

_BURST = 10.0  # seconds for which more may be written than the rate allows


class Allowance:
    """How much may be written at a rate, on average.

    :param rate: bytes a second.
    :param clock: tells the time in seconds.
    """

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._paid = clock()  # when all that was written is paid for, at this rate

    def is_free(self) -> bool:
        """Return whether anything may be written now."""
        return self._paid <= self._clock() + _BURST

    def spend(self, size: int) -> None:
        """Record that so many bytes are written."""
        self._paid = max(self._paid, self._clock()) + size / self._rate
