"""The shell commands of README, docs/ and the other documents: each is known and tried."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request

import pytest

from . import waiting
from .documents import DOCUMENTS, ROOT, blocks, shell_lines
from .serve.test_main import get, served, wait_for_log
from .windows import SIGNALS

WAIT = 2 * waiting.WAIT  # seconds: each starts processes

# Every shell command that is not curl, in its document's order. What runs it is below.
PYZ = ["python3 -m zipapp FOLDER -m longop.__main__:main -o longop.pyz",
       "python3 longop.pyz serve work.py"]
COMMANDS = {
    "CONTRIBUTING.md": [
        "python3 -m tests",
        "python3 -m tests tests/web/test_gate.py -k token",
        "python3 -m tests.bench report",
        ".ci/run",
    ],
    "README.md": [
        "python3 -m longop serve work.py",
        *PYZ,
        "python3 -m longop.serve examples.long_process",
        "python3 -m tests",
        "python3 -m longop.run examples.long_process",
    ],
    "docs/http.md": [
        "python3 -m longop.client http://127.0.0.1:32168/ a_long_process",
    ],
    "docs/serve.md": [
        "python3 -m longop serve TARGET...",
        "python3 -m longop serve work.py --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem",
        "python3 -m longop serve work.py --root-path /jobs --allow-host jobs.example.com",
        "python3 -m zipfile -c longop.zip longop/",
        "PYTHONPATH=longop.zip python3 -m longop.serve examples.long_process",
        *PYZ,
    ],
    "docs/terminal.md": [
        "python3 -m longop.run examples.long_process",
        "python3 -m longop.run examples.long_process --help",
    ],
    "docs/codeproject.md": [
        "python3 -m longop.serve your_adapter.py",
        "python3 -m longop.codeproject examples.long_process",
        "python3 -m longop.codeproject new PythonLongProcess examples/long_process.py",
    ],
    "docs/mcp.md": [
        "python3 -m longop.mcp work.py",
        "python3 -m tests.bench mcp",
    ],
    "docs/measurements.md": [
        "python3 -m tests.bench servers start idle watch delay",
        "python3 -m tests.bench growth crowd",
        "python3 -m tests.bench import report cancel process history",
        "python3 -m tests.bench heads bodies mutate --count 100000 --seed 1",
    ],
}


@pytest.fixture
def work(tmp_path):
    """A folder with the README's first function in a file, and the examples."""
    (tmp_path / "work.py").write_text(blocks("README.md", "python")[0])
    shutil.copytree(str(ROOT / "examples"), str(tmp_path / "examples"))
    return tmp_path


def argv(command):
    """Return the arguments of one of the commands, for this Python."""
    return [sys.executable if word == "python3" else word for word in shlex.split(command)]


# HTTP


def curl(line, url, id):
    """Do what a curl line does, at another address and with a job's id; return its answer."""
    options = {"-X": None, "-d": None, "--json": None}
    words = iter(shlex.split(line)[1:])
    for word in words:
        if word in options:
            options[word] = next(words)
        else:
            address = word.replace("localhost:32168/", url).replace("ID", id)
    if options["--json"] is not None:
        request = urllib.request.Request(address, options["--json"].encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=WAIT) as answer:
            return json.loads(answer.read())
    data = None if options["-d"] is None else options["-d"].encode()
    method = options["-X"] or ("GET" if data is None else "POST")
    return get(address, data, method)


def curl_lines(document):
    return [line for line in shell_lines(document) if line.startswith("curl ")]


def test_http():
    """The README's curl lines do what the README says."""
    lines = curl_lines("README.md")
    assert len(lines) == 3
    with served("examples.long_process") as (process, _, url):
        answers, id = [], "ID"
        for line in lines:
            answers.append(curl(line, url, id))
            id = answers[0]["commandId"]
        assert answers[1]["state"] == "running"
        assert answers[2]["state"] == "cancelling"
        assert list(answers[1]) == list(json.loads(blocks("docs/http.md", "json")[0]))
        wait_for_log(process, "cancelled")


def test_ways_to_send_parameters(work):
    """The curl lines of docs/http.md start a job, each with its parameter."""
    lines = curl_lines("docs/http.md")
    assert len(lines) == 3
    with served("work.py", cwd=work) as (_, _, url):
        for line in lines:
            assert curl(line, url, "ID")["commandId"]
        jobs = get(url + "v1/jobs")["jobs"]
        assert [job["parameters"] for job in jobs] == [{"to": 5}] * 3


# Other commands


@pytest.mark.parametrize("document", sorted(DOCUMENTS))
def test_commands_are_known(document):
    """A document has no other commands than those that are tried here."""
    commands = [line for line in shell_lines(document) if not line.startswith("curl ")]
    assert commands == COMMANDS.get(document, [])


