"""What the servers run while they are measured."""

import time


def hold(callback):
    """Report once, and then nothing."""
    callback("1 2 3", 3, 10, "the third of ten")
    time.sleep(3600)


def tick(callback, seconds: float = 15):
    """Report ten times a second."""
    start = time.monotonic()
    for number in range(round(seconds * 10)):
        time.sleep(max(0, start + number / 10 - time.monotonic()))
        callback(f"line {number}", number, round(seconds * 10))


def clock(callback, count: int = 200):
    """Report the moment, 20 times a second; all processes of a machine have the same clock."""
    for number in range(count):
        time.sleep(0.05)
        callback(time.monotonic(), number, count)
