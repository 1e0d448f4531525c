"""The calls that are under way, so that a cancel finds its call, at whatever moment it comes.

    door's thread ── begin ─▶ Call ◀─ stop_with ── the thread that starts the job
    another one ──── cancel ───┘

A call may be cancelled before its job has started, and after it has ended.
"""

from __future__ import annotations

import threading
from typing import Any, Callable

from ..job import Job
from .message import INVALID_REQUEST, Id, RpcError


class Call:
    """One ``tools/call``, from its request to its answer."""

    def __init__(self, key: tuple[str, Id] | None = None) -> None:
        #: Under what a cancel finds it, or None.
        self.key = key
        self._lock = threading.Lock()  # guards what follows
        self._is_cancelled = False
        self._stop: Callable[[], object] | None = None

    @property
    def is_cancelled(self) -> bool:
        """True once the client wants no answer any more. It is set before the job is told."""
        return self._is_cancelled

    def stop_with(self, stop: Callable[[], object]) -> None:
        """Have a cancel call a function; call it now if the cancel came first."""
        with self._lock:
            if not self._is_cancelled:
                self._stop = stop
                return
        stop()

    def release(self) -> bool:
        """Have a cancel do nothing from now on; return whether it would have stopped a job."""
        return self._take_stop() is not None

    def abandon(self) -> Callable[[], object]:
        """Take the wish for an answer back; return what stops the job, which may be slow."""
        self._is_cancelled = True
        return self._take_stop() or (lambda: None)

    def cancel(self) -> None:
        """Take the wish for an answer back, and stop the job unless others wait for it."""
        self.abandon()()

    def _take_stop(self) -> Callable[[], object] | None:
        """Return what stops the job, once: two threads may ask for it."""
        with self._lock:
            stop = self._stop
            self._stop = None
            return stop


class Calls:
    """The calls of all clients, and how many of them wait for each job."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards what follows, and is held for no call of others
        self._by_id: dict[tuple[str, Id], Call] = {}
        # Of the jobs that were started by a call; a job that joins calls has several.
        self._waiting: dict[str, int] = {}

    def begin(self, client: str | None, id: Id) -> Call:
        """Return a new call, which `cancel` finds if the client has a name.

        Raises `RpcError` if a call of that client with the same id is under way.
        """
        if client is None:
            return Call()
        key = (client, id)
        with self._lock:
            if key in self._by_id:
                raise RpcError(INVALID_REQUEST, f"request {id!r} has no answer yet: take "
                                                "another id", id=id)
            call = self._by_id[key] = Call(key)
        return call

    def cancel(self, client: str, id: Any) -> None:
        """Cancel a call; an unknown one is ignored, as the specification asks for."""
        if not isinstance(id, (str, int)):
            return
        with self._lock:
            call = self._by_id.get((client, id))
        if call is not None:
            call.cancel()

    def end(self, call: Call) -> None:
        """Forget a call that was answered or cancelled."""
        with self._lock:
            if call.key is not None and self._by_id.get(call.key) is call:
                del self._by_id[call.key]

    def wait_for(self, job: Job[Any], is_own: bool) -> None:
        """Count a call that waits for a job, which it has started, or joined."""
        with self._lock:
            if is_own or job.id in self._waiting:
                self._waiting[job.id] = self._waiting.get(job.id, 0) + 1

    def leave(self, job: Job[Any]) -> bool:
        """Undo `wait_for`; return whether that was the last call, and a call's own job."""
        with self._lock:
            left = self._waiting.pop(job.id, 0) - 1
            if left > 0:
                self._waiting[job.id] = left
            return left == 0
