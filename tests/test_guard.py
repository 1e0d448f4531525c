"""`longop.guard`: deadlines, and the escalation of a cancel, of a job in a thread.

Where time matters, it is the test's own: a clock that stands still until the test moves it.
`workers/test_processes_ladder.py` runs the tests with the fixture `executor` in processes too.
"""

import os
import re
import sys
import threading
import time

import pytest

from longop import LongOperation, OperationCancelled, State
from longop.errors import DeadlineExceeded
from longop.guard import NEVER, Clock, Guard, Rung

from .test_job import job_in
from .waiting import WAIT, end_of, wait_until

STOP = threading.Event()


class StandingClock(Clock):
    """A clock that stands still until the test moves it on."""

    def __init__(self):
        self.time = 1000
        self.awaited = []  # the moments that somebody waits for

    def now(self):
        return self.time

    def wait(self, event, seconds):
        until = self.time + seconds
        self.awaited.append(until)
        while self.time < until and not event.is_set():
            event.wait(0.001)
        self.awaited.remove(until)
        return event.is_set()

    def move(self, seconds):
        """Move on once somebody waits, and see those wake whose time has come."""
        wait_until(lambda: self.awaited)
        self.time += seconds
        wait_until(lambda: all(until > self.time for until in self.awaited))


@pytest.fixture
def clock():
    return StandingClock()


def reported(job):
    """Wait until a job has reported something, and return it."""
    wait_until(lambda: job.status().result)
    return job.status().result


@pytest.fixture
def executor():
    return "thread"


@pytest.fixture
def functions():
    """The functions of this module; for processes it is a module that imports little."""
    return sys.modules[__name__]


# Functions


def plain(callback):
    pass


def sleeps(callback, trace):
    try:
        callback("partial")
        callback.wait(WAIT)
    finally:
        open(trace, "w").close()


def gated(callback, folder):
    """Take three steps, each when there is a file of its name."""
    for step in 1, 2, 3:
        callback(f"step {step}", step, 3)
        wait_until(lambda step=step: os.path.exists(os.path.join(folder, str(step))))
    return "value"


def reports_twice(callback, go):
    """Report, report once more when there is a file, and then wait to be stopped."""
    callback("step 1")
    wait_until(lambda: os.path.exists(go))
    callback("step 2")
    callback.wait(WAIT)


def never_reports(callback, pid_file, leave):
    """Write the process id to a file; return once another file is there."""
    with open(pid_file, "w") as file:
        file.write(str(os.getpid()))
    wait_until(lambda: os.path.exists(leave))
    return "value"


def until_stopped(callback):
    """Report once; return when `stop`, its companion, was called."""
    STOP.clear()
    callback(os.getpid())
    assert STOP.wait(WAIT)
    return "stopped"


def stop():
    STOP.set()


# The escalation of a cancel


def test_companion_is_enough(make, clock, executor, functions):
    """The companion is called after the grace, not before, and where the function runs."""
    operation = make(functions.until_stopped, executor, cancel=functions.stop, grace=5,
                     clock=clock)
    pids = set()
    for _ in range(2):
        job = operation.start()
        pids.add(reported(job))
        job.cancel()
        clock.move(4)
        assert (job.state, clock.awaited) == (State.CANCELLING, [clock.time + 1])
        clock.move(1)
        status = end_of(job)
        assert (status.state, status.result, status.error) == (
            State.CANCELLED, "stopped", "stopped by stop")
        wait_until(lambda: not clock.awaited)
    assert len(pids) == 1  # it costs no process
    assert (pids == {os.getpid()}) == (executor == "thread")


def test_companion_of_a_generator(clock):
    """A generator has the grace too: it stops where it yields, and the companion is left alone."""
    go, called = threading.Event(), []

    def generator():
        yield "first"
        assert go.wait(WAIT)
        yield "second"

    operation = LongOperation(generator, cancel=lambda: called.append(1), grace=5, clock=clock)
    job = operation.start()
    reported(job)
    job.cancel()
    clock.move(4)
    go.set()
    status = end_of(job)
    assert (status.state, status.result, status.error) == (State.CANCELLED, "second", None)
    wait_until(lambda: not clock.awaited)
    assert called == []


