"""The same operations inside somebody's own server: a handler for ``http.server``, and WSGI."""

from __future__ import annotations

import contextlib
import io
import itertools
import socket
import socketserver
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Callable, Iterable, Iterator
from urllib.parse import quote

from .api import Api, problem
from ..errors import RequestError
from .gate import Gate
from ..operation import LongOperation
from .held import wait
from .wire import ALWAYS, CONTINUE, Limits, Reader, Request, Response


def handler(*operations: LongOperation, page: str | None = "/", gate: Gate | None = None,
            limits: Limits | None = None) -> type[Handler]:
    """Return a class to give to ``HTTPServer``, which serves some operations.

    Subclass it to serve more: what is not one of the operations' paths goes to your own
    ``do_GET``, ``do_POST`` and so on. ``page`` is the path of the page, or None for none. Of the
    limits of time there is the silence only, which is ``http.server``'s ``timeout``.
    """
    api = Api(operations, page, gate, limits, alone=False)
    return type("Handler", (Handler,), {"api": api, "timeout": api.limits.idle_time})


class Handler(BaseHTTPRequestHandler):
    """Serves an `Api`; what is not the Api's goes to ``do_...`` methods, as in ``http.server``.

    Reads the head of a request with `wire`, for ``http.server`` spends most of a status poll
    on parsing headers and lets ambiguous ones pass, and writes an answer in one piece.
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
            request = self._read()
            for item in wait(self.api.answer(request)) if request else ():
                self._send(request, item)
        except _NotOurs as error:
            self._serve_stock(*error.args)
        except RequestError as error:  # the rest is not read, so the connection cannot go on
            self.connection.sendall(problem(error).render())
            self._discard()
        except (ConnectionError, socket.timeout):
            pass  # the client is gone, or was silent for too long

    def _read(self) -> Request | None:
        reader = Reader(self._read_head, self.api.limits)
        request = None
        while request is None:
            # Not one byte more than is needed, for what follows may be a ``do_...`` method's.
            body = reader.request
            data = (self.rfile.read1(body.length - len(reader.buffer)) if body
                    else self.rfile.readline(65_536))
            if not data:
                return None
            reader.buffer += data
            request = reader.next()
            if reader.must_go_on():
                self.connection.sendall(CONTINUE)
        return request

    def _read_head(self, head: bytes) -> Request:
        request = self.api.read_head(head)
        if request.view is None and hasattr(self, "do_" + request.method):
            raise _NotOurs(head)
        request.check()
        return request

    def _send(self, request: Request | None, item: Response | bytes) -> None:
        if isinstance(item, Response):
            keep_alive = (request is not None and request.keep_alive and item.body is not None
                          and self.protocol_version == "HTTP/1.1")
            self.close_connection = not keep_alive
            item = item.render(request, keep_alive)
        self.connection.sendall(item)

    def _serve_stock(self, head: bytes) -> None:
        """Let ``http.server`` parse the head once more, and serve the request its own way."""
        self.raw_requestline, _, rest = head.partition(b"\n")
        rfile, self.rfile = self.rfile, io.BytesIO(rest)
        parsed = self.parse_request()
        self.rfile = rfile
        if parsed:
            self._has_length = False
            getattr(self, "do_" + self.command)()
            self.wfile.flush()
            # Where no length is said, as in HTTP/1.0, the body ends with the connection.
            self.close_connection = self.close_connection or not self._has_length

    def send_header(self, keyword: str, value: str) -> None:
        """Send a header, as in ``http.server``."""
        if keyword.lower() in ("content-length", "transfer-encoding"):
            self._has_length = True
        super().send_header(keyword, value)

    def _discard(self) -> None:
        """Read on for a while: closed at once, a client that still sends would lose the answer."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            left = 2 * self.api.limits.max_body
            while left > 0:
                left -= len(self.rfile.read1(65_536)) or left


class _NotOurs(Exception):
    """Raised with the head of a request that is for a ``do_...`` method."""


def wsgi(*operations: LongOperation, page: str | None = "/", gate: Gate | None = None,
         limits: Limits | None = None) -> Callable[..., Iterable[bytes]]:
    """Return a WSGI application (PEP 3333), for gunicorn, waitress and other such servers.

    It answers ``/v1/...``, ``/openapi.json`` and ``page``; mounted in another application it is to
    be at these very paths. Whoever watches keeps one of the server's threads.
    """
    api = Api(operations, page, gate, limits)

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        extra: dict[str, str] = {}
        try:
            request = api.read_head(_head(environ))
            extra.update(request.extra)
            body = environ["wsgi.input"].read(request.length)
            if len(body) < request.length:
                raise RequestError(400, "the body ends too soon")
            items: Iterator[Any] = wait(api.answer(request.with_body(body)))
        except RequestError as error:
            items = iter([problem(error)])
        response = next(items)
        start_response(f"{response.status} {HTTPStatus(response.status).phrase}",
                       [*ALWAYS, *response.fields(extra)])
        if environ["REQUEST_METHOD"] == "HEAD":
            return []
        return itertools.chain([response.body or b""], items)

    return application


def _head(environ: dict[str, Any]) -> bytes:
    """Return the head of a request as it may have been sent, so that one parser reads them all."""
    # Where it is mounted at ``/v1``, that is not in PATH_INFO.
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    path = quote(path.encode("latin-1"))
    lines = {"HOST": environ["SERVER_NAME"]}
    for key, value in environ.items():
        if key.startswith("HTTP_") or (key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value):
            lines[key.replace("HTTP_", "", 1).replace("_", "-")] = value
    head = f"{environ['REQUEST_METHOD']} {path}?{environ.get('QUERY_STRING', '')} HTTP/1.1\r\n"
    return (head + "".join(map("%s: %s\r\n".__mod__, lines.items())) + "\r\n").encode("latin-1")
