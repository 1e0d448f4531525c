"""Fixtures: adapters as files, what serves them, and the environment of a module."""

import base64
import importlib
import json
import os
import platform
import sys
import threading

import pytest

from longop.cli.target import load
from longop.codeproject import checkpoints
from longop.codeproject.system import SystemInfo

from .adapters import LONG_PROCESS, Door
from .modules import Steps


@pytest.fixture
def clean_imports(monkeypatch):
    """Leave sys.path, sys.modules and the environment as they were."""
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr("os.environ", dict(os.environ))
    before = dict(sys.modules)
    yield
    for name in set(sys.modules) - set(before):
        del sys.modules[name]
    sys.modules.update(before)


# Kept by `platform` from now on: without `os.uname` it asks `sys.platform`, which tests replace.
platform.uname()


@pytest.fixture
def a_pi(monkeypatch):
    """Make this machine a Raspberry Pi."""
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    monkeypatch.setattr(SystemInfo, "os", "Linux")
    monkeypatch.setattr(SystemInfo, "system", "Raspberry Pi")


@pytest.fixture
def grace(monkeypatch):
    """Return a function that sets the grace of a command that stops by itself."""
    return lambda seconds: monkeypatch.setattr(checkpoints, "GRACE", seconds)


@pytest.fixture
def write(tmp_path, clean_imports):
    """Return a function that writes an adapter and perhaps its settings; it returns its path."""
    def write(source, settings=None, name="an_adapter.py"):
        (tmp_path / "long_process.py").write_text(LONG_PROCESS)
        (tmp_path / name).write_text(source, encoding="utf-8")
        if settings:
            (tmp_path / "modulesettings.json").write_text(json.dumps(settings))
        importlib.invalidate_caches()
        return str(tmp_path / name)

    return write


@pytest.fixture
def made(write):
    """Return a function that loads an adapter; it returns its door and its Python module."""
    doors = []

    def made(source, settings=None):
        doors.append(Door(load(write(source, settings))))
        return doors[-1], sys.modules["an_adapter"]

    yield made
    for door in doors:
        door.runner.fails = True  # what still goes on step by step
        while door.live:
            getattr(sys.modules["an_adapter"], "MAY", threading.Semaphore()).release()


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    """Start without CodeProject's variables in the environment; return to this folder."""
    monkeypatch.chdir(os.getcwd())  # a module works in its own
    for name in list(os.environ):
        if name.startswith("CPAI_"):
            monkeypatch.delenv(name)


@pytest.fixture
def steps():
    with Steps() as steps:
        yield steps


@pytest.fixture
def counted(monkeypatch):
    """Count how often something is encoded as base64, and decoded."""
    calls = {"b64encode": 0, "b64decode": 0}

    def count(name):
        function = getattr(base64, name)

        def counting(*args, **options):
            calls[name] += 1
            return function(*args, **options)

        monkeypatch.setattr(base64, name, counting)

    for name in calls:
        count(name)
    return lambda: (calls["b64encode"], calls["b64decode"])
