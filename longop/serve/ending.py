"""How the process of a server ends: which signals end it, and what must not hold it up.

    first signal ──▶ a clean end: jobs, watchers, then all that Python runs at its end
    second signal ─▶ the process is gone

Knows nothing of servers: what has to be ended is its caller's.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import sys
import threading
from typing import Any, Callable

from ..cli.signals import ENDING, end_with_window

LAST_THREADS = 0.2  # seconds that threads of the served module have for their end


class Signals:
    """The signals that end a server, turned into bytes that a thread can wait for.

    A handler that raises would do so anywhere in the main thread, also in the middle of a
    clean end. Instead, the interpreter writes the number of each signal to a socket.
    """

    def __init__(self) -> None:
        """Take the signals. This must be done in the main thread."""
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno())
        self._hurrying = {bytes([number]) for number in ENDING}
        self._ending = {*self._hurrying}
        for number in ENDING:
            _take(number)
        end_with_window()
        # The terminal was closed. ``nohup`` has this ignored, and a served module may have a
        # use of its own for it; both stay as they are.
        hangup = getattr(signal, "SIGHUP", None)  # Windows has none
        if hangup is not None and signal.getsignal(hangup) is signal.SIG_DFL:
            self._ending.add(bytes([hangup]))
            _take(hangup)

    def wait(self) -> None:
        """Wait for a signal that ends the server."""
        self._wait_for(self._ending)

    def wait_to_hurry(self) -> None:
        """Wait for one that ends it at once, which a closed terminal does not mean.

        When a terminal is closed, both the shell and the system send SIGHUP.
        """
        self._wait_for(self._hurrying)

    def _wait_for(self, wanted: set[bytes]) -> None:
        # Other signals may be handled by the served module.
        while self._reader.recv(1) not in wanted:
            pass


def hurry(signals: Signals, kill: Callable[[], object]) -> None:
    """Have one more signal end the process at once, until it is gone.

    :param kill: ends what would outlive the process.
    """

    def watch() -> None:
        try:
            signals.wait_to_hurry()
        except OSError:  # the socket was closed: that is no signal
            return
        kill()
        os._exit(0)  # the main thread may wait for jobs that never end

    threading.Thread(target=watch, name="hurry", daemon=True).start()


def let_no_thread_hold_up_the_end() -> None:
    """Have Python's end begin soon after that of the main thread.

    Python waits for every thread that is not a daemon, which a served function may have
    started, before it runs what ``atexit`` knows. If one of them does not end, this runs that
    in its place. Nothing happens as long as the main thread goes on.
    """
    has_begun = threading.Event()
    atexit.register(has_begun.set)  # what is registered last is called first
    main_has_ended = _event_of_main_end()

    def watch() -> None:
        main_has_ended.wait()
        if not has_begun.wait(LAST_THREADS):
            _end_now()

    threading.Thread(target=watch, name="end", daemon=True).start()


def _event_of_main_end() -> threading.Event:
    """Return an event that is set when the main thread has ended, before others are waited for.

    Since Python 3.9 the threads of ``concurrent.futures`` are waited for by functions that are
    registered this way, the last one first; in 3.8 ``atexit`` does it, and has begun by then.
    """
    ended = threading.Event()
    register = getattr(threading, "_register_atexit", None)
    if register is not None:
        register(ended.set)
        return ended

    def wait() -> None:
        threading.main_thread().join()
        ended.set()

    threading.Thread(target=wait, name="main-end", daemon=True).start()
    return ended


def _end_now() -> None:
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # it may be closed, or None
            stream.flush()
    os._exit(0)


def _take(number: int) -> None:
    """Have a signal written to the socket: only one with a Python handler is."""
    signal.signal(number, _do_nothing)


def _do_nothing(number: int, frame: Any) -> None:
    pass
