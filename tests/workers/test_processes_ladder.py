"""The escalation of a cancel, and deadlines, of a job in a process: signals come after all.

The functions are in ``far``. The tests that are the same for a thread are in `test_guard`.
"""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import pytest

from longop import History, State
from longop.errors import DeadlineExceeded
from longop.workers.process import WorkerProcess

from ..pythons import kills_families
from ..test_guard import (  # noqa: F401  # with this module's own `executor` and `functions`
    StandingClock, reported, test_clock_that_is_set, test_companion_is_enough,
    test_first_reason_counts, test_in_time, test_stall_timeout, test_timeout)
from ..waiting import WAIT, end_of, wait_until
from ..windows import SIGNALS, TERMINATED
from . import far
from .far import is_alive

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def clock():
    return StandingClock()


@pytest.fixture
def executor():
    return "process"


@pytest.fixture
def functions():
    return far


@SIGNALS
def test_ladder_to_its_end(make):
    """A process in C code that ignores SIGTERM is gone in time, and its child with it.

    The bound is the issue's own: twice the grace and half a second. The best of three counts.
    """
    grace, took = 0.3, []
    operation = make(far.stubborn, "process", grace=grace)
    for _ in range(3):
        job = operation.start(where="in C")
        pids = reported(job)
        waiting = operation.start(where="in C")
        assert all(map(is_alive, pids))
        began = time.monotonic()
        job.cancel()
        meanwhile = job.status()
        wait_until(lambda pids=pids: not any(map(is_alive, pids)))
        took.append(time.monotonic() - began)
        assert (meanwhile.state, meanwhile.error) == (State.CANCELLING, None)
        status = end_of(job)
        assert (status.state, status.stop_reason) == (State.CANCELLED, "cancelled")
        assert status.error == "stopped by SIGKILL"
        assert status.cancel_requested_at == meanwhile.cancel_requested_at is not None
        assert status.result == pids
        assert not set(reported(waiting)) & set(pids)  # the next job has begun
        waiting.cancel()
        end_of(waiting)
        if took[-1] < 2 * grace + 0.5:
            break
    assert 2 * grace <= min(took) < 2 * grace + 0.5


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="what the worker starts is for sh")
def test_ladder_without_signals(make, monkeypatch, tmp_path):
    """Without sessions and without ``taskkill`` a cancel ends the process, and says how."""
    monkeypatch.delattr(os, "killpg")
    monkeypatch.setenv("SYSTEMROOT", str(tmp_path))
    job = make(far.stubborn, "process", grace=0.1).start(where="in Python")
    worker, grandchild = reported(job)
    try:
        job.cancel()
        status = end_of(job)
        assert (status.state, status.error) == (State.CANCELLED, "stopped by TerminateProcess")
        assert not is_alive(worker)
    finally:
        os.kill(grandchild, signal.SIGKILL)


@SIGNALS
def test_every_rung_in_its_time(make, clock, tmp_path):
    """The companion, SIGTERM and SIGKILL come in this order, each after the grace."""
    trace = tmp_path / "trace"
    operation = make(far.deaf, "process", cancel=far.note, grace=5, clock=clock)
    job = operation.start(trace=str(trace))
    assert reported(job) == "partial"
    job.cancel()
    for tried in "companion ", "companion SIGTERM ":
        clock.move(4)
        assert clock.awaited == [clock.time + 1]
        clock.move(1)
        wait_until(lambda tried=tried: trace.exists() and trace.read_text() == tried)
        assert job.state is State.CANCELLING
    clock.move(5)
    assert (end_of(job).state, job.status().error) == (State.CANCELLED, "stopped by SIGKILL")
    assert (trace.read_text(), job.status().result) == (tried, "partial")


def test_sigterm_is_enough(make, clock):
    """A process that does not ignore SIGTERM is not killed with anything harder."""
    job = make(far.dozes, "process", grace=5, clock=clock).start()
    reported(job)
    job.cancel()
    clock.move(5)
    status = end_of(job)
    assert (status.state, status.error) == (State.CANCELLED, TERMINATED)
    assert (status.step, status.total, status.progress) == (1, 4, 0.25)


@kills_families
def test_signal_at_once(make, clock, tmp_path):
    """What has no callback and no companion gets its signal at once, and so does its child."""
    trace = tmp_path / "trace"
    job = make(far.cannot_hear, "process", callback=False, grace=5, clock=clock).start(
        trace=str(trace))
    wait_until(lambda: trace.exists() and trace.read_text().endswith(" "))
    job.cancel()
    status = end_of(job)
    assert (status.state, status.error) == (State.CANCELLED, TERMINATED)
    wait_until(lambda: not any(is_alive(int(pid)) for pid in trace.read_text().split()))


def test_companion_in_vain(make, clock):
    """A companion that raises in a process does not keep the next rungs from being tried."""
    job = make(far.dozes, "process", cancel=far.stop_in_vain, grace=5, clock=clock).start()
    reported(job)
    job.cancel()
    clock.move(5)
    assert job.state is State.CANCELLING
    clock.move(5)
    assert end_of(job).error == TERMINATED


HANGS = """
import longop, os, sys, threading, time

def work(callback):
    callback("partial")
    callback.wait(60)

if __name__ != "__main__" and os.path.exists("hang"):
    with open("hangs", "w") as file:
        file.write(str(os.getpid()))
    time.sleep(20)

if __name__ == "__main__":
    operation = longop.LongOperation(work, executor="process", limit=2, grace=0.1)
    first = operation.start()
    while not first.status().result:
        time.sleep(0.01)
    open("hang", "w").close()
    second = operation.start()
    while not os.path.exists("hangs") or not open("hangs").read():
        time.sleep(0.01)
    second.cancel()
    for status in second.updates():
        pass
    print(status.state.value, status.error)
    operation.close()
"""


