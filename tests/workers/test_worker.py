"""Where the code runs; the test is the operation, and listens for the worker.

The worker is one that an executor would start, in a thread. ``test_process`` has what only a
process of its own does.
"""

import socket
import threading
import time
from multiprocessing.connection import Listener

import pytest

from longop import Callback, OperationCancelled, WorkerLost
from longop.executors import Call
from longop.values.growth import settled
from longop.workers.channel import JSON, Channel
from longop.workers.messages import (Begun, Bye, Cancel, Companion, Ended, Hello, Reported,
                                     Welcome)
from longop.workers.worker import perform_for

from ..waiting import WAIT, wait_until

KEY = b"secret"


class Operation:
    """An operation that a worker reaches, made of nothing but its end of the connection."""

    def __init__(self):
        self._listener = Listener(("127.0.0.1", 0), authkey=KEY)
        self.address = self._listener.address
        self._channels = []

    def channel(self):
        """Wait for a worker; return the channel to it."""
        connection = self._listener.accept()
        channel = Channel(connection, JSON)
        self._channels.append(channel)
        return channel

    def channel_of_begun(self):
        """Wait for a worker and let it begin."""
        channel = self.channel()
        assert channel.receive() == Hello("a")
        channel.send(Welcome("a"))
        assert channel.receive() == Begun("a")
        return channel

    def close(self):
        for channel in self._channels:
            channel.connection.close()
        self._listener.close()


class Worker:
    """A thread of an executor that makes a call."""

    def __init__(self, address, function, stop=None, key=KEY):
        self.callback = Callback()
        self.call = Call(function=function, args=(self.callback,), kwargs={},
                         callback=self.callback, stop=stop, grace=2.0)
        self._arguments = address, key, "a", self.call
        self._results = []
        self._thread = threading.Thread(target=self._perform, daemon=True)
        self._thread.start()

    def _perform(self):
        try:
            self._results.append(perform_for(*self._arguments))
        except Exception as error:
            self._results.append(error)

    def result(self):
        """Return the outcome, or the error that was raised in its place."""
        self._thread.join(WAIT)
        return self._results[0]


@pytest.fixture
def operation():
    operation = Operation()
    yield operation
    operation.close()


def end(channel):
    """Read up to Ended, and answer it; return the messages before it."""
    said = []
    while True:
        message = channel.receive()
        if isinstance(message, Ended):
            channel.send(Bye(message.job_id))
            return said
        said.append(message)


def test_whole_conversation(operation):
    """A worker asks, begins, reports, says that it has ended, and waits for the answer."""
    worker = Worker(operation.address, lambda callback: callback("partial", 1, 2) or "value")
    channel = operation.channel_of_begun()
    assert channel.receive() == Reported("a", 1, "partial", 1, 2, None)
    assert channel.receive() == Ended("a", None)
    channel.send(Bye("a"))
    outcome = worker.result()
    assert (outcome.latest, outcome.told) == ((1, "partial", 1, 2, None), False)
    assert (outcome.value, outcome.error) == ("value", None)


@pytest.mark.parametrize("answer", ["nothing", Bye("a"), Hello("a")], ids=repr)
def test_worker_that_is_not_welcome(operation, answer):
    """The function is not called if the operation hangs up or says anything else."""
    calls = []
    worker = Worker(operation.address, calls.append)
    channel = operation.channel()
    assert channel.receive() == Hello("a")
    if answer == "nothing":
        channel.connection.close()
    else:
        channel.send(answer)
    error = worker.result()
    assert isinstance(error, WorkerLost)
    assert str(error) == "the worker cannot reach the job, which has ended"
    assert calls == []


def test_nobody_is_there():
    """A worker that cannot connect says which option to look at."""
    with socket.socket() as silent:  # which has the port, so that nobody else gets it
        silent.bind(("127.0.0.1", 0))
        error = Worker(silent.getsockname(), lambda callback: None).result()
    assert isinstance(error, WorkerLost)
    assert "report_to=(host, port) must say where it can" in str(error)


def test_wrong_key(operation):
    """A worker with another secret does not call the function."""
    calls = []
    worker = Worker(operation.address, calls.append, key=b"wrong")
    with pytest.raises(Exception, match="digest"):
        operation.channel()
    assert isinstance(worker.result(), WorkerLost)
    assert calls == []


@pytest.mark.parametrize("error", [ValueError("wrong"), SystemExit(3), KeyboardInterrupt()],
                         ids=repr)
def test_error_is_an_outcome(operation, error):
    """Whatever a function raises, its code has ended, and the outcome says so."""
    def function(callback):
        raise error

    worker = Worker(operation.address, function)
    end(operation.channel_of_begun())
    assert worker.result().error.revive() is not None
    assert type(worker.result().error.revive()) is type(error)


def test_cancel(operation):
    """A cancel reaches the function's callback."""
    worker = Worker(operation.address, lambda callback: callback.wait(WAIT))
    channel = operation.channel_of_begun()
    channel.send(Cancel("a"))
    end(channel)
    outcome = worker.result()
    assert outcome.told
    assert isinstance(outcome.error.revive(), OperationCancelled)


