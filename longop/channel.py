"""What goes between a job and its code when that runs elsewhere: messages over a connection.

    job ── call ─────────────▶ worker     each with the job's id, so that none that comes late is
        ◀─ begun, report, ended           taken for another job's
        ── cancel, companion, bye ▶
"""

from __future__ import annotations

import contextlib
import pickle
import threading
import traceback
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Callable, Tuple

from . import jsontext
from .errors import LongOperationError
from .executors import Call
from .job import Job

Codec = Tuple[Callable[[Any], bytes], Callable[[bytes], Any]]


class Channel:
    """A connection that carries messages; raises ``OSError`` or ``EOFError`` once it is gone."""

    def __init__(self, connection: Connection, codec: Codec) -> None:
        self.connection = connection
        self._encode, self._decode = codec
        self._lock = threading.Lock()  # one message at a time

    def send(self, *message: Any) -> None:
        """Send a message: its kind, the job's id, and what belongs to it."""
        data = self._encode(message)
        with self._lock:
            self.connection.send_bytes(data)

    def tell(self, kind: str, id: str) -> None:
        """Send a message that is of no use any more if the other side is gone."""
        with contextlib.suppress(OSError):
            self.send(kind, id)

    def receive(self) -> Any:
        """Wait for a message."""
        return self._decode(self.connection.recv_bytes())


def _pickled(message: Any) -> bytes:
    try:
        return pickle.dumps(message)
    except Exception:  # better as JSON has it than lost
        return pickle.dumps(jsontext.loads(jsontext.dumps(message)))


PICKLE: Codec = _pickled, pickle.loads
# What comes over a network is never unpickled.
JSON: Codec = lambda value: jsontext.dumps(value).encode(), lambda data: jsontext.loads(data.decode())


def attend(job: Job, call: Call, channel: Channel) -> Any:
    """Take in a job's reports, and send its cancel, until its code has ended; return the outcome.

    Raises ``EOFError`` or ``OSError`` if the worker is lost.
    """
    call.stop = partial(channel.tell, "companion", job.id)
    while True:
        kind, id, *rest = channel.receive()
        if id != job.id:
            continue
        if kind == "report":
            job.callback.receive(tuple(rest))
        elif kind == "begun":
            job.callback.on_cancel(partial(channel.tell, "cancel", id))
        else:
            channel.tell("bye", id)
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
