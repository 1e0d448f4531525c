"""Calls in processes of their own, which can be killed. Each operation keeps its processes warm.

    job ── call ──▶ ┌─────────┐   one connection for each process, a thread of the job that always
        ◀─ reports ─┤ process │   drains it, and no lock that a killed process could hold
        ── cancel ▶ └─────────┘

A process leads a session of its own, so that it can be ended with all that it has started.
"""

from __future__ import annotations

import contextlib
import multiprocessing.util
import os
import pickle
import signal
import subprocess
import threading
from typing import Any, Iterator

from ..errors import TargetError, WorkerLost
from ..executors import Backend, Call
from ..guard import Rung
from ..job import Job
from .worker import PICKLE, Channel, attend, main, revive, settle

PATIENCE = 5.0  # seconds that a first start waits to hear that the function can be imported
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # which Windows has not


class ProcessBackend(Backend):
    """Runs calls in warm processes, one for each job that runs at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the processes
        self._idle: list[_Process] = []
        self._busy: dict[object, _Process] = {}  # by what they are for
        self._checking = threading.Lock()  # one start at a time finds out
        self._checked = False
        # Called by close, else when this is dropped, else before multiprocessing waits for them;
        # not in a copy of this process.
        self._end = multiprocessing.util.Finalize(
            self, _end_all, (self._lock, self._idle, self._busy), exitpriority=100)

    def check(self, call: Call) -> None:
        """Raise `TargetError` if a call cannot be made in another process."""
        try:
            call.data = pickle.dumps(call)
            with self._checking:
                if not self._checked:
                    self._check_import(call.data)
                self._checked = True
        except Exception as error:
            raise TargetError(
                f"{call.function!r} cannot run in another process, which must be able to import "
                f"the function by its name and to be sent its parameters: {error}") from error

    def _check_import(self, data: bytes) -> None:
        """Have a process import the function; it is the one that the job then gets."""
        errors: Any = ()
        with self._process("check") as process:
            process.send("check", "check", data)
            if process.connection.poll(PATIENCE):
                errors = process.receive()[5:]
                process.doomed = bool(errors)  # a part of the module is loaded there
        for error in errors:
            raise revive(*error)

    def perform(self, job: Job, call: Call) -> Any:
        """Make a call in an idle process, or in a new one."""
        with self._process(job) as process:
            process.send("call", job.id, call.data)
            outcome = attend(job, call, process)
        return settle(job, outcome)

    def rungs(self, job: Job, call: Call) -> list[Rung]:
        """Return the companion, which is called where the function runs, and two signals."""
        return [*super().rungs(job, call),
                Rung(True, "SIGTERM", lambda: self._kill(job, signal.SIGTERM)),
                Rung(True, "SIGKILL", lambda: self._kill(job, KILL))]

    def close(self) -> None:
        """End all processes, even those that still run a job."""
        self._end()

    @property
    def closed(self) -> bool:
        """True once nothing can be run any more."""
        return not self._end.still_active()

    @contextlib.contextmanager
    def _process(self, job: object) -> Iterator[_Process]:
        """Have a process to oneself, an idle one or a new one; what goes wrong ends it."""
        with self._lock:
            if self.closed:
                raise WorkerLost("its operation was closed")
            process = self._idle.pop() if self._idle else _Process()
            if not process.worker.is_alive():
                process.end()
                process = _Process()
            self._busy[job] = process
        fine = lost = False
        try:
            yield process
            fine = True
        except (EOFError, OSError):
            lost = True
        finally:
            with self._lock:  # after which it is sent no signal; but one may be on its way
                del self._busy[job]
                fine = fine and not (process.doomed or self.closed)
                if fine:
                    self._idle.append(process)
            how = None if fine else process.end()
        if lost and how:
            raise how

    def _kill(self, job: Job, number: int) -> None:
        with self._lock:  # so that it is given to no other job meanwhile
            if job in self._busy:
                self._busy[job].kill(number)


class _Process(Channel):
    """A process that makes calls, and the channel to it."""

    def __init__(self) -> None:
        here, there = multiprocessing.Pipe()
        self.doomed = False  # it was sent a signal
        self.worker = multiprocessing.get_context("spawn").Process(
            target=main, args=(there,), name="longop", daemon=True)
        with there:
            self.worker.start()
        super().__init__(here, PICKLE)

    def kill(self, number: int) -> None:
        """Send a signal to the process and to all that it has started."""
        self.doomed = True
        pid = self.worker.pid or 0
        if not hasattr(os, "killpg"):
            subprocess.call(["taskkill", "/F", "/T", "/PID", str(pid)], stdout=subprocess.DEVNULL)
            return
        try:
            os.killpg(pid, number)
        except OSError:  # there is none of them left, or its session has not begun
            (self.worker.kill if number == KILL else self.worker.terminate)()

    def end(self) -> WorkerLost:
        """End the process; return how it ended, by itself perhaps."""
        self.kill(KILL)
        self.worker.join()
        self.connection.close()
        code = self.worker.exitcode or 0
        del self.worker  # and what it has open, which errors may hold
        if code >= 0:
            return WorkerLost(f"its process ended with exit code {code}")
        name = next((one.name for one in signal.Signals if one == -code), f"signal {-code}")
        lost = WorkerLost(f"its process was killed by {name}")
        lost.means = name
        return lost


def _end_all(lock: threading.Lock, idle: list[_Process], busy: dict[object, _Process]) -> None:
    with lock:
        for process in idle:
            process.end()
        for job, process in busy.items():
            if isinstance(job, Job):
                job.stop("interrupted")
                job.stop_by("SIGKILL", lambda: None)
            process.kill(KILL)  # the thread that attends it does the rest
