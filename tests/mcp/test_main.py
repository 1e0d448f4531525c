"""``python -m longop.mcp`` as a process of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ..waiting import WAIT, wait_until
from ..windows import SIGNALS
from .rpc import body, legacy, modern

ROOT = Path(__file__).parent.parent.parent
WORK = '''
import ctypes, os, subprocess, sys, time

print("imported")

def noisy(callback):
    """Write to standard output in every way there is."""
    print("print")
    os.write(1, b"os.write\\n")
    c = ctypes.CDLL("ucrtbase" if os.name == "nt" else None)
    c.puts(b"puts")
    c.fflush(None)
    subprocess.run([sys.executable, "-c", "print('child')"], check=True)
    sys.__stdout__.write("__stdout__\\n")
    sys.__stdout__.flush()
    return sys.stdin.read() + "quiet"

def ticks(callback, log: str = "log"):
    for step in range(100_000):
        with open(log, "a") as file:
            file.write("x")
        callback(f"at {step}", step)
        time.sleep(0.01)

def deaf(callback):
    with open("pid", "w") as file:
        file.write(str(os.getpid()))
    while True:
        try:
            callback("deaf")
        except BaseException:
            pass
        time.sleep(0.01)

def quick(callback, n: int = 1):
    return {"n": n}
'''


class Process:
    """A server at the other end of two pipes."""

    def __init__(self, folder, *arguments):
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "longop.mcp", *arguments], cwd=str(folder), env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def send(self, message):
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def next(self):
        return json.loads(self.process.stdout.readline())

    def ask(self, message):
        self.send(body(message))
        return self.next()

    def call(self, name, id=1, tasks=False, **arguments):
        self.send(body(modern("tools/call", id, tasks, name=name, arguments=arguments)))

    def end(self):
        """Close standard input; return the exit code, the rest of stdout, and stderr."""
        out, error = self.process.communicate(timeout=20)
        return self.process.returncode, out, error.decode()


@pytest.fixture
def started(tmp_path):
    processes = []

    def started(*arguments):
        (tmp_path / "work.py").write_text(WORK)
        processes.append(Process(tmp_path, *arguments))
        return processes[-1]

    yield started
    for one in processes:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait(WAIT)
        for pipe in (one.process.stdin, one.process.stdout, one.process.stderr):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_nothing_else_on_stdout(started, executor):
    """Whatever a function prints, by whatever means, goes to standard error."""
    server = started("work.py:noisy", "--executor", executor)
    server.call("noisy")
    assert server.next()["result"]["content"][0]["text"] == "quiet"
    code, rest, error = server.end()
    assert (code, rest) == (0, b"")
    for noise in ("imported", "print", "os.write", "puts", "child", "__stdout__"):
        assert noise in error


def grows(path):
    """Return whether a file still grows, within some rounds of its writer."""
    size = path.stat().st_size
    with contextlib.suppress(AssertionError):
        return wait_until(lambda: path.stat().st_size > size, 0.3)
    return False


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_a_cancel_ends_the_side_effect(started, tmp_path, executor):
    """After a cancel the function does nothing any more."""
    server = started("work.py:ticks", "--executor", executor)
    server.call("ticks", 7)
    log = tmp_path / "log"
    wait_until(lambda: log.exists() and grows(log))
    server.send({"jsonrpc": "2.0", "method": "notifications/cancelled",
                 "params": {"requestId": 7}})
    wait_until(lambda: not grows(log))
    assert server.ask(legacy("ping", 8))["id"] == 8
    assert server.end()[0] == 0


def test_a_cancel_of_what_hears_nothing(started, tmp_path):
    """A cancel goes through the whole ladder: a process that hears nothing is killed."""
    server = started("work.py:deaf", "--executor", "process", "--grace", "0.1")
    server.call("deaf", 7)
    pid = int(wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    server.send({"jsonrpc": "2.0", "method": "notifications/cancelled",
                 "params": {"requestId": 7}})
    wait_until(lambda: not is_alive(pid))
    assert server.end()[0] == 0


def is_alive(pid):
    with contextlib.suppress(OSError):
        os.kill(pid, 0)
        return True
    return False


def test_the_end_of_stdin(started, tmp_path):
    """When the client closes its end, what runs is ended, and so is the server."""
    server = started("work.py:ticks")
    server.call("ticks")
    wait_until(lambda: (tmp_path / "log").exists())
    assert server.end()[0] == 0
    assert not grows(tmp_path / "log")


def test_a_client_that_dies(started, tmp_path):
    """Without a client there is no server."""
    server = started("work.py:ticks")
    server.call("ticks")
    wait_until(lambda: (tmp_path / "log").exists())
    server.process.stdout.close()
    server.process.stdin.close()
    assert server.process.wait(WAIT) == 0


@SIGNALS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal(started, number):
    """Ctrl-C and SIGTERM end it cleanly."""
    server = started("work.py:ticks")
    assert server.ask(legacy("ping"))["result"] == {}
    server.call("ticks")
    server.process.send_signal(number)
    assert server.process.wait(WAIT) == 130


@SIGNALS
def test_a_second_signal(started, tmp_path):
    """A second one ends it at once, whatever runs."""
    server = started("work.py:deaf", "--grace", "60")
    server.call("deaf")
    wait_until(lambda: (tmp_path / "pid").exists())
    server.process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.process.wait(0.3)  # until the first one is being handled
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(WAIT) == 130


def test_a_task_survives_a_restart(started, tmp_path):
    """With a history, the result of a task is there after the server was started again."""
    server = started("work.py", "--history", "jobs.sqlite3", "--task-after", "0")
    server.call("quick", 1, tasks=True, n=5)
    id = server.next()["result"]["taskId"]
    found = None
    while found is None or found["status"] == "working":
        found = server.ask(modern("tasks/get", 2, True, taskId=id))["result"]
    assert server.end()[0] == 0
    again = started("work.py", "--history", "jobs.sqlite3")
    found = again.ask(modern("tasks/get", 2, True, taskId=id))["result"]
    assert found["result"]["structuredContent"] == {"n": 5}
    assert again.end()[0] == 0


def test_two_servers_on_one_history(started):
    """A second server with the same history says that it cannot have it, and ends."""
    first = started("work.py", "--history", "jobs.sqlite3")
    assert first.ask(legacy("ping"))["result"] == {}
    code, out, error = started("work.py", "--history", "jobs.sqlite3").end()
    assert (code, out) == (2, b"")
    assert "longop.mcp: " in error
    assert "jobs.sqlite3" in error
    assert first.end()[0] == 0


def test_as_jobs(started):
    """`--as-jobs` offers the jobs of each operation as tools."""
    server = started("work.py:quick", "--as-jobs")
    names = [tool["name"] for tool in server.ask(modern("tools/list"))["result"]["tools"]]
    assert names == ["start_quick", "status_quick", "cancel_quick"]
    assert server.end()[0] == 0


def test_as_a_command_of_longop(tmp_path):
    """`longop mcp` is the same command, and says so in its usage."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-m", "longop", "mcp", "--help"], cwd=str(tmp_path),
                          env=environment, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.startswith("usage: python -m longop mcp ")


