"""`Dispatcher`: the jobs of one operation. Which of them run, which wait, and who is refused.

    submit ── admit ─┬─▶ queue ─▶ a thread for each job: guard, backend ─▶ history
                     ├─▶ the job to join
                     └─▶ Busy

Knows nothing of the function's parameters, or of where its code runs.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
import typing
from concurrent.futures import InvalidStateError, wait
from typing import Any, Callable, Collection, Iterable, Mapping, NamedTuple, Sequence

from .errors import Busy, KeyReused, UnknownJob
from .executors import Backend, Call
from .functions.threads import thread_of
from .guard import NEVER, Guard
from .history import NO_SERIES, Extras, After, HistoryBase, Listed, Wanted
from .job import Job, logger
from .values.keys import Keys
from .values.waits import in_slices
from .status import State, Status

WhenBusy = typing.Literal["queue", "reject", "replace", "join"]
WHEN_BUSY: tuple[str, ...] = typing.get_args(WhenBusy)

_RETRY_AFTER = 5  # seconds, a guess: nobody knows when a job will end
_DISK_PAUSE = 1.0  # seconds between two tries to record that a job begins
_LAST_WAIT = 0.5  # seconds that killed processes have to be noticed


class Owner:
    """The whole that some operations are parts of, such as an adapter with several routes.

    It takes part in deciding what may start, and is closed after its operations. A base class:
    this one lets everything start.
    """

    def __init__(self) -> None:
        #: Guards the owner's operations and all their jobs. A thread may take it twice.
        self.lock = threading.RLock()

    def adopt(self, dispatcher: Dispatcher) -> None:
        """Take in the jobs of an operation that is being made.

        Raises ``ValueError`` if its options do not fit.
        """

    def admit(self) -> None:
        """Raise `Busy` if no further job may start now. Called with the lock held."""

    def close(self) -> None:
        """Clean up. Called by `close_all`, once the operations' jobs have ended."""


class _Waiting(NamedTuple):
    """What a job that waits will do: its call, in a copy of its starter's context (PEP 567)."""

    call: Call
    context: contextvars.Context


