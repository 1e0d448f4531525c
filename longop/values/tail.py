"""The end of what a job printed: the last 64 kB of it, whatever else it prints.

Knows nothing of where it comes from.
"""

from __future__ import annotations

import threading

MOST = 65_536  # bytes


class Tail:
    """Keeps the end of what is written. Any thread may write or read.

    Positions count all bytes from the first one on.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # The lock guards these.
        self._kept = bytearray()
        self._end = 0  # the position at which the next byte is written
        self._closed = False

    @property
    def end(self) -> int:
        """The position after the last byte: how many bytes were written."""
        return self._end

    def write(self, data: bytes) -> None:
        """Add some bytes; what is written after `close` is dropped."""
        with self._lock:
            if not self._closed:
                self._add(data)

    def close(self, last: bytes = b"") -> None:
        """Take nothing more: the job has ended.

        :param last: comes after all that was written, on a line of its own.
        """
        with self._lock:
            if last and self._kept and not self._kept.endswith(b"\n"):
                self._add(b"\n")
            self._add(last)
            self._closed = True

    def text(self) -> str:
        """Return the last lines, 64 kB at most; the first one is whole."""
        with self._lock:
            data, _ = self._after(0)
        return _decode(data)

    def lines_after(self, position: int) -> tuple[str, int]:
        """Return the whole lines after a position, and the position at which they end.

        After `close` an unfinished last line is among them.
        """
        if position == self._end:  # most looks find nothing new
            return "", position
        with self._lock:
            data, start = self._after(position)
            if not self._closed:
                data = data[:data.rfind(b"\n") + 1]
        return _decode(data), start + len(data)

    # With the lock held

    def _add(self, data: bytes) -> None:
        self._kept += data[-MOST:]
        self._end += len(data)
        # Not at each write: moving the rest costs time.
        if len(self._kept) > 2 * MOST:
            del self._kept[:-MOST]

    def _after(self, position: int) -> tuple[bytes, int]:
        """Return what is kept after a position, in whole lines if its begin is lost, and where."""
        first = self._end - min(len(self._kept), MOST)
        if position < first:
            lost = bytes(self._kept[-MOST:])
            position = first + lost.find(b"\n") + 1
        start = len(self._kept) - (self._end - position)
        return bytes(self._kept[start:]), position


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "replace")
