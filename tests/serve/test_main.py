"""``python -m longop.serve`` as a process of its own."""

import contextlib
import functools
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from longop import State, Status, wings
from longop.archive import FileHistory

from .. import waiting
from ..pythons import has_narrow_locales
from ..windows import SIGNALS

ROOT = Path(__file__).parent.parent.parent
WAIT = 20
wait_until = functools.partial(waiting.wait_until, seconds=WAIT)

STUBBORN = """
import time

def stubborn(callback):
    while True:
        try:
            callback("still here")
        except BaseException:
            pass
        time.sleep(0.01)
"""


@contextlib.contextmanager
def served(*arguments, cwd=ROOT, **environment):
    """Run the server; yield the process, the line that it prints, and the address in it."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    with subprocess.Popen([sys.executable, "-m", "longop.serve", *arguments, "--port", "0"],
                          cwd=str(cwd), env=env, universal_newlines=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            line = process.stdout.readline()
            yield process, line, line.split()[-1] if line else ""
        finally:
            process.kill()


def get(url, data=None, method=None):
    request = urllib.request.Request(url, data, method=method)
    with urllib.request.urlopen(request, timeout=WAIT) as response:
        return json.loads(response.read())


def ask(url, method="GET", **headers):
    """Return the status and the JSON of an answer, whatever they are."""
    data = None if method == "GET" else b""
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=WAIT) as response:
            return response.status, json.loads(response.read() or "null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def start(url, name, headers=(), /, **parameters):
    """Start a job of one of `kept`'s functions; return its id."""
    query = urllib.parse.urlencode(parameters)
    return ask(f"{url}v1/kept/{name}?{query}", "POST", **dict(headers))[1]["commandId"]


def wait_for(url, id, **expected):
    """Wait until a job's status has some values; return it."""

    def look():
        status = get(f"{url}v1/jobs/{id}")
        return status if expected.items() <= status.items() else None

    return wait_until(look)


def wait_for_log(process, text):
    """Read the log up to a line with a text in it."""
    for line in process.stderr:
        if text in line:
            return line
    raise AssertionError(f"{text!r} is not in the log")


@SIGNALS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_main_job(number):
    """The example is started, watched and really cancelled; each signal ends the server."""
    with served("examples.long_process") as (process, line, url):
        assert re.fullmatch(r"long_process/a_long_process at http://127\.0\.0\.1:\d+/\n", line)
        id = get(url + "v1/long_process/a_long_process", b"")["commandId"]
        wait_for_log(process, "running")
        assert get(url + "v1/jobs/" + id)["state"] == "running"
        assert get(f"{url}v1/jobs/{id}/cancel", b"")["state"] == "cancelling"
        wait_for_log(process, "cancelled")  # which is a moment before it can be seen
        assert wait_for(url, id, state="cancelled")["result"] == "1"
        process.send_signal(number)
        assert process.wait(WAIT) == 0
        assert "Traceback" not in process.stderr.read()


@SIGNALS
def test_jobs_are_told_to_stop_at_the_end(tmp_path):
    """At the end of the server its jobs are told to stop, the queued ones never begin."""
    trace = tmp_path / "trace"
    (tmp_path / "work.py").write_text(
        "import time\n"
        "def work(callback):\n"
        f"    with open({str(trace)!r}, 'a') as file:\n"
        "        try:\n"
        "            file.write('begun ')\n"
        "            while True:\n"
        "                callback('x')\n"
        "                time.sleep(0.001)\n"
        "        finally:\n"
        "            file.write('stopped')\n")
    with served("work.py", cwd=tmp_path) as (process, _, url):
        for _ in range(3):
            get(url + "v1/work/work", b"")
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT) == 0
    assert trace.read_text() == "begun stopped"


@SIGNALS
def test_stubborn_job_does_not_hold_up_the_end(tmp_path):
    """A job that does not stop is named in the log, and the server ends all the same."""
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    with served("stubborn.py", "--grace", "0.1", cwd=tmp_path) as (process, _, url):
        id = get(url + "v1/stubborn/stubborn", b"")["commandId"]
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT) == 0
        assert f"{id} stubborn/stubborn cancelling> did not stop" in process.stderr.read()


