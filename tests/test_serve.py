"""``python -m longop.serve`` as a process of its own."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WAIT = 20

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


def wait_for_log(process, text):
    """Read the log up to a line with a text in it."""
    for line in process.stderr:
        if text in line:
            return line
    raise AssertionError(f"{text!r} is not in the log")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_main_job(number):
    """The example is started, watched and really cancelled; Ctrl-C and SIGTERM end the server."""
    with served("examples.long_process") as (process, line, url):
        assert re.fullmatch(r"long_process/a_long_process at http://127\.0\.0\.1:\d+/\n", line)
        id = get(url + "v1/long_process/a_long_process", b"")["commandId"]
        wait_for_log(process, "running")
        assert get(url + "v1/jobs/" + id)["state"] == "running"
        assert get(f"{url}v1/jobs/{id}/cancel", b"")["state"] == "cancelling"
        wait_for_log(process, "cancelled")
        status = get(url + "v1/jobs/" + id)
        assert (status["state"], status["result"]) == ("cancelled", "1")
        process.send_signal(number)
        assert process.wait(WAIT) == 0
        assert "Traceback" not in process.stderr.read()


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


def test_stubborn_job_does_not_hold_up_the_end(tmp_path):
    """A job that does not stop is named in the log, and the server ends all the same."""
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    with served("stubborn.py", cwd=tmp_path) as (process, _, url):
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
    """Several targets are served together, and told in one line."""
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
    """What cannot be served is one line that says what to do, and exit code 2."""
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr.lower().replace("1:0", "1:32168")
    assert len(done.stderr.splitlines()) == 1


def test_taken_port():
    """A port that is taken is one line that says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("examples.long_process", "--port", port)
    assert done.returncode == 2
    assert f"127.0.0.1:{port}" in done.stderr
    assert "choose another --port" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [[], ["x", "--limit", "0"], ["x", "--when-busy", "panic"],
                                       ["x", "--port", "y"]])
def test_wrong_usage(arguments):
    """Wrong usage is told, with exit code 2."""
    done = run(*arguments)
    assert done.returncode == 2
    assert "usage: python -m longop.serve" in done.stderr


def test_ipv6():
    """It listens on an IPv6 address as well."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with served("examples.long_process", "--host", "::1") as (process, line, url):
        if not line and "Cannot assign" in process.stderr.read():
            pytest.skip("no IPv6 address here")
        assert urllib.parse.urlsplit(url).netloc.startswith("[::1]:")
        assert get(url + "v1/status/ping")["success"] is True
