"""Calls in any ``concurrent.futures.Executor``: a pool, Dask's cluster, MPI.

The executor carries a call there and its outcome back. Reports and the cancel take a connection of
their own, which the worker makes to the operation. Each side proves to the other that it has the
operation's secret, which travels with the call; the messages are JSON.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import copy
import os
import socket
import threading
import weakref
from concurrent.futures import CancelledError, Executor, Future, InvalidStateError, wait
from multiprocessing.connection import Listener, answer_challenge, deliver_challenge
from typing import Any, Callable

from .errors import LongOperationError, OperationCancelled, WorkerLost
from .executors import Call, Threads
from .job import Job
from .status import State
from .worker import JSON, Channel, attend, perform_for, settle

PATIENCE = 5.0  # seconds that an executor has to say why a worker is lost
_BROKEN, _CANCELLED = "the connection to its worker broke", "its executor has cancelled it"


class Remote(Threads):
    """Runs calls in an executor; listens at ``(host, port)`` for what is reported."""

    def __init__(self, executor: Executor, report_to: tuple[str, int]) -> None:
        self._executor, self._report_to = executor, report_to
        self._key = os.urandom(32)
        self._lock = threading.Lock()  # guards the listener, which is there while there are jobs
        self._listener: Any = None  # a Listener
        self._thread = threading.Thread()
        self._jobs = 0
        # That of which the worker has not come yet, with what is told how the connection ended.
        self._waiting: dict[str, tuple[Job, Call, Callable[[Any], None]]] = {}

    def perform(self, job: Job, call: Call) -> Any:
        """Have the executor make a call, and wait for its outcome."""
        over: Future[None] = Future()  # when nothing more will come
        future: Future[Any] | None = None

        def end(error: BaseException | None) -> None:
            with contextlib.suppress(InvalidStateError):  # it was over before
                over.set_exception(error) if error else over.set_result(None)

        def leave(error: BaseException) -> None:
            if self._waiting.pop(job.id, None):  # else it runs on, whatever the executor says
                end(error)

        def executed(future: Future[Any]) -> None:
            leave(WorkerLost(_CANCELLED)) if future.cancelled() else end(None)

        def disconnected(error: BaseException | None) -> None:
            if future and not error and job.state is not State.RUNNING:
                wait([future], PATIENCE)
                error = OperationCancelled("it has stopped, whatever became of its outcome")
            if error or (future and future.cancelled()):
                end(error or WorkerLost(_CANCELLED))

        self._waiting[job.id] = job, call, disconnected
        try:
            future = self._executor.submit(perform_for, self._open(), self._key, job.id,
                                           copy.copy(call))
            future.add_done_callback(executed)
            job.callback.on_cancel(lambda: leave(OperationCancelled("it had not begun")))
            outcome = future.result() if over.exception() is None else _explain(future, over)
        except BaseException:
            job.callback.cancel()  # of what the executor has lost, but still runs
            raise
        finally:
            self._waiting.pop(job.id, None)
            self._close()
        if outcome[1] and job.state is State.RUNNING:
            raise WorkerLost(_BROKEN)  # which is why it stopped
        return settle(job, outcome)

    def _open(self) -> tuple[str, int]:
        with self._lock:
            self._jobs += 1
            if self._listener is None:
                try:
                    self._listener = Listener(self._report_to, backlog=128)
                except OSError as error:
                    raise LongOperationError(f"report_to={self._report_to}: {error}") from error
                _LISTENERS.add(self._listener)
                self._thread = threading.Thread(target=self._listen, args=(self._listener,),
                                                daemon=True)
                self._thread.start()
            return self._report_to[0], self._listener.address[1]

    def _close(self) -> None:
        with self._lock:
            self._jobs -= 1
            if self._listener and not self._jobs:
                address, self._listener = self._listener.address, None
                with contextlib.suppress(OSError), socket.create_connection(address):
                    self._thread.join()  # which waits for a connection, and has one now

    # In threads of their own

    def _listen(self, listener: Listener) -> None:
        with listener, contextlib.suppress(OSError):
            while self._listener is listener:
                connection = listener.accept()
                threading.Thread(target=self._attend, args=(connection,), daemon=True).start()

    def _attend(self, connection: Any) -> None:
        with connection, contextlib.suppress(Exception):  # whoever it is that connects
            deliver_challenge(connection, self._key)
            answer_challenge(connection, self._key)
            channel = Channel(connection, JSON)
            # Once only: a worker that is started anew, after one was lost, is refused.
            job, call, disconnected = self._waiting.pop(channel.receive()[1])
            try:
                channel.send("run", job.id)
                attend(job, call, channel)
                disconnected(None)
            except Exception:  # of what is no message too
                disconnected(WorkerLost(_BROKEN))


def _explain(future: Future[Any], over: Future[None]) -> Any:
    """Return the outcome of a call that seems lost, or raise what the executor says of it."""
    if isinstance(over.exception(), OperationCancelled):
        future.cancel()
    else:
        with contextlib.suppress(concurrent.futures.TimeoutError, CancelledError, WorkerLost):
            return future.result(PATIENCE)
    return over.result()


_LISTENERS: weakref.WeakSet[Listener] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):  # a pool that forks would keep the port taken
    os.register_at_fork(after_in_child=lambda: [*map(Listener.close, _LISTENERS)])
