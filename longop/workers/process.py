"""A process that makes calls: how it is started, spoken to, signalled and ended."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from multiprocessing.connection import wait
from typing import ContextManager

from ..errors import WorkerLost
from ..functions.output import Sink
from ..functions.printed import is_captured
from .channel import PICKLE, Channel
from .child import KILL, Child
from .printing import Printing, errors_of_stdout
from .worker import serve_calls


class WorkerProcess:
    """A fresh Python in a session of its own, and the channel to it.

    The pipe between the two belongs to them alone, and so do the locks at its ends. Whenever
    the process is killed, even within a message, nothing is held that another process waits
    for; a queue that several processes share would stay locked.

    Not thread-safe: its owner decides which thread may call `kill` and `end`, and when.
    """

    def __init__(self) -> None:
        here, there = multiprocessing.Pipe()
        # Spawned, because a fork would copy this process's locks as they are, with none of the
        # threads that would release them.
        self._printing = Printing() if is_captured() and os.name != "nt" else None
        writers = self._printing.writers if self._printing else []
        arguments = (there, writers, errors_of_stdout())
        self._process = Child(target=serve_calls, args=arguments, name="longop", daemon=True)
        try:
            with there:  # closed here after the start: only then is the process's death an EOF
                self._process.start()
        except BaseException:
            here.close()
            if self._printing:
                self._printing.discard()
            raise
        if self._printing:
            self._printing.start()
        self.channel = Channel(here, PICKLE)
        self.is_doomed = False  # it must not be given another job
        self._is_ready = False

    def wait_until_ready(self, timeout: float | None = None) -> bool:
        """Wait until it listens; return False if that takes more than some seconds.

        Called by the thread that reads from it. Raises ``EOFError`` or ``OSError`` if it has
        ended.
        """
        if not self._is_ready:
            # A process that dies before it has taken its end of the pipe does not close it
            # where this side holds a copy: on Windows, or in a fork that was made meanwhile.
            connection = self.channel.connection
            found = wait([connection, self._process.sentinel], timeout)
            if not found:
                return False
            if connection not in found:
                raise EOFError
            self.channel.receive()  # Ready
            self._is_ready = True
        return True

    def is_alive(self) -> bool:
        """Return whether it still runs."""
        return self._process.is_alive()

    def printing_to(self, sink: Sink) -> ContextManager[None]:
        """Pass what it prints on to a job's sink, if that is captured."""
        if self._printing is None:
            return contextlib.nullcontext()
        return self._printing.going_to(sink)

    def kill(self, number: int) -> bool:
        """Send a signal to the process and its session; return False if it is gone.

        That is all that it has started, but for what has begun a session of its own. Must not
        be called after `end`: its process id may belong to another process by then.
        """
        self.is_doomed = True
        return self._process.signal_all(number)

    def end(self) -> WorkerLost:
        """Kill the process and wait for its end; return how it ended, perhaps by itself."""
        self.kill(KILL)
        self._process.join()
        self._process.reap()
        self.channel.connection.close()
        if self._printing is not None:
            self._printing.close()
        exit_code = self._process.exitcode or 0
        means = self._process.means()
        return _describe(exit_code, means)


def _describe(exit_code: int, means: str | None) -> WorkerLost:
    """Return the error that says how a process ended: by itself, or by what has killed it."""
    if means is None:
        return WorkerLost(f"its process ended with exit code {exit_code}")
    lost = WorkerLost(f"its process was killed by {means}")
    lost.means = means
    return lost
