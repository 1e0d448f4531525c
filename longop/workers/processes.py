"""Runs calls in processes, which can be killed. Each operation keeps its processes warm.

    the job's thread ── perform ──▶ ┌──────┐ ── take ──▶ a process that is idle, or a new one
                                    │ pool │
    the job's guard ─── SIGTERM ──▶ └──────┘ ── kill ──▶ the process that has the job

A job has a process to itself. Its thread alone reads the pipe from there.
"""

from __future__ import annotations

import contextlib
import multiprocessing.util
import pickle
import signal
import threading
from functools import partial
from typing import Any, Iterator

from ..errors import LongOperationError, OperationCancelled, TargetError, WorkerLost
from ..executors import Backend, Call
from ..guard import Guard, Rung
from ..job import Job
from .attend import FarCall
from .child import KILL
from .messages import Check, Checked, Start
from .process import WorkerProcess
from .sent_error import SentError

_CLOSED = "its operation was closed"

CHECK_TIMEOUT = 5.0  # seconds a first start waits to hear that the function can be imported


class ProcessBackend(Backend):
    """Runs calls in warm processes, one for each job that runs at the same time."""

    def __init__(self) -> None:
        self._pool = _Pool()
        # Held during a check, so that starts at the same time wait for one result.
        self._checking = threading.Lock()
        self._is_checked = False  # guarded by `_checking`
        # Ends the processes once: when `close` is called; or when this object is dropped,
        # which is why the pool must not refer to it; or at exit, before multiprocessing would
        # wait for the processes in vain (hence the priority). In a forked copy of this process
        # it does nothing.
        self._end_pool = multiprocessing.util.Finalize(self, self._pool.end, exitpriority=100)

    @property
    def closed(self) -> bool:
        """True once nothing can be run any more."""
        return self._pool.is_closed

    def close(self) -> None:
        """End all processes, even those that still run a job."""
        self._end_pool()

    def check(self, call: Call) -> None:
        """Raise `TargetError` if a call cannot be made in another process.

        The first time, a process is asked to import the function; the job then gets this
        process. Raises `LongOperationError` if there is none.
        """
        try:
            call.data = pickle.dumps(call)
        except Exception as error:
            raise TargetError(
                f"{call.function!r} cannot run in another process, to which the function is "
                "sent by its name, with its parameters; a class or a function inside of a "
                f"function has no such name: {error}") from error
        with self._checking:
            if not self._is_checked:
                self._check_import(call)
            self._is_checked = True

    def perform(self, job: Job[Any], call: Call, guard: Guard) -> Any:
        """Make a call in an idle process, or in a new one; return its value.

        Runs in the job's thread.
        """
        far = FarCall(job, call, guard, self._signals(job, call))
        outcome = None
        with self._pool.use(job) as process:
            process.wait_until_ready()
            with process.printing_to(job.take_print):
                if far.begin(process.channel, Start(job.id, call.data)):
                    outcome = far.attend(process.channel)
        # The process is free for the next job by now. An error that the function has raised
        # comes from here, so that an OSError of its own is not taken for a lost process.
        if outcome is None:
            raise OperationCancelled("it had not begun")
        return outcome.settle(job)

    def _signals(self, job: Job[Any], call: Call) -> list[Rung]:
        """Return what stops a process that neither the callback nor the companion stops."""
        # Where nothing gentler can help, the first signal has nothing to wait for.
        waits = call.stop is not None or call.hears_cancel()
        terminate = partial(self._pool.kill, job, "SIGTERM", signal.SIGTERM)
        kill = partial(self._pool.kill, job, "SIGKILL", KILL)
        return [Rung(waits, terminate), Rung(True, kill)]

    def _check_import(self, call: Call) -> None:
        """Have a process import the function; raise `TargetError` if it cannot."""
        cannot = f"{call.function!r} cannot run in another process"
        try:
            with self._pool.use(None) as process:
                sent = _import_in(process, call.data)
                if sent is not None:
                    process.is_doomed = True  # it holds a module that is half imported
        except WorkerLost as error:
            if self.closed:
                raise LongOperationError(_CLOSED) from error
            text = f"{cannot}: while that imported its module, {error}"
            if error.means is None:  # it has ended by itself: it ran the script's jobs again
                text += '; a script starts its jobs below `if __name__ == "__main__":`'
            raise TargetError(text) from error
        if sent is not None:
            problem = sent.revive()
            raise TargetError(f"{cannot}, where its module cannot be imported: "
                              f"{problem}") from problem


