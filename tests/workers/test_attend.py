"""The operation's side of a call; the test is the worker."""

import multiprocessing
import threading

import pytest

from longop import Callback, OperationCancelled, State
from longop.executors import Call
from longop.guard import NEVER, Clock, Guard
from longop.job import Job
from longop.workers.attend import FarCall
from longop.workers.channel import JSON, PICKLE, Channel
from longop.workers.messages import (Begun, Bye, Cancel, Checked, Companion, Ended, Reported,
                                     Welcome)
from longop.workers.outcome import Outcome

from ..test_guard import StandingClock
from ..waiting import WAIT, wait_until

NEVER_DUE = float("inf")  # what the guard waits for when it has tried every rung
NOTHING = (0, None, None, None, None)
OUTCOME = Outcome((2, "last", None, None, None), False, "value")


def stop():
    raise AssertionError("the companion was called here")


def far_call(clock=None, stop=stop, timeout=NEVER):
    """Return a call that runs elsewhere, with the id "a", whose rungs have no grace."""
    job = Job("module", "name", Callback(), lock=threading.RLock(), ended=lambda job: None,
              id="a")
    job.begin()
    call = Call(print, (), {}, Callback(), stop, 0)
    guard = Guard(0, timeout, NEVER, float("inf"), lambda status: None, clock or Clock())
    return FarCall(job, call, guard)


class Attended:
    """A call that is attended in a thread."""

    def __init__(self, codec, far=None):
        here, there = multiprocessing.Pipe()
        self.far = far or far_call()
        self.job = self.far.job
        self.worker = Channel(there, codec)
        self._channel = Channel(here, codec)
        self._results = []
        self._thread = threading.Thread(target=self._attend, daemon=True)

    def start(self):
        assert self.far.begin(self._channel, Welcome("a"))
        assert self.worker.receive() == Welcome("a")
        self._thread.start()
        return self

    def _attend(self):
        try:
            self._results.append(self.far.attend(self._channel))
        except Exception as error:
            self._results.append(error)

    def result(self):
        """Return what `attend` returned, or the error that it raised."""
        self._thread.join(WAIT)
        return self._results[0]

    def end(self):
        """Hang up at both ends."""
        self.worker.connection.close()
        if self._thread.ident:
            self._thread.join(WAIT)
        self._channel.connection.close()
        if not self.job.done():
            self.job.finish()


@pytest.fixture(params=[PICKLE, JSON], ids=["pickle", "JSON"])
def attended(request):
    attended = Attended(request.param).start()
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
    attended = Attended(PICKLE).start()
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
    """The companion is called where the function runs, and counts as what stopped it."""
    attended.job.cancel()
    assert attended.worker.receive() == Companion("a")
    attended.job.finish()
    assert attended.job.status().error == "stopped by stop"


def test_companion_that_cannot_be_sent():
    """A companion whose worker is gone was not called, and so has stopped nothing."""
    clock = StandingClock()
    attended = Attended(PICKLE, far_call(clock))
    attended.far.begin(attended._channel, Welcome("a"))
    attended.worker.connection.close()
    attended.job.cancel()
    wait_until(lambda: clock.awaited == [NEVER_DUE])
    attended.job.finish()
    assert (attended.job.state, attended.job.status().error) == (State.COMPLETED, None)
    attended.end()


def test_cancel_before_the_begin():
    """What is told to stop before it has begun does not begin; no companion is called."""
    clock = StandingClock()
    attended = Attended(PICKLE, far_call(clock))
    attended.job.cancel()
    wait_until(lambda: clock.awaited == [NEVER_DUE])  # the companion was due
    assert not attended.far.begin(attended._channel, Welcome("a"))
    assert attended.far.is_refused
    assert not attended.worker.connection.poll()
    attended.job.finish(error=OperationCancelled())
    assert (attended.job.state, attended.job.status().error) == (State.CANCELLED, None)
    attended.end()


def test_companion_comes_after_the_call():
    """A companion that is due while the call is being sent is sent right behind it."""
    attended = Attended(PICKLE)
    send = attended._channel.send

    def cancel_and_send(message):
        if isinstance(message, Welcome):
            attended.job.cancel()  # the guard finds the call on its way, or sent
        return send(message)

    attended._channel.send = cancel_and_send
    assert attended.far.begin(attended._channel, Welcome("a"))
    assert attended.worker.receive() == Welcome("a")
    assert attended.worker.receive() == Companion("a")
    attended.end()


def test_deadline_counts_from_the_begin():
    """A timeout begins when the worker says that the code does, however late that is."""
    clock = StandingClock()
    attended = Attended(PICKLE, far_call(clock, timeout=10)).start()
    assert guards() == []
    clock.time += 100
    attended.worker.send(Begun("a"))
    clock.move(9)
    assert attended.job.state is State.RUNNING
    clock.move(1)
    wait_until(lambda: attended.job.state is State.CANCELLING)
    attended.end()


def guards():
    """Return the guards of jobs that are at work."""
    return [thread for thread in threading.enumerate() if "longop-guard" in thread.name]


def test_lost_worker(attended):
    """A worker that hangs up without saying that it has ended is an error."""
    attended.worker.connection.close()
    assert isinstance(attended.result(), (EOFError, OSError))


def test_garbage(attended):
    """A worker that sends anything but messages is an error, not a hang."""
    attended.worker.connection.send_bytes(b"\0")
    assert isinstance(attended.result(), Exception)
