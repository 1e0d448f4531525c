"""Finished jobs, remembered within bounds. A job that is still alive is never in here."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections import defaultdict, deque
from typing import Any, Iterator, Mapping

from .errors import ForgottenJob, UnknownJob
from .jsontext import dumps, loads
from .status import State, Status

SHOWN = 1_000  # characters of parameters that are shown with a job


class History:
    """Keep the newest ``max_jobs`` finished jobs, or ``max_bytes`` of them if that is less.

    The newest one is kept however large it is, so that whoever waits for a result gets it.
    """

    #: Seconds between two `track` of a job that runs.
    interval = float("inf")

    def __init__(self, max_jobs: int = 100, max_bytes: int = 16 * 1024 * 1024) -> None:
        self._max_jobs, self._max_bytes = max_jobs, max_bytes
        self._lock = threading.RLock()  # guards what is below: operations may share a history
        self._bytes = 0
        self._kept: dict[str, tuple[Status, int]] = {}  # with their sizes, oldest first
        self._parameters: dict[str, str] = {}  # of these, and of jobs that are alive
        self._forgotten: deque[str] = deque(maxlen=10_000)  # ids: about 1 MB
        #: The jobs that are to wait again, with their parameters, by their module and operation.
        self.requeued: dict[tuple[str, str], list[tuple[Status, Any]]] = defaultdict(list)

    def __iter__(self) -> Iterator[Status]:
        """Go through the finished jobs, newest first."""
        with self._lock:
            return reversed([status for status, _ in self._kept.values()])

    def add(self, status: Status) -> None:
        """Remember a finished job; forget the oldest ones beyond the bounds."""
        size = _sizeof(vars(status), self._max_bytes)
        with self._lock:
            self._kept[status.id] = status, size
            self._bytes += size
            while len(self._kept) > max(1, self._max_jobs) or (
                    len(self._kept) > 1 and self._bytes > self._max_bytes):
                History.forget(self, next(iter(self._kept)))  # not of a file, in `FileHistory`

    def get(self, id: str) -> Status:
        """Return a finished job's last status; raise `UnknownJob` or `ForgottenJob`."""
        with self._lock:
            if id in self._kept:
                return self._kept[id][0]
            if id in self._forgotten:
                raise ForgottenJob(f"job {id} has ended and is no longer kept")
        raise UnknownJob(f"there is no job {id}")

    def find(self, prefix: str) -> str | None:
        """Return the id that begins so of a job that has ended, or None."""
        with self._lock:
            return next((id for id in (*self._kept, *self._forgotten) if id.startswith(prefix)),
                        None)

    def forget(self, id: str) -> None:
        """Drop a finished job; raise `UnknownJob` or `ForgottenJob` where there is none."""
        with self._lock:
            History.get(self, id)
            self._bytes -= self._kept.pop(id)[1]
            self._parameters.pop(id, None)
            self._forgotten.append(id)

    def track(self, status: Status, parameters: Mapping[str, Any] | None = None) -> None:
        """Remember the parameters of a job that has just been started, unless they are large."""
        text = "" if parameters is None else dumps(parameters)
        if text and len(text) <= SHOWN:
            with self._lock:
                self._parameters[status.id] = text

    def parameters(self, id: str) -> Any:
        """Return the parameters of a job, as JSON has them, or None if they are not known."""
        return loads(self._parameters.get(id, "null"))

    def interrupt(self, status: Status) -> None:
        """Remember a job of which the server has ended before it did."""
        self.add(status.replace(state=State.INTERRUPTED, stop_reason="interrupted", eta=None,
                            error="the server ended before the job did", queue_position=None,
                            version=status.version + 1))

    def close(self) -> None:
        """Do nothing."""


def _sizeof(value: Any, limit: int) -> int:
    """Return about how many bytes a value and what it contains take; counting ends at the limit."""
    todo: list[Any] = [value]
    seen: set[int] = set()
    size = 0
    while todo and size < limit:
        item = todo.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        with contextlib.suppress(Exception):  # an object of the function's own may be broken
            size += sys.getsizeof(item)
            if isinstance(item, dict):
                todo += [*item.keys(), *item.values()]
            elif isinstance(item, (list, tuple, set, frozenset)):
                todo += item
            elif hasattr(item, "__dict__"):
                todo.append(vars(item))
    return size
