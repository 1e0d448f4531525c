"""`longop.codeproject.adapter`: an adapter of CodeProject.AI Server, without it."""

import json
import os
import signal
import subprocess
import sys
import threading
import types
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from longop import State
from longop.cli.target import load
from longop.codeproject import checkpoints

from ..serve.test_main import get, served
from ..waiting import WAIT, end_of, wait_until
from ..windows import NEWLINE, SIGNALS
from .adapters import ANSWERS, ARTICLE, ASYNC, HEAD, RUNNING, SETTINGS, STEPS, TWO, error

ROOT = Path(__file__).parents[2]


# The article


@pytest.fixture
def article(made, monkeypatch):
    """Return the article's adapter; the test lets its function take each step."""
    door, _ = made(ARTICLE, SETTINGS)
    door.may = threading.Semaphore(0)
    waits = types.SimpleNamespace(sleep=lambda seconds: door.may.acquire(timeout=WAIT))
    monkeypatch.setattr(sys.modules["long_process"], "time", waits)
    return door


def step(article, job, steps):
    """Let the article's function take so many steps."""
    for _ in range(steps):
        after = article.runner.step + 1
        article.may.release()
        wait_until(lambda after=after: article.runner.step >= after or job.done())


def test_the_article_completes(article):
    """The article's adapter runs to its end, and gives CodeProject's answers."""
    job = article.start(path="/v1/pythonlongprocess/long-process/command")
    step(article, job, 2)
    answer = article.status(job.id)
    assert [answer[key] for key in ("success", "message", "commandStatus", "result")] == [
        True, "The long running command is still in progress", "running", "1 2"]
    wait_until(lambda: job.status().result == "1 2")
    step(article, job, 8)
    assert end_of(job).state is State.COMPLETED
    answer = article.status(job.id)
    assert {**answer, "inferenceMs": 0, "processMs": 0} == {
        **answer, "success": True, "message": "Command has completed", "commandStatus": "completed",
        "error": None, "result": "1 2 3 4 5 6 7 8 9 10", "stop_reason": "completed",
        "inferenceMs": 0, "processMs": 0, "moduleId": "PythonLongProcess",
        "moduleName": "Python Long Process Demo", "code": 200, "inferenceDevice": "CPU"}


def test_the_article_stops(article, grace, monkeypatch):
    """Its cancel flag is broken and it forbids force, yet it stops and keeps its result."""
    grace(0.01)
    over, later = threading.Event(), checkpoints.call_later
    monkeypatch.setattr(checkpoints, "call_later", lambda seconds, function: later(
        seconds, lambda: (function(), seconds == 0.01 and over.set())))
    job = article.start()
    step(article, job, 3)
    answer = article.cancel(job.id)
    assert (answer["success"], answer["commandStatus"]) == (True, "cancelling")
    wait_until(lambda: article.runner.stop_reason == "cancelled")  # it is told so at once
    assert article.runner.force_shutdown is False
    assert article.status(job.id)["commandStatus"] == "cancelling"
    assert over.wait(WAIT)
    step(article, job, 1)
    status = end_of(job)
    assert status.state is State.CANCELLED
    assert status.result in ("1 2 3", "1 2 3 4")
    assert status.stop_reason == "cancelled"
    answer = article.status(job.id)
    assert (answer["success"], answer["commandStatus"]) == (False, "cancelled")
    assert answer["result"] == status.result


def test_the_article_has_its_grace(article, grace):
    """A command that stops by itself gets no exception before its grace period is over."""
    grace(1e6)
    job = article.start()
    step(article, job, 3)
    article.cancel(job.id)
    step(article, job, 7)
    status = end_of(job)
    assert status.state is State.CANCELLED
    assert status.result["result"] == "1 2 3 4 5 6 7 8 9 10"
    answer = article.status(job.id)
    assert (answer["success"], answer["commandStatus"], answer["stop_reason"]) == (
        True, "completed", "cancelled")  # as the SDK says, so that its pages stop polling


def test_the_article_over_http(write):
    """Served by `longop.serve`, with its real grace, it starts, reports, and really stops."""
    with served(write(ARTICLE, SETTINGS)) as (_, line, url):
        assert line.startswith("PythonLongProcess/long-process at ")
        start = url + "v1/pythonlongprocess/long-process/command"
        answer = get(start, b"")
        id = answer["commandId"]
        assert answer["commandStatus"] == "running"
        wait_until(lambda: get(f"{url}v1/jobs/{id}")["result"] == "1")
        refused = get(start, b"")
        assert (refused["success"], refused["error"]) == (False, RUNNING)
        assert refused["commandId"] == id
        form = f"commandId={id}&moduleId={answer['moduleId']}".encode()
        assert get(url + "v1/PythonLongProcess/cancel_command", form)["success"] is True
        wait_until(lambda: get(f"{url}v1/jobs/{id}")["state"] == "cancelled")
        ended = get(url + "v1/pythonlongprocess/get_command_status", form)
        assert ended["commandStatus"] == "cancelled"
        assert ended["result"] in ("1 2", "1 2 3", "1 2 3 4")
        assert get(start, b"")["success"] is True


