"""Code that runs elsewhere, in another process or on another machine: both ends of it.

    job ── call ─────────────▶ worker     each with the job's id, so that none that comes late is
        ◀─ begun, report, ended           taken for another job's
        ── cancel, companion, bye ▶

What `processes` starts is `main`, which makes one call after the other; what `remote` sends out is
`perform_for`.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import sys
import threading
import time
import traceback
from functools import partial
from multiprocessing import AuthenticationError, current_process, parent_process
from multiprocessing.connection import Client, Connection
from typing import Any, Callable, Tuple

from .. import jsontext
from ..callback import Callback
from ..errors import LongOperationError, WorkerLost
from ..executors import Call
from ..job import Job

PERIOD = 0.002  # seconds between reports that are sent: of those that come faster, the newest is
Codec = Tuple[Callable[[Any], bytes], Callable[[bytes], Any]]


class Channel:
    """A connection that carries messages."""

    def __init__(self, connection: Connection, codec: Codec) -> None:
        self.connection = connection
        self._encode, self._decode = codec
        self._lock = threading.Lock()  # one message at a time

    def send(self, *message: Any) -> bool:
        """Send a message: its kind, the job's id, and what belongs to it; return whether it went.

        That the other side is gone shows when its next message is waited for.
        """
        data = self._encode(message)
        with self._lock, contextlib.suppress(OSError):
            self.connection.send_bytes(data)
            return True
        return False

    def receive(self) -> Any:
        """Wait for a message; raise ``OSError`` or ``EOFError`` if the other side is gone."""
        return self._decode(self.connection.recv_bytes())


def _pickled(message: Any) -> bytes:
    try:
        return pickle.dumps(message)
    except Exception:  # better as JSON has it than lost
        return pickle.dumps(jsontext.loads(jsontext.dumps(message)))


PICKLE: Codec = _pickled, pickle.loads
# What comes over a network is never unpickled.
JSON: Codec = (lambda message: jsontext.dumps(message).encode(),
               lambda data: jsontext.loads(data.decode()))


def attend(job: Job, call: Call, channel: Channel) -> Any:
    """Take in a job's reports, and send its cancel, until its code has ended; return the outcome.

    Raises ``EOFError`` or ``OSError`` if the worker is lost.
    """
    call.stop = partial(channel.send, "companion", job.id)
    while True:
        kind, id, *rest = channel.receive()
        if id != job.id:
            continue
        if kind == "report":
            job.callback.receive(tuple(rest))
        elif kind == "begun":
            job.callback.on_cancel(partial(channel.send, "cancel", id))
        else:
            channel.send("bye", id)
            return rest


def settle(job: Job, outcome: Any) -> Any:
    """Return the value that a call has ended with, or raise its error."""
    latest, told, value, error = outcome
    job.callback.receive(latest)
    job.callback.told = job.callback.told or told
    if error is not None:
        raise revive(*error)
    return value


def describe(error: BaseException) -> tuple[BaseException | None, str, str, str]:
    """Return what is sent of an error; `revive` takes it."""
    lines = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    whole: BaseException | None = error
    try:
        pickle.loads(pickle.dumps(error))  # for an error of one's own often fails only when read
    except Exception:
        whole = None
    return whole, type(error).__name__, jsontext.to_text(error), lines


def revive(error: BaseException | None, name: str, text: str, lines: str) -> BaseException:
    """Return an error that was raised elsewhere, or one of the same name if it did not survive."""
    revived = error or type(name, (LongOperationError,), {})(text)
    revived.__cause__ = RuntimeError(f"\n{lines}")
    return revived


# Where the code runs


class _Run:
    """One call: its reports go out through a channel, a cancel comes in."""

    def __init__(self, channel: Channel, id: str, call: Call) -> None:
        self._channel, self._id, self._call = channel, id, call
        self._callback = call.callback
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
            value = self._call.run()
        except BaseException as raised:  # SystemExit too: whatever it is, the code has ended
            error = describe(raised)
        self._ended.set()
        self._due.set()
        flush.join()
        for stream in sys.stdout, sys.stderr:
            with contextlib.suppress(Exception):  # the function may have closed it
                stream.flush()
        outcome = callback.latest, callback.told, value, error
        if self._channel.send("ended", self._id, *(outcome if send_outcome else ())):
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
        with self._lock:
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


def perform_for(address: Any, key: bytes, id: str, call: Call) -> tuple[Any, ...]:
    """Make a call for the job of this id, whose operation listens at an address."""
    try:
        connection = Client(address, authkey=key)
    except (OSError, EOFError, AuthenticationError) as error:
        raise WorkerLost(f"the worker cannot reach the job at {address}: {error!r}; "
                         "report_to=(host, port) must say where it can") from error
    channel = Channel(connection, JSON)
    with connection:
        # On Windows it cannot be told, and small messages wait a bit.
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as tcp:
            tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            channel.send("call", id)
            channel.receive()
        except (OSError, EOFError):
            raise WorkerLost("the worker cannot reach the job, which has ended") from None
        return _Outcome(_Run(channel, id, call)(False))


class _Outcome(tuple):  # type: ignore[type-arg]  # which Python 3.8 has not
    """An outcome that any executor can send."""

    def __reduce__(self) -> Any:
        return pickle.loads, (_pickled(tuple(self)),)
