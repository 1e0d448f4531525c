"""One process that makes calls: what it is told, how it ends, and what it imports."""

import contextlib
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import types
import urllib.request
import zipapp
from pathlib import Path

import pytest

import longop.workers.process
from longop import Callback
from longop.executors import Call
from longop.values.jsontext import loads
from longop.workers.child import KILL
from longop.workers.messages import (Begun, Bye, Cancel, Check, Checked, Companion, Ended,
                                     Reported, Start)
from longop.workers.process import WorkerProcess

from . import far
from ..waiting import WAIT, wait_until
from ..windows import LINKS

ROOT = Path(__file__).parent.parent.parent
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs signals")
HELD = pytest.mark.skipif(not hasattr(os, "waitid"), reason="needs waitid")


def call_of(function, *args, callback=True):
    """Return a pickled call of a function."""
    own = Callback()
    arguments = (own, *args) if callback else args
    return pickle.dumps(Call(function=function, args=arguments, kwargs={}, callback=own,
                             stop=None, grace=2.0))


def descriptors():
    return sorted(os.listdir("/proc/self/fd"))


@pytest.fixture
def process():
    process = WorkerProcess()
    assert process.wait_until_ready(WAIT)
    yield process
    for child in multiprocessing.active_children():  # unless the test has ended it
        child.kill()
        child.join(WAIT)
    process.channel.connection.close()


def outcome_of(process, job_id):
    """Wait for the end of a call, and answer it; return the outcome."""
    while True:
        message = process.channel.receive()
        if isinstance(message, Ended):
            assert message.job_id == job_id
            process.channel.send(Bye(job_id))
            return message.outcome


@pytest.mark.skipif(sys.platform != "linux", reason="counts in /proc")
@pytest.mark.parametrize("captured", [False, True])
def test_its_end_closes_all(captured, monkeypatch):
    """After its end no file of it is open, although something may still refer to it."""
    monkeypatch.setattr(longop.workers.process, "is_captured", lambda: captured)
    WorkerProcess().end()  # the first one makes what Python keeps
    before = descriptors()
    process = WorkerProcess()
    kept = process._process
    process.end()
    assert descriptors() == before
    kept.join()  # as Python may do at its exit, in another thread
    assert kept.exitcode is not None


@pytest.mark.skipif(sys.platform != "linux", reason="counts in /proc")
def test_a_start_that_fails(monkeypatch):
    """A process that cannot be started leaves no file open, although its error is kept."""
    def fail(self):
        raise OSError("no more processes")

    monkeypatch.setattr(longop.workers.process, "is_captured", lambda: True)
    monkeypatch.setattr(longop.workers.process.Child, "start", fail)
    before = descriptors()
    with pytest.raises(OSError, match="no more"):
        WorkerProcess()
    assert descriptors() == before


# What it is told


def test_check(process):
    """A call that can be made is checked, and not made."""
    process.channel.send(Check(call_of(os._exit, 3, callback=False)))
    assert process.channel.receive() == Checked(None)
    assert process.is_alive()


def test_check_of_what_cannot_be_imported(process, monkeypatch):
    """The answer to a check is what went wrong when the function was imported."""
    module = types.ModuleType("made_up")
    exec("def function(callback): pass", vars(module))
    monkeypatch.setitem(sys.modules, "made_up", module)
    process.channel.send(Check(call_of(module.function)))
    error = process.channel.receive().error.revive()
    assert isinstance(error, ModuleNotFoundError)
    assert "made_up" in str(error)


def test_start(process):
    """A call is made: it begins, reports, and ends with its outcome."""
    process.channel.send(Start("a", call_of(far.echo, {1})))
    assert process.channel.receive() == Begun("a")
    outcome = outcome_of(process, "a")
    assert (outcome.value, outcome.error, outcome.told) == ({1}, None, False)


def test_reports_come_before_the_end(process):
    """The first report is there before the outcome."""
    process.channel.send(Start("a", call_of(far.die, "exit")))
    assert process.channel.receive() == Begun("a")
    assert process.channel.receive() == Reported("a", 1, "partial", 1, 2, None)


