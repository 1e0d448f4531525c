"""A client of the server's: what is said to and fro on its connection, as one generator.

Bytes come in, and go through a `Reader` to the `Api`; a `Response` goes out, and where the answer
is a `Held`, more of it whenever the job changes.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
from typing import Any, Generator

from ..web.api import problem
from ..errors import RequestError
from ..job import logger
from ..web.wire import CONTINUE, Reader, Request, Response

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
NEVER = float("inf")
LINGER = 2.0  # seconds for which a client that was answered for the last time may still send


class Connection:
    """A client; until when something must happen on it is its ``deadline``."""

    def __init__(self, server: Any, client: socket.socket) -> None:
        self._server, self._socket, self._limits = server, client, server.api.limits
        self._reader = Reader(server.api.read_head, self._limits)
        self._stuck = False  # the client does not take what is sent
        self._gone = False  # the client sends nothing more
        self._changed = False  # the job that is watched has changed
        self._events = 0  # that the loop looks for
        self.deadline = NEVER
        server.connections.add(self)
        self._steps = self._converse()
        self.go_on()

    def go_on(self, events: int = 0) -> None:
        """Go on, for there may be something to do. That there is nothing does no harm."""
        try:
            if events & READ:
                self._read()
            self.deadline = next(self._steps)
            if self.deadline < self._server.next:
                self._server.next = self.deadline
            # Who does not wait for answers is not listened to for so long.
            reader = self._reader
            full = reader.request is None and len(reader.buffer) > self._limits.max_head
            self._select(READ * (not (self._gone or full)) | WRITE * self._stuck)
        except (OSError, StopIteration):
            self._drop()  # the client has gone, or should go
        except Exception:
            logger.exception("a connection had to be dropped")
            self._drop()

    def look(self) -> None:
        """Go on, for the job that is watched has changed."""
        self._changed = True
        self.go_on()

    def _read(self) -> None:
        more = True
        while more:
            try:
                data = self._socket.recv(65_536)
            except self._server.again:
                return
            self._reader.buffer += data
            self._gone = not data
            more = self._server.tls and self._socket.pending()  # type: ignore[attr-defined]

    def _select(self, events: int) -> None:
        if events != self._events:
            if self._events:
                self._server.selector.unregister(self._socket)
            self._events = 0
            if events:
                self._server.selector.register(self._socket, events, self.go_on)
            self._events = events

    def _drop(self) -> None:
        self._steps.close()
        self._select(0)
        self._socket.close()
        self._server.connections.discard(self)

    # What is said. Each of these yields where it has to wait, and until when at most.

    def _converse(self) -> Generator[float, None, None]:
        try:
            if self._server.surplus > 0:
                raise RequestError(503, "there are too many connections")
            keep_alive = True
            while keep_alive:
                request = yield from self._receive()
                keep_alive = yield from self._answer(request)
        except RequestError as error:
            yield from self._send(problem(error).render())
        if self._server.tls:
            with contextlib.suppress(OSError, ValueError):
                self._socket.unwrap()  # type: ignore[attr-defined]
        # Closed at once, a client that still sends would lose the answer.
        self._socket.shutdown(socket.SHUT_WR)
        end = self._server.now + LINGER
        while not self._gone and self._server.now < end:
            self._reader.buffer.clear()
            yield end

    def _receive(self) -> Generator[float, None, Request]:
        """Return the next request; raise `RequestError` for one that takes too long."""
        reader, limits, since, begun = self._reader, self._limits, self._server.now, False
        while True:
            request = reader.next()
            if request:
                return request
            if reader.must_go_on():
                yield from self._send(CONTINUE)
                continue
            if not (begun or reader.is_idle):
                since, begun = self._server.now, True
            if self._gone or (self._server.closing and not begun):
                raise ConnectionError("there is no further request")
            length = reader.request.length if reader.request else 0
            end = since + (limits.request_time + length / 10_000 if begun else limits.idle_time)
            if self._server.now >= end:
                raise RequestError(408, "the request took too long") if begun else TimeoutError
            yield end

    def _answer(self, request: Request) -> Generator[float, None, bool]:
        """Answer a request; return whether there may be another one."""
        server, keep_alive = self._server, False
        if server.api.is_quick(request):
            answer = server.api.answer(request)
        else:
            found = server.threads.submit(server.api.answer, request)
            found.add_done_callback(lambda found: server.call(self.go_on))
            while not found.done():
                yield NEVER
            answer = found.result()
        if isinstance(answer, Response):
            return (yield from self._respond(request, answer))
        server.watch(self, answer.job)
        try:
            for item in answer.items:
                if isinstance(item, float):
                    end = server.now + item
                    while not (self._changed or self._gone or server.now >= end):
                        yield end
                    self._changed = False  # before the next look, so that no change is missed
                    if self._gone:
                        raise ConnectionError("the client has gone")
                elif isinstance(item, bytes):
                    yield from self._send(item)
                else:
                    keep_alive = yield from self._respond(request, item)
            return keep_alive
        finally:
            server.unwatch(self, answer.job)

    def _respond(self, request: Request, answer: Response) -> Generator[float, None, bool]:
        is_stream = answer.body is None
        if is_stream:  # so that as little as can be waits on the way to a slow client
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        keep_alive = request.keep_alive and not (is_stream or self._server.closing)
        yield from self._send(answer.render(request, keep_alive))
        return keep_alive

    def _send(self, data: bytes) -> Generator[float, None, None]:
        out, patience = memoryview(data), self._limits.idle_time
        self._server.writing.append(self)
        yield NEVER  # until the end of the turn
        since = self._server.now
        while out:
            try:
                out = out[self._socket.send(out):]
                since = self._server.now
            except self._server.again:
                if self._server.now >= since + patience:
                    raise ConnectionError("it takes nothing") from None
            self._stuck = bool(out)
            if out:
                yield since + patience
