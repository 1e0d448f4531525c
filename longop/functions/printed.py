"""What a function prints, by job: standard output and error that know whose thread writes.

    print() ─▶ sys.stdout, replaced by `capture` ─┬─▶ where it was printed before
                                                  └─▶ the job's `Output`, if a job prints

What draws in the same terminal is a `Taker`: it writes the prints there in its turn, where
otherwise each goes by itself.

Commands such as ``longop.serve`` call `capture`; ``import longop`` replaces nothing. In a
process it is the file descriptors that are replaced, see `workers.printing`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from typing import Any, Callable, Iterable, Iterator

from .output import current, follow_threads, leave_threads

#: Takes what would go to a stream, and returns True; or returns False, and it goes there.
Taker = Callable[[Any, bytes], bool]

_NAMES = ("stdout", "stderr")  # the file descriptors 1 and 2

# Replaced, never changed in place: any thread may print meanwhile.
_takers: tuple[Taker, ...] = ()
_redirected: list[logging.StreamHandler[Any]] = []  # handlers of logging, to be restored
_lock = threading.Lock()  # guards the streams' replacement, and the three names beside it
_is_lasting = False  # whether `capture` was called


def is_captured() -> bool:
    """Return whether what functions print is taken here."""
    return any(isinstance(getattr(sys, name), _Printed) for name in _NAMES)


def capture() -> None:
    """From now on, pass what functions print to their jobs too. Harmless if that is so."""
    global _is_lasting
    with _lock:
        _is_lasting = True
        _replace_streams()
        follow_threads()


def release() -> None:
    """Undo `capture`."""
    global _is_lasting
    with _lock:
        _is_lasting = False
        leave_threads()
        if not _takers:
            _restore_streams()


@contextlib.contextmanager
def taken_by(taker: Taker) -> Iterator[None]:
    """Have prints taken by a taker, which may be asked in any thread; the newest one first.

    What logging writes is a print, too.
    """
    global _takers
    with _lock:
        _takers = (taker, *_takers)
        _replace_streams()
        _redirect_logging()
    try:
        yield
    finally:
        with _lock:
            _takers = tuple(other for other in _takers if other is not taker)
            if not _takers:
                _restore_logging()
            if not (_takers or _is_lasting):
                _restore_streams()


def plain(stream: Any) -> Any:
    """Return the stream that a captured one passes on to; any other stream as it is."""
    return stream.stream if isinstance(stream, _Printed) else stream


def write_out(number: int, data: bytes) -> None:
    """Write to file descriptor 1 or 2, unless a taker takes it as a print."""
    if _is_taken(plain(getattr(sys, _NAMES[number - 1])), data):
        return
    while data:
        data = data[os.write(number, data):]


class _Printed:
    """A text stream that passes on to another one, and to the sink of the context."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)  # all that is not a way to write

    def write(self, text: str) -> int:
        """Write a text where it was written before, then to the job."""
        if not isinstance(text, str):  # as that says it
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        data = text.encode("utf-8", "backslashreplace")
        if not _is_taken(self.stream, data):
            self.stream.write(text)
        current().write(data)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write one text after the other."""
        for line in lines:
            self.write(line)

    @property
    def buffer(self) -> Any:
        """What takes bytes."""
        return _PrintedBytes(self.stream)


class _PrintedBytes:
    """The bytes' side of a `_Printed`."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._buffer = stream.buffer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._buffer, name)

    def write(self, data: Any) -> int:
        """Write bytes where they were written before, then to the job."""
        data = memoryview(data).tobytes()  # which, unlike `bytes`, takes no number
        if not _is_taken(self._stream, data):
            self._buffer.write(data)
        current().write(data)
        return len(data)

    def writelines(self, lines: Iterable[Any]) -> None:
        """Write one piece after the other."""
        for line in lines:
            self.write(line)


def _replace_streams() -> None:
    for name in _NAMES:
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, _Printed):
            setattr(sys, name, _Printed(stream))


def _restore_streams() -> None:
    for name in _NAMES:
        setattr(sys, name, plain(getattr(sys, name)))


def _redirect_logging() -> None:
    """Have handlers that were set up before the streams were replaced write to the new ones."""
    for stream in (sys.stdout, sys.stderr):
        for handler in _stream_handlers():
            if isinstance(stream, _Printed) and handler.stream is stream.stream:
                handler.setStream(stream)
                _redirected.append(handler)


def _restore_logging() -> None:
    for handler in _redirected:
        handler.setStream(plain(handler.stream))
    _redirected.clear()


def _stream_handlers() -> Iterator[logging.StreamHandler[Any]]:
    for logger in [logging.getLogger(), *logging.getLogger().manager.loggerDict.values()]:
        for handler in getattr(logger, "handlers", ()):  # what is no logger yet has none
            if isinstance(handler, logging.StreamHandler):
                yield handler


def _is_taken(stream: Any, data: bytes) -> bool:
    return any(taker(stream, data) for taker in _takers)


def _take_nothing() -> None:
    """Have prints go to the streams again, in a fork, where a taker's lock may be held."""
    global _takers, _lock
    _takers = ()
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_take_nothing)
