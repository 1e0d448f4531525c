"""`longop.cli.streams`: every command prints any name in any encoding."""

import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from longop import wings

from .. import pythons
from ..waiting import WAIT
from ..windows import SIGNALS

ROOT = Path(__file__).parent.parent.parent
POSIX = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
NARROW = [{"PYTHONIOENCODING": "cp1252"}, {"PYTHONIOENCODING": "ascii:strict"},
          pytest.param(POSIX, marks=pythons.has_narrow_locales)]
narrow = pytest.mark.parametrize("environment", NARROW)
WORK = """
def work(callback):
    print('\\u6570')
    return '\\u6570'
"""


def need(wing):
    if wings.find(wing) is None:
        pytest.skip(f"longop.{wing} is not in this copy")


def started(folder, environment, *arguments):
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=str(folder), env=env, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def run(folder, environment, *arguments):
    with started(folder, environment, *arguments) as process:
        try:
            output, error = process.communicate(timeout=2 * WAIT)
        finally:
            process.kill()  # otherwise one that hangs would be waited for
    return subprocess.CompletedProcess(process.args, process.returncode, output, error)


@pytest.fixture
def folder(tmp_path):
    """A folder with a module that prints what no narrow encoding has."""
    (tmp_path / "work.py").write_text(WORK)
    return tmp_path


@narrow
@pytest.mark.parametrize("executor", ["thread", "process"])
def test_run(folder, environment, executor):
    """What a function prints is escaped wherever it runs; the result is in UTF-8, as always."""
    need("run")
    if executor == "process":
        need("workers")
    done = run(folder, environment, "longop.run", "work.py", "--executor", executor)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().split() == ["\u6570"]
    assert b"\\u6570" in done.stderr


@narrow
def test_help_of_run(tmp_path, environment):
    """The names and the help of parameters are printed."""
    need("run")
    (tmp_path / "work.py").write_text(
        "def \u6570(callback, \u6570: int = 1): '\u6570.'", encoding="utf-8")
    done = run(tmp_path, environment, "longop.run", "work.py", "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().count("\u6570") == 2


@narrow
def test_client(make, environment):
    """A client lists operations, and runs one: its messages are escaped, its result is UTF-8."""
    need("client")
    need("serve")
    from ..test_client import serving

    def work(callback):
        callback(message="\u6570")
        return "\u6570"

    operations = [make(work, "thread"), make(work, "thread", name="\u6570")]
    with serving(operations) as server:
        listed = run(ROOT, environment, "longop.client", server.url)
        assert listed.returncode == 0, listed.stderr
        assert listed.stdout.split() == [b"work", b"\\u6570"]
        done = run(ROOT, environment, "longop.client", server.url, "nothing")
        assert (done.returncode, done.stdout) == (2, b"")
        assert b"\\u6570" in done.stderr
        done = run(ROOT, environment, "longop.client", server.url, "work")
        assert done.returncode == 0, done.stderr
        assert done.stdout.decode().split() == ["\u6570"]
        assert b" \\u6570" in done.stderr


@narrow
def test_mcp(folder, environment):
    """What a tool prints is escaped; what it answers is in UTF-8, as the protocol has it."""
    need("mcp")
    from ..mcp.rpc import body, modern

    call = json.dumps(body(modern("tools/call", name="work", arguments={})))
    with started(folder, environment, "longop.mcp", "work.py") as process:
        process.stdin.write(call.encode() + b"\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())  # stdin is open until it is here
        printed = process.communicate(timeout=WAIT)[1]
    assert answer["result"]["content"][0]["text"] == "\u6570"
    assert b"\\u6570" in printed


@narrow
def test_codeproject(folder, environment):
    """The files of a new module are listed, in whatever folder they are."""
    need("codeproject")
    (folder / "\u6570").mkdir()
    done = run(folder / "\u6570", environment, "longop.codeproject", "new", "Work",
               str(folder / "work.py"))
    assert done.returncode == 0, done.stderr
    assert (folder / "\u6570" / "Work").is_dir()
    done = run(folder, environment, "longop.codeproject", "nothing:\u6570")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"longop.codeproject: " in done.stderr


@narrow
def test_front_command(folder, environment):
    """``longop`` prints its help by whatever name it was called."""
    name = os.path.join(str(folder), "\u6570.pyz")
    (folder / "script.py").write_text("import sys; from longop.__main__ import main; "
                                      f"sys.argv = [{name!a}, '--help']; main()")
    done = run(folder, environment, "script")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"usage: python \\u6570.pyz COMMAND")


@narrow
def test_escaped(folder, environment):
    """What a stream cannot encode is escaped on it; what it can encode is not."""
    script = ("from longop.cli.streams import prepare_streams as e; import sys; e(); e();"
              "[print('a\\u6570', file=f) for f in (sys.stdout, sys.stderr)]")
    (folder / "script.py").write_text(script)
    done = run(folder, environment, "script")
    assert done.stdout.split() == done.stderr.split() == [b"a\\u6570"]


def test_streams_of_others(monkeypatch):
    """A stream that is closed, or somebody's own, is left alone."""
    from longop.cli.streams import prepare_streams

    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", object())
    prepare_streams()


# A reader that has gone


@pytest.mark.parametrize(("platform", "code", "expected"), [
    ("linux", errno.EPIPE, True), ("linux", errno.EINVAL, False), ("linux", errno.ENOSPC, False),
    ("win32", errno.EPIPE, True), ("win32", errno.EINVAL, True), ("win32", errno.ENOSPC, False)])
def test_what_is_unread(monkeypatch, platform, code, expected):
    """Windows says that a pipe without a reader is an invalid argument; a full disk is told."""
    from longop.cli.streams import may_go_unread

    monkeypatch.setattr("longop.cli.streams.sys.platform", platform)
    told = contextlib.nullcontext() if expected else pytest.raises(OSError, match="be written")
    with told, may_go_unread():
        raise OSError(code, "it cannot be written")


@SIGNALS
@pytest.mark.parametrize("arguments", [
    ["longop.run", "quiet.py"], ["longop.run", "quiet.py", "--help"], ["longop", "--help"],
    ["longop", "--version"], ["longop.serve", "--help"], ["longop.mcp", "quiet.py"],
    ["longop.codeproject", "new", "Work", "quiet.py"]], ids=" ".join)
def test_nobody_reads(folder, arguments):
    """A reader that has gone does not change how a command ends, and is no message."""
    need({"longop": "cli"}.get(arguments[0], arguments[0].partition(".")[2]))
    (folder / "quiet.py").write_text("def quiet(callback): callback('half'); return 'whole'")
    reader, unread = os.pipe()
    os.close(reader)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    try:
        for streams in ({"stderr": unread, "stdout": subprocess.DEVNULL},
                        {"stderr": subprocess.PIPE, "stdout": unread},
                        {"stderr": unread, "stdout": unread}):
            shutil.rmtree(str(folder / "Work"), ignore_errors=True)
            done = subprocess.run([sys.executable, "-m", *arguments], cwd=str(folder), env=env,
                                  stdin=subprocess.DEVNULL, timeout=2 * WAIT, **streams)
            assert done.returncode == 0, streams
            assert b"Broken pipe" not in (done.stderr or b"")
    finally:
        os.close(unread)