def _import_in(process: WorkerProcess, data: bytes) -> SentError | None:
    """Have a process read a call; return what went wrong, as far as is known in time."""
    if not process.wait_until_ready(CHECK_TIMEOUT):
        return None  # if it fails later, the job fails
    process.channel.send(Check(data))
    if not process.channel.connection.poll(CHECK_TIMEOUT):
        return None
    answer = process.channel.receive()
    assert isinstance(answer, Checked)
    return answer.error


class _Pool:
    """The processes of one operation, each idle or busy with one job."""

    def __init__(self) -> None:
        # Guards what is below, and so decides who may signal a process. The guard of a job
        # signals a busy one with the lock held, so that it cannot become another job's in
        # between. If there is none, the job never gets one: it was told to stop before. A
        # process that was taken out of both belongs to a single thread, which may end it
        # without the lock.
        self._lock = threading.Lock()
        self._idle: list[WorkerProcess] = []
        self._busy: dict[Job[Any] | None, WorkerProcess] = {}  # None is the check
        self.is_closed = False  # changed with the lock held; read without it

    @contextlib.contextmanager
    def use(self, job: Job[Any] | None) -> Iterator[WorkerProcess]:
        """Give a job a process to itself; raise `OperationCancelled` if it is to stop.

        The process is ended if anything is raised meanwhile. If the process is what was lost,
        `WorkerLost` is raised in its place and says how it ended.
        """
        process = self._take(job)
        try:
            yield process
        except (EOFError, OSError):
            self._release(job)
            raise process.end() from None
        except BaseException:
            self._release(job)
            process.end()
            raise
        self._give_back(job)

    def kill(self, job: Job[Any], name: str, number: int) -> None:
        """Send a signal to a job's process, if it has one. Called by the job's guard."""
        with self._lock:
            process = self._busy.get(job)
            if process is not None:
                job.stop_by(name, partial(process.kill, number))

    def end(self) -> None:
        """End the idle processes, and kill the busy ones with their jobs."""
        with self._lock:
            self.is_closed = True
            for process in self._idle:
                process.end()
            self._idle.clear()
            for job, process in self._busy.items():
                _kill_with_job(job, process)

    def _take(self, job: Job[Any] | None) -> WorkerProcess:
        with self._lock:
            if job is not None and job.is_stopping:
                raise OperationCancelled("it had not begun")
            if self.is_closed:
                raise LongOperationError(_CLOSED)
            process = self._idle.pop() if self._idle else _start_process()
            if not process.is_alive():  # it was killed while it was idle
                process.end()
                process = _start_process()
            self._busy[job] = process
            return process

    def _give_back(self, job: Job[Any] | None) -> None:
        """Keep a job's process for the next job, unless it was sent a signal."""
        with self._lock:
            process = self._busy.pop(job)
            is_fit = not (process.is_doomed or self.is_closed)
            if is_fit:
                self._idle.append(process)
        if not is_fit:
            process.end()  # a signal may still be on its way to it

    def _release(self, job: Job[Any] | None) -> None:
        """Take a job's process out of everybody's reach, so that its thread can end it."""
        with self._lock:
            del self._busy[job]


def _start_process() -> WorkerProcess:
    try:
        return WorkerProcess()
    except OSError as error:  # too many processes or open files, or too little memory
        raise LongOperationError(f"no process could be started: {error}") from error


def _kill_with_job(job: Job[Any] | None, process: WorkerProcess) -> None:
    # The thread that attends the job, or the check, sees the pipe close and does the rest.
    if job is None:
        process.kill(KILL)
    else:
        job.stop("interrupted")
        job.stop_by("SIGKILL", partial(process.kill, KILL))
