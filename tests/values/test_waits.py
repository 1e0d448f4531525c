"""`longop.values.waits`: waits that Ctrl-C always ends."""

import math
import os
import signal
import threading
import time
import traceback
from concurrent.futures import TimeoutError  # noqa: A004  # its own until Python 3.11

import pytest

from longop import Callback, LongOperation
from longop.values import waits
from longop.values.waits import in_slices, wait_for

from ..waiting import WAIT
from ..windows import SIGNALS


class Waits:
    """Records how long each wait was to be; the last one finds something."""

    def __init__(self, *found):
        self._found = [*found]
        self.seconds = []

    def __call__(self, seconds):
        self.seconds.append(seconds)
        return self._found.pop(0)


@pytest.mark.parametrize("seconds", [None, math.inf, 3600.0])
def test_slices(seconds):
    """Each wait is short, until one finds something."""
    wait = Waits(False, [], "found")
    assert in_slices(wait, seconds) == "found"
    assert wait.seconds == [waits.SLICE] * 3


@pytest.mark.parametrize(("seconds", "slices"), [(0.0, 1), (-1, 1), (0.005, 1), (0.025, 3)])
def test_time_is_over(monkeypatch, seconds, slices):
    """What is not found in time is not found, after one look at least."""
    monkeypatch.setattr(waits, "SLICE", 0.01)
    looks = []

    def look(left):
        looks.append(left)
        return threading.Event().wait(left)

    assert in_slices(look, seconds) is False
    assert 1 <= len(looks) <= slices
    assert all(0 <= left <= 0.01 for left in looks)


def test_other_threads():
    """A thread that is told of no signal waits once, and costs nothing meanwhile."""
    wait = Waits("found")
    thread = threading.Thread(target=in_slices, args=(wait,))
    thread.start()
    thread.join(WAIT)
    assert wait.seconds == [None]


def test_event():
    """An event that is set in time is seen; one that is not, is not."""
    event = threading.Event()
    assert not wait_for(event, 0)
    event.set()
    assert wait_for(event)


# Who waits this way


@pytest.fixture
def job():
    """Start a job that waits for ever."""
    event = threading.Event()
    operation = LongOperation(waiting)
    yield operation.start(event=event)
    event.set()
    operation.close()


@pytest.fixture
def sliced(job, monkeypatch):
    """Make waits of the main thread end at once, and have Ctrl-C come after some."""
    slices = []
    wait = threading.Event.wait

    def count(event, seconds=None):
        if threading.current_thread() is not threading.main_thread():
            return wait(event, seconds)
        slices.append(seconds)
        if len(slices) > 3:
            raise KeyboardInterrupt
        return wait(event, 0)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Event, "wait", count)
        yield slices


def waiting(callback, event):
    """Wait for an event without hearing a cancel."""
    event.wait()


CALLS = pytest.mark.parametrize("call", [
    lambda job: [*job.updates()],
    lambda job: Callback().wait(3600),
    lambda job: job.result(),
    lambda job: job.result(3600),
    lambda job: job.exception(),
], ids=["updates", "callback", "result", "result in time", "exception"])


@CALLS
def test_ctrl_c(job, sliced, call):
    """Ctrl-C ends each wait that may be long, whether it has a time limit or not."""
    with pytest.raises(KeyboardInterrupt):
        call(job)
    assert sliced == [waits.SLICE] * 4


@CALLS
@SIGNALS
def test_ctrl_c_just_before_the_wait(job, call):
    """A Ctrl-C ends a wait that it does not wake, since it came before the thread slept."""
    has_ended = threading.Event()
    woken = []

    def press():
        # The system hands it to a thread that takes it. Here, that is this one alone.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        time.sleep(0.05)  # the wait has begun; if not, the test passes without a cause
        os.kill(os.getpid(), signal.SIGINT)
        if not has_ended.wait(WAIT):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)

    def wait_while_pressed():
        thread.start()
        call(job)

    handler = signal.signal(signal.SIGUSR1, lambda *_: woken.append(True))
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    thread = threading.Thread(target=press)
    try:
        with pytest.raises(KeyboardInterrupt):
            wait_while_pressed()
    finally:
        has_ended.set()
        thread.join(WAIT)
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)
        signal.signal(signal.SIGUSR1, handler)
    assert not woken


def late():
    raise TimeoutError("of the function's own")


def test_error_of_the_function():
    """An error of the function's own that looks like the end of a wait is none."""
    operation = LongOperation(late, callback=None)
    job = operation.start()
    with pytest.raises(TimeoutError, match="own"):
        job.result()
    assert "own" in str(job.exception(WAIT))
    operation.close()


def test_time_limit(job):
    """A result that is not there in time raises TimeoutError."""
    with pytest.raises(TimeoutError):
        job.result(0.01)
    with pytest.raises(TimeoutError):
        job.exception(0.01)


def test_traceback_of_a_result(job):
    """The traceback of a job's error does not lead to the job, which it would keep."""
    with pytest.raises(TimeoutError) as raised:
        job.result(0)
    frames = [frame for frame, _ in traceback.walk_tb(raised.value.__traceback__)]
    assert len(frames) >= 2
    assert not any(job in frame.f_locals.values() for frame in frames[1:])