def test_options(tmp_path):
    """``--limit`` and ``--when-busy`` are obeyed, and ``--quiet`` is."""
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    options = ("--limit", "2", "--when-busy", "reject", "--quiet")
    with served(str(tmp_path / "stubborn.py"), *options) as (process, _, url):
        answers = [get(url + "v1/stubborn/stubborn", b"") for _ in range(3)]
        assert [answer["success"] for answer in answers] == [True, True, False]
        assert answers[2]["error"] == "A long running command is already in progress"
        process.kill()
        assert process.stderr.read() == ""


def test_several_targets():
    """Several targets are served together, and announced in one line."""
    with served("examples.long_process", "examples/backup.py") as (_, line, url):
        assert line.startswith("long_process/a_long_process, backup/backup at ")
        assert len(get(url + "v1")["operations"]) == 2


def run(*arguments):
    env = dict(os.environ, PYTHONPATH=str(ROOT))
    return subprocess.run([sys.executable, "-m", "longop.serve", *arguments], cwd=str(ROOT),
                          env=env, capture_output=True, text=True, timeout=WAIT)


@pytest.mark.parametrize(("arguments", "says"), [
    (["examples.nope"], "no module named 'examples.nope'"),
    (["examples.long_process:nope"], "has no nope; it has a_long_process, cancel_process"),
    (["examples/nope.py"], "there is no python file examples/nope.py"),
    (["json"], "no function with a callback"),
    (["examples.long_process", "examples.long_process"], "its route is taken"),
    (["examples.long_process", "--port", "99999"], "port must be 0-65535"),
    (["examples.long_process", "--host", "192.0.2.1"], "cannot listen on 192.0.2.1:32168")])
def test_nothing_to_serve(arguments, says):
    """A target that cannot be served is one line that says what to do, and exit code 2."""
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr.lower().replace("1:0", "1:32168")
    assert len(done.stderr.splitlines()) == 1


def test_taken_port():
    """A taken port is one line that says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("examples.long_process", "--port", port)
    assert done.returncode == 2
    assert f"127.0.0.1:{port}" in done.stderr
    assert "choose another --port" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [
    ["--nonsense"], ["x", "--limit", "many"], ["x", "--when-busy", "panic"],
    ["x", "--port", "y"],
    ["x", "--executor", "fork"], ["x", "--timeout", "soon"], ["x", "--grace"]])
def test_wrong_usage(arguments):
    """Wrong usage is reported, with exit code 2."""
    done = run(*arguments)
    assert done.returncode == 2
    assert "usage: python -m longop.serve" in done.stderr


@pytest.mark.parametrize(("option", "value"), [
    ("limit", 0), ("timeout", -1), ("timeout", "nan"), ("stall_timeout", -0.5), ("grace", -1),
    ("grace", "nan")])
def test_wrong_number(option, value):
    """A number that makes no sense is one line that names it, and exit code 2."""
    done = run("examples.long_process", f"--{option.replace('_', '-')}={value}", "--port=0")
    assert (done.returncode, done.stdout) == (2, "")
    assert option in done.stderr
    assert str(value) in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_ipv6():
    """It listens on an IPv6 address as well."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with served("examples.long_process", "--host", "::1") as (process, line, url):
        if not line and "Cannot assign" in process.stderr.read():
            pytest.skip("no IPv6 address here")
        assert urllib.parse.urlsplit(url).netloc.startswith("[::1]:")
        assert get(url + "v1/status/ping")["success"] is True


# What jobs print


@pytest.mark.parametrize("executor", ["thread", "process"])
@pytest.mark.parametrize("option", [[], ["--show-tracebacks"]])
def test_show_tracebacks(option, executor):
    """The log of a job ends with its traceback only if that was asked for."""
    if executor == "process" and wings.find("workers.processes") is None:
        pytest.skip("longop.workers is not in this copy")
    with served("tests.kept:broken", "--executor", executor, *option) as (_, _, url):
        id = start(url, "broken")
        wait_for(url, id, state="failed")
        with urllib.request.urlopen(f"{url}v1/jobs/{id}/log", timeout=WAIT) as answer:
            log = answer.read().decode()
    # What a worker process prints is not captured on Windows.
    printed = "" if os.name == "nt" and executor == "process" else "begun\n"
    if option:
        assert log.startswith(printed)
        assert "in broken\n" in log
        assert log.endswith("\nValueError: wrong\n")
    else:
        assert log == printed