def test_call_that_cannot_be_read(process):
    """A call that cannot be read has ended with that error; the next one is made."""
    process.channel.send(Start("a", call_of(far.echo, far.UnreadableValue())))
    assert isinstance(outcome_of(process, "a").error.revive(), ValueError)
    process.channel.send(Start("b", call_of(far.echo, 1)))
    assert outcome_of(process, "b").value == 1


@pytest.mark.parametrize("late", [Cancel("a"), Companion("a"), Bye("a")], ids=repr)
def test_late_message(process, late):
    """What comes for a call that has ended does nothing to the next one."""
    for job_id in "a", "b":
        process.channel.send(Start(job_id, call_of(far.count_to_ten, 0)))
        outcome = outcome_of(process, job_id)
        assert (outcome.value, outcome.error) == ("ten", None)
        process.channel.send(late)


def test_operation_that_hangs_up(process):
    """A process whose operation hangs up ends by itself."""
    process.channel.connection.close()
    wait_until(lambda: not process.is_alive())


# How it ends


@POSIX
@pytest.mark.parametrize("number", [signal.SIGTERM, KILL])
def test_kill(process, number):
    """A signal ends the process, and how it ended is known."""
    process.channel.send(Check(call_of(far.pid, callback=False)))  # it is up when it answers
    assert process.channel.receive() == Checked(None)
    assert not process.is_doomed
    process.kill(number)
    assert process.is_doomed
    wait_until(lambda: not process.is_alive())
    lost = process.end()
    assert lost.means == signal.Signals(number).name
    assert str(lost) == f"its process was killed by {lost.means}"


@POSIX
def test_kill_before_it_is_up():
    """A process can be killed before it leads a session of its own."""
    process = WorkerProcess()
    process.kill(KILL)
    wait_until(lambda: not process.is_alive())
    assert process.end().means == "SIGKILL"


class Copies:
    """Makes pipes, and holds a copy of the end that the process takes, as Windows does."""

    def __init__(self):
        self.descriptors = []

    def __call__(self, make=multiprocessing.Pipe):
        here, there = make()
        self.descriptors.append(os.dup(there.fileno()))
        return here, there


@POSIX
def test_death_before_it_takes_its_pipe(monkeypatch):
    """A process that dies early is lost at once, though its end of the pipe is held open."""
    copies = Copies()
    monkeypatch.setattr(multiprocessing, "Pipe", copies)
    process = WorkerProcess()
    try:
        process.kill(KILL)
        with pytest.raises(EOFError):
            process.wait_until_ready(WAIT)
        assert process.end().means == "SIGKILL"
    finally:
        for descriptor in copies.descriptors:
            os.close(descriptor)


def test_one_that_is_not_ready_in_time():
    """Who waits for a process for too long is told, and may wait again."""
    process = WorkerProcess()
    assert not process.wait_until_ready(0)
    assert process.wait_until_ready(WAIT)
    assert process.wait_until_ready(0)
    process.end()


@HELD
def test_dead_process_keeps_its_id(process):
    """A process that has died is reaped by its owner alone: until then its id is its own."""
    pid = process._process.pid
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: multiprocessing.active_children() == [])
    assert not process.is_alive()
    os.kill(pid, 0)
    assert process.end().means == "SIGKILL"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@HELD
def test_no_signal_to_what_somebody_has_reaped(process, monkeypatch):
    """A process that another part of the program has reaped is sent nothing any more."""
    pid = process._process.pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    sent = []
    monkeypatch.setattr(os, "killpg", lambda *signal: sent.append(signal))
    monkeypatch.setattr(os, "kill", lambda *signal: sent.append(signal))
    assert process.kill(signal.SIGTERM) is False
    process.end()
    assert sent == []


@POSIX
def test_signal_without_a_name(process):
    """A process that was killed by a signal without a name says its number."""
    process.channel.send(Check(call_of(far.pid, callback=False)))
    assert process.channel.receive() == Checked(None)
    process.kill(signal.SIGRTMIN + 1)
    wait_until(lambda: not process.is_alive())
    assert process.end().means == f"signal {signal.SIGRTMIN + 1}"


