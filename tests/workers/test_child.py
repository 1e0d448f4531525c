"""A child process that is reaped by its owner alone."""

import multiprocessing
import os
import signal
import sys
import time

import pytest

from longop.workers import child as module
from longop.workers.child import Child

from ..waiting import WAIT, wait_until

pytestmark = pytest.mark.skipif(not hasattr(os, "waitid"), reason="needs waitid")


@pytest.fixture
def child():
    child = Child(target=sys.exit, args=(3,), daemon=True)
    child.start()
    yield child
    child.join()


def test_end_is_known_though_it_is_not_reaped(child):
    """Its exit code is known, again and again, and its id is still its own."""
    child.join()
    assert child.exitcode == 3
    assert child not in multiprocessing.active_children()
    assert child.is_held()
    os.kill(child.pid, 0)
    child.reap()
    assert not child.is_held()
    assert child.exitcode == 3
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_one_that_is_reaped_may_be_ended_and_joined_at_the_exit(child):
    """What this process has open of it is closed; `multiprocessing` may have listed it before."""
    listed = multiprocessing.active_children()
    assert child in listed
    child.join()
    sentinel = child.sentinel
    child.reap()
    with pytest.raises(OSError, match=r"[Bb]ad file descriptor"):
        os.fstat(sentinel)
    for one in listed:  # what it does then, in this order
        one._popen.terminate()
        one.join()


def test_signal(child):
    """One that a signal has ended says which."""
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert child.exitcode == -signal.SIGKILL
    child.reap()


def test_reaped_by_somebody_else(child):
    """One that was reaped elsewhere has ended, nobody knows how, and its id is not its own."""
    os.waitpid(child.pid, 0)
    assert not child.is_alive()
    assert not child.is_held()
    assert child.exitcode == 255
    child.reap()


def test_several_wait(child):
    """Whoever asks, by whatever way, sees the same end."""
    wait_until(lambda: not child.is_alive())
    child.join(0)
    child.join()
    assert child.exitcode == 3
    child.reap()


# Windows, which has no sessions and no signals


@pytest.fixture
def sleeper():
    child = Child(target=time.sleep, args=(600,), daemon=True)
    child.start()
    yield child
    child.kill()
    child.join()
    child.reap()


@pytest.fixture
def taskkill(monkeypatch, tmp_path):
    """Have what ends processes on Windows be a script; return the file that counts its calls."""
    monkeypatch.delattr(os, "killpg")
    monkeypatch.setenv("SYSTEMROOT", str(tmp_path))
    calls = tmp_path / "calls"
    program = tmp_path / "System32" / "taskkill.exe"
    program.parent.mkdir()

    def make(script):
        program.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n{script}\n')
        program.chmod(0o755)
        return calls

    return make


def test_taskkill(sleeper, taskkill):
    """A process of Windows is ended with all that it has started, and by what is told."""
    calls = taskkill("kill -9 $4")
    assert sleeper.signal_all(signal.SIGTERM)
    sleeper.join(WAIT)
    assert sleeper.means() == "taskkill"
    assert calls.read_text() == f"/F /T /PID {sleeper.pid}\n"


@pytest.mark.parametrize("script", ["echo none >&2; echo none; exit 1", "exec sleep 600"])
def test_taskkill_that_fails(sleeper, taskkill, monkeypatch, capfd, script):
    """Where it fails or hangs, nothing is printed, and the process itself is ended."""
    monkeypatch.setattr(module, "TASKKILL_TIMEOUT", 0.5)
    taskkill(script)
    assert sleeper.signal_all(signal.SIGTERM)
    sleeper.join(WAIT)
    assert sleeper.means() == "TerminateProcess"
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("taskkill")
def test_no_taskkill(sleeper):
    """A Windows without it ends the process itself."""
    assert sleeper.signal_all(signal.SIGTERM)
    sleeper.join(WAIT)
    assert sleeper.means() == "TerminateProcess"


def test_taskkill_that_comes_too_late(sleeper, taskkill, monkeypatch):
    """That nothing can end the process is no error, as when it has just ended."""
    taskkill("exit 1")

    def kill():
        raise PermissionError

    with monkeypatch.context() as patched:
        patched.setattr(sleeper, "kill", kill)
        assert sleeper.signal_all(signal.SIGTERM)
    assert sleeper.is_alive()


def test_no_taskkill_of_the_dead(child, taskkill):
    """One that has ended is left alone: what it has started is not found by its id."""
    calls = taskkill("exit 0")
    child.join(WAIT)
    assert not child.signal_all(signal.SIGTERM)
    assert not calls.exists()
    assert (child.exitcode, child.means()) == (3, None)


def test_taskkill_has_no_window(sleeper, taskkill, monkeypatch):
    """No console opens for it where the program has none."""
    given = []
    monkeypatch.setattr(module.subprocess, "CREATE_NO_WINDOW", 1 << 27, raising=False)
    monkeypatch.setattr(module.subprocess, "call",
                        lambda *command, **options: given.append(options) or 1)
    sleeper.signal_all(signal.SIGTERM)
    assert [options["creationflags"] for options in given] == [1 << 27]
