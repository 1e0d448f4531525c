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

from ..errors import TargetError, WorkerLost
from ..executors import Backend, Call
from ..guard import Rung
from ..job import Job
from .attend import attend
from .messages import Check, Checked, Start
from .process import KILL, WorkerProcess
from .sent_error import SentError

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
        process.
        """
        try:
            call.data = pickle.dumps(call)
            with self._checking:
                if not self._is_checked:
                    self._check_import(call.data)
                self._is_checked = True
        except (Exception, SystemExit) as error:  # what the module raises in the process, too
            raise TargetError(
                f"{call.function!r} cannot run in another process, which must be able to "
                "import the function by its name and to be sent its parameters: "
                f"{error}") from error

    def perform(self, job: Job[Any], call: Call) -> Any:
        """Make a call in an idle process, or in a new one; return its value.

        Runs in the job's thread.
        """
        with self._pool.use(job) as process:
            process.channel.send(Start(job.id, call.data))
            outcome = attend(job, call, process.channel)
        # The process is free for the next job by now. An error that the function has raised
        # comes from here, so that an OSError of its own is not taken for a lost process.
        assert outcome is not None
        return outcome.settle(job)

    def rungs(self, job: Job[Any], call: Call) -> list[Rung]:
        """Return the companion, which is called where the function runs, and two signals."""
        companion = super().rungs(job, call)
        # Where nothing gentler can help, the first signal has nothing to wait for.
        waits = bool(companion) or call.hears_cancel()
        return [*companion,
                Rung(waits, "SIGTERM", partial(self._pool.kill, job, signal.SIGTERM)),
                Rung(True, "SIGKILL", partial(self._pool.kill, job, KILL))]

    def _check_import(self, data: bytes) -> None:
        """Have a process import the function; raise what that raises there."""
        with self._pool.use(None) as process:
            error = _import_in(process, data)
            if error is not None:
                process.is_doomed = True  # it holds a module that is half imported
        # Not above: an OSError of the module's own is not a lost process.
        if error is not None:
            raise error.revive()


def _import_in(process: WorkerProcess, data: bytes) -> SentError | None:
    process.channel.send(Check(data))
    if not process.channel.connection.poll(CHECK_TIMEOUT):
        return None  # if it fails later, the job fails
    answer = process.channel.receive()
    assert isinstance(answer, Checked)
    return answer.error


class _Pool:
    """The processes of one operation, each idle or busy with one job."""

    def __init__(self) -> None:
        # Guards what is below, and so decides who may signal a process. The guard of a job
        # signals a busy one with the lock held, so that it cannot become another job's in
        # between. One that was taken out of both belongs to a single thread, which may end it
        # without the lock.
        self._lock = threading.Lock()
        self._idle: list[WorkerProcess] = []
        self._busy: dict[Job[Any] | None, WorkerProcess] = {}  # None is the check
        self.is_closed = False  # changed with the lock held; read without it

    @contextlib.contextmanager
    def use(self, job: Job[Any] | None) -> Iterator[WorkerProcess]:
        """Give a job a process to itself.

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

    def kill(self, job: Job[Any], number: int) -> None:
        """Send a signal to a job's process, if it has one. Called by the job's guard."""
        with self._lock:
            if job in self._busy:
                self._busy[job].kill(number)

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
            if self.is_closed:
                raise WorkerLost("its operation was closed")
            process = self._idle.pop() if self._idle else WorkerProcess()
            if not process.is_alive():  # it was killed while it was idle
                process.end()
                process = WorkerProcess()
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


def _kill_with_job(job: Job[Any] | None, process: WorkerProcess) -> None:
    # The thread that attends the job, or the check, sees the pipe close and does the rest.
    if job is None:
        process.kill(KILL)
    else:
        job.stop("interrupted")
        job.stop_by("SIGKILL", partial(process.kill, KILL))
