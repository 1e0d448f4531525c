"""The operations inside somebody's own ``http.server``: a request handler class.

    socket ─ Handler ─┬─ api ─ Response, or Held: waits in the connection's thread
                      └─ do_GET, do_POST, ... of a subclass: requests for other paths

Each connection has its own instance of the class, and its own thread (in a server without
threads, they take turns). They share the `Api` of the class.
"""

from __future__ import annotations

import contextlib
import io
import socket
import socketserver
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar, NamedTuple, Sequence

from ..errors import RequestError
from ..job import logger
from ..operation import LongOperation
from .api import Api
from .gate import Gate
from .held import wait
from .limits import Limits, Room
from .problem import problem
from .request import Request
from .wire import CONTINUE, Reader, Response


_FORKING = ("longop needs a server that forks no process for a connection, which would have "
            "jobs of its own: use ThreadingHTTPServer")
_WRAPPED = "functions that are wrapped in longop.LongOperation"


class Handler(BaseHTTPRequestHandler):
    """Serves operations; derive from it and set class attributes, as with ``http.server``.

        class Handler(longop.Handler):
            operations = [operation]
            page = "/jobs"

            def do_GET(self):
                ...  # requests for all other paths

        ThreadingHTTPServer(("127.0.0.1", 8000), Handler).serve_forever()

    The attributes are read when the class is created; a wrong one raises ``TypeError`` or
    ``ValueError``. A subclass that changes none of them shares the `Api` of its parent.

    ``limits.idle_time`` becomes the class's ``timeout``, unless the class sets its own. It is
    the only limit of time that applies.
    """

    operations: ClassVar[Sequence[LongOperation]] = ()
    page: ClassVar[str | None] = "/"  # the path of the page, or None for no page
    gate: ClassVar[Gate] = Gate()
    limits: ClassVar[Limits] = Limits()
    root_path: ClassVar[str] = ""  # the path below which a proxy serves the operations

    api: ClassVar[Api]  # made from the above
    _settings: ClassVar[_Settings | None] = None  # what ``api`` was made from

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a stream's small writes must not wait for each other
    timeout: ClassVar[float | None] = limits.idle_time

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        settings = _settings_of(cls)
        before = cls._settings  # the parent's
        if settings == before:
            return  # ``api`` is inherited, too
        cls._settings = settings
        cls.api = Api(settings.operations, settings.page, settings.gate, settings.limits,
                      alone=False, root_path=settings.root_path)
        has_new_limits = before is None or before.limits is not settings.limits
        if has_new_limits and "timeout" not in vars(cls):
            cls.timeout = settings.limits.idle_time

    # What http.server calls

    def setup(self) -> None:
        """Prepare a connection; keep it alive only if each connection has a thread.

        In a server without threads, a client that stays connected would block all others.
        """
        super().setup()
        if not isinstance(self.server, socketserver.ThreadingMixIn):
            self.protocol_version = "HTTP/1.0"

    def handle(self) -> None:
        """Serve a connection, unless the server has a process for each of them."""
        forking = getattr(socketserver, "ForkingMixIn", None)  # Windows has none
        if forking is not None and isinstance(self.server, forking):
            logger.error(_FORKING)
            self._refuse(RequestError(500, _FORKING))
            return
        super().handle()

    def handle_one_request(self) -> None:
        """Serve one request; set ``close_connection`` if no other may follow it."""
        self.close_connection = True  # until an answer says that it can go on
        foreign = None
        try:
            self._serve_own()
        except _NotOurs as error:
            foreign = error
        except RequestError as error:
            self._refuse(error)
        except (ConnectionError, socket.timeout):
            pass  # the client has left, or was silent for too long
        # Outside of the ``try``: the server handles the errors of a ``do_...`` method.
        if foreign is not None:
            self._serve_foreign(foreign.head, foreign.request)

    def send_header(self, keyword: str, value: str) -> None:
        """Send a header, as in ``http.server``."""
        if keyword.lower() in ("content-length", "transfer-encoding"):
            self._has_length = True
        super().send_header(keyword, value)

    # Requests for the operations. `wire` reads their heads: ``http.server`` accepts ambiguous
    # ones, and needs most of the time of a status poll to parse the headers.

    def _serve_own(self) -> None:
        self._room: Room | None = None
        try:
            request = self._read()
            if request is None:
                return
            answer = self.api.answer(request)
        finally:
            if self._room is not None:
                self._room.close()
        with contextlib.closing(wait(answer)) as items:
            for item in items:
                self._send(request, item)

    def _read(self) -> Request | None:
        """Return the next request, or None if the client has left.

        Raises `_NotOurs` before a body is read, and `RequestError`.
        """
        reader = Reader(self._read_head, self.api.limits)
        request = None
        while request is None:
            data = self._receive(reader)
            if not data:
                return None
            reader.buffer += data
            request = reader.next()
            if reader.must_go_on():
                self.connection.sendall(CONTINUE)
        return request

    def _receive(self, reader: Reader) -> bytes:
        """Receive more of a request; return nothing if the client has left.

        Bytes after the head stay where they are: they may be for a ``do_...`` method to read.
        """
        request = reader.request
        if request is None:
            return self.rfile.readline(65_536)
        missing = request.length - len(reader.buffer)
        return self.rfile.read1(missing)

    def _read_head(self, head: bytes) -> Request:
        """Return the request with this head. `Reader` calls it before it reads the body."""
        is_secure = hasattr(self.connection, "cipher")  # an ``ssl.SSLSocket``
        request = self.api.read_head(head, is_secure=is_secure)
        if request.view is None and hasattr(self, "do_" + request.method):
            raise _NotOurs(head, request)
        request.check()
        if request.length:
            self._room = self.api.in_flight.admit(request.length)
        return request

    def _send(self, request: Request, item: Response | bytes) -> None:
        if isinstance(item, Response):
            keep_alive = self._can_keep_alive(request, item)
            self.close_connection = not keep_alive
            item = item.render(request, keep_alive)
        self.connection.sendall(item)

    def _can_keep_alive(self, request: Request, response: Response) -> bool:
        is_stream = response.body is None
        return request.keep_alive and not is_stream and self.protocol_version == "HTTP/1.1"

    def _refuse(self, error: RequestError) -> None:
        """Answer an error and close the connection, because the body was not read."""
        self.connection.sendall(problem(error).render())
        self._discard()

    def _discard(self) -> None:
        """Read on for a while: if the connection were reset, the answer could be lost."""
        left = 2 * self.api.limits.max_body
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while left > 0:
                data = self.rfile.read1(65_536)
                if not data:
                    return
                left -= len(data)

    # Requests for a subclass

    def _serve_foreign(self, head: bytes, request: Request) -> None:
        """Let ``http.server`` parse the head again, and call the ``do_...`` method."""
        if not self._parse_again(head):
            # It has answered with an error, such as 417, and the body may still come.
            self.close_connection = True
            return
        self._has_length = False
        was_read = self._call_foreign(request)
        self.wfile.flush()
        if not self._has_length:
            # A body of unknown length, as in HTTP/1.0, ends with the connection.
            self.close_connection = True
        if not was_read:
            # What is left would be taken for the next request. Another site's page can choose
            # it, and that request would carry no Origin.
            self.close_connection = True
            self._discard()

    def _call_foreign(self, request: Request) -> bool:
        """Call the ``do_...`` method; return whether nothing is left of the request's body."""
        method = getattr(self, "do_" + self.command)
        if "transfer-encoding" in request.headers:
            method()
            return False  # only who decodes the chunks knows where they end
        if not request.length:
            method()
            return True
        body = _Body(self.rfile, request.length)
        received = self.rfile
        self.rfile = io.BufferedReader(body)
        try:
            method()
        finally:
            self.rfile = received
        return body.left == 0

    def _parse_again(self, head: bytes) -> bool:
        """Set ``command``, ``path``, ``headers`` and so on, as ``http.server`` does."""
        request_line, _, headers = head.partition(b"\n")
        self.raw_requestline = request_line
        received = self.rfile
        self.rfile = io.BytesIO(headers)
        try:
            return self.parse_request()
        finally:
            self.rfile = received


