"""The operation's side of a call; the test is the worker."""

import multiprocessing
import threading
import types

import pytest

from longop import Callback
from longop.workers.attend import attend
from longop.workers.channel import JSON, PICKLE, Channel
from longop.workers.messages import Begun, Bye, Cancel, Checked, Companion, Ended, Reported
from longop.workers.outcome import Outcome

from ..waiting import WAIT, wait_until

NOTHING = (0, None, None, None, None)
OUTCOME = Outcome((2, "last", None, None, None), False, "value")


class Attended:
    """A call that is attended in a thread."""

    def __init__(self, codec):
        here, there = multiprocessing.Pipe()
        self.job = types.SimpleNamespace(id="a", callback=Callback())
        self.call = types.SimpleNamespace(stop=None)
        self.worker = Channel(there, codec)
        self._channel = Channel(here, codec)
        self._results = []
        self._thread = threading.Thread(target=self._attend, daemon=True)
        self._thread.start()

    def _attend(self):
        try:
            self._results.append(attend(self.job, self.call, self._channel))
        except Exception as error:
            self._results.append(error)

    def result(self):
        """Return what `attend` returned, or the error that it raised."""
        self._thread.join(WAIT)
        return self._results[0]

    def end(self):
        """Hang up at both ends."""
        self.worker.connection.close()
        self._thread.join(WAIT)
        self._channel.connection.close()


@pytest.fixture(params=[PICKLE, JSON], ids=["pickle", "JSON"])
def attended(request):
    attended = Attended(request.param)
    yield attended
    attended.end()


def test_reports_reach_the_callback(attended):
    """A report is the job's newest one as soon as it has come."""
    report = Reported("a", 1, "result", 2, 3, "text")
    attended.worker.send(report)
    wait_until(lambda: attended.job.callback.latest == report.latest)


def test_ended_is_answered(attended):
    """The worker is told that the operation knows, and the call is over."""
    attended.worker.send(Ended("a", None))
    assert attended.worker.receive() == Bye("a")
    assert attended.result() is None


def test_outcome_is_returned():
    """The outcome that comes with the end is returned as it is."""
    attended = Attended(PICKLE)
    attended.worker.send(Ended("a", OUTCOME))
    assert attended.result() == OUTCOME
    attended.end()


@pytest.mark.parametrize("late", [Reported("b", 9, "other", 1, 1, None), Begun("b"),
                                  Ended("b", None), Checked(None)], ids=repr)
def test_late_message_is_dropped(attended, late):
    """A message of another job, or the answer to an old check, changes nothing."""
    attended.worker.send(late)
    attended.job.callback.cancel()
    attended.worker.send(Ended("a", None))
    assert attended.worker.receive() == Bye("a")
    assert attended.result() is None
    assert attended.job.callback.latest == NOTHING


def test_cancel_is_sent(attended):
    """A cancel goes to a worker that has begun."""
    attended.worker.send(Begun("a"))
    attended.worker.send(Reported("a", 1, "result", None, None, None))
    wait_until(lambda: attended.job.callback.latest[0])  # the message before was read
    attended.job.callback.cancel()
    assert attended.worker.receive() == Cancel("a")


def test_cancel_waits_for_a_worker_that_listens(attended):
    """A cancel before the worker has begun is sent when it has."""
    attended.job.callback.cancel()
    attended.worker.send(Begun("a"))
    assert attended.worker.receive() == Cancel("a")


def test_companion_is_a_message(attended):
    """To stop the call is to have the companion called where the function runs."""
    wait_until(lambda: attended.call.stop)()
    assert attended.worker.receive() == Companion("a")


def test_lost_worker(attended):
    """A worker that hangs up without saying that it has ended is an error."""
    attended.worker.connection.close()
    assert isinstance(attended.result(), (EOFError, OSError))


def test_garbage(attended):
    """A worker that sends anything but messages is an error, not a hang."""
    attended.worker.connection.send_bytes(b"\0")
    assert isinstance(attended.result(), Exception)