def test_python_is_left_as_it_was():
    """What is replaced to know who prints is put back at the end."""
    script = """
import sys, threading
from longop.serve.__main__ import main
usual = threading.Thread.start, sys.stdout, sys.stderr
class Look:
    def find_spec(self, name, *rest):
        if name == "no_such_target":
            seen.append(usual != (threading.Thread.start, sys.stdout, sys.stderr))
seen = []
sys.meta_path.insert(0, Look())
assert main(["no_such_target"]) == 2
assert seen and seen[0]
assert usual == (threading.Thread.start, sys.stdout, sys.stderr)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=3 * WAIT,
                   env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)


# Where jobs run, and for how long


def test_executor():
    """``--executor process`` runs the jobs in another process, the same one for each."""
    with served("tests.kept:whereabouts", "--executor", "process") as (process, _, url):
        ids = [start(url, "whereabouts") for _ in range(2)]
        pids = {wait_for(url, id, state="completed")["result"] for id in ids}
    assert len(pids) == 1
    assert pids != {process.pid}


def test_executor_of_a_decorated_function(tmp_path):
    """``--executor process`` works for functions that are decorated in place."""
    (tmp_path / "work.py").write_text(
        "import os, longop\n"
        "@longop.long_operation(limit=2)\n"
        "def work(callback):\n"
        "    return os.getpid()\n")
    with served("work.py", "--executor", "process", cwd=tmp_path) as (process, _, url):
        code, answer = ask(url + "v1/work/work", "POST")
        assert code == 200, answer
        status = wait_for(url, answer["commandId"], state="completed")
        assert status["result"] != process.pid


@pytest.mark.parametrize(("option", "reason"), [
    ("--timeout", "timeout"), ("--stall-timeout", "stalled")])
def test_deadlines(option, reason):
    """``--timeout`` and ``--stall-timeout`` end a job that runs or is silent too long."""
    with served("tests.kept:silent", "--executor=process", option, "0.3",
                "--grace=0.1") as (_, _, url):
        status = wait_for(url, start(url, "silent"), state="failed")
    assert (status["stop_reason"], status["result"]) == (reason, "silent from now on")
    assert "0.3 s" in status["error"]


def test_when_busy_replace(tmp_path):
    """With ``--when-busy replace`` a start cancels the job that runs, and then runs."""
    with served("tests.kept:note", "--when-busy", "replace") as (_, _, url):
        first, second = (start(url, "note", log=tmp_path / "log", name=n) for n in "ab")
        assert wait_for(url, first, state="cancelled")["stop_reason"] == "cancelled"
        wait_until(lambda: (tmp_path / "log").read_text().split() == ["a", "b"])
        assert get(f"{url}v1/jobs/{second}")["state"] == "running"


def test_when_busy_join(tmp_path):
    """With ``--when-busy join`` a start gets the job that runs."""
    with served("tests.kept:note", "--when-busy", "join") as (_, _, url):
        first, second = (start(url, "note", log=tmp_path / "log", name=n) for n in "ab")
        assert first == second
        wait_for(url, first, state="running")
        get(f"{url}v1/jobs/{first}/cancel", b"")
        wait_for(url, first, state="cancelled")
        assert start(url, "note", log=tmp_path / "log", name="c", end=True) != first


# The clean end


def is_closed(url):
    """Say whether nobody listens any more."""
    address = urllib.parse.urlsplit(url)
    try:
        socket.create_connection((address.hostname, address.port), timeout=WAIT).close()
    except ConnectionError:
        return True
    return False


def is_free(lock):
    """Say whether all processes that had a file locked are gone."""
    import fcntl  # Windows has none

    with lock.open("a") as file, contextlib.suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


@SIGNALS
def test_end_kills_what_is_left(tmp_path):
    """At the end a job that does not stop within ``--grace`` is killed, with its children.

    Its history says so. A clean end takes the grace period and at most a second; the rest is
    for a machine that does other things meanwhile.
    """
    lock, file = tmp_path / "lock", tmp_path / "history.sqlite3"
    with served("tests.kept:stubborn", "--executor", "process", "--grace", "0.5",
                "--history", str(file)) as (process, _, url):
        id = start(url, "stubborn", lock=lock)
        wait_for(url, id, result="stubborn")
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT) == 0
        assert 0.5 <= time.monotonic() - began < 0.5 + 1 + 0.5
        wait_until(lambda: is_free(lock))
        assert "Traceback" not in process.stderr.read()
    with contextlib.closing(FileHistory(file)) as history:
        status = history.get(id)
    assert (status.state, status.result) == (State.INTERRUPTED, "stubborn")
    assert re.fullmatch("stopped by SIG(TERM|KILL)", status.error)


@SIGNALS
@pytest.mark.parametrize("grace", ["3600", "inf"])
def test_end_waits_for_jobs(tmp_path, grace):
    """At the end nobody is let in, but jobs may end within the grace period, and are shown."""
    gate = tmp_path / "gate"
    with served("tests.kept:patient", "--grace", grace) as (process, _, url):
        id = start(url, "patient", gate=gate)
        netloc = urllib.parse.urlsplit(url).netloc
        connection = http.client.HTTPConnection(netloc, timeout=WAIT)

        def answer(method, path):
            connection.request(method, path)
            response = connection.getresponse()
            return response, json.loads(response.read())

        with contextlib.closing(connection):
            wait_until(lambda: answer("GET", f"/v1/jobs/{id}")[1]["result"] == "patient")
            get(url + "v1/status/ping")  # by now the first connection is an established one
            process.send_signal(signal.SIGTERM)
            wait_until(lambda: is_closed(url))
            wait_until(lambda: answer("GET", f"/v1/jobs/{id}")[1]["state"] == "cancelling")
            response, fields = answer("POST", f"/v1/kept/patient?gate={gate}")
            assert (response.status, int(response.getheader("Retry-After")) > 0) == (429, True)
            assert "is closed" in fields["error"]
            assert process.poll() is None
            gate.touch()
            assert process.wait(WAIT) == 0


@SIGNALS
@pytest.mark.parametrize(("executor", "name"), [("thread", "silent"), ("process", "stubborn")])
def test_second_signal(tmp_path, executor, name):
    """A second signal ends the server at once: jobs are interrupted, no process is left."""
    lock, file = tmp_path / "lock", tmp_path / "history.sqlite3"
    parameters = {"lock": lock} if name == "stubborn" else {}
    with served(f"tests.kept:{name}", "--executor", executor, "--grace=3600",
                "--history", str(file)) as (process, _, url):
        id = start(url, name, **parameters)
        wait_for(url, id, result="stubborn" if parameters else "silent from now on")
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_closed(url))
        process.send_signal(signal.SIGTERM)
        process.wait(WAIT)
        assert "Traceback" not in process.stderr.read()
    wait_until(lambda: is_free(lock))
    with contextlib.closing(FileHistory(file)) as history:
        assert history.get(id).state is State.INTERRUPTED


@SIGNALS
def test_second_signal_in_another_thread():
    """A second signal ends the server at once, also if another thread receives it."""
    with served("tests.kept:impatient", "--grace=3600") as (process, _, url):
        wait_for(url, start(url, "impatient"), state="running")
        process.send_signal(signal.SIGTERM)
        process.wait(WAIT)


# A history that outlives the server


@SIGNALS
def test_history(tmp_path):
    """With ``--history`` a restarted server knows jobs, their keys, and forgotten ones."""
    log, file = tmp_path / "log", tmp_path / "history.sqlite3"
    arguments = "tests.kept:note", "--history", str(file)
    once = {"Idempotency-Key": "once"}
    with served(*arguments) as (process, _, url):
        first = start(url, "note", once, log=log, name="a", end=True)
        second = start(url, "note", log=log, name="b", end=True)
        before = wait_for(url, first, state="completed")
        wait_for(url, second, state="completed")
        assert ask(f"{url}v1/jobs/{second}", "DELETE") == (204, None)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT) == 0
    with served(*arguments) as (_, _, url):
        assert get(f"{url}v1/jobs/{first}") == before
        assert [job["id"] for job in get(f"{url}v1/jobs")["jobs"]] == [first]
        assert [ask(f"{url}v1/jobs/{id}")[0] for id in (second, 32 * "0")] == [410, 404]
        assert start(url, "note", once, log=log, name="a", end=True) == first
        assert ask(f"{url}v1/kept/note?log={log}&name=c&end=1", "POST", **once)[0] == 422
    assert log.read_text().split() == ["a", "b"]


@SIGNALS
@pytest.mark.slow
@pytest.mark.parametrize("requeue", [False, True])
def test_kill_9(tmp_path, requeue):
    """After ``kill -9`` what ran is interrupted with its last report, which is a second old.

    So is what waited, or with ``--requeue`` it is run; what ran is not run again.
    """
    log, file = tmp_path / "log", tmp_path / "history.sqlite3"
    arguments = "tests.kept:note", "--history", str(file)
    with served(*arguments) as (process, _, url):
        ids = [start(url, "note", log=log, name=name, end=name != "a") for name in "abc"]
        wait_for(url, ids[0], state="running")
        began = time.time()
        wait_until(lambda: (get(f"{url}v1/jobs/{ids[0]}")["result"] or 0) > began + 1.2)
        process.kill()
        process.wait(WAIT)
        killed = time.time()
    with served(*arguments, *["--requeue"] * requeue) as (process, _, url):
        status = get(f"{url}v1/jobs/{ids[0]}")
        assert (status["state"], status["stop_reason"]) == ("interrupted", "interrupted")
        assert killed - 2 < status["result"] <= killed  # a second, and one for a busy machine
        for id, name in zip(ids[1:], "bc"):
            state = "completed" if requeue else "interrupted"
            assert wait_for(url, id, state=state)["result"] == (name if requeue else None)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT) == 0
    assert "".join(log.read_text().split()) == ("abc" if requeue else "a")


@SIGNALS
def test_requeue_after_a_clean_end(tmp_path):
    """What waited at a clean end is run with ``--requeue`` as well."""
    log, file = tmp_path / "log", tmp_path / "history.sqlite3"
    arguments = "tests.kept:note", "--history", str(file), "--requeue"
    with served(*arguments) as (process, _, url):
        ids = [start(url, "note", log=log, name=name, end=name != "a") for name in "ab"]
        wait_until(lambda: log.exists() and log.read_text() == "a\n")
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT) == 0
        assert "cannot write" not in process.stderr.read()
    with served(*arguments) as (_, _, url):
        assert wait_for(url, ids[1], state="completed")["result"] == "b"
        assert get(f"{url}v1/jobs/{ids[0]}")["state"] == "interrupted"
    assert log.read_text().split() == ["a", "b"]


def test_requeue_where_nobody_can_be_served(tmp_path):
    """A server that cannot listen runs none of the jobs that waited: the next one does."""
    log, file = tmp_path / "log", tmp_path / "history.sqlite3"
    waiting = Status("0" * 32, "kept", "note", created_at="2026-01-01T00:00:00.000Z")
    with contextlib.closing(FileHistory(file)) as history:
        history.start(waiting, {"log": str(log), "name": "a", "end": True}, waits=True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("tests.kept:note", "--history", str(file), "--requeue",
                   "--port", str(taken.getsockname()[1]))
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert not log.exists()
    with served("tests.kept:note", "--history", str(file), "--requeue") as (_, _, url):
        assert wait_for(url, waiting.id, state="completed")["result"] == "a"


def test_history_that_cannot_be_used(tmp_path):
    """A history that cannot be used is one line that says why, and exit code 2."""
    text = tmp_path / "text"
    text.write_text("this is no database\n" * 100)
    used = tmp_path / "history.sqlite3"
    with served("tests.kept:note", "--history", str(used)) as (_, _, url):
        for file, says in (used, "another server uses it"), (text, "not a database"), (
                tmp_path / "missing" / "file", "open .*database"), (tmp_path, "open .*database"):
            done = run("tests.kept:note", "--history", str(file), "--port", "0")
            assert (done.returncode, done.stdout) == (2, "")
            expected = (f"longop.serve: cannot keep the history in {re.escape(str(file))}: "
                        f".*{says}.*\n")
            assert re.fullmatch(expected, done.stderr)
        id = start(url, "note", log=tmp_path / "log", end=True)
        wait_for(url, id, state="completed")


@SIGNALS
def test_the_end_on_a_full_disk(tmp_path):
    """SIGTERM ends a server whose disk is full, with several operations, cleanly."""
    (tmp_path / "work.py").write_text(
        "import resource\n"
        "def fill(callback):\n"
        "    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))\n"
        "def wait(callback):\n"
        "    while True:\n"
        "        callback.wait(1)\n")
    with served("work.py", "--history", "jobs.sqlite3", cwd=tmp_path) as (process, _, url):
        waiting, filling = (
            ask(f"{url}v1/work/{name}", "POST", Prefer="respond-async")[1]["id"]
            for name in ("wait", "fill"))
        wait_for(url, filling, state="completed")
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT) == 0
        said = process.stderr.read()
        assert "cannot write the history" in said
        assert "Traceback" not in said
    with contextlib.closing(FileHistory(tmp_path / "jobs.sqlite3")) as history:
        assert history.get(waiting).state is State.INTERRUPTED


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_history_of_the_code(tmp_path, executor):
    """An operation with a history of its own is served, with options, wherever it runs."""
    (tmp_path / "work.py").write_text(
        "import longop\n"
        f"@longop.long_operation(history='history.sqlite3', executor={executor!r})\n"
        "def work(callback):\n"
        "    return 'value'\n")
    with served("work.py", "--limit", "2", cwd=tmp_path) as (process, line, url):
        assert line, process.stderr.read()
        code, answer = ask(url + "v1/work/work", "POST")
        assert code == 200, answer
        wait_for(url, answer["commandId"], state="completed", result="value")


# Who may come in


def asked(url, path="", data=None, **headers):
    """Return the status, the headers and the body of an answer, as it came."""
    netloc = urllib.parse.urlsplit(url).netloc
    connection = http.client.HTTPConnection(netloc, timeout=WAIT)
    with contextlib.closing(connection):
        headers = {name.replace("_", "-"): text for name, text in headers.items()}
        connection.request("POST" if data is not None else "GET", "/" + path, data, headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()


def test_token_of_its_own():
    """Beyond loopback nobody comes in without the token printed with the address."""
    with served("examples.long_process", "--host", "0.0.0.0") as (_, line, url):
        printed = r".* at http://0\.0\.0\.0:\d+/\?token=([0-9a-f]{32})\n"
        token = re.fullmatch(printed, line).group(1)
        assert asked(url, "v1")[0] == asked(url)[0] == 401
        assert asked(url, "v1", Authorization=f"Bearer {token}")[0] == 200
        status, headers, _ = asked(url, f"?token={token}")
        assert (status, headers["Location"]) == (303, "/")
        cookie = headers["Set-Cookie"].partition(";")[0]
        assert b"<title>" in asked(url, Cookie=cookie)[2]
        assert asked(url, "v1/jobs/x/cancel", b"", Cookie=cookie)[0] == 404
        host = f"any.example:{urllib.parse.urlsplit(url).port}"
        assert asked(url, "v1", Host=host, Cookie=cookie)[0] == 200


@pytest.mark.parametrize(("arguments", "environment"), [
    (["--token", "a&b"], {}), ([], {"LONGOP_TOKEN": "a&b"}),
    (["--token", "a&b"], {"LONGOP_TOKEN": "other"})])
def test_given_token(arguments, environment):
    """A token may be given, as an option or in the environment."""
    with served("examples.long_process", *arguments, **environment) as (_, _, url):
        assert url.endswith("/?token=a%26b")
        assert asked(url, "v1")[0] == 401
        assert asked(url, "v1", Authorization="Bearer a&b")[0] == 200


def test_an_empty_variable_is_no_token():
    """An empty LONGOP_TOKEN, as a compose file leaves it, disables nothing."""
    with served("examples.long_process", "--host", "0.0.0.0", LONGOP_TOKEN="") as (_, line, url):
        assert "?token=" in line
        assert asked(url, "v1")[0] == 401


def test_no_token():
    """An empty token disables it; then the host name is checked."""
    with served("examples.long_process", "--host", "0.0.0.0", "--token", "",
                "--allow-host", "pi.example") as (_, line, url):
        assert "token" not in line
        assert asked(url, "v1")[0] == asked(url, "v1", Host="pi.example:1")[0] == 200
        assert asked(url, "v1", Host="evil.example")[0] == 421


def test_root_path():
    """Below a path, which a proxy may strip or pass on, addresses begin with it."""
    with served("examples.long_process", "--root-path", "/jobs/") as (_, _, url):
        for prefix in "", "jobs/":
            start = f"{prefix}v1/long_process/a_long_process"
            status, headers, _ = asked(url, start, b"", Prefer="respond-async")
            assert (status, headers["Location"][:14]) == (202, "/jobs/v1/jobs/")
            assert asked(url, headers["Location"][1:])[0] == 200


def test_origins():
    """Another site's page may do nothing unless it is allowed."""
    with served("examples.long_process", "--allow-origin", "https://a.example") as (_, _, url):
        path = "v1/long_process/a_long_process"
        assert asked(url, path, b"", Origin="https://b.example")[0] == 403
        assert json.loads(asked(url, "v1/jobs")[2]) == {"jobs": []}
        status, headers, _ = asked(url, path, b"", Origin="https://a.example")
        assert (status, headers["Access-Control-Allow-Origin"]) == (200, "https://a.example")


