"""What the clients of the Model Context Protocol call."""

import time

from longop import LongOperation


def quick(callback, n: int = 1) -> dict:
    """Return an object at once."""
    return {"n": n}


def steps(callback):
    """Report three steps of three."""
    for step in (1, 2, 3):
        callback(f"step {step}", step, 3)
        time.sleep(0.1)
    return "all steps"


def fails(callback):
    """Fail."""
    callback("a part")
    raise ValueError("no luck")


def ticks(callback, log: str):
    """Write to a file, on and on."""
    for step in range(100_000):
        with open(log, "a") as file:
            file.write("x")
        callback(f"tick {step}", step)
        time.sleep(0.01)


def slow(callback, seconds: float = 1.5):
    """Take so many seconds."""
    callback.wait(seconds)
    return f"after {seconds} seconds"


globals().update({function.__name__: LongOperation(function, limit=9)
                  for function in (quick, steps, fails, ticks, slow)})
