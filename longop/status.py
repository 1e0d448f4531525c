"""The status of a job: its states, which may follow which, and the record every door shows.

`Status` is one snapshot, `Updates` one after the other, for a thread or for a coroutine:

    function's thread ── change ─▶ job ── set ─▶ signal ── wakes ─▶ `for` or `async for`

The function's thread sets a signal and goes on: it never waits for a watcher. The lock is
`job`'s, which makes the changes.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import DeadlineExceeded, OperationCancelled, WorkerLost
from .jsontext import to_text

if TYPE_CHECKING:
    import asyncio

    from .job import Job


class State(str, Enum):
    """Where a job is in its life. In JSON it is its value, such as ``"running"``."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"  # told to stop, and still running
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"  # told to stop, and stopped
    INTERRUPTED = "interrupted"  # stopped because its server ended

    @property
    def is_terminal(self) -> bool:
        """True if nothing follows: the code has ended."""
        return self not in TRANSITIONS


#     queued ───────────▶ running ─────────────▶ completed, failed, cancelled
#       │ cancel             │ cancel
#       ▼                    ▼
#     cancelled,          cancelling ──────────▶ completed, failed, cancelled, interrupted
#     interrupted
#
# - A state that is no key here is terminal.
# - `queued` follows itself when the job moves up in the queue.
# - `cancelling` may still become `completed` or `failed`, because a cancel is a request: a
#   function that never looks, or is past its last report, ends by itself, and that is shown.
# - `running` becomes `cancelled` directly if the function raises OperationCancelled itself.
TRANSITIONS: dict[State, set[State]] = {
    State.QUEUED: {State.QUEUED, State.RUNNING, State.CANCELLED, State.INTERRUPTED},
    State.RUNNING: {State.CANCELLING, State.COMPLETED, State.FAILED, State.CANCELLED},
    State.CANCELLING: {State.COMPLETED, State.FAILED, State.CANCELLED, State.INTERRUPTED},
}


@dataclass(frozen=True)
class Status:
    """A frozen snapshot of a job; ``vars(status)`` is its form in JSON. Unknown is ``None``.

    ``result, step, total, message`` are as the function last reported them; once it has
    returned a value, that is the ``result``. What a cancelled or failed job reported is kept.
    ``progress`` is 0 to 1. ``elapsed`` (running time so far) and ``eta`` (time left) are
    seconds. Times are ISO 8601 in UTC. ``queue_position`` is 1 for the job that starts next.
    ``version`` grows with each change of the job.
    """

    id: str
    module: str
    operation: str
    state: State = State.QUEUED
    result: Any = None
    step: Any = None
    total: Any = None
    progress: float | None = None
    message: Any = None
    error: str | None = None
    stop_reason: str | None = None
    created_at: str = ""
    started_at: str | None = None
    finished_at: str | None = None
    cancel_requested_at: str | None = None
    elapsed: float | None = None
    eta: float | None = None
    queue_position: int | None = None
    version: int = 0

    def replace(self, **changes: Any) -> Status:
        """Return a copy with some fields changed."""
        # Each poll makes a copy, so this is fast: `dataclasses.replace` calls __init__ with
        # every field and takes six times as long.
        changed: Status = object.__new__(Status)
        changed.__dict__.update(self.__dict__, **changes)
        return changed


class Updates:
    """The status of a job now, at each change, and at its end, which comes last.

    Iterate with ``for``, or with ``async for`` in a coroutine, which takes no thread. A loop
    that is slower than the function gets the newest status and none of those between. The job
    is watched from the first step until its end, until `close` or `aclose`, or until this
    object is garbage, as it is after a ``break``. One consumer at a time.
    """

    def __init__(self, job: Job[Any]) -> None:
        self._job = job
        self._seen = -1  # the version of the last status that was handed out
        self._closed = False
        # What the job sets at each change. The job refers to the signal and the signal not to
        # this object, so that an abandoned iteration is garbage although its job still runs.
        self._signal: threading.Event | _LoopSignal | None = None

    def __iter__(self) -> Updates:
        return self

    def __next__(self) -> Status:
        """Wait for the next change in this thread."""
        signal = self._signal
        if not isinstance(signal, threading.Event):
            signal = threading.Event()
            self._watch(signal)
        while True:
            signal.clear()  # before the look: a change after the look sets it again
            if self._closed:
                raise StopIteration
            status = self._take()
            if status is not None:
                return status
            signal.wait()

    def __aiter__(self) -> Updates:
        return self

    async def __anext__(self) -> Status:
        """Wait for the next change in this coroutine."""
        try:
            return await self._next_in_loop()
        except BaseException:  # such as a cancel, whose traceback may keep this object alive
            self._unwatch()
            raise

    def close(self) -> None:
        """Stop watching and end the iteration. Any thread may call it."""
        self._closed = True
        signal = self._signal
        self._unwatch()
        if signal is not None:
            signal.set()  # wakes a step that waits; it sees that this is closed

    async def aclose(self) -> None:
        """Do the same as `close`."""
        self.close()

    def __del__(self) -> None:
        self._unwatch()

    async def _next_in_loop(self) -> Status:
        import asyncio  # costs more than all of longop, and few need it

        # A job may change faster than this loop reads: the other coroutines still get a turn.
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        signal = self._signal
        if not isinstance(signal, _LoopSignal) or signal.loop is not loop:
            signal = _LoopSignal(loop, asyncio.Event())
            self._watch(signal)
        while True:
            signal.clear()  # before the look: a change after the look sets it again
            if self._closed:
                raise StopAsyncIteration
            status = self._take()
            if status is not None:
                return status
            await signal.wait()

    def _watch(self, signal: threading.Event | _LoopSignal) -> None:
        self._unwatch()
        if not self._closed:
            self._signal = signal
            self._job.watch(signal.set)

    def _unwatch(self) -> None:
        signal = self._signal
        self._signal = None
        if signal is not None:
            self._job.unwatch(signal.set)

    def _take(self) -> Status | None:
        """Return the newest status, or None if it was handed out before."""
        status = self._job.status()
        if status.state.is_terminal:
            self.close()
        if status.version == self._seen:
            return None
        self._seen = status.version
        return status


