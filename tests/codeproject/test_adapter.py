"""`longop.codeproject.adapter`: an adapter of CodeProject.AI Server, without that server."""

import base64
import contextlib
import importlib
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

import longop.codeproject.adapter
from longop import Busy, OperationCancelled, State, TargetError
from longop.web.api import Api
from longop.codeproject.queue import statistics
from longop.cli.target import load
from longop.web.held import wait

from ..serve.test_main import ask, get, served
from ..waiting import WAIT, end_of, wait_until

ROOT = Path(__file__).parent.parent.parent

RUNNING = "A long running command is already in progress"
LONG_PROCESS = '''
import time
cancelled = False
def a_long_process(callback):
    result = ""
    step = 0
    cancelled = False
    for i in range(1, 11):
        if cancelled: break
        time.sleep(1)
        step = 1 if not step else step + 1
        result = str(step) if not result else f"{result} {step}"
        callback(result, step)

def cancel_process():
    global cancelled
    cancelled = True
'''
# As it stands in the article, but for the line that imports it.
ARTICLE = '''
import time

from longop.codeproject import JSON, ModuleRunner, RequestData

# Import the method of the module we're wrapping
from long_process import a_long_process, cancel_process

class PythonLongProcess_adapter(ModuleRunner):

    def initialise(self) -> None:
        # Results from the long process
        self.result      = None
        self.step        = 0
        # Process state
        self.cancelled   = False
        self.stop_reason = None

    def process(self, data: RequestData) -> JSON:
        # This is a long process module, so all we need to do here is return the
        # long process method that will be run
        return self.long_process

    def long_process(self, data: RequestData) -> JSON:
        """ This calls the actual long process code and returns the results """
        self.cancelled   = False
        self.stop_reason = None
        self.result      = None
        self.step        = 0

        start_time = time.perf_counter()
        a_long_process(self.long_process_callback)
        inferenceMs : int = int((time.perf_counter() - start_time) * 1000)

        if self.stop_reason is None:
            self.stop_reason = "completed"

        response = {
            "success":     True,
            "result":      self.result,
            "stop_reason": self.stop_reason,
            "processMs":   inferenceMs,
            "inferenceMs": inferenceMs
        }

        return response

    def command_status(self) -> JSON:
        """ This method will be called regularly during the long process to provide updates """
        return {
            "success": True,
            "result":  self.result or ""
        }

    def cancel_command_task(self):
        """ This process is called when the client requests the process to stop """
        cancel_process()
        self.stop_reason = "cancelled"
        self.force_shutdown = False  # Tell ModuleRunner we'll shut ourselves down

    def long_process_callback(self, result, step):
        """ We'll provide this method as the callback for the a_long_process()
            method in long_process.py """
        self.result = result
        self.step   = step

if __name__ == "__main__":
    PythonLongProcess_adapter().start_loop()
'''
SETTINGS = {"Modules": {"PythonLongProcess": {"Name": "Python Long Process Demo", "RouteMaps": [
    {"Name": "Long Process", "Route": "pythonlongprocess/long-process", "Command": "command"}]}}}
HEAD = '''
import asyncio
import threading
from longop.codeproject import JSON, ModuleRunner, RequestData

MAY = threading.Semaphore(0)
SEEN = []
'''
# Goes on, step by step as the test lets it, and can be told to stop in more than one way.
STEPS = HEAD + '''
class Steps(ModuleRunner):
    steps, result = 0, None

    def process(self, data):
        self.most, self.fails = data.get_int("most", 1_000_000), False
        return self.long

    def long(self, data):
        self.result, self.steps = "", 0
        SEEN.append("begun")
        try:
            while self.steps < self.most:
                MAY.acquire(timeout=10)
                if self.fails:
                    raise ValueError("told to fail")
                self.steps += 1
                self.result += f"{self.steps} "
        finally:
            SEEN.append(("finally", self.steps))
            self.tidy = True
        return {"result": self.result, "inferenceMs": 40}

    def command_status(self):
        return {"result": self.result, "step": self.steps, "total": 10, "message": "on we go"}

    def cancel_command_task(self):
        SEEN.append("told")
'''
ANSWERS = HEAD + '''
class Answers(ModuleRunner):
    def process(self, data):
        how = data.get_value("how")
        if how == "raise":
            raise ValueError("no such thing")
        if how == "exit":
            raise SystemExit("it is over")
        return {"dict": {"x": 1}, "said": {"success": True, "x": 1},
                "bad": {"success": False, "error": "no face"}, "list": [1, 2], "text": "\\u00e9",
                "number": 0, "nan": {"x": float("nan")}, "bytes": b"\\0\\xff",
                "deep": {"success": True, "x": {1: {2, 2}}}, "empty": {}}.get(how)
'''
ASYNC = HEAD + '''
class Async(ModuleRunner):
    force = True

    async def process(self, data):
        await asyncio.sleep(0)
        return {"x": 1} if data.get_value("quick") else self.long

    async def long(self, data):
        try:
            SEEN.append("waits")
            await asyncio.sleep(1000)
        finally:
            SEEN.append("ended")

    def cancel_command_task(self):
        self.force_shutdown = self.force
'''


