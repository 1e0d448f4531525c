"""`longop.cli.terminal`: a job on a pseudo-terminal, in a notebook and in a pipe."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import types

import pytest

import longop
from longop import Job, State, client
from longop.cli import views

from ..test_client import Steps, serving
from ..waiting import WAIT, end_of, wait_until
from .notebook import Plain
from .screen import EVIL, Terminal, is_alive, on_terminal, run, touch, wide

#: The time that a job took, with its rate if that was long.
TIME = "(?:[^ ]+/s |[^ ]+ s each )?0:[0-9]+"

# On a terminal


def test_bar(folder):
    """One line shows a bar, the rate and the time left until the end; the result follows."""
    with on_terminal(folder, "work.py:steps") as shown:
        line = shown.until("step 1$")
        assert re.match(f"running +25% █+░+ 1/4 {TIME}", line)
        touch(folder, "go1", "go2")
        assert re.search(f"3/4 {TIME} -0:[0-9]+ step 3$", shown.until("step 3"))
        assert len(shown.screen.rows) == 2  # "imported" is the other one
        touch(folder, "go3", "go4")
        assert shown.end() == 0
        imported, line, *rest = shown.screen.lines()
        assert (imported, rest) == ("imported", ["the end", ""])
        assert re.fullmatch(f"completed 100% █{{30}} 4/4 {TIME}", line)
        assert set(shown.screen.escapes) == {"\x1b[32m", "\x1b[0m"}


@pytest.mark.parametrize("columns", [1, 12, 54, 60])
def test_narrow_terminal(folder, columns):
    """However narrow the terminal is, and however wide the text, it is one line."""
    with on_terminal(folder, "work.py:steps", "n=2", f"text={'长 text ' * 30}",
                     columns=columns) as shown:
        shown.until("^(r|[ 0-9]*%)")  # how it is called, or how far it is
        touch(folder, "go1", "go2")
        assert shown.end() == 0
        for line in re.split("[\r\n]+", re.sub("\x1b\\[[^a-zA-Z]*.", "", shown.text))[1:-2]:
            assert sum(map(wide, line)) < max(columns, 2), line


def test_unknown_size(folder):
    """A terminal of unknown width counts as 80 columns wide."""
    with on_terminal(folder, "work.py:says", f"text={'x' * 200}", columns=0) as shown:
        shown.screen.columns = 80
        assert len(shown.until("^running +[0-9]+%")) == 79
        touch(folder, "go")
        assert shown.end() == 0


@pytest.mark.parametrize("wraps_again", [True, False])
def test_resize(folder, wraps_again):
    """A terminal that is made narrower, and wide again, keeps no row of what was drawn before."""
    with on_terminal(folder, "work.py:steps", f"text={'x' * 60}", NO_COLOR="1") as shown:
        shown.screen.wraps_again = wraps_again
        shown.until("^running +25%")
        shown.resize(40)
        touch(folder, "go1")
        assert len(shown.until("^running +50%")) == 39
        shown.resize(80)
        touch(folder, "go2")
        assert len(shown.until("^running +75%")) == 79
        shown.resize(20)
        touch(folder, "go3", "go4")
        assert shown.end() == 0
        assert shown.screen.lines() == ["imported", "completed 100% 4/4", "the end", ""]


def test_resize_of_several_lines(folder):
    """So it is with the lines of several jobs, and with what was printed above them."""
    script = """
import longop, work
operation = longop.LongOperation(work.steps, limit=2)
text = "x" * 60
longop.progress(operation.start(n=2, name="a", text=text),
                operation.start(n=2, name="b", text=text))
