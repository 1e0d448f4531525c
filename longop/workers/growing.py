"""Results that grow, between processes: each character, byte or item is sent once.

    worker: the newest result ─ Sent.rest_of ─▶ its rest ─▶ Received.add ─▶ a `Growth`

A result grows if the function appends to it, or if it reports a text that begins with the one
it has reported before.
"""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

from ..values.growth import Growth

_KINDS: dict[str, type] = {"text": str, "bytes": bytes, "list": list}
_NAMES = {kind: name for name, kind in _KINDS.items()}


class Rest(NamedTuple):
    """What follows the first ``start`` characters, bytes or items of a result."""

    kind: str  # JSON has no bytes: there they are text
    start: int
    more: Any


class Sent:
    """The worker's side: what the operation has of the newest result."""

    def __init__(self) -> None:
        self._result: Any = None
        self._length = 0
        #: How many characters or bytes the newest result was compared with, to find its rest.
        self.compared = 0

    def rest_of(self, result: Any) -> Rest | None:
        """Return what is to be sent of a result, or None if it is to be sent as it is.

        It counts as sent from then on.
        """
        before = self._result
        start = self._length
        self._result = result
        self.compared = 0
        if type(result) is Growth:
            if result is not before:
                start = 0
            more = result.since(start)
            self._length = start + len(more)
            return Rest(_NAMES[result.kind], start, more)
        if type(result) not in (str, bytes):
            self._length = 0
            return None
        self._length = len(result)
        if type(before) is not type(result) or not before:
            return None
        self.compared = start
        if not result.startswith(before):
            return None
        return Rest(_NAMES[type(result)], start, result[start:])


class Received:
    """The operation's side: the result so far."""

    def __init__(self) -> None:
        self._growth: Growth | None = None

    def set(self, result: Any) -> Any:
        """Take a result that was sent as it is; return it."""
        self._growth = None
        if type(result) in (str, bytes):
            self._growth = Growth(result)
        return result

    def add(self, rest: Rest) -> Growth:
        """Add the rest of a result; return all of it."""
        kind = _KINDS[rest.kind]
        more = rest.more
        if kind is bytes and isinstance(more, str):
            more = base64.b64decode(more)
        elif kind is list and not isinstance(more, list):
            more = [more]  # items that nothing could be made of, but one text for all
        if self._growth is None or rest.start == 0:
            self._growth = Growth(kind())
        self._growth.extend(more)
        return self._growth
