"""HTTP/1.1 on the wire: bytes to requests, a response to bytes.

    bytes received ─ Reader ─ Request ─ (api) ─ Response ─ bytes to send

Knows nothing of sockets and jobs; `parameters` reads what is in a request. Sections are those
of RFC 9112 where no other RFC is named.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Callable, Iterable, Mapping

from ..errors import RequestError
from ..values.pieces import SHORT, pieces
from .limits import Limits
from .request import Request

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"  # RFC 9110 section 15.2.1
# Headers of every answer: the state of a job is soon outdated, and a browser must not take a
# result that looks like HTML for a page.
ALWAYS = [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]

_HEAD_END = b"\r\n\r\n"
_NO_CONTENT = 204  # which has no length (RFC 9110 section 8.6)
_EMPTY_LINES = re.compile(rb"(?:\r\n)+")
# What no head can hold, such as TLS: another first character, or a line feed without its CR.
_NOT_HTTP = re.compile(rb"^[^!-~\r]|(?<!\r)\n")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun",
           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Reader:
    """Cuts the bytes in its ``buffer`` into requests: append bytes, then call `next`.

    It has no lock: each connection has a reader, which one thread uses.
    """

    def __init__(self, read_head: Callable[[bytes], Request], limits: Limits) -> None:
        """Make a reader for a connection.

        :param read_head: makes a request of the bytes of a head. What it raises comes out of
            `next`, before the body has come.
        """
        self._read_head = read_head
        self._limits = limits
        self.buffer = bytearray()  # bytes that belong to no request yet
        self.request: Request | None = None  # its head has come, and its body is still to come
        self._searched = 0  # bytes of the buffer in which no head ends
        self._client_waits = False  # for `CONTINUE`, before it sends the body

    @property
    def is_idle(self) -> bool:
        """True between two requests."""
        return self.request is None and not self.buffer

    def next(self) -> Request | None:
        """Return the next request, or None if more bytes are needed for it.

        Raises `RequestError` for a head that is malformed or too large. The connection must
        then be closed, because nobody knows where the next request begins.
        """
        if self.request is None:
            request = self._next_head()
            if request is None or not request.length:
                return request
            self.request = request
            # A client that has sent some of the body already is not waiting.
            self._client_waits = request.expects and not self.buffer
        return self._finish(self.request)

    def must_go_on(self) -> bool:
        """Return whether `CONTINUE` has to be sent; true once for a request at most."""
        waits = self._client_waits
        self._client_waits = False
        return waits

    def _next_head(self) -> Request | None:
        if not self.buffer:
            return None
        head = self._cut_head()
        if head is None:
            return None
        return self._read_head(head)

    def _finish(self, request: Request) -> Request | None:
        """Return the request with its body, once all of that is there."""
        if len(self.buffer) < request.length:
            return None
        self.request = None
        return request.with_body(self._cut(request.length))

    def _cut_head(self) -> bytes | None:
        """Cut a whole head off the buffer, or return None if it is not all there."""
        buffer = self.buffer
        if buffer.startswith(b"\r\n"):
            self._skip_empty_lines()
        # Bytes that were searched before are skipped, so that a head that comes byte by byte
        # takes linear time.
        end = buffer.find(_HEAD_END, self._searched)
        size = len(buffer) if end < 0 else end + len(_HEAD_END)
        if size > self._limits.max_head:
            raise self._too_large()
        if end >= 0:
            return self._cut(size)
        if _NOT_HTTP.search(buffer, self._searched):
            raise RequestError(400, "that is not HTTP, or a line of it ends without a CR")
        self._searched = max(0, len(buffer) - 3)  # the end may have been cut in two
        return None

    def _skip_empty_lines(self) -> None:
        """Section 2.2: empty lines before a request are ignored."""
        empty = _EMPTY_LINES.match(self.buffer)
        if empty:
            del self.buffer[:empty.end()]

    def _too_large(self) -> RequestError:
        is_in_headers = b"\r\n" in self.buffer
        # Section 3: a request line that is too long is 414.
        status = 431 if is_in_headers else 414
        most = self._limits.max_head
        return RequestError(status, f"the head of the request is larger than {most} bytes")

    def _cut(self, size: int) -> bytes:
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        self._searched = 0
        return data


@dataclass
class Response:
    """An answer to a request.

    If its ``body`` is None, a stream follows, which ends with the connection. A ``Location``
    that begins with a slash is below the root of the request: `fields` adds that. The body
    goes on with ``end``: so the large part of it can be the same object in many answers.
    """

    status: int
    body: bytes | None = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    end: bytes = b""

    def fields(self, request: Request | None) -> list[tuple[str, str]]:
        """Return the headers of this answer to ``request``, but without `ALWAYS`."""
        fields = [*self.headers.items()]
        if request is not None:
            if request.root:
                fields = [(name, _below(request.root, name, value)) for name, value in fields]
            fields += request.extra.items()
        if self.status != _NO_CONTENT:
            fields.append(("Content-Type", self.content_type))
            if self.body is not None:
                fields.append(("Content-Length", str(len(self.body) + len(self.end))))
        return fields

    def render(self, request: Request | None = None, keep_alive: bool = False) -> bytes:
        """Return the answer to ``request`` in one piece.

        Two small writes would take 40 ms: the second one waits (Nagle's algorithm) for the
        client's acknowledgement of the first, which the client delays.
        """
        return b"".join(self.parts(request, keep_alive))

    def parts(self, request: Request | None = None, keep_alive: bool = False) -> list[bytes]:
        """Return the answer to ``request`` as it is sent: in one piece, or a large body apart."""
        head = _begin(self.status, int(time.time())) + _lines(self.fields(request))
        head += "\r\n" if keep_alive else "Connection: close\r\n\r\n"
        if request is not None and request.method == "HEAD":
            return [head.encode("latin-1")]
        body = self.body or b""
        if len(body) > SHORT:  # which would take time to copy
            return [head.encode("latin-1"), body, self.end]
        return [b"".join((head.encode("latin-1"), body, self.end))]


def json_response(value: Any, status: int = 200, **more: Any) -> Response:
    """Answer with any value, as JSON; ``more`` are further arguments of `Response`."""
    # In pieces, so that a large value does not hold up the other threads.
    return Response(status, "".join(pieces(value)).encode(), **more)


def http_date(now: float) -> str:
    """Return a time, in seconds since 1970, as RFC 9110 section 5.6.7 writes it.

    The names in it are English in any locale. ``email.utils.formatdate`` does the same, but
    its import takes as long as that of all of `longop`.
    """
    at = time.gmtime(now)
    day = _DAYS[at.tm_wday]
    month = _MONTHS[at.tm_mon - 1]
    return time.strftime(f"{day}, %d {month} %Y %H:%M:%S GMT", at)


@lru_cache(maxsize=16)  # the same for all answers of a second
def _begin(status: int, now: int) -> str:
    phrase = HTTPStatus(status).phrase
    return f"HTTP/1.1 {status} {phrase}\r\n" + _lines([("Date", http_date(now)), *ALWAYS])


def _below(root: str, name: str, value: str) -> str:
    """Return the value of a header; an address of ours begins with the root."""
    is_ours = name == "Location" and value.startswith("/")
    return root + value if is_ours else value


def _lines(fields: Iterable[tuple[str, str]]) -> str:
    return "".join([f"{name}: {value}\r\n" for name, value in fields])