class Dispatcher:
    """Runs up to ``limit`` jobs at once, each in its own thread; up to ``max_queued`` wait.

    :param name: the module and the operation that the jobs are of.
    :param owner: has a say in what may start.
    :param show_tracebacks: whether the log of a job that fails ends with the traceback.
    """

    def __init__(self, name: tuple[str, str], *, history: HistoryBase, guard: Guard,
                 backend: Backend, owner: Owner | None, limit: int, when_busy: WhenBusy,
                 max_queued: int, show_tracebacks: bool = False) -> None:
        self.name = name
        self.history = history
        self.guard = guard
        self.backend = backend
        self.owner = owner
        self.limit = limit
        self.when_busy = when_busy
        self.max_queued = max_queued
        self.show_tracebacks = show_tracebacks
        #: Guards everything here and the state of every job (see `Job`). A thread may take it
        #: twice, because a job that ends, with the lock held, starts the next one.
        self.lock = threading.RLock() if owner is None else owner.lock
        self._is_closed = False
        #: The jobs that have not ended, by id: running and queued, oldest first.
        self.live: dict[str, Job[Any]] = {}
        # Those of them that wait, next first, with the calls they will make.
        self._queue: dict[Job[Any], _Waiting] = {}
        # Those that have left `live`, until their Future is done as well.
        self._leaving: dict[str, Job[Any]] = {}
        # Those whose beginning is being written; once this is closed, no further ones.
        self._beginning: set[Job[Any]] = set()
        # Those for which the system had no thread, with its error, until they are ended.
        self._unstarted: list[tuple[Job[Any], RuntimeError]] = []
        self._is_ending_them = False
        # Held during a `start_once`, and for nothing else. Taken before the other lock.
        self._once = threading.Lock()
        self._keys = Keys(name, history.salt)
        if owner is not None:
            owner.adopt(self)

    # From any thread, without the lock

    def submit(self, call: Call, parameters: Mapping[str, Any], id: str | None,
               earlier: Status | None = None) -> Job[Any]:
        """Return a job for a call: a new one, or the one that a start is to join.

        :param earlier: the last status of a job that waited when the last server ended, and
            that goes on waiting: it was admitted then.

        Raises `Busy`, `HistoryError`, and what the backend raises for a call that cannot be made.
        """
        with self.lock:
            self._admit(earlier)  # first, so that a start that is refused costs nothing
        self.history.ready()  # without the lock, because these may be slow
        self.backend.check(call)
        module, operation = self.name
        job: Job[Any] = Job(
            module, operation, self.backend.callback_of(call), lock=self.lock,
            ended=self._ended, record=self._record, clock=self.guard.clock.now, id=id,
            earlier=earlier, show_tracebacks=self.show_tracebacks)
        job.add_done_callback(lambda ended: self._after(job))
        with self.lock:
            joined = self._admit(earlier)  # again, because other threads may have started jobs
            if joined is not None:
                return joined
            if job.id in self.live:
                raise Busy(f"job {job.id} has not ended", job.id)
            self.live[job.id] = job
            self._queue[job] = _Waiting(call, contextvars.copy_context())
            self._start_next()
            waits = job in self._queue
            replaced = self._surplus()
        # Without the lock, because a disk may be slow.
        self._end_unstarted()
        self.history.start(job.status(), parameters, waits)
        for old in replaced:
            old.cancel()
        return job

    def statuses(self) -> list[Status]:
        """Return the status of each known job, newest first; of a file's the newest 1,000."""
        limit = self.history.max_listed + len(self.living())
        return [listed.status for listed in list_jobs([self], limit)]

    def living(self) -> list[Status]:
        """Return the status of the jobs that are alive, newest first."""
        with self.lock:
            jobs = [*self._leaving.values(), *self.live.values()]
            return [job.status() for job in reversed(jobs) if not job.done()]

    def status(self, id: str) -> Status:
        """Return a job's status; raise `UnknownJob` or `ForgottenJob`."""
        job = self.find_alive(id)
        return self.history.get(id) if job is None else job.status()

    def forget(self, id: str) -> None:
        """Drop a finished job; raise `Busy` for a live one, `UnknownJob` or `ForgottenJob`."""
        if self.find_alive(id) is not None:
            raise Busy(f"job {id} has not ended: cancel it first", id)
        self.history.forget(id)

    def start_once(self, key: str, parameters: Mapping[str, Any],
                   start: Callable[[Mapping[str, Any], str], Job[Any]]) -> Job[Any]:
        """Return the job that was started with a key, or start it, with the id it must have.

        Raises `KeyReused` if its parameters differ, `ForgottenJob`, and as ``start`` does.
        """
        begin, id = self._keys.ids(key, parameters)
        with self._once:
            known = self._find_id(begin)
            if known is None:
                job = start(parameters, id)
                if job.id != id:
                    self._keys.join(id, job.id)
                    self.history.join(id, job.id)
                return job
        job_id = self._keys.job_id(known)
        if known != id:
            raise KeyReused(f"job {job_id} was started with this key and other parameters")
        return self._job_of(job_id)

    def find_alive(self, id: str) -> Job[Any] | None:
        """Return a job that has not ended, or None.

        A job that ends goes from `live` to `_leaving`, and leaves that a moment after its Future
        is done. Once that is done the history is asked, so that all threads are told the same.
        Takes no lock: in this order no job is missed.
        """
        job = self.live.get(id) or self._leaving.get(id)
        return None if job is None or job.done() else job

    def _job_of(self, id: str) -> Job[Any]:
        job = self.find_alive(id)
        return Job.of(self.history.get(id)) if job is None else job

    def _find_id(self, prefix: str) -> str | None:
        # Without the lock, because the history may be slow. A job that ends is in the history
        # before it leaves `live`, so it is found in one of them.
        for id in list(self.live):
            if id.startswith(prefix):
                return id
        return (self._keys.find(prefix) or self._find_joined(prefix)
                or self.history.find(prefix))

    def _find_joined(self, prefix: str) -> str | None:
        """Return the id that joined another job before the server was started again."""
        found = self.history.joined(prefix)
        if found is None:
            return None
        self._keys.join(*found)
        return found[0]

    def refuse(self) -> tuple[list[Job[Any]], list[Job[Any]]]:
        """Start nothing from now on; return the jobs that must be stopped, and that must end.

        A job whose beginning is being written is only among the latter: if it was stopped now,
        it would end in the queue, and the file would say that it began. It stops by itself.
        """
        with self.lock:
            self._is_closed = True
            running = self._running()
            return [job for job in running if job not in self._beginning], running

    def interrupt_queue(self) -> None:
        """End the jobs that wait, after `refuse`."""
        with self.lock:
            waiting = list(self._queue)
        for job in waiting:
            job.stop("interrupted")

    # In the thread of a job

    def _run(self, job: Job[Any], call: Call) -> None:
        """Make a job's call.

        The thread is not one of a pool: a job that is stuck delays neither another job nor the
        interpreter's exit.
        """
        try:
            if not self._begin(job):
                return
            logger.info("%r", job)
            value = self.backend.perform(job, call, self.guard)
        except BaseException as error:  # SystemExit too: in any case the code has ended
            job.finish(error=error)
        else:
            job.finish(value)

    def _begin(self, job: Job[Any]) -> bool:
        """Record that a job begins; return False if it was ended meanwhile, while it waited.

        With a history that `gates`, it is queued until that is on the disk: after a ``kill -9``
        a job is queued again only if its code has never run.
        """
        if not self.history.gates:
            self.history.begin(job.status())
            return True
        was_ended = threading.Event()
        job.callback.on_cancel(was_ended.set)
        while True:
            with self.lock:
                if self._is_closed:  # it goes on waiting, perhaps for the next server
                    return False
                self._beginning.add(job)
            is_written = self.history.begin(job.status())
            with self.lock:
                self._beginning.discard(job)
                has_begun = is_written and self._mark_begun(job)
                is_closed = self._is_closed
            if is_closed:
                job.stop("interrupted")  # `refuse` has left that to this thread
            if is_written:
                return has_begun
            if self.guard.clock.wait(was_ended, _DISK_PAUSE):
                return False

    def _mark_begun(self, job: Job[Any]) -> bool:
        try:
            job.begin()
        except InvalidStateError:  # it was cancelled just now, and its end comes elsewhere
            return False
        return True

    # In the thread that brings a job's end

    def _record(self, status: Status) -> None:
        """Remember the last status of a job; called by it, without the lock."""
        # A job that still waits at the end of the server may be queued again by the next one.
        if status.started_at or status.state is not State.INTERRUPTED:
            self.history.add(status, _extras_of(self.live[status.id]))

    def extras(self, id: str) -> Extras:
        """Return the log and the series of a job, whether it is alive or has ended."""
        job = self.find_alive(id)
        return self.history.extras(id) if job is None else Extras(job.log(), job.series())

    def _ended(self, job: Job[Any]) -> None:
        """Take out a job; called by it, with the lock held."""
        self._queue.pop(job, None)  # it is still there if it was cancelled before its turn
        self._leaving[job.id] = job  # before it leaves `live`, so that it is always in one of them
        del self.live[job.id]
        self._start_next()

    def _after(self, job: Job[Any]) -> None:
        """Let go of a job whose Future is done; called by that, without the lock."""
        self._leaving.pop(job.id, None)
        self._end_unstarted()

    def _end_unstarted(self) -> None:
        """End the jobs for which there was no thread. Without the lock: an end may be slow.

        Each end may add another one, so this is a loop, and what it calls finds it at work.
        """
        with self.lock:
            if self._is_ending_them:
                return
            self._is_ending_them = True
        while True:
            with self.lock:
                if not self._unstarted:
                    self._is_ending_them = False
                    return
                job, error = self._unstarted.pop(0)
            job.finish(error=error)

    # With the lock held

    def _running(self) -> list[Job[Any]]:
        return [job for job in self.live.values() if job not in self._queue]

    def _is_full(self) -> bool:
        return len(self.live) - len(self._queue) >= self.limit

    def _admit(self, earlier: Status | None) -> Job[Any] | None:
        """Return None if a job may be added, or the job to join; raise `Busy` if refused."""
        if self._is_closed:
            raise Busy(f"{'/'.join(self.name)} is closed", "", _RETRY_AFTER)
        if earlier is not None:
            return None
        if self.owner is not None:
            self.owner.admit()
        if not self._is_full() or self.when_busy == "replace":
            return None
        oldest = next(iter(self.live.values()))
        if self.when_busy == "join":
            joined = self._joinable()
            if joined is not None:
                return joined
        if self.when_busy == "reject":
            raise Busy("A long running command is already in progress", oldest.id)
        waiting = len(self._queue)
        if waiting >= self.max_queued:
            raise Busy(f"{waiting} jobs are waiting already", oldest.id, _RETRY_AFTER)
        return None

    def _joinable(self) -> Job[Any] | None:
        """Return the oldest job that was not told to stop; without one, a start must wait."""
        for job in self.live.values():
            if not job.is_stopping:
                return job
        return None

    def _surplus(self) -> list[Job[Any]]:
        """Return the jobs that newer ones replace: the oldest beyond the limit."""
        if self.when_busy != "replace":
            return []
        excess = max(0, len(self.live) - self.limit)
        return list(self.live.values())[:excess]

    def _start_next(self) -> None:
        """Start jobs that wait while there is room, then tell the others their place."""
        while self._queue and not self._is_full() and not self._cannot_run():
            job = next(iter(self._queue))
            self._launch(job, self._queue.pop(job))
        for position, job in enumerate(list(self._queue), 1):
            job.queue_at(position)

    def _cannot_run(self) -> bool:
        return self._is_closed or self.backend.closed

    def _launch(self, job: Job[Any], waiting: _Waiting) -> None:
        thread = thread_of(waiting.context.run, self._run, job, waiting.call,
                           name=f"longop-{job.id}")
        if not self.history.gates and not self._mark_begun(job):
            return
        try:
            thread.start()
        except RuntimeError as error:  # the system has no more threads
            if not self.history.gates or self._mark_begun(job):
                self._unstarted.append((job, error))


