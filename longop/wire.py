"""HTTP/1.1 on the wire: bytes to a request and what is in it, a response to bytes.

No sockets and no jobs in here: whoever reads and writes drives it. RFC numbers are those of
RFC 9110 (semantics), 9112 (HTTP/1.1) and 7578 (multipart/form-data).
"""

from __future__ import annotations

import functools
import re
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Generator, Mapping
from urllib.parse import parse_qsl

from .errors import RequestError
from .jsontext import dumps, loads

MAX_HEAD = 65_536  # bytes of request line and headers; what http.server allows for one line
MAX_BODY = 30_000_000  # bytes; what CodeProject.AI Server allows
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
LINE = 0  # what `read_body` yields when it wants a line

# RFC 9110 section 5.6.2: what a method and a header's name are made of.
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_HEAD = re.compile(rf"({_TOKEN}) (\S+) HTTP/1\.([01])\r?\n((?:{_TOKEN}:[^\r\n\0]*\r?\n)*)\r?\n")


class Request:
    """A request as it came; the ``body`` is filled in by whoever reads it.

    Raises `RequestError` for a head that is too long, or not HTTP/1.0 or 1.1.
    """

    __slots__ = ("arrived", "body", "head", "headers", "keep_alive", "method", "path", "query")

    def __init__(self, head: bytes) -> None:
        if len(head) > MAX_HEAD:
            raise RequestError(431, f"the head of the request is larger than {MAX_HEAD} bytes")
        self.arrived = time.perf_counter()
        self.head = head
        self.method, self.path, self.query, self.headers, self.keep_alive = _parse_head(head)
        self.body = b""

    @property
    def has_body(self) -> bool:
        """Whether a body comes after the head, though it may be empty."""
        return "content-length" in self.headers or "transfer-encoding" in self.headers


@functools.lru_cache(maxsize=64)  # whoever polls sends the same head each time
def _parse_head(head: bytes) -> tuple[str, str, str, Mapping[str, str], bool]:
    match = _HEAD.fullmatch(head.decode("latin-1"))
    if match is None:
        raise RequestError(400, "a request must begin with METHOD target HTTP/1.1, and its "
                                "headers be Name: value")
    method, target, minor, lines = match.groups()
    if not target.startswith("/"):  # RFC 9112 section 3.2.2: a proxy's absolute form
        target = re.sub("^https?://[^/?]*", "", target, flags=re.I)
    path, _, query = target.partition("?")
    headers: dict[str, str] = {}
    for line in lines.splitlines():
        name, _, value = line.partition(":")
        name, value = name.lower(), value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    wishes = headers.get("connection", "").lower().replace(" ", "").split(",")
    return method, path or "/", query, headers, "close" not in wishes and minor == "1"


def read_body(request: Request, limit: int = MAX_BODY) -> Generator[int, bytes, bytes]:
    """Read a body: yield how many bytes are wanted next, or `LINE`, and be sent them.

    Raises `RequestError` for a body over the limit, and for ambiguous framing.
    """
    coding = request.headers.get("transfer-encoding")
    length = request.headers.get("content-length", "0")
    if coding is None:
        if not re.fullmatch("[0-9]{1,16}", length):
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
    trailers = 0
    while line := (yield LINE).strip():
        trailers += len(line)
        _check_size(trailers, MAX_HEAD)
    return bytes(body)


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise RequestError(413, f"the request is larger than {limit} bytes")


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
        except ValueError as error:
            raise RequestError(400, f"the body is not valid {kind}: {error}") from error
    values: dict[str, list[Any]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


def _json_object(body: bytes) -> dict[str, Any]:
    value = loads(body.decode())
    if not isinstance(value, dict):
        raise ValueError("it must be an object, with the parameters by name")
    return value


def _multipart(body: bytes, options: str) -> list[tuple[str, Any]]:
    from email.parser import HeaderParser  # slow to load, and few requests need it

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
        if not separator or not isinstance(name, str):
            raise ValueError("a part of it has no name")
        if file or content or file is None:  # a browser sends nothing where no file was chosen
            pairs.append((name, content.decode() if file is None else content))
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
        more = ""
        if self.status != 204:
            more = f"Content-Type: {self.content_type}\r\nContent-Length: {len(self.body)}\r\n"
        for name, value in self.headers.items():
            more += f"{name}: {value}\r\n"
        if not keep_alive:
            more += "Connection: close\r\n"
        head = (f"HTTP/1.1 {self.status} {_PHRASES[self.status]}\r\n"
                f"Date: {http_date(int(time.time()))}\r\nCache-Control: no-store\r\n"
                f"X-Content-Type-Options: nosniff\r\n{more}\r\n")
        return head.encode("latin-1") + (b"" if method == "HEAD" else self.body)


@functools.lru_cache(maxsize=1)
def http_date(now: int) -> str:
    """Return a time in whole seconds as RFC 9110 section 5.6.7 writes it."""
    from email.utils import formatdate  # not strftime, which writes the days in the locale's words

    return formatdate(now, usegmt=True)
