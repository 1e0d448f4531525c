"""What stops a job that does not stop by itself: its deadlines, and the ladder of a cancel.

The first rung is the callback, which raises at its next call. The others are the executor's: the
function's companion, and what only a process can be sent. Knows nothing of where the code runs.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Callable, Sequence, Tuple

from .errors import DeadlineExceeded
from .job import Job
from .status import State, Status

# A rung of the ladder: whether to wait for ``grace`` before it, what the job is said to have been
# stopped by, and the doing.
Rung = Tuple[bool, str, Callable[[], object]]
NEVER = threading.TIMEOUT_MAX


class Clock:
    """Time that only goes forward, in seconds, so that a set clock changes nothing."""

    now = staticmethod(time.monotonic)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for an event, for so long at most; return whether it has come."""
        return event.wait(min(seconds, NEVER))


@dataclass(frozen=True)
class Guard:
    """Guards jobs; ``save`` gets a status each ``interval``. Times are seconds, or `NEVER`."""

    grace: float
    timeout: float
    stall_timeout: float
    interval: float
    save: Callable[[Status], object]
    clock: Clock

    def __call__(self, job: Job, rungs: Sequence[Rung]) -> None:
        """Guard a job that is about to run, in a thread if there is something to wait for."""
        thread = threading.Thread(target=self._watch, args=(job, [*rungs], job.status().version),
                                  name=f"longop-guard-{job.id}", daemon=True)
        if min(self.timeout, self.stall_timeout, self.interval) < NEVER:
            thread.start()
        elif rungs:
            job.callback.on_cancel(thread.start)

    def _watch(self, job: Job, rungs: list[Rung], version: int) -> None:
        saved = began = self.clock.now()
        told: float | None = None
        heard, changed = deque([began], maxlen=1), threading.Event()
        if self.stall_timeout < NEVER:
            job.watch(lambda: heard.append(self.clock.now()))
        job.callback.on_cancel(changed.set)
        job.add_done_callback(lambda job: changed.set())
        while not job.done():
            changed.clear()  # before the look, so that what changes after it is not missed
            status, now = job.status(), self.clock.now()
            due = [(saved + self.interval, "save", "")]
            if status.state is State.RUNNING:
                due += [(began + self.timeout, "timeout", f"it ran longer than {self.timeout} s"),
                        (heard[0] + self.stall_timeout, "stalled",
                         f"it reported nothing for {self.stall_timeout} s")]
            elif rungs:
                told = now if told is None else told
                due += [(told + self.grace * rungs[0][0], "climb", "")]
            when, what, text = min(due)
            if now < when:
                self.clock.wait(changed, when - now)
            elif what == "climb":
                told = now
                job.stop_by(*rungs.pop(0)[1:])
            elif what == "save":
                saved = now
                if status.version != version:
                    self.save(status)
                version = status.version
            elif not job.stop(what, DeadlineExceeded(text)):
                return  # its code has just ended