def handler(*operations: LongOperation, page: str | None = "/", gate: Gate | None = None,
            limits: Limits | None = None, root_path: str = "") -> type[Handler]:
    """Return a `Handler` class for some operations, to give to ``ThreadingHTTPServer``.

    :param page: the path of the page, or None for no page.
    :param gate: which requests are served; by default a `Gate` without a token.
    :param limits: what a client may send.
    :param root_path: the path below which a proxy serves the operations.
    """
    settings = {
        "operations": operations,
        "page": page,
        "gate": gate or Handler.gate,
        "limits": limits or Handler.limits,
        "root_path": root_path,
    }
    return type("Handler", (Handler,), settings)


class _NotOurs(Exception):
    """Raised for a request that a ``do_...`` method is to answer."""

    def __init__(self, head: bytes, request: Request) -> None:
        super().__init__()
        self.head = head
        self.request = request


class _Body(io.RawIOBase):
    """The body of one request: it ends where that ends, and knows how much is ``left``."""

    def __init__(self, received: io.BufferedIOBase, length: int) -> None:
        super().__init__()
        self._received = received
        self.left = length

    def readable(self) -> bool:
        """Return True, as `io.BufferedReader` asks."""
        return True

    def fileno(self) -> int:
        """Return the connection's number, for ``select``."""
        return self._received.fileno()

    def readinto(self, buffer: Any) -> int:
        """Receive some of the body; return how many bytes came, 0 at its end."""
        data = self._received.read1(min(len(buffer), self.left))
        buffer[:len(data)] = data
        self.left -= len(data)
        return len(data)


class _Settings(NamedTuple):
    """The class attributes that determine the `Api`."""

    operations: tuple[LongOperation, ...]
    page: str | None
    gate: Gate
    limits: Limits
    root_path: str


def _settings_of(cls: type[Handler]) -> _Settings:
    """Return the settings of a class; raise an error for a wrong one."""
    name = cls.__name__
    _check_type(f"{name}.operations", cls.operations, (list, tuple), "a list")
    for operation in cls.operations:
        _check_type(f"{name}.operations", operation, LongOperation, _WRAPPED)
    if cls.page is not None:
        _check_type(f"{name}.page", cls.page, str, "a path or None")
        if not cls.page.startswith("/"):
            raise ValueError(f"{name}.page must begin with a slash: {cls.page!r}")
    _check_type(f"{name}.gate", cls.gate, Gate, "a longop.Gate")
    _check_type(f"{name}.limits", cls.limits, Limits, "a longop.Limits")
    _check_type(f"{name}.root_path", cls.root_path, str, "a path")
    return _Settings(tuple(cls.operations), cls.page, cls.gate, cls.limits, cls.root_path)


def _check_type(name: str, value: object, kind: Any, expected: str) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be {expected}, not {value!r}")
