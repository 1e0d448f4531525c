"""What stops a job that does not stop by itself: its deadlines, and the ladder of a cancel.

The first rung is the callback, which raises at its next call. The others are the executor's: the
function's companion, and what only a process can be sent. Knows nothing of where the code runs.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Callable, Sequence, Tuple

from .errors import DeadlineExceeded
from .job import Job, logger
from .status import Status

# A rung of the ladder: whether to wait for ``grace`` before it, what the job is said to have been
# stopped by, and the doing.
Rung = Tuple[bool, str, Callable[[], object]]
Save = Callable[[Status], object]


class Clock:
    """Time that only goes forward, in seconds, so that a set clock changes nothing."""

    now: Callable[[], float] = staticmethod(time.monotonic)
    wait: Callable[[threading.Event, float], bool] = staticmethod(threading.Event.wait)


@dataclass(frozen=True)
class Guard:
    """Guards jobs: ``grace``, ``timeout`` and ``stall_timeout`` are seconds."""

    grace: float
    timeout: float | None
    stall_timeout: float | None
    clock: Clock

    def __call__(self, job: Job, rungs: Sequence[Rung], save: Save | None) -> None:
        """Guard a job that is about to run; ``save`` gets its status, once a second at most.

        In a thread of its own, which is there only if there is something to wait for.
        """
        thread = threading.Thread(target=self._watch, args=(job, rungs, save),
                                  name=f"longop-guard-{job.id}", daemon=True)
        if save or self.timeout is not None or self.stall_timeout is not None:
            thread.start()
        elif rungs:
            job.callback.on_cancel(thread.start)

    def _watch(self, job: Job, rungs: Sequence[Rung], save: Save | None) -> None:
        wake, ended = threading.Event(), threading.Event()
        job.callback.on_cancel(wake.set)
        job.add_done_callback(lambda job: ended.set())
        job.add_done_callback(lambda job: wake.set())
        self._wait_for_cancel(job, wake, save)
        for wait, means, rung in rungs:
            if self.clock.wait(ended, self.grace * wait):
                return
            job.stop_by(means)
            try:
                rung()
            except Exception:
                logger.exception("%s, which was to stop %r, raised", means, job)

    def _wait_for_cancel(self, job: Job, wake: threading.Event, save: Save | None) -> None:
        """Return when the job is told to stop, by its deadlines or by others, or has ended."""
        began = heard = saved = self.clock.now()
        version = job.status().version

        def listen() -> None:
            nonlocal heard
            heard = self.clock.now()

        if self.stall_timeout is not None:
            job.watch(listen)
        while not wake.is_set():
            due = {"timeout": began + _or_never(self.timeout),
                   "stalled": heard + _or_never(self.stall_timeout),
                   "save": saved + _or_never(1.0 if save else None)}
            first, now = min(due, key=lambda key: due[key]), self.clock.now()
            if now < due[first]:
                self.clock.wait(wake, due[first] - now)
            elif first == "save" and save:
                status, saved = job.status(), now
                if status.version != version:
                    save(status)
                version = status.version
            else:
                text = (f"it ran longer than {self.timeout} s" if first == "timeout"
                        else f"it reported nothing for {self.stall_timeout} s")
                job.stop(first, DeadlineExceeded(text))
                return


def _or_never(seconds: float | None) -> float:
    return threading.TIMEOUT_MAX if seconds is None else seconds
