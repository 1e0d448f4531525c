"""Functions that the tests run in other processes; files that the tests write drive them."""

import contextlib
import functools
import os
import threading
import time
from pathlib import Path

import longop

from ..waiting import wait_until

WAIT = 30  # seconds until a function that hangs fails: later than the test that waits for it
wait_for = functools.partial(wait_until, seconds=WAIT)
rung = threading.Event()  # the companion was called
rung_by = []  # in which process


def count(folder: Path, callback):
    """Report three times; after each report wait for a file, or for a cancel."""
    for number in (1, 2, 3):
        callback("x" * number, number, 3, f"pid {os.getpid()}")
        wait_for(lambda: callback.check() or (folder / f"go{number}").exists())  # noqa: B023
    return "all"


def write(file: Path, callback):
    """Write to a file until told to stop; note that at its end."""
    with file.open("a") as stream:
        try:
            while True:
                stream.write("x")
                stream.flush()
                callback("writing", message=f"pid {os.getpid()}")
                time.sleep(0.001)
        finally:
            stream.write("stopped")


def write_on(file: Path, leave: Path, callback):
    """Write to a file, deaf to a cancel, until there is another file."""
    rung.clear()
    with contextlib.suppress(longop.OperationCancelled):
        callback("writing")
    while not leave.exists():
        with file.open("a") as stream:
            stream.write("x")
        time.sleep(0.001)


def note(file: Path):
    """Note that it ran."""
    with file.open("a") as stream:
        stream.write("ran ")


def note_and_die(file: Path, callback):
    """Note that it ran, and end the process once the report was seen."""
    note(file)
    callback("alive")
    wait_for(file.with_name("seen").exists)
    os._exit(3)


def note_and_wait(file: Path, callback):
    """Note that it ran, and wait."""
    note(file)
    callback("waiting")
    callback.wait(5)


def deaf(callback):
    """Ignore the callback; return this process's id and those that called the companion."""
    rung.clear()
    rung_by.clear()
    with contextlib.suppress(longop.OperationCancelled):  # a cancel may come before it returns
        callback("deaf")
    assert rung.wait(WAIT)
    return os.getpid(), rung_by


def ring():
    """Stop `deaf`."""
    rung_by.append(os.getpid())
    rung.set()


def fail():
    """Raise an error."""
    raise ValueError("wrong")


class TwoParts(Exception):
    """An error that can be pickled, but not read again."""

    def __init__(self, left, right):
        super().__init__(f"{left}, {right}")


def fail_in_two_parts():
    """Raise an error that cannot be read again."""
    raise TwoParts("left", "right")


def give_what_cannot_be_pickled(value: bool, callback):
    """Return a lock, or only report it."""
    lock = threading.Lock()
    if value:
        return lock
    callback(message=lock)
    return "value"


class Unreadable:
    """Can be pickled, but not read again."""

    def __reduce__(self):
        return int, ("this is not a number",)


def give_what_cannot_be_read(part: str, callback):
    """Return or report, by the name of the part, what cannot be read again."""
    if part == "value":
        return Unreadable()
    if part:
        callback(**{part: Unreadable()})
    return 1, {2}


def generate(n: int):
    """Yield items."""
    for number in range(n):
        yield f"item {number}"
    return n


async def wait_a_little(n: int):
    """Return its parameter."""
    return n


def echo(n: int, callback):
    """Report its parameter and return it."""
    callback(step=n)
    return n


@longop.LongOperation
def decorated(n: int, callback):
    """Report its parameter and return it."""
    callback(step=n)
    return n


class Deadly:
    """Ends the process where it is unpickled."""

    def __reduce__(self):
        return os._exit, (3,)


class Bomb:
    """Makes a folder where it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def write_text(way: str, size: int, callback):
    """Report a text of so many characters, in pieces or whole, and perhaps return it."""
    text = ""
    for _ in range(200):
        piece = "x" * (size // 200)
        text += piece
        if "append" in way:
            callback.append(piece)
        else:
            callback(text)
    return text if "return" in way else None