@pytest.fixture(autouse=True)
def _clean_imports(monkeypatch):
    """Leave sys.path, sys.modules and the environment as they were."""
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr("os.environ", dict(longop.codeproject.sdk.os.environ))
    before = dict(sys.modules)
    yield
    for name in set(sys.modules) - set(before):
        del sys.modules[name]
    sys.modules.update(before)


@pytest.fixture
def grace(monkeypatch):
    """Return a function that sets how long a command has that ends by itself."""
    return lambda seconds: monkeypatch.setattr(longop.codeproject.adapter, "GRACE", seconds)


@pytest.fixture
def write(tmp_path):
    """Return a function that writes an adapter and perhaps its settings; it returns its path."""
    def write(source, settings=None, name="an_adapter.py"):
        (tmp_path / "long_process.py").write_text(LONG_PROCESS)
        (tmp_path / name).write_text(source, encoding="utf-8")
        if settings:
            (tmp_path / "modulesettings.json").write_text(json.dumps(settings))
        importlib.invalidate_caches()
        return str(tmp_path / name)

    return write


@pytest.fixture
def made(write):
    """Return a function that loads an adapter; it returns what serves it and its module."""
    doors = []

    def made(source, settings=None):
        doors.append(Door(load(write(source, settings))))
        return doors[-1], sys.modules["an_adapter"]

    yield made
    for door in doors:
        door.runner.fails = True  # what still goes on step by step
        while door.live:
            getattr(sys.modules["an_adapter"], "MAY", threading.Semaphore()).release()