@contextlib.contextmanager
def running(command, folder, **environment):
    """Run a command in a folder, where longop is on the path; yield its process."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environment}
    with subprocess.Popen(argv(command), cwd=str(folder), env=env, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            yield process
        finally:
            process.kill()


def start_and_cancel(url, operation):
    """Start a job there, cancel it, and see that it has stopped."""
    id = get(f"{url}v1/{operation}", b"")["commandId"]
    status = get(f"{url}v1/jobs/{id}/cancel", b"")
    while status["finished_at"] is None:
        status = get(f"{url}v1/jobs/{id}?since={status['version']}&wait={WAIT}")
    assert status["state"] == "cancelled"


@pytest.mark.parametrize(("command", "operation"), [
    ("python3 -m longop serve work.py", "work/count"),
    ("python3 -m longop work.py", "work/count"),
    (COMMANDS["docs/serve.md"][2], "work/count"),
    ("python3 -m longop.serve examples.long_process", "long_process/a_long_process"),
])
def test_serve(command, operation, work):
    """The README's servers serve, and a cancel stops the job."""
    with running(f"{command} --quiet --port 0", work) as process:
        line = process.stdout.readline()
        assert line.startswith(f"{operation} at http://127.0.0.1:")
        start_and_cancel(line.split()[-1], operation)


def test_pyz(work):
    """One file that zipapp makes serves, and runs jobs in processes."""
    make, serve = PYZ
    folder = work / "folder with a space"
    shutil.copytree(str(ROOT / "longop"), str(folder / "longop"))
    make = make.replace("FOLDER", shlex.quote(folder.name))
    subprocess.run(argv(make), cwd=str(work), check=True)
    for executor in "thread", "process":
        options = f"--executor {executor} --quiet --port 0"
        with running(f"{serve} {options}", work, PYTHONPATH="") as process:
            line = process.stdout.readline()
            assert line.startswith("work/count at http://127.0.0.1:")
            start_and_cancel(line.split()[-1], "work/count")


def test_zip(work):
    """A zip file on the path is enough."""
    command = COMMANDS["docs/serve.md"][3].replace("longop.zip", (work / "longop.zip").as_posix())
    subprocess.run(argv(command), cwd=str(ROOT), check=True)
    with served("examples.long_process", cwd=work, PYTHONPATH="longop.zip") as (_, line, _url):
        assert line.startswith("long_process/a_long_process at ")


def interrupt(process):
    """Send Ctrl-C to a command that shows a job, as soon as it does; return its exit code."""
    assert "running" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.stdout.read()
    return process.wait(WAIT)


@SIGNALS
def test_run(work):
    """The README's run shows the job, and Ctrl-C cancels it."""
    with running("python3 -m longop.run examples.long_process", work) as process:
        assert interrupt(process) == 130


def test_help_of_an_operation(work):
    """The help of an operation is there, and starts nothing."""
    with running(COMMANDS["docs/terminal.md"][1], work) as process:
        out = process.stdout.read()
        assert process.wait(WAIT) == 0
    assert out.startswith("usage: python -m longop.run examples.long_process ")


@SIGNALS
def test_client(work):
    """The client's command shows a job of a server, and Ctrl-C cancels it."""
    command = COMMANDS["docs/http.md"][0]
    with contextlib.ExitStack() as stack:
        _, _, url = stack.enter_context(served("examples.long_process"))
        command = command.replace("http://127.0.0.1:32168/", url)
        process = stack.enter_context(running(command, work))
        assert interrupt(process) == 130


def test_mcp(work):
    """The command of the agents' page answers on standard output."""
    hello = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    done = subprocess.run(argv(COMMANDS["docs/mcp.md"][0]), cwd=str(work), check=True, timeout=WAIT,
                          input=json.dumps(hello) + "\n", stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    [tool] = json.loads(done.stdout)["result"]["tools"]
    assert tool["name"] == "count"


def test_tests():
    """The command for the tests is there, and the one for a single test runs some."""
    for command in "python3 -m tests --version", COMMANDS["CONTRIBUTING.md"][1]:
        done = subprocess.run(argv(command), cwd=str(ROOT), check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert re.search("pytest [0-9]|[0-9] passed", done.stdout)
    assert os.access(str(ROOT / ".ci" / "run"), os.X_OK)


def test_adapter(work):
    """An adapter is served as a file is."""
    adapter = "examples/PythonLongProcess/a_long_process_adapter.py"
    command = COMMANDS["docs/codeproject.md"][0].replace("your_adapter.py", adapter)
    with running(f"{command} --quiet --port 0", work) as process:
        assert process.stdout.readline().startswith("long_process/a_long_process at ")


def test_new_module(work):
    """The scaffold writes the folder that is in examples/."""
    command = COMMANDS["docs/codeproject.md"][2]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(argv(command), cwd=str(work), env=env, check=True, stdout=subprocess.PIPE)
    written = {path.name for path in (work / "PythonLongProcess").iterdir()}
    example = {*os.listdir(str(ROOT / "examples" / "PythonLongProcess"))} - {"__pycache__"}
    assert written - {"__pycache__"} == example | {"longop"}


def test_benchmarks():
    """The measurements' commands name benchmarks that there are."""
    pytest.importorskip("venv")  # the embeddable Python of Windows has none
    from .bench.__main__ import WHERE

    for command in [*COMMANDS["docs/measurements.md"], COMMANDS["CONTRIBUTING.md"][2]]:
        names, _, _ = command.partition(" --")
        assert set(names.split()[3:]) <= set(WHERE)
