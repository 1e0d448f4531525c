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
from typing import Any, Iterable, Mapping

from .channel import PICKLE, Channel, attend, revive, settle
from .errors import BadParameters, TargetError, WorkerLost
from .executors import Call, Threads
from .guard import Rung
from .job import Job
from .worker import main

PATIENCE = 5.0  # seconds that a first start waits to hear that the function can be imported
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # which Windows has not


class Processes(Threads):
    """Runs calls in warm processes, one for each job that runs at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards what is below
        self._idle: list[_Process] = []
        self._busy: dict[Job, _Process] = {}
        self._all: set[_Process] = set()
        self._checked = threading.Lock()  # taken by the one start that finds out, and kept
        weakref.finalize(self, _end_all, self._all)
        atexit.register(_end_all, self._all)  # before multiprocessing waits for them

    def check(self, call: Call, parameters: Mapping[str, Any]) -> None:
        """Raise `TargetError` or `BadParameters` if a call cannot be made in another process."""
        try:
            call.data = pickle.dumps(call)
        except Exception as error:
            bad = {name: "cannot be sent to another process"
                   for name, value in parameters.items() if not _can_be_pickled(value)}
            raise BadParameters(bad) if bad else _cannot_run(call, error) from error
        if self._checked.acquire(blocking=False):
            try:
                self._check_import(call)
            except BaseException:
                self._checked.release()
                raise

    def _check_import(self, call: Call) -> None:
        """Have a process import the function; it is the one that the job then gets."""
        process = self._take()
        try:
            process.send("check", "", call.data)
            if process.connection.poll(PATIENCE):
                for error in process.receive()[5:]:
                    raise revive(*error)
        except Exception as error:
            how = self._end(process)
            lost = isinstance(error, (EOFError, OSError))
            raise _cannot_run(call, how if lost else error) from error
        self._idle.append(process)

    def perform(self, job: Job, call: Call) -> Any:
        """Make a call in an idle process, or in a new one."""
        process = self._take(job)
        try:
            process.send("call", job.id, call.data)
            outcome = attend(job, call, process)
        except BaseException as error:
            how = self._end(process, job)
            if isinstance(error, (EOFError, OSError)):
                raise WorkerLost(how) from None
            raise  # of a report that cannot be read here
        with self._lock:
            del self._busy[job]
            self._idle.append(process)
        return settle(job, outcome)

    def rungs(self, job: Job, call: Call) -> list[Rung]:
        """Return the companion, which is called where the function runs, and two signals."""
        return [*super().rungs(job, call),
                (True, "SIGTERM", lambda: self._kill(job, signal.SIGTERM)),
                (True, "SIGKILL", lambda: self._kill(job, KILL))]

    def close(self) -> None:
        """End all processes, even those that still run a job."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._all.difference_update(idle)
        _end_all(idle)
        for job in [*self._busy]:
            job.stop_by("SIGKILL")
            self._kill(job, KILL)

    def _take(self, job: Job | None = None) -> _Process:
        with self._lock:
            while self._idle:
                process = self._idle.pop()
                if process.is_alive():  # somebody may have killed it meanwhile
                    break
                self._all.discard(process)
            else:
                process = _Process()
                self._all.add(process)
            if job:
                self._busy[job] = process
            return process

    def _kill(self, job: Job, number: int) -> None:
        with self._lock:  # so that it is not given to another job meanwhile
            if job in self._busy:
                self._busy[job].kill(number)

    def _end(self, process: _Process, job: Job | None = None) -> str:
        with self._lock:
            self._all.discard(process)
            if job:
                del self._busy[job]
        return process.end()


class _Process(Channel):
    """A process that makes calls, and the channel to it."""

    def __init__(self) -> None:
        here, there = Pipe()
        self._process = multiprocessing.get_context("spawn").Process(
            target=main, args=(there,), name="longop", daemon=True)
        with there:
            self._process.start()
        self.is_alive = self._process.is_alive
        super().__init__(here, PICKLE)

    def receive(self) -> Any:
        """Wait for a message, or for the end of the process.

        What the function has forked may hold the connection open.
        """
        while True:
            alive = self.is_alive()
            if self.connection.poll(0.5 if alive else 0):
                return super().receive()
            if not alive:
                raise EOFError

    def kill(self, number: int) -> None:
        """Send a signal to the process and to all that it has started."""
        pid = self._process.pid or 0
        if hasattr(os, "killpg"):
            with contextlib.suppress(OSError):  # there is none of them left
                os.killpg(pid, number)
        else:
            subprocess.call(["taskkill", "/F", "/T", "/PID", str(pid)], stdout=subprocess.DEVNULL)

    def end(self) -> str:
        """End the process; return how it ended, by itself perhaps."""
        self.kill(KILL)
        self._process.kill()  # of which the session may not have begun
        self._process.join()
        code = self._process.exitcode or 0
        self.connection.close()
        if code < 0:
            return f"its process was killed by {signal.Signals(-code).name}"
        return f"its process ended with exit code {code}"


def _end_all(processes: Iterable[_Process]) -> None:
    for process in [*processes]:
        process.end()


def _can_be_pickled(value: Any) -> bool:
    try:
        return bool(pickle.dumps(value))
    except Exception:
        return False


def _cannot_run(call: Call, why: object) -> TargetError:
    return TargetError(f"{call.function!r} cannot run in another process, which must be able to "
                       f"import it by its name: {why}")