@pytest.mark.parametrize(("flag", "number", "headers", "status"), [
    ("--max-head", 300, {"X": 300 * "a"}, 431),
    ("--max-headers", 4, dict.fromkeys("ABC", "1"), 431),
    ("--max-url", 5, {}, 414), ("--max-body", 9, {"Content_Length": "10"}, 413),
    ("--max-connections", 0, {}, 503)])
def test_limits(flag, number, headers, status):
    """Each limit has its flag."""
    with served("examples.long_process", flag, str(number)) as (_, _, url):
        assert asked(url, "v1/jobs", **headers)[0] == status


def test_limits_of_time():
    """The limits of time have flags too, and the depth of JSON."""
    with served("examples.long_process", "--request-time", "0.05", "--idle-time", "0.05",
                "--max-depth", "1") as (_, _, url):
        status, _, body = asked(url, "v1/long_process/a_long_process", b'{"a": [[1]]}',
                                Content_Type="application/json", Prefer="respond-async")
        assert (status, b"nested too deeply" in body) == (400, True)
        host, port = urllib.parse.urlsplit(url).netloc.split(":")
        with socket.create_connection((host, int(port)), WAIT) as client:
            client.sendall(b"GET /v1 HT")
            assert client.recv(13) == b"HTTP/1.1 408 "


