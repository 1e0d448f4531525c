"""Calls in any ``concurrent.futures.Executor``: a pool, Dask's cluster, MPI.

The executor carries a call there and its outcome back. Reports and the cancel take a connection of
their own, which the worker makes to the job. Each side proves to the other that it has the job's
secret, which travels with the call; the messages are JSON.
"""

from __future__ import annotations

import contextlib
import os
import socket
from concurrent.futures import CancelledError, Executor, Future, TimeoutError
from multiprocessing import AuthenticationError
from multiprocessing.connection import Listener
from typing import Any

from .channel import JSON, Channel, attend, settle
from .errors import OperationCancelled, WorkerLost
from .executors import Call, Threads
from .job import Job
from .worker import perform_for

PATIENCE = 5.0  # seconds that an executor has to say why a worker is lost


class Remote(Threads):
    """Runs calls in an executor; each job listens at ``(host, port)`` for what is reported."""

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
        try:
            return settle(job, future.result(PATIENCE))
        except CancelledError:
            raise OperationCancelled("it had not begun") from None
        except TimeoutError:
            raise WorkerLost("the connection to its worker broke") from None


def _accept(listener: Listener, job: Job, future: Future[Any]) -> Any:
    """Wait for the worker; return None if the call is over before it has connected."""
    address, connection = listener.address, None

    def wake(future: Future[Any]) -> None:
        with contextlib.suppress(OSError), socket.create_connection(address):
            pass

    def cancel() -> None:
        if connection is None:  # else it would run on, whatever Future says
            future.cancel()

    job.callback.on_cancel(cancel)
    future.add_done_callback(wake)
    while connection is None and not future.done():
        with contextlib.suppress(AuthenticationError, EOFError, OSError):
            connection = listener.accept()
    return connection
