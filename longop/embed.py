"""The same operations inside somebody's own server: a request handler for ``http.server``."""

from __future__ import annotations

import contextlib
import io
import socket
import socketserver
from http.server import BaseHTTPRequestHandler
from typing import Any

from .api import Api, problem
from .errors import RequestError
from .operation import LongOperation
from .wire import MAX_BODY, MAX_HEAD, Request, read_body


def handler(*operations: LongOperation, page: str | None = "/") -> type[Handler]:
    """Return a class to give to ``HTTPServer``, which serves some operations.

    Subclass it to serve more: what is not one of the operations' paths goes to your own
    ``do_GET``, ``do_POST`` and so on. ``page`` is the path of the page, or None for none.
    """
    return type("Handler", (Handler,), {"api": Api(operations, page)})


class Handler(BaseHTTPRequestHandler):
    """Serves an `Api`; what is not the Api's goes to ``do_...`` methods, as in ``http.server``.

    Reads the head of a request with `wire`, for ``http.server`` spends most of a status poll
    on parsing headers, and writes an answer in one piece.
    """

    api: Api
    rfile: Any  # a BufferedReader
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Keep a connection only if the server has a thread for each: others would have to wait."""
        super().setup()
        if not isinstance(self.server, socketserver.ThreadingMixIn):
            self.protocol_version = "HTTP/1.0"

    def handle_one_request(self) -> None:
        """Serve one request; set ``close_connection`` if it was the last one."""
        self.close_connection = True
        try:
            not_ours = self._serve()
        except (EOFError, ConnectionError, socket.timeout):
            return  # the client is gone, or was silent for too long
        if not_ours:
            self._serve_stock(not_ours.head)

    def _serve(self) -> Request | None:
        """Serve one request, unless it is one for a ``do_...`` method: that one is returned."""
        try:
            request = Request(self._read_head())
            view = self.api.find(request)
            if view is None and hasattr(self, "do_" + request.method):
                return request
            if request.headers.get("expect", "").lower() == "100-continue":
                self.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.body = read_body(request, self.rfile)
            answer = self.api.answer(request, view)
            self.close_connection = not (request.keep_alive
                                         and self.protocol_version == "HTTP/1.1")
            self.connection.sendall(answer.render(not self.close_connection, request.method))
        except RequestError as error:  # the rest is not read, so the connection cannot go on
            self.connection.sendall(problem(error).render(False))
            self._discard()
        return None

    def _serve_stock(self, head: bytes) -> None:
        """Let ``http.server`` parse the head once more, and serve the request its own way."""
        self.raw_requestline, _, rest = head.partition(b"\n")
        rfile, self.rfile = self.rfile, io.BytesIO(rest)
        parsed = self.parse_request()
        self.rfile = rfile
        if parsed:
            getattr(self, "do_" + self.command)()
            self.wfile.flush()

    def _discard(self) -> None:
        """Read on for a while: closed at once, a client that still sends would lose the answer."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            left = 2 * MAX_BODY
            while left > 0:
                left -= len(self.rfile.read1(65_536)) or left

    def _read_head(self) -> bytes:
        end = self.rfile.peek(1).find(b"\r\n\r\n") + 4  # most often it is there in one piece
        head: bytes = self.rfile.read(end) if end > 4 else b""
        while not head.endswith((b"\n\r\n", b"\n\n")) and len(head) <= MAX_HEAD:
            line = self.rfile.readline(MAX_HEAD)
            if not line:
                raise EOFError
            head += line
        return head.lstrip(b"\r\n")  # RFC 9112 section 2.2: an empty line before it is let pass