def test_bad_certificate(tmp_path):
    """A file that is no certificate is reported."""
    (tmp_path / "cert").write_text("none")
    for name in "cert", "nothing":
        done = subprocess.run([sys.executable, "-m", "longop.serve", "examples.long_process",
                               "--tls-cert", str(tmp_path / name)], cwd=str(ROOT),
                              timeout=WAIT, capture_output=True)
        assert done.returncode == 2
        assert done.stderr.startswith(b"longop.serve: cannot use the certificate ")


@SIGNALS
def test_watcher_sees_the_end():
    """When the server ends, those who watch a job see how it ended."""
    with served("examples.long_process") as (process, _, url):
        id = ask(f"{url}v1/long_process/a_long_process", "POST")[1]["commandId"]
        netloc = urllib.parse.urlsplit(url).netloc
        connection = http.client.HTTPConnection(netloc, timeout=WAIT)
        with contextlib.closing(connection):
            connection.request("GET", f"/v1/jobs/{id}/events")
            events = connection.getresponse()
            assert events.readline() == b"event: status\n"
            process.send_signal(signal.SIGTERM)
            last = [line for line in events if line.startswith(b"data: ")][-1]
        assert json.loads(last[6:])["state"] == "interrupted"
        assert process.wait(WAIT) == 0


