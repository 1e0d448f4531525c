"""`LongOperation`: starts jobs of one function, some at once, the others in a queue.

Owns how many run and who is next; what becomes of one run is `job`'s. Knows nothing of HTTP.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import sys
import threading
from concurrent.futures import InvalidStateError, wait
from typing import Any, Callable, Mapping, Sequence

from . import wings
from .callback import AdaptedCallback, Callback
from .errors import Busy, HistoryError, KeyReused, LongOperationError
from .executors import Backend, Call, ThreadBackend
from .guard import NEVER, Clock, Guard
from .history import History, HistoryBase
from .job import Job, logger
from .jsontext import dumps
from .signature import CallbackName, module_name, parameters_of, unwrap_partial
from .status import State, Status

WHEN_BUSY = ("queue", "reject", "replace", "join")


class Owner:
    """What some operations are a part of, such as an adapter with a route for each.

    It decides with them what may start, and is closed after them. A base class: this one lets
    everything start.
    """

    def __init__(self) -> None:
        #: Guards its operations and all their jobs, as one; it may be taken twice.
        self.lock = threading.RLock()

    def adopt(self, operation: LongOperation) -> None:
        """Take in an operation that was just made; raise ``ValueError`` if it does not fit."""

    def admit(self, operation: LongOperation) -> None:
        """Raise `Busy` if no job of an operation may start now. Called with the lock held."""

    def close(self) -> None:
        """Clean up: none of its operations runs any more."""


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
    :param executor: where the code runs: ``"thread"``, ``"process"``, which can be killed, or any
        ``concurrent.futures.Executor``.
    :param report_to: the host and the port at which such an executor's workers reach this
        machine; a port of 0 is any free one.
    :param timeout: how many seconds a job may run; None or 0 for any number, as below.
    :param stall_timeout: how many seconds it may run without a report.
    :param grace: how many seconds a job that is told to stop has, before each further means is
        tried: the companion, then, for a process, SIGTERM and SIGKILL.
    :param limit: how many jobs may run at once.
    :param when_busy: what a start does when so many run: ``"queue"`` it, ``"reject"`` it,
        ``"replace"`` the oldest, which is cancelled first, or ``"join"`` it: return that job.
    :param max_queued: how many jobs may wait.
    :param history: what remembers the finished jobs: a `History`, or the name of an sqlite3 file;
        by default 100 of them, or 16 MiB, in memory.
    :param owner: what the operation is a part of, such as an adapter.
    :param clock: tells the time to the deadlines.

    Raises ``TypeError`` or ``ValueError`` for what does not fit, and `HistoryError`.
    """

    def __new__(cls, function: Callable[..., Any] | None = None, **options: Any) -> Any:
        """Return a decorator where only options are given."""
        if function is None:
            return functools.partial(cls, **options)
        return super().__new__(cls)

    def __init__(self, function: Callable[..., Any], *, name: str | None = None,
                 callback: CallbackName = None,
                 report: Callable[..., Mapping[str, Any] | None] | None = None,
                 cancel: Callable[[], object] | None = None, executor: Any = "thread",
                 report_to: tuple[str, int] = ("127.0.0.1", 0), timeout: float | None = None,
                 stall_timeout: float | None = None, grace: float = 2.0, limit: int = 1,
                 when_busy: str = "queue", max_queued: int = 100,
                 history: HistoryBase | str | os.PathLike[str] | None = None,
                 owner: Owner | None = None, clock: Clock | None = None) -> None:
        self._options = {key: value for key, value in locals().items()
                         if key not in ("self", "function", "__class__")}
        if not callable(function):
            raise TypeError(f"{function!r} is not a function")
        for key in "limit", "max_queued", "timeout", "stall_timeout", "grace":
            value, lowest = self._options[key], int(key == "limit")
            if not (value is None or value >= lowest):  # NaN is neither
                raise ValueError(f"{key} must be at least {lowest}, not {value}")
        if when_busy not in WHEN_BUSY:
            raise ValueError(f"when_busy must be one of {WHEN_BUSY}, not {when_busy!r}")
        functools.update_wrapper(self, function, updated=())  # what it holds is its own
        plain = unwrap_partial(function)
        self.function: Any = function
        self.owner = owner
        self.module = module_name(plain)
        self.name = name or str(getattr(plain, "__name__", type(plain).__name__))
        self.description = (inspect.getdoc(plain) or "").partition("\n\n")[0]
        self.signature = parameters_of(function, callback)
        self.limit, self.when_busy, self.max_queued = limit, when_busy, max_queued
        usual = _reporthook if self.signature.callback == "reporthook" else None
        self._report, self.companion = report or usual, cancel
        self._history = _make_history(history)
        self._guard = Guard(grace, timeout or NEVER, stall_timeout or NEVER,
                            self._history.interval, self._history.track, clock or Clock())
        self._backend = _make_backend(executor, report_to)
        # Of this operation and all its jobs, see `Job`; an owner has one for all its operations.
        self._lock = threading.RLock() if owner is None else owner.lock
        self._once = threading.Lock()  # one start_once at a time
        #: The jobs that have not ended, by their id: running and queued, oldest first.
        self.live: dict[str, Job] = {}
        self._queue: dict[Job, Call] = {}  # of them the ones that wait, next first
        self._closed = False
        if owner is not None:
            owner.adopt(self)
        self._requeue()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the plain function."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<LongOperation {self.module}/{self.name}>"

    def __reduce__(self) -> Any:
        # To another process it goes by its name if it decorates a function, else by that one's.
        name = getattr(self, "__qualname__", "")
        found = getattr(sys.modules.get(self.__module__), name, None)
        if getattr(found, "function", None) is self.function:
            return _find, (self.__module__, name)
        return functools.partial, (self.function,)

    def replace(self, **options: Any) -> LongOperation:
        """Return the same operation with some options changed, and without its jobs."""
        history = self._options["history"] and self._history
        options = {**self._options, "cancel": self.companion, "history": history,
                   "owner": self.owner, **options}
        return type(self)(self.function, **options)

    def start(self, /, **parameters: Any) -> Job:
        """Start a job with the function's parameters, the callback left out.

        Raises `BadParameters` for one that is missing or unknown, `TargetError` for a function
        that another process cannot import, and `Busy`.
        """
        return self.submit(parameters)

    def start_once(self, key: str, /, **parameters: Any) -> Job:
        """Start a job, or return the one that was started with this key before.

        Raises as `start` does, `KeyReused` if that one's parameters were others, and
        `ForgottenJob` if it is no longer kept.
        """
        import hashlib  # which loads OpenSSL

        key, rest = (hashlib.sha256(text.encode()).hexdigest()[:16] for text in (
            f"{self.module}/{self.name}/{key}", dumps(sorted(parameters.items()))))
        with self._once:
            # Without the other lock, for the history may be slow. A job is in one or both of them.
            known = next((id for id in [*self.live] if id.startswith(key)), None)
            known = known or self._history.find(key)
            if known is None:
                return self.submit(parameters, key + rest)
        if known != key + rest:
            raise KeyReused(f"job {known} was started with this key and other parameters")
        return self.live.get(known) or Job.of(self._history.get(known))

    def close(self) -> None:
        """End the operation, its jobs, its processes and its history: see `close_all`."""
        close_all([self])

    def kill(self) -> None:
        """End the processes of its jobs at once; what runs in a thread cannot be killed."""
        self._backend.close()

    def jobs(self) -> list[Status]:
        """Return the status of every job that is known, newest first."""
        with self._lock:
            live = {job.id: job.status() for job in reversed([*self.live.values()])}
        ended = {status.id: status for status in self._history
                 if (status.module, status.operation) == (self.module, self.name)}
        return [*{**live, **ended}.values()]

    def status(self, id: str) -> Status:
        """Return a job's status; raise `UnknownJob` or `ForgottenJob`."""
        job = self.live.get(id)  # without the lock: it is in one of them at any moment
        return job.status() if job else self._history.get(id)

    def parameters(self, id: str) -> Any:
        """Return a job's parameters, as JSON has them, or None if they are unknown or large.

        What was uploaded is left out.
        """
        known = self._history.parameters(id)
        return known and {name: value for name, value in known.items()
                          if not self.signature.takes_file(name)}

    def forget(self, id: str) -> None:
        """Drop a finished job; raise `Busy` for a live one, `UnknownJob` or `ForgottenJob`."""
        if id in self.live:
            raise Busy(f"job {id} has not ended: cancel it first", id)
        self._history.forget(id)

    def submit(self, parameters: Mapping[str, Any], id: str | None = None) -> Job:
        """Start a job as `start` does, with these parameters, and with this id if there is one."""
        self.signature.check(parameters)
        callback = Callback() if self._report is None else AdaptedCallback(self._report)
        call = Call(self, *self.signature.bind(parameters, callback), callback, self.companion,
                    self._guard.grace)
        with self._lock:
            self._admit()  # so that nothing is done for what is refused
        self._backend.check(call)
        job = Job(self.module, self.name, self._backend.callback_of(call),
                  lock=self._lock, ended=self._ended, record=self._remember,
                  clock=self._guard.clock.now, id=id)
        with self._lock:
            joined = self._admit()
            if joined:
                return joined
            self.live[job.id] = job
            self._queue[job] = call
            self._start_next()
            surplus = len(self.live) - self.limit if self.when_busy == "replace" else 0
            replaced = [*self.live.values()][:max(0, surplus)]
        self._history.track(job.status(), parameters)  # without the lock, for a disk may be slow
        for old in replaced:
            old.cancel()
        return job

    def _requeue(self) -> None:
        """Start the jobs again that waited when their server ended."""
        for status, values in self._history.requeued.pop((self.module, self.name), ()):
            try:
                self.submit(self.signature.parse({name: [values[name]] for name in values}),
                            status.id)
            except LongOperationError as error:
                logger.error("job %s does not wait again: %s", status.id, error)
                self._history.interrupt(status)

    def _run(self, job: Job, call: Call) -> None:
        """Make a job's call, in a thread of its own.

        Not in a pool: a job that is stuck must hold up neither another one nor the exit.
        """
        try:
            logger.info("%r", job)
            self._history.track(job.status())
            self._guard(job, self._backend.rungs(job, call))
            value = self._backend.perform(job, call)
        except BaseException as error:  # SystemExit too: whatever it is, the code has ended
            job.finish(error=error)
        else:
            job.finish(value)

    def _remember(self, status: Status) -> None:
        # What waits when the operation is closed, the next one may want to start.
        if status.started_at or status.state is not State.INTERRUPTED:
            self._history.add(status)

    # With the lock held

    def _is_full(self) -> bool:
        return len(self.live) - len(self._queue) >= self.limit

    def _admit(self) -> Job | None:
        """Raise `Busy` if one job more is too many; return the job that it is to join, if so."""
        if self._closed:
            raise Busy(f"{self!r} is closed", "", retry_after=5)
        if self.owner is not None:
            self.owner.admit(self)
        if not self._is_full() or self.when_busy == "replace":
            return None
        oldest = next(iter(self.live.values()))
        if self.when_busy == "join":
            return oldest
        if self.when_busy == "reject":
            raise Busy("A long running command is already in progress", oldest.id)
        if len(self._queue) >= self.max_queued:
            raise Busy(f"{len(self._queue)} jobs are waiting already", oldest.id, retry_after=5)
        return None

    def _start_next(self) -> None:
        while self._queue and not (self._is_full() or self._closed or self._backend.closed):
            job = next(iter(self._queue))
            call = self._queue.pop(job)
            try:
                job.begin()
                threading.Thread(target=self._run, args=(job, call), name=f"longop-{job.id}",
                                 daemon=True).start()
            except InvalidStateError:
                pass  # it was cancelled just now
            except RuntimeError as error:  # no further thread can be had
                job.finish(error=error)
        for position, job in enumerate(self._queue, 1):
            job.queue_at(position)

    def _ended(self, job: Job) -> None:
        self._queue.pop(job, None)  # if it was cancelled before its turn
        del self.live[job.id]
        self._start_next()


