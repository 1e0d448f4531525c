"""The server of ``longop.serve``: all connections in one loop, and none waits for another.

    listener ─▶ Connection ─┐
                Connection ─┼─ Loop, Audiences, and threads for answers that may wait
                Connection ─┘

Owns the listening socket and how many connections there may be. Knows nothing of routes.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
from typing import TYPE_CHECKING

from ..values import sockets
from ..web.api import Api
from .audience import Audiences
from .connection import Connection, Shared
from .loop import NEVER, READ, Loop, Task

if TYPE_CHECKING:
    import ssl

BACKLOG = 1024  # connections that the system keeps until they are accepted
#: Connections beyond the limit that are told so; further ones are closed.
SURPLUS = 100
FILES_ON_WINDOWS = 512  # sockets that select() takes
PAUSE = 0.1  # seconds until the next attempt if the system has no file descriptor left
#: What accept() fails with if something that other connections have is used up.
_USED_UP = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


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
        self._is_paused = False  # True while the listener is not in the loop
        self._listener = _listen(host, port)
        scheme = "https" if tls else "http"
        name = f"[{host}]" if ":" in host else host
        self.url = f"{scheme}://{name}:{self._listener.getsockname()[1]}/"
        self.loop = Loop()
        self.loop.register(self._listener, READ, self._accept)
        self._audiences = Audiences(self.loop)
        self._shared = Shared(self.loop, self._audiences)
        self._max_files = _max_files()

    @property
    def connections(self) -> set[Task]:
        """The clients that are connected now. It changes in the loop's thread."""
        return self.loop.tasks

    def serve(self) -> None:
        """Serve in this thread until `close` was called and the last connection has ended."""
        # The threads are not waited for. What one of them calls in the loop comes to nothing.
        with contextlib.closing(self.loop), contextlib.closing(self._shared):
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
            if not self._is_paused:
                self.loop.unregister(self._listener)
            self._is_paused = False
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
        except OSError as error:  # perhaps the client has only gone again
            if error.errno in _USED_UP and not self._drop_idlest():
                self._pause()
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
        if surplus > 0 and self._drop_idlest():
            surplus -= 1
        # Over TLS a refusal needs a handshake first, so a surplus client is closed at once.
        if surplus > (0 if self._tls else self._max_surplus()):
            client.close()
            return
        if self._tls is None:
            connection = Connection(self._shared, self.api, client, surplus > 0)
        else:
            from .tls import TlsConnection  # which loads ssl

            connection = TlsConnection(self._shared, self.api, client, surplus > 0, self._tls)
        connection.begin()

    def _drop_idlest(self) -> bool:
        """Drop the idlest connection to make room for a new one; return False if all are busy.

        Strangers go first, whatever they do: they have not shown that they may come in. After
        them go those that are between two requests.
        """
        idlest: Connection | None = next(iter(self._shared.strangers), None)
        if idlest is None:
            known = [one for one in self.connections if isinstance(one, Connection)]
            if not known:
                return False
            idlest = min(known, key=Connection.idle_since)
            if idlest.idle_since() == NEVER:
                return False
        idlest.leave()
        return True

    def _pause(self) -> None:
        """Accept nothing for a moment: the listener stays ready, and the loop would spin."""
        self.loop.unregister(self._listener)
        self._is_paused = True
        self.loop.call_at(self.loop.now + PAUSE, self._go_on)

    def _go_on(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self.loop.register(self._listener, READ, self._accept)

    def _max_connections(self) -> int:
        files = self._max_files - _kept_files(self._max_files) - self._max_surplus()
        return min(self.api.limits.max_connections, max(1, files))

    def _max_surplus(self) -> int:
        return min(SURPLUS, self._max_files // 16)


def _max_files() -> int:
    """Return how many files and sockets this process may have open."""
    if sys.platform == "win32":
        return FILES_ON_WINDOWS
    try:
        import resource
    except ImportError:  # a Python that was built without it
        return sys.maxsize
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if most == resource.RLIM_INFINITY else most


def _kept_files(most: int) -> int:
    """Return how many are kept for what is no connection: files, processes and their pipes."""
    return min(256, most // 4)  # of 1,024: 256, which leaves 704 beside the surplus


def _listen(host: str, port: int) -> socket.socket:
    try:
        listener = sockets.listen((host, port), BACKLOG)
    except (OSError, OverflowError) as error:
        message = f"cannot listen on {host}:{port}: {error}"
        if sockets.is_taken(error):
            message += (": stop the program that does, or choose another --port "
                        "(0 for any free one)")
        raise OSError(message) from error
    listener.setblocking(False)
    return listener
