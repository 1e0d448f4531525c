"""Where workers on other machines reach an operation: a port that is open while it has jobs.

Each side proves to the other that it has the operation's secret before anything else is read.
Until then the other side is a stranger: there are few of them, not for long, and none once the
port is closed. Knows nothing of jobs.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from multiprocessing.util import register_after_fork
from typing import Callable, Iterator, Tuple

from ..errors import LongOperationError
from ..job import logger
from ..values.sockets import limit_reads, listen
from .channel import JSON, Channel

Address = Tuple[str, int]

ACCEPT_PAUSE = 0.1  # seconds after a connection that could not be accepted
MAX_STRANGERS = 64  # a worker is one for a few milliseconds; of more, the oldest has to go
STRANGER_TIMEOUT = 10.0  # seconds a stranger has to prove that it is none


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
        self._server: socket.socket | None = None  # None while the port is closed
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
            server = listen(self._report_to, backlog=128)
        except OSError as error:
            raise LongOperationError(f"report_to={self._report_to}: {error}") from error
        # A pool that forks its workers would keep the port taken after the last job.
        register_after_fork(server, socket.socket.close)
        self._address = server.getsockname()
        self._server = server
        self._thread = threading.Thread(
            target=self._accept, args=(server,), name="longop_listener", daemon=True)
        self._thread.start()

    def _close(self) -> None:
        self._server = None
        # The thread waits in accept(), which closing the socket does not end on every system.
        # It gets a connection instead, sees that it is not wanted any more, and closes the
        # port.
        with contextlib.suppress(OSError), socket.create_connection(self._address):
            self._thread.join()

    def _accept(self, server: socket.socket) -> None:
        """Accept connections. Runs in the listener's own thread."""
        strangers = _Strangers()
        with server:
            # Read without the lock: `_close` connects after it has changed it.
            while self._server is server:
                try:
                    server.settimeout(strangers.hang_up_on_the_slow())
                    stranger, _ = server.accept()
                except socket.timeout:
                    continue  # one of them has become slow
                except OSError as error:
                    # The worker has left again, or this process has too many files open. The port
                    # stays open: other workers may come, when there is room.
                    logger.warning("a worker could not be accepted: %s", error)
                    time.sleep(ACCEPT_PAUSE)
                    continue
                strangers.add(stranger)
                # A thread for each: one that connects and is silent delays no worker.
                threading.Thread(target=self._admit, args=(stranger, strangers),
                                 name="longop_listener_line", daemon=True).start()
        strangers.hang_up_on_all()

    def _admit(self, stranger: socket.socket, strangers: _Strangers) -> None:
        """Attend a worker that has the key. Runs in a thread of this connection's own."""
        # Anybody can connect and send anything: that must not show, and must not do harm.
        # A duplicate of the socket, because `strangers` may hang up on this one at any moment.
        with contextlib.suppress(Exception), Connection(stranger.dup().detach()) as connection:
            deliver_challenge(connection, self._key)
            answer_challenge(connection, self._key)
            if strangers.remove(stranger):
                limit_reads(stranger, 0)
                self._attend(Channel(connection, JSON))
        strangers.remove(stranger)
        stranger.close()


class _Strangers:
    """The connections at a port that have not proved yet that they are a worker's.

    To hang up wakes the thread that waits for what the stranger says; that one closes it.
    """

    def __init__(self) -> None:
        # Held while one is hung up on, so that its thread does not close it meanwhile.
        self._lock = threading.Lock()
        self._due: dict[socket.socket, float] = {}  # until when each has time; oldest first

    def add(self, stranger: socket.socket) -> None:
        """Take one in, and hang up on the oldest if there are too many."""
        stranger.setblocking(True)
        limit_reads(stranger, STRANGER_TIMEOUT)
        with self._lock:
            self._due[stranger] = time.monotonic() + STRANGER_TIMEOUT
            if len(self._due) > MAX_STRANGERS:
                self._hang_up_on_the_oldest()

    def remove(self, stranger: socket.socket) -> bool:
        """Let go of one that is a worker, or is gone; return False if it was hung up on."""
        with self._lock:
            return self._due.pop(stranger, None) is not None

    def hang_up_on_the_slow(self) -> float | None:
        """Hang up on those whose time is over; return the seconds that the next one has."""
        with self._lock:
            while self._due:
                left = next(iter(self._due.values())) - time.monotonic()
                if left > 0:
                    return left
                self._hang_up_on_the_oldest()
        return None

    def hang_up_on_all(self) -> None:
        """Hang up on all: the port is closed."""
        with self._lock:
            while self._due:
                self._hang_up_on_the_oldest()

    def _hang_up_on_the_oldest(self) -> None:
        oldest = next(iter(self._due))
        del self._due[oldest]
        with contextlib.suppress(OSError):  # it has hung up itself
            oldest.shutdown(socket.SHUT_RDWR)