def test_thread_that_never_reports(make, clock, tmp_path):
    """A thread that never reports is `cancelling` for as long as that is true."""
    leave = tmp_path / "leave"
    operation = make(never_reports, "thread", grace=0, clock=clock)
    job = operation.start(pid_file=str(tmp_path / "pid"), leave=str(leave))
    wait_until((tmp_path / "pid").exists)
    waiting = operation.start(pid_file=str(tmp_path / "other"), leave=str(leave))
    job.cancel()
    clock.time += 24 * 3600
    status = job.status()
    assert (status.state, status.elapsed, job.done()) == (State.CANCELLING, 24 * 3600, False)
    assert status.cancel_requested_at is not None
    assert waiting.state is State.QUEUED
    leave.touch()
    assert (end_of(job).state, job.result(0)) == (State.COMPLETED, "value")
    assert waiting.result(WAIT) == "value"


@pytest.mark.parametrize("waits", [True, False])
def test_rungs_in_their_order(clock, waits):
    """Each rung is tried once, after the grace or at once, until the job has ended."""
    job, tried = job_in(State.RUNNING), []

    def climb(name):
        return Rung(waits, lambda: job.stop_by(name, lambda: tried.append(name)))

    guard = Guard(5, NEVER, NEVER, float("inf"), lambda status: None, clock)
    guard(job, [climb("first"), climb("second"), climb("third")])
    assert [thread.name for thread in threading.enumerate() if job.id in thread.name] == []
    job.cancel()
    if waits:
        for count in 0, 1:
            assert len(tried) == count
            clock.move(5)
            wait_until(lambda count=count: len(tried) == count + 1)
    else:
        wait_until(lambda: len(tried) == 3)
    job.finish(error=OperationCancelled())
    expected = ["first", "second", "third"][:2 if waits else 3]
    assert (tried, job.status().error) == (expected, f"stopped by {expected[-1]}")


def test_saves_only_what_has_changed(clock):
    """A job is saved once an interval, and only if it has changed since."""
    job, saved = job_in(State.RUNNING), []
    guard = Guard(5, NEVER, NEVER, 1, lambda status: saved.append(status.result) or True, clock)
    guard(job, [])()
    clock.move(1)
    job.callback("first")
    clock.move(1)
    wait_until(lambda: saved == ["first"])
    clock.move(1)
    job.callback("second")
    job.callback("third")
    clock.move(1)
    wait_until(lambda: saved == ["first", "third"])
    job.finish()


def test_deadline_of_a_job_that_is_ending(clock):
    """A deadline that passes between the end of the code and the end of the job is nothing."""
    ending, may_end = threading.Event(), threading.Event()

    def record(status):
        ending.set()
        assert may_end.wait(WAIT)

    job = job_in(State.RUNNING)
    job._record = record
    Guard(5, 10, NEVER, float("inf"), lambda status: None, clock)(job, [])()
    wait_until(lambda: clock.awaited)
    thread = threading.Thread(target=job.finish, args=("value",))
    thread.start()
    assert ending.wait(WAIT)
    clock.time += 10
    wait_until(lambda: not any(job.id in one.name for one in threading.enumerate()))
    may_end.set()
    thread.join(WAIT)
    assert (job.state, job.result(0)) == (State.COMPLETED, "value")


# Deadlines


def test_timeout(make, clock, executor, functions, tmp_path):
    """A job that runs longer than its ``timeout`` has failed; what it had reported is kept."""
    operation = make(functions.sleeps, executor, timeout=10, clock=clock)
    job = operation.start(trace=str(tmp_path / "trace"))
    reported(job)
    clock.move(9)
    assert job.state is State.RUNNING
    clock.move(1)
    status = end_of(job)
    assert (status.state, status.stop_reason) == (State.FAILED, "timeout")
    assert re.fullmatch("DeadlineExceeded: .* 10 s", status.error)
    assert (status.result, status.elapsed) == ("partial", 10)
    assert status.cancel_requested_at is not None
    assert (tmp_path / "trace").exists()  # its callback raised
    with pytest.raises(DeadlineExceeded):
        job.result(0)


def test_stall_timeout(make, clock, executor, functions, tmp_path):
    """A job silent for longer than its ``stall_timeout`` has failed; a report postpones it."""
    operation = make(functions.reports_twice, executor, stall_timeout=10, grace=20,
                     clock=clock)
    job = operation.start(go=str(tmp_path / "go"))
    assert reported(job) == "step 1"
    clock.move(6)
    updates = job.updates()
    next(updates)
    (tmp_path / "go").touch()
    assert next(updates).result == "step 2"
    clock.move(6)
    wait_until(lambda: clock.awaited)
    assert job.state is State.RUNNING
    clock.move(4)
    status = end_of(job)
    assert (status.state, status.stop_reason) == (State.FAILED, "stalled")
    assert re.fullmatch("DeadlineExceeded: .* 10 s", status.error)
    assert status.result == "step 2"


