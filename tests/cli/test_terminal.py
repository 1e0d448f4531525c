"""`longop.cli.terminal`: a job on a pseudo-terminal, in a notebook and in a pipe."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import time
import types

import pytest

import longop
from longop import Job, State, Status, client
from longop.cli import terminal

from ..test_client import Steps, serving
from ..waiting import WAIT, end_of
from .screen import EVIL, Terminal, on_terminal, run, touch, wide

# On a terminal


def test_bar(folder):
    """One line shows a bar, the rate and the time left until the end; the result follows."""
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
    """The line of a silent job shows the time that goes by, once a second."""
    now = [100.0]
    file = io.StringIO()
    line = terminal._Line(file, False)
    line._live = True
    status = Status("id", "m", "f", State.RUNNING, "x", 3, elapsed=2.0, version=1,
                    started_at="then")
    clock = types.SimpleNamespace(monotonic=lambda: now[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(terminal, "time", clock)
        for later in (0.0, 0.5, 1.0, 1.1, 1.9, 2.0):
            now[0] = 100.0 + later
            line.show(status)
    lines = [line.rstrip() for line in file.getvalue().split("\r")[1:]]
    assert lines == [
        "running 3 1.5/s 0:02 x", "running 3 1/s 0:03 x", "running 3 0.75/s 0:04 x"]


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
    """A terminal of unknown width counts as 80 columns wide."""
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
    script = ("import longop, work\n"
              "longop.progress(longop.LongOperation(work.steps).start(n=1))")
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


def test_control_characters(folder):
    """No report and no result can control the terminal; a pipe gets every character."""
    with on_terminal(folder, "work.py:says", f"text={EVIL}", columns=120) as shown:
        assert shown.until("^running +[0-9]+%").endswith("-0:00 a[2Jb]0;title31mcd e")
        touch(folder, "go")
        assert shown.end() == 0
        assert set(shown.screen.escapes) == {"\x1b[32m", "\x1b[0m", "\t"}
        assert shown.text.endswith("a[2Jb]0;title31mcd\r\n\te\r\n")
    assert run(folder, "work.py:says", f"text={EVIL}")[1].decode() == EVIL + "\n"


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
    """In a notebook, which is no terminal, it is one line too, without colours."""
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
    (float("nan"), 2, " nan/2 nan/s 0:02 x"), ("text", 2, " 0:02 x"),
    (0, 0, " 0/0 0/s 0:02 x"),
    (10 ** 400, None, f" {10 ** 400} 0:02 x"), (2, -10 ** 400, f" 2/{-10 ** 400} 1/s 0:02 x")])
def test_numbers_of_any_kind(step, total, text):
    """Whatever a function says its numbers are, the line is drawn."""
    file = io.StringIO()
    terminal._Line(file, False).show(Status("id", "m", "f", State.RUNNING, "x", step, total,
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
    seconds = time.monotonic() - started
    assert len(file.getvalue().splitlines()) <= 3 + seconds / terminal.SLOW
