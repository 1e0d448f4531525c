"""`longop.serve.ending`: signals, and an end that nothing holds up; in processes of their own."""

import contextlib
import signal
import socket
import sys
import time
import urllib.parse

import pytest

from ..pythons import tells_inherited_signals
from ..waiting import WAIT
from ..windows import SIGNALS
from .test_main import served

# What is served: it has a folder to clean up, and functions that hear nothing.
WORK = """
import atexit, logging, tempfile, threading, time
from concurrent.futures import ThreadPoolExecutor
import longop

folder = tempfile.TemporaryDirectory(prefix="folder", dir=".")

class Farewell(logging.Handler):
    def close(self):
        print("logging has ended", flush=True)
        super().close()

farewell = Farewell()

@atexit.register
def say_farewell():
    time.sleep(0.2)
    print("atexit has run", flush=True)

def never():
    print("busy", flush=True)
    while True:
        try:
            time.sleep(0.01)
        except BaseException:
            pass

def deaf(callback):
    never()

def fills_a_pool(callback):
    ThreadPoolExecutor(1).submit(never)
    time.sleep(3600)

def starts_a_thread(callback):
    threading.Thread(target=never).start()
    time.sleep(3600)

def never_starts(callback):
    pass

submit = longop.LongOperation.submit

def submit_or_hang(operation, *rest, **more):
    if operation.name == "never_starts":
        never()
    return submit(operation, *rest, **more)

longop.LongOperation.submit = submit_or_hang
"""


@contextlib.contextmanager
def served_work(folder, *arguments):
    """Serve the above; yield the process, and a function that starts a job on a connection."""
    (folder / "work.py").write_text(WORK)
    with contextlib.ExitStack() as clients, \
            served("work.py", "--grace", "0.1", *arguments, cwd=folder) as (process, _, url):
        address = urllib.parse.urlsplit(url)

        def start(name):
            client = socket.create_connection((address.hostname, address.port), WAIT)
            clients.enter_context(client)
            client.sendall(b"POST /v1/work/%b HTTP/1.1\r\nHost: localhost\r\n\r\n"
                           % name.encode())
            assert process.stdout.readline() == "busy\n"

        yield process, start


@SIGNALS
@pytest.mark.parametrize("name", [
    None, "deaf", "starts_a_thread", "never_starts",
    pytest.param("fills_a_pool", marks=pytest.mark.skipif(
        sys.version_info < (3, 9), reason="Python 3.8 waits for pools in atexit itself"))])
def test_clean_end(tmp_path, name):
    """All that Python runs at its end has run soon after the grace period, whatever is busy."""
    with served_work(tmp_path) as (process, start):
        if name:
            start(name)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        printed = process.stdout.read()
        assert process.wait(WAIT) == 0
        # Within a second of the grace period; the rest is for a machine that does other things.
        assert time.monotonic() - began < 0.1 + 1 + 0.9
    assert printed == "atexit has run\nlogging has ended\n"
    assert [*tmp_path.glob("folder*")] == []


@SIGNALS
def test_one_signal_is_no_haste(tmp_path):
    """One signal hurries nothing, however long ``atexit`` takes; a second one does."""
    with served_work(tmp_path) as (process, start):
        start("deaf")
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == ""
        assert process.wait(WAIT) == 0
        assert time.monotonic() - began < 0.5


@contextlib.contextmanager
def hangup_is(action):
    """Have children inherit what SIGHUP does; the tests themselves may run under nohup."""
    before = signal.signal(signal.SIGHUP, action)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@SIGNALS
def test_hangup(tmp_path):
    """A closed terminal ends the server as SIGTERM does; it is told of that more than once."""
    with hangup_is(signal.SIG_DFL), served_work(tmp_path) as (process, start):
        start("deaf")
        for _ in range(3):
            process.send_signal(signal.SIGHUP)
            time.sleep(0.01)  # two at once would be one
        assert process.stdout.read() == "atexit has run\nlogging has ended\n"
        assert process.wait(WAIT) == 0


@SIGNALS
@tells_inherited_signals
def test_nohup(tmp_path):
    """Under ``nohup`` a closed terminal does not matter."""
    with hangup_is(signal.SIG_IGN):
        with served_work(tmp_path) as (process, _):
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGTERM)
            assert process.wait(WAIT) == 0
            assert "atexit has run" in process.stdout.read()
        with served_work(tmp_path) as (process, start):
            process.send_signal(signal.SIGHUP)
            start("deaf")
            assert process.poll() is None


@SIGNALS
def test_hangup_handler_of_the_module(tmp_path):
    """A served module that has a use of its own for SIGHUP keeps it."""
    # No `print`: the main thread may be in one, and Python's streams cannot be entered twice.
    (tmp_path / "work.py").write_text(
        "import os, signal\n"
        "signal.signal(signal.SIGHUP, lambda *_: os.write(1, b'again\\n'))\n"
        "def work(callback): pass\n")
    with served("work.py", cwd=tmp_path) as (process, line, _):
        assert line, process.stderr.read()
        process.send_signal(signal.SIGHUP)
        line = process.stdout.readline()
        assert line == "again\n", line or process.stderr.read()
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT) == 0
