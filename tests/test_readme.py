"""README and docs are true: their commands, Python, HTTP lines, tables and links."""

import ast
import contextlib
import dataclasses
import importlib.util
import inspect
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import longop

from .serve.test_main import get, served, wait_for_log

ROOT = Path(__file__).parent.parent
DOCUMENTS = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
}
README = DOCUMENTS["README.md"]
HTTP = DOCUMENTS["docs/http.md"]
SERVE = DOCUMENTS["docs/serve.md"]

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
        "python3 -m zipfile -c longop.zip longop/",
        "PYTHONPATH=longop.zip python3 -m longop.serve examples.long_process",
        *PYZ,
    ],
    "docs/codeproject.md": [
        "python3 -m longop.serve your_adapter.py",
        "python3 -m longop.codeproject examples.long_process",
        "python3 -m longop.codeproject new PythonLongProcess examples/long_process.py",
    ],
    "docs/measurements.md": [
        "python3 -m tests.bench servers start idle watch delay",
        "python3 -m tests.bench import report cancel process history",
    ],
}


def blocks(document, kind):
    """Return the contents of a document's code blocks of a kind."""
    return re.findall(rf"```{kind}\n(.*?)```", DOCUMENTS[document], re.S)


def shell_lines(document):
    return [line for block in blocks(document, "sh") for line in block.splitlines()]


def argv(command):
    """Return the arguments of one of the commands, for this Python."""
    return [sys.executable if word == "python3" else word for word in shlex.split(command)]


def test_the_readme_is_short():
    """The README has fewer than 250 lines."""
    assert len(README.splitlines()) < 250


# Python


def python_blocks():
    """Return each Python block, with its document and the output that is shown after it."""
    pattern = r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?"
    found = []
    for document, text in DOCUMENTS.items():
        for number, (code, output) in enumerate(re.findall(pattern, text, re.S), 1):
            found.append(pytest.param(code, output, id=f"{document}-{number}"))
    return found


def packages_of(code):
    """Return the packages that a piece of code imports."""
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize(("code", "output"), python_blocks())
def test_python(code, output):
    """The Python of the documents prints what they show."""
    for package in packages_of(code):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"there is no {package} here")
    done = subprocess.run([sys.executable, "-W", "error::SyntaxWarning", "-c", code],
                          cwd=str(ROOT), stdout=subprocess.PIPE, check=True, timeout=60,
                          text=True)
    assert done.stdout == output


def test_each_output_follows_its_code():
    """No output is shown that no test compares."""
    for document in DOCUMENTS:
        shown = [block.values[1] for block in python_blocks()
                 if block.id.startswith(f"{document}-") and block.values[1]]
        assert shown == blocks(document, "text")


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
        with urllib.request.urlopen(request, timeout=20) as answer:
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


# Commands


@pytest.mark.parametrize("document", sorted(DOCUMENTS))
def test_commands_are_known(document):
    """A document has no other commands than those that are tried here."""
    commands = [line for line in shell_lines(document) if not line.startswith("curl ")]
    assert commands == COMMANDS.get(document, [])


@pytest.fixture
def work(tmp_path):
    """A folder with the README's first function in a file, and the examples."""
    (tmp_path / "work.py").write_text(blocks("README.md", "python")[0])
    shutil.copytree(str(ROOT / "examples"), str(tmp_path / "examples"))
    return tmp_path


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
        status = get(f"{url}v1/jobs/{id}?since={status['version']}&wait=20")
    assert status["state"] == "cancelled"