def test_exit_code(process):
    """A process that ends by itself says with which exit code."""
    process.channel.send(Start("a", call_of(far.die, "exit")))
    wait_until(lambda: not process.is_alive())
    lost = process.end()
    assert (str(lost), lost.means) == ("its process ended with exit code 7", None)


@POSIX
def test_nothing_is_left_of_its_own_processes(process):
    """What the function has started ends with the process."""
    process.channel.send(Start("a", call_of(far.stubborn, "in Python")))
    assert process.channel.receive() == Begun("a")
    pids = process.channel.receive().result
    assert all(map(far.is_alive, pids))
    process.end()
    wait_until(lambda: not any(map(far.is_alive, pids)))


# What it imports. multiprocessing imports the main module of a script again, but not the
# `__main__` of a package.

LOADED = '''
import os
import sys

def loaded(callback):
    """Return what is loaded, and that this is another process."""
    callback("reported")
    names = [name for name in sys.modules if name.startswith("longop")]
    return {"names": names, "file": sys.modules["longop"].__file__, "pid": os.getpid()}
'''


@contextlib.contextmanager
def serving(folder, *command):
    """Serve the functions of ``work.py`` with a command; yield the address and the process."""
    (folder / "work.py").write_text(LOADED)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with subprocess.Popen([sys.executable, *command, "work.py", "--executor", "process",
                           "--quiet", "--port", "0"],
                          cwd=str(folder), env=environment, stdout=subprocess.PIPE,
                          universal_newlines=True) as server:
        try:
            line = server.stdout.readline()
            assert " at http" in line
            yield line.rpartition(" at ")[2].strip(), server
        finally:
            server.terminate()
            server.wait(WAIT)


def result_of_loaded(address):
    request = urllib.request.Request(f"{address}v1/work/loaded", b"", method="POST",
                                     headers={"Prefer": f"wait={WAIT}"})
    with urllib.request.urlopen(request, timeout=2 * WAIT) as answer:
        status = loads(answer.read().decode())
    assert (status["state"], status["error"]) == ("completed", None)
    return status["result"]


@LINKS
def test_worker_does_not_import_the_server(tmp_path):
    """A worker under ``python -m longop.serve`` loads the core and its own side, no more."""
    (tmp_path / "longop").symlink_to(ROOT / "longop", target_is_directory=True)
    with serving(tmp_path, "-m", "longop.serve") as (address, server):
        result = result_of_loaded(address)
    assert result["pid"] != server.pid
    wings = {name.split(".")[1] for name in result["names"] if "." in name}
    assert "workers" in wings
    assert not wings & {"serve", "web", "cli", "run", "client", "codeproject", "archive"}
    assert not {"longop.workers.processes", "longop.workers.remote"} & set(result["names"])


def test_worker_does_not_import_the_command(tmp_path):
    """A worker under ``python -m longop.run`` does not import that either."""
    (tmp_path / "work.py").write_text(LOADED)
    done = subprocess.run([sys.executable, "-m", "longop.run", str(tmp_path / "work.py"),
                           "--executor", "process"],
                          cwd=str(ROOT), stdout=subprocess.PIPE, timeout=3 * WAIT, check=True)
    names = set(loads(done.stdout.decode())["names"])
    assert "longop.workers.worker" in names
    assert not any(name.startswith(("longop.run", "longop.cli")) for name in names)


@pytest.mark.parametrize("options", [[], ["-I"], ["-S"], ["-OO"]], ids=str)
def test_worker_of_a_program_in_one_file(tmp_path, options):
    """A worker of ``python longop.pyz serve`` imports longop and the user's file."""
    folder = tmp_path / "folder of the program"
    shutil.copytree(str(ROOT / "longop"), str(folder / "longop"),
                    ignore=shutil.ignore_patterns("__pycache__"))
    zipapp.create_archive(str(folder), str(tmp_path / "longop.pyz"),
                          main="longop.__main__:main")
    shutil.rmtree(str(folder))
    with serving(tmp_path, *options, "longop.pyz", "serve") as (address, server):
        result = result_of_loaded(address)
    assert result["pid"] != server.pid
    assert "longop.pyz" in result["file"]
    assert not any(name.startswith("longop.serve") for name in result["names"])
