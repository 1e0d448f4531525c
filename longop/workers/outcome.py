"""The outcome of a call that ran elsewhere, in a form that can be sent.

A function may report, return or raise anything, including objects that cannot be pickled, or
not be read again. Each part is tried by itself. It knows nothing of connections.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..callback import Report
from ..job import Job, logger
from ..values.growth import settled
from .parcel import Lost, open_parts, pack
from .sent_error import SentError

REPORT_PARTS = ("result", "step", "total", "message")


class Outcome(NamedTuple):
    """How a call has ended: its last report, and its value or its error.

    Every executor can pickle it, and read it again.
    """

    latest: Report
    told: bool  # whether the function noticed that it was to stop
    value: Any = None
    error: SentError | None = None
    #: Whether the last report's result is not in it, because a message has brought it.
    was_sent: bool = False
    #: Which parts are not what they were, and why; known where the outcome has arrived.
    lost: Lost = ()

    def __reduce__(self) -> Any:
        count, result, *parts = self.latest
        packed = [pack(part) for part in (settled(result), *parts, self.value)]
        return _arrive, (count, packed, self.told, self.error, self.was_sent)

    def settle(self, job: Job[Any]) -> Any:
        """Give a job's callback the last report; return the value or raise the error."""
        for part, why in self.lost:
            warn(job, part, why)
        count, result, *others = self.latest
        if self.was_sent:
            result = job.callback.latest[1]
        job.callback.receive((count, result, *others))
        job.callback.told = job.callback.told or self.told
        if self.error is not None:
            raise self.error.revive(lambda why: warn(job, "error", why))
        return self.value


def warn(job: Job[Any], part: str, why: str) -> None:
    """Say in the log that a part of a job's report or outcome is not what it was."""
    logger.warning("%r: its %s could not be sent as it is: %s", job, part, why)


def _arrive(count: int, packed: list[Any], told: bool, error: SentError | None,
            was_sent: bool) -> Outcome:
    """Return the outcome that was pickled. Runs where it arrives."""
    (*parts, value), lost = open_parts((*REPORT_PARTS, "value"), packed)
    result, step, total, message = parts
    return Outcome((count, result, step, total, message), told, value, error, was_sent,
                   lost)
