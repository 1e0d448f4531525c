"""The server that ``longop.serve`` runs: all connections in one loop, and none of them waits.

What an answer may have to wait for (a disk, the start of a process) is left to a few threads. Knows
nothing of routes.
"""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import sys
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Callable

from ..web.api import Api
from .connection import NEVER, READ, Connection
from ..job import Job

PERIOD = 0.01  # seconds between two looks at a job that changes all the time
SURPLUS = 100  # connections beyond the limit that are told so; further ones are closed
# With select(), which is what Windows has, there can be 512 in all.
MOST = 400 if sys.platform == "win32" else sys.maxsize


class Server:
    """Serves an ``api``, which is set before `serve`, at ``(host, port)``.

    ``tls`` is an ``SSLContext`` or None. Raises ``OSError``, which says what to do, if it cannot
    listen there.
    """

    api: Api

    def __init__(self, host: str, port: int, tls: Any = None) -> None:
        self.tls, self.closing = tls, False
        self.again: tuple[type[OSError], ...] = (BlockingIOError,)  # means that nothing is there
        if tls:
            from ssl import SSLWantReadError, SSLWantWriteError

            self.again += (SSLWantReadError, SSLWantWriteError)
        self._listener = _listen(host, port)
        name = f"[{host}]" if ":" in host else host
        self.url = f"http{'s' if tls else ''}://{name}:{self._listener.getsockname()[1]}/"
        self._waker, self._woken = socket.socketpair()
        self.selector = selectors.DefaultSelector()
        self.selector.register(self._listener, READ, self._accept)
        self.selector.register(self._woken, READ, self._wake)
        self._waker.setblocking(False)
        self._calls: deque[Callable[[], object]] = deque()
        self.threads = ThreadPoolExecutor(64, "longop-server")
        self.connections: set[Connection] = set()
        self._audiences: dict[Job, _Audience] = {}
        self._changed: dict[_Audience, None] = {}  # whose jobs have
        self.writing: deque[Connection] = deque()  # which have something to be sent
        self.now = time.monotonic()
        self.next = NEVER  # when the first of the connections may be overdue

    @property
    def surplus(self) -> int:
        """How many connections there are beyond what there may be."""
        return len(self.connections) - min(self.api.limits.max_connections, MOST)

    def serve(self) -> None:
        """Serve until `close` is called and the connections have come to their ends."""
        with self.selector, self._waker, self._woken, self.threads:
            while self.connections or not self.closing:
                self._turn()

    def stop_listening(self) -> None:
        """Take no more connections; those there are go on. This may be called in any thread."""
        self.call(self._stop_listening)

    def close(self) -> None:
        """Take no more connections, and end each of them when it is answered.

        An event stream goes on until its job has ended. This may be called in any thread.
        """
        self.call(self._close)

    def call(self, function: Callable[[], object]) -> None:
        """Have the loop call a function; this may be called in any thread."""
        self._calls.append(function)
        with contextlib.suppress(OSError):  # so much waits there that the loop wakes, or it is over
            self._waker.send(b"\0")

    def watch(self, connection: Connection, job: Job) -> None:
        """Have a connection look whenever a job changes."""
        audience = self._audiences.get(job)
        if audience is None:
            audience = self._audiences[job] = _Audience(self._tell)
            job.watch(audience.tell)
        audience.connections.add(connection)

    def unwatch(self, connection: Connection, job: Job) -> None:
        """Let it be."""
        self._audiences[job].connections.discard(connection)
        if not self._audiences[job].connections:
            job.unwatch(self._audiences.pop(job).tell)

    def _tell(self, audience: _Audience) -> None:
        """Have an audience look at its job; this may be called in any thread."""
        if audience not in self._changed:
            self._changed[audience] = None
            self.call(self._look)

    def _look(self) -> None:
        """Have those who watch look at the jobs that have changed, if they have not just done."""
        for audience in [*self._changed]:
            if audience.rests_until <= self.now:
                del self._changed[audience]  # before the look, so that no change is missed
                audience.rests_until = self.now + PERIOD
                for connection in [*audience.connections]:
                    connection.look()

    def _turn(self) -> None:
        rest = min((one.rests_until for one in [*self._changed]), default=NEVER)
        left = min(self.next, rest) - time.monotonic()
        events = self.selector.select(max(0.0, min(left, 3600.0)))  # for epoll takes no more
        self.now = time.monotonic()
        for key, what in events:
            key.data(what)
        if rest <= self.now:
            self._look()
        if self.next <= self.now:
            for connection in [*self.connections]:
                if connection.deadline <= self.now:
                    connection.go_on()
            self.next = min((one.deadline for one in self.connections), default=NEVER)
        # All at once, for to wake a client costs more than an answer: while it reads the
        # first one, the others come.
        while self.writing:
            self.writing.popleft().go_on()

    def _wake(self, events: int) -> None:
        self._woken.recv(65_536)
        while self._calls:
            self._calls.popleft()()

    def _stop_listening(self) -> None:
        if self._listener.fileno() >= 0:
            self.selector.unregister(self._listener)
            self._listener.close()

    def _close(self) -> None:
        self._stop_listening()
        self.closing = True
        for connection in [*self.connections]:
            connection.go_on()  # which ends it if it is idle

    def _accept(self, events: int) -> None:
        client: Any = None  # a socket
        try:
            client, _ = self._listener.accept()
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                client = self.tls.wrap_socket(client, True, do_handshake_on_connect=False)
        except OSError:  # it has gone again; or there is no descriptor left, and then not so fast
            if client:
                client.close()
            time.sleep(0.001)
            return
        if self.surplus < (0 if self.tls else SURPLUS):
            Connection(self, client)
        else:
            client.close()


class _Audience:
    """The connections that watch a job; ``tell`` tells the server that it has changed."""

    def __init__(self, tell: Callable[[_Audience], None]) -> None:
        self.tell = partial(tell, self)
        self.connections: set[Connection] = set()
        self.rests_until = 0.0


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        if sys.platform != "win32":  # there it would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
        listener.setblocking(False)
    except (OSError, OverflowError) as error:
        listener.close()
        taken = getattr(error, "errno", 0) == errno.EADDRINUSE
        hint = ": stop what runs there, or choose another --port (0 is any free one)"
        raise OSError(f"cannot listen on {host}:{port}: {error}{hint * taken}") from error
    return listener
