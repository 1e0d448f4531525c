"""``python -m longop.client``: a job of a server, from a terminal."""

import json
import signal
import subprocess
import sys
import threading

import pytest

from ..test_client import Steps, fails, serving
from ..waiting import WAIT, wait_until
from ..windows import SIGNALS
from .screen import EVIL, ROOT, on_terminal, read_until, started


@pytest.fixture
def steps():
    return Steps()


@pytest.fixture
def operations(steps, make):
    return [make(steps, "thread"), make(fails, "thread")]


@pytest.fixture
def there(make):
    """A server of one operation: the server, the operation and its function."""
    function = Steps()
    operation = make(function, "thread")
    with serving([operation]) as server:
        yield server, operation, function


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "longop.client", *arguments], cwd=str(ROOT),
                          capture_output=True, timeout=WAIT, text=True)


def test_terminal(steps, operations):
    """Operations are listed and run: the result on stdout, everything else on stderr."""
    steps.let(2)
    with serving(operations) as server:
        lines = run(server.url).stdout.splitlines()
        assert lines[0].startswith("steps - ")
        assert lines[1].startswith("  n=WHOLE-NUMBER")
        assert lines[-2:] == ["", "fails"]
        page = run(f"{server.url}?token=secret", "steps", "--help").stdout.splitlines()
        assert not any("secret" in line for line in page)
        assert page[0].startswith(f"usage: python -m longop.client {server.url}")
        assert lines[0][len("steps - "):] in page
        assert page[-1] == lines[-3]  # a parameter
        assert run("--help").stdout.startswith("usage: ")
        done = run(server.url, "steps", "n=2")
        assert (done.returncode, done.stdout) == (0, '{"bytes":0,"n":2}\n')
        assert "completed 100%" in done.stderr
        done = run(server.url, "fails")
        assert (done.returncode, done.stdout) == (1, "")
        assert "ValueError: no good" in done.stderr
        done = run(server.url, "steps", "n=two")
        assert (done.returncode, done.stdout) == (2, "")
        assert "longop.client: parameter 'n' must be a whole number, not 'two'" in done.stderr
        assert run(server.url, "other").returncode == 2


@SIGNALS
def test_terminal_ctrl_c(operations):
    """Ctrl-C in a terminal cancels the job."""
    with serving(operations) as server, subprocess.Popen(
            [sys.executable, "-m", "longop.client", server.url, "steps"], cwd=str(ROOT),
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr.readline().startswith("running")
            process.send_signal(signal.SIGINT)
            assert "cancelled" in process.communicate(timeout=WAIT)[1]
            assert process.returncode == 130
        finally:
            process.kill()
    wait_until(lambda: not operations[0].live)


@SIGNALS
def test_terminal_ctrl_c_twice(make):
    """A second Ctrl-C leaves a job that does not stop."""
    may_end = threading.Event()
    operations = [make(lambda: may_end.wait(WAIT), "thread", name="deaf", callback=False)]
    with serving(operations) as server, subprocess.Popen(
            [sys.executable, "-m", "longop.client", server.url, "deaf"], cwd=str(ROOT),
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            for state in "running", "cancelling":
                assert process.stderr.readline().startswith(state)
                process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=WAIT)[1] == ""
            assert process.returncode == 130
        finally:
            process.kill()
            may_end.set()


@SIGNALS
def test_client_sigterm(there):
    """SIGTERM cancels a job of a server too."""
    server, operation, _ = there
    with started(ROOT, server.url, "steps", module="client") as process:
        read_until(process, "running")
        process.terminate()
        assert "cancelled" in process.communicate(timeout=WAIT)[1]
        assert process.returncode == 130
    wait_until(lambda: not operation.live)


def test_client_json(there):
    """--json prints the statuses of a job of a server."""
    server, _, function = there
    function.let(3)
    with started(ROOT, server.url, "steps", "--json", "n=3", module="client") as process:
        out, err = process.communicate(timeout=WAIT)
        assert (process.returncode, err) == (0, "")
        assert json.loads(out.splitlines()[-1])["result"] == {"bytes": 0, "n": 3}


def test_client_on_terminal(make, folder):
    """Nothing that a server says can control the terminal."""
    def evil(callback):
        raise ValueError(EVIL)

    evil.__doc__ = EVIL
    with serving([make(evil, "thread")]) as server:
        for arguments, code, text in (
                (("evil",), 1, r"ValueError: a\[2Jb"), ((), 0, "^evil - a"),
                (("evil", "\x1b[2J=1"), 2, "longop.client: ")):
            with on_terminal(folder, server.url, *arguments, module="client") as shown:
                shown.until(text)
                assert shown.end() == code
                assert set(shown.screen.escapes) <= {"\x1b[31m", "\x1b[0m"}
