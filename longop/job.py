"""The life of one run, from queued to its end: every state change, under one lock.

    operation ── begin ──▶ ┌─────┐ ──▶ status(), updates(): frozen snapshots
    executor ─── finish ─▶ │ Job │ ──▶ result(), add_done_callback(): it is a Future
    anybody ──── cancel ─▶ └─────┘ ──▶ callback.cancel(): an Event is set, and that is all

Knows nothing of the function, of where its code runs, or of HTTP.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from concurrent.futures import Future, InvalidStateError
from typing import Any, Callable, ContextManager, Iterator

from .callback import Callback
from .errors import DeadlineExceeded, LongOperationError, OperationCancelled, WorkerLost
from .jsontext import to_text
from .status import TRANSITIONS, State, Status, timestamp

logger = logging.getLogger("longop")


class Job(Future):  # type: ignore[type-arg]  # which Python 3.8 has not
    """One run of an operation: a ``concurrent.futures.Future`` to watch, and to cancel as it runs.

    ``id`` cannot be guessed. Jobs are made by `LongOperation.start`.
    """

    def __init__(self, module: str, operation: str, callback: Callback, *,
                 lock: ContextManager[Any], ended: Callable[[Job], None],
                 record: Callable[[Status], object] = lambda status: None,
                 clock: Callable[[], float] = time.monotonic, id: str | None = None) -> None:
        super().__init__()
        self.id = id or os.urandom(16).hex()
        self.callback = callback
        # One lock, which may be taken twice, for an operation and all its jobs, so that a job's
        # end, its place in the operation and its Future change at one stroke. It guards all that
        # is below. Reports do not take it.
        self._lock = lock
        self._ended = ended  # called once, with the lock held
        self._record = record  # called with the last status, before anybody can see it
        self._clock = clock
        self._began: float | None = None
        self._reason: str | None = None  # why it was told to stop, if it was
        self._overdue: DeadlineExceeded | None = None
        self._means: str | None = None  # of stopping it, beyond the callback
        self._final: Status | None = None  # there as soon as the code has ended
        self._status = Status(self.id, module, operation, created_at=timestamp())
        self._watchers: tuple[Callable[[], None], ...] = ()

    def __repr__(self) -> str:
        status = self._status
        return f"<Job {self.id} {status.module}/{status.operation} {status.state.value}>"

    @classmethod
    def of(cls, status: Status) -> Job:
        """Return a job that has ended, made of the status that is left of it."""
        job = cls(status.module, status.operation, Callback(), lock=threading.RLock(),
                  ended=lambda job: None, id=status.id)
        job._final = status
        job._publish(LongOperationError(status.error))
        return job

    # For everybody

    @property
    def state(self) -> State:
        """The state now."""
        return self.status().state

    def status(self) -> Status:
        """Return a frozen snapshot of what is known now."""
        with self._lock:
            return self._snapshot()

    def updates(self) -> Iterator[Status]:
        """Yield the status now, then at each change, then at the end, which is the last.

        Whoever is slower than the function gets the newest status and none in between.
        """
        changed = threading.Event()
        self.watch(changed.set)
        try:
            seen = -1
            while True:
                changed.clear()  # before the look, so that what changes after it is not missed
                status = self.status()
                if status.version != seen:
                    yield status
                if status.state.is_terminal:
                    return
                seen = status.version
                changed.wait()
        finally:
            self.unwatch(changed.set)

    def cancel(self) -> bool:
        """Ask the job to stop; return True if it was still alive. Asking twice does no harm.

        A queued job is cancelled at once. A running one is `cancelling` until its code has ended,
        which is at its next report; only then is it `cancelled`.
        """
        return self.stop("cancelled")

    def running(self) -> bool:
        """Return True while the code runs, told to stop or not."""
        return self.state in (State.RUNNING, State.CANCELLING)

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call a watcher at each change from now on, in whichever thread brings the change.

        It must be quick and must not raise: the function waits for it.
        """
        with self._lock:
            self._watchers += (watcher,)
            self.callback.notify = self._notify

    def unwatch(self, watcher: Callable[[], None]) -> None:
        """Take back a `watch`."""
        with self._lock:
            self._watchers = tuple(other for other in self._watchers if other != watcher)
            self.callback.notify = self._notify if self._watchers else None

    # For the operation, and for what runs the code

    def begin(self) -> None:
        """Say that the code is about to run."""
        with self._lock:
            self._move(State.RUNNING, started_at=timestamp(), queue_position=None)
            self._began = self._clock()
        self._notify()

    def stop(self, reason: str, overdue: DeadlineExceeded | None = None) -> bool:
        """Tell the job to stop, as `cancel` does; the first reason for it is its stop_reason."""
        with self._lock:
            state = self._status.state
            if self._final or state is State.CANCELLING:
                return not self._final
            self._reason, self._overdue = reason, overdue
            now = timestamp()
            if state is State.QUEUED:
                self._conclude(None, OperationCancelled(), cancel_requested_at=now)
            else:
                self._move(State.CANCELLING, cancel_requested_at=now)
        self.callback.cancel()
        if state is State.QUEUED:
            self._publish(None)
        self._tell()
        return True

    def stop_by(self, means: str, act: Callable[[], object]) -> None:
        """Stop the job by further means, of this name, now that its callback has not."""
        self._means = means
        try:
            act()
        except Exception:
            self._means = None
            logger.exception("%s, which was to stop %r, raised", means, self)

    def finish(self, value: Any = None, error: BaseException | None = None) -> None:
        """Say that the code has ended: with a value, or with an error.

        What ends after it was told to stop was cancelled, however it ended; its error is kept. What
        ends after its deadline has failed.
        """
        with self._lock:
            error = self._conclude(value, error)
        self._publish(error)
        self._tell(error)

    def queue_at(self, position: int) -> None:
        """Say where in the queue the job is, 1 being next."""
        with self._lock:
            status = self._status
            if position == status.queue_position or (self._final and status.state is State.QUEUED):
                return  # or it has been cancelled just now
            self._move(State.QUEUED, queue_position=position)
        self._notify()

    # With the lock held

    def _snapshot(self) -> Status:
        status = self._status
        if self._final:
            return self._final if self.done() else status
        count, result, step, total, message = self.callback.latest
        elapsed = None if self._began is None else round(self._clock() - self._began, 3)
        progress = _fraction(step, total)
        eta = None
        if elapsed and progress and progress > 1e-6:  # before that it says nothing
            eta = round(elapsed / progress - elapsed, 3)
        return status.replace(result=result, step=step, total=total, progress=progress,
                          message=message, elapsed=elapsed, eta=eta, version=status.version + count)

    def _next(self, state: State, base: Status, **facts: Any) -> Status:
        """Return the status that follows; an illegal one raises and changes nothing."""
        if self._final or state not in TRANSITIONS[base.state]:
            raise InvalidStateError(f"{self!r} cannot become {state.value}")
        return base.replace(state=state, version=base.version + 1, **facts)

    def _move(self, state: State, **facts: Any) -> None:
        self._status = self._next(state, self._status, **facts)

    def _conclude(self, value: Any, error: BaseException | None,
                  **facts: Any) -> BaseException | None:
        """Settle the last status, which is not shown yet; return the error of it."""
        state, error = self._judge(error)
        last = self._snapshot()
        if value is None:
            value = last.result  # of a function that only reports, the last report is the result
        texts = [] if error is None else [type(error).__name__, to_text(error)]
        text = ": ".join(filter(None, texts))
        if self._means and state is not State.COMPLETED:
            text = "; ".join(filter(None, (text, f"stopped by {self._means}")))
        reason = "error" if state is State.FAILED else state.value
        self._final = self._next(
            state, last, result=value, eta=None, queue_position=None, finished_at=timestamp(),
            progress=1.0 if state is State.COMPLETED else last.progress,
            stop_reason=self._reason if self._overdue else reason, error=text or None, **facts)
        self._status = last
        return error

    def _judge(self, error: BaseException | None) -> tuple[State, BaseException | None]:
        """Return how the job has ended: its state and its error."""
        stopped = self.callback.told or self._means or isinstance(error, OperationCancelled)
        if isinstance(error, WorkerLost) and self._means:
            self._means = error.means or self._means
            error = None
        if isinstance(error, OperationCancelled):
            error = None
        if self._overdue is not None:
            self._overdue.__cause__ = error
            return State.FAILED, self._overdue
        if stopped:
            return (State.INTERRUPTED if self._reason == "interrupted" else State.CANCELLED), error
        return (State.COMPLETED if error is None else State.FAILED), error

    # Without it

    def _publish(self, error: BaseException | None) -> None:
        """Show the last status, once it is recorded."""
        final = self._final
        assert final is not None
        try:
            self._record(final)  # without the lock, for a disk may be slow
        except Exception:
            logger.exception("the end of %r is not recorded", self)
        with self._lock:
            self._ended(self)
        # To Future the job was pending until here, whence it may go to each of its ends. That
        # shows the last status too, and calls the done callbacks.
        if final.state is State.COMPLETED:
            self.set_result(final.result)
        elif final.state is State.FAILED:
            self.set_exception(error)
        else:
            super().cancel()
            self.set_running_or_notify_cancel()
        self._status = final
        self.callback.end()

    def _tell(self, error: BaseException | None = None) -> None:
        level = logging.INFO if error is None else logging.ERROR
        logger.log(level, "%r", self, exc_info=error)
        self._notify()

    def _notify(self) -> None:
        for watcher in self._watchers:
            watcher()


def _fraction(step: Any, total: Any) -> float | None:
    try:
        fraction = float(step) / float(total)
    except Exception:  # whatever a number of the function's own raises
        return None
    return min(fraction, 1.0) if fraction >= 0 else None  # so NaN is None
