"""Commands of longop on pseudo-terminals and in pipes, and the module that they run."""

import contextlib
import os
import re
import select
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from unicodedata import combining, east_asian_width

import pytest

from ..waiting import WAIT
from ..windows import NEWLINE

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
    time.sleep(0.002)  # so that the first report has an elapsed time, and with it an estimate
    for step in range(1, n + 1):
        callback(text.format(step), step, n)
        wait_for(f"{name}{step}", callback.check)
    return "the end"

def deaf(callback):
    with open("pid", "w") as file:
        file.write(f"{os.getpid()} ")
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
    time.sleep(0.002)
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


def wide(char):
    return 0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1


class Screen:
    """What a terminal of so many columns shows of what is written to it.

    One that is made narrower wraps its lines again, as most do, or cuts them off, as xterm does.
    """

    def __init__(self, columns, wraps_again=True):
        self.columns = columns
        self.wraps_again = wraps_again
        self.rows = [""]
        self.escapes = []  # but for those that it understands
        self.row = self.at = 0  # the cursor
        self._rows_before = set()  # those that a wrapped line continues below
        self._wraps = True
        self._rest = ""

    def feed(self, text):
        # An escape sequence may come in two pieces.
        whole, self._rest = re.fullmatch("(.*?)(\x1b(?:\\[[?0-9;]*)?)?", self._rest + text,
                                         re.S).groups("")
        for part in re.findall("\x1b\\[[?0-9;]*[a-zA-Z]|\x1b[^\\[]|.", whole, re.S):
            self._take(part)

    def _take(self, part):
        if part == "\r":
            self.at = 0
        elif part == "\n":
            self._go_down()
        elif part == "\x1b[A":
            self.row = max(0, self.row - 1)
        elif part in ("\x1b[K", "\x1b[J"):
            self._wipe(and_below=part == "\x1b[J")
        elif part in ("\x1b[?7h", "\x1b[?7l"):
            self._wraps = part == "\x1b[?7h"
        elif part[0] < " " or "\x7f" <= part[0] < "\xa0":
            self.escapes.append(part)
        else:
            self._put(part)

    def resize(self, columns):
        """Have other columns; the cursor stays in the text where it was."""
        if not self.wraps_again:
            self.columns = columns
            self.rows = ["".join(self._cells(row)[:columns]) for row in range(len(self.rows))]
            self.at = min(self.at, columns - 1)
            return
        lines = self._whole_lines()
        line, place = self._cursor_in(lines)
        self.columns = columns
        self.rows = [""]
        self._rows_before = set()
        self.row = self.at = 0
        for number, text in enumerate(lines):
            if number:
                self._go_down()
                self.at = 0
            if number == line:
                cursor = self.row + place // columns, place % columns
            for char in text:
                self._put(char)
        self.row, self.at = cursor

    def _whole_lines(self):
        lines = [""]
        for row, text in enumerate(self.rows):
            lines[-1] += text
            if row not in self._rows_before:
                lines.append("")
        return lines[:-1]

    def _cursor_in(self, lines):
        """Return the line where the cursor is, and the place in it."""
        begin = self.row
        while begin - 1 in self._rows_before:
            begin -= 1
        line = begin - sum(row < begin for row in self._rows_before)
        return line, (self.row - begin) * self.columns + self.at

    def _go_down(self):
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append("")

    def _wipe(self, and_below):
        self.rows[self.row] = "".join(self._cells(self.row)[:self.at])
        self._rows_before.discard(self.row)
        if and_below:
            del self.rows[self.row + 1:]

    def _cells(self, row):
        return [cell for char in self.rows[row] for cell in [char, ""][:wide(char)]]

    def _put(self, part):
        if self.at + wide(part) > self.columns:
            if self._wraps:
                self._rows_before.add(self.row)
                self._go_down()
                self.at = 0
            else:
                self.at = self.columns - wide(part)  # the last column is written over
        cells = self._cells(self.row)
        cells += [" "] * (self.at - len(cells))
        cells[self.at:self.at + wide(part)] = [part, ""][:wide(part)]
        self.rows[self.row] = "".join(cells)
        self.at += wide(part)

    def lines(self):
        return [row.rstrip() for row in self.rows]


class Terminal:
    """A command on a terminal of its own; ``text`` is everything that it wrote."""

    def __init__(self, *command, columns=80, stdout=None, cwd, **environment):
        pytest.importorskip("termios", reason="needs a pseudo-terminal")
        self.master, slave = os.openpty()
        self.text, self.screen = "", Screen(columns)
        self.set_size(columns)
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
        """Have other columns; the command may have drawn meanwhile as if nothing had happened."""
        self.set_size(columns)
        self.screen.resize(columns)

    def set_size(self, columns):
        import fcntl  # Windows has neither of them
        import termios

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
    if shell and os.name == "nt":
        pytest.skip("needs a shell of POSIX")
    if shell:
        command = ["bash", "-c", f"set -o pipefail; {shell}", *command]
    done = subprocess.run(command, cwd=str(folder), timeout=2 * WAIT, stdin=subprocess.DEVNULL,
                          capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    printed, said = (text.replace(NEWLINE, b"\n") for text in (done.stdout, done.stderr))
    return done.returncode, printed, said.decode()


def is_alive(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def touch(folder, *names):
    for name in names:
        (folder / name).touch()


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


EVIL = "a\x1b[2Jb\x1b]0;title\x07\x9b31mc\x08\x7f\u202ed\r\n\te"