def test_a_wrong_target(started):
    """A target that is not there is told on standard error."""
    code, out, error = started("nothing.py").end()
    assert (code, out) == (2, b"")
    assert "longop.mcp: there is no Python file nothing.py" in error


def test_a_large_result(started):
    """A result that is larger than a pipe is one line."""
    server = started("work.py:quick")
    server.call("quick", "x" * 300_000)
    assert len(server.next()["id"]) == 300_000
    assert server.end()[0] == 0


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_on_a_terminal(tmp_path):
    """Who starts it by hand is told what it waits for."""
    (tmp_path / "work.py").write_text(WORK)
    ours, its = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "longop.mcp", "work.py:quick"], cwd=str(tmp_path), stdin=its,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)})
    os.close(its)
    with process:
        assert b"a client starts this" in b"".join(iter(process.stderr.readline, b"imported\n"))
        os.close(ours)
        process.wait(WAIT)


@SIGNALS
def test_streams_that_are_closed(tmp_path):
    """Without a standard input there is nothing to do, and without an output too."""
    (tmp_path / "work.py").write_text(WORK)
    for closed in ("<&-", ">&-", "2>&-"):
        command = f"exec '{sys.executable}' -m longop.mcp work.py:quick </dev/null {closed}"
        done = subprocess.run(["sh", "-c", command], cwd=str(tmp_path), timeout=20,
                              env={**os.environ, "PYTHONPATH": str(ROOT)})
        assert done.returncode == 0, closed
