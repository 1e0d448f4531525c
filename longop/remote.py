"""Calls in any ``concurrent.futures.Executor``: a pool, Dask's cluster, MPI.

The executor carries a call there and its outcome back. Reports and the cancel take a connection of
their own, which the worker makes to the job. Each side proves to the other that it has the job's
secret, which travels with the call; the messages are JSON.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import socket
from concurrent.futures import Executor, Future
from multiprocessing import AuthenticationError
from multiprocessing.connection import Listener
from typing import Any

from .errors import OperationCancelled, WorkerLost
from .executors import Call, Threads
from .job import Job
from .status import State
from .worker import JSON, Channel, attend, perform_for, settle

PATIENCE = 5.0  # seconds that an executor has to say why a worker is lost


class Remote(Threads):
    """Runs calls in an executor; each job listens at ``(host, port)`` for what is reported."""

    is_local = False

    def __init__(self, executor: Executor, report_to: tuple[str, int]) -> None:
        self._executor, self._report_to = executor, report_to

    def perform(self, job: Job, call: Call) -> Any:
        """Have the executor make a call, and wait for its outcome."""
        key = os.urandom(32)
        with Listener(self._report_to, authkey=key) as listener:
            address = self._report_to[0], listener.address[1]
            future = self._executor.submit(perform_for, address, key, job.id, call)
            # Once only: a worker that is started anew, after one was lost, finds nobody here.
            connection = _accept(listener, job, future)
        if connection:
            with connection, contextlib.suppress(EOFError, OSError):
                attend(job, call, Channel(connection, JSON))
        elif not future.done():
            future.cancel()  # or it finds nobody here
            raise OperationCancelled("it had not begun")
        try:
            return settle(job, future.result(PATIENCE))
        except concurrent.futures.TimeoutError:
            raise WorkerLost("the connection to its worker broke") from None


def _accept(listener: Listener, job: Job, future: Future[Any]) -> Any:
    """Wait for the worker; return None if the call is over, or cancelled, before it comes."""
    address = listener.address

    def wake(*ignored: Any) -> None:
        with contextlib.suppress(OSError), socket.create_connection(address):
            pass

    future.add_done_callback(wake)
    job.callback.on_cancel(wake)
    while not future.done() and job.state is State.RUNNING:
        with contextlib.suppress(AuthenticationError, EOFError, OSError):
            return listener.accept()
    return None
