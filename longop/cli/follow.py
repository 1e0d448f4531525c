"""Jobs that are followed: the newest status of each, whether it is here or on a server.

    a job here: its status ──────────────┐
    a follower's thread: updates() ──────┴─▶ look()

One thread looks, ten times a second, and shows what it has seen.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, Iterable, Iterator, Protocol, Sequence

from ..job import Job
from ..operation import LongOperation
from ..status import State, Status, estimate
from . import line

PERIOD = 0.1  # seconds between two looks at the jobs
SPIN = 0.3  # seconds between two turns of a spinner


class Watchable(Protocol):
    """What can be shown: a `Job` here, or a `client.RemoteJob`."""

    def status(self) -> Status:
        """Return a snapshot."""
        ...

    def updates(self) -> Iterator[Status]:
        """Yield the status now, and at each change until the end."""
        ...

    def cancel(self) -> bool:
        """Ask the job to stop."""
        ...


class FollowedJobs:
    """The jobs that are shown."""

    def __init__(self, given: Sequence[Any], start: Callable[[], Any] | None = None) -> None:
        self.changed = threading.Event()  # a job has ended, or cannot be followed any more
        self.all: list[Followed] = []
        self._start = start  # makes the job, see `begin`
        self._operations = [one for one in given if isinstance(one, LongOperation)]
        self.is_single = start is not None or (len(given) == 1 and not self._operations)
        self._by_id: dict[str, Followed] = {}
        self._given = [one for one in given if not isinstance(one, LongOperation)]
        self._add(self._given)

    def begin(self) -> None:
        """Start the job that is to be started, if there is one."""
        if self._start is not None:
            self._add([self._start()])

    def look(self) -> list[Followed]:
        """Take the newest status of each job that was not over before; return these jobs."""
        for operation in self._operations:
            self._add(list(operation.live.values()))
        live = [one for one in self.all if not one.is_over]
        for one in live:
            one.look()
        return live

    def cancel(self) -> None:
        """Cancel all jobs."""
        for one in self.all:
            one.job.cancel()

    def latest(self) -> list[Status]:
        """Return the last statuses: of each job that was given, then of all others."""
        # One job may be given twice: ``when_busy="join"`` starts it once for two starts.
        given = [self._by_id[job.id] for job in self._given]
        others = [one for one in self.all if one not in given]
        return [one.latest for one in [*given, *others]]

    def close(self) -> None:
        """Follow the jobs no more."""
        for one in self.all:
            one.close()

    def _add(self, jobs: Iterable[Any]) -> None:
        for job in jobs:
            if not hasattr(job, "updates"):
                raise TypeError(f"a job or an operation is shown, not {job!r}: write "
                                "longop.progress(operation.start()), and of a list of jobs "
                                "longop.progress(*jobs)")
            if job.id not in self._by_id:
                one = _follower_of(job, self.changed)
                self._by_id[job.id] = one
                self.all.append(one)
                one.number = len(self.all)


class Followed:
    """One job that is shown, and what was drawn of it. This one is of this process."""

    def __init__(self, job: Any, changed: threading.Event) -> None:
        self.job = job
        self.number = 0
        self.is_over = False
        self.latest: Status = job.status()
        self.changed_at = time.monotonic()  # when that status was new
        self._changed = changed
        self._start()

    def _start(self) -> None:
        self._has_ended = False
        self.job.watch(self._notice)
        if self.job.done():
            self._has_ended = True

    def close(self) -> None:
        """Follow the job no more."""
        self.job.unwatch(self._notice)

    def _notice(self) -> None:
        """Take note of the end. Called in the thread that changes the job, at each change."""
        if self.job.done():
            self._has_ended = True
            self._changed.set()

    def look(self) -> None:
        """Take the newest status."""
        self._take(self._newest())

    def _newest(self) -> Status:
        # A result that grows stays as it is: only the end of it is shown.
        newest: Status = self.job.growing_status()
        # The end is shown once it is noticed: by then it is logged, above its line.
        if newest.state.is_terminal and not self._has_ended:
            return self.latest
        return newest

    def _take(self, status: Status) -> None:
        before = self.latest
        self.is_over = status.state.is_terminal
        if (status.state, status.version) != (before.state, before.version):
            self.changed_at = time.monotonic()
            self.latest = status

    def moment(self, now: float, label: str) -> line.Moment:
        """Return what is drawn of it: a silent job takes its time too."""
        status = self.latest
        elapsed = status.elapsed or 0.0
        if not status.state.is_terminal and status.started_at:
            elapsed += now - self.changed_at
        return line.Moment(status, elapsed, _left(status, elapsed), label, int(now / SPIN))


class FollowedFromAfar(Followed):
    """One that is elsewhere: a thread follows it, because waiting for news blocks."""

    def _start(self) -> None:
        self._received = self.latest
        self._error: Exception | None = None
        threading.Thread(target=self._follow, daemon=True).start()

    def close(self) -> None:
        """Do nothing: the thread ends with the job."""

    def _newest(self) -> Status:
        if self._error is not None:
            raise self._error
        return self._received

    def _follow(self) -> None:
        """Follow the job to its end. Runs in its own thread."""
        try:
            for status in self.job.updates():
                self._received = status
                if not status.state.is_terminal:
                    time.sleep(PERIOD)  # more than that nobody sees
        except Exception as error:
            self._error = error
        self._changed.set()


def _follower_of(job: Any, changed: threading.Event) -> Followed:
    return (Followed if isinstance(job, Job) else FollowedFromAfar)(job, changed)


def _left(status: Status, elapsed: float) -> float | None:
    """Return the seconds that a job may still take.

    The last report tells how long all of it takes: between reports that goes by.
    """
    if status.state is not State.RUNNING:
        return None
    _, left = estimate(status.step, status.total, status.elapsed)
    if left is None:
        return None
    return max(0.0, left - (elapsed - (status.elapsed or 0.0)))
