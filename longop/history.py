"""Finished jobs, remembered within bounds. A job that is still alive is never one of them.

`History` keeps them in memory; `archive.FileHistory` keeps them in a file.
"""

from __future__ import annotations

import abc
import contextlib
import itertools
import os
import sys
import threading
from collections import deque
from dataclasses import is_dataclass
from typing import Any, Collection, Iterable, Iterator, Mapping, NamedTuple

from . import wings
from .errors import ForgottenJob, HistoryError, UnknownJob
from .values.jsontext import dumps, fields_of, loads
from .values.kinds import is_upload
from .status import State, Status, timestamp, version_after_restart

MAX_SHOWN = 1_000  # characters of JSON; longer parameters are not shown with their job
_MAX_FORGOTTEN = 10_000  # ids of forgotten jobs, about 1 MB
_CONTAINERS = (dict, list, tuple, set, frozenset, deque)


class After(NamedTuple):
    """Where a page of jobs begins: after a job in a list that is sorted by ``created_at``.

    :param created_at: of that job.
    :param id: its id, if it is one of these jobs.
    :param ties: whether other jobs of the same moment come after it.
    """

    created_at: str
    id: str = ""
    ties: bool = False

    def comes(self, status: Status) -> bool:
        """Return whether a job that is not this one comes after it."""
        if status.created_at == self.created_at:
            return self.ties
        return status.created_at < self.created_at


class Wanted(NamedTuple):
    """Which jobs a page has.

    :param names: the modules and names of their operations.
    :param limit: how many there are at most.
    :param state: the state that they have, or None for any.
    :param after: where the page begins; None for the newest job.
    """

    names: Collection[tuple[str, str]]
    limit: int
    state: State | None = None
    after: After | None = None

    def accepts(self, status: Status) -> bool:
        """Return whether a job has the name and the state."""
        has_name = (status.module, status.operation) in self.names
        return has_name and self.state in (None, status.state)

    def cut(self, statuses: Iterable[Status]) -> list[Status]:
        """Return the page of some jobs, of which the newest come first."""
        jobs = sorted(statuses, key=_created_at, reverse=True)
        if self.after is not None:
            jobs = [*_rest(jobs, self.after)]
        return [status for status in jobs if self.accepts(status)][:self.limit]


class Listed(NamedTuple):
    """A finished job in a list: its status, perhaps without its result, and its parameters."""

    status: Status
    #: As decoded JSON, or None if they are unknown or large.
    parameters: Any


#: Of a job of which nothing is known.
NO_SERIES: Mapping[str, Any] = {"reports": None, "step": [], "series": {}}


class Extras(NamedTuple):
    """What is kept with a finished job, beside its status."""

    log: str = ""  # see `Job.log`
    series: Mapping[str, Any] = NO_SERIES  # see `Job.series`


NO_EXTRAS = Extras()


class HistoryBase(abc.ABC):
    """What an operation asks of a history. Several operations and threads may share one."""

    #: Seconds between two calls of `track` for a running job.
    interval = float("inf")
    #: How many jobs are worth listing at once, where nobody says how many.
    max_listed = sys.maxsize // 2
    #: Whether a job must not begin before `begin` has worked.
    gates = False

    def __init__(self) -> None:
        #: Random bytes that make the ids of `LongOperation.start_once` unguessable.
        self.salt = os.urandom(16)
        #: Jobs to queue again, with their parameters, by module and operation.
        self.requeued: dict[tuple[str, str], list[tuple[Status, Any]]] = {}

    @abc.abstractmethod
    def __iter__(self) -> Iterator[Status]:
        """Iterate over the finished jobs, newest first."""

    @abc.abstractmethod
    def add(self, status: Status, extras: Extras = NO_EXTRAS) -> None:
        """Remember a finished job; forget the oldest jobs beyond the bounds."""

    @abc.abstractmethod
    def extras(self, id: str) -> Extras:
        """Return what is kept with a finished job; nothing if the job is not known."""

    @abc.abstractmethod
    def get(self, id: str) -> Status:
        """Return a finished job's last status; raise `UnknownJob` or `ForgottenJob`."""

    @abc.abstractmethod
    def find(self, prefix: str) -> str | None:
        """Return the id of an ended job that starts with a prefix, or None."""

    def join(self, id: str, job_id: str) -> None:  # noqa: B027  # memory ends with the server
        """Remember, beyond the end of the server, that an id of a key stands for a job."""

    def joined(self, prefix: str) -> tuple[str, str] | None:
        """Return the id that starts with a prefix and was joined, and its job's, or None."""
        return None

    @abc.abstractmethod
    def forget(self, id: str) -> None:
        """Drop a finished job; raise `UnknownJob` or `ForgottenJob` if it is not kept."""

    def page(self, wanted: Wanted) -> list[Listed]:
        """Return some of the finished jobs, newest first by their ``created_at``."""
        return [Listed(status, self.parameters(status.id)) for status in wanted.cut(self)]

    def ready(self) -> None:  # noqa: B027  # what is in memory always is
        """Raise `HistoryError` if no job can be remembered. Called before each start."""

    @abc.abstractmethod
    def start(self, status: Status, parameters: Mapping[str, Any], waits: bool) -> None:
        """Note a job that was just started, and its parameters.

        :param waits: whether it waits for its turn; otherwise it begins at once.
        """

    def begin(self, status: Status) -> bool:
        """Note that a job begins, and never has to be queued again; return whether that worked."""
        return True

    @abc.abstractmethod
    def track(self, status: Status) -> bool:
        """Note how a running job is doing; return False if that has to be said again later."""

    @abc.abstractmethod
    def parameters(self, id: str) -> Any:
        """Return a job's parameters as decoded JSON, or None if they are unknown or large."""

    def interrupt(self, status: Status) -> None:
        """Remember a job whose server ended before it did."""
        self.add(interrupted(status))

    @abc.abstractmethod
    def close(self) -> None:
        """Release what the history holds open."""


