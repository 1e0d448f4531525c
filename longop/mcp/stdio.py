"""The protocol over stdin and stdout: one message a line.

    reader's thread ─ lines ─▶ a queue ─▶ main thread ─┬─▶ answers
                                                       └─▶ a thread for each call ─▶ answers

The main thread sees cancels while calls run. The end of stdin, or a stdout that nobody reads,
ends all.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from typing import Any, Generator, Iterator, Mapping, Protocol

from ..job import logger
from ..values.jsontext import dumps
from ..values.waits import in_slices
from . import eras
from .calls import Call
from .eras import Peer
from .message import INVALID_REQUEST, Message, RpcError, failure, read
from .server import Pending, Server

#: Seconds between two messages about the progress of a call.
PAUSE = 0.02

_CLIENT = "stdio"  # there is one
_CHUNK = 65_536  # bytes to read at a time


class Sink(Protocol):
    """A binary file to write to."""

    def write(self, data: bytes, /) -> object:
        """Take bytes."""
        ...

    def flush(self) -> object:
        """Let the reader have them."""
        ...


class Stdio:
    """One client at the other end of two pipes.

    :param source: the file descriptor that messages come from; it is read and not closed.
    :param sink: the file that messages go to, and nothing else.
    :param max_line: bytes of a message; longer ones are refused, and not kept.
    :param max_depth: levels of nesting in a message.
    """

    def __init__(self, server: Server, source: int, sink: Sink, max_line: int,
                 max_depth: int) -> None:
        self._server = server
        self._source = source
        self._sink = sink
        self._max_line = max_line
        self._max_depth = max_depth
        self._writing = threading.Lock()  # a line is written in one piece
        # Set in the main thread. A client that has closed its end may take an answer to a call
        # that is ended now for an error of its own.
        self._is_over = False
        # What the main thread has to do; None is the end. Filled by the reader's thread, and
        # by any thread that finds that nobody reads what it writes.
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def serve(self) -> None:
        """Answer messages in this thread until there are no more, or nobody reads the answers.

        Calls may still be under way then; nothing more is sent of them.
        """
        threading.Thread(target=self._read, daemon=True).start()
        while True:
            [line] = in_slices(self._next_line)
            if line is None:
                self._is_over = True
                return
            if line.strip():
                self._take(line)

    def _next_line(self, seconds: float | None) -> list[bytes | None]:
        """Return the next line, or nothing if there is none in time."""
        try:
            return [self._lines.get(timeout=seconds)]
        except queue.Empty:
            return []

    # The reader's thread

    def _read(self) -> None:
        try:
            for line in lines_of(self._source, self._max_line):
                self._lines.put(line)
        except OSError as error:
            logger.warning("stdin cannot be read: %s", error)
        finally:
            self._lines.put(None)

    # The main thread

    def _take(self, line: bytes) -> None:
        message = None
        try:
            if len(line) > self._max_line:
                raise RpcError(INVALID_REQUEST, "the message is longer than "
                                                f"{self._max_line:,} bytes")
            message = read(line, self._max_depth)
            if message is not None:
                self._handle(message)
        except RpcError as error:
            self._write(failure(None if message is None else message.id, error))

    def _handle(self, message: Message) -> None:
        if message.is_notification:
            self._server.notify(message, _CLIENT)
            return
        # `server/discover` asks for the era, so it is always of the new one.
        is_modern = eras.says_version(message) or message.method == "server/discover"
        peer = self._server.admit(message, is_modern)
        # Before the next line is taken, which may cancel it.
        call = self._server.begin(message, _CLIENT)
        if call is None:
            self._answer(message, peer, None)
            return
        threading.Thread(target=self._answer, args=(message, peer, call),
                         name=f"longop-mcp-{message.id}", daemon=True).start()

    # The main thread, or a thread of a call

    def _answer(self, message: Message, peer: Peer, call: Call | None) -> None:
        try:
            answer = self._server.answer(message, peer, call)
        except RpcError as error:
            self._write(failure(message.id, error))
            return
        if isinstance(answer, Pending):
            with contextlib.closing(_wait(answer)) as items:
                for item in items:
                    self._write(item)
        elif answer is not None and not (call is not None and call.is_cancelled):
            self._write(answer)

    def _write(self, message: Mapping[str, Any]) -> None:
        line = dumps(message).encode() + b"\n"
        try:
            with self._writing:
                if self._is_over:
                    return
                self._sink.write(line)
                self._sink.flush()
        except (OSError, ValueError):  # ValueError: it is closed
            self._lines.put(None)


def lines_of(source: int, longest: int) -> Iterator[bytes]:
    """Yield the lines of a file descriptor, without what follows ``longest`` bytes and one.

    The last one may have no end. It is read with `os.read`, because a thread that waits in a
    file of Python's holds its lock, and the interpreter cannot end.
    """
    parts = bytearray()
    while True:
        chunk = os.read(source, _CHUNK)
        if not chunk:
            break
        *ended, rest = chunk.split(b"\n")
        for end in ended:
            parts += end
            yield bytes(parts[:longest + 1])
            parts.clear()
        parts += rest
        del parts[longest + 1:]  # it is too long already: the rest need not be kept
    yield bytes(parts)


def _wait(pending: Pending) -> Generator[Mapping[str, Any], None, None]:
    """Yield the messages about a job, waiting in this thread."""
    changed = threading.Event()
    ended = threading.Event()
    pending.job.watch(changed.set)  # called in the thread that changes the job
    pending.job.add_done_callback(lambda job: ended.set())
    try:
        for item in pending.items:
            if isinstance(item, float):
                changed.wait(min(item, threading.TIMEOUT_MAX))
                # Before the look at the job: a change during that look ends the next wait.
                changed.clear()
            else:
                yield item
                ended.wait(PAUSE)  # the client need not see each report
    finally:
        pending.job.unwatch(changed.set)
        pending.items.close()
