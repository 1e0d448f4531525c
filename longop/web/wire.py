"""HTTP/1.1 on the wire: bytes to requests and what is in them, a response to bytes.

No sockets and no jobs in here. Sections are those of RFC 9110 (semantics), 9112 (HTTP/1.1) and
7578 (multipart/form-data).
"""

from __future__ import annotations

import copy
import functools
import re
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Callable, Mapping
from urllib.parse import parse_qsl

from ..errors import RequestError
from ..jsontext import dumps, loads

# RFC 9110 section 5.6.2: what a method and a header's name are made of.
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_HEAD = re.compile(rf"({_TOKEN}) ([!-~]+) HTTP/1\.([01])\r\n((?:{_TOKEN}:[^\r\n\0]*\r\n)*)\r\n")
_WRONG = re.compile(rb"^[^!-~\r]|(?<!\r)\n")  # what cannot become a head, such as TLS
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"  # RFC 9110 section 10.1.1


def _limit(default: Any, what: str) -> Any:
    return field(default=default, metadata={"help": what})


@dataclass(frozen=True, eq=False)  # one is itself only, which makes it a fast key
class Limits:
    """What a client may send and how long it may take: bytes, numbers and seconds."""

    max_head: int = _limit(65_536, "bytes of a request line and its headers")
    max_headers: int = _limit(100, "headers of a request")
    max_url: int = _limit(8_192, "bytes of a URL")
    max_body: int = _limit(30_000_000, "bytes of a body")  # what CodeProject.AI Server allows
    max_depth: int = _limit(100, "levels of JSON in a body")
    max_connections: int = _limit(2_000, "connections at once")
    request_time: float = _limit(30.0, "seconds to send a request, and for each 10 kB of a body 1")
    idle_time: float = _limit(75.0, "seconds that a connection is kept with nothing on it")


class Request:
    """A request's head as it came; `Reader` adds the ``body``, and an `Api` the ``view``.

    Raises `RequestError` for what is not HTTP/1.0 or 1.1, or ambiguous.
    """

    def __init__(self, head: bytes, limits: Limits) -> None:
        match = _HEAD.fullmatch(head.decode("latin-1"))
        if match is None:
            raise RequestError(400, "a request begins METHOD target HTTP/1.1, then Name: value "
                                    "lines, each ended by CR LF")
        self.method, target, minor, lines = match.groups()
        self.limits, self.body = limits, b""
        self.view: Any = None  # what answers it
        self.job_id: str | None = None  # of a path below /v1/jobs
        self.extra: Mapping[str, str] = {}  # headers of its answer
        if lines.count("\n") > limits.max_headers:
            raise RequestError(431, f"there are more than {limits.max_headers} headers")
        self.headers: dict[str, str] = {}
        for line in lines.split("\r\n")[:-1]:
            name, _, value = line.partition(":")
            name, value = name.lower(), value.strip(" \t")
            known = self.headers.get(name)
            self.headers[name] = value if known is None else f"{known}, {value}"
        hosts = [self.headers.get("host", "/" if minor == "1" else "")]
        absolute = re.fullmatch("https?://([^/?]*)(.*)", target, re.I)
        if absolute:  # RFC 9112 section 3.2.2: a proxy's
            self.headers["host"], target = absolute.groups()
            hosts.append(self.headers["host"])
        if any(re.search(r"[\s,/?#@\\]", host) for host in hosts):  # section 3.2: one, not two
            raise RequestError(400, "a request must have one Host header")
        path, _, query = target.partition("?")
        self.path, self.query = path or "/", query
        wishes = self.headers.get("connection", "").lower().replace(" ", "").split(",")
        self.keep_alive = "close" not in wishes and minor == "1"
        self.expects = self.headers.get("expect", "").lower() == "100-continue" and minor == "1"
        # Section 6.1: both at once, or a coding in HTTP/1.0, is a way to smuggle requests.
        if "transfer-encoding" in self.headers and ("content-length" in self.headers
                                                    or minor == "0"):
            raise RequestError(400, "Transfer-Encoding and Content-Length exclude each other")
        length = self.headers.get("content-length", "0")
        if not re.fullmatch("[0-9]{1,16}", length):
            raise RequestError(400, "Content-Length must be one number")
        self.length = int(length)

    def check(self) -> None:
        """Raise `RequestError` for what is over a limit, or has no length."""
        if len(self.path) + len(self.query) + bool(self.query) > self.limits.max_url:
            raise RequestError(414, f"the URL is longer than {self.limits.max_url} bytes")
        coding = self.headers.get("transfer-encoding")
        if coding is not None:  # section 6.3
            known = coding.lower() == "chunked"
            raise RequestError(411 if known else 501, "a body must come with a Content-Length")
        if self.length > self.limits.max_body:
            raise RequestError(413, f"the body is larger than {self.limits.max_body:,} bytes")

    def with_body(self, body: bytes) -> Request:
        """Return the same with its body; another one may come with the same head."""
        whole = copy.copy(self)
        whole.body = body
        return whole


