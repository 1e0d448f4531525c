"""HTTP/1.1 on the wire: bytes to a request and what is in it, a response to bytes.

No sockets and no jobs in here. Sections are those of RFC 9110 (semantics), 9112 (HTTP/1.1) and
7578 (multipart/form-data).
"""

from __future__ import annotations

import functools
import re
import time
from dataclasses import dataclass, field
from email.parser import HeaderParser
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, BinaryIO, Mapping
from urllib.parse import parse_qsl

from .errors import RequestError
from .jsontext import dumps, loads

MAX_HEAD = 65_536  # bytes of request line and headers; what http.server allows for one line
MAX_BODY = 30_000_000  # bytes; what CodeProject.AI Server allows

# RFC 9110 section 5.6.2: what a method and a header's name are made of.
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_HEAD = re.compile(rf"({_TOKEN}) (\S+) HTTP/1\.([01])\r?\n((?:{_TOKEN}:[^\r\n\0]*\r?\n)*)\r?\n")
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


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


@functools.lru_cache(maxsize=64)  # whoever polls sends the same head each time
def _parse_head(head: bytes) -> tuple[str, str, str, Mapping[str, str], bool]:
    match = _HEAD.fullmatch(head.decode("latin-1"))
    if match is None:
        raise RequestError(400, "a request begins METHOD target HTTP/1.1, then Name: value lines")
    method, target, minor, lines = match.groups()
    if not target.startswith("/"):  # RFC 9112 section 3.2.2: a proxy's absolute form
        target = re.sub("^https?://[^/?]*", "", target, flags=re.I)
    path, _, query = target.partition("?")
    headers: dict[str, str] = {}
    for line in lines.split("\n")[:-1]:
        name, _, value = line.partition(":")
        name, value = name.lower(), value.strip(" \t\r")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    wishes = headers.get("connection", "").lower().replace(" ", "").split(",")
    return method, path or "/", query, headers, "close" not in wishes and minor == "1"


def read_body(request: Request, file: BinaryIO, limit: int = MAX_BODY) -> bytes:
    """Read a request's body, if it has one.

    Raises `RequestError` for one over the limit and for ambiguous framing, ``EOFError`` if it ends
    too soon.
    """
    coding = request.headers.get("transfer-encoding")
    length = request.headers.get("content-length")
    if coding is None:
        if length is None:
            return b""
        if not re.fullmatch("[0-9]{1,16}", length):
            raise RequestError(400, "Content-Length must be one number")
        return _read(file, int(length), limit)
    if length is not None:  # RFC 9112 section 6.1: a way to smuggle requests
        raise RequestError(400, "Transfer-Encoding and Content-Length exclude each other")
    if coding.lower() != "chunked":
        raise RequestError(501, f"the transfer coding {coding!r} is not supported")
    body = bytearray()
    while True:
        digits = _read_line(file).partition(b";")[0].strip()
        if not re.fullmatch(b"[0-9A-Fa-f]{1,16}", digits):
            raise RequestError(400, "a chunk must begin with its size in hexadecimal")
        if not int(digits, 16):
            break
        body += _read(file, int(digits, 16), limit - len(body))
        if _read_line(file).strip():
            raise RequestError(400, "a chunk is longer than its size says")
    for _ in range(100):  # trailers
        if not _read_line(file).strip():
            return bytes(body)
    raise RequestError(431, "there are more than 100 trailers")


def _read(file: BinaryIO, size: int, limit: int) -> bytes:
    if size > limit:
        raise RequestError(413, f"the body of the request is larger than {MAX_BODY:,} bytes")
    data = file.read(size) if size else b""
    if len(data) < size:
        raise EOFError
    return data


def _read_line(file: BinaryIO) -> bytes:
    line = file.readline(MAX_HEAD)
    if not line.endswith(b"\n"):
        raise EOFError
    return line


# What is in a request


def parameters(request: Request) -> dict[str, list[Any]]:
    """Return the parameters of the query and the body, a list of values for each name.

    Text stays ``str``, an uploaded file is ``bytes``, and JSON is what JSON makes of it.
    """
    pairs: list[tuple[str, Any]] = list(parse_qsl(request.query, keep_blank_values=True))
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if not request.body:
            pass
        elif kind == "multipart/form-data":
            pairs += _multipart(request.body, content_type)
        elif kind == "application/x-www-form-urlencoded":
            pairs += parse_qsl(request.body.decode(), keep_blank_values=True)
        elif kind == "application/json" or kind.endswith("+json"):
            pairs += loads(request.body.decode()).items()
        else:
            raise RequestError(415, f"parameters come as JSON, a form or a query, not {kind!r}")
    except AttributeError:
        raise RequestError(400, "the JSON must be an object, of parameters by name") from None
    except ValueError as error:
        raise RequestError(400, f"the body is not valid {kind}: {error}") from error
    values: dict[str, list[Any]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


def _multipart(body: bytes, content_type: str) -> list[tuple[str, Any]]:
    parse = HeaderParser().parsestr
    boundary = parse(f"Content-Type: {content_type}\n\n").get_boundary()
    if not boundary:
        raise ValueError("its Content-Type names no boundary")
    _, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary.encode())
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


def json_response(value: Any, status: int = 200, **more: Any) -> Response:
    """Make an answer out of a value of which JSON may not know every part."""
    return Response(status, dumps(value).encode(), **more)


@functools.lru_cache(maxsize=1)
def http_date(now: int) -> str:
    """Return a time in whole seconds as RFC 9110 section 5.6.7 writes it."""
    return formatdate(now, usegmt=True)  # strftime writes the days in the words of the locale
