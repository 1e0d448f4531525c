"""Where the code runs: a worker makes a call, sends its reports, and obeys the operation.

A process that `process` started runs `serve_calls`, one call after the other. An executor runs
`perform_for`, once for each call. Both use a `_RunningCall`:

    the thread that makes the call ── run() ──▶ the function ── callback() ──▶ Reported
    the flusher ────────────────── a report that was held back ──────────────▶ Reported
    the reader ◀────────────────────────────────────────────── Cancel, Companion, Bye
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import threading
import time
from multiprocessing import AuthenticationError, current_process, parent_process
from multiprocessing.connection import Client
from typing import TYPE_CHECKING, Any, Sequence

from ..callback import Callback, Report
from ..errors import WorkerLost
from ..executors import Call
from ..functions.console import ignore_keys, outlive_window
from ..functions.threads import thread_of
from ..values.growth import settled
from ..values.sockets import send_at_once
from .channel import JSON, PICKLE, Channel
from .growing import Sent
from .messages import (Begun, Bye, Cancel, Check, Checked, Companion, Ended, Grown, Hello,
                       Message, Ready, Reported, Start, Welcome)
from .outcome import Outcome
from .printing import print_to
from .sent_error import SentError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

# Seconds between two reports that are sent. Of those that come faster, the newest is sent.
REPORT_INTERVAL = 0.002
# Characters or bytes of large texts that are compared in a second, of functions that report the
# whole text each time. A text is also kept until then, beside the one that the function makes:
# the system then has to find memory, which costs ten times as much as to compare it.
COMPARED = 250_000_000


# In a process of its own


def serve_calls(connection: Connection, outputs: Sequence[Connection] = (),
                errors: str | None = None) -> None:
    """Make the calls that come through a connection until it is closed.

    :param outputs: where its standard output and error go from now on, see `printing`.
    :param errors: what standard output does with what it cannot encode.

    Runs in the main thread of a process that was just spawned.
    """
    print_to(outputs, errors)
    if hasattr(os, "setsid"):
        # A session of its own: a signal to its group reaches all that the function has
        # started, and Ctrl-C in the terminal does not reach it.
        os.setsid()
        # If the function forks, the copy has no part in the job. Open there, the connection
        # would also hide from the operation that this process has died.
        os.register_at_fork(after_in_child=connection.close)
    else:
        ignore_keys()
        outlive_window(lambda: None)  # the parent ends this process
    # A daemonic process may not start processes; the function may want to.
    current_process().daemon = False
    threading.Thread(target=_end_with_parent, daemon=True).start()
    channel = Channel(connection, PICKLE)
    channel.send(Ready())
    with contextlib.suppress(EOFError, OSError):  # the operation is gone
        while True:
            # While a call runs its reader receives; it has ended before `_make` returns. So
            # there is never more than one thread that reads.
            message = channel.receive()
            if isinstance(message, Check):
                channel.send(Checked(_check(message.call)))
            elif isinstance(message, Start):
                _make(channel, message)
            # Anything else came late, for a call that has ended.


def _unread(error: BaseException) -> Outcome:
    """Return the outcome of a call that could not be read: it was not made."""
    return Outcome(Callback().latest, told=False, error=SentError.describe(error))


def _check(data: bytes) -> SentError | None:
    try:
        pickle.loads(data)
    except BaseException as error:  # a module may raise anything while it is imported
        return SentError.describe(error)
    return None


def _make(channel: Channel, start: Start) -> None:
    try:
        call = pickle.loads(start.call)
    except BaseException as error:
        # The Bye that answers it is dropped by `serve_calls`.
        channel.send(Ended(start.job_id, _unread(error)))
        return
    running = _RunningCall(channel, start.job_id, call)
    running.end(running.send_rest(running.run()))


def _end_with_parent() -> None:
    """Kill this process, and all it has started, once the operation's process has died."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)  # on Windows


# In an executor


def perform_for(address: Any, key: bytes, job_id: str, call: Call | bytes) -> Outcome:
    """Make the call of a job whose operation listens at an address; return its outcome.

    Runs in a thread or a process of the executor's, on any machine. ``key`` is the operation's
    secret; each side proves to the other that it has it. A call that is pickled is read here,
    so that one that cannot be read costs the executor no worker.

    Raises `WorkerLost`, without having made the call, if the job cannot be reached or has
    ended.
    """
    try:
        connection = Client(address, authkey=key)
    except (OSError, EOFError, AuthenticationError) as error:
        raise WorkerLost(f"the worker cannot reach the job at {address}: {error!r}; "
                         "report_to=(host, port) must say where it can") from error
    with connection:
        send_at_once(connection.fileno())
        channel = Channel(connection, JSON)
        _ask_for_admission(channel, job_id)
        if isinstance(call, bytes):
            try:
                call = pickle.loads(call)
            except BaseException as error:  # a module may raise anything while it is imported
                _take_leave(channel, job_id)
                return _unread(error)
        assert isinstance(call, Call)
        running = _RunningCall(channel, job_id, call)
        outcome = running.run()
        running.end(None)
    return outcome


