"""``python -m longop.run`` and ``longop.progress``, on real pseudo-terminals and in pipes."""

import base64
import contextlib
import fcntl
import io
import json
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import types
from pathlib import Path
from unicodedata import combining, east_asian_width

import pytest

import longop
from longop import Job, State, Status, client
from longop.cli import terminal

from ..test_client import Steps, serving
from ..waiting import WAIT, end_of, wait_until

ROOT = Path(__file__).parent.parent.parent
#: Driven by files in the folder where it runs.
WORK = '''
import os, subprocess, sys, time

print("imported")

def wait_for(name, check=lambda: None):
    while not os.path.exists(name):
        check()
        time.sleep(0.002)

def steps(callback, n: int = 4, text: str = "step {}", name: str = "go"):
    for step in range(1, n + 1):
        callback(text.format(step), step, n)
        wait_for(f"{name}{step}", callback.check)
    return "the end"

def deaf(callback):
    open("pid", "w").write(f"{os.getpid()} ")
    while True:
        try:
            callback("deaf")
            time.sleep(0.01)
        except BaseException:
            pass

def speaks(callback):
    print("printed")
    subprocess.call([sys.executable, "-c", "print('by a subprocess')"])
    os.write(1, b"raw\\n")
    sys.stderr.write("an error\\n")
    return {"a": 1}

def prints(callback):
    print("printed")
    wait_for("go", callback.check)

def takes(callback, n: int = 1, data: bytes = b"", text: str = ""):
    return [n, len(data), text]

def fails(callback):
    callback("x", 1, 2)
    wait_for("go")
    raise ValueError("no good")

def sleeps(callback):
    wait_for("never")

def says(callback, text: str):
    callback(text, 1, 2)
    wait_for("go")
'''
QUIET = '''
def returns(code: str):
    return eval(code)
'''


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "work.py").write_text(WORK)
    (tmp_path / "quiet.py").write_text(QUIET)
    return tmp_path


@pytest.fixture
def there(make):
    """A server of one operation: the server, the operation and its function."""
    function = Steps()
    operation = make(function, "thread")
    with serving([operation]) as server:
        yield server, operation, function


def wide(char):
    return 0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1


class Screen:
    """What a terminal of so many columns shows of what is written to it."""

    def __init__(self, columns):
        self.columns, self.rows, self.at, self.escapes = columns, [""], 0, []
        self._rest = ""

    def feed(self, text):
        text, self._rest = self._rest + text, ""
        for part in re.findall("\x1b\\[[0-9;]*[a-zA-Z]|\x1b[^\\[]|.", text, re.S):
            if part == "\r":
                self.at = 0
            elif part == "\n":
                self.rows.append("")
            elif part[0] < " " or "\x7f" <= part[0] < "\xa0":
                self.escapes.append(part)
            else:
                self._put(part)

    def _put(self, char):
        if self.at + wide(char) > self.columns:
            self.rows.append("")
            self.at = 0
        row = self.rows[-1]
        cells = [cell for char in row for cell in [char, ""][:wide(char)]]
        cells += " " * (self.at - len(cells))
        cells[self.at:self.at + wide(char)] = [char, ""][:wide(char)]
        self.rows[-1] = "".join(cells)
        self.at += wide(char)

    def lines(self):
        return [row.rstrip() for row in self.rows]


