"""Calls in any ``concurrent.futures.Executor``: a pool, Dask's cluster, MPI.

The executor carries a call there and its outcome back. Reports and the cancel take a connection of
their own, which the worker makes to the operation. Each side proves to the other that it has the
operation's secret, which travels with the call; the messages are JSON.
"""

from __future__ import annotations

import contextlib
import copy
import os
import socket
import threading
from concurrent import futures
from multiprocessing.connection import Listener, answer_challenge, deliver_challenge
from multiprocessing.util import register_after_fork
from typing import Any, Iterator

from ..errors import LongOperationError, OperationCancelled, WorkerLost
from ..executors import Backend, Call
from ..job import Job
from ..status import State
from .worker import JSON, Channel, attend, perform_for, settle

PATIENCE = 5.0  # seconds that an executor has to say why a worker is lost


class ExecutorBackend(Backend):
    """Runs calls in an executor; listens at ``(host, port)`` for what is reported."""

    def __init__(self, executor: futures.Executor, report_to: tuple[str, int]) -> None:
        self._executor, self._report_to = executor, report_to
        self._key = os.urandom(32)
        self._lock = threading.Lock()  # guards the listener, which is there while there are jobs
        self._listener: Any = None  # a Listener
        self._thread = threading.Thread()
        self._jobs = 0
        # Each with its line, a Future that runs from when its worker comes to when that is gone,
        # and tells whether the code had ended by then.
        self._waiting: dict[str, tuple[Job, Call, futures.Future[bool]]] = {}

    def perform(self, job: Job, call: Call) -> Any:
        """Have the executor make a call, and wait for its outcome."""
        line: futures.Future[bool] = futures.Future()
        with self._listening() as address:
            self._waiting[job.id] = job, call, line
            try:
                outcome = self._submit(job, call, line, address)
            except BaseException:
                job.callback.cancel()  # of what the executor has lost, but still runs
                raise
            finally:
                self._waiting.pop(job.id, None)
        if outcome[1] and job.state is State.RUNNING:
            raise WorkerLost("the connection to its worker broke")  # which is why it stopped
        return settle(job, outcome)

    def _submit(self, job: Job, call: Call, line: futures.Future[bool], address: Any) -> Any:
        future = self._executor.submit(perform_for, address, self._key, job.id, copy.copy(call))
        over = threading.Event()
        for one in line, future:
            one.add_done_callback(lambda one: over.set())
        job.callback.on_cancel(line.cancel)  # which does nothing once a worker has come
        over.wait()
        is_alone = line.cancel()
        if is_alone and not future.done():
            future.cancel()
            raise OperationCancelled("it had not begun")
        # What an executor calls cancelled may run on.
        ended = is_alone or ((line.done() or future.cancelled()) and line.result())
        try:
            return future.result(None if ended and job.state is State.RUNNING else PATIENCE)
        except (futures.CancelledError, futures.TimeoutError, WorkerLost) as error:
            if not ended:
                raise WorkerLost("the connection to its worker broke") from error
            if future.cancelled():
                raise WorkerLost("its executor has cancelled it") from error
            if future.done():
                raise
            raise OperationCancelled("it has stopped, whatever became of its outcome") from error

    @contextlib.contextmanager
    def _listening(self) -> Iterator[tuple[str, int]]:
        with self._lock:
            if self._listener is None:
                try:
                    self._listener = Listener(self._report_to, backlog=128)
                except OSError as error:
                    raise LongOperationError(f"report_to={self._report_to}: {error}") from error
                register_after_fork(self._listener, Listener.close)  # or a pool would keep the port
                self._thread = threading.Thread(target=self._listen, args=(self._listener,),
                                                daemon=True)
                self._thread.start()
            self._jobs += 1
            address = self._listener.address
        try:
            yield self._report_to[0], address[1]
        finally:
            with self._lock:
                self._jobs -= 1
                if not self._jobs:
                    self._listener = None
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
            job, call, line = self._waiting.pop(channel.receive()[1])
            if line.set_running_or_notify_cancel():
                ended = False
                with contextlib.suppress(Exception):  # of what is no message too
                    channel.send("run", job.id)
                    attend(job, call, channel)
                    ended = True
                line.set_result(ended)