# What a terminal, a module and a Python may be like


@pytest.mark.parametrize("environment", [
    {"PYTHONIOENCODING": "cp1252"},
    pytest.param({"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
                 marks=has_narrow_locales)])
def test_name_that_cannot_be_printed(tmp_path, environment):
    """A name that standard output cannot encode is escaped, and served."""
    (tmp_path / "work.py").write_text("def \u6570(callback): return 1\n", encoding="utf-8")
    with served("work.py", cwd=tmp_path, **environment) as (_, line, url):
        assert line.startswith("work/\\u6570 at ")
        assert ask(f"{url}v1/work/%E6%95%B0", "POST")[0] == 200


@SIGNALS
@pytest.mark.parametrize(("setup", "expected"), [
    ("logging.basicConfig(level='INFO', format='MINE %(levelname)s')", "MINE INFO\n"),
    ("logging.getLogger('longop').addHandler(logging.NullHandler())", ""),
    ("", None)])
def test_logging_of_the_module(tmp_path, setup, expected):
    """A module that sets up logging itself is respected."""
    (tmp_path / "work.py").write_text(f"import logging\n{setup}\ndef work(callback): pass\n")
    with served("work.py", cwd=tmp_path) as (process, _, url):
        wait_for(url, ask(url + "v1/work/work", "POST")[1]["commandId"], state="completed")
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT) == 0
        log = process.stderr.read()
    if expected is None:
        assert re.match(r"\d{4}-\d\d-\d\d .* running>\n", log)
    else:
        assert set(log.splitlines(True)) == {line for line in [expected] if line}


