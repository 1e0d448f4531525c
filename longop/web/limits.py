"""How much a client may send, how long it may take, and how much all may send together."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from ..errors import RequestError

SMALL_BODY = 65_536  # bytes; a body up to this size is taken however many others there are
_RETRY_AFTER = "5"  # seconds, a guess: nobody knows how fast the other clients send


def _limit(default: Any, help: str) -> Any:
    """Declare a limit; the command line shows its ``help``."""
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, eq=False)  # compared and hashed by identity, which is fast
class Limits:
    """What a client may send and how long it may take: sizes in bytes, times in seconds."""

    # As http.server limits a line, and http.client the number of headers.
    max_head: int = _limit(65_536, "largest request line and headers together, in bytes")
    max_headers: int = _limit(100, "most headers in a request")
    # RFC 9110 section 4.1 asks for at least 8000.
    max_url: int = _limit(8_192, "longest URL, in bytes")
    # What CodeProject.AI Server allows.
    max_body: int = _limit(30_000_000, "largest request body, in bytes")
    max_in_flight: int = _limit(
        100_000_000, "largest sum of all bodies that are being received or read, in bytes")
    max_parameters: int = _limit(1_000, "most parameters in a request")
    max_parts: int = _limit(1_000, "most parts of a multipart body")
    max_depth: int = _limit(100, "deepest nesting of JSON in a body, in levels")
    max_values: int = _limit(
        1_000_000, "most values of JSON in a body, of which a text counts as 3, a list as 4 "
                   "and an object as 8")
    max_connections: int = _limit(2_000, "most connections at once")
    request_time: float = _limit(
        30.0, "seconds a client may take to send a request, plus 1 for each 10 kB of its body")
    # nginx's default.
    idle_time: float = _limit(75.0, "seconds an idle connection is kept open")


class InFlight:
    """The bytes of all request bodies that are being received or read, in any thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._bytes = 0
        self._lock = threading.Lock()  # guards the above

    def admit(self, size: int) -> Room:
        """Return the room for a body, to be closed when the body is no longer needed.

        Raises `RequestError` if there is none. A small body always has room, and so has a
        single one that is larger than all may be together.
        """
        with self._lock:
            if size > SMALL_BODY and self._bytes and self._bytes + size > self._most:
                raise RequestError(
                    503, "the bodies of other requests take all the memory there is for them; "
                    "try again later", **{"Retry-After": _RETRY_AFTER})
            self._bytes += size
        return Room(self, size)

    def give_back(self, size: int) -> None:
        """Take back what a `Room` had."""
        with self._lock:
            self._bytes -= size


class Room:
    """The room that one body has. One thread at a time uses it."""

    def __init__(self, whole: InFlight, size: int) -> None:
        self._whole = whole
        self._size = size

    def close(self) -> None:
        """Give the room back. Harmless if it was given back before."""
        self._whole.give_back(self._size)
        self._size = 0
