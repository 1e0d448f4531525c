"""``python -m longop.run``: one job, on pseudo-terminals and in pipes."""

import base64
import json
import os
import re
import signal
import subprocess
import sys

import pytest

from ..cli.screen import ROOT, is_alive, on_terminal, read_until, run, started, touch
from ..waiting import WAIT, wait_until
from ..windows import SIGNALS


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
    with on_terminal(folder, "work.py:steps", "n=1", "text=xxxxxxxxxx", NO_COLOR="1") as shown:
        shown.until("x{10}")
        shown.press("\x03")
        assert shown.end() == 130
        lines = [line for line in shown.screen.lines() if line.startswith("canc")]
        assert re.fullmatch("cancelled 100% █{30} 1/1 (.*each )?0:[0-9]+", lines[-1])


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


@SIGNALS
def test_sigterm(folder):
    """SIGTERM cancels, as Ctrl-C does."""
    with started(folder, "work.py:steps") as process:
        read_until(process, "step 1")
        process.terminate()
        assert "cancelled" in process.communicate(timeout=WAIT)[1]
        assert process.returncode == 130


@SIGNALS
def test_killed_by_its_grace(folder):
    """In a process, what hears nothing is killed after the grace by one Ctrl-C."""
    with started(folder, "work.py:deaf", "--executor=process", "--grace=0.05") as process:
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


def test_the_traceback_of_a_failure(folder):
    """The traceback is all there, and comes before the last line."""
    (folder / "go").touch()
    code, out, err = run(folder, "work.py:fails")
    assert (code, out) == (1, b"x\n")
    assert "in fails\n" in err
    assert err.index("Traceback") < err.index("in fails\n")
    assert err.splitlines()[-1].startswith("failed")


def test_output(folder):
    """Standard output is the result; all that anybody prints, and the plain lines, are not."""
    code, out, err = run(folder, "work.py:speaks")
    assert (code, out) == (0, b'{"a":1}\n')
    for printed in "imported", "printed", "by a subprocess", "raw", "an error":
        assert printed in err  # perhaps on the line of another one: nobody orders them
    assert re.fullmatch("completed 100% 0:[0-9]+", err.splitlines()[-1])
    assert "\r" not in err
    assert "\x1b" not in err


def test_output_of_process(folder):
    """Standard output is the result also if the job runs in a worker process."""
    code, out, err = run(folder, "work.py:speaks", "--executor", "process")
    assert (code, out) == (0, b'{"a":1}\n')
    for printed in "imported", "printed", "by a subprocess", "raw", "an error":
        assert printed in err  # perhaps on the line of another one: nobody orders them


def test_print_comes_at_once(folder):
    """What a function prints appears at once, in a pipe too."""
    with started(folder, "work.py:prints") as process:
        read_until(process, "printed")
        touch(folder, "go")
        assert process.communicate(timeout=WAIT)[0] == ""
        assert process.returncode == 0


def test_json(folder):
    """With --json standard output is one status a line; the last one is the end."""
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
    """A parameter that takes bytes can be a file; in any other, ``@`` is a letter."""
    (folder / "some").write_bytes(b"\0\xff")
    code, out, _ = run(folder, "work.py:takes", "data=@some", "text=@some")
    assert (code, json.loads(out)) == (0, [1, 2, "@some"])


@pytest.mark.parametrize(("arguments", "message"), [
    (("work.py:takes", "data=@nothing"), "nothing'"),
    (("work.py:takes", "n"), "'n' is not a parameter: write name=value"),
    (("work.py:takes", "n=two"), "must be a whole number, not 'two'"),
    (("work.py:takes", "m=1"), "is unknown"), (("quiet.py:returns",), "is missing"),
    (("work.py:takes", "--timeout", "-1"), "timeout must be at least 0"),
    (("work.py",), "has several operations: name one of steps, deaf, "),
    (("work.py:nothing",), "has no nothing"), (("nothing.py",), "there is no Python file"),
    (("nothing",), "cannot import nothing"),
    (("work.py:takes", "--executor", "magic"), "invalid choice")])
