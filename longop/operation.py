"""`LongOperation`: starts jobs of one function, some at once, the others in a queue.

Owns how many run and who is next; what becomes of one run is `job`'s. Knows nothing of HTTP.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
import threading
from typing import Any, Callable, Mapping

from .callback import AdaptedCallback, Callback
from .errors import Busy
from .executors import Call, run_in_thread
from .history import History
from .job import Job
from .signature import Signature, unwrap_partial
from .status import Status

WHEN_BUSY = ("queue", "reject")


class LongOperation:
    """A function that takes long, to be started, watched and cancelled.

    Wraps a function, ``LongOperation(function, ...)``, or decorates one, ``@LongOperation`` or
    ``@LongOperation(limit=2)``. Called, it is the plain function still.

    :param function: anything that can be called: a function that takes a callback, a generator
        function (what it yields is reported), a coroutine function, or one that never reports.
    :param name: what it is called at every door; the function's name by default.
    :param callback: the name of the parameter that takes the callback, or False if there is none.
        By default it is found: ``callback``, ``progress``, ``reporthook``, ``on_progress``,
        ``progress_callback`` or ``hook``, else the first parameter without a default.
    :param report: turns whatever the function passes to its callback, or yields, into a mapping
        with some of ``result, step, total, message``. A ``reporthook`` needs none.
    :param cancel: the function's own companion, called without arguments when a cancel has not
        taken hold after ``grace`` seconds.
    :param limit: how many jobs may run at once.
    :param when_busy: what a start does when so many run: ``"queue"`` it, or ``"reject"`` it.
    :param max_queued: how many jobs may wait.
    :param history: what remembers the finished jobs; by default 100 of them, or 16 MiB.

    Raises ``TypeError`` or ``ValueError`` for what does not fit the function.
    """

    def __new__(cls, function: Callable[..., Any] | None = None, **options: Any) -> Any:
        """Return a decorator where only options are given."""
        if function is None:
            return functools.partial(cls, **options)
        return super().__new__(cls)

    def __init__(self, function: Callable[..., Any], *, name: str | None = None,
                 callback: str | bool | None = None,
                 report: Callable[..., Mapping[str, Any] | None] | None = None,
                 cancel: Callable[[], object] | None = None, grace: float = 2.0,
                 limit: int = 1, when_busy: str = "queue", max_queued: int = 100,
                 history: History | None = None) -> None:
        if not callable(function):
            raise TypeError(f"{function!r} is not a function")
        if limit < 1:
            raise ValueError(f"limit must be at least 1, not {limit}")
        if when_busy not in WHEN_BUSY:
            raise ValueError(f"when_busy must be one of {WHEN_BUSY}, not {when_busy!r}")
        functools.update_wrapper(self, function, updated=())  # what it holds is its own
        plain = unwrap_partial(function)
        self.function = function
        self.module = _module_name(plain)
        self.name = name or str(getattr(plain, "__name__", type(plain).__name__))
        self.description = (inspect.getdoc(plain) or "").partition("\n\n")[0]
        self.signature = Signature(function, callback)
        self.limit, self.when_busy, self.max_queued = limit, when_busy, max_queued
        if report is None and self.signature.callback == "reporthook":
            report = _reporthook
        self._report = report
        self.companion, self._grace = cancel, grace
        self._lock = threading.RLock()  # of this operation and all its jobs: see Job
        #: The jobs that have not ended, by their id: running and queued, oldest first.
        self.live: dict[str, Job] = {}
        self._queue: dict[Job, Call] = {}  # of them the ones that wait, next first
        self._history = History() if history is None else history

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the plain function."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<LongOperation {self.module}/{self.name}>"

    def start(self, /, **parameters: Any) -> Job:
        """Start a job with the function's parameters, the callback left out.

        Raises `BadParameters` for one that is missing or unknown, and `Busy`.
        """
        self.signature.check(parameters)
        callback = Callback() if self._report is None else AdaptedCallback(self._report)
        job = Job(self.module, self.name, callback, lock=self._lock, ended=self._ended)
        call = Call(self.function, self.signature, parameters, self.companion, self._grace)
        with self._lock:
            self._admit()
            self.live[job.id] = job
            self._queue[job] = call
            self._start_next()
        return job

    def jobs(self) -> list[Status]:
        """Return the status of every job that is known, newest first."""
        with self._lock:
            live = [job.status() for job in self.live.values()]
            return live[::-1] + list(self._history)

    def status(self, id: str) -> Status:
        """Return a job's status; raise `UnknownJob` or `ForgottenJob`."""
        with self._lock:
            job = self.live.get(id)
            return job.status() if job else self._history.get(id)

    def forget(self, id: str) -> None:
        """Drop a finished job; raise `Busy` for a live one, `UnknownJob` or `ForgottenJob`."""
        with self._lock:
            if id in self.live:
                raise Busy(f"job {id} has not ended: cancel it first", id)
            self._history.forget(id)

    # With the lock held

    def _is_full(self) -> bool:
        return len(self.live) - len(self._queue) >= self.limit

    def _admit(self) -> None:
        """Raise `Busy` if one job more is too many."""
        if not self._is_full():
            return
        oldest = next(iter(self.live))
        if self.when_busy == "reject":
            raise Busy("A long running command is already in progress", oldest)
        if len(self._queue) >= self.max_queued:
            raise Busy(f"{len(self._queue)} jobs are waiting already", oldest, retry_after=5)

    def _start_next(self) -> None:
        while self._queue and not self._is_full():
            job = next(iter(self._queue))
            call = self._queue.pop(job)
            job.begin()
            try:
                run_in_thread(job, call)
            except RuntimeError as error:  # no further thread can be had
                job.finish(error=error)
        for position, job in enumerate(self._queue, 1):
            job.queue_at(position)

    def _ended(self, job: Job) -> None:
        self._queue.pop(job, None)  # if it was cancelled before its turn
        del self.live[job.id]
        self._history.add(job.status())
        self._start_next()


def _module_name(function: Callable[..., Any]) -> str:
    module: str = getattr(function, "__module__", None) or type(function).__module__
    if module == "__main__":  # of a script, whose own name says more
        file = getattr(sys.modules[module], "__file__", None) or "main"
        module = os.path.splitext(os.path.basename(file))[0]
    return module.rpartition(".")[2]


def _reporthook(block: int, size: int, total: int) -> Mapping[str, Any]:
    """Read what ``urllib.request.urlretrieve`` reports: blocks, bytes in each, bytes in all."""
    done = block * size
    return {"step": min(done, total), "total": total} if total > 0 else {"step": done}
