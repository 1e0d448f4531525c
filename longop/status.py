"""The states of a job, what may follow what, and the record that every door shows.

Knows nothing of what makes a job change: that is `job`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum
from typing import Any


class State(str, Enum):
    """Where a job is in its life. In JSON it is its value, such as ``"running"``."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"  # told to stop, and still running
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"  # told to stop, and stopped
    INTERRUPTED = "interrupted"  # the same, but nobody asked: its server ended

    @property
    def is_terminal(self) -> bool:
        """True once the code has ended and nothing will change any more."""
        return self not in TRANSITIONS


# Nothing follows the other states: they are terminal. `queued` follows itself as the queue goes on.
# From `cancelling` a job may still complete or fail, for a cancel is a request: a function that
# never looks, or that was past its last report, ends by itself, and then that is what is said. From
# `running` a function may call itself cancelled.
TRANSITIONS: dict[State, set[State]] = {
    State.QUEUED: {State.QUEUED, State.RUNNING, State.CANCELLED, State.INTERRUPTED},
    State.RUNNING: {State.CANCELLING, State.COMPLETED, State.FAILED, State.CANCELLED},
    State.CANCELLING: {State.COMPLETED, State.FAILED, State.CANCELLED, State.INTERRUPTED},
}


@dataclass(frozen=True)
class Status:
    """A frozen snapshot of a job; ``vars(status)`` is what stands in JSON.

    ``result, step, total, message`` are as the function last reported them, and ``result`` is its
    value once it has one; what a cancelled or failed job had reported is kept. ``progress`` is
    0 to 1, ``elapsed`` (running time so far) and ``eta`` (what is left of it) are seconds, the
    moments are ISO 8601 in UTC. ``queue_position`` is 1 for the job that starts next. ``version``
    grows with each change of this job. Unknown is ``None``.
    """

    id: str
    module: str
    operation: str
    state: State = State.QUEUED
    result: Any = None
    step: Any = None
    total: Any = None
    progress: float | None = None
    message: Any = None
    error: str | None = None
    stop_reason: str | None = None
    created_at: str = ""
    started_at: str | None = None
    finished_at: str | None = None
    cancel_requested_at: str | None = None
    elapsed: float | None = None
    eta: float | None = None
    queue_position: int | None = None
    version: int = 0

    def replace(self, **changes: Any) -> Status:
        """Return the same with some fields changed: a ``dataclasses.replace`` that is fast."""
        changed: Status = object.__new__(Status)
        changed.__dict__.update(self.__dict__, **changes)
        return changed


def timestamp() -> str:
    """Return the time now, as ISO 8601 in UTC to the millisecond; to be shown, not measured."""
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"