# What takes long


def test_a_command_that_fails(made):
    """A failed command's status has its error, and its last report."""
    door, module = made(STEPS)
    job = door.start()
    module.MAY.release()
    wait_until(lambda: job.status().step == 1)
    door.runner.fails = True
    module.MAY.release()
    status = end_of(job)
    assert (status.state, status.error) == (State.FAILED, "ValueError: told to fail")
    answer = door.status(job.id)
    assert [answer[key] for key in ("success", "commandStatus", "error", "result", "code")] == [
        False, "failed", "told to fail", "1 ", 500]


@pytest.mark.parametrize(("value", "result"), [
    ("None", ""), ("[1, 2]", [1, 2]), ("'x'", "x"), ("float('nan')", None), ("b'\\0'", "AA=="),
    ("{'result': 5, 'commandId': 'x', 'commandStatus': 'y'}", 5)])
def test_what_a_command_may_return(made, value, result):
    """Whatever a long command returns is answered, under the command's own id."""
    door, _ = made(HEAD + f'''
class Any(ModuleRunner):
    def process(self, data):
        return lambda data: {value}
''')
    job = door.post()
    id = job["commandId"]
    wait_until(lambda: not door.live)
    answer = door.status(id)
    assert [answer[key] for key in ("success", "commandStatus", "commandId")] == [
        True, "completed", id]
    assert answer.get("result", "") == result


def test_a_command_that_exits(made):
    """SystemExit in a long command ends that command alone (defect 14)."""
    door, _ = made(HEAD + '''
class Exits(ModuleRunner):
    def process(self, data):
        return self.long

    def long(self, data):
        raise SystemExit("over")
''')
    for _ in range(2):
        id = door.post()["commandId"]
        wait_until(lambda: not door.live)
        answer = door.status(id)
        assert (answer["commandStatus"], answer["error"]) == ("failed", "over")


def test_progress_is_seen_at_every_door(made):
    """command_status gives the job its result, step, total and message."""
    door, module = made(STEPS)
    job = door.start()
    for expected in range(1, 4):
        module.MAY.release()
        status = wait_until(lambda step=expected: job.status().step == step and job.status())
    assert (status.result, status.total, status.progress, status.message) == (
        "1 2 3 ", 10, 0.3, "on we go")
    assert door.ask("GET", f"/v1/jobs/{job.id}")[1]["step"] == 3
    listed = door.ask("GET", "/v1/jobs")[1]["jobs"]
    assert [(one["id"], one["step"], one["state"]) for one in listed] == [(job.id, 3, "running")]
    answer = door.status(job.id)
    assert [answer[key] for key in ("step", "total", "message")] == [3, 10, "on we go"]
    job.cancel()
    module.MAY.release()
    _, events = door.ask("GET", f"/v1/jobs/{job.id}/events")
    last = json.loads(events.decode().rpartition("data: ")[2])
    assert (last["state"], last["total"]) == ("cancelled", 10)


# Answers at once


@pytest.mark.parametrize(("how", "answer"), [
    ("dict", {"success": True, "x": 1, "code": 200}), ("said", {"success": True, "x": 1}),
    ("bad", {"success": False, "error": "no face", "code": 500}),
    ("list", {"success": True, "result": [1, 2]}), ("text", {"success": True, "result": "\u00e9"}),
    ("number", {"success": True, "result": 0}), ("nan", {"success": True, "x": None}),
    ("bytes", {"success": True, "result": "AP8="}), ("deep", {"x": {"1": [2]}}),
    ("empty", {"success": True}),
    ("none", {"success": False, "code": 500}), ("raise", {"success": False}),
    ("exit", {"success": False})])
def test_what_process_may_do(made, how, answer):
    """Whatever process() does, the client gets an answer, with what CodeProject adds (defect 5)."""
    door, _ = made(ANSWERS)
    code, got = door.ask("POST", door.path, {"how": how})
    assert code == 200
    assert {**got, **answer} == got
    if how in ("none", "raise", "exit"):
        assert got["error"] == f"unable to process the request (#reqid {got['requestId']})"
    assert list(got)[-9:] == ["moduleId", "moduleName", "code", "command", "requestId",
                              "inferenceDevice", "analysisRoundTripMs", "processedBy",
                              "timestampUTC"]


def test_process_may_be_a_coroutine_function(made):
    """A process() that is async is awaited, and may answer or return a function."""
    door, _ = made(ASYNC)
    assert door.post(body={"quick": "1"})["x"] == 1


