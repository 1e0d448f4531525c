"""A result that grows at its end: what is new costs no copy of what was there before.

    function ── add ──▶ pieces, loose ── joined now and then ──▶ chunks ──▶ value(), since()

Any thread may add or read. Knows nothing of jobs.
"""

from __future__ import annotations

import bisect
import threading
from typing import Any, Sequence

_MOST_PIECES = 256  # that are loose, before they become a chunk
_SMALL_CHUNK = 65_536  # characters, bytes or items; a smaller chunk takes what is added
_EMPTY: dict[type, Any] = {str: "", bytes: b""}
_NAMES: dict[type, str] = {str: "text", bytes: "bytes", list: "a list of items"}


class Growth:
    """A text, bytes or a list that grows.

    :param start: what is there at first: a ``str``, ``bytes`` or ``list``. It is not changed.
    """

    # Adding is the hot path. It takes no lock: a list's `append` is atomic. The lock guards the
    # chunks, and the moment in which loose pieces become a part of them.

    def __init__(self, start: Any) -> None:
        #: The type of the value: ``str``, ``bytes`` or ``list``.
        self.kind: type = type(start)
        self._loose: list[Any] = []  # pieces, or the items of a list
        self._lock = threading.Lock()
        self._chunks: list[Any] = []
        self._ends: list[int] = []  # the length of the value up to the end of each chunk
        if start:
            self._extend(start)

    def __len__(self) -> int:
        """Return the number of characters, bytes or items."""
        with self._lock:
            return self._settle()

    def add(self, piece: Any) -> None:
        """Add a piece of text or of bytes, or one item of a list.

        Raises ``TypeError`` if it is of another kind than what is there.
        """
        if type(piece) is not self.kind:
            piece = self._check(piece)
        self._put(piece)

    def extend(self, more: Any) -> None:
        """Add what `since` has returned of another growth: more text, bytes or items."""
        if self.kind is not list:
            self._put(more)
            return
        for item in more:
            self._put(item)

    def value(self) -> Any:
        """Return the whole value; it does not change when the growth goes on."""
        with self._lock:
            self._settle()
            if len(self._chunks) > 1:
                self._chunks = [self._join(self._chunks)]
                self._ends = self._ends[-1:]
            whole = self._chunks[0] if self._chunks else self._join(())
        # A list is extended in place.
        return whole[:] if self.kind is list else whole

    def since(self, position: int) -> Any:
        """Return what follows the first so many characters, bytes or items."""
        with self._lock:
            self._settle()
            first = bisect.bisect_right(self._ends, position)
            parts = self._chunks[first:]
            if parts:
                start = self._ends[first - 1] if first else 0
                parts[0] = parts[0][position - start:]
            return self._join(parts)

    def _put(self, piece: Any) -> None:
        loose = self._loose
        loose.append(piece)
        if len(loose) >= _MOST_PIECES:
            with self._lock:
                self._settle()

    def _check(self, piece: Any) -> Any:
        """Return a piece as it is kept, or raise ``TypeError``."""
        kind = _kind_of(piece)
        if kind is not self.kind:
            raise TypeError(f"append() adds to {_NAMES[self.kind]}, which "
                            f"{_NAMES[kind]} cannot follow: callback(result) begins anew")
        return bytes(piece) if kind is bytes else piece

    # With the lock held

    def _settle(self) -> int:
        """Make the loose pieces a part of the chunks; return the length of all."""
        count = len(self._loose)  # another thread may add one now: it stays loose
        if count:
            pieces = self._loose[:count]
            del self._loose[:count]
            self._extend(pieces if self.kind is list else _EMPTY[self.kind].join(pieces))
        return self._ends[-1] if self._ends else 0

    def _extend(self, more: Any) -> None:
        """Add to the last chunk if both are small: many small chunks would cost memory.

        A large one would cost a copy.
        """
        end = self._ends[-1] if self._ends else 0
        start = self._ends[-2] if len(self._ends) > 1 else 0
        if self._chunks and max(end - start, len(more)) < _SMALL_CHUNK:
            self._chunks[-1] = self._chunks[-1] + more
            self._ends[-1] = end + len(more)
        else:
            self._chunks.append(more)
            self._ends.append(end + len(more))

    def _join(self, parts: Sequence[Any]) -> Any:
        if self.kind is list:
            return [item for part in parts for item in part]
        return _EMPTY[self.kind].join(parts)


def grow(start: Any, piece: Any) -> Growth:
    """Return the growth of a result to which a first piece will be added.

    It begins with the result if a piece of this kind can follow it, and otherwise empty.
    """
    kind = _kind_of(piece)
    return Growth(start if type(start) is kind else kind())


def settled(result: Any) -> Any:
    """Return a result as it is now: the whole value, if it grows."""
    return result.value() if type(result) is Growth else result


def _kind_of(piece: Any) -> type:
    """Return what pieces like this one make: text, bytes, or else a list of items."""
    if isinstance(piece, str):
        return str
    return bytes if isinstance(piece, (bytes, bytearray, memoryview)) else list