def list_jobs(dispatchers: Sequence[Dispatcher], limit: int, state: State | None = None,
              before: str | None = None) -> list[Listed]:
    """Return jobs of some operations, alive or ended, newest first by their ``created_at``.

    :param state: the state that they have, or None for any.
    :param before: the id of a job: only those that come after it in the list.

    Raises `UnknownJob` or `ForgottenJob` for that job.
    """
    by_name = {dispatcher.name: dispatcher for dispatcher in dispatchers}
    histories = [*dict.fromkeys(dispatcher.history for dispatcher in dispatchers)]
    start = None if before is None else _find(dispatchers, histories, before)
    # Before the histories are asked, so that a job that ends meanwhile is in one of both.
    living = [status for dispatcher in dispatchers for status in dispatcher.living()]
    ids = {status.id for status in living}
    found = []
    for status in _wanted(by_name, limit, state, start, 0).cut(living):
        history = by_name[status.module, status.operation].history
        found.append(Listed(status, history.parameters(status.id)))
    for place, history in enumerate(histories, 1):
        wanted = _wanted(by_name, limit + len(ids), state, start, place)
        found += [_as_seen(listed, by_name) for listed in history.page(wanted)
                  if listed.status.id not in ids]
    found.sort(key=lambda listed: listed.status.created_at, reverse=True)
    return found[:limit]


