"""Lines at the bottom of a terminal or a notebook's output, and what is printed above them.

    print() in any thread ─▶ take() ─ whole lines wait ─┐
    the thread that shows jobs ────── draw(lines) ──────┴─▶ wipe, print, draw again

Knows nothing of jobs.
"""

from __future__ import annotations

import contextlib
import threading
from codecs import getincrementaldecoder
from types import TracebackType
from typing import Any, Sequence

from ..functions import printed
from .columns import visible
from .surface import Print, Surface

MOST_WAITING = 65_536  # characters printed, above which the thread that prints has to write


class Drawing:
    """The lines that stand at the bottom now. Use it as a context manager.

    While it is entered, prints to this terminal are taken and written above the lines. At its
    end the cursor is at the begin of an empty line.
    """

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        # The lock guards everything below, and what is written. It is reentrant, because a
        # signal's handler may print while this thread draws.
        self._lock = threading.RLock()
        self._stand: list[str] = []  # the lines that are drawn
        self._waiting: list[Print] = []
        self._size = 0  # characters that wait
        self._unfinished: dict[tuple[int, int], _Unfinished] = {}  # by stream and thread
        self._is_over = False
        self._taking = contextlib.ExitStack()

    def __enter__(self) -> Drawing:
        self._taking.enter_context(printed.taken_by(self.take))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self._taking.close()
        with self._lock:
            self._is_over = True  # a thread may still come to print
            self.finish_prints()
            self._update(self._stand)
            self._surface.leave()

    @property
    def has_prints(self) -> bool:
        """True if something that was printed waits for the next `draw`."""
        return bool(self._waiting)

    def draw(self, lines: Sequence[str]) -> None:
        """Draw lines in place of those that stand, below what was printed meanwhile."""
        with self._lock:
            self._update(lines)

    def put(self, lines: Sequence[str]) -> None:
        """Print lines, as soon as something is drawn."""
        with self._lock:
            self._add(None, "".join(f"{line}\n" for line in lines))

    def finish_prints(self) -> None:
        """Take the lines that are being printed as they are: nothing more comes of them."""
        with self._lock:
            for unfinished in self._unfinished.values():
                self._add(unfinished.stream, unfinished.rest())

    def take(self, stream: Any, data: bytes) -> bool:
        """Take what is printed to this terminal. Called in the thread that prints."""
        if not self._surface.sees(stream):
            return False
        with self._lock:
            if self._is_over:
                return False
            key = id(stream), threading.get_ident()
            unfinished = self._unfinished.pop(key, None) or _Unfinished(stream)
            self._add(stream, unfinished.lines_with(data))
            if not unfinished.is_empty:
                self._unfinished[key] = unfinished
            if self._size > MOST_WAITING:
                self._update(self._stand)
        return True

    # With the lock held

    def _add(self, stream: Any, text: str) -> None:
        if text:
            self._waiting.append((stream, text))
            self._size += len(text)

    def _update(self, lines: Sequence[str]) -> None:
        self._stand = list(lines)  # first: Ctrl-C may come while this writes
        waiting = self._waiting
        self._waiting = []
        self._size = 0
        self._surface.draw(lines, waiting)


class _Unfinished:
    """The line that is being printed: a text and its newline may arrive apart."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self._decoder = getincrementaldecoder("utf-8")("replace")
        # In pieces, so that many short ones cost no copy of all that came before.
        self._pieces: list[str] = []
        self._size = 0

    def lines_with(self, data: bytes) -> str:
        """Return the whole lines that there are with some more bytes."""
        text = self._decoder.decode(data)
        if "\n" in text or "\r" in text:
            lines, newline, text = ("".join(self._pieces) + text).rpartition("\n")
            self._keep_only(visible(text))
            return lines + newline
        self._pieces.append(text)
        self._size += len(text)
        return self.rest() if self._size > MOST_WAITING else ""

    @property
    def is_empty(self) -> bool:
        """True if the next line has not begun."""
        return not self._size and self._decoder.getstate()[0] == b""

    def rest(self) -> str:
        """Return what there is of a line, as a whole one, and begin the next."""
        text = "".join(self._pieces)
        self._keep_only("")
        return f"{text}\n" if text else ""

    def _keep_only(self, text: str) -> None:
        self._pieces = [text]
        self._size = len(text)