def close_all(operations: Sequence[LongOperation]) -> None:
    """End operations: nothing is started any more, and what runs is told to stop.

    What still runs after the grace is killed if it is in a process; a thread cannot be. What waits
    is `interrupted`.
    """
    running: list[Any] = []
    for operation in operations:
        with operation._lock:
            operation._closed = True
            running += [job for job in operation.live.values() if job not in operation._queue]
    for job in running:
        job.stop("interrupted")
    wait(running, min(NEVER, max(operation._guard.grace for operation in operations)))
    for operation in operations:
        operation.kill()
    for job in wait(running, 0.5).not_done:
        logger.warning("%r did not stop", job)
    for operation in operations:
        operation._history.close()
        for job in [*operation._queue]:
            job.stop("interrupted")


def _make_backend(executor: Any, report_to: tuple[str, int]) -> Backend:
    if executor == "thread":
        return ThreadBackend()
    if executor == "process":
        processes: Any = wings.require("workers.processes", 'executor="process"')
        return processes.ProcessBackend()  # type: ignore[no-any-return]
    if hasattr(executor, "submit") and not isinstance(executor, type):
        remote: Any = wings.require("workers.remote", f"executor={executor!r}")
        return remote.ExecutorBackend(executor, report_to)  # type: ignore[no-any-return]
    raise ValueError("executor must be one of 'thread', 'process' or a "
                     f"concurrent.futures.Executor, not {executor!r}")


def _make_history(history: Any) -> HistoryBase:
    if history is None or isinstance(history, HistoryBase):
        return history or History()
    archive: Any = wings.require("archive", f"history={history!r}")
    try:
        return archive.FileHistory(history)  # type: ignore[no-any-return]
    except HistoryError:
        process = sys.modules.get("multiprocessing.process")
        if process is None or process.current_process().name == "MainProcess":
            raise
        return History()  # of a worker that imports the module where all this stands


def _find(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


def _reporthook(block: int, size: int, total: int) -> Mapping[str, Any]:
    """Read what ``urllib.request.urlretrieve`` reports: blocks, bytes in each, bytes in all."""
    done = block * size
    return {"step": min(done, total), "total": total} if total > 0 else {"step": done}