def test_not_started(folder, arguments, message):
    """A job that cannot start is one clear error, with exit code 2."""
    code, out, err = run(folder, *arguments)
    assert (code, out) == (2, b"")
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(("code", "output"), [
    ("b'\\0\\xff\\n'", b"\0\xff\n"), ("None", b""),
    ("{1: [True, None]}", b'{"1":[true,null]}\n'),
    ("float('nan')", b"null\n"), ("'a\\n\\tb'", b"a\n\tb\n"), ("0", b"0\n"), ("''", b"\n"),
    ("'\\u6c49\\x1b[31m'", "\u6c49\x1b[31m\n".encode()), ("'\\udcff'", b"?\n"),
    ("'x' * 10_000_000", b"x" * 10_000_000 + b"\n")], ids=lambda value: str(value)[:20])
def test_results(folder, code, output):
    """Text and bytes are written as they are, everything else as JSON."""
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
    """A job runs even if standard output or error is closed, or nobody reads it."""
    done = run(folder, "quiet.py:returns", "code='x' * 100_000", shell=shell)
    assert done[:2] == (code, output)
    assert "Traceback" not in done[2]
    assert "longop.run" not in done[2]


def test_json_that_nobody_reads(folder):
    """A job is cancelled if nobody reads its statuses any more."""
    with started(folder, "work.py:steps", "--json") as process:
        assert json.loads(process.stdout.readline())["state"] == "running"
        process.stdout.close()
        touch(folder, "go1")
        read_until(process, "cancelled")
        assert process.wait(WAIT) == 130


@SIGNALS
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


def test_executor_of_the_code(folder):
    """The executor that the code asks for is used, unless an option overrides it."""
    (folder / "decorated.py").write_text(
        "import os, longop\n"
        "@longop.long_operation(executor='process')\n"
        "def where(callback, here: int):\n"
        "    return here == os.getppid()\n")
    script = ("import os, sys, longop.run.__main__ as run;"
              "sys.exit(run.main([*sys.argv[1:], f'here={os.getpid()}']))")
    for options, expected in ((), [b"true"]), (("--executor", "thread"), [b"false"]):
        done = subprocess.run([sys.executable, "-c", script, "decorated.py", *options],
                              cwd=str(folder), stdout=subprocess.PIPE, timeout=WAIT,
                              env={**os.environ, "PYTHONPATH": str(ROOT)})
        assert (done.returncode, done.stdout.split()) == (0, expected)


# Help


def test_help_of_an_operation(folder):
    """--help with a target tells its parameters, and starts nothing."""
    code, out, err = run(folder, "work.py:takes", "--help")
    assert (code, err) == (0, "imported\n")
    assert out.decode().splitlines()[:4] == [
        "usage: python -m longop.run work.py:takes [options] [name=value ...]", "",
        "parameters:", "  n=WHOLE-NUMBER              (default: 1)"]


def test_help_of_a_module(folder):
    """--help with a module tells of all its operations."""
    out = run(folder, "work.py", "-h")[1].decode()
    assert out.startswith("usage: python -m longop.run work.py:OPERATION [options] ")
    assert "\n\nspeaks\n" in out
    assert "\n  text=TEXT                   (required)\n" in out


def test_help_without_a_target(folder):
    """--help alone tells how the command is used; without it a target is needed."""
    assert run(folder, "--help")[1].startswith(b"usage: ")
    assert run(folder)[0] == 2


def test_prints_above_the_line(folder):
    """What a worker process and its children print stands above the line."""
    with on_terminal(folder, "work.py:speaks", "--executor=process", NO_COLOR="1") as shown:
        assert shown.end() == 0
        lines = shown.screen.lines()
        done = [line.startswith("completed") for line in lines].index(True)
        printed = {"printed", "an error", "imported", "by a subprocess", "raw"}
        assert printed <= set(lines[:done])
        assert lines[done + 1:] == ['{"a":1}', ""]


def test_a_print_before_the_first_line(folder):
    """What a function prints as soon as it begins stands above its line, as whole lines do."""
    (folder / "soon.py").write_text("def f(callback):\n    print('at once', end='')\n"
                                    "    callback(1, 1, 2)\n    print(' and later')\n")
    for _ in range(5):
        with on_terminal(folder, "soon.py:f", NO_COLOR="1") as shown:
            assert shown.end() == 0
            lines = shown.screen.lines()
        assert lines[0] == "at once and later"
        assert lines[1].startswith("completed")
