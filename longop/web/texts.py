"""Statuses as JSON text, each version made once for all clients that ask for it.

Knows nothing of requests. What is large takes long to make: it is a `Later`, which an event
loop has made in another thread.
"""

from __future__ import annotations

import threading
from io import BytesIO
from typing import Any, NamedTuple

from ..status import Status, Times
from ..values.jsontext import dumps
from ..values.pieces import is_short, pieces
from .held import Later

_TIMES = b'"elapsed":null,"eta":null'


class Split(NamedTuple):
    """The text of a status before and after the times in it, which differ from poll to poll."""

    before: bytes
    after: bytes

    def end(self, now: Status | Times) -> bytes:
        """Return what follows ``before``, with the times of a status of this version."""
        elapsed = "null" if now.elapsed is None else str(now.elapsed)
        eta = "null" if now.eta is None else str(now.eta)
        return f'"elapsed":{elapsed},"eta":{eta}'.encode() + self.after


class StatusTexts:
    """The texts that were made last.

    Polls are the most frequent requests by far, and most of them find nothing new: then the
    times are all that is written again.
    """

    _MAX_STATUSES = 100
    _MAX_TEXT = 10_000  # characters; with the above, all short texts stay below 1 MB
    _MAX_LARGE = 16 * 1024 * 1024  # bytes of all large texts but the newest

    def __init__(self) -> None:
        # By the job's id: the version and its text. Threads share it without a lock: each entry
        # is replaced as a whole, and a lost one is only made again.
        self._short: dict[str, tuple[int, Split]] = {}
        # The same, oldest first. Here a lost one would be made twice: the lock guards them. It
        # is never held while a text is made.
        self._large: dict[str, tuple[int, Later]] = {}
        self._lock = threading.Lock()

    def get(self, status: Status) -> Split | Later:
        """Return the text of a status, or what will have made it once it was run."""
        split = self.known(status.id, status.version)
        if split is not None:
            return split
        status = status.settled()
        if is_short_status(status):
            return self._make_short(status)
        with self._lock:
            version, later = self._large.get(status.id, (-1, None))
            if later is None or version != status.version:
                later = self._add_large(status)
            return later

    def known(self, id: str, version: int) -> Split | None:
        """Return the text of a job's status of this version, if it is short and was made."""
        made, split = self._short.get(id, (-1, None))
        return split if made == version else None

    def _make_short(self, status: Status) -> Split:
        text = dumps(vars(_without_times(status))).encode()
        # The last one: a result may contain the same words, and stands before the times.
        before, _, after = text.rpartition(_TIMES)
        split = Split(before, after)
        if len(text) < self._MAX_TEXT:
            if len(self._short) > self._MAX_STATUSES:
                self._short.clear()
            self._short[status.id] = status.version, split
        return split

    def _add_large(self, status: Status) -> Later:
        # The status is let go of when it is made: a result may be large, and end before this.
        later = Later(lambda: _make_large(status))
        self._large.pop(status.id, None)
        self._large[status.id] = status.version, later
        while len(self._large) > 1 and self._size_of_large() > self._MAX_LARGE:
            del self._large[next(iter(self._large))]
        return later

    def _size_of_large(self) -> int:
        return sum(_size_of(later) for _, later in self._large.values())


def is_short_status(status: Status) -> bool:
    """Return whether the text of a status surely takes little time to make."""
    # The rest of it is short by itself.
    return is_short([status.result, status.step, status.total, status.message])


def _without_times(status: Status) -> Status:
    return status.replace(elapsed=None, eta=None)


def _make_large(status: Status) -> Split:
    """Make a text in pieces, between which other threads run."""
    fields = list(vars(_without_times(status)).items())
    names = [name for name, _ in fields]
    start = names.index("elapsed")
    end = names.index("eta") + 1
    before = BytesIO()
    for piece in pieces(dict(fields[:start])):
        before.write(piece.encode())
    before.seek(-1, 2)  # in place of the bracket that closes
    before.write(b",")
    after = dumps(dict(fields[end:]))[1:]
    return Split(before.getvalue(), f",{after}".encode())


def _size_of(later: Later) -> int:
    """Return the size of a text, or 0 while it is being made."""
    if not later.made.done() or later.made.exception() is not None:
        return 0
    split: Any = later.made.result()
    return len(split.before)
