"""Calls in processes of their own, which can be killed. Each operation keeps its processes warm.

    job ── call ──▶ ┌─────────┐   one connection for each process, a thread of the job that always
        ◀─ reports ─┤ process │   drains it, and no lock that a killed process could hold
        ── cancel ▶ └─────────┘

A process leads a session of its own, so that it can be ended with all that it has started.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import pickle
import signal
import subprocess
import threading
import weakref
from multiprocessing.connection import Pipe
from typing import Any, Iterable

from .errors import TargetError, WorkerLost
from .executors import Call, Threads
from .guard import Rung
from .job import Job
from .worker import PICKLE, Channel, attend, main, revive, settle

PATIENCE = 5.0  # seconds that a first start waits to hear that the function can be imported
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # which Windows has not


class Processes(Threads):
    """Runs calls in warm processes, one for each job that runs at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the processes and what they are for
        self._all: list[_Process] = []
        self._closed = False
        self._checked = threading.Lock()  # taken by the one start that finds out, and kept
        weakref.finalize(self, _end_all, self._all)

    def check(self, call: Call) -> None:
        """Raise `TargetError` if a call cannot be made in another process."""
        try:
            call.data = pickle.dumps(call)
        except Exception as error:
            raise _cannot_run(call, error) from error
        if self._checked.acquire(blocking=False):
            try:
                self._check_import(call)
            except BaseException:
                self._checked.release()
                raise

    def _check_import(self, call: Call) -> None:
        """Have a process import the function; it is the one that the job then gets."""
        process = self._take("check")
        try:
            process.send("check", "check", call.data)
            if process.connection.poll(PATIENCE):
                for error in process.receive()[5:]:
                    raise revive(*error)
        except Exception as error:
            how = self._end(process)
            lost = isinstance(error, (EOFError, OSError))
            raise _cannot_run(call, how if lost else error) from error
        process.job = None

    def perform(self, job: Job, call: Call) -> Any:
        """Make a call in an idle process, or in a new one."""
        process = self._take(job)
        try:
            process.send("call", job.id, call.data)
            outcome = attend(job, call, process)
        except (EOFError, OSError):
            raise self._end(process) from None
        except BaseException:  # of a report that cannot be read here
            self._end(process)
            raise
        with self._lock:
            process.job = None
            doomed = process.doomed
        if doomed:  # what kills it may come when it has another job
            self._end(process)
        return settle(job, outcome)

    def rungs(self, job: Job, call: Call) -> list[Rung]:
        """Return the companion, which is called where the function runs, and two signals."""
        return [*super().rungs(job, call),
                (True, "SIGTERM", lambda: self._kill(job, signal.SIGTERM)),
                (True, "SIGKILL", lambda: self._kill(job, KILL))]

    def close(self) -> None:
        """End all processes, even those that still run a job."""
        with self._lock:
            self._closed = True
            all_, self._all[:] = [*self._all], [process for process in self._all if process.job]
        _end_all(all_)

    def _take(self, job: object) -> _Process:
        with self._lock:
            if self._closed:
                raise WorkerLost("its operation was closed")
            self._all[:] = [process for process in self._all if process.job or process.is_alive()]
            idle = [process for process in self._all if not (process.job or process.doomed)]
            if not idle:
                idle.append(_Process())
                self._all.append(idle[-1])
            idle[-1].job = job
            return idle[-1]

    def _kill(self, job: Job, number: int) -> None:
        with self._lock:  # so that none is given to another job meanwhile
            for process in self._all:
                if process.job is job:
                    process.doomed = True
                    process.kill(number)

    def _end(self, process: _Process) -> WorkerLost:
        with self._lock:
            self._all[:] = [other for other in self._all if other is not process]
        return process.end()


class _Process(Channel):
    """A process that makes calls, and the channel to it."""

    def __init__(self) -> None:
        here, there = Pipe()
        self.job: object = None  # that it is for, if it is not idle
        self.doomed = False  # it was sent a signal
        self._process = multiprocessing.get_context("spawn").Process(
            target=main, args=(there,), name="longop", daemon=True)
        with there:
            self._process.start()
        _ALIVE.add(self)
        self.is_alive = self._process.is_alive
        super().__init__(here, PICKLE)

    def kill(self, number: int) -> None:
        """Send a signal to the process and to all that it has started."""
        with contextlib.suppress(OSError, AttributeError):  # there is none of them left
            pid = self._process.pid or 0
            if os.name == "nt":
                subprocess.call(["taskkill", "/F", "/T", "/PID", str(pid)])
                return
            try:
                os.killpg(pid, number)
            except ProcessLookupError:  # it still imports the script: then its session begins
                (self._process.kill if number == KILL else self._process.terminate)()

    def end(self) -> WorkerLost:
        """End the process; return how it ended, by itself perhaps."""
        self.kill(KILL)
        self._process.join()
        code = self._process.exitcode or 0
        del self._process, self.is_alive  # and what they have open, which errors may hold
        self.connection.close()
        _ALIVE.discard(self)
        means = signal.Signals(-code).name if code < 0 else None
        lost = WorkerLost("its process " + (f"was killed by {means}" if means
                                            else f"ended with exit code {code}"))
        lost.means = means
        return lost


def _end_all(processes: Iterable[_Process]) -> None:
    for process in [*processes]:
        if isinstance(process.job, Job):
            process.job.stop_by("SIGKILL")
            process.kill(KILL)  # the thread that attends it does the rest
        else:
            process.end()


_ALIVE: weakref.WeakSet[_Process] = weakref.WeakSet()
atexit.register(_end_all, _ALIVE)  # before multiprocessing waits for them


def _cannot_run(call: Call, why: object) -> TargetError:
    return TargetError(f"{call.function!r} cannot run in another process, which must be able to "
                       f"import the function by its name and to be sent its parameters: {why}")
