"""HTTP/1.1 on the wire: bytes to a request and what is in it, a response to bytes.

No sockets and no jobs in here: whoever reads and writes drives it. RFC numbers are those of
RFC 9110 (semantics), 9112 (HTTP/1.1) and 7578 (multipart/form-data).
"""

from __future__ import annotations

import functools
import json
import re
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Generator, Mapping
from urllib.parse import parse_qsl

from .errors import RequestError
from .jsontext import dumps

MAX_HEAD = 65_536  # bytes of request line and headers; what http.server allows for one line
MAX_BODY = 30_000_000  # bytes; what CodeProject.AI Server allows
LINE = 0  # what `read_body` yields when it wants a line

# RFC 9112 section 5: a name is a token, and no space stands before the colon.
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*\r?\n")


class Request:
    """A request as it came; the ``body`` is filled in by whoever reads it."""

    __slots__ = ("arrived", "body", "head", "headers", "keep_alive", "method", "path", "query")

    def __init__(self, head: bytes) -> None:
        """Parse the request line and the headers, up to and with the empty line that ends them.

        Raises `RequestError` for what is not HTTP/1.x.
        """
        self.arrived = time.perf_counter()
        self.head = head
        self.body = b""
        line, _, rest = head.decode("latin-1").partition("\n")
        words = line.split()
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            raise RequestError(400, "the request line must be: METHOD target HTTP/1.1")
        self.method, target, version = words
        if not target.startswith("/"):  # RFC 9112 section 3.2.2: a proxy's absolute form
            target = re.sub("^https?://[^/?]*", "", target, flags=re.I) or "/"
        self.path, _, self.query = target.partition("?")
        self.headers = _parse_headers(rest)
        connection = self.headers.get("connection", "").lower()
        self.keep_alive = "close" not in connection and version != "HTTP/1.0"


def _parse_headers(text: str) -> dict[str, str]:
    if _HEADER.sub("", text).strip("\r\n"):
        raise RequestError(400, "a header must be: Name: value")
    headers: dict[str, str] = {}
    for name, value in _HEADER.findall(text):
        name = name.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


# Both readers yield how many bytes they want next, or `LINE`, and are sent them.


def read_head() -> Generator[int, bytes, Request]:
    """Read up to the empty line. Raises `RequestError` for what is too long or not HTTP."""
    head = line = yield LINE
    while line.strip():
        line = yield LINE
        head += line
        if len(head) > MAX_HEAD:
            raise RequestError(431, f"the head of the request is larger than {MAX_HEAD} bytes")
    return Request(head)


def read_body(request: Request, limit: int = MAX_BODY) -> Generator[int, bytes, bytes]:
    """Read a body. Raises `RequestError` for one over the limit, and for ambiguous framing."""
    coding = request.headers.get("transfer-encoding")
    length = request.headers.get("content-length", "0")
    if coding is None:
        if not (length.isascii() and length.isdigit()):
            raise RequestError(400, "Content-Length must be one number")
        _check_size(int(length), limit)
        return (yield int(length)) if int(length) else b""
    if "content-length" in request.headers:  # RFC 9112 section 6.1: a way to smuggle requests
        raise RequestError(400, "Transfer-Encoding and Content-Length exclude each other")
    if coding.lower() != "chunked":
        raise RequestError(501, f"the transfer coding {coding!r} is not supported")
    return (yield from _read_chunks(limit))


def _read_chunks(limit: int) -> Generator[int, bytes, bytes]:
    body = bytearray()
    while True:
        digits = (yield LINE).partition(b";")[0].strip()
        if not re.fullmatch(b"[0-9A-Fa-f]{1,16}", digits):
            raise RequestError(400, "a chunk must begin with its size in hexadecimal")
        size = int(digits, 16)
        if size == 0:
            break
        _check_size(len(body) + size, limit)
        body += yield size
        if (yield LINE).strip():
            raise RequestError(400, "a chunk is longer than its size says")
    while (yield LINE).strip():
        pass  # trailers
    return bytes(body)


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise RequestError(413, f"the body of the request is larger than {limit} bytes")


