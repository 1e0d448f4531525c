"""The server of ``longop.serve``: all connections in one loop, and none waits for another.

    listener ─▶ Connection ─┐
                Connection ─┼─ Loop, Audiences, and a pool of threads for answers that may wait
                Connection ─┘

Owns the listening socket and how many connections there may be. Knows nothing of routes.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ..web.api import Api
from .audience import Audiences
from .connection import Connection, Shared
from .loop import READ, Loop, Task

if TYPE_CHECKING:
    import ssl

THREADS = 64  # answers that may wait for a disk or a process at the same time
BACKLOG = 1024  # connections that the system keeps until they are accepted
#: Connections beyond the limit that are told so; further ones are closed.
SURPLUS = 100
#: On Windows select() takes 512 sockets. Some are left for the surplus and for the loop.
MAX_ON_WINDOWS = 400


class Server:
    """Serves an ``api``, which must be set before `serve`, at ``(host, port)``.

    :param host: an address of IPv4 or IPv6, or a name.
    :param port: 0 for any free one; `url` then tells which.
    :param tls: the certificate, for https.

    Listens at once: raises ``OSError``, which says what to do, if it cannot.
    """

    api: Api

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._listener = _listen(host, port)
        scheme = "https" if tls else "http"
        name = f"[{host}]" if ":" in host else host
        self.url = f"{scheme}://{name}:{self._listener.getsockname()[1]}/"
        self.loop = Loop()
        self.loop.register(self._listener, READ, self._accept)
        self._threads = ThreadPoolExecutor(THREADS, "longop-server")
        self._audiences = Audiences(self.loop)
        self._shared = Shared(self.loop, self._audiences, self._threads)

    @property
    def connections(self) -> set[Task]:
        """The clients that are connected now. It changes in the loop's thread."""
        return self.loop.tasks

    def serve(self) -> None:
        """Serve in this thread until `close` was called and the last connection has ended."""
        # The pool is closed before the loop, because its threads call the loop.
        with contextlib.closing(self.loop), self._threads:
            while self.connections or not self._shared.closing:
                self.loop.turn()

    def stop_listening(self) -> None:
        """Take no more connections; those that are there go on. For any thread."""
        self.loop.call(self._stop_listening)

    def close(self) -> None:
        """Take no more connections, and end each one when its answer is sent. For any thread.

        An event stream goes on until its job has ended.
        """
        self.loop.call(self._close)

    # The loop's thread runs what follows.

    def _stop_listening(self) -> None:
        if self._listener.fileno() >= 0:
            self.loop.unregister(self._listener)
            self._listener.close()

    def _close(self) -> None:
        self._stop_listening()
        self._shared.closing = True
        # An idle connection ends when it is resumed. That changes the set: this needs a copy.
        for connection in [*self.connections]:
            connection.resume()

    def _accept(self, events: int) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            # The client has gone again, or there is no file descriptor left. Then the listener
            # stays ready, and the loop would spin.
            time.sleep(0.001)
            return
        try:
            self._connect(client)
        except OSError:
            client.close()  # the client has gone

    def _connect(self, client: socket.socket) -> None:
        client.setblocking(False)
        # Answers are sent in one piece, so there is nothing that Nagle's algorithm could join.
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        surplus = 1 + len(self.connections) - self._max_connections()
        # Over TLS a refusal needs a handshake first, so a surplus client is closed at once.
        if surplus > (0 if self._tls else SURPLUS):
            client.close()
            return
        if self._tls is None:
            connection = Connection(self._shared, self.api, client, surplus > 0)
        else:
            from .tls import TlsConnection  # which loads ssl

            connection = TlsConnection(self._shared, self.api, client, surplus > 0, self._tls)
        connection.begin()

    def _max_connections(self) -> int:
        limit = self.api.limits.max_connections
        return min(limit, MAX_ON_WINDOWS) if sys.platform == "win32" else limit


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        if sys.platform != "win32":  # on Windows this would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except (OSError, OverflowError) as error:
        listener.close()
        message = f"cannot listen on {host}:{port}: {error}"
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            message += (": stop the program that does, or choose another --port "
                        "(0 for any free one)")
        raise OSError(message) from error
    return listener
