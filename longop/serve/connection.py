"""One client of the server: the whole conversation on its connection, as one generator.

    bytes ─▶ Reader ─ Request ─▶ Api ─▶ Response ─▶ bytes
                                     └▶ Held ──▶ Response, and more whenever the job changes

The loop's thread runs everything in here, with one exception: other threads make the answers
that may have to wait for a disk or a process, and those that are large.
"""

from __future__ import annotations

import socket
from concurrent.futures import Future
from functools import partial
from typing import Any, Generator

from ..errors import RequestError
from ..job import logger
from ..web.api import Api
from ..web.held import Answer, Held, Later
from ..web.limits import SMALL_BODY, Room
from ..web.problem import problem
from ..web.request import Request
from ..web.wire import CONTINUE, Reader, Response
from .audience import Audiences
from .loop import NEVER, READ, WRITE, Loop, Task
from .threads import Threads

CHUNK = 65_536  # bytes to read at a time
LINGER = 2.0  # seconds in which a client that got its last answer may still send
SLOWEST_BODY = 10_000  # bytes a second; a client that sends its body slower is refused
STARTERS = 64  # threads for requests that start something
LOOKERS = 64  # threads for all others that may wait for a disk
ENCODERS = 2
STREAM_BUFFER = 16_384  # bytes of an event stream that the system may keep for a slow client


class Shared:
    """What the connections of a server share. Used in the loop's thread only."""

    def __init__(self, loop: Loop, audiences: Audiences) -> None:
        self.loop = loop
        self.audiences = audiences
        # Starts may take any time, such as that of a process's start. What only looks at jobs
        # or cancels them waits for a disk at most, and never for a start to end. Encoding
        # takes the processor, so that more threads would only take it from the loop.
        self.starters = Threads(STARTERS, "longop-server")
        self.lookers = Threads(LOOKERS, "longop-looker")
        self.encoders = Threads(ENCODERS, "longop-encoder")
        #: The connections on which nobody has shown that he may come in, the idlest first.
        self.strangers: dict[Connection, None] = {}
        self.closing = False  # True: no further request is taken

    def close(self) -> None:
        """End the threads, each after what it does."""
        for threads in (self.starters, self.lookers, self.encoders):
            threads.close()