class Reader:
    """Cuts what comes in its ``buffer`` into requests; ``read_head`` makes one of each head.

    What that raises, or what is over the limits, is raised by `next`, and the connection cannot go
    on, for the rest of the request is still to come.
    """

    def __init__(self, read_head: Callable[[bytes], Request], limits: Limits) -> None:
        self._read_head, self._limits = read_head, limits
        self.buffer = bytearray()  # what has come, and is in no request yet
        self._seen = 0  # how many bytes of it are no whole head
        self.request: Request | None = None  # whose body is still to come
        self._waits = False  # for `CONTINUE`

    @property
    def is_idle(self) -> bool:
        """True between two requests."""
        return not (self.request or self.buffer)

    def next(self) -> Request | None:
        """Return the next request, or None if not all of it is there."""
        if self.request is None:
            head = self._cut_head() if self.buffer else None
            if head is None:
                return None
            request = self._read_head(head)
            if not request.length:
                return request
            self.request, self._waits = request, request.expects and not self.buffer
        request = self.request
        if len(self.buffer) < request.length:
            return None
        self.request = None
        return request.with_body(self._cut(request.length))

    def must_go_on(self) -> bool:
        """Return whether the client waits to be told to send the body; that is asked once."""
        waits, self._waits = self._waits, False
        return waits

    def _cut(self, size: int) -> bytes:
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        self._seen = 0
        return data

    def _cut_head(self) -> bytes | None:
        buffer = self.buffer
        while buffer.startswith(b"\r\n"):  # section 2.2: an empty line before it is let pass
            del buffer[:2]
        end = buffer.find(b"\r\n\r\n", max(0, self._seen - 3)) + 4
        if (end if end > 3 else len(buffer)) > self._limits.max_head:
            status = 431 if b"\r\n" in buffer else 414
            raise RequestError(status, f"the head of the request is larger than "
                                       f"{self._limits.max_head} bytes")
        if end > 3:
            return self._cut(end)
        if _WRONG.search(buffer, max(0, self._seen - 1)):
            raise RequestError(400, "that is not HTTP, or a line of it ends without a CR")
        self._seen = len(buffer)
        return None


# What is in a request


class Upload(bytes):
    """An uploaded file; its ``filename`` and ``content_type`` are as the client said."""

    filename = content_type = ""


def parameters(request: Request) -> dict[str, list[Any]]:
    """Return the parameters of the query and the body, a list of values for each name.

    Text stays ``str``, an uploaded file is an `Upload`, and JSON is what JSON makes of it.
    """
    pairs: list[tuple[str, Any]] = list(parse_qsl(request.query, keep_blank_values=True))
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if kind == "application/x-www-form-urlencoded" or not request.body:
            if request.body.startswith(b"{"):  # as curl sends it
                raise RequestError(415, "this looks like JSON: send Content-Type: application/json")
            pairs += parse_qsl(request.body.decode(), keep_blank_values=True)
        elif kind == "multipart/form-data":
            pairs += _multipart(request.body, content_type)
        elif kind == "application/json" or kind.endswith("+json"):
            pairs += _limited(loads(request.body.decode()), request.limits.max_depth).items()
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


def _limited(value: Any, depth: int) -> Any:
    """Return a value of JSON; raise ``ValueError`` if more levels than so many are in it."""
    if depth < 0:
        raise ValueError("it is nested too deeply")
    if isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            _limited(item, depth - 1)
    return value


def _multipart(body: bytes, content_type: str) -> list[tuple[str, Any]]:
    from email.parser import HeaderParser  # which costs more than all of this module

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
        if file is None:
            pairs.append((name, content.decode()))
        elif file or content:  # a browser sends nothing where no file was chosen
            upload = Upload(content)
            upload.filename, upload.content_type = str(file), headers.get("content-type", "")
            pairs.append((name, upload))
    return pairs


# The answer


@dataclass
class Response:
    """An answer to a request, whole, or, where ``body`` is None, a stream that follows."""

    status: int
    body: bytes | None = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def fields(self, extra: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return the headers that are this answer's own."""
        fields = [*self.headers.items(), *extra.items()]
        if self.status != 204:
            fields.append(("Content-Type", self.content_type))
            if self.body is not None:
                fields.append(("Content-Length", str(len(self.body))))
        return fields

    def render(self, request: Request | None = None, keep_alive: bool = False) -> bytes:
        """Return the answer in one piece: two small writes meet Nagle and a delayed ACK."""
        head = _begin(self.status, int(time.time()))
        head += "".join(map("%s: %s\r\n".__mod__, self.fields(request.extra if request else {})))
        head += "\r\n" if keep_alive else "Connection: close\r\n\r\n"
        is_head = request is not None and request.method == "HEAD"
        return head.encode("latin-1") + (b"" if is_head else self.body or b"")


def json_response(value: Any, status: int = 200, **more: Any) -> Response:
    """Make an answer out of a value of which JSON may not know every part."""
    return Response(status, dumps(value).encode(), **more)


ALWAYS = [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]


@functools.lru_cache(maxsize=16)
def _begin(status: int, now: int) -> str:
    fields = "".join(map("%s: %s\r\n".__mod__, [("Date", http_date(now)), *ALWAYS]))
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{fields}"


def http_date(now: float) -> str:
    """Return a time in seconds as RFC 9110 section 5.6.7 writes it, whatever the locale."""
    # As ``email.utils.formatdate`` does, the import of which takes as long as that of `longop`.
    at = time.gmtime(now)
    day, month = _DAYS[at.tm_wday], _MONTHS[at.tm_mon - 1]
    return time.strftime(f"{day}, %d {month} %Y %H:%M:%S GMT", at)


_DAYS = "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"
_MONTHS = "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"