"""
    with Terminal("-c", script, cwd=folder, NO_COLOR="1") as shown:
        shown.until("^steps #2 running +50%")
        shown.resize(40)
        touch(folder, "a1", "a2")
        shown.until("^steps #1 completed")
        shown.resize(60)
        touch(folder, "b1", "b2")
        assert shown.end() == 0
        assert [line[:18] for line in shown.screen.lines()] == [
            "imported", "steps #1 completed", "steps #2 completed", ""]


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
        assert re.match("running +50% █+░+ 1/2 字?(汉字)+1$", line.rstrip())
        touch(folder, "go1")
        shown.until("汉字2")
        assert len(shown.screen.rows) == 2
        touch(folder, "go2")
        assert shown.end() == 0
        assert re.fullmatch(f"completed 100% █+ 2/2 {TIME}", shown.screen.lines()[1])


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
        assert re.match(rf"running +50% #+\.+ 1/2 {TIME} -0:[0-9]+ \\u6c49$", line)
        touch(folder, "go")
        assert shown.end() == 0


def test_control_characters(folder):
    """No report and no result can control the terminal; a pipe gets every character."""
    with on_terminal(folder, "work.py:says", f"text={EVIL}", columns=120) as shown:
        assert shown.until("^running +[0-9]+%").endswith(" a[2Jb]0;title31mcd e")
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
    assert re.fullmatch(f"failed +50% 1/2 {TIME} ValueError: no good\n", text)
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
                # Once its stream is there: a later connection would not be cut.
                wait_until(lambda: len(server._audiences))
                stack.close()

        with pytest.raises(OSError, match="no answer from"):
            longop.progress(job, file=File())
    operation.live[job.id].cancel()


def test_progress_in_notebook(make, pieces):
    """In a notebook, which is no terminal, lines are drawn too, without colours."""
    operation = make(lambda callback: callback("\u6c49", 2, 2), "thread")
    longop.progress(operation.start(), file=Plain())
    jobs = [operation.start(), operation.start()]
    for job in jobs:
        end_of(job)  # the one that is seen to end first stands first
    longop.progress(*jobs, file=Plain())
    one, two = pieces.texts
    assert re.fullmatch(f"completed 100% #{{30}} 2/2 {TIME}", one)
    assert re.fullmatch("f.* #1 completed .*\nf.* #2 completed .*", two.replace("<lambda>", "f"))


def test_progress_elsewhere_in_a_notebook(make, monkeypatch):
    """What a notebook shows in a file of its own are plain lines."""
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    job = make(lambda callback: "x", "thread").start()
    end_of(job)
    assert shown(job)[1].startswith("completed")


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
    with contextlib.suppress(OSError):  # on Windows it is no BrokenPipeError
        file.close()


def test_progress_json(make):
    """In a script too each status may be a line of JSON."""
    status, text = shown(make(lambda callback: b"\0", "thread").start(), json=True)
    assert json.loads(text.splitlines()[-1])["result"] == "AA=="
    assert status.result == b"\0"


SCRIPT = """
import longop, work
if __name__ == "__main__":
    job = longop.LongOperation(work.{}, executor="{}", grace=60).start()
    {}
    print("and then", job.status().state.value, flush=True)
"""


def script(function, statement="longop.progress(job)", executor="thread"):
    return SCRIPT.format(function, executor, statement)


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_ctrl_c_in_script(folder, executor):
    """In a script Ctrl-C cancels the job, says so, and waits for its end."""
    with Terminal("-c", script("steps", executor=executor), cwd=folder, NO_COLOR="1") as shown:
        shown.until("step 1")
        shown.press("\x03")
        assert shown.end() == 0
        lines = [line for line in shown.screen.lines() if line not in ("", "imported")]
        assert [line[:18] for line in lines] == ["cancelled  25% ███", "and then cancelled"]


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_second_ctrl_c_in_script(folder, executor):
    """A second Ctrl-C in a script leaves at once, with no more than the user's line."""
    with Terminal("-c", script("deaf", executor=executor), cwd=folder) as shown:
        shown.until("deaf$")
        pid = int((folder / "pid").read_text())
        shown.press("\x03")
        shown.until("^cancelling")
        shown.press("\x03")
        assert shown.end() == -signal.SIGINT
        lines = [line for line in shown.screen.lines() if line not in ("", "imported")]
        assert lines[0].startswith("cancelling")
        assert lines[1].startswith("Traceback")  # on a line of its own
        assert sum(line.startswith("  File ") for line in lines) == 2  # the script, `progress`
        assert lines[-1] == "KeyboardInterrupt"
    wait_until(lambda: not is_alive(pid))