@pytest.mark.parametrize("message", [Cancel("b"), Companion("b"), Welcome("a"), Begun("a")],
                         ids=repr)
def test_message_that_is_not_meant(operation, message):
    """A late message of another job, or one that makes no sense now, changes nothing."""
    calls = []
    worker = Worker(operation.address, lambda callback: callback.wait(WAIT),
                    stop=lambda: calls.append("companion"))
    channel = operation.channel_of_begun()
    channel.send(message)
    channel.send(Companion("a"))  # which is read after it
    wait_until(lambda: calls == ["companion"])
    assert not worker.callback.cancelled
    channel.send(Cancel("a"))
    end(channel)
    assert worker.result().told


def test_companion_that_blocks(operation):
    """While the companion is busy, a cancel and the end are seen all the same."""
    entered = threading.Event()
    leave = threading.Event()

    def stop():
        entered.set()
        leave.wait(WAIT)

    worker = Worker(operation.address, lambda callback: callback.wait(WAIT), stop=stop)
    channel = operation.channel_of_begun()
    channel.send(Companion("a"))
    assert entered.wait(WAIT)
    channel.send(Cancel("a"))
    end(channel)
    assert worker.result().told
    leave.set()


def test_operation_that_is_gone(operation):
    """A function whose operation is gone is told to stop."""
    worker = Worker(operation.address, lambda callback: callback.wait(WAIT))
    operation.channel_of_begun().connection.close()
    assert worker.result().told


def test_report_is_sent_at_once(operation, monkeypatch):
    """The first report leaves in the function's own thread; the outcome has the last one."""
    monkeypatch.setattr("longop.workers.worker.REPORT_INTERVAL", 3600)
    go = threading.Event()

    def function(callback):
        callback("first")
        callback("second")
        go.wait(WAIT)
        callback("third")

    worker = Worker(operation.address, function)
    channel = operation.channel_of_begun()
    assert channel.receive().result == "first"
    began = time.monotonic()
    go.set()
    assert end(channel) == []
    assert worker.result().latest[:2] == (3, "third")
    assert time.monotonic() - began < WAIT  # nobody waited for the interval


def test_hail_of_reports(operation, monkeypatch):
    """Of reports that come faster than they are sent, the newest is sent after a while."""
    monkeypatch.setattr("longop.workers.worker.REPORT_INTERVAL", 0.3)

    def function(callback):
        for number in range(1, 1001):
            callback(step=number)
        callback.wait(WAIT)

    worker = Worker(operation.address, function)
    channel = operation.channel_of_begun()
    steps = [channel.receive().step]
    while steps[-1] < 1000:
        steps.append(channel.receive().step)
    assert steps == sorted(steps)
    assert len(steps) < 20
    channel.send(Cancel("a"))
    end(channel)
    assert worker.result().latest[2] == 1000


@pytest.mark.parametrize(("way", "sent"), [("append", "abcd"), ("whole", "ab")])
def test_a_text_that_is_reported_whole_is_compared_rarely(operation, monkeypatch, way, sent):
    """After a comparison the next report waits as long as the text is large; others do not."""
    monkeypatch.setattr("longop.workers.worker.REPORT_INTERVAL", 0)
    monkeypatch.setattr("longop.workers.worker.COMPARED", 0.001)  # characters a second

    def function(callback):
        text = ""
        for letter in "abcd":
            text += letter
            if way == "append":
                callback.append(letter)
            else:
                callback(text)

    worker = Worker(operation.address, function)
    reports = end(operation.channel_of_begun())
    assert "".join(report.result for report in reports) == sent
    latest = worker.result().latest
    assert (latest[0], settled(latest[1])) == (4, "abcd")


class Odd:
    """A result that is equal to nothing, and says so by raising."""

    def __eq__(self, other):
        raise ValueError("no")

    __hash__ = None


@pytest.mark.parametrize(("report", "value", "sent"), [
    ("text", "text", None), (b"data", b"data", None), ("text", "other", "other"),
    (b"text", "text", "text"), (["text"], ["text"], ["text"]), (None, "text", "text"),
    (Odd(), "text", "text")], ids=str)
def test_a_text_that_was_reported_is_not_returned_once_more(operation, report, value, sent):
    """The value of the function is left out if it is the last report, which stands for it."""
    for way in "append", "__call__":

        def function(callback, way=way):
            if way == "append" and isinstance(report, (str, bytes)):
                callback.append(report)
            else:
                callback(report)
            return value

        worker = Worker(operation.address, function)
        end(operation.channel_of_begun())
        assert worker.result().value == sent


def test_reports_of_many_threads_keep_their_order(operation, monkeypatch):
    """Reports leave in the order in which they were made, whichever thread makes them."""
    monkeypatch.setattr("longop.workers.worker.REPORT_INTERVAL", 0)

    def function(callback):
        threads = [threading.Thread(target=lambda: [callback() for _ in range(300)])
                   for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    worker = Worker(operation.address, function)
    counts = [report.count for report in end(operation.channel_of_begun())]
    assert counts == sorted(counts)
    assert worker.result().latest[0] >= counts[-1]