@SIGNALS
def test_quiet_with_logging_of_the_module(tmp_path):
    """``--quiet`` holds, whoever has set up logging."""
    (tmp_path / "work.py").write_text(
        "import logging\nlogging.basicConfig(level='INFO')\ndef work(callback): pass\n")
    with served("work.py", "--quiet", cwd=tmp_path) as (process, _, url):
        wait_for(url, ask(url + "v1/work/work", "POST")[1]["commandId"], state="completed")
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT) == 0
        assert process.stderr.read() == ""


@SIGNALS
def test_interrupt_during_the_start(tmp_path):
    """Ctrl-C while a module is still loading ends the server without a traceback."""
    (tmp_path / "work.py").write_text(
        "import time\nprint('loading', flush=True)\ntime.sleep(3600)\n")
    with served("work.py", cwd=tmp_path) as (process, line, _):
        assert line == "loading\n"
        process.send_signal(signal.SIGINT)
        assert (process.wait(WAIT), process.stderr.read()) == (130, "")


@pytest.mark.parametrize(("missing", "arguments"), [
    ("ssl", ["--tls-cert", "cert.pem"]), ("_ssl", ["--tls-cert", "cert.pem"]),
    ("sqlite3", ["--history", "h.sqlite3"]), ("_sqlite3", ["--history", "h.sqlite3"])])
def test_python_without_a_module(tmp_path, missing, arguments):
    """An option that needs what this Python does not have is one line, and exit code 2."""
    block = f"import sys\nsys.modules[{missing!r}] = None\n"
    (tmp_path / "work.py").write_text(block + "def work(callback): pass\n")
    done = subprocess.run(
        [sys.executable, "-m", "longop.serve", "work.py", "--port", "0", *arguments],
        cwd=str(tmp_path), env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=WAIT,
        capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (f"longop.serve: {arguments[0]} needs the module {missing}, which "
                           "this Python does not have\n")
@pytest.mark.skipif(wings.find("mcp") is None, reason="longop.mcp is not in this copy")
@pytest.mark.parametrize(("option", "status"), [("--quiet", 405), ("--no-mcp", 404)])
def test_mcp(option, status):
    """Agents find the operations at /mcp, unless that is left out."""
    with served("examples.long_process", option) as (_, _, url):
        with pytest.raises(urllib.error.HTTPError) as caught:
            get(url + "mcp")
        with caught.value:
            assert caught.value.code == status
