"""The signals that ask a command to end: Ctrl-C, SIGTERM and, on Windows, Ctrl-Break.

A hangup (SIGHUP) is not among them: ``nohup`` has it ignored, so each command decides.
"""

from __future__ import annotations

import contextlib
import signal
from typing import Any

from ..functions.console import outlive_window

#: Windows has SIGBREAK, for Ctrl-Break.
_NAMES = ("SIGINT", "SIGTERM", "SIGBREAK")
ENDING = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))


def end_with_window() -> None:
    """Have a console window that is closed be an ordinary Ctrl-Break; only Windows has that."""
    outlive_window(lambda: signal.raise_signal(ENDING[-1]))


class Deferral:
    """Within it, the first ``KeyboardInterrupt`` is raised by `check` and nowhere else.

    Elsewhere it may fall between the taking of a lock and the code that gives it back, for the
    locks of Events and Futures are taken by Python code (``Condition.__enter__``): the next
    wait for such a lock would never end. A further one is raised at once: it is to leave.

    In a thread other than the main one, and for a signal that has a handler of the program's
    own, all is as without it.
    """

    def __init__(self) -> None:
        self._has_come = False
        self._is_due = False
        self._deferred: list[int] = []  # signals

    def __enter__(self) -> Deferral:
        with contextlib.suppress(ValueError):  # this is not the main thread
            for number in ENDING:
                if signal.getsignal(number) is signal.default_int_handler:
                    signal.signal(number, self._take)
                    self._deferred.append(number)
        return self

    def __exit__(self, *_: object) -> None:
        for number in self._deferred:
            signal.signal(number, signal.default_int_handler)

    def check(self) -> None:
        """Raise the ``KeyboardInterrupt`` that has come, if one has."""
        if self._is_due:
            self._is_due = False
            raise KeyboardInterrupt

    def _take(self, number: int, frame: Any) -> None:
        if self._has_come:
            signal.default_int_handler(number, frame)
        self._has_come = True
        self._is_due = True
