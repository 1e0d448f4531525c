"""What the benchmarks run in processes."""

import time


def idle():
    """Do nothing, in a process."""


def talk(seconds: float, callback):
    """Report 10,000 times a second, each time the moment."""
    end = time.monotonic() + seconds
    for number in range(int(seconds * 10_000)):
        while time.monotonic() < end - seconds + number / 10_000:
            pass
        callback(time.monotonic(), number)
