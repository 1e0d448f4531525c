"""Waits that Ctrl-C always ends.

A thread that waits for a lock, which is what an Event and a Future wait for, hears of no signal
on Windows until the wait is over. Elsewhere it hears of those that come during the wait, but not
of one that came a moment before: after Python had looked for signals the last time, and before
the system had put the thread to sleep. Only the main thread is told of signals: it waits in
slices, and looks between them.
"""

from __future__ import annotations

import math
import threading
import time
from typing import Callable, TypeVar

T = TypeVar("T")

SLICE = 0.5  # seconds until Ctrl-C is heard


def wait_for(event: threading.Event, seconds: float | None = None) -> bool:
    """Wait for an event, at most for some seconds; return whether it is set."""
    return in_slices(event.wait, seconds)


def in_slices(wait: Callable[[float | None], T], seconds: float | None = None) -> T:
    """Wait for something, at most for some seconds; return the last that ``wait`` returned.

    :param wait: waits for so many seconds, or for ever if that is None. What it returns is
        false as long as it has waited in vain.
    """
    if threading.current_thread() is not threading.main_thread():
        return wait(seconds)
    until = math.inf if seconds is None else time.monotonic() + seconds
    while True:
        left = until - time.monotonic()
        found = wait(max(0.0, min(SLICE, left)))
        if found or left <= SLICE:
            return found