def test_a_process_that_takes_time_holds_up_nothing(write):
    """While process() is busy, a status and a cancel are answered (defect 3)."""
    source = STEPS.replace("return self.long\n", '''if data.get_value("slow"):
            MAY.acquire(timeout=10)
        return self.long
''')
    with served(write(source)) as (_, _, url):
        name = get(url + "v1")["operations"][0]["start"][1:]
        id = get(url + name, b"")["commandId"]
        stuck = []
        for _ in range(10):
            connection = HTTPConnection(urlsplit(url).netloc)
            connection.request("POST", f"/{name}?slow=1")
            stuck.append(connection)
        wait_until(lambda: get(f"{url}v1/jobs/{id}")["state"] == "running")
        connection = HTTPConnection(urlsplit(url).netloc, timeout=3)
        connection.request("POST", f"/v1/jobs/{id}/cancel")
        try:
            assert json.load(connection.getresponse())["state"] == "cancelling"
        finally:
            for one in [*stuck, connection]:
                one.close()


def test_answers_are_never_mixed(made):
    """Requests that process() answers with the same object keep their own ids (defect 6)."""
    door, _ = made(HEAD + '''
BARRIER = threading.Barrier(2)
SHARED = {"success": True}
class Shared(ModuleRunner):
    def process(self, data):
        SHARED["x"] = data.request_id
        BARRIER.wait(10)
        return SHARED
''', {"Modules": {"Mod": {**TWO["Modules"]["Mod"], "LaunchSettings": {"Parallelism": 2}}}})
    for _ in range(20):
        answers = []
        threads = [threading.Thread(target=lambda path, answers=answers: answers.append(
            door.post(path)), args=(path,)) for path in ("/v1/mod/one", "/v1/mod/deep/two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT)
        assert len({answer["requestId"] for answer in answers}) == 2
        assert {answer["command"] for answer in answers} == {"first", "second"}


# How an adapter begins and ends


@pytest.mark.parametrize("name", ["initialise", "initialize"])
def test_it_begins_once(write, name):
    """initialise() or initialize() is called, once, before anything else."""
    load(write(HEAD + f'''
class Begins(ModuleRunner):
    def {name}(self):
        SEEN.append("{name}")

    def process(self, data):
        return {{"x": SEEN}}
'''))
    assert [name] == sys.modules["an_adapter"].SEEN


@pytest.mark.parametrize("name", ["initialise", "initialize"])
def test_it_may_begin_as_a_coroutine_function(made, name):
    """An async initialise() is run to its end before any request, as with the SDK."""
    door, module = made(HEAD + f'''
class Begins(ModuleRunner):
    async def {name}(self):
        await asyncio.sleep(0)
        SEEN.append("begun")

    def process(self, data):
        return {{"x": SEEN}}
''')
    assert module.SEEN == ["begun"]
    assert door.post()["x"] == ["begun"]


@pytest.mark.parametrize(("statement", "said"), [
    ("raise ValueError('no model')", "ValueError: no model"),
    ("raise ValueError('no model\\nno hope')", "no model no hope"),
    ("self.nothing", "has no attribute 'nothing'"),
    ("raise SystemExit('no model')", "no model"),
    ("import sys; sys.exit(0)", "SystemExit: 0")])
@pytest.mark.parametrize("where", ["initialise(self):", "__init__(self): super().__init__();"])
def test_it_cannot_begin(write, statement, said, where):
    """An error at the beginning is one line, with the adapter's name."""
    place = write(HEAD + f'''
class Begins(ModuleRunner):
    def {where} {statement}
''')
    text = error(place)
    assert said in text
    assert "Begins" in text


@pytest.mark.parametrize("where", ["initialise(self):", "__init__(self): super().__init__();"])
def test_serve_says_that_it_cannot_begin(write, where):
    """`longop.serve` prints that line and exits with 2."""
    place = write(HEAD + f'''
class Begins(ModuleRunner):
    def {where} raise ValueError("no model")
''')
    with served(place) as (process, line, _):
        assert line == ""
        said = process.stderr.read()
        assert process.wait(WAIT) == 2
        assert said == "longop.serve: Begins cannot begin: ValueError: no model\n"


@SIGNALS
def test_it_is_cleaned_up(write, tmp_path):
    """cleanup() is called, once, when `longop.serve` ends."""
    place = write(HEAD + f'''
class Ends(ModuleRunner):
    def cleanup(self):
        with open({str(tmp_path / "cleaned")!r}, "a") as file:
            file.write("x")
''')
    with served(place) as (process, _, url):
        get(url + "v1")
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT) == 0
    assert (tmp_path / "cleaned").exists()
    assert (tmp_path / "cleaned").read_text() == "x"


def test_run_cleans_up(write, tmp_path):
    """`longop.run` calls cleanup() too, which may end a thread of the adapter's."""
    place = write(HEAD + '''
import threading
class Stays(ModuleRunner):
    def initialise(self):
        self.over = threading.Event()
        threading.Thread(target=self.over.wait).start()
    def process(self, data):
        return {"x": 1}
    def cleanup(self):
        self.over.set()
''')
    done = subprocess.run([sys.executable, "-m", "longop.run", place], timeout=WAIT,
                          stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stdout) == (0, b'{"x":1}' + NEWLINE)
