"""`Connection`: requests to CodeProject.AI Server, one after another, on one connection.

A small HTTP/1.1 client. ``http.client`` would do, but it imports ``email`` and ``ssl``: together
they take more memory than all of a module that runs. Sections are those of RFC 9112.
"""

from __future__ import annotations

import contextlib
import re
import socket
from typing import BinaryIO, Mapping

TIMEOUT = 10.0  # seconds for the server to take something
_FORM = "application/x-www-form-urlencoded"
# As http.client limits them.
_MAX_LINE = 65_536
_MAX_HEADERS = 100
#: Bytes of an answer. The server takes 30 MB from its clients, and sends that on in base64.
_MAX_BODY = 100_000_000
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) (\d{3})\b")
_DECIMAL = re.compile(r"\d{1,16}")
_HEXADECIMAL = re.compile(rb"[0-9A-Fa-f]{1,8}")


class Connection:
    """A connection to the server, for one thread; it is made again when it is broken."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self._file: BinaryIO | None = None  # what the socket receives

    def ask(self, method: str, path: str, body: str | None = None,
            content_type: str = _FORM) -> tuple[int, str]:
        """Return the status and the text of an answer; one to a body has `TIMEOUT`.

        Raises ``OSError``. If a connection that was kept from an earlier request is broken,
        since the server has closed it, a body is sent once more.
        """
        was_kept = self._socket is not None
        try:
            return self._ask(_render(method, path, self._port, body, content_type),
                             None if body is None else TIMEOUT)
        except OSError:
            self.close()
            if was_kept and body is not None:
                return self.ask(method, path, body, content_type)
            raise

    def hang_up(self) -> None:
        """Send nothing more; an answer that is on its way still comes. For another thread."""
        with contextlib.suppress(OSError, AttributeError):  # it may be closed, or not yet open
            self._socket.shutdown(socket.SHUT_WR)  # type: ignore[union-attr]

    def close(self) -> None:
        """Close the connection; the next request opens another one."""
        for part in (self._file, self._socket):
            if part is not None:
                part.close()
        self._file = None
        self._socket = None

    def _ask(self, request: bytes, timeout: float | None) -> tuple[int, str]:
        if self._socket is None or self._file is None:
            self._socket = _dial(self._port, timeout)
            self._file = self._socket.makefile("rb")
            # Otherwise the second piece of a large request may wait for an acknowledgement.
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(timeout)
        self._socket.sendall(request)
        status, body, is_kept = _read_answer(self._file)
        if not is_kept:
            self.close()
        return status, body.decode("utf-8", "replace")


def _dial(port: int, timeout: float | None) -> socket.socket:
    """Return a connection to the server, which is on this machine."""
    # By name, Windows would try the address of IPv6 first, and take two seconds to see that
    # nobody listens there.
    try:
        return socket.create_connection(("127.0.0.1", port), timeout)
    except OSError:
        with contextlib.suppress(OSError):
            return socket.create_connection(("::1", port), timeout)
        raise


def _render(method: str, path: str, port: int, body: str | None, content_type: str) -> bytes:
    """Return a request in one piece: two small ones would wait for each other."""
    head = f"{method} /v1/{path} HTTP/1.1\r\nHost: localhost:{port}\r\n"
    if body is None:
        return f"{head}\r\n".encode()
    data = body.encode()
    head += f"Content-Type: {content_type}\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def _read_answer(file: BinaryIO) -> tuple[int, bytes, bool]:
    """Return a status, a body, and whether the connection is kept. Raises ``OSError``."""
    status = 100
    while status < 200:  # an interim one, which another one follows
        is_http_1_1, status = _read_status(file)
        headers = _read_headers(file)
    is_kept = is_http_1_1 and headers.get("connection", "").lower() != "close"
    length = headers.get("content-length")
    if status in (204, 304):  # section 6.3: these have no body
        return status, b"", is_kept
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return status, _read_chunks(file), is_kept
    if length is not None:
        return status, _read_exactly(file, _number(length)), is_kept
    return status, file.read(), False  # it ends with the connection


def _read_status(file: BinaryIO) -> tuple[bool, int]:
    """Return whether it is HTTP/1.1, and the status."""
    line = _read_line(file)
    match = _STATUS_LINE.match(line)
    if match is None:
        raise ConnectionError(f"the server does not answer with HTTP, but {line!r:.80}")
    return match[1] == b"1", int(match[2])


def _read_headers(file: BinaryIO) -> Mapping[str, str]:
    """Return the headers, with their names in lower case."""
    headers: dict[str, str] = {}
    for _ in range(_MAX_HEADERS):
        line = _read_line(file)
        if not line:
            return headers
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    raise ConnectionError(f"the server's answer has more than {_MAX_HEADERS} headers")


def _read_chunks(file: BinaryIO) -> bytes:
    """Return a body in chunks (section 7.1), each with its size before it."""
    body = bytearray()
    while True:
        size = _HEXADECIMAL.match(_read_line(file))
        if size is None:
            raise ConnectionError("a chunk of the server's answer has no size")
        chunk = _read_exactly(file, int(size[0], 16))
        if not chunk:
            _read_headers(file)  # those that may follow the last chunk
            return bytes(body)
        body += chunk
        if len(body) > _MAX_BODY:
            raise _too_large()
        _read_line(file)  # the end of the line that a chunk is


def _read_line(file: BinaryIO) -> bytes:
    line = file.readline(_MAX_LINE)
    if not line.endswith(b"\n"):
        raise ConnectionError("the server's answer ends in the middle of a line"
                              if line else "the server has closed the connection")
    return line.rstrip(b"\r\n")


def _read_exactly(file: BinaryIO, size: int) -> bytes:
    if size > _MAX_BODY:
        raise _too_large()
    data = file.read(size)
    if len(data) < size:
        raise ConnectionError(f"the server's answer ends {size - len(data)} bytes early")
    return data


def _number(text: str) -> int:
    if not _DECIMAL.fullmatch(text):
        raise ConnectionError(f"Content-Length is no number: {text!r:.40}")
    return int(text)


def _too_large() -> ConnectionError:
    return ConnectionError(f"the server's answer is larger than {_MAX_BODY:,} bytes")
