"""What stops a job that does not stop by itself: its deadlines, and a cancel's escalation.

    cancel        ─┐
    timeout       ─┼─▶ callback ─ grace ─▶ companion ─ grace ─▶ SIGTERM ─ grace ─▶ SIGKILL
    stall_timeout ─┘   by Job.stop         the rungs, by Job.stop_by

The callback raises at its next call. If the job has not stopped after the grace period, the
executor's rungs follow, one after the other. Deadlines count from the moment at which the code
begins. Knows nothing of where the code runs.
"""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import Any, Callable, Iterator, NamedTuple, Sequence

from .errors import DeadlineExceeded
from .functions.threads import thread_of
from .job import Job
from .status import State, Status

NEVER = threading.TIMEOUT_MAX  # seconds; the longest time that a thread can wait


class Clock:
    """Monotonic time in seconds: a wall clock that is set changes no deadline."""

    now = staticmethod(time.monotonic)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for an event, at most for some seconds; return whether it is set."""
        return event.wait(min(seconds, NEVER))


class Rung(NamedTuple):
    """A further means of stopping a job, after its callback."""

    waits: bool  # whether the grace period comes before it
    act: Callable[[], object]  # calls `Job.stop_by`, if there is something to stop


class Guard:
    """Guards the jobs of one operation.

    :param grace: seconds between a stop and the first rung, and between two rungs.
    :param timeout: seconds that a job's code may run, or `NEVER`.
    :param stall_timeout: seconds that it may run without a report, or `NEVER`.
    :param interval: seconds between two saves of a job that changes, or infinity.
    :param save: takes the status to save; returns False if it is to be offered again later.
        Called in the guard's thread.
    :param clock: tells the time.
    """

    def __init__(self, grace: float, timeout: float, stall_timeout: float, interval: float,
                 save: Callable[[Status], bool], clock: Clock) -> None:
        self.grace = grace
        self.timeout = timeout
        self.stall_timeout = stall_timeout
        self.interval = interval
        self.save = save
        self.clock = clock

    def __call__(self, job: Job[Any], rungs: Sequence[Rung]) -> Callable[[], None]:
        """Guard a job that is about to run. Called in the job's thread, and returns at once.

        A thread of its own guards it, if there is something to wait for: from the moment at
        which the code begins or, for the rungs, at which the job is told to stop.

        Returns what must be called, in any thread, when the code begins. That may be long
        after the job was handed to an executor, or never.
        """
        watch = _Watch(self, job, rungs)
        if rungs:
            job.callback.on_cancel(watch.start)
        if min(self.timeout, self.stall_timeout, self.interval) < NEVER:
            return watch.start
        return _nothing


class _Deadline(NamedTuple):
    """Something to do once a time has come."""

    at: float
    act: Callable[[], None]


def _nothing() -> None:
    """Stand for the start of a guard that has nothing to wait for when the code begins."""


class _Watch:
    """Guards one job. All runs in the guard's thread, but `__init__`, `start` and `_hear`."""

    def __init__(self, guard: Guard, job: Job[Any], rungs: Sequence[Rung]) -> None:
        self._guard = guard
        self._job = job
        self._rungs = [*rungs]  # those that were not tried yet
        self._changed = threading.Event()  # the job was told to stop, or is done
        # Taken before the thread starts: a report that comes first is a change to save.
        self._saved_version = job.status().version
        self._has_ended = False  # its code has, although the job may not be done yet
        self._lock = threading.Lock()  # guards the next line
        self._is_started = False

    def start(self) -> None:
        """Start the guard's thread, once: the code begins here, and a cancel comes from there."""
        with self._lock:
            was_started = self._is_started
            self._is_started = True
        if not was_started:
            thread_of(self.run, name=f"longop-guard-{self._job.id}").start()

    def run(self) -> None:
        """Until the job is done: do what is due, sleep until the next deadline or change."""
        clock = self._guard.clock
        now = clock.now()
        # The code begins now; or the job was told to stop before, and has no deadline.
        self._began = now
        self._saved = now  # when it was last saved
        self._heard = now  # when it last reported
        self._stopped: float | None = None  # when it was told to stop, or the last rung tried
        if self._guard.stall_timeout < NEVER:
            self._job.watch(self._hear)
        self._job.callback.on_cancel(self._changed.set)
        self._job.add_done_callback(lambda job: self._changed.set())
        while not (self._job.done() or self._has_ended):
            self._changed.clear()  # before the look: a change after the look sets it again
            status = self._job.status()
            now = clock.now()
            nearest = min(self._deadlines(status, now), key=lambda deadline: deadline.at)
            if nearest.at <= now:
                nearest.act()
            else:
                clock.wait(self._changed, nearest.at - now)

    def _hear(self) -> None:
        # In the thread that reports. One assignment, so the guard's thread needs no lock.
        self._heard = self._guard.clock.now()

    def _deadlines(self, status: Status, now: float) -> Iterator[_Deadline]:
        """Yield what is still to come for a job with this status."""
        guard = self._guard
        yield _Deadline(self._saved + guard.interval, partial(self._save, status, now))
        if status.state is State.RUNNING:
            yield _Deadline(self._heard + guard.stall_timeout, partial(
                self._expire, "stalled", f"it reported nothing for {guard.stall_timeout} s"))
            yield _Deadline(self._began + guard.timeout, partial(
                self._expire, "timeout", f"it ran longer than {guard.timeout} s"))
        elif self._rungs:
            if self._stopped is None:
                self._stopped = now
            grace = guard.grace if self._rungs[0].waits else 0
            yield _Deadline(self._stopped + grace, partial(self._climb, now))

    def _save(self, status: Status, now: float) -> None:
        self._saved = now
        if status.version != self._saved_version and self._guard.save(status):
            self._saved_version = status.version

    def _expire(self, reason: str, text: str) -> None:
        was_alive = self._job.stop(reason, DeadlineExceeded(text))
        self._has_ended = not was_alive

    def _climb(self, now: float) -> None:
        self._stopped = now
        self._rungs.pop(0).act()
