"""The commands without sessions, forks and most signals: as on Windows, but on this system.

What a single module does there is tested beside the module.
"""

import ast
import contextlib
import os
import signal
import subprocess
import sys

import pytest

from longop import State, wings

from .waiting import WAIT
from .windows import ROOT, SIMULATED, environment

pytestmark = SIMULATED

WORK = """
import os, time

def steps(callback, n: int = 100_000):
    for i in range(n):
        callback(f"step {i}", i, n, "at work")
        time.sleep(0.01)
    return "\N{SNOWMAN}"
"""
BREAK = signal.SIGUSR1 if os.name == "posix" else None  # see `windows`
EXECUTORS = ["thread", pytest.param("process", marks=pytest.mark.skipif(
    wings.find("workers.processes") is None, reason="longop.workers is not in this copy"))]


@contextlib.contextmanager
def started(folder, *command):
    """Run a command in a process group of its own; yield the process."""
    (folder / "work.py").write_text(WORK, encoding="utf-8")
    with subprocess.Popen(
            [sys.executable, *command], cwd=str(folder), env=environment(folder),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            universal_newlines=True, start_new_session=True) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def read_until(stream, text):
    """Read lines until one has a text in it; return that one."""
    for line in stream:
        if text in line:
            return line
    raise AssertionError(f"{text!r} never came")


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("number", [signal.SIGINT, BREAK])
def test_run(tmp_path, executor, number):
    """Ctrl-C and Ctrl-Break, which reach the worker too, cancel the job and end with 130."""
    pytest.importorskip("longop.run")
    with started(tmp_path, "-m", "longop.run", "work.py", "--executor", executor) as process:
        read_until(process.stderr, "at work")
        os.killpg(process.pid, number)
        err = process.communicate(timeout=3 * WAIT)[1]
        assert process.returncode == 130
    assert err.splitlines()[-1].startswith("cancelled")
    assert "Traceback" not in err


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("number", [signal.SIGINT, BREAK])
def test_serve(tmp_path, executor, number):
    """Ctrl-C and Ctrl-Break, which reach the worker too, end the server, and so its job."""
    pytest.importorskip("longop.serve")
    client = pytest.importorskip("longop.client")
    archive = pytest.importorskip("longop.archive")
    with started(tmp_path, "-m", "longop.serve", "work.py", "--executor", executor,
                 "--history", "jobs", "--port", "0") as process:
        job = client.connect(process.stdout.readline().split()[-1]).steps.start()
        next(status for status in job.updates() if status.message)
        os.killpg(process.pid, number)
        log = process.communicate(timeout=3 * WAIT)[1]
        assert process.returncode == 0
    assert "Traceback" not in log
    with contextlib.closing(archive.FileHistory(tmp_path / "jobs")) as history:
        assert history.get(job.id).state is State.INTERRUPTED


def test_result_that_cannot_be_printed(tmp_path):
    """A result goes to standard output as UTF-8, whatever the code page is."""
    pytest.importorskip("longop.run")
    with started(tmp_path, "-m", "longop.run", "work.py", "n=1") as process:
        out = process.communicate(timeout=3 * WAIT)[0]
    assert (process.returncode, out) == (0, "\N{SNOWMAN}\n")


MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"}
NAMES = {"os": {"fork", "killpg", "mkfifo", "openpty", "setsid", "waitid"},
         "signal": {"SIGALRM", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGUSR2"}}


def run_at_import(tree):
    """Yield the nodes of a module that are run when it is imported."""
    nodes = [tree]
    while nodes:
        node = nodes.pop()
        yield node
        if isinstance(node, (ast.FunctionDef, ast.Lambda)):
            nodes += [*node.args.defaults, *getattr(node, "decorator_list", [])]
        else:
            nodes += ast.iter_child_nodes(node)


def lacking(node):
    """Return what a node needs that Windows lacks, or None."""
    if isinstance(node, ast.Import):
        return next((alias.name for alias in node.names if alias.name in MODULES), None)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) \
            and node.attr in NAMES.get(node.value.id, ()):
        return f"{node.value.id}.{node.attr}"
    return None


@pytest.mark.parametrize("folder", ["tests", "longop", "examples"])
def test_imports(folder):
    """What Windows lacks is used where it is needed, and by no module that is only imported."""
    found = {str(path): lacking(node) for path in (ROOT / folder).rglob("*.py")
             for node in run_at_import(ast.parse(path.read_text(encoding="utf-8")))
             if lacking(node)}
    assert found == {}