class History(HistoryBase):
    """Keep finished jobs in memory.

    The newest job is kept even if it alone exceeds the bounds, so that a client that waits for
    its result gets it.

    :param max_jobs: number of jobs to keep.
    :param max_bytes: approximate size of all kept jobs.
    """

    def __init__(self, max_jobs: int = 100, max_bytes: int = 16 * 1024 * 1024) -> None:
        super().__init__()
        self._max_jobs = max_jobs
        self._max_bytes = max_bytes
        self._lock = threading.RLock()  # guards everything below
        self._bytes = 0
        self._kept: dict[str, tuple[Status, int]] = {}  # with their sizes, oldest first
        self._extras: dict[str, Extras] = {}
        self._parameters: dict[str, str] = {}  # as JSON, of kept and of live jobs
        self._forgotten: deque[str] = deque(maxlen=_MAX_FORGOTTEN)

    def __contains__(self, id: object) -> bool:
        return id in self._kept

    def __iter__(self) -> Iterator[Status]:
        """Iterate over a snapshot of the finished jobs, newest first."""
        with self._lock:
            return reversed([status for status, _ in self._kept.values()])

    def add(self, status: Status, extras: Extras = NO_EXTRAS) -> None:
        """Remember a finished job; forget the oldest jobs beyond the bounds."""
        # May be slow: not under the lock.
        size = _size_of([vars(status), extras], self._max_bytes)
        with self._lock:
            self._kept[status.id] = (status, size)
            if extras != NO_EXTRAS:
                self._extras[status.id] = extras
            self._bytes += size
            while len(self._kept) > 1 and self._is_over_bounds():
                oldest = next(iter(self._kept))
                self.drop(oldest)
                self._forgotten.append(oldest)

    def get(self, id: str) -> Status:
        """Return a finished job's last status; raise `UnknownJob` or `ForgottenJob`."""
        with self._lock:
            if id in self._kept:
                return self._kept[id][0]
            if id in self._forgotten:
                raise ForgottenJob(f"job {id} has ended and is no longer kept")
        raise UnknownJob(f"there is no job {id}")

    def find(self, prefix: str) -> str | None:
        """Return the id of an ended job that starts with a prefix, or None."""
        with self._lock:
            for id in itertools.chain(self._kept, self._forgotten):
                if id.startswith(prefix):
                    return id
        return None

    def forget(self, id: str) -> None:
        """Drop a finished job; raise `UnknownJob` or `ForgottenJob` if it is not kept."""
        with self._lock:
            self.get(id)
            self.drop(id)
            self._forgotten.append(id)

    def drop(self, id: str) -> None:
        """Drop a kept job and its id, so that `get` no longer says that it was there."""
        with self._lock:
            _, size = self._kept.pop(id)
            self._bytes -= size
            self._parameters.pop(id, None)
            self._extras.pop(id, None)

    def start(self, status: Status, parameters: Mapping[str, Any], waits: bool) -> None:
        """Remember what is shown of the parameters of a job that was just started."""
        text = to_shown(parameters)
        if text is not None:
            with self._lock:
                self._parameters[status.id] = text

    def track(self, status: Status) -> bool:
        """Do nothing: a job that runs is asked itself."""
        return True

    def parameters(self, id: str) -> Any:
        """Return a job's parameters as decoded JSON, or None if they are unknown or large."""
        text = self._parameters.get(id)
        return None if text is None else loads(text)

    def extras(self, id: str) -> Extras:
        """Return what is kept with a finished job; nothing if the job is not known."""
        return self._extras.get(id, NO_EXTRAS)

    def close(self) -> None:
        """Do nothing: a history in memory holds nothing open."""

    def _is_over_bounds(self) -> bool:
        return len(self._kept) > self._max_jobs or self._bytes > self._max_bytes


