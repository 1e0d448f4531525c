"""Where workers on other machines reach an operation: a port that is open while it has jobs.

Each side proves to the other that it has the operation's secret before anything else is read.
Knows nothing of jobs.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from multiprocessing.connection import Listener, answer_challenge, deliver_challenge
from multiprocessing.util import register_after_fork
from typing import TYPE_CHECKING, Any, Callable, Iterator, Tuple

from ..errors import LongOperationError
from ..job import logger
from .channel import JSON, Channel

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Address = Tuple[str, int]

ACCEPT_PAUSE = 0.1  # seconds after a connection that could not be accepted


class ReportListener:
    """Listens while a job is in `listening`, and hands each worker's channel to ``attend``.

    ``attend`` is called in a thread of that connection's own. What it raises is dropped, and
    when it returns the connection is closed.
    """

    def __init__(self, report_to: Address, key: bytes,
                 attend: Callable[[Channel], None]) -> None:
        self._report_to = report_to
        self._key = key
        self._attend = attend
        # Guards what is below. Held while the port is opened and closed, so that a job that
        # starts as the last one ends finds it closed, or keeps it open.
        self._lock = threading.Lock()
        self._users = 0
        self._listener: Listener | None = None  # None while the port is closed
        self._address: Address = report_to  # with the real port, where 0 was asked for
        self._thread = threading.Thread()

    @contextlib.contextmanager
    def listening(self) -> Iterator[Address]:
        """Keep the port open; yield the address that workers are to connect to.

        Raises `LongOperationError` if ``report_to`` cannot be listened at.
        """
        with self._lock:
            if self._users == 0:
                self._open()
            self._users += 1
            address = self._report_to[0], self._address[1]
        try:
            yield address
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._close()

    def _open(self) -> None:
        try:
            listener = Listener(self._report_to, backlog=128)
        except OSError as error:
            raise LongOperationError(f"report_to={self._report_to}: {error}") from error
        # A pool that forks its workers would keep the port taken after the last job.
        register_after_fork(listener, Listener.close)
        bound: Any = listener.address
        self._address = bound[0], bound[1]
        self._listener = listener
        self._thread = threading.Thread(target=self._accept, args=(listener,), daemon=True)
        self._thread.start()

    def _close(self) -> None:
        self._listener = None
        # The thread waits in accept(), which closing the socket does not end on every system.
        # It gets a connection instead, sees that it is not wanted any more, and closes the
        # port.
        with contextlib.suppress(OSError), socket.create_connection(self._address):
            self._thread.join()

    def _accept(self, listener: Listener) -> None:
        """Accept connections. Runs in the listener's own thread."""
        with listener:
            # Read without the lock: `_close` connects after it has changed it.
            while self._listener is listener:
                try:
                    connection = listener.accept()
                except OSError as error:
                    # The worker has left again, or this process has too many files open. The port
                    # stays open: other workers may come, when there is room.
                    logger.warning("a worker could not be accepted: %s", error)
                    time.sleep(ACCEPT_PAUSE)
                    continue
                # A thread for each: a stranger that connects and is silent delays no worker.
                threading.Thread(target=self._admit, args=(connection,), daemon=True).start()

    def _admit(self, connection: Connection) -> None:
        """Attend a worker that has the key. Runs in a thread of this connection's own."""
        # Anybody can connect and send anything: that must not show, and must not do harm.
        with connection, contextlib.suppress(Exception):
            deliver_challenge(connection, self._key)
            answer_challenge(connection, self._key)
            self._attend(Channel(connection, JSON))
