"""A process that makes calls: how it is started, spoken to, signalled and ended."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess

from ..errors import WorkerLost
from .channel import PICKLE, Channel
from .worker import serve_calls

KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has no SIGKILL


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
        self._process = multiprocessing.get_context("spawn").Process(
            target=serve_calls, args=(there,), name="longop", daemon=True)
        with there:  # closed here after the start: only then is the process's death an EOF
            self._process.start()
        self.channel = Channel(here, PICKLE)
        self.is_doomed = False  # it must not be given another job

    def is_alive(self) -> bool:
        """Return whether it still runs."""
        return self._process.is_alive()

    def kill(self, number: int) -> None:
        """Send a signal to the process and to all that it has started.

        Must not be called after `end`: its process id may belong to another process by then.
        """
        self.is_doomed = True
        pid = self._process.pid
        assert pid is not None
        if not hasattr(os, "killpg"):
            command = ["taskkill", "/F", "/T", "/PID", str(pid)]
            subprocess.call(command, stdout=subprocess.DEVNULL)
            return
        try:
            os.killpg(pid, number)
        except OSError:
            # All of them are gone, or its session has not begun yet: then it is still alone.
            if number == KILL:
                self._process.kill()
            else:
                self._process.terminate()

    def end(self) -> WorkerLost:
        """Kill the process and wait for its end; return how it ended, perhaps by itself."""
        self.kill(KILL)
        self._process.join()
        self.channel.connection.close()
        exit_code = self._process.exitcode or 0
        # It has files open, and a traceback that leads here may be kept for long.
        del self._process
        return _describe(exit_code)


def _describe(exit_code: int) -> WorkerLost:
    """Return the error that says how a process ended; a negative code is that of a signal."""
    if exit_code >= 0:
        return WorkerLost(f"its process ended with exit code {exit_code}")
    name = _signal_name(-exit_code)
    lost = WorkerLost(f"its process was killed by {name}")
    lost.means = name
    return lost


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has no name
        return f"signal {number}"