# What is in a request


def parameters(request: Request) -> dict[str, list[Any]]:
    """Return the parameters of the query and the body, a list of values for each name.

    Text stays ``str``, an uploaded file is ``bytes``, and JSON is what JSON makes of it.
    """
    pairs: list[tuple[str, Any]] = list(parse_qsl(request.query, keep_blank_values=True))
    if request.body:
        kind, _, options = request.headers.get("content-type", "").partition(";")
        kind = kind.strip().lower()
        try:
            if kind == "multipart/form-data":
                pairs += _multipart(request.body, options)
            elif kind == "application/x-www-form-urlencoded":
                pairs += parse_qsl(request.body.decode(), keep_blank_values=True)
            elif kind == "application/json" or kind.endswith("+json"):
                pairs += _json_object(request.body).items()
            else:
                raise RequestError(415, f"parameters come as JSON, a form or a query, not {kind!r}")
        except (ValueError, RecursionError) as error:
            raise RequestError(400, f"the body is not valid {kind}: {error}") from error
    values: dict[str, list[Any]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


def _json_object(body: bytes) -> dict[str, Any]:
    value = json.loads(body.decode())
    if not isinstance(value, dict):
        raise ValueError("it must be an object, with the parameters by name")
    return value


def _multipart(body: bytes, options: str) -> list[tuple[str, Any]]:
    from email.parser import HeaderParser  # slow to load, and few requests need it
    from email.utils import collapse_rfc2231_value

    parse = HeaderParser().parsestr
    boundary = parse(f"Content-Type: multipart/form-data;{options}\n\n").get_boundary()
    if not boundary:
        raise ValueError("its Content-Type names no boundary")
    delimiter = b"\r\n--" + boundary.encode()
    _, *parts = (b"\r\n" + body).split(delimiter)
    if not parts or not parts.pop().startswith(b"--"):
        raise ValueError("its closing boundary is missing")
    pairs: list[tuple[str, Any]] = []
    for part in parts:
        head, separator, content = part.partition(b"\r\n\r\n")
        headers = parse(head.decode().lstrip())
        name, file = (headers.get_param(key, None, "content-disposition")
                      for key in ("name", "filename"))
        if not separator or name is None:
            raise ValueError("a part of it has no name")
        if file or content or file is None:  # a browser sends nothing where no file was chosen
            pairs.append((collapse_rfc2231_value(name),
                          content.decode() if file is None else content))
    return pairs


# The answer


@dataclass
class Response:
    """An answer to a request."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: Mapping[str, Any], status: int = 200,
             content_type: str = "application/json",
             headers: Mapping[str, str] | None = None) -> Response:
        """Make an answer out of a value of which JSON may not know every part."""
        return cls(status, dumps(value).encode(), content_type, headers or {})

    def render(self, keep_alive: bool, method: str = "GET") -> bytes:
        """Return the answer in one piece: two small writes meet Nagle and a delayed ACK."""
        head = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}",
                f"Date: {http_date(int(time.time()))}",
                "Cache-Control: no-store", "X-Content-Type-Options: nosniff"]
        if self.status != 204:
            head += [f"Content-Type: {self.content_type}", f"Content-Length: {len(self.body)}"]
        head += [f"{name}: {value}" for name, value in self.headers.items()]
        head += ["" if keep_alive else "Connection: close\r\n", ""]
        return "\r\n".join(head).encode("latin-1") + (b"" if method == "HEAD" else self.body)


@functools.lru_cache(maxsize=1)
def http_date(now: int) -> str:
    """Return a time in whole seconds as RFC 9110 section 5.6.7 writes it."""
    from email.utils import formatdate  # not strftime, which writes the days in the locale's words

    return formatdate(now, usegmt=True)