def _extras_of(job: Job[Any]) -> Extras:
    """Return what is kept with a job that has ended; no series of one that reported no number."""
    series = job.series()
    return Extras(job.log(), series if series["series"] else NO_SERIES)


def _wanted(names: Collection[tuple[str, str]], limit: int, state: State | None,
            start: tuple[Status, int] | None, place: int) -> Wanted:
    """Return what is wanted of the source at a place: 0 what is alive, 1 the first history.

    Of the same moment, the jobs of the sources come in this order.
    """
    if start is None:
        return Wanted(names, limit, state)
    last, its_place = start
    id = last.id if its_place == place else ""
    return Wanted(names, limit, state, After(last.created_at, id, ties=place > its_place))


def _as_seen(listed: Listed, by_name: Mapping[tuple[str, str], Dispatcher]) -> Listed:
    """Return a job of a history as its operation shows it.

    The history knows the end of a job a moment before its Future is done.
    """
    status = listed.status
    job = by_name[status.module, status.operation].find_alive(status.id)
    return listed if job is None else listed._replace(status=job.status())


def _find(dispatchers: Iterable[Dispatcher], histories: list[HistoryBase],
          id: str) -> tuple[Status, int]:
    """Return a job, and its place among the sources of a list: 0 if it is alive."""
    for dispatcher in dispatchers:
        job = dispatcher.find_alive(id)
        if job is not None:
            return job.status(), 0
    for place, history in enumerate(histories, 1):
        with contextlib.suppress(UnknownJob):
            return history.get(id), place
    raise UnknownJob(f"there is no job {id}")


def stop_all(dispatchers: Iterable[Dispatcher]) -> None:
    """Start nothing more, and end every job: told to stop, then killed, then given up."""
    dispatchers = list(dispatchers)
    refused = [dispatcher.refuse() for dispatcher in dispatchers]
    for to_stop, _ in refused:
        for job in to_stop:
            job.stop("interrupted")
    running = [job for _, jobs in refused for job in jobs]
    grace = max((dispatcher.guard.grace for dispatcher in dispatchers), default=0)
    in_slices(lambda seconds: not wait(running, seconds).not_done, min(NEVER, grace))
    for dispatcher in dispatchers:
        dispatcher.backend.close()
    for stuck in wait(running, _LAST_WAIT).not_done:
        logger.warning("%r did not stop", stuck)
    for dispatcher in dispatchers:
        dispatcher.interrupt_queue()