@pytest.mark.parametrize(("command", "operation"), [
    ("python3 -m longop serve work.py", "work/count"),
    ("python3 -m longop work.py", "work/count"),
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
    subprocess.run([sys.executable, "-m", "zipfile", "-c", str(work / "longop.zip"), "longop/"],
                   cwd=str(ROOT), check=True)
    with served("examples.long_process", cwd=work, PYTHONPATH="longop.zip") as (_, line, _url):
        assert line.startswith("long_process/a_long_process at ")


def interrupt(process):
    """Send Ctrl-C to a command that shows a job, as soon as it does; return its exit code."""
    assert "running" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.stdout.read()
    return process.wait(20)


def test_run(work):
    """The README's run shows the job, and Ctrl-C cancels it."""
    with running("python3 -m longop.run examples.long_process", work) as process:
        assert interrupt(process) == 130


def test_client(work):
    """The client's command shows a job of a server, and Ctrl-C cancels it."""
    command = COMMANDS["docs/http.md"][0]
    with contextlib.ExitStack() as stack:
        _, _, url = stack.enter_context(served("examples.long_process"))
        command = command.replace("http://127.0.0.1:32168/", url)
        process = stack.enter_context(running(command, work))
        assert interrupt(process) == 130


def test_tests():
    """The command for the tests is there, and the one for a single test runs some."""
    for command in "python3 -m tests --version", COMMANDS["CONTRIBUTING.md"][1]:
        done = subprocess.run(argv(command), cwd=str(ROOT), check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert re.search("pytest [0-9]|[0-9] passed", done.stdout)
    assert os.access(str(ROOT / ".ci" / "run"), os.X_OK)


def test_new_module(work):
    """The scaffold writes the folder that is in examples/."""
    command = COMMANDS["docs/codeproject.md"][2]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(argv(command), cwd=str(work), env=env, check=True, stdout=subprocess.PIPE)
    written = {path.name for path in (work / "PythonLongProcess").iterdir()}
    assert written == {*os.listdir(str(ROOT / "examples" / "PythonLongProcess")), "longop"}


def test_benchmarks():
    """The measurements' commands name benchmarks that there are."""
    from .bench.__main__ import WHERE

    for command in [*COMMANDS["docs/measurements.md"], COMMANDS["CONTRIBUTING.md"][2]]:
        assert set(command.split()[3:]) <= set(WHERE)


# Tables


def rows(text, heading):
    """Return the rows of the table whose first heading is this one, each a list of cells."""
    table = re.search(rf"^\| {heading} \|.*\n\|[-| :]+\n((?:\|.*\n)+)", text, re.M)[1]
    return [re.split(r" *\| *", line)[1:-1] for line in table.splitlines()]


def test_options():
    """The README's table has each option of `LongOperation`, and its default."""
    known = inspect.signature(longop.LongOperation.__init__).parameters
    shown = {option.strip("` "): default for option, default, _ in rows(README, "option")}
    assert {*shown} == {*known} - {"self", "function", "owner", "clock"}
    for name, default in shown.items():
        if default.isdigit():
            assert float(default) == known[name].default
        elif default.startswith("`"):
            assert ast.literal_eval(default.strip("`")) == known[name].default
        else:
            assert known[name].default is None


def test_handler_attributes():
    """docs/embedding.md has the attributes of `longop.Handler`."""
    for name, *_ in rows(DOCUMENTS["docs/embedding.md"], "class attribute"):
        assert hasattr(longop.Handler, name.strip("` ")) or (
            name.strip("` ") in longop.Handler.__annotations__)


def test_server_options():
    """docs/serve.md has each option of ``longop serve``, and no other."""
    done = subprocess.run(argv("python3 -m longop.serve --help"), cwd=str(ROOT), check=True,
                          stdout=subprocess.PIPE, text=True)
    tables = [row[0] for row in rows(SERVE, "option")]
    tables += [row[1] for row in rows(SERVE, "limit")]
    options = set(re.findall(r"--[a-z-]+", done.stdout)) - {"--help"}
    assert set(re.findall(r"--[a-z-]+", " ".join(tables))) == options


def test_limits():
    """docs/serve.md has the limits and their defaults."""
    shown = {}
    for _, flag, default, _ in rows(SERVE, "limit"):
        name = flag.strip("`-").replace("-", "_")
        shown[name] = float(default.split()[0].replace(",", ""))
    assert shown == {field.name: field.default for field in dataclasses.fields(longop.Limits)}


def test_errors():
    """docs/http.md has each error that a request can meet, with its status."""
    text = (ROOT / "longop" / "web" / "openapi.json").read_text(encoding="utf-8")
    described = json.loads(text)["components"]["responses"]
    for status, cell, _ in rows(HTTP, "status"):
        kind = cell.strip("`")
        assert kind in described
        if kind not in ("Busy", "RequestError"):  # these have several
            assert getattr(longop, kind).status == int(status)


def test_routes():
    """Every route in the table is one of the API's."""
    from longop.web.api import Api

    api = Api([longop.LongOperation(lambda callback: 1, name="operation")])
    api._operations[0].module = "module"
    api = Api(api._operations)
    routes = re.findall(r"^\| (`(?:GET|POST|DELETE).*?`) \|", HTTP, re.M)
    assert len(routes) > 9
    for methods, path in re.findall(r"`([A-Z][\w ]*) (/[^`]*)`", " ".join(routes)):
        for method in methods.split(" or "):
            assert method in api._find_views(re.sub(r"<(\w+)>", r"\1", path)), path


# Links


def anchors(path):
    """Return the places in a document that a link can lead to."""
    headings = re.findall("^#+ (.*)", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", sorted(DOCUMENTS))
def test_links(document):
    """Every link leads to a file, and to a heading in it."""
    for link in re.findall(r"\]\((?!http)([^)]+)\)", DOCUMENTS[document]):
        place, _, anchor = link.partition("#")
        target = (ROOT / document).parent / place if place else ROOT / document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_document_is_linked():
    """The README leads to each of the documents."""
    for document in DOCUMENTS:
        assert document == "README.md" or f"({document}" in README