class Terminal:
    """A command on a terminal of its own, whose keys reach it: ``text`` is all that it wrote."""

    def __init__(self, *command, columns=80, stdout=None, cwd, **environment):
        self.master, slave = os.openpty()
        self.text, self.screen = "", Screen(columns)
        self.resize(columns)
        # Opened by the leader of a session, it becomes the one whose Ctrl-C is a signal.
        self.process = subprocess.Popen(
            ["sh", "-c", 'exec "$@" < "$0"', os.ttyname(slave), sys.executable, *command],
            stdin=slave, stdout=slave if stdout is None else stdout, stderr=slave,
            start_new_session=True, cwd=str(cwd),
            env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "NO_COLOR": "",
                 "PYTHONIOENCODING": "utf-8", **environment})
        os.close(slave)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(WAIT)
        if self.process.stdout:
            self.process.stdout.close()
        os.close(self.master)

    def resize(self, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))

    def press(self, keys):
        os.write(self.master, keys.encode())

    def read(self, seconds=WAIT):
        """Read what comes next; return False once nothing does."""
        if not select.select([self.master], [], [], seconds)[0]:
            raise AssertionError(f"nothing more comes after {self.text!r}")
        try:
            data = os.read(self.master, 65_536)
        except OSError:  # the command has ended, and all that it has started
            return False
        text = data.decode("utf-8", "replace")
        self.text += text
        self.screen.feed(text)
        return bool(data)

    def until(self, pattern):
        """Read on until a line of the screen matches; return that line."""
        end = time.monotonic() + WAIT
        while True:
            for line in self.screen.lines():
                if re.search(pattern, line):
                    return line
            in_time = time.monotonic() < end
            assert in_time, f"{pattern!r} did not come: {self.text!r}"
            assert self.read(), f"{pattern!r} will not come: {self.text!r}"

    def end(self):
        """Read on to the end; return the exit code."""
        while self.read():
            pass
        return self.process.wait(WAIT)


def on_terminal(folder, *arguments, module="run", **options):
    return Terminal("-m", f"longop.{module}", *arguments, cwd=folder, **options)