class Door:
    """The HTTP of some operations without a server: a method of it is a request."""

    def __init__(self, operations):
        self.operations, self.api = operations, Api(operations)
        self.module = operations[0].owner
        if self.module:
            self.runner = self.module.runner
            self.path = f"/v1/{self.module.routes(operations[0])[0]}"

    @property
    def live(self):
        return [job for operation in self.operations for job in [*operation.live.values()]]

    def ask(self, method, path, body=b"", kind=None, **headers):
        """Return the status, the body of an answer, and its headers."""
        if not isinstance(body, bytes):
            body, kind = json.dumps(body).encode(), kind or "application/json"
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {text}" for name, text in headers.items()]
        lines += [f"Content-Type: {kind}"] if kind else []
        request = self.api.read_head("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
        response, *events = wait(self.api.answer(request.with_body(body)))
        text = b"".join([response.body or b"", *events])
        return response.status, (json.loads(text) if "json" in response.content_type else text)

    def post(self, path="", body=b"", **headers):
        return self.ask("POST", path or self.path, body, **headers)[1]

    def start(self, body=b"", path="", **headers):
        """Start a long command; return its job."""
        answer = self.post(path, body, **headers)
        assert answer["success"] is True, answer
        assert answer["message"] == "Command is running in the background"
        return next(job for job in self.live if job.id == answer["commandId"])

    def status(self, id):
        return self.post(f"/v1/{self.module.id}/get_command_status", {"commandId": id})

    def cancel(self, id):
        return self.post(f"/v1/{self.module.id}/cancel_command", {"commandId": id})


def until_seen(module, what):
    wait_until(lambda: what in module.SEEN)


def error(place):
    """Return what is wrong with a target, which is said on one line."""
    with pytest.raises(TargetError) as caught:
        load(place)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


# The article


@pytest.fixture
def article(made, monkeypatch):
    """The article's adapter, the steps of whose function the test lets go."""
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
    """The article's adapter runs to its end, and its answers are that server's."""
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
    """Its cancel flag is broken and it forbids to be forced; yet it stops, and keeps its result."""
    grace(0.01)
    over, later = threading.Event(), longop.codeproject.adapter._later
    monkeypatch.setattr(longop.codeproject.adapter, "_later", lambda seconds, function: later(
        seconds, lambda: (function(), seconds == 0.01 and over.set())))
    job = article.start()
    step(article, job, 3)
    answer = article.cancel(job.id)
    assert (answer["success"], answer["commandStatus"]) == (True, "cancelling")
    assert article.runner.stop_reason == "cancelled"  # it was told so at once
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
    """What would stop by itself is not raised in before its grace is over."""
    grace(1e6)
    job = article.start()
    step(article, job, 3)
    article.cancel(job.id)
    step(article, job, 7)
    status = end_of(job)
    assert status.state is State.CANCELLED
    assert status.result["result"] == "1 2 3 4 5 6 7 8 9 10"
    answer = article.status(job.id)
    assert (answer["success"], answer["stop_reason"]) == (False, "cancelled")


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


def test_force_shutdown_stops_at_once(made, grace):
    """A command that leaves it to us is raised in when it next uses its adapter."""
    grace(1e6)
    door, module = made(STEPS)
    job = door.start()
    module.MAY.release()
    wait_until(lambda: door.runner.steps == 1)
    door.cancel(job.id)
    assert "told" in module.SEEN
    wait_until(lambda: job.done() or module.MAY.release())
    assert job.status().state is State.CANCELLED
    assert job.status().error is None
    assert job.status().result.startswith("1 ")
    assert door.runner.tidy is True  # its ``finally`` could use the adapter


def test_a_command_that_catches_everything_is_raised_in_again(made, grace):
    """A command that catches even BaseException is raised in anew once its grace is over."""
    grace(0.01)
    door, module = made(HEAD + '''
class Stubborn(ModuleRunner):
    def process(self, data):
        return self.long

    def long(self, data):
        while len(SEEN) < 3:
            try:
                self.x = 1
            except BaseException as error:
                SEEN.append(type(error))
''')
    job = door.start()
    door.cancel(job.id)
    assert end_of(job).state is State.CANCELLED
    assert [one.__name__ for one in module.SEEN] == ["OperationCancelled"] * 3


@pytest.mark.parametrize("force", [True, False])
def test_a_coroutine_is_cancelled_where_it_waits(made, grace, force):
    """A coroutine function need not use its adapter to be cancelled."""
    grace(0.01)
    door, module = made(ASYNC)
    door.runner.force = force
    job = door.start()
    until_seen(module, "waits")
    door.cancel(job.id)
    assert end_of(job).state is State.CANCELLED
    assert module.SEEN == ["waits", "ended"]
    assert door.status(job.id)["commandStatus"] == "cancelled"


def test_a_coroutine_that_forbids_it_is_not_cancelled_before_its_grace(made, grace):
    """With force_shutdown False even a coroutine goes on until its grace is over."""
    grace(1e6)
    door, module = made(ASYNC.replace("asyncio.sleep(1000)", "asyncio.sleep(0.05)"))
    door.runner.force = False
    job = door.start()
    until_seen(module, "waits")
    door.cancel(job.id)
    assert end_of(job).state is State.CANCELLED
    assert job.status().error is None
    assert module.SEEN == ["waits", "ended"]


@pytest.mark.parametrize("body", ["raise ValueError('no')", "raise SystemExit"])
def test_a_cancel_command_task_that_raises(made, grace, body):
    """Whatever cancel_command_task raises, the command is stopped and the client answered."""
    grace(0.01)
    door, module = made(STEPS.replace('SEEN.append("told")', body))
    job = door.start()
    until_seen(module, "begun")
    assert door.cancel(job.id)["success"] is True
    wait_until(lambda: job.done() or module.MAY.release())
    assert job.status().state is State.CANCELLED


def test_a_cancel_command_task_that_waits_for_the_end(made, grace):
    """One that waits until the command has ended does not keep it from being stopped."""
    grace(0.01)
    door, module = made(STEPS.replace(
        'SEEN.append("told")', 'SEEN.append("told"); wait()') + '''
ENDED = threading.Event()
def wait():
    ENDED.wait(10) or SEEN.append("in vain")
''')
    job = door.start()
    job.add_done_callback(lambda job: module.ENDED.set())
    until_seen(module, "begun")
    thread = threading.Thread(target=door.cancel, args=(job.id,))
    thread.start()
    until_seen(module, "told")
    wait_until(lambda: job.done() or module.MAY.release(), 5)
    thread.join(WAIT)
    assert "in vain" not in module.SEEN


def test_a_command_that_fails(made):
    """The error of a long command is told, with what it had reported."""
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
    """Whatever a long command returns is answered, and cannot pose as another one's."""
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
    """What command_status says of result, step, total and message is the job's status."""
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


def test_a_command_status_that_raises(made):
    """A command_status that cannot say anything yet is answered as that server does."""
    door, module = made(STEPS.replace("steps, result = 0, None", "").replace(
        'self.result, self.steps = "", 0',
        'SEEN.append("begun"); MAY.acquire(timeout=10); self.steps = self.most'))
    job = door.start()
    until_seen(module, "begun")
    code, answer = door.ask("POST", f"/v1/{door.module.id}/get_command_status",
                            {"commandId": job.id})
    module.MAY.release()
    assert code == 200
    assert answer["commandId"] == job.id or "unable to process" in answer["error"]
    end_of(job)


def test_a_late_report_is_not_the_last(made):
    """A command_status that is slow to answer does not undo what a later one has said."""
    door, module = made(HEAD + '''
ASKED, MAY_SAY = threading.Event(), threading.Event()
class Slow(ModuleRunner):
    result = "old"

    def process(self, data):
        return self.long

    def long(self, data):
        self.x = 1
        ASKED.wait(10)
        self.result = "new"
        raise ValueError

    def command_status(self):
        result = self.result
        if not ASKED.is_set():
            ASKED.set()
            MAY_SAY.wait(10)
            SEEN.append("said")
        return {"result": result}
''')
    operation = door.operations[0]
    looked = threading.Event()
    judge = longop.job.Job._judge

    def late(job, error):
        if not looked.is_set():
            looked.set()
            module.MAY_SAY.set()
            until_seen(module, "said")
            threading.Event().wait(0.05)
        return judge(job, error)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(longop.job.Job, "_judge", late)
        job = operation.start()
        assert end_of(job).result == "new"


# Starts


TWO = {"Modules": {"Mod": {"RouteMaps": [
    {"Name": "One", "Route": "mod/one", "Command": "first", "Description": "Do one thing."},
    {"Name": "Two", "Route": "mod/deep/two", "Command": "second"}]}}}


def test_a_second_start_is_refused_on_every_route(made):
    """While a command runs, no other one of that adapter starts, whatever its route."""
    door, module = made(STEPS, TWO)
    job = door.start()
    for path in "/v1/mod/one", "/v1/mod/deep/two", "/v1/Mod/two", "/v1/MOD/ONE/x":
        code, answer = door.ask("POST", path)
        assert (code, answer["success"], answer["error"], answer["commandId"]) == (
            200, False, RUNNING, job.id)
        assert "commandStatus" not in answer
        assert (answer["code"], answer["moduleId"]) == (500, "Mod")
    door.cancel(job.id)
    module.MAY.release()
    end_of(job)
    job = door.start(path="/v1/mod/deep/two")
    assert door.post("/v1/mod/one")["error"] == RUNNING
    job.cancel()
    module.MAY.release()
    end_of(job)


@pytest.mark.parametrize("path", ["/v1/mod/one", "/v1/mod/deep/two"])
def test_a_second_start_is_refused_with_prefer(made, path):
    """A start with ``Prefer: respond-async`` is refused as others are."""
    door, module = made(STEPS, TWO)
    job = door.start()
    code, answer = door.ask("POST", path, Prefer="respond-async")
    jobs = len(door.live)
    for job in door.live:
        job.cancel()
        module.MAY.release()
    assert (code, answer["detail"], jobs) == (409, RUNNING, 1)


@pytest.mark.parametrize("place", [0, 1])
def test_a_second_start_is_refused_in_python(made, place):
    """A start in Python of another route's operation is `Busy` too."""
    door, module = made(STEPS, TWO)
    job = door.start()
    with contextlib.suppress(Busy):
        door.operations[place].start()
    jobs = len(door.live)
    for job in door.live:
        job.cancel()
        module.MAY.release()
    assert jobs == 1


def test_two_starts_at_once(made):
    """Of many starts at once one is taken."""
    door, module = made(STEPS, TWO)
    barrier = threading.Barrier(8)
    answers = []

    def start(path):
        barrier.wait(WAIT)
        answers.append(door.post(path))

    threads = [threading.Thread(target=start, args=(path,))
               for path in ["/v1/mod/one", "/v1/mod/deep/two"] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    taken = [answer for answer in answers if answer["success"]]
    assert len(taken) == 1
    assert {answer["commandId"] for answer in answers} == {taken[0]["commandId"]}
    door.cancel(taken[0]["commandId"])
    module.MAY.release()


def test_a_start_with_a_key_is_made_once(made):
    """With an Idempotency-Key, asking again for the same start answers the same job."""
    door, module = made(STEPS)
    job = door.start(Idempotency_Key="k")
    again = door.post(Idempotency_Key="k")
    job.cancel()
    module.MAY.release()
    assert (again["success"], again["commandId"]) == (True, job.id)


def test_started_from_python(made):
    """Without HTTP, the parameters of a start are the values of its request."""
    door, _ = made(HEAD + '''
class Values(ModuleRunner):
    def process(self, data):
        self.got = [data.get_value("a"), data.get_int("b"), data.get_file_bytes(0), data.command,
                    data.segments, data.get_value("none", "default")]
        return {"x": self.got[0]}
''')
    job = door.operations[0].start(a="text", b=5, c=b"\0\xff")
    assert end_of(job).result == {"x": "text"}
    assert door.runner.got == ["text", 5, b"\0\xff", "run", [], "default"]


def test_an_input_that_was_not_given_has_the_adapters_default(made):
    """From Python as over HTTP, get_value falls back on what the adapter wants."""
    settings = {"Modules": {"Mod": {"RouteMaps": [
        {"Route": "mod/run", "Command": "run", "Inputs": [{"Name": "a", "Type": "Text"}]}]}}}
    door, _ = made(HEAD + '''
class Values(ModuleRunner):
    def process(self, data):
        return {"x": data.get_value("a", "default")}
''', settings)
    assert door.post()["x"] == "default"
    assert end_of(door.operations[0].start()).result == {"x": "default"}


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
    """Whatever process() does, the client is answered, with what that server adds (defect 5)."""
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
    """A process() that is async is awaited, and may answer or say what takes long."""
    door, _ = made(ASYNC)
    assert door.post(body={"quick": "1"})["x"] == 1


def test_a_process_that_takes_time_holds_up_nothing(write):
    """While requests are worked on, a status and a cancel are answered (defect 3)."""
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
    """Requests that process() answers with one object have each their own ids (defect 6)."""
    door, _ = made(HEAD + '''
BARRIER = threading.Barrier(2)
SHARED = {"success": True}
class Shared(ModuleRunner):
    def process(self, data):
        SHARED["x"] = data.request_id
        BARRIER.wait(10)
        return SHARED
''', TWO)
    for _ in range(20):
        answers = []
        threads = [threading.Thread(target=lambda path, answers=answers: answers.append(
            door.post(path)), args=(path,)) for path in ("/v1/mod/one", "/v1/mod/deep/two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT)
        assert len({answer["requestId"] for answer in answers}) == 2
        assert {answer["command"] for answer in answers} == {"one", "two"}


def test_statistics(made):
    """Each request is counted once, at its end, with its time if it was long (defect 17)."""
    door, module = made(STEPS + '''
    def quick(self):
        self.process = lambda data: {"success": True, "inferenceMs": 20}

    def bad(self):
        self.process = lambda data: 1 / 0
''')
    known = ("successfulInferences", "failedInferences", "numInferences", "averageInferenceMs")

    def counted():
        return [statistics(door.runner)[key] for key in known]

    job = door.start({"most": 2})
    assert counted() == [0, 0, 0, 0]
    module.MAY.release()
    module.MAY.release()
    end_of(job)
    assert counted() == [1, 0, 1, 40.0]
    job = door.start()
    assert door.post()["error"] == RUNNING  # is no request that the adapter answered
    job.cancel()
    module.MAY.release()
    end_of(job)
    assert counted() == [1, 1, 2, 40.0]
    door.runner.quick()
    door.post()
    assert counted() == [2, 1, 3, 30.0]
    door.runner.bad()
    door.post()
    assert counted() == [2, 2, 4, 30.0]


def test_statistics_at_once(made):
    """No request is lost in the count when many are answered at once."""
    door, _ = made(ANSWERS)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=lambda: [
            door.module.process(longop.codeproject.sdk.RequestData.of({"how": ["dict"]}, "run", []))
            for _ in range(300)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(interval)
    assert statistics(door.runner)["numInferences"] == 2400


@pytest.mark.parametrize("time", ["'fast'", "float('nan')", "[1]"])
@pytest.mark.parametrize("long", [False, True])
def test_an_inference_time_that_is_none(made, time, long):
    """An inferenceMs that is no number spoils neither the answer nor the count."""
    answer = f'{{"success": True, "x": 1, "inferenceMs": {time}}}'
    door, _ = made(HEAD + f'''
class Odd(ModuleRunner):
    def process(self, data):
        return {"lambda data: " * long}{answer}
''')
    answer = door.post()
    if long:
        wait_until(lambda: not door.live)
        answer = door.status(answer["commandId"])
    assert (answer["success"], answer.get("x")) == (True, 1)
    assert statistics(door.runner)["successfulInferences"] == 1


# What a request brings


VALUES = HEAD + '''
class Values(ModuleRunner):
    def process(self, data):
        self.data = data
        return {"text": data.get_value("text"), "number": data.get_float("number"),
                "yes": data.get_bool("yes"), "segments": data.segments, "command": data.command,
                "file": (data.get_file_bytes(0) or b"").decode(),
                "files": [[one["name"], one["filename"], one["contentType"]]
                          for one in data.files]}
'''
FILE = (b'--B\r\nContent-Disposition: form-data; name="image1"; filename="a b.png"\r\n'
        b"Content-Type: image/png\r\n\r\nthe bytes\r\n"
        b'--B\r\nContent-Disposition: form-data; name="text"\r\n\r\n\xc3\xa9\r\n'
        b'--B\r\nContent-Disposition: form-data; name="number"\r\n\r\n0.5\r\n'
        b'--B\r\nContent-Disposition: form-data; name="yes"\r\n\r\nTrue\r\n--B--\r\n')
FLAT = {"text": "\u00e9", "number": 0.5, "yes": True}
PAYLOAD = {"values": [{"key": "text", "value": ["\u00e9"]}, {"key": "number", "value": ["0.5"]},
                      {"key": "yes", "value": ["true"]}],
           "files": [{"name": "image1", "filename": "a b.png", "contentType": "image/png",
                      "data": base64.b64encode(b"the bytes").decode()}]}


@pytest.mark.parametrize(("kind", "body", "query", "has_file"), [
    ("application/json", json.dumps(FLAT).encode(), "", False),
    ("application/x-www-form-urlencoded", b"text=%C3%A9&number=0.5&yes=on", "", False),
    (None, b"", "?text=%C3%A9&number=0.5&yes=1", False),
    ("multipart/form-data; boundary=B", FILE, "", True),
    ("application/json", json.dumps(PAYLOAD).encode(), "", True)],
    ids=["flat JSON", "urlencoded", "query", "multipart", "that server's JSON"])
def test_values_reach_the_getters(made, kind, body, query, has_file):
    """Whatever way values and files come, the adapter gets them by the SDK's getters."""
    door, _ = made(VALUES)
    answer = door.post(door.path + query, body, kind=kind)
    assert [answer.get(key) for key in ("text", "number", "yes")] == ["\u00e9", 0.5, True]
    assert answer["command"] == "run"
    if has_file:
        assert answer["file"] == "the bytes"
        assert answer["files"] == [["image1", "a b.png", "image/png"]]


@pytest.mark.parametrize(("rest", "segments"), [
    ("", []), ("/", []), ("/a", ["a"]), ("/a/B", ["a", "B"]), ("/caf%C3%A9/x%20y", ["caf\u00e9",
                                                                                     "x y"]),
    ("/a%2Fb", ["a%2Fb"]), ("/a//b", ["a", "", "b"])])
@pytest.mark.parametrize("route", ["mod/run", "mod/deep/er", "run"])
def test_segments(made, route, rest, segments):
    """What follows a route in the path reaches data.segments, as that server reads it."""
    settings = {"Modules": {"Mod": {"RouteMaps": [{"Route": route, "Command": "run"}]}}}
    door, _ = made(VALUES, settings)
    code, answer = door.ask("POST", f"/v1/{route}{rest}")
    assert (code, answer["segments"]) == (200, segments)


def test_routes_with_the_same_last_part(made):
    """``a/list`` and ``b/list`` are two routes, each with its command."""
    settings = {"Modules": {"Mod": {"RouteMaps": [
        {"Route": "vision/face/list", "Command": "faces"},
        {"Route": "vision/custom/list", "Command": "models"}]}}}
    door, _ = made(HEAD + '''
class Two(ModuleRunner):
    def process(self, data):
        return {"x": data.command}
''', settings)
    assert door.post("/v1/vision/face/list")["x"] == "faces"
    assert door.post("/v1/vision/custom/list")["x"] == "models"


def test_names_that_are_ours(made):
    """A value may be called callback, request_data or more, in every way of starting."""
    door, _ = made(HEAD + '''
class Names(ModuleRunner):
    def process(self, data):
        return {"x": [data.get_value(name) for name in ("callback", "request_data", "more")]}
''')
    values = {"callback": "a", "request_data": "b", "more": "c"}
    assert door.post(body=values).get("x") == ["a", "b", "c"]
    code, answer = door.ask("POST", door.path, values, Prefer="wait=10")
    assert (code, answer["result"]) == (200, {"x": ["a", "b", "c"]})


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


@pytest.mark.parametrize(("statement", "said"), [
    ("raise ValueError('no model')", "ValueError: no model"),
    ("raise ValueError('no model\\nno hope')", "no model no hope"),
    ("self.nothing", "has no attribute 'nothing'"),
    ("raise SystemExit('no model')", "no model")])
@pytest.mark.parametrize("where", ["initialise(self):", "__init__(self): super().__init__();"])
def test_it_cannot_begin(write, statement, said, where):
    """What goes wrong at the beginning is one line, with the adapter's name."""
    place = write(HEAD + f'''
class Begins(ModuleRunner):
    def {where} {statement}
''')
    text = error(place)
    assert said in text
    assert "Begins" in text


@pytest.mark.parametrize("where", ["initialise(self):", "__init__(self): super().__init__();"])
def test_serve_says_that_it_cannot_begin(write, where):
    """`longop.serve` ends with that line and with 2."""
    place = write(HEAD + f'''
class Begins(ModuleRunner):
    def {where} raise ValueError("no model")
''')
    with served(place) as (process, line, _):
        assert line == ""
        said = process.stderr.read()
        assert process.wait(WAIT) == 2
        assert said == "longop.serve: Begins cannot begin: ValueError: no model\n"


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


# What a file may hold


PLAIN = '''
def count(callback, to: int = 3):
    for i in range(to):
        callback(i)
'''
ANOTHER = '''
class Another(ModuleRunner):
    def process(self, data):
        return {"x": "another"}
'''


def test_a_plain_function_beside_it(write):
    """Of a file with an adapter that is served; a function in it is by its name."""
    place = write(ANSWERS + PLAIN)
    assert [one.name for one in load(place)] == ["run"]
    assert [one.name for one in load(place + ":count")] == ["count"]
    assert [one.name for one in load(place + ":Answers")] == ["run"]


def test_two_adapters_in_a_file(write):
    """Of two adapters one has to be named, and that is what is said."""
    place = write(ANSWERS + ANOTHER)
    for name in "Answers", "Another":
        assert type(load(f"{place}:{name}")[0].owner.runner).__name__ == name
    with served(place) as (process, line, _):
        assert line == ""
        said = process.stderr.read()
        assert process.wait(WAIT) == 2
        assert len(said.splitlines()) == 1
        assert "an_adapter.py:Answers" in said or "an_adapter.py:Another" in said


def test_a_named_adapter_is_served(write):
    """``adapter.py:ClassName`` is that one, and the other one does not begin."""
    place = write(ANSWERS + ANOTHER + "    def initialise(self): raise ValueError\n")
    with served(place + ":Answers") as (_, _, url):
        start = get(url + "v1")["operations"][0]["start"]
        assert get(url + start[1:], b"how=dict")["x"] == 1


def test_an_adapter_with_two_names(write):
    """An adapter that has a second name in its file is served once."""
    place = write(ANSWERS + "Adapter = Answers\n")
    assert [one.name for one in load(place)] == ["run"]


def test_an_adapter_that_derives_from_one_beside_it(write):
    """A base that another adapter of the file derives from is not served itself."""
    place = write(HEAD + '''
class Base(ModuleRunner):
    def initialise(self):
        SEEN.append(type(self).__name__)

class Real(Base):
    def process(self, data):
        return {"x": 1}
''')
    assert [type(one.owner.runner).__name__ for one in load(place)] == ["Real"]
    assert sys.modules["an_adapter"].SEEN == ["Real"]


def test_an_adapter_of_another_file(write):
    """An adapter that a file imports is found there by its name."""
    write(ANSWERS)
    place = write("from an_adapter import Answers\n", name="main.py")
    assert [type(one.owner).__name__ for one in load(place + ":Answers")] == ["Adapter"]


@pytest.mark.parametrize("name", ["longop_adapter.py", "longopper.py"])
def test_an_adapter_whose_name_begins_like_ours(write, name, tmp_path):
    """The folder of an adapter is where its file is, whatever that is called."""
    operations = load(write(ANSWERS, SETTINGS, name=name))
    assert operations[0].owner.runner.module_path == str(tmp_path)
    assert operations[0].owner.id == "PythonLongProcess"


def test_in_a_process_it_cannot_run(write):
    """What needs its adapter cannot run in another process, and that is said."""
    with served(write(STEPS), "--executor", "process") as (process, line, url):
        start = line and get(url + "v1")["operations"][0]["start"]
        said = ask(url + start[1:], "POST")[1]["error"] if line else process.stderr.read()
    assert "process" in said


def test_the_jobs_outlive_the_server(write, tmp_path):
    """With --history a long command's result is there after the server has gone."""
    source = HEAD + '''
class Long(ModuleRunner):
    def process(self, data):
        return lambda data: {"x": data.get_value("a")}
'''
    history = str(tmp_path / "history")
    place = write(source, TWO)
    with served(place, "--history", history) as (process, _, url):
        id = get(url + "v1/mod/one?a=5", b"")["commandId"]
        wait_until(lambda: get(f"{url}v1/jobs/{id}")["state"] == "completed")
        process.send_signal(signal.SIGTERM)
        process.wait(WAIT)
    with served(place, "--history", history) as (_, _, url):
        assert get(f"{url}v1/jobs/{id}")["result"] == {"x": "5"}
        answer = get(f"{url}v1/mod/get_command_status?commandId={id}")
        assert (answer["commandStatus"], answer["x"]) == ("completed", "5")


def test_cancelled_outside_of_a_command():
    """Nobody is raised in who only looks at an adapter while its command is being cancelled."""
    runner = longop.codeproject.sdk.ModuleRunner()
    longop.codeproject.sdk.running.checkpoint = lambda: (_ for _ in ()).throw(OperationCancelled())
    try:
        with pytest.raises(OperationCancelled):
            runner.x = 1
        thread = threading.Thread(target=lambda: setattr(runner, "y", runner.x))
        thread.start()
        thread.join()
    finally:
        longop.codeproject.sdk.running.checkpoint = None
    assert runner.y == 1


@pytest.mark.parametrize("body", [
    {"values": 5}, {"values": ["x"]}, {"values": [{"key": "a"}]}, {"values": [{"value": ["x"]}]},
    {"values": [{"key": "a", "value": "x"}]}, {"values": [{"key": "a", "value": None}]},
    {"values": [], "files": [{"name": "f", "data": "?"}]}, {"values": [], "files": ["x"]},
    {"values": [{"key": ["a"], "value": ["x"]}]}, {"values": None, "files": None}, {"values": {}}],
    ids=str)
def test_what_only_looks_like_that_servers_json(made, body):
    """A body that only looks like that server's own is a value, or refused, not our error."""
    door, _ = made(VALUES)
    assert door.ask("POST", door.path, body)[0] in (200, 400)


def test_a_list_that_is_called_values(write):
    """A function's own parameter ``values`` may be any list, the empty one too."""
    door = Door(load(write("def f(callback, values: list): return values\n")))
    for values in [1, 2], [], [{"key": 1}], [{"key": "a", "value": "xyz"}]:
        code, status = door.ask("POST", "/v1/an_adapter/f", {"values": values}, Prefer="wait=10")
        assert (code, status.get("result")) == (200, values)


# What a reviewer found


def test_a_command_id_of_the_adapters_own(made):
    """What an adapter says as its commandId becomes no header of its own."""
    door, _ = made(HEAD + '''
class Own(ModuleRunner):
    def process(self, data):
        return {"commandId": "x\\r\\nSet-Cookie: a=b \\u4e2d"}
''')
    request = door.api.read_head(
        f"POST {door.path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()).with_body(b"")
    (response,) = wait(door.api.answer(request))
    assert b"\r\nSet-Cookie" not in response.render().partition(b"\r\n\r\n")[0]


def test_parameters_are_shown(made):
    """/v1/jobs has the values that a command was started with, and not its files."""
    door, _ = made(STEPS)
    id = door.post(body={"prompt": "hello", "many": [1, 2]})["commandId"]
    (one,) = door.ask("GET", "/v1/jobs")[1]["jobs"]
    assert (one["id"], one["parameters"]) == (id, {"prompt": "hello", "many": [1, 2]})


@pytest.mark.parametrize("options", [{"limit": 2}, {"when_busy": "queue"}])
def test_one_long_command_at_a_time(made, options):
    """An adapter cannot be told to run several at a time, or to let them wait."""
    door, _ = made(STEPS)
    with pytest.raises(ValueError, match="one long command at a time"):
        door.operations[0].replace(**options)


def test_two_modules_of_one_name(write):
    """Two files of one module's folder cannot be served together, and that is said."""
    settings = {"Modules": {"Mod": {}}}
    operations = [*load(write("def f(callback): pass\n", settings, name="a_first.py")),
                  *load(write("def g(callback): pass\n", settings, name="a_second.py"))]
    with pytest.raises(ValueError, match="two modules called Mod"):
        Door(operations)


def test_status_by_the_functions_module(write):
    """The commands of a module answer under its id, and under what ``/v1`` says."""
    door = Door(load(write("def f(callback): return 1\n", {"Modules": {"Mod": {}}})))
    started = door.post("/v1/an_adapter/f")
    for root in "mod", "an_adapter":
        wait_until(lambda root=root: door.post(
            f"/v1/{root}/get_command_status?commandId={started['commandId']}")["result"] == 1)


def test_run_cleans_up(write, tmp_path):
    """`longop.run` calls cleanup() too, without which a thread of the adapter's would stay."""
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
    assert (done.returncode, done.stdout) == (0, b'{"x":1}\n')
