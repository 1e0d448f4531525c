"""`Updates`: the status of a job at each change, for a thread or for a coroutine.

    function's thread ── change ─▶ job ── set ─▶ signal ── wakes ─▶ `for` or `async for`

The function's thread sets a signal and goes on: it never waits for a watcher. Changes
are made under the job's lock.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Callable, Protocol

from .status import Status
from .values.waits import wait_for

if TYPE_CHECKING:
    import asyncio


class Watchable(Protocol):
    """What is watched: a `Job`."""

    def status(self) -> Status:
        """Return a snapshot."""
        ...

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call a watcher after each change, in any thread."""
        ...

    def unwatch(self, watcher: Callable[[], None]) -> None:
        """Stop calling a watcher."""
        ...


class Updates:
    """The status of a job now, at each change, and at its end, which comes last.

    Iterate with ``for``, or with ``async for`` in a coroutine, which takes no thread. A loop
    that is slower than the function gets the newest status and none of those between. The job
    is watched from the first step until its end, until `close` or `aclose`, or until this
    object is garbage, as it is after a ``break``. One consumer at a time.
    """

    def __init__(self, job: Watchable) -> None:
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
            wait_for(signal)

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