class Ending(NamedTuple):
    """How a job has ended."""

    state: State
    #: Its ``stop_reason``.
    reason: str | None
    error: BaseException | None
    #: What stopped it beyond its callback, if anything.
    means: str | None = None
    #: The function's own error, if a deadline takes the place of it.
    cause: BaseException | None = None


def judge(error: BaseException | None, *, told: bool, means: str | None, reason: str | None,
          overdue: DeadlineExceeded | None) -> Ending:
    """Decide how a job has ended. Of these rules the first that fits holds.

    - A deadline had stopped it: failed, whatever came of it.
    - It was told to stop and knew, or was stopped by force: cancelled, or interrupted.
    - It raised: failed.
    - Otherwise it completed, even if it was told to stop: it never looked.

    :param error: what the function raised, if it did.
    :param told: whether the function has seen that it is to stop.
    :param means: what was tried to stop it beyond its callback.
    :param reason: why it was told to stop.
    :param overdue: the deadline that stopped it.
    """
    was_stopped = told or means is not None or isinstance(error, OperationCancelled)
    if means is not None and isinstance(error, WorkerLost):
        means = error.means or means  # the signal that came first may be an earlier rung's
        error = None  # a lost worker is how it stopped, not what went wrong
    elif isinstance(error, OperationCancelled):
        error = None
    if overdue is not None:
        return Ending(State.FAILED, reason, overdue, means, cause=error)
    if was_stopped:
        state = State.INTERRUPTED if reason == "interrupted" else State.CANCELLED
        return Ending(state, state.value, error, means)
    if error is not None:
        return Ending(State.FAILED, "error", error)
    return Ending(State.COMPLETED, "completed", None)


def describe(error: BaseException | None, means: str | None) -> str | None:
    """Return one text for a job's error and what stopped it, or None if there is neither."""
    parts = []
    if error is not None:
        text = to_text(error)
        name = type(error).__name__
        parts.append(f"{name}: {text}" if text else name)
    if means is not None:
        parts.append(f"stopped by {means}")
    return "; ".join(parts) or None


def estimate(step: Any, total: Any,
             elapsed: float | None) -> tuple[float | None, float | None]:
    """Return the progress, 0 to 1, and the seconds left; None for what cannot be told.

    ``step`` and ``total`` are what the function reported: they may be anything.
    """
    progress = _fraction(step, total)
    if not elapsed or progress is None or progress <= 1e-6:  # too early to say
        return progress, None
    return progress, round(elapsed / progress - elapsed, 3)


def timestamp() -> str:
    """Return the time now, as ISO 8601 in UTC to the millisecond; not for measuring."""
    now = time.time()
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    milliseconds = int(now * 1000) % 1000
    return f"{seconds}.{milliseconds:03d}Z"


def _fraction(step: Any, total: Any) -> float | None:
    try:
        fraction = float(step) / float(total)
    except Exception:  # a user's number may raise anything
        return None
    if not fraction >= 0:  # negative, or NaN
        return None
    return min(fraction, 1.0)


class _LoopSignal:
    """An event that any thread may set, and that the coroutines of one loop wait for.

    A function may report a million times a second. So of all `set` since the last `clear` only
    the first goes to the loop: it puts one call into the loop's queue, and the others none.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
        self.loop = loop
        self._event = event
        self._is_set = False  # written by any thread: at worst two of them go to the loop

    def set(self) -> None:
        """Wake the waiting coroutine. Called in the thread that changes the job."""
        if self._is_set:
            return
        self._is_set = True
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(self._event.set)

    def clear(self) -> None:
        """Forget what was set so far. Called in the loop's thread."""
        # In this order: a `set` that comes between the two still goes to the loop.
        self._is_set = False
        self._event.clear()

    async def wait(self) -> None:
        """Wait until the event is set."""
        await self._event.wait()
