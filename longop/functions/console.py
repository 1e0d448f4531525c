"""The console that a process of Windows shares with those it has started: its keys, its window.

Other systems have sessions in place of this: see `worker`.
"""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any, Callable

#: CTRL_CLOSE_EVENT, CTRL_LOGOFF_EVENT and CTRL_SHUTDOWN_EVENT, as Windows numbers them.
_CLOSING = (2, 5, 6)
_kept: list[Any] = []  # what Windows calls must not be garbage


def ignore_keys() -> None:
    """Ignore Ctrl-C and Ctrl-Break: the process that has started this one decides."""
    for name in ("SIGINT", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def outlive_window(close: Callable[[], object]) -> None:
    """Have a closed window, a logoff or a shutdown call something, and wait for this process.

    Windows ends the process as soon as what it calls returns, so that nothing could be done
    any more. If it does not return, Windows ends the process after five seconds.

    :param close: called in a thread that Windows starts.
    """
    if sys.platform != "win32":
        return
    try:
        import ctypes
    except ImportError:  # a Python without it: the window's end is then the process's
        return

    def hear(event: int) -> int:
        if event not in _CLOSING:
            return 0  # a key, of which Python makes a signal
        close()
        threading.Event().wait()  # the process ends meanwhile
        return 1

    handler = ctypes.WINFUNCTYPE(ctypes.c_int, ctypes.c_uint)(hear)
    _kept.append(handler)
    ctypes.windll.kernel32.SetConsoleCtrlHandler(handler, 1)