def test_process_that_hangs_before_it_begins(tmp_path):
    """The ladder reaches a process that is stuck before it has come to the function."""
    (tmp_path / "script.py").write_text(HANGS)
    with subprocess.Popen([sys.executable, "script.py"], cwd=str(tmp_path),
                          env={**os.environ, "PYTHONPATH": str(ROOT)},
                          stdout=subprocess.PIPE, universal_newlines=True) as script:
        try:
            out, _ = script.communicate(timeout=WAIT)
        finally:
            script.kill()
    assert out.startswith("cancelled stopped by ")


@SIGNALS
@pytest.mark.parametrize(("option", "reason"), [
    ("timeout", "timeout"), ("stall_timeout", "stalled")])
def test_deadline_goes_up_the_ladder(make, clock, option, reason):
    """A deadline stops a stubborn function as a cancel does, and the next job starts."""
    operation = make(far.stubborn, "process", grace=0.25, clock=clock, **{option: 10})
    job = operation.start(where="in C")
    pids = reported(job)
    waiting = operation.start(where="in C")
    for seconds in 10, 0.25:
        clock.move(seconds)
        wait_until(lambda: job.state is State.CANCELLING)
        assert all(map(is_alive, pids))
    clock.move(0.25)
    status = end_of(job)
    assert (status.state, status.stop_reason) == (State.FAILED, reason)
    assert re.fullmatch("DeadlineExceeded: .* 10 s; stopped by SIGKILL", status.error)
    assert status.result == pids
    assert isinstance(job.exception(0), DeadlineExceeded)
    wait_until(lambda: not any(map(is_alive, pids)))
    reported(waiting)


# Before it begins


class SlowHistory(History):
    """Holds a job up before it has a process, as a slow disk may."""

    def __init__(self):
        super().__init__()
        self.is_recording = threading.Event()
        self.may_go_on = threading.Event()

    def begin(self, status):  # in the job's own thread
        self.is_recording.set()
        assert self.may_go_on.wait(WAIT)
        return True


@pytest.fixture
def held(monkeypatch):
    """Hold jobs up when they have a process, before that is known to be ready."""
    gate = types.SimpleNamespace(is_waiting=threading.Event(), may_go_on=threading.Event())

    def wait_until_ready(process, timeout=None, wait=WorkerProcess.wait_until_ready):
        gate.is_waiting.set()
        assert gate.may_go_on.wait(WAIT)
        return wait(process, timeout)

    monkeypatch.setattr(WorkerProcess, "wait_until_ready", wait_until_ready)
    yield gate
    gate.may_go_on.set()


@pytest.mark.parametrize("round", range(5))
def test_cancel_before_there_is_a_process(make, tmp_path, round):
    """What is told to stop before it has a process gets none, and nothing has stopped it."""
    history = SlowHistory()
    operation = make(far.marks, "process", callback=False, grace=0, history=history)
    job = operation.start(trace=str(tmp_path / "trace"))
    assert history.is_recording.wait(WAIT)
    job.cancel()
    history.may_go_on.set()
    assert (end_of(job).state, job.status().error) == (State.CANCELLED, None)
    assert not (tmp_path / "trace").exists()
    assert operation.start(trace=str(tmp_path / "trace")).result(WAIT) == "done"


def test_companion_before_there_is_a_process(make):
    """A companion that is due before the function has begun is not called, least of all here."""
    history = SlowHistory()
    far.STOP.clear()
    job = make(far.until_stopped, "process", cancel=far.stop, grace=0, history=history).start()
    assert history.is_recording.wait(WAIT)
    job.cancel()
    history.may_go_on.set()
    assert (end_of(job).state, job.status().error) == (State.CANCELLED, None)
    assert not far.STOP.is_set()


def test_cancel_while_a_process_starts(make, held, clock, tmp_path):
    """What is told to stop while its process starts does not begin; the process is kept."""
    operation = make(far.marks, "process", callback=False, cancel=far.stop, grace=5, clock=clock)
    operation._dispatcher.backend._is_checked = True
    far.STOP.clear()
    job = operation.start(trace=str(tmp_path / "trace"))
    assert held.is_waiting.wait(WAIT)
    [process] = multiprocessing.active_children()
    job.cancel()
    wait_until(lambda: clock.awaited)  # the companion was due at once, and SIGTERM is not yet
    held.may_go_on.set()
    assert (end_of(job).state, job.status().error) == (State.CANCELLED, None)
    assert not far.STOP.is_set()
    assert not (tmp_path / "trace").exists()
    assert operation.start(trace=str(tmp_path / "trace")).result(WAIT) == "done"
    assert multiprocessing.active_children() == [process]


@pytest.mark.parametrize("option", ["timeout", "stall_timeout"])
def test_deadline_counts_from_the_begin(make, held, clock, option):
    """The time in which a process starts is not the job's."""
    operation = make(far.dozes, "process", clock=clock, grace=5, **{option: 10})
    operation._dispatcher.backend._is_checked = True
    job = operation.start()
    assert held.is_waiting.wait(WAIT)
    clock.time += 100
    held.may_go_on.set()
    reported(job)
    clock.move(9)
    assert job.state is State.RUNNING
    clock.move(1)
    wait_until(lambda: job.state is State.CANCELLING)
    clock.move(5)
    assert end_of(job).stop_reason == {"timeout": "timeout", "stall_timeout": "stalled"}[option]