def run(folder, *arguments, shell=""):
    """Run to the end in pipes; return exit code, standard output, standard error."""
    command = [sys.executable, "-m", "longop.run", *arguments]
    if shell:
        command = ["bash", "-c", f"set -o pipefail; {shell}", *command]
    done = subprocess.run(command, cwd=str(folder), timeout=2 * WAIT, stdin=subprocess.DEVNULL,
                          capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    return done.returncode, done.stdout, done.stderr.decode()


def touch(folder, *names):
    for name in names:
        (folder / name).touch()


# On a terminal


def test_bar(folder):
    """One line with a bar, the rate and what remains goes on until the end; the result follows."""
    with on_terminal(folder, "work.py:steps") as shown:
        line = shown.until("step 1$")
        assert re.match("running +25% █+░+ 1/4 0:00", line)
        touch(folder, "go1", "go2")
        assert re.search("3/4 .*-0:00 step 3$", shown.until("step 3"))
        assert len(shown.screen.rows) == 2  # "imported" is the other one
        touch(folder, "go3", "go4")
        assert shown.end() == 0
        imported, line, *rest = shown.screen.lines()
        assert (imported, rest) == ("imported", ["the end", ""])
        assert re.fullmatch("completed 100% █{29} 4/4 0:00", line)
        assert set(shown.screen.escapes) == {"\x1b[32m", "\x1b[0m"}


def test_rate(folder):
    """A line that is silent goes on with the time it takes, once a second."""
    now = [100.0]
    file = io.StringIO()
    show = terminal._Line(file, False)
    show._live = True
    status = Status("id", "m", "f", State.RUNNING, "x", 3, elapsed=2.0, version=1,
                    started_at="then")
    clock = types.SimpleNamespace(monotonic=lambda: now[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(terminal, "time", clock)
        for later in (0.0, 0.5, 1.0, 1.1, 1.9, 2.0):
            now[0] = 100.0 + later
            show(status)
    lines = [line.rstrip() for line in file.getvalue().split("\r")[1:]]
    assert lines == ["running 3 1.5/s 0:02 x", "running 3 1/s 0:03 x", "running 3 0.75/s 0:04 x"]


@pytest.mark.parametrize("columns", [1, 12, 54, 60])
def test_narrow_terminal(folder, columns):
    """However narrow the terminal is, and however wide the text, it is one line."""
    with on_terminal(folder, "work.py:steps", "n=2", f"text={'长 text ' * 30}",
                     columns=columns) as shown:
        shown.until("^r")
        touch(folder, "go1", "go2")
        assert shown.end() == 0
        for line in re.split("[\r\n]+", re.sub("\x1b\\[[0-9]*m", "", shown.text))[1:-2]:
            assert sum(map(wide, line)) < max(columns, 2), line


def test_unknown_size(folder):
    """A terminal that does not tell how wide it is has 80 columns."""
    with on_terminal(folder, "work.py:says", f"text={'x' * 200}", columns=0) as shown:
        shown.screen.columns = 80
        shown.until("^running +[0-9]+%")
        touch(folder, "go")
        assert shown.end() == 0
        assert len(shown.text.split("\r")[2]) == 79


def test_resize(folder):
    """A line that was drawn in a wide terminal leaves nothing too wide for one made narrow."""
    with on_terminal(folder, "work.py:steps", "n=2", f"text={'x' * 60}") as shown:
        shown.until("^running +[0-9]+%")
        shown.resize(40)
        before = len(shown.text)
        touch(folder, "go1", "go2")
        assert shown.end() == 0
        drawn = shown.text[before:].split("\n")[0].split("\r")
        assert all(len(re.sub("\x1b\\[[0-9]*m", "", one)) < 40 for one in drawn), drawn


def test_size_is_of_that_terminal(folder):
    """The width is that of the terminal that shows the line, wherever the output goes."""
    script = "import longop, work; longop.progress(longop.LongOperation(work.steps).start(n=1))"
    with Terminal("-c", script, cwd=folder, columns=30, stdout=subprocess.PIPE) as shown:
        line = shown.until("^running +[0-9]+%")
        assert len(line) < 30
        touch(folder, "go1")
        assert shown.end() == 0
        assert len(shown.screen.rows) == 2
        assert shown.process.stdout.read() == b"imported\n"


def test_wide_text(folder):
    """Chinese text takes two columns a sign, and what was longer before is wiped out."""
    with on_terminal(folder, "work.py:steps", "n=2", "text=" + "汉字" * 20 + "{}",
                     columns=50) as shown:
        line = shown.until("^running +[0-9]+%")
        assert re.match("running +50% 1/2 0:00 -0:00 字?(汉字)+1$", line.rstrip())
        touch(folder, "go1")
        shown.until("汉字2")
        assert len(shown.screen.rows) == 2
        touch(folder, "go2")
        assert shown.end() == 0
        assert shown.screen.lines()[1] == "completed 100% 2/2 0:00"


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_color(folder, environment):
    """Where colours are not wanted there are none."""
    with on_terminal(folder, "work.py:says", "text=x", **environment) as shown:
        touch(folder, "go")
        assert shown.end() == 0
        assert shown.screen.escapes == []


def test_no_blocks(folder):
    """Where the terminal has no such signs the bar is made of others."""
    with on_terminal(folder, "work.py:says", "text=\u6c49", PYTHONIOENCODING="ascii") as shown:
        line = shown.until("^running +[0-9]+%")
        assert re.match(r"running +50% #+\.+ 1/2 0:00 -0:00 \?$", line)
        touch(folder, "go")
        assert shown.end() == 0


EVIL = "a\x1b[2Jb\x1b]0;title\x07\x9b31mc\x08\x7f\u202ed\r\n\te"


def test_control_characters(folder):
    """What a function reports controls no terminal, nor does what it returns; a pipe has it all."""
    with on_terminal(folder, "work.py:says", f"text={EVIL}", columns=120) as shown:
        assert shown.until("^running +[0-9]+%").endswith("-0:00 a[2Jb]0;title31mcd e")
        touch(folder, "go")
        assert shown.end() == 0
        assert set(shown.screen.escapes) == {"\x1b[32m", "\x1b[0m", "\t"}
        assert shown.text.endswith("a[2Jb]0;title31mcd\r\n\te\r\n")
    assert run(folder, "work.py:says", f"text={EVIL}")[1].decode() == EVIL + "\n"


def test_error_on_terminal(folder):
    """What goes wrong is told on lines of its own."""
    with on_terminal(folder, "work.py:fails", NO_COLOR="1") as shown:
        shown.until("^running +[0-9]+%")
        touch(folder, "go")
        assert shown.end() == 1
        lines = shown.screen.lines()
        assert any(re.match("<Job .* failed>", line) for line in lines)
        assert any(re.match("failed +50% .*ValueError: no good$", line) for line in lines)


# Ctrl-C and SIGTERM


def test_ctrl_c(folder):
    """Ctrl-C cancels, and nothing is left on the line of what stood there."""
    with on_terminal(folder, "work.py:steps", "n=1", f"text={'x' * 10}", NO_COLOR="1") as shown:
        shown.until("x{10}")
        shown.press("\x03")
        assert shown.end() == 130
        lines = [line for line in shown.screen.lines() if line.startswith("canc")]
        assert re.fullmatch("cancelled 100% █{29} 1/1 0:0[01]", lines[-1])


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_ctrl_c_twice(folder, executor):
    """A second Ctrl-C kills what hears nothing, wherever it runs."""
    with on_terminal(folder, "work.py:deaf", "--executor", executor, "--grace", "60") as shown:
        shown.until("deaf$")
        pid = int(wait_until(lambda: (folder / "pid").read_text().strip()))
        assert (pid == shown.process.pid) == (executor == "thread")
        for state in ("cancelling", None):
            shown.press("\x03")
            if state:
                shown.until(f"^{state}")
        assert shown.end() == 130
        assert shown.text.endswith("\n")  # so that the prompt has a line of its own
        wait_until(lambda: not is_alive(pid))


def is_alive(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def started(folder, *arguments, module="run"):
    """Start a command whose standard error is read."""
    return subprocess.Popen(
        [sys.executable, "-m", f"longop.{module}", *arguments], cwd=str(folder), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)})


def read_until(process, text):
    """Read standard error up to a line with a text in it."""
    for line in process.stderr:
        if text in line:
            return line
    raise AssertionError(f"{text!r} did not come")


def test_sigterm(folder):
    """SIGTERM cancels, as Ctrl-C does."""
    with started(folder, "work.py:steps") as process:
        read_until(process, "step 1")
        process.terminate()
        assert "cancelled" in process.communicate(timeout=WAIT)[1]
        assert process.returncode == 130


def test_client_sigterm(there):
    """... and from afar."""
    server, operation, _ = there
    with started(ROOT, server.url, "steps", module="client") as process:
        read_until(process, "running")
        process.terminate()
        assert "cancelled" in process.communicate(timeout=WAIT)[1]
        assert process.returncode == 130
    wait_until(lambda: not operation.live)


def test_killed_by_its_grace(folder):
    """In a process, what hears nothing is killed after the grace by one Ctrl-C."""
    with started(folder, "work.py:deaf", "--executor", "process", "--grace", "0.05") as process:
        read_until(process, "deaf")
        process.send_signal(signal.SIGINT)
        assert "stopped by SIG" in process.communicate(timeout=WAIT)[1]
        assert process.returncode == 130


@pytest.mark.parametrize("flag", ["--timeout", "--stall-timeout"])
def test_deadlines(folder, flag):
    """A job that is over its time has failed."""
    code, _, err = run(folder, "work.py:steps", flag, "0.05")
    assert code == 1
    assert "failed" in err.splitlines()[-1]


# In pipes


def test_output(folder):
    """Standard output is the result; all that anybody prints, and the plain lines, are not."""
    code, out, err = run(folder, "work.py:speaks")
    assert (code, out) == (0, b'{"a":1}\n')
    for printed in "imported", "printed", "by a subprocess", "raw", "an error":
        assert printed in err  # perhaps on the line of another one: nobody orders them
    assert re.fullmatch("completed 100% 0:0[0-9]", err.splitlines()[-1])
    assert "\r" not in err
    assert "\x1b" not in err


def test_output_of_process(folder):
    """... also where it runs in a worker process."""
    code, out, err = run(folder, "work.py:speaks", "--executor", "process")
    assert (code, out) == (0, b'{"a":1}\n')
    for printed in "imported", "printed", "by a subprocess", "raw", "an error":
        assert printed in err  # perhaps on the line of another one: nobody orders them


def test_print_comes_at_once(folder):
    """What a function prints is there when it prints it, in a pipe too."""
    with started(folder, "work.py:prints") as process:
        read_until(process, "printed")
        touch(folder, "go")
        assert process.communicate(timeout=WAIT)[0] == ""
        assert process.returncode == 0


def test_json(folder):
    """With --json standard output is a status a line, and nothing else; the last is the end."""
    touch(folder, "go1")
    code, out, err = run(folder, "--json", "work.py:steps", "n=1")
    statuses = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert statuses[-1]["state"] == "completed"
    assert statuses[-1]["result"] == "the end"
    assert [one["state"] for one in statuses].count("completed") == 1
    assert err == "imported\n"


@pytest.mark.parametrize("arguments", [
    ("work.py:takes", "--json", "n=2", "text=b"), ("work.py:takes", "n=2", "--json", "text=b"),
    ("--json", "work.py:takes", "n=2", "text=b")])
def test_order_of_arguments(folder, arguments):
    """Options may stand anywhere."""
    code, out, err = run(folder, *arguments)
    assert (code, json.loads(out.splitlines()[-1])["result"]) == (0, [2, 0, "b"]), err


def test_files(folder):
    """A file is the value of a parameter that takes bytes; of another one ``@`` is a letter."""
    (folder / "some").write_bytes(b"\0\xff")
    code, out, _ = run(folder, "work.py:takes", "data=@some", "text=@some")
    assert (code, json.loads(out)) == (0, [1, 2, "@some"])


@pytest.mark.parametrize(("arguments", "message"), [
    (("work.py:takes", "data=@nothing"), "No such file or directory: 'nothing'"),
    (("work.py:takes", "n"), "'n' is no parameter: write name=value"),
    (("work.py:takes", "n=two"), "must be a whole number, not 'two'"),
    (("work.py:takes", "m=1"), "is unknown"), (("quiet.py:returns",), "is missing"),
    (("work.py:takes", "--timeout", "-1"), "timeout must be at least 0"),
    (("work.py",), "has several operations: name one of steps, deaf, "),
    (("work.py:nothing",), "has no nothing"), (("nothing.py",), "there is no Python file"),
    (("nothing",), "cannot import nothing"),
    (("work.py:takes", "--executor", "magic"), "invalid choice")])
def test_not_started(folder, arguments, message):
    """What cannot be started is said, with exit code 2."""
    code, out, err = run(folder, *arguments)
    assert (code, out) == (2, b"")
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(("code", "output"), [
    ("b'\\0\\xff\\n'", b"\0\xff\n"), ("None", b""), ("{1: [True, None]}", b'{"1":[true,null]}\n'),
    ("float('nan')", b"null\n"), ("'a\\n\\tb'", b"a\n\tb\n"), ("0", b"0\n"), ("''", b"\n"),
    ("'\\u6c49\\x1b[31m'", "\u6c49\x1b[31m\n".encode()), ("'\\udcff'", b"?\n"),
    ("'x' * 10_000_000", b"x" * 10_000_000 + b"\n")], ids=lambda value: str(value)[:20])
def test_results(folder, code, output):
    """A text and bytes are written as they are, what else there is as JSON."""
    assert run(folder, "quiet.py:returns", f"code={code}")[:2] == (0, output)


def test_bytes_on_terminal(folder):
    """Bytes on a terminal are base64."""
    with on_terminal(folder, "quiet.py:returns", "code=b'\\x1bc'") as shown:
        assert shown.end() == 0
        assert shown.screen.lines()[-2] == json.dumps(base64.b64encode(b"\x1bc").decode())


@pytest.mark.parametrize(("shell", "code", "output"), [
    ('"$0" "$@" 2>&-', 0, b"x" * 100_000 + b"\n"), ('"$0" "$@" >&-', 0, b""),
    ('"$0" "$@" >&- 2>&- <&-', 0, b""), ('"$0" "$@" | head -c 1', 0, b"x"),
    ('"$0" "$@" 2> >(head -n 0)', 0, b"x" * 100_000 + b"\n")],
    ids=["2>&-", ">&-", "all closed", "head", "2> head"])
def test_closed(folder, shell, code, output):
    """Where standard output or error is closed, or nobody reads it, the job is run all the same."""
    done = run(folder, "quiet.py:returns", "code='x' * 100_000", shell=shell)
    assert done[:2] == (code, output)
    assert "Traceback" not in done[2]
    assert "longop.run" not in done[2]


def test_json_that_nobody_reads(folder):
    """A job of which nobody reads the statuses any more is cancelled."""
    with started(folder, "work.py:steps", "--json") as process:
        assert json.loads(process.stdout.readline())["state"] == "running"
        process.stdout.close()
        touch(folder, "go1")
        read_until(process, "cancelled")
        assert process.wait(WAIT) == 130


# From afar


def test_client_json(there):
    """The same line, and the same options, serve a job of a server."""
    server, _, function = there
    function.let(3)
    with started(ROOT, server.url, "steps", "--json", "n=3", module="client") as process:
        out, err = process.communicate(timeout=WAIT)
        assert (process.returncode, err) == (0, "")
        assert json.loads(out.splitlines()[-1])["result"] == {"bytes": 0, "n": 3}


def test_client_on_terminal(make, folder):
    """What a server says controls no terminal."""
    def evil(callback):
        raise ValueError(EVIL)

    evil.__doc__ = EVIL
    with serving([make(evil, "thread")]) as server:
        for arguments, code, text in ((("evil",), 1, r"ValueError: a\[2Jb"), ((), 0, "^evil - a"),
                                      (("evil", "\x1b[2J=1"), 2, "longop.client: ")):
            with on_terminal(folder, server.url, *arguments, module="client") as shown:
                shown.until(text)
                assert shown.end() == code
                assert set(shown.screen.escapes) <= {"\x1b[31m", "\x1b[0m"}


# longop.progress


def shown(job, file=None, **options):
    file = file or io.StringIO()
    return longop.progress(job, file=file, **options), file.getvalue()


def test_progress_of_ended_job(make):
    """A job that has ended is shown at once, however it ended."""
    def function(callback, how: str):
        callback("text", 1, 2)
        raise ValueError(how)

    job = make(function, "thread").start(how="no good")
    end_of(job)
    status, text = shown(job)
    assert status.state is State.FAILED
    assert re.fullmatch("failed +50% 1/2 0:00 ValueError: no good\n", text)
    assert shown(Job.of(status))[0] == status


def test_progress_of_queued_job(make):
    """Of a job that waits the place in the queue is shown."""
    operation = make(lambda callback: callback.wait(WAIT), "thread")
    first, second = operation.start(), operation.start()

    class File(io.StringIO):
        def flush(self):
            if "queue" in self.getvalue():
                second.cancel()

    status, text = shown(second, File())
    assert status.state is State.CANCELLED
    assert text == "queued number 1 in the queue\ncancelled\n"
    first.cancel()


def test_progress_of_broken_connection(make):
    """Of a job whose server is gone that is raised."""
    operation = make(Steps(), "thread")
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serving([operation]))
        job = client.connect(server.url, patience=0).steps.start()

        class File(io.StringIO):
            def flush(self):
                stack.close()

        with pytest.raises(OSError, match="no answer from"):
            longop.progress(job, file=File())
    operation.live[job.id].cancel()


class Plain:
    """A stream that has no more than it must, as a notebook's or a logger's."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def getvalue(self):
        return self.text


def test_progress_in_notebook(make, monkeypatch):
    """In a notebook, whose stream is no terminal, it is one line all the same, without colours."""
    job = make(lambda callback: callback("\u6c49", 2, 2), "thread").start()
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    for file in (Plain(), io.StringIO()):
        text = shown(job, file)[1]
        assert text.startswith("\r")
        assert text.endswith("\n")
        assert re.search(r"completed 100% #{29} 2/2 0:00", text)
        assert "\x1b" not in text
    monkeypatch.delitem(sys.modules, "ipykernel")
    assert shown(job, Plain())[1].startswith("completed")


def test_progress_without_stderr(make, monkeypatch):
    """A program without a standard error, as under pythonw, waits for the end."""
    job = make(lambda callback: "x", "thread").start()
    monkeypatch.setattr(sys, "stderr", None)
    assert longop.progress(job).result == "x"


def test_progress_into_broken_pipe(make):
    """That nobody reads how a job goes on is no reason to end it."""
    job = make(lambda callback: "x", "thread").start()
    reader, writer = os.pipe()
    os.close(reader)
    file = os.fdopen(writer, "w")
    assert longop.progress(job, file=file).state is State.COMPLETED
    with contextlib.suppress(BrokenPipeError):
        file.close()


class Raises:
    def __str__(self):
        raise ValueError


@pytest.mark.parametrize(("step", "total", "text"), [
    (1, Raises(), " 1/<Raises> 0.5/s 0:02 x"), (1, "2\x1b[1m\n", " 1/2[1m 0.5/s 0:02 x"),
    (float("nan"), 2, " nan/2 nan/s 0:02 x"), ("text", 2, " 0:02 x"), (0, 0, " 0/0 0/s 0:02 x"),
    (10 ** 400, None, f" {10 ** 400} 0:02 x"), (2, -10 ** 400, f" 2/{-10 ** 400} 1/s 0:02 x")])
def test_numbers_of_any_kind(step, total, text):
    """Whatever a function says its numbers are, the line is drawn."""
    file = io.StringIO()
    terminal._Line(file, False)(Status("id", "m", "f", State.RUNNING, "x", step, total,
                                       elapsed=2.0, started_at="then"))
    assert file.getvalue() == f"running{text}\n"


@pytest.mark.parametrize(("seconds", "text"), [
    (0.4, "0:00"), (59.6, "1:00"), (3599.7, "1:00:00"), (90_061, "25:01:01")])
def test_clock(seconds, text):
    """Times have hours where they need them."""
    assert terminal._clock(seconds) == text


def test_progress_json(make):
    """In a script too each status may be a line of JSON."""
    status, text = shown(make(lambda callback: b"\0", "thread").start(), json=True)
    assert json.loads(text.splitlines()[-1])["result"] == "AA=="
    assert status.result == b"\0"


def test_ctrl_c_in_script(folder):
    """In a script Ctrl-C is KeyboardInterrupt, and the job goes on."""
    script = """
import longop, work
job = longop.LongOperation(work.steps).start(n=1)
try:
    longop.progress(job)
except KeyboardInterrupt:
    print("interrupted, and", job.state.value, flush=True)
work.touch = open("go1", "w").close()
print(job.result())
"""
    with Terminal("-c", script, cwd=folder) as shown:
        shown.until("step 1")
        shown.press("\x03")
        assert shown.end() == 0
        assert "interrupted, and running" in shown.text
        assert shown.screen.lines()[-2] == "the end"


def test_slow_reader_of_reports():
    """A million reports are a few lines."""
    def function(callback):
        for number in range(100_000):
            callback(number, number, 100_000)

    file = io.StringIO()
    started = time.monotonic()
    status = longop.progress(longop.LongOperation(function).start(), file=file)
    assert status.state is State.COMPLETED
    assert len(file.getvalue().splitlines()) <= 3 + (time.monotonic() - started) / terminal.SLOW


def test_ctrl_c_and_a_reader_that_has_gone(folder):
    """Ctrl-C, which ends the reader of ``--json`` too, cancels, and exits with 130."""
    command = [sys.executable, "-m", "longop.run", "work.py:steps", "--json"]
    process = subprocess.Popen(command, cwd=str(folder), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE,
                               env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert b'"running"' in process.stdout.readline()
    process.stdout.close()
    process.send_signal(signal.SIGINT)
    with process.stderr:
        error = process.stderr.read()
    assert (process.wait(WAIT), b"Traceback" in error) == (130, False)
