"""How much a client may send, and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


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
    max_depth: int = _limit(100, "deepest nesting of JSON in a body, in levels")
    max_connections: int = _limit(2_000, "most connections at once")
    request_time: float = _limit(
        30.0, "seconds a client may take to send a request, plus 1 for each 10 kB of its body")
    # nginx's default.
    idle_time: float = _limit(75.0, "seconds an idle connection is kept open")