@pytest.mark.parametrize("statement", [
    "job.result()", "job.exception()", "job.result(60)", "for _ in job.updates(): pass"])
def test_ctrl_c_in_a_wait(folder, statement):
    """A wait without a drawing is left at once by Ctrl-C, as it is of any other future."""
    statement = f"print('waits', flush=True)\n    {statement}"
    with Terminal("-c", script("deaf", statement), cwd=folder) as shown:
        shown.until("^waits")
        wait_until((folder / "pid").exists)
        shown.press("\x03")
        assert shown.end() == -signal.SIGINT
        lines = [line for line in shown.screen.lines() if line]
        assert lines[-1].endswith("KeyboardInterrupt")
        assert not any("During" in line for line in lines)


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
    assert len(file.getvalue().splitlines()) <= 3 + seconds / views.SLOW


# What is printed


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_prints_stand_above_the_line(folder, unbuffered):
    """What a function prints stands above the line, each line whole, and the line below."""
    (folder / "talks.py").write_text(TALKS)
    with on_terminal(folder, "talks.py:talks", NO_COLOR="1",
                     PYTHONUNBUFFERED=unbuffered) as shown:
        shown.until("^running .*1/2")
        touch(folder, "begin")
        shown.until("^error 2$")
        shown.until("^running .*1/2")  # wiped for the prints, and drawn again below them
        assert shown.screen.lines()[-1].startswith("running")
        assert "no end" not in shown.text
        touch(folder, "go")
        assert shown.end() == 0
        assert shown.screen.lines()[:-2] == [
            "printed 0", "error 0", "printed 1", "error 1", "printed 2", "error 2", "no end",
            shown.until("^completed")]


TALKS = """
import os, sys, time

def talks(callback):
    callback("x", 1, 2)
    while not os.path.exists("begin"):
        time.sleep(0.002)
    for number in range(3):
        print("printed", number)
        print("error", number, file=sys.stderr)
    print("no end", end="")
    while not os.path.exists("go"):
        callback.check()
        time.sleep(0.002)
"""


def test_prints_in_a_script_stand_above_the_line(folder):
    """In a script too; afterwards the streams are those that were there before."""
    (folder / "talks.py").write_text(TALKS)
    script = ("import longop, sys, talks\nbefore = sys.stdout, sys.stderr\n"
              "longop.progress(longop.LongOperation(talks.talks).start())\n"
              "print(before == (sys.stdout, sys.stderr))")
    with Terminal("-c", script, cwd=folder, NO_COLOR="1") as shown:
        shown.until("^running .*1/2")
        touch(folder, "begin")
        shown.until("^error 2$")
        touch(folder, "go")
        assert shown.end() == 0
        *_, last, done, same, _ = shown.screen.lines()
        assert (last, done[:9], same) == ("no end", "completed", "True")


def test_prints_to_a_file_go_there(folder):
    """What a function prints into a file or a pipe is no matter of the terminal."""
    (folder / "talks.py").write_text(TALKS)
    script = ("import longop, talks\n"
              "longop.progress(longop.LongOperation(talks.talks).start())")
    with Terminal("-c", script, cwd=folder, NO_COLOR="1", stdout=subprocess.PIPE) as shown:
        shown.until("^running .*1/2")
        touch(folder, "begin")
        shown.until("^error 2$")
        touch(folder, "go")
        assert shown.end() == 0
        assert shown.process.stdout.read() == b"printed 0\nprinted 1\nprinted 2\nno end"
        assert "printed" not in shown.text


# Several jobs


