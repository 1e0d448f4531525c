"""Runs calls in any ``concurrent.futures.Executor``: a pool, Dask's cluster, MPI.

    the job's thread ─── the call ──▶ ┌──────────┐ ──▶ worker
                     ◀── the outcome ─┤ executor │ ◀──   │
                                      └──────────┘       │
    the line's thread ◀─ Hello, Begun, Reported, Ended ──┤   a connection of the worker's own,
                      ─── Welcome, Cancel, Companion ──▶ ┘   which `listener` takes in

The executor carries the call, with the operation's secret in it, and brings the outcome back.
What passes in between takes the line. The two may disagree: an executor can lose a worker that
still runs, try a call again, or keep silent for ever. `_Line` and `_await_outcome` decide who
is right.
"""

from __future__ import annotations

import os
import threading
from concurrent import futures
from typing import Any, Callable

from ..errors import OperationCancelled, TargetError, WorkerLost
from ..executors import Backend, Call
from ..guard import Guard
from ..job import Job
from ..status import State
from .attend import FarCall
from .channel import Channel
from .listener import Address, ReportListener
from .messages import Hello, Welcome
from .outcome import Outcome
from .picklers import pickle_for
from .worker import perform_for

OUTCOME_TIMEOUT = 5.0  # seconds an executor has to say what became of a worker that was lost


class ExecutorBackend(Backend):
    """Runs calls in an executor; listens at ``report_to``, a host and a port, for workers."""

    def __init__(self, executor: futures.Executor, report_to: Address) -> None:
        self._executor = executor
        self._key = os.urandom(32)
        self._listener = ReportListener(report_to, self._key, self._attend)
        # The lines of the jobs whose worker has not come yet, by the job's id. Without a lock:
        # a dict's own `pop` decides which of two workers gets a line.
        self._lines: dict[str, _Line] = {}

    def check(self, call: Call) -> None:
        """Raise `TargetError` if it is known that the executor cannot send a call."""
        try:
            call.data = pickle_for(self._executor, call)
        except Exception as error:
            raise TargetError(f"{call.function!r} cannot run in {self._executor!r}, which must "
                              f"be able to send it and its parameters: {error}") from error

    def perform(self, job: Job[Any], call: Call, guard: Guard) -> Any:
        """Have the executor make a call, and return its value.

        Runs in the job's thread.
        """
        line = _Line(FarCall(job, call, guard))
        with self._listener.listening() as address:
            self._lines[job.id] = line
            try:
                outcome = self._submit(line, address)
            except BaseException:
                if not line.is_code_over():
                    # The executor may have lost a worker that still runs: tell it to stop.
                    job.lose()
                    job.callback.cancel()
                raise
            finally:
                self._lines.pop(job.id, None)
        if outcome.told and job.state is State.RUNNING:
            # The function was stopped, but not by the job: its worker lost the connection.
            raise WorkerLost("the connection to its worker broke")
        return outcome.settle(job)

    def _submit(self, line: _Line, address: Address) -> Outcome:
        job, call = line.far.job, line.far.call
        future = self._executor.submit(
            perform_for, address, self._key, job.id, call.data or call)
        # A cancel gives the line up, unless a worker has come: that one is then told to stop.
        job.callback.on_cancel(line.give_up)
        _wait_for_either(line, future)
        if line.far.is_refused or (line.give_up() and not future.done()):
            future.cancel()
            raise OperationCancelled("it had not begun")
        return _await_outcome(line, future)

    def _attend(self, channel: Channel) -> None:
        """Attend a worker that has connected. Runs in a thread of the connection's own."""
        hello = channel.receive()
        if not isinstance(hello, Hello):
            return
        # A job's line is given out once: another worker that gets the same call, because the
        # executor has lost the first one, is refused.
        line = self._lines.pop(hello.job_id)
        if not line.open():
            return
        code_has_ended = False
        try:
            if line.far.begin(channel, Welcome(hello.job_id)):
                line.far.attend(channel)
            code_has_ended = True
        finally:
            line.close(code_has_ended)


class _Line:
    """A job's line to its worker: it waits for the worker, then is open, then is closed.

    It is given up instead if it is not needed any more before a worker has come. Which of the
    two happens first decides whether the function runs at all, so both take one step of a
    Future, whose lock lets one of them win.
    """

    def __init__(self, far: FarCall) -> None:
        self.far = far
        # Runs while the line is open. Its result says whether the code had ended when it
        # closed.
        self._future: futures.Future[bool] = futures.Future()

    def open(self) -> bool:
        """Take a worker in; return False if the line was given up. Called once."""
        return self._future.set_running_or_notify_cancel()

    def close(self, code_has_ended: bool) -> None:
        """Say that the worker's connection is gone, and whether its code had ended by then."""
        self._future.set_result(code_has_ended)

    def give_up(self) -> bool:
        """Refuse any worker; return False if one has come already."""
        return self._future.cancel()

    def is_over(self) -> bool:
        """Return whether it is closed or was given up."""
        return self._future.done()

    def is_code_over(self) -> bool:
        """Return whether it is known that the code has ended, or that it will never begin."""
        return self.give_up() or (self.is_over() and self._future.result())

    def when_over(self, callback: Callable[[object], object]) -> None:
        """Call a callback, with one argument that says nothing, once the line is over."""
        self._future.add_done_callback(callback)

    def wait_for_end_of_code(self) -> bool:
        """Wait until the line is over; return whether the code has ended, or never began."""
        if self._future.cancelled():
            return True
        return self._future.result()


def _wait_for_either(line: _Line, future: futures.Future[Outcome]) -> None:
    """Wait until a line is over, or the executor has an answer."""
    over = threading.Event()
    line.when_over(lambda ignored: over.set())
    future.add_done_callback(lambda ignored: over.set())
    over.wait()


def _await_outcome(line: _Line, future: futures.Future[Outcome]) -> Outcome:
    """Return the outcome that the executor brings, or raise why there is none."""
    # What an executor calls cancelled may run on, as with Dask: then the line tells when it
    # ends. If the executor has any other answer while the line is open, that answer counts.
    code_has_ended = False
    if line.is_over() or future.cancelled():
        code_has_ended = line.wait_for_end_of_code()
    timeout: float | None = OUTCOME_TIMEOUT
    if code_has_ended and line.far.job.state is State.RUNNING:
        timeout = None  # it is on its way, and a large one takes long
    try:
        return future.result(timeout)
    except (futures.CancelledError, futures.TimeoutError, WorkerLost) as error:
        if not code_has_ended:
            raise WorkerLost("the connection to its worker broke; its code may still run "
                             "there") from error
        if future.cancelled():
            raise WorkerLost("its executor has cancelled it") from error
        if future.done():
            raise  # the worker says that it could not reach the job
        # Its outcome does not come in time; but its code has ended, as a cancel wanted it to.
        raise OperationCancelled("it has stopped, whatever became of its outcome") from error