def _ask_for_admission(channel: Channel, job_id: str) -> None:
    """Wait until the operation lets the call be made.

    It does so once for each job: not for one that has ended, nor when an executor tries a call
    again on another worker.
    """
    answer = None
    channel.send(Hello(job_id))
    with contextlib.suppress(OSError, EOFError):  # it has hung up
        answer = channel.receive()
    if not isinstance(answer, Welcome):
        raise WorkerLost("the worker cannot reach the job, which has ended")


def _take_leave(channel: Channel, job_id: str) -> None:
    """Tell the operation that no code runs, and wait until it knows."""
    channel.send(Ended(job_id, None))
    with contextlib.suppress(OSError, EOFError):
        while not isinstance(channel.receive(), Bye):
            pass


# In both


class _RunningCall:
    """One call in progress. Its reports go out through a channel; a cancel comes in."""

    def __init__(self, channel: Channel, job_id: str, call: Call) -> None:
        self._channel = channel
        self._job_id = job_id
        self._call = call
        self._callback = call.callback
        self._callback.notify = self._report
        # Held while a report is taken from the callback and sent: reports leave in the order
        # in which they were made, whichever thread sends them.
        self._lock = threading.Lock()
        self._sent = Sent()  # guarded by the lock
        self._due = threading.Event()  # a report waits for the flusher
        self._ended = threading.Event()  # the code has ended: send no further report
        self._next_report_at = 0.0  # on the monotonic clock
        self._reader = thread_of(self._read)
        self._flusher: threading.Thread | None = None  # started by the first need for it

    def run(self) -> Outcome:
        """Make the call in this thread, and return its outcome."""
        value = None
        error = None
        self._reader.start()
        self._channel.send(Begun(self._job_id))
        try:
            value = self._call.run()
        except BaseException as raised:  # even SystemExit only means that the code has ended
            error = SentError.describe(raised)
        self._ended.set()  # a flusher that is started from now on ends at once
        if self._flusher is not None:
            self._due.set()  # wakes it, so that it ends
            self._flusher.join()
        _flush_output()
        latest = self._callback.latest
        if _is_reported(value, latest):
            value = None  # then the last report is taken for it: it is not sent twice
        return Outcome(latest, self._callback.told, value, error)

    def send_rest(self, outcome: Outcome) -> Outcome:
        """Send what is new of a result that grows; return the outcome without that result.

        Called after the end, by this thread alone.
        """
        message = self._message(outcome.latest)
        if not isinstance(message, Grown):
            return outcome
        self._channel.send(message)
        count, _, *others = outcome.latest
        return outcome._replace(latest=(count, None, *others), was_sent=True)

    def end(self, outcome: Outcome | None) -> None:
        """Tell the operation that the code has ended, and wait until it knows.

        When this returns the reader has ended, and the next message is another thread's to
        read.
        """
        if self._channel.send(Ended(self._job_id, outcome)):
            self._reader.join()

    # The reader

    def _read(self) -> None:
        """Obey the messages of this call, up to the operation's Bye."""
        try:
            while not self._obey():
                pass
        except (EOFError, OSError):
            self._callback.cancel()  # the operation is gone, and its job with it

    def _obey(self) -> bool:
        """Wait for one message and act on it; return True if it was the last one."""
        message = self._channel.receive()
        if isinstance(message, Bye):
            return True
        if message == Cancel(self._job_id):
            self._callback.cancel()
        elif message == Companion(self._job_id):
            # In a thread of its own, because it may block, and a Bye must still be read.
            assert self._call.stop is not None
            thread_of(self._call.stop).start()
        return False

    # Reports

    def _report(self) -> None:
        """Send the newest report now or soon. Runs in the thread that called the callback."""
        # At once, unless there was a report just now: the function may enter C code next and
        # keep the interpreter's lock, so that the flusher gets no turn.
        if time.monotonic() >= self._next_report_at:
            self._send_report()
        elif not self._due.is_set():  # it takes a lock; one that was set leads to a later look
            self._due.set()
            if self._flusher is None:
                self._start_flusher()

    def _start_flusher(self) -> None:
        with self._lock:  # two threads of the function may be here
            if self._flusher is None:
                flusher = thread_of(self._flush)
                flusher.start()
                self._flusher = flusher

    def _flush(self) -> None:
        """Send the reports that were held back, when they may go. Runs in the flusher."""
        while not self._ended.is_set():
            self._due.wait()
            self._ended.wait(max(0.0, self._next_report_at - time.monotonic()))
            self._send_report()

    def _send_report(self) -> None:
        with self._lock:
            self._due.clear()  # before the look, so that a report after it is not missed
            if not self._ended.is_set():
                message = self._message(self._callback.latest)
                pause = REPORT_INTERVAL + self._sent.compared / COMPARED
                self._next_report_at = time.monotonic() + pause
                self._channel.send(message)

    def _message(self, latest: Report) -> Message:
        count, result, *others = latest
        rest = self._sent.rest_of(result)
        if rest is None:
            return Reported(self._job_id, count, result, *others)
        return Grown(self._job_id, count, *rest, *others)


def _is_reported(value: Any, latest: Report) -> bool:
    """Return whether a value is the text, or the bytes, that was reported last."""
    if type(value) not in (str, bytes):
        return False
    result = settled(latest[1])
    return type(result) is type(value) and bool(result == value)


def _flush_output() -> None:
    """Write out what the function has printed, before its job is seen to have ended."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # the function may have closed it
            stream.flush()
