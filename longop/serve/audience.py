"""Which clients watch which job, so that a change of the job reaches all of them.

    function's thread ── Audience.notify ── Loop.call ─▶ loop's thread ── each client looks

A job has one watcher here, however many clients look at it. Knows nothing of HTTP.
"""

from __future__ import annotations

from typing import Any, Callable

from ..job import Job
from .loop import Loop

PERIOD = 0.01  # seconds between two looks at a job that changes all the time

Look = Callable[[], None]


class Audiences:
    """The audiences of all jobs that are watched. Used in the loop's thread only."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._audiences: dict[Job[Any], Audience] = {}

    def __len__(self) -> int:
        return len(self._audiences)

    def subscribe(self, job: Job[Any], look: Look) -> None:
        """Call `look` in the loop's thread after each change of a job.

        It is called at most once in each `PERIOD`, and always after the last change.
        """
        audience = self._audiences.get(job)
        if audience is None:
            audience = self._audiences[job] = Audience(self._loop)
            job.watch(audience.notify)
        audience.looks.add(look)

    def unsubscribe(self, job: Job[Any], look: Look) -> None:
        """Undo `subscribe`. The last one to leave ends the watching of the job."""
        audience = self._audiences[job]
        audience.looks.discard(look)
        if not audience.looks:
            del self._audiences[job]
            job.unwatch(audience.notify)


class Audience:
    """The clients that watch one job."""

    def __init__(self, loop: Loop) -> None:
        self.looks: set[Look] = set()
        self._loop = loop
        # True while a look is due: the loop was called, or a rest must end first. Set in any
        # thread, reset in the loop's.
        self._notified = False
        self._rests_until = 0.0  # on the clock of `Loop.now`

    def notify(self) -> None:
        """Record that the job has changed. The thread that changed it runs this, at each report.

        It must be quick, because the function waits for it: of many changes only the first one
        calls the loop. If two threads find the flag unset, both call it; that does no harm.
        """
        if not self._notified:
            self._notified = True
            self._loop.call(self._look)

    def _look(self) -> None:
        """Have all clients look at the job, now or after the rest. For the loop's thread."""
        if not self._notified:  # two threads called the loop for the same change
            return
        if self._rests_until > self._loop.now:
            self._loop.call_at(self._rests_until, self._look)
            return
        # Before the clients look: a change during the look must cause another one.
        self._notified = False
        self._rests_until = self._loop.now + PERIOD
        # A client may leave while the others look: this needs a copy.
        for look in [*self.looks]:
            look()
