"""What a worker process prints, and what it has started: taken at the file descriptors.

    the worker's fd 1 ─ pipe ─┐  a thread of  ┌─▶ where it was printed before
    the worker's fd 2 ─ pipe ─┴─▶ this process ─┴─▶ the job that runs there

The operation's side reads, so that a worker that is killed loses nothing it has printed. Used
only where `functions.printed` captures.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import sys
import threading
from multiprocessing import Pipe
from typing import TYPE_CHECKING, Iterator, Sequence

from ..functions.output import Sink
from ..functions.printed import plain, write_out

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_OUTPUTS = (1, 2)  # standard output and error
_CHUNK = 65_536  # bytes to read at a time


class Printing:
    """The operation's side, for one worker process."""

    def __init__(self) -> None:
        pipes = [Pipe(duplex=False) for _ in _OUTPUTS]
        #: What the worker is to give to `print_to`; closed by `start`.
        self.writers: list[Connection] = [writer for _, writer in pipes]
        self._readers = [reader for reader, _ in pipes]
        self._thread = threading.Thread(target=self._read, name="longop-printed", daemon=True)
        self._waker, self._woken = os.pipe()[::-1]
        # Held while something is read and passed on: `drain` may read too.
        self._lock = threading.Lock()
        self._sink: Sink | None = None

    def discard(self) -> None:
        """Close the pipes, in place of `start`: there is no worker."""
        for end in (*self.writers, *self._readers):
            end.close()
        os.close(self._waker)
        os.close(self._woken)

    def start(self) -> None:
        """Begin to read. The worker has its ends of the pipes by now."""
        for writer in self.writers:
            writer.close()
        for reader in self._readers:
            os.set_blocking(reader.fileno(), False)
        self._thread.start()

    @contextlib.contextmanager
    def going_to(self, sink: Sink) -> Iterator[None]:
        """Pass what is printed on to a job's sink, too, up to the last byte."""
        self._sink = sink
        try:
            yield
        finally:
            self.drain()
            self._sink = None

    def drain(self) -> None:
        """Pass on what was printed so far."""
        with self._lock:
            for number, reader in zip(_OUTPUTS, self._readers):
                self._take(number, reader)

    def close(self) -> None:
        """Stop reading, also if something that the worker has started could go on printing."""
        os.close(self._waker)
        self._thread.join()

    def _read(self) -> None:
        """Read until all ends are closed, or `close` was called. Runs in its own thread."""
        with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
            stack.callback(os.close, self._woken)
            for number, reader in zip(_OUTPUTS, self._readers):
                stack.enter_context(reader)
                selector.register(reader, selectors.EVENT_READ, (number, reader))
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.data is None:
                        self.drain()
                        return
                    number, reader = key.data
                    with self._lock:
                        is_open = self._take(number, reader)
                    if not is_open:
                        selector.unregister(reader)

    def _take(self, number: int, reader: Connection) -> bool:
        """Pass on what is in a pipe; return False if its other end is closed. With the lock."""
        while True:
            try:
                data = os.read(reader.fileno(), _CHUNK)
            except BlockingIOError:
                return True
            except OSError:  # it was closed here
                return False
            if not data:
                return False
            with contextlib.suppress(OSError):  # nobody reads our own output any more
                write_out(number, data)
            if self._sink is not None:
                self._sink(data)


def errors_of_stdout() -> str | None:
    """Return what standard output does with what it cannot encode, or None if it is closed."""
    errors: str | None = getattr(plain(sys.stdout), "errors", None)
    return errors


def print_to(writers: Sequence[Connection], errors: str | None) -> None:
    """Have this process, and what it starts, print to the other side. Runs in the worker.

    :param writers: both ends, or none if its output is to stay where it is.
    :param errors: the other side's `errors_of_stdout`: what can be printed there can be
        printed here.
    """
    with contextlib.suppress(Exception):  # a Python started without streams has none
        sys.stdout.reconfigure(errors=errors)  # type: ignore[union-attr]
    if not writers:
        return
    for number, writer in zip(_OUTPUTS, writers):
        os.dup2(writer.fileno(), number)
        writer.close()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            # So that each line is seen at once. A Python started without streams has none.
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