def test_several_jobs_have_a_line_each(folder):
    """Each job has a line; at its end it stands above those that go on."""
    script = """
import longop, work
operation = longop.LongOperation(work.steps, limit=2)
jobs = [operation.start(n=2, name="a"), operation.start(n=2, name="b")]
print([status.state.value for status in longop.progress(*jobs)])
"""
    with Terminal("-c", script, cwd=folder, NO_COLOR="1") as shown:
        shown.until("^steps #1 running .*1/2")
        shown.until("^steps #2 running .*1/2")
        touch(folder, "b1", "b2")
        shown.until("^steps #2 completed")
        touch(folder, "a1", "a2")
        assert shown.end() == 0
        _, second, first, states, _ = shown.screen.lines()
        assert second.startswith("steps #2 completed")
        assert first.startswith("steps #1 completed")
        assert states == "['completed', 'completed']"


def test_an_operation_is_all_its_jobs(make):
    """An operation stands for its live jobs, and for those that are started meanwhile."""
    may_end = threading.Event()
    operation = make(lambda callback: may_end.wait(WAIT), "thread")

    class File(io.StringIO):
        def flush(self):
            if "#2" not in self.getvalue():
                operation.start()
            else:
                may_end.set()

    operation.start()
    file = File()
    statuses = longop.progress(operation, file=file)
    assert [status.state for status in statuses] == [State.COMPLETED] * len(statuses)
    assert len(statuses) >= 2


def test_a_job_that_is_given_twice(make):
    """It is shown once, and each job that was given has its status."""
    operation = make(lambda callback: "x", "thread")
    job = operation.start()
    end_of(job)
    file = io.StringIO()
    statuses = longop.progress(job, operation, job, file=file)
    assert [status.id for status in statuses] == [job.id] * 2
    assert file.getvalue().count("completed") == 1


def test_more_jobs_than_lines(folder):
    """Where the terminal is too low for all jobs, the rest is counted."""
    script = """
import longop, work
operation = longop.LongOperation(work.steps)
jobs = [operation.start() for _ in range(40)]
longop.progress(operation)
"""
    with Terminal("-c", script, cwd=folder, NO_COLOR="1") as shown:
        shown.until("queued, ... and 1[0-9] more$")  # in the last line
        assert shown.until("^steps #2 queued") == "steps #2 queued number 1 in the queue"
        shown.press("\x03")
        assert shown.end() == 0, shown.text[-3000:]
        ends = [line for line in shown.screen.lines() if "cancelled" in line]
        assert len(ends) == 40


def test_several_jobs_on_a_dumb_terminal(folder):
    """A terminal that cannot go up has one line for them; their ends stand above it."""
    script = """
import longop, work
operation = longop.LongOperation(work.steps, limit=2)
longop.progress(operation.start(n=2, name="a"), operation.start(n=2, name="b"))
"""
    with Terminal("-c", script, cwd=folder, TERM="dumb") as shown:
        shown.until("^steps #1 50%, steps #2 50%$")
        touch(folder, "b1", "b2")
        shown.until("^steps #1 running +50%")
        touch(folder, "a1", "a2")
        assert shown.end() == 0
        assert shown.screen.escapes == []
        assert [line[:18] for line in shown.screen.lines()] == [
            "imported", "steps #2 completed", "steps #1 completed", ""]


def test_a_closed_file(make):
    """That the file was closed is no reason to end the jobs."""
    file = io.StringIO()
    file.close()
    operation = make(lambda callback: "x", "thread")
    assert longop.progress(operation.start(), file=file).result == "x"


@pytest.mark.parametrize("wrong", [
    "job", [], lambda operation: operation.start, lambda operation: [operation.start()]])
def test_what_is_no_job(make, wrong):
    """What cannot be shown is told, and what to write."""
    operation = make(lambda callback: "x", "thread")
    with pytest.raises(TypeError, match=r"job or an operation is shown.*progress\(\*jobs\)"):
        longop.progress(wrong(operation) if callable(wrong) else wrong)


def test_in_another_thread(make):
    """Any thread may show jobs."""
    operation = make(lambda callback: "x", "thread")
    found = []
    thread = threading.Thread(target=lambda: found.append(shown(operation.start())))
    thread.start()
    thread.join(WAIT)
    [(status, text)] = found
    assert status.result == "x"
    assert text.splitlines()[-1].startswith("completed")