class Connection(Task):
    """A client.

    The conversation is a generator. Where it has to wait, it yields the moment until which it
    waits at most. It is resumed at that moment, when the socket is ready, when the watched job
    has changed, or without any cause. So each `yield` stands in a loop that checks whether it
    may go on. (The one exception is in `_send`, where going on too early does no harm.)
    """

    #: What the socket raises if nothing can be read or sent now.
    _again: tuple[type[OSError], ...] = (BlockingIOError,)
    _is_secure = False  # whether what comes came over TLS

    def __init__(self, shared: Shared, api: Api, client: socket.socket, refuse: bool) -> None:
        self._shared = shared
        self._loop = shared.loop
        self._api = api
        self._limits = api.limits
        self._socket = client
        self._reader = Reader(self._read_head, api.limits)
        self._room: Room | None = None  # that the body of the request has
        self._is_stranger = not refuse
        self._idle_since = NEVER  # on the loop's clock; NEVER while a request is answered
        self._stuck = False  # the client does not take what is sent
        self._gone = False  # the client sends nothing more
        self._job_changed = False
        self._events = 0  # what the loop watches the socket for
        self._steps = self._refuse() if refuse else self._converse()

    def begin(self) -> None:
        """Join the loop and take the first step."""
        self._loop.tasks.add(self)
        if self._is_stranger:
            self._shared.strangers[self] = None
        self.resume()

    def resume(self, events: int = 0) -> None:
        """Read what has come and go on. Harmless if nothing is pending, also after the end.

        A step must not resume its own connection, because a generator cannot be entered twice:
        what a step causes is queued in the loop.
        """
        try:
            if events & READ:
                self._read()
            self.deadline = next(self._steps)
            if self.deadline < self._loop.next_deadline:
                self._loop.next_deadline = self.deadline
            self._select()
        except (OSError, StopIteration):
            self._drop()  # the client has gone, or the conversation is over
        except BaseException:  # SystemExit too: no connection may end the loop's thread
            logger.exception("dropped a connection after an error")
            self._drop()

    def idle_since(self) -> float:
        """Return since when this connection waits for a request, or `NEVER` if it does not."""
        return self._idle_since if self._reader.is_idle else NEVER

    def leave(self) -> None:
        """End the conversation at once, to make room for another one."""
        self._drop()

    def look(self) -> None:
        """Resume because the watched job has changed."""
        self._job_changed = True
        self.resume()

    def _read(self) -> bool:
        """Read what has come; return False if it was nothing."""
        try:
            data = self._socket.recv(CHUNK)
        except self._again:
            return False
        self._reader.buffer += data
        self._gone = not data
        if self._is_stranger:  # no longer the idlest one
            self._shared.strangers.pop(self, None)
            self._shared.strangers[self] = None
        return True

    def _read_head(self, head: bytes) -> Request:
        """Return the request with this head. `Reader` calls it before it reads the body."""
        request = self._api.read_head(head, is_secure=self._is_secure)
        if request.is_known and self._is_stranger:
            self._is_stranger = False
            self._shared.strangers.pop(self, None)
        if request.length:
            try:
                self._room = self._api.in_flight.admit(request.length)
            except RequestError as error:
                error.headers = {**error.headers, **request.extra}
                raise
        return request

    def _forget_body(self) -> None:
        """Give back the room that the body had."""
        if self._room is not None:
            self._room.close()
            self._room = None

    def _select(self) -> None:
        """Have the loop watch the socket for what the conversation can use now."""
        reader = self._reader
        # Stop reading from a client that pipelines faster than it reads answers: what it sends
        # waits in the system's buffers, and then in its own.
        full = reader.request is None and len(reader.buffer) > self._limits.max_head
        events = 0
        if not (self._gone or full):
            events = READ
        if self._stuck:
            events |= WRITE
        if events != self._events:
            self._change_events(events)

    def _change_events(self, events: int) -> None:
        if self._events:
            self._loop.unregister(self._socket)
        self._events = 0  # it is not registered if the next line raises
        if events:
            self._loop.register(self._socket, events, self.resume)
        self._events = events

    def _drop(self) -> None:
        """Close the connection. Harmless if it is closed already."""
        self._steps.close()  # runs its `finally`: it stops watching the job
        self._forget_body()
        self._shared.strangers.pop(self, None)
        self._change_events(0)  # before the socket is closed
        self._socket.close()
        self._loop.tasks.discard(self)

    # The conversation. Each of these yields the moment until which it waits at most.

    def _converse(self) -> Generator[float, None, None]:
        try:
            keep_alive = True
            while keep_alive:
                request = yield from self._receive()
                keep_alive = yield from self._answer(request)
        except RequestError as error:
            # Where the next request begins is not known, so the connection cannot go on.
            yield from self._send(problem(error).render())
        yield from self._hang_up()

    def _refuse(self) -> Generator[float, None, None]:
        error = RequestError(503, "there are too many connections")
        yield from self._send(problem(error).render())
        yield from self._hang_up()

    def _hang_up(self) -> Generator[float, None, None]:
        """Let the client read the last answer, and then close.

        If unread bytes are left when a socket is closed, TCP sends a reset, and the client may
        lose the answer. So what still comes is read and dropped for a while.
        """
        self._end_output()
        end = self._loop.now + LINGER
        while not self._gone and self._loop.now < end:
            self._reader.buffer.clear()
            yield end

    def _end_output(self) -> None:
        """Tell the client that nothing follows."""
        self._socket.shutdown(socket.SHUT_WR)

    def _receive(self) -> Generator[float, None, Request]:
        """Return the next request; raise `RequestError` if it takes too long."""
        reader = self._reader
        since = self._idle_since = self._loop.now
        begun = False  # a part of the request has come
        while True:
            request = reader.next()
            if request:
                self._idle_since = NEVER
                return request
            if reader.must_go_on():
                yield from self._send(CONTINUE)
                continue
            if not begun and not reader.is_idle:
                begun = True
                since = self._loop.now
            if self._gone or (self._shared.closing and not begun):
                raise ConnectionError("there is no further request")
            end = since + self._time_allowed(begun)
            if self._loop.now >= end:
                if begun:
                    raise RequestError(408, "the request took too long")
                raise TimeoutError("the connection is idle")
            yield end

    def _time_allowed(self, begun: bool) -> float:
        """Return how many seconds the client may take for a request, or until one begins."""
        if not begun:
            return self._limits.idle_time
        request = self._reader.request
        body = request.length if request else 0
        return self._limits.request_time + body / SLOWEST_BODY

    def _answer(self, request: Request) -> Generator[float, None, bool]:
        """Answer a request; return whether another one may follow."""
        answer = self._api.answer_live(request)
        if answer is None:
            answer = yield from self._answer_elsewhere(request)
        if request.length:
            request.body = b""  # the copy that `Reader` has made for this connection alone
            self._forget_body()
        if isinstance(answer, Response):
            return (yield from self._respond(request, answer))
        if answer.job is None:
            return (yield from self._follow(request, answer))
        self._shared.audiences.subscribe(answer.job, self.look)
        try:
            return (yield from self._follow(request, answer))
        finally:
            self._shared.audiences.unsubscribe(answer.job, self.look)
            answer.close()

    def _answer_elsewhere(self, request: Request) -> Generator[float, None, Answer]:
        """Return the answer that another thread finds."""
        is_slow = request.starts or request.length > SMALL_BODY
        threads = self._shared.starters if is_slow else self._shared.lookers
        finding = threads.submit(partial(self._api.answer, request))
        yield from self._wait_for(finding)
        answer: Answer = finding.result()
        return answer

    def _have_made(self, later: Later) -> Generator[float, None, None]:
        """Wait until something was made, which another thread does."""
        if later.claim():
            try:
                self._shared.encoders.submit(later.run)
            except RuntimeError:  # the system has no thread, and others wait for this too
                later.run()
        yield from self._wait_for(later.made)

    def _wait_for(self, future: Future[Any]) -> Generator[float, None, None]:
        # Another thread runs this, or this one if the future is done already.
        future.add_done_callback(lambda done: self._loop.call(self.resume))
        while not future.done():
            yield NEVER

    def _follow(self, request: Request, held: Held) -> Generator[float, None, bool]:
        """Send what a held answer gives; return whether another request may follow."""
        keep_alive = False
        for item in held.items:
            if isinstance(item, Response):
                keep_alive = yield from self._respond(request, item)
            elif isinstance(item, bytes):
                yield from self._send(item)
            elif isinstance(item, Later):
                yield from self._have_made(item)
            else:
                yield from self._wait_for_change(item)
        return keep_alive

    def _wait_for_change(self, seconds: float) -> Generator[float, None, None]:
        """Wait until the watched job has changed, for so many seconds at most."""
        end = self._loop.now + seconds
        while not (self._job_changed or self._gone or self._loop.now >= end):
            yield end
        if self._gone:
            raise ConnectionError("the client has gone")
        # Before the job is looked at: a change after the look must end the next wait.
        self._job_changed = False

    def _respond(self, request: Request, answer: Response) -> Generator[float, None, bool]:
        """Send an answer, or the head of a stream; return whether a request may follow."""
        is_stream = answer.body is None
        if is_stream:
            # A slow watcher gets the newest status only: little should wait on the way to it.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, STREAM_BUFFER)
        keep_alive = request.keep_alive and not (is_stream or self._shared.closing)
        yield from self._send(*answer.parts(request, keep_alive))
        return keep_alive

    def _send(self, *parts: bytes) -> Generator[float, None, None]:
        """Send bytes; raise ``ConnectionError`` if the client takes none for the idle time."""
        # All answers of a turn are sent at its end, one after the other. Waking a client costs
        # more than making an answer: while the first client wakes, the others get theirs.
        self._loop.resume_last(self)
        yield NEVER
        since = self._loop.now
        for part in parts:
            rest = memoryview(part)
            while rest:
                try:
                    rest = rest[self._socket.send(rest):]
                    since = self._loop.now
                except self._again:
                    if self._loop.now >= since + self._limits.idle_time:
                        raise ConnectionError("the client takes nothing") from None
                self._stuck = bool(rest)
                if rest:
                    yield since + self._limits.idle_time
