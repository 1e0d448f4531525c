"""The life of one run, from queued to its end: every state change, under one lock.

    operation ── begin ──▶ ┌─────┐ ──▶ status(), updates(): frozen snapshots
    executor ─── finish ─▶ │ Job │ ──▶ result(), add_done_callback(): it is a Future
    anybody ──── cancel ─▶ └─────┘ ──▶ callback.cancel(): sets an Event, nothing more

Knows nothing of the function, of where its code runs, or of HTTP.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
import traceback
from concurrent.futures import Future, InvalidStateError, wait
from types import TracebackType
from typing import (TYPE_CHECKING, Any, Callable, ContextManager, Optional, Tuple, Type,
                    TypeVar)

from .callback import Callback, Report
from .errors import DeadlineExceeded, LongOperationError, OperationCancelled
from .status import (TRANSITIONS, State, Status, Times, describe, estimate, judge, timestamp,
                     to_milliseconds)
from .updates import Updates
from .values.log import logger as logger  # for those that log about jobs
from .values.tail import Tail
from .values.waits import in_slices

_HERE = os.path.dirname(__file__) + os.sep

if TYPE_CHECKING:
    # Every type checker brings this module along. With the default, ``Job`` is ``Job[Any]``.
    import typing_extensions

    T = typing_extensions.TypeVar("T", default=Any)
    _ExcInfo = Tuple[Type[BaseException], BaseException, Optional[TracebackType]]
else:
    T = TypeVar("T")
if TYPE_CHECKING or sys.version_info >= (3, 9):
    _Future = Future
else:
    class _Future(Future):
        """A Future that can be subscripted, as it can be since Python 3.9."""

        def __class_getitem__(cls, item: Any) -> type:
            return cls


class Job(_Future[T]):
    """One run of an operation: a ``concurrent.futures.Future`` that can also be watched.

    Unlike a plain Future it can be cancelled while it runs. ``id`` is unguessable.
    `LongOperation.start` makes jobs.
    """

    # One lock guards an operation and all its jobs, so that a job's end, its place in the
    # operation and the state of its Future change together. It is reentrant: `ended` runs with
    # it held and begins the next job, which takes it again. Reports never take it.
    #
    # These are called without the lock, because they may be slow or call back into the job:
    # `record` (a disk), the done callbacks and the callback's cancel hooks. The watchers may be
    # called with it or without it, so they must not wait for anything.

    def __init__(self, module: str, operation: str, callback: Callback, *,
                 lock: ContextManager[Any], ended: Callable[[Job[Any]], None],
                 record: Callable[[Status], object] = lambda status: None,
                 clock: Callable[[], float] = time.monotonic, id: str | None = None,
                 earlier: Status | None = None, show_tracebacks: bool = False) -> None:
        super().__init__()
        if earlier is None:
            id = id or os.urandom(16).hex()
            earlier = Status(id, module, operation, created_at=timestamp())
        self.id = earlier.id
        self.callback = callback
        #: The end of what the function printed, where that is captured.
        self.printed = Tail()
        self._lock = lock
        self._ended = ended  # called once, at the end, with the lock held
        self._record = record  # called with the last status before anybody can see it
        self._clock = clock
        self._show_tracebacks = show_tracebacks
        # The lock guards everything below.
        self._began: float | None = None  # on the clock
        self._reason: str | None = None  # why it was told to stop; the first reason stays
        self._overdue: DeadlineExceeded | None = None  # the deadline, if that was the reason
        self._means: str | None = None  # what was tried to stop it beyond the callback
        self._is_lost = False  # nobody knows whether its code has ended
        # Of a job that waited when the last server ended, what it was then: it goes on from it.
        self._status = earlier.replace(queue_position=None)
        # Set as soon as the code has ended; shown once the Future is done, see `_publish`.
        self._final: Status | None = None
        self._watchers: tuple[Callable[[], None], ...] = ()  # replaced, never changed in place
        # The newest report that a snapshot has shown, and which one it is: see `_number`.
        self._shown = callback.latest
        self._number_shown = callback.latest[0]

    def __repr__(self) -> str:
        return _named(self._status)

    @classmethod
    def of(cls, status: Status) -> Job[Any]:
        """Return an ended job, made from its last status."""
        job: Job[Any] = cls(status.module, status.operation, Callback(),
                            lock=threading.RLock(), ended=lambda job: None, id=status.id)
        job._final = status
        job._publish(status, LongOperationError(status.error))
        return job

    # For users, in any thread

    def result(self, timeout: float | None = None) -> T:
        """Return the value, or raise the error, once it has ended.

        Raises ``TimeoutError`` if that takes more than ``timeout`` seconds, and
        ``CancelledError`` if it was cancelled.
        """
        in_slices(self._wait, timeout)
        try:
            return super().result(0)
        finally:
            del self  # the traceback of what it raises must not lead back to it

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the error once it has ended, or None if it has none; raises as `result` does."""
        in_slices(self._wait, timeout)
        return super().exception(0)

    def _wait(self, seconds: float | None) -> bool:
        return bool(wait([self], seconds).done)

    @property
    def state(self) -> State:
        """The state now."""
        return self.status().state

    def status(self) -> Status:
        """Return a frozen snapshot of what is known now."""
        return self.growing_status().settled()

    def growing_status(self) -> Status:
        """Return the status; a result that grows is a `Growth`, which goes on growing.

        For doors that send only what is new of it.
        """
        with self._lock:
            return self._snapshot()

    def times(self) -> Times | None:
        """Return what the status has of these, or None if the job has ended.

        For doors that are asked again and again: while the version stays what it was, so does
        all the rest of the status.
        """
        with self._lock:
            if self._final is not None:
                return None
            latest = self.callback.latest
            elapsed = self._elapsed()
            _, _, step, total, _ = latest
            _, eta = estimate(step, total, elapsed)
            return Times(self._status.version + self._number(latest), elapsed, eta)

    def series(self) -> dict[str, Any]:
        """Return the numbers that were reported, as a chart needs them.

        ``{"reports": 12345, "step": [...], "series": {"loss": [...]}}``: at most 500 points,
        among them the first and the newest. All lists have one length; what a report lacked is
        None. The name is ``result`` for a plain number.
        """
        return self.callback.series()

    def log(self) -> str:
        """Return the last lines that the function printed, 64 kB at most.

        They are known where a command such as ``longop.serve`` runs the function. Elsewhere
        nothing captures standard output. With ``show_tracebacks=True`` the traceback of a
        failure follows them.
        """
        return self.printed.text()

    def updates(self) -> Updates:
        """Return an iterator over the status now, at each change, and at the end.

        Use it with ``for``, or in a coroutine with ``async for``. A loop that is slower than
        the function gets the newest status and none of those between.
        """
        return Updates(self)

    def cancel(self) -> bool:
        """Ask the job to stop; return True if it was still alive. Idempotent.

        A queued job is cancelled at once. A running one is `cancelling` until its code has
        ended, which is at its next report; only then is it `cancelled`.
        """
        return self.stop("cancelled")

    def running(self) -> bool:
        """Return True while the code runs, told to stop or not."""
        return self.state in (State.RUNNING, State.CANCELLING)

    @property
    def is_stopping(self) -> bool:
        """True once the job was told to stop, also while its end is only being recorded."""
        with self._lock:
            return self._reason is not None

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call a watcher after each change from now on, in the thread that makes the change.

        It must be quick and must not raise: the function waits for it. It may be called once
        more after `unwatch`.
        """
        with self._lock:
            self._watchers += (watcher,)
            self.callback.notify = self._notify  # from now on, reports notify too

    def unwatch(self, watcher: Callable[[], None]) -> None:
        """Stop calling a watcher."""
        with self._lock:
            self._watchers = tuple(other for other in self._watchers if other != watcher)
            if not self._watchers:
                self.callback.notify = None  # a report that nobody watches costs no call

    # For the operation, its guard, and what runs the code

    def begin(self) -> None:
        """Mark the job as running. Called by the operation, with the lock held."""
        with self._lock:
            self._move(State.RUNNING, started_at=timestamp(), queue_position=None)
            self._began = self._clock()
        self._notify()

    def queue_at(self, position: int) -> None:
        """Record the place in the queue, 1 being next. Called with the lock held."""
        with self._lock:
            # A cancel has concluded the job but not published its end: it is still queued.
            is_leaving = self._final is not None and self._status.state is State.QUEUED
            if is_leaving or position == self._status.queue_position:
                return
            self._move(State.QUEUED, queue_position=position)
        self._notify()

    def stop(self, reason: str, overdue: DeadlineExceeded | None = None) -> bool:
        """Tell the job to stop, as `cancel` does; return True if it was still alive.

        :param reason: becomes the ``stop_reason``, unless there was an earlier one.
        :param overdue: the deadline that has passed, if that is the reason.
        """
        with self._lock:
            if self._final is not None:
                return False
            if self._status.state is State.CANCELLING:
                return True
            self._reason = reason
            self._overdue = overdue
            now = timestamp()
            final: Status | None = None
            if self._status.state is State.QUEUED:  # no code runs: this is the end
                final, _ = self._conclude(None, OperationCancelled(), cancel_requested_at=now)
            else:
                self._move(State.CANCELLING, cancel_requested_at=now)
            told = self._status
        # After the state, so that a function that sees the cancel is seen as `cancelling`.
        self.callback.cancel()
        if final is None:
            self._log(told, None)
        else:
            self._end(final, None)
        self._notify()
        return True

    def stop_by(self, means: str, act: Callable[[], bool | None]) -> None:
        """Try a further means of stopping the job. Called by a rung, in the guard's thread.

        :param means: the name of the means; part of ``error`` if the job then ends stopped.
        :param act: what to do. If it raises, or returns False, it was not done.
        """
        with self._lock:
            done_before = self._means
            self._means = means  # before the act, which may end the job at once
        is_done = False
        try:
            is_done = act() is not False  # without the lock: it may take long
        except BaseException:  # SystemExit too: the means that follow must still be tried
            logger.exception("%s, called to stop %r, raised", means, self)
        if not is_done:
            with self._lock:
                self._means = done_before

    def lose(self) -> None:
        """Record that nobody knows whether the code has ended: then no means has stopped it.

        Called before `finish`, in the same thread.
        """
        with self._lock:
            self._is_lost = True

    def finish(self, value: Any = None, error: BaseException | None = None) -> None:
        """Record that the code has ended, with a value or an error. Called in its thread."""
        with self._lock:
            final, error = self._conclude(value, error)
        self._end(final, error)
        self._notify()

    def take_print(self, data: bytes) -> None:
        """Take what the function has printed. Called in the thread that prints."""
        self.printed.write(data)
        notify = self.callback.notify
        if notify is not None:
            notify()

    # With the lock held

    def _snapshot(self) -> Status:
        """Return the status, with the newest report merged in while the job is alive."""
        status = self._status
        if self._final is not None:
            return self._final if self.done() else status
        latest = self.callback.latest
        _, result, step, total, message = latest
        elapsed = self._elapsed()
        progress, eta = estimate(step, total, elapsed)
        return status.replace(result=result, step=step, total=total, progress=progress,
                              message=message, elapsed=elapsed, eta=eta,
                              version=status.version + self._number(latest))

    def _number(self, latest: Report) -> int:
        """Return the number of a report: greater than that of any other one shown before.

        Its own count is that, but for a function that reports from several threads. As reports
        take no lock, one may come after newer ones and bring an older count back.
        """
        if latest is not self._shown:
            self._shown = latest
            self._number_shown = max(self._number_shown + 1, latest[0])
        return self._number_shown

    def _elapsed(self) -> float | None:
        return None if self._began is None else to_milliseconds(self._clock() - self._began)

    def _move(self, state: State, **facts: Any) -> None:
        """Change the state; raise and change nothing if it may not follow."""
        self._check_move(state)
        version = self._status.version + 1
        self._status = self._status.replace(state=state, version=version, **facts)

    def _check_move(self, state: State) -> None:
        if self._final is not None or state not in TRANSITIONS[self._status.state]:
            raise InvalidStateError(f"{self!r} cannot become {state.value}")

    def _conclude(self, value: Any, error: BaseException | None,
                  **facts: Any) -> tuple[Status, BaseException | None]:
        """Settle how the job has ended; return its last status and its error.

        Nothing is shown yet: until `_publish` the status stays what it was at the last report.
        """
        ending = judge(error, told=self.callback.told, reason=self._reason,
                       means=None if self._is_lost else self._means, overdue=self._overdue)
        self._check_move(ending.state)
        if self._overdue is not None:
            self._overdue.__cause__ = ending.cause
        last = self._snapshot().settled()
        self._status = last
        self._final = last.replace(
            state=ending.state,
            stop_reason=ending.reason,
            # A function without a value has its last report as the result.
            result=last.result if value is None else value,
            progress=1.0 if ending.state is State.COMPLETED else last.progress,
            eta=None,
            queue_position=None,
            error=describe(ending.error, ending.means),
            finished_at=timestamp(),
            version=last.version + 1,
            **facts)
        return self._final, ending.error

    # Without the lock

    def _end(self, final: Status, error: BaseException | None) -> None:
        """Log the end, then show it.

        In this order: the thread of a job is a daemon, so a program that ends as soon as it
        sees the end would cut off what comes later.
        """
        self._log(final, error)
        last = b""
        if error is not None and self._show_tracebacks:
            last = _traceback_of(error)
        self.printed.close(last)
        self._publish(final, error)

    def _publish(self, final: Status, error: BaseException | None) -> None:
        """Show the end, in this order.

        1. It is recorded: what anybody sees as ended is in the history, on the disk perhaps.
        2. The operation takes it from its live jobs, and begins the next one.
        3. The Future is done: waiting threads wake, `status` shows the end, and the done
           callbacks run.
        """
        try:
            self._record(final)
        except Exception:
            logger.exception("the end of %r was not recorded", self)
        with self._lock:
            self._ended(self)
        # The Future was pending until now, whatever the job's state: it never needs `running`.
        if final.state is State.COMPLETED:
            self.set_result(final.result)
        elif final.state is State.FAILED:
            self.set_exception(error)
        else:
            super().cancel()
            self.set_running_or_notify_cancel()
        self._status = final
        self.callback.end()

    def _log(self, status: Status, error: BaseException | None) -> None:
        level = logging.INFO if error is None else logging.ERROR
        # A handler's mistake must not keep the end from being seen.
        with contextlib.suppress(Exception):
            logger.log(level, "%s", _named(status), exc_info=error and _exc_info(error))

    def _notify(self) -> None:
        """Call the watchers. Runs in the thread that made the change, often the function's."""
        for watcher in self._watchers:  # read once: the tuple is replaced, never changed in place
            try:
                watcher()
            except Exception:  # its mistake must break neither the job nor the function
                logger.exception("a watcher of %r raised", self)


def _named(status: Status) -> str:
    return f"<Job {status.id} {status.module}/{status.operation} {status.state.value}>"


def _traceback_of(error: BaseException) -> bytes:
    """Return the traceback of an error and of those behind it."""
    lines = [describe(error, None) or ""]
    with contextlib.suppress(Exception):  # thousands of causes, for example
        lines = traceback.format_exception(*_exc_info(error))
    return "".join(lines).encode("utf-8", "backslashreplace")


def _exc_info(error: BaseException) -> _ExcInfo:
    """Return an error as `traceback` takes it, without the calls that led to the function.

    They tell nobody anything. What is all longop's own stays as it is.
    """
    rest = error.__traceback__
    while rest is not None and rest.tb_frame.f_code.co_filename.startswith(_HERE):
        rest = rest.tb_next
    return type(error), error, error.__traceback__ if rest is None else rest
