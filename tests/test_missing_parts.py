"""A Python with parts missing, a bare environment, and unusual ways to start: commands work.

What is missing is taken away by a ``sitecustomize``, which each child process loads first.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest

for wing in ("archive", "client", "codeproject", "mcp", "run", "serve", "workers"):
    pytest.importorskip(f"longop.{wing}")

from .mcp.rpc import body, modern  # noqa: E402
from .waiting import WAIT, wait_until  # noqa: E402

ROOT = Path(__file__).parent.parent
WORK = '''
def count(callback, to: int = 3):
    """Count."""
    for number in range(1, to + 1):
        callback(f"at {number}", number, to)
    return {"counted": to}
'''
BLOCK = "import sys\nsys.modules.update(dict.fromkeys({!r}))\n"
NO_SEMAPHORES = """
import _multiprocessing, errno
def SemLock(*args):
    raise OSError(errno.ENOSYS, "no semaphores: /dev/shm cannot be used")
_multiprocessing.SemLock = SemLock
"""
NO_IPV6 = """
import errno, socket
class Socket(socket.socket):
    def __init__(self, family=-1, *args, **more):
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        super().__init__(family, *args, **more)
socket.has_ipv6, socket.socket = False, Socket
"""
NO_NAMES = """
import socket
def fail(*args):
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
socket.gethostname = lambda: "nowhere.invalid"
socket.getfqdn = socket.gethostbyname = socket.gethostbyaddr = socket.gethostbyname_ex = fail
"""
#: What a ``sitecustomize`` takes away.
PARTS = {
    "sqlite3": BLOCK.format(["sqlite3", "_sqlite3"]),
    "ssl": BLOCK.format(["ssl", "_ssl"]),
    "multiprocessing": BLOCK.format(["_multiprocessing"]),
    "ctypes": BLOCK.format(["ctypes", "_ctypes"]),
    "hashlib": BLOCK.format(["_hashlib"]),
    "terminals": BLOCK.format(["fcntl", "termios", "tty", "pty", "curses", "readline"]),
    "compression": BLOCK.format(["lzma", "_lzma", "bz2", "_bz2"]),
    "queue": BLOCK.format(["_queue", "_uuid", "resource", "grp"]),
    "semaphores": NO_SEMAPHORES,
    "IPv6": NO_IPV6,
    "names": NO_NAMES,
}
POSIX = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


class Command:
    """How ``longop`` is started: with which Python, in which environment and folder."""

    def __init__(self, folder, *flags, code="", path=ROOT, cwd=None, **environment):
        (folder / "work.py").write_text(WORK)
        self.work = str(folder / "work.py")
        self.folder = folder
        self.is_zip = Path(path).suffix == ".zip"  # a module needs a folder to copy from
        self._cwd = str(cwd or folder)
        self._start = [sys.executable, *flags, *(["-c", code] if code else ["-m", "longop"])]
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH")
                if name in os.environ}
        self.environment = {**kept, "PYTHONPATH": os.pathsep.join([str(folder), str(path)]),
                            **environment}

    def has_processes(self):
        """Return whether a Python that starts so can have worker processes."""
        code = [sys.executable, "-c", "import longop.workers.processes"]
        return subprocess.call(code, env=self.environment, stderr=subprocess.DEVNULL) == 0

    def start(self, *arguments):
        return subprocess.Popen(
            [*self._start, *arguments], cwd=self._cwd, env=self.environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            encoding="utf-8")

    def run(self, *arguments):
        """Return the exit code, and what was printed on both streams."""
        with self.start(*arguments) as process:
            try:
                output, error = process.communicate(timeout=3 * WAIT)
            finally:
                process.kill()  # otherwise one that hangs would be waited for
        return process.returncode, output, error

    @contextlib.contextmanager
    def serve(self, *options):
        """Serve the functions; check that the end is clean, where there is a signal for it."""
        with self.start("serve", self.work, "--port", "0", *options) as process:
            try:
                line = process.stdout.readline()
                assert " at http" in line, process.communicate(timeout=WAIT)
                yield re.search(r"https?://\S+", line)[0]
                process.terminate()
                assert process.wait(WAIT) == (1 if os.name == "nt" else 0)
                assert "Traceback" not in process.stderr.read()
            finally:
                process.kill()


def check(command):
    """Check the main path of each command."""
    check_run(command, "thread")
    if command.has_processes():
        check_run(command, "process")
    with command.serve() as url:
        check_server(command, url)
    check_mcp(command)
    check_codeproject(command)


def check_run(command, executor):
    code, output, error = command.run("run", command.work, "to=2", "--executor", executor)
    assert (code, output) == (0, '{"counted":2}\n'), error
    assert "completed 100%" in error
    assert "Traceback" not in error


def check_server(command, url):
    with urllib.request.urlopen(url) as page:
        assert page.read().startswith(b"<!doctype html>")
    with urllib.request.urlopen(f"{url}v1/work/count?to=2", b"") as answer:
        job = f"{url}v1/jobs/{json.load(answer)['commandId']}"

    def ended():
        with urllib.request.urlopen(job) as answer:
            status = json.load(answer)
        return status if status["state"] == "completed" else None

    assert wait_until(ended)["result"] == {"counted": 2}
    code, output, error = command.run("client", url)
    assert (code, output.split()[:1]) == (0, ["count"]), error  # -OO: no docstring
    code, output, error = command.run("client", url, "count", "to=1")
    assert (code, output) == (0, '{"counted":1}\n'), error


def check_mcp(command):
    call = json.dumps(body(modern("tools/call", name="count", arguments={"to": 2})))
    with command.start("mcp", command.work) as process:
        process.stdin.write(call + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()  # stdin is open until it is here
        error = process.communicate(timeout=3 * WAIT)[1]
    assert process.returncode == 0, error
    assert json.loads(answer)["result"]["structuredContent"]["counted"] == 2, answer


def check_codeproject(command):
    code, _, error = command.run("codeproject", command.work, "--selftest")
    assert code in (0, 1), error  # a function has no test of its own
    assert "Traceback" not in error
    made = command.folder / "made" / "Count"
    made.parent.mkdir(exist_ok=True)
    code, _, error = command.run("codeproject", "new", str(made), command.work)
    if command.is_zip:
        assert code == 2
        assert error.endswith("longop.zip: unpack it first\n")
    else:
        assert code == 0, error
        assert (made / "modulesettings.json").exists()


@pytest.mark.parametrize("parts", [
    ["sqlite3", "ssl"], ["multiprocessing"], ["semaphores"], ["IPv6", "names"],
    ["ctypes", "hashlib", "terminals", "compression", "queue"]], ids=" ".join)
def test_parts_are_missing(tmp_path, parts):
    """Each command works without what it does not need."""
    (tmp_path / "sitecustomize.py").write_text("".join(PARTS[part] for part in parts))
    check(Command(tmp_path))


def test_all_parts_are_tried():
    """No part is left out above."""
    [mark] = [mark for mark in test_parts_are_missing.pytestmark if mark.name == "parametrize"]
    assert sorted(part for parts in mark.args[1] for part in parts) == sorted(PARTS)


@pytest.mark.parametrize(("part", "arguments", "needs"), [
    ("sqlite3", ["serve", "--history", "h.sqlite3"], "--history needs the module sqlite3"),
    ("sqlite3", ["mcp", "--history", "h.sqlite3"], "--history needs the module sqlite3"),
    ("ssl", ["serve", "--tls-cert", "cert.pem"], "--tls-cert needs the module ssl"),
    ("multiprocessing", ["serve", "--executor", "process"], "the module _multiprocessing"),
    ("multiprocessing", ["run", "--executor", "process"], "the module _multiprocessing"),
    ("multiprocessing", ["mcp", "--executor", "process"], "the module _multiprocessing")])
def test_what_needs_the_part(tmp_path, part, arguments, needs):
    """What needs a part that is missing says so in a sentence, and the exit code is 2."""
    (tmp_path / "sitecustomize.py").write_text(PARTS[part])
    command = Command(tmp_path)
    code, output, error = command.run(arguments[0], command.work, *arguments[1:])
    assert (code, output) == (2, "")
    assert re.fullmatch(f"longop.{arguments[0]}: .*{needs}, which this Python does not have\n",
                        error)


def test_https_without_ssl(tmp_path):
    """A client of https says in a sentence that this Python has no ssl."""
    (tmp_path / "sitecustomize.py").write_text(PARTS["ssl"])
    code, output, error = Command(tmp_path).run("client", "https://127.0.0.1:1/")
    assert (code, output) == (2, "")
    assert error == ("longop.client: https needs the module ssl, which this Python does not "
                     "have\n")


@pytest.mark.parametrize("environment", [
    {}, {**POSIX, "TZ": ""}, {"TZ": "Nowhere/At-all", "HOME": "/nowhere", "TERM": ""}],
    ids=["env -i", "POSIX", "nonsense"])
def test_bare_environment(tmp_path, environment):
    """Nothing of the environment is needed."""
    check(Command(tmp_path, **environment))


@pytest.mark.parametrize("flags", [
    ["-OO", "-X", "utf8"], ["-W", "error", "-bb", "-X", "dev"]], ids=" ".join)
def test_flags(tmp_path, flags):
    """Python may be started with any flag."""
    check(Command(tmp_path, *flags))


def test_isolated(tmp_path):
    """Without site, user folders and environment variables (``python -I -S``) all works."""
    code = f"import sys; sys.path[:0] = [{str(ROOT)!r}]; import longop.__main__ as m; m.main()"
    check(Command(tmp_path, "-I", "-S", code=code))


def test_from_a_zip(tmp_path):
    """The package works from a zip file."""
    file = tmp_path / "longop.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted((ROOT / "longop").rglob("*")):
            if "__pycache__" not in path.parts:
                archive.write(path, path.relative_to(ROOT))
    check(Command(tmp_path, path=file))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a folder like /proc")
def test_read_only_folder(tmp_path):
    """The working folder need not be writable."""
    check(Command(tmp_path, cwd="/proc"))
