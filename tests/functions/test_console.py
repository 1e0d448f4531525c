"""`longop.functions.console`: keys and the window of a console of Windows."""

import ctypes
import signal
import subprocess
import sys
import types

import pytest

from longop.functions import console as module
from longop.functions.console import ignore_keys, outlive_window

from ..waiting import WAIT
from ..windows import ROOT


def never():
    raise AssertionError("nothing was closed")


@pytest.fixture
def console(monkeypatch):
    """Have a console; return the list of what Windows would call."""
    handlers = []
    kernel = types.SimpleNamespace(SetConsoleCtrlHandler=lambda *given: handlers.append(given))
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "windll", types.SimpleNamespace(kernel32=kernel), raising=False)
    monkeypatch.setattr(ctypes, "WINFUNCTYPE", ctypes.CFUNCTYPE, raising=False)
    return handlers


def test_no_console(monkeypatch):
    """Other systems have none: nothing is done."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setitem(sys.modules, "ctypes", None)
    outlive_window(never)


def test_no_ctypes(monkeypatch):
    """A Python without ``ctypes`` goes on without."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "ctypes", None)
    outlive_window(never)


@pytest.mark.parametrize("key", [0, 1])
def test_keys(console, key):
    """Ctrl-C and Ctrl-Break are left to Python, which makes signals of them."""
    outlive_window(never)
    [(handler, is_added)] = console
    assert (handler(key), is_added) == (0, 1)


@pytest.mark.parametrize("event", [2, 5, 6])
def test_window(console, monkeypatch, event):
    """Whatever is closed, it is told first, and then Windows is kept waiting."""
    done = []
    waits = types.SimpleNamespace(wait=lambda: done.append("waited"))
    monkeypatch.setattr(module, "threading", types.SimpleNamespace(Event=lambda: waits))
    outlive_window(lambda: done.append("told"))
    [(handler, _)] = console
    assert handler(event) == 1
    assert done == ["told", "waited"]


def test_ignored_keys():
    """A worker does not end with Ctrl-C and Ctrl-Break."""
    script = ("import signal; from longop.functions.console import ignore_keys; ignore_keys(); "
              "signal.raise_signal(signal.SIGINT); "
              "signal.raise_signal(getattr(signal, 'SIGBREAK', signal.SIGINT)); print('on')")
    done = subprocess.run([sys.executable, "-c", script], cwd=str(ROOT), timeout=3 * WAIT,
                          stdout=subprocess.PIPE, check=True)
    assert done.stdout.split() == [b"on"]


def test_all_keys_are_ignored(monkeypatch):
    """Where there is a Ctrl-Break, it is ignored as Ctrl-C is."""
    ignored = []
    monkeypatch.setattr(signal, "SIGBREAK", 21, raising=False)
    monkeypatch.setattr(signal, "signal", lambda *given: ignored.append(given))
    ignore_keys()
    assert ignored == [(signal.SIGINT, signal.SIG_IGN), (21, signal.SIG_IGN)]