def test_in_time(make, clock, executor, functions, tmp_path):
    """A job that ends before its deadlines has nothing to do with them."""
    job = make(functions.gated, executor, timeout=100, stall_timeout=10, clock=clock).start(
        folder=str(tmp_path))
    updates = job.updates()
    for step in 1, 2, 3:
        wait_until(lambda step=step: next(updates).step == step)
        clock.move(9)
        (tmp_path / str(step)).touch()
    assert (end_of(job).state, job.result(0)) == (State.COMPLETED, "value")


def test_value_after_the_deadline(make, clock, tmp_path):
    """A thread that ends by itself after its deadline has failed; its value is shown."""
    (tmp_path / "leave").mkdir()
    job = make(never_reports, "thread", timeout=10, clock=clock).start(
        pid_file=str(tmp_path / "pid"), leave=str(tmp_path / "leave" / "now"))
    clock.move(10)
    wait_until(lambda: job.state is State.CANCELLING)
    (tmp_path / "leave" / "now").touch()
    status = end_of(job)
    assert (status.state, status.stop_reason) == (State.FAILED, "timeout")
    assert status.result == "value"


def test_waiting_is_not_running(make, clock, tmp_path):
    """The deadlines of a job begin with its code, not while it waits."""
    operation = make(sleeps, "thread", timeout=10, stall_timeout=20, clock=clock)
    first, second = [operation.start(trace=str(tmp_path / name)) for name in ("1", "2")]
    clock.move(10)
    assert end_of(first).stop_reason == "timeout"
    reported(second)
    clock.move(9)
    assert second.state is State.RUNNING
    clock.move(1)
    assert end_of(second).stop_reason == "timeout"


def test_first_reason_counts(make, clock, executor, functions, tmp_path):
    """A deadline that passes while a cancel is under way changes nothing."""
    job = make(functions.reports_twice, executor, timeout=10, grace=20, clock=clock).start(
        go=str(tmp_path / "go"))
    reported(job)
    clock.move(9)
    job.cancel()
    clock.move(9)
    (tmp_path / "go").touch()
    status = end_of(job)
    assert (status.state, status.stop_reason) == (State.CANCELLED, "cancelled")
    assert status.error is None


@pytest.mark.parametrize("option", ["timeout", "stall_timeout"])
def test_wrong_deadline(option):
    """A deadline before the beginning is an error where it is given."""
    with pytest.raises(ValueError, match=option):
        LongOperation(plain, **{option: -1})


class NervousClock(Clock):
    """The real clock, but whoever waits for it looks at it again and again."""

    looks = 0

    def wait(self, event, seconds):
        self.looks += 1
        return event.wait(min(seconds, 0.001))


@pytest.mark.parametrize("jump", [-86_400, 86_400])
def test_clock_that_is_set(make, executor, functions, tmp_path, monkeypatch, jump):
    """A wall clock that is set a day back or on changes nothing about the deadlines."""
    clock, real = NervousClock(), time.time
    job = make(functions.gated, executor, timeout=60, stall_timeout=60, clock=clock).start(
        folder=str(tmp_path))
    reported(job)
    monkeypatch.setattr(time, "time", lambda: real() + jump)
    looks = clock.looks
    wait_until(lambda: clock.looks > looks + 5)
    status = job.status()
    assert (status.state, 0 <= status.elapsed < 60) == (State.RUNNING, True)
    for step in "123":
        (tmp_path / step).touch()
    assert end_of(job).state is State.COMPLETED
    job = make(functions.sleeps, executor, timeout=0.1).start(trace=str(tmp_path / "trace"))
    monkeypatch.setattr(time, "time", lambda: real() - jump)
    assert end_of(job).stop_reason == "timeout"


def test_a_save_that_is_put_off(clock):
    """What a history does not take now is offered again, although nothing has changed since."""
    job, offered = job_in(State.RUNNING), []

    def save(status):
        offered.append(status.result)
        return len(offered) == 3

    Guard(5, NEVER, NEVER, 1, save, clock)(job, [])()
    clock.move(1)
    job.callback("first")
    for number in range(1, 4):
        clock.move(1)
        wait_until(lambda number=number: len(offered) == number)
    clock.move(3)
    job.callback("second")
    clock.move(1)
    wait_until(lambda: len(offered) == 4)
    assert offered == ["first", "first", "first", "second"]
    job.finish()
