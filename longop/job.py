"""The life of one run, from queued to its end: every state change, under one lock.

    operation ── begin ──▶ ┌─────┐ ──▶ status(), updates(): frozen snapshots
    executor ─── finish ─▶ │ Job │ ──▶ result(), add_done_callback(): it is a Future
    anybody ──── cancel ─▶ └─────┘ ──▶ callback.cancel(): sets an Event, nothing more

Knows nothing of the function, of where its code runs, or of HTTP.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from concurrent.futures import Future, InvalidStateError
from typing import TYPE_CHECKING, Any, Callable, ContextManager, TypeVar

from .callback import Callback
from .errors import DeadlineExceeded, LongOperationError, OperationCancelled
from .status import (TRANSITIONS, State, Status, describe, estimate, judge,
                     timestamp)
from .updates import Updates

logger = logging.getLogger("longop")

if TYPE_CHECKING:
    # Every type checker brings this module along. With the default, ``Job`` is ``Job[Any]``.
    import typing_extensions

    T = typing_extensions.TypeVar("T", default=Any)
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
                 clock: Callable[[], float] = time.monotonic, id: str | None = None) -> None:
        super().__init__()
        self.id = id or os.urandom(16).hex()
        self.callback = callback
        self._lock = lock
        self._ended = ended  # called once, at the end, with the lock held
        self._record = record  # called with the last status before anybody can see it
        self._clock = clock
        # The lock guards everything below.
        self._began: float | None = None  # on the clock
        self._reason: str | None = None  # why it was told to stop; the first reason stays
        self._overdue: DeadlineExceeded | None = None  # the deadline, if that was the reason
        self._means: str | None = None  # what was tried to stop it beyond the callback
        self._status = Status(self.id, module, operation, created_at=timestamp())
        # Set as soon as the code has ended; shown once the Future is done, see `_publish`.
        self._final: Status | None = None
        self._watchers: tuple[Callable[[], None], ...] = ()  # replaced, never changed in place

    def __repr__(self) -> str:
        status = self._status
        return f"<Job {self.id} {status.module}/{status.operation} {status.state.value}>"

    @classmethod
    def of(cls, status: Status) -> Job[Any]:
        """Return an ended job, made from its last status."""
        job: Job[Any] = cls(status.module, status.operation, Callback(),
                            lock=threading.RLock(), ended=lambda job: None, id=status.id)
        job._final = status
        job._publish(status, LongOperationError(status.error))
        return job

    # For users, in any thread

    @property
    def state(self) -> State:
        """The state now."""
        return self.status().state

    def status(self) -> Status:
        """Return a frozen snapshot of what is known now."""
        with self._lock:
            return self._snapshot()

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
        # After the state, so that a function that sees the cancel is seen as `cancelling`.
        self.callback.cancel()
        if final is not None:
            self._publish(final, None)
        self._log(None)
        self._notify()
        return True

    def stop_by(self, means: str, act: Callable[[], object]) -> None:
        """Try a further means of stopping the job. Called by the guard, in its thread.

        :param means: the name of the means; part of ``error`` if the job then ends stopped.
        :param act: what to do.
        """
        with self._lock:
            tried_before = self._means
            self._means = means  # before the act, which may end the job at once
        try:
            act()  # without the lock: it may take long
        except BaseException:  # SystemExit too: the means that follow must still be tried
            with self._lock:
                self._means = tried_before
            logger.exception("%s, called to stop %r, raised", means, self)

    def finish(self, value: Any = None, error: BaseException | None = None) -> None:
        """Record that the code has ended, with a value or an error. Called in its thread."""
        with self._lock:
            final, error = self._conclude(value, error)
        self._publish(final, error)
        self._log(error)
        self._notify()

    # With the lock held

    def _snapshot(self) -> Status:
        """Return the status, with the newest report merged in while the job is alive."""
        status = self._status
        if self._final is not None:
            return self._final if self.done() else status
        count, result, step, total, message = self.callback.latest
        elapsed = None if self._began is None else round(self._clock() - self._began, 3)
        progress, eta = estimate(step, total, elapsed)
        return status.replace(result=result, step=step, total=total, progress=progress,
                              message=message, elapsed=elapsed, eta=eta,
                              version=status.version + count)

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
        ending = judge(error, told=self.callback.told, means=self._means, reason=self._reason,
                       overdue=self._overdue)
        self._check_move(ending.state)
        if self._overdue is not None:
            self._overdue.__cause__ = ending.cause
        last = self._snapshot()
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

    def _log(self, error: BaseException | None) -> None:
        level = logging.INFO if error is None else logging.ERROR
        logger.log(level, "%r", self, exc_info=error)

    def _notify(self) -> None:
        """Call the watchers. Runs in the thread that made the change, often the function's."""
        for watcher in self._watchers:  # read once: the tuple is replaced, never changed in place
            try:
                watcher()
            except Exception:  # its mistake must break neither the job nor the function
                logger.exception("a watcher of %r raised", self)
