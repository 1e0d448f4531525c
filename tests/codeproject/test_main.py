"""``python -m longop.codeproject``: its targets, and the self-test."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..waiting import WAIT
from .modules import ARTICLE, FUNCTIONS, LONG_PROCESS, OPERATION, PROBE, end_of, ends
from .queue_server import QueueServer, module
from .transcripts import COMPLETED

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("target", "command"), [
    ("functions.py", "count"), ("functions", "count"), ("functions:count", "whatever"),
    ("operation.py", "counting"), ("operation:operation", "x")])
def test_target(target, command, tmp_path):
    """A function that reports through a callback, or an operation, can be run as a module."""
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    (tmp_path / "operation.py").write_text(OPERATION)
    with QueueServer() as server, module(server, sys.executable, "-m", "longop.codeproject", target,
                                         folder=tmp_path) as process:
        reply = server.request(command, [("to", ["5"])])
        assert (reply["success"], reply["commandId"]) == (True, reply["requestId"])
        end = end_of(server, reply["commandId"])
        assert (end["commandStatus"], end["result"]) == ("completed", "counted")
        assert list(end)[:9] == list(COMPLETED)
        assert ends(server, process)[0] == 0


@pytest.mark.parametrize("target", ["adapter.py", "adapter", "adapter:PythonLongProcess_adapter"])
def test_target_that_is_an_adapter(target, tmp_path, steps):
    """An adapter is named as a TARGET, too."""
    (tmp_path / "long_process.py").write_text(LONG_PROCESS)
    (tmp_path / "adapter.py").write_text(
        ARTICLE.replace("codeproject_ai_sdk", "longop.codeproject"))
    with QueueServer() as server, module(server, sys.executable, "-m", "longop.codeproject", target,
                                         folder=tmp_path, STEPS=str(steps.port)) as process:
        id = server.request("command")["commandId"]
        run = steps.begun()
        while run.step():
            pass
        assert end_of(server, id)["result"] == "1 2 3 4 5 6 7 8 9 10"
        assert ends(server, process)[0] == 0


@pytest.mark.parametrize(("answer", "code"), [
    ('{"success": True}', 0), ('{"success": False}', 1), ("{}", 1), ("None", 1), ("1 / 0", 1)])
@pytest.mark.parametrize("command", [("adapter.py", "--selftest"), (
    "-m", "longop.codeproject", "adapter.py", "--selftest")])
def test_selftest(command, answer, code, tmp_path):
    """``--selftest`` exits with 0 if the adapter says that it works, else with 1."""
    (tmp_path / "adapter.py").write_text(PROBE.replace("codeproject_ai_sdk", "longop.codeproject")
                                         .replace("    def cleanup", "    def selftest(self):\n"
                                                  f"        return {answer}\n\n    def cleanup"))
    with QueueServer() as server:
        with module(server, sys.executable, *command, folder=tmp_path) as process:
            assert process.wait(WAIT) == code
        assert server.polls == []


@pytest.mark.parametrize("target", ["nowhere.py", "nowhere", "functions:nothing"])
def test_no_target(target, tmp_path):
    """A missing TARGET is named in the error, and the exit code is 2."""
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    with QueueServer() as server, module(server, sys.executable, "-m", "longop.codeproject", target,
                                         folder=tmp_path) as process:
        assert process.wait(WAIT) == 2
    assert "longop.codeproject: " in (tmp_path / "output").read_text()


@pytest.mark.parametrize("arguments", [["--help"], ["new", "--help"]])
def test_help(arguments):
    """``--help`` lists the commands, with a line each, and each command has its own."""
    done = subprocess.run([sys.executable, "-m", "longop.codeproject", *arguments], cwd=str(ROOT),
                          stdout=subprocess.PIPE, check=True, text=True)
    assert "TARGET" in done.stdout
    assert "DIR" in done.stdout
    if arguments == ["--help"]:
        _, _, commands = done.stdout.partition("\ncommands:\n")
        lines = commands.split("\n\n")[0].splitlines()
        assert [line.split("  ")[1] for line in lines] == [
            "TARGET", "TARGET --selftest", "new DIR TARGET"]
        assert all(line.split("  ")[-1] for line in lines)


@pytest.mark.parametrize("arguments", [["codeproject", "--help"], ["codeproject", "new", "--help"]])
def test_help_of_the_front_door(arguments):
    """Behind ``longop codeproject`` the usage says so."""
    done = subprocess.run([sys.executable, "-m", "longop", *arguments], cwd=str(ROOT),
                          stdout=subprocess.PIPE, check=True, text=True)
    assert "usage: python -m longop codeproject" in done.stdout
    assert "longop.codeproject" not in done.stdout


@pytest.mark.parametrize("checks", [True, False])
def test_selftest_names_missing_packages(checks, tmp_path):
    """``--selftest`` names the packages that are missing, unless the adapter forbids it."""
    (tmp_path / "requirements.txt").write_text("longop-none\n")
    (tmp_path / "adapter.py").write_text(f'''
from longop.codeproject import ModuleRunner

class Tested(ModuleRunner):
    def initialise(self):
        self.selftest_check_pkgs = {checks}

Tested().start_loop()
''')
    done = subprocess.run([sys.executable, "adapter.py", "--selftest"], cwd=str(tmp_path),
                          env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE,
                          text=True, timeout=WAIT)
    assert done.returncode == 0
    assert ("longop-none, which is not installed" in done.stderr) is checks
