"""The far side: makes calls where they were sent, in another process or on another machine.

What `processes` starts is `main`, which makes one call after the other; what `remote` sends out
is `perform_for`.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import threading
import time
from multiprocessing import current_process, parent_process
from multiprocessing.connection import Client, Connection
from typing import Any

from .callback import Callback
from .channel import JSON, PICKLE, Channel, describe
from .errors import WorkerLost
from .executors import Call

PERIOD = 0.002  # seconds between reports that are sent: of those that come faster, the newest is


class _Run:
    """One call: its reports go out through a channel, a cancel comes in."""

    def __init__(self, channel: Channel, id: str, call: Call) -> None:
        self._channel, self._id, self._call = channel, id, call
        self._callback = call.callback()
        self._callback.notify = self._report
        self._lock = threading.Lock()  # one report at a time, and none after the end
        self._due = threading.Event()  # a report waits to be sent
        self._ended = threading.Event()
        self._next = 0.0

    def __call__(self, send_outcome: bool) -> tuple[Any, ...]:
        """Make the call; return the last report, whether it was told to stop, value and error."""
        value, error, callback = None, None, self._callback
        reader, flush = (threading.Thread(target=target, daemon=True)
                         for target in (self._obey, self._flush))
        reader.start()
        flush.start()
        try:
            self._channel.send("begun", self._id)
            value = self._call.run(callback)
        except BaseException as raised:  # SystemExit too: whatever it is, the code has ended
            error = describe(raised)
        self._ended.set()
        self._due.set()
        flush.join()
        outcome = callback.latest, callback.told, value, error
        with contextlib.suppress(OSError):  # the operation is gone
            self._channel.send("ended", self._id, *(outcome if send_outcome else ()))
        reader.join()
        return outcome

    def _obey(self) -> None:
        """Do what comes through the channel, until the operation knows that the code has ended."""
        kind = ""
        try:
            while kind != "bye":
                kind, id = self._channel.receive()
                if id == self._id and kind == "cancel":
                    self._callback.cancel()
                elif id == self._id and kind == "companion":
                    threading.Thread(target=self._call.stop, daemon=True).start()
        except (EOFError, OSError):
            self._callback.cancel()  # the operation is gone

    def _report(self) -> None:
        # In the function's own thread, unless there was a report just now: it may be off in C code
        # the next moment, where no other thread gets a turn.
        if time.monotonic() >= self._next:
            self._send_report()
        else:
            self._due.set()

    def _flush(self) -> None:
        while not self._ended.is_set():
            self._due.wait()
            self._ended.wait(PERIOD)
            self._send_report()

    def _send_report(self) -> None:
        with self._lock, contextlib.suppress(OSError):  # the operation is gone
            self._due.clear()
            if not self._ended.is_set():
                self._next = time.monotonic() + PERIOD
                self._channel.send("report", self._id, *self._callback.latest)


def main(connection: Connection) -> None:
    """Make the calls that come through a connection, in a process that leads its own session."""
    if hasattr(os, "setsid"):
        os.setsid()
        os.register_at_fork(after_in_child=connection.close)  # the job is not the copy's
    current_process().daemon = False  # or the function could not use multiprocessing
    threading.Thread(target=_end_with_parent, daemon=True).start()
    channel = Channel(connection, PICKLE)
    with contextlib.suppress(EOFError, OSError):
        while True:
            kind, id, *data = channel.receive()
            if not data:
                continue  # a cancel that came late
            try:
                call = pickle.loads(*data)
            except BaseException as error:  # what it imports may raise anything
                channel.send("ended", id, Callback().latest, False, None, describe(error))
            else:
                _Run(channel, id, call)(True) if kind == "call" else channel.send("ended", id)


def _end_with_parent() -> None:
    parent_process().join()  # type: ignore[union-attr]
    os.killpg(0, signal.SIGKILL) if hasattr(os, "killpg") else os._exit(1)


def perform_for(address: Any, key: bytes, id: str, call: Call) -> Any:
    """Make a call for the job of this id, whose operation listens at an address."""
    try:
        connection = Client(address, authkey=key)
    except (OSError, EOFError) as error:
        raise WorkerLost(f"the worker cannot reach the job at {address}: {error}. Either it has "
                         "ended, or report_to=(host, port) must say where it can") from error
    with connection:
        return _Run(Channel(connection, JSON), id, call)(False)