def open_history(history: HistoryBase | str | os.PathLike[str] | None) -> HistoryBase:
    """Return a history as it is, one in the file of that name, or one in memory for None.

    Raises `HistoryError`, and `LongOperationError` if `archive` is missing.
    """
    if history is None:
        return History()
    if isinstance(history, HistoryBase):
        return history
    archive = wings.require("archive", f"history={history!r}")
    try:
        opened: HistoryBase = archive.FileHistory(history)
    except HistoryError:
        if _is_main_process():
            raise
        # A worker imports the module that its parent runs, and the parent has the file open.
        return History()
    return opened


def interrupted(status: Status) -> Status:
    """Return the last status of a job whose server ended before it did."""
    return status.replace(
        state=State.INTERRUPTED,
        stop_reason="interrupted",
        error="the server ended before the job did",
        finished_at=timestamp(),  # when it was noticed: nobody knows when it was
        eta=None,
        queue_position=None,
        version=version_after_restart(status.version))


def to_shown(parameters: Mapping[str, Any]) -> str | None:
    """Return what is shown of a job's parameters, as JSON text, or None if that is too long.

    Uploads are left out. Large values are recognized by their size and never encoded: a start
    must not encode 30 MB only to throw the text away.
    """
    shown = {name: value for name, value in parameters.items() if not is_upload(value)}
    if _is_longer(shown, MAX_SHOWN):
        return None
    text = dumps(shown)
    return text if len(text) <= MAX_SHOWN else None


def _created_at(status: Status) -> str:
    return status.created_at


def _rest(jobs: Iterable[Status], after: After) -> Iterator[Status]:
    """Yield the jobs that come after one, of jobs in their order."""
    was_seen = False
    for status in jobs:
        if status.id == after.id:
            was_seen = True
        elif after.comes(status) or (was_seen and status.created_at == after.created_at):
            yield status


def _is_main_process() -> bool:
    # Not imported here: a process that was not started by multiprocessing need not load it.
    process = sys.modules.get("multiprocessing.process")
    return process is None or process.current_process().name == "MainProcess"


def _is_longer(value: Any, limit: int) -> bool:
    """Return True if a value's JSON text is surely longer than a limit, at little cost.

    Each item takes at least one character, so the count never looks at more than a few times
    ``limit`` items, and it copies none of them.
    """
    todo: list[Any] = [value]
    length = 0
    while todo and length <= limit:
        item = todo.pop()
        length += 1
        # A user's object may raise anything, and the job, which runs by now, may change it.
        with contextlib.suppress(Exception):
            if isinstance(item, str):
                length += len(item)
            elif isinstance(item, _CONTAINERS) or is_dataclass(item):
                for part in _parts_of(item):
                    todo.extend(itertools.islice(part, limit))
            else:  # binary data or an array: a number of 8 bytes takes at least one character
                length += memoryview(item).nbytes // 8
    return length > limit


def _size_of(value: Any, limit: int) -> int:
    """Return about how many bytes a value and its contents take, or the limit if more."""
    todo: list[Any] = [value]
    seen: set[int] = set()
    size = 0
    while todo and size < limit:
        item = todo.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        with contextlib.suppress(Exception):  # a user's object may raise anything
            size += _own_size(item)
            for part in _parts_of(item):
                todo.extend(part)
    return size


def _own_size(item: Any) -> int:
    """Return about how many bytes an object takes without what it contains."""
    try:
        return sys.getsizeof(item)
    except Exception:  # PyPy does not tell, and a user's object may raise anything
        pass
    if isinstance(item, _CONTAINERS):
        return 64 + 8 * len(item)
    if isinstance(item, str):
        return 64 + len(item)
    try:
        return 64 + memoryview(item).nbytes
    except Exception:  # a number, or an object
        return 64


def _parts_of(item: Any) -> tuple[Iterable[Any], ...]:
    """Return iterables that together yield everything an object contains."""
    if isinstance(item, dict):
        return item.keys(), item.values()
    if isinstance(item, _CONTAINERS):
        return (item,)
    if is_dataclass(item) and not isinstance(item, type):
        return (fields_of(item).values(),)  # also those in slots
    if hasattr(item, "__dict__"):
        return ([vars(item)],)
    return ()
