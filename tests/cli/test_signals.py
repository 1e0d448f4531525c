"""`longop.cli.signals`: which signals end a command. `tests.test_windows` sends them."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from longop.cli.signals import ENDING, Deferral

from ..waiting import WAIT

ROOT = Path(__file__).resolve().parent.parent.parent
# Ctrl-C comes when `progress` has just taken the lock that it waits with.
PRESSED = """
import io, signal, threading, longop

usual = threading.Condition.__enter__
presses = []

def enter(condition):
    usual(condition)
    if presses and threading.current_thread() is threading.main_thread():
        signal.raise_signal(presses.pop())

class File(io.StringIO):
    def flush(self):
        if "running" in self.getvalue() and "cancel" not in self.getvalue():
            presses.append(signal.SIGINT)

threading.Condition.__enter__ = enter
job = longop.LongOperation(lambda callback: callback.wait(60), grace=60).start()
print(longop.progress(job, file=File()).state.value)
"""


def test_here():
    """Ctrl-C and SIGTERM end a command everywhere, Ctrl-Break where there is one."""
    assert {signal.SIGINT, signal.SIGTERM} <= {*ENDING}
    assert len(ENDING) == 2 + hasattr(signal, "SIGBREAK")


def test_a_press_leaves_no_lock_taken():
    """However Ctrl-C falls, `progress` cancels the job and sees its end."""
    done = subprocess.run([sys.executable, "-c", PRESSED], timeout=3 * WAIT, text=True,
                          env=dict(os.environ, PYTHONPATH=str(ROOT)), capture_output=True)
    assert (done.returncode, done.stdout) == (0, "cancelled\n"), done.stderr


def test_the_first_press_is_met_where_it_is_asked_for():
    """The first press waits for a check, a further one does not; then all is as before."""
    before = signal.getsignal(signal.SIGINT)
    with Deferral() as interrupts:
        interrupts.check()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
        interrupts.check()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before is signal.default_int_handler


def test_a_second_press_does_not_wait():
    """One that comes before the first was met is met at once."""
    with Deferral():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_what_does_something_else_is_left_alone():
    """A handler of the program's own stays, and so do all in a thread."""
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append("own"))
    try:
        with Deferral() as interrupts:
            signal.raise_signal(signal.SIGINT)
            interrupts.check()
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == ["own"]
    entered = []

    def enter():
        with Deferral():
            entered.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join(WAIT)
    assert entered == [before]
