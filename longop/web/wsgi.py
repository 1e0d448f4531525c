"""The operations as a WSGI application (PEP 3333), for gunicorn, waitress and other servers.

While an answer is held, the server's thread waits: each watcher occupies one.
"""

from __future__ import annotations

import contextlib
import itertools
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Generator, Iterable, Iterator, cast
from urllib.parse import quote

from ..errors import RequestError
from ..operation import LongOperation
from .api import Api
from .gate import Gate
from .held import Answer, wait
from .limits import Limits
from .problem import problem
from .request import Request
from .wire import ALWAYS, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import InputStream, StartResponse, WSGIApplication, WSGIEnvironment


def wsgi(*operations: LongOperation, page: str | None = "/", gate: Gate | None = None,
         limits: Limits | None = None, root_path: str = "") -> WSGIApplication:
    """Return a WSGI application that serves some operations.

    It answers ``/v1/...``, ``/openapi.json`` and the page. Another application may mount it
    below a path (``SCRIPT_NAME``), or at these paths themselves.

    :param page: the path of the page, or None for no page.
    :param gate: which requests are served; by default a `Gate` without a token.
    :param limits: what a client may send; limits of time are left to the WSGI server.
    :param root_path: the path below which a proxy serves it, if ``SCRIPT_NAME`` does not say
        it.
    """
    api = Api(operations, page, gate, limits, root_path=root_path)

    def application(environ: WSGIEnvironment,
                    start_response: StartResponse) -> Iterable[bytes]:
        request = None
        try:
            is_secure = environ["wsgi.url_scheme"] == "https"
            mount = _encoded(environ, "SCRIPT_NAME")
            request = api.read_head(_head(environ), mount, is_secure)
            with contextlib.closing(api.in_flight.admit(request.length)):
                answer = api.answer(_with_body(request, environ["wsgi.input"]))
        except RequestError as error:
            answer = problem(error)
        is_head = environ["REQUEST_METHOD"] == "HEAD"
        return _send(answer, request, is_head, start_response)

    return application


def _send(answer: Answer, request: Request | None, is_head: bool,
          start_response: StartResponse) -> Iterable[bytes]:
    """Begin an answer as soon as it can begin; return its body."""
    items = wait(answer)
    response = cast(Response, next(items))
    status = f"{response.status} {HTTPStatus(response.status).phrase}"
    start_response(status, [*ALWAYS, *response.fields(request)])
    if is_head:
        items.close()
        return []
    return _Body(response, items)


class _Body:
    """The body, or the parts of a stream. The server closes it, perhaps before it has begun."""

    def __init__(self, response: Response, items: Generator[Any, None, None]) -> None:
        self._parts: Iterator[bytes] = itertools.chain([response.body or b"", response.end], items)
        self.close = items.close

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._parts)


def _with_body(request: Request, stream: InputStream) -> Request:
    body = stream.read(request.length)
    if len(body) < request.length:
        raise RequestError(400, "the body ends too soon")
    return request.with_body(body)


def _head(environ: WSGIEnvironment) -> bytes:
    """Return the head as the client may have sent it, so that all doors have one parser."""
    lines = [f"{environ['REQUEST_METHOD']} {_target(environ)} HTTP/1.1"]
    for name, value in _headers(environ).items():
        lines.append(f"{name}: {value}")
    return "".join([f"{line}\r\n" for line in [*lines, ""]]).encode("latin-1")


def _target(environ: WSGIEnvironment) -> str:
    path = _encoded(environ, "SCRIPT_NAME") + _encoded(environ, "PATH_INFO")
    query = environ.get("QUERY_STRING", "")
    return f"{path}?{query}"


def _encoded(environ: WSGIEnvironment, part: str) -> str:
    """Return a part of the path as it may have been sent.

    It is missing if it is empty, and is decoded: bytes as characters of Latin-1.
    """
    return quote(environ.get(part, "").encode("latin-1"))


def _headers(environ: WSGIEnvironment) -> dict[str, str]:
    headers = {"HOST": environ["SERVER_NAME"]}  # an HTTP/1.0 client's request may have none
    for key, value in environ.items():
        if key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            if value:  # a server may leave them empty
                headers[key.replace("_", "-")] = value
        elif key.startswith("HTTP_"):
            headers[key[len("HTTP_"):].replace("_", "-")] = value
    return headers
