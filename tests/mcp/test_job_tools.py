import json
import threading

import pytest

from longop import History, LongOperation
from longop.mcp.server import Pending, Server

from ..waiting import wait_until
from .rpc import all_of, ask, modern, result


@pytest.fixture
def operation():
    def work(callback, n: int = 1):
        """Report, and wait for a cancel or the gate."""
        callback("half", n, 2)
        while not gate.is_set():
            callback.wait(0.01)
            callback.check()
        return {"n": n}

    gate = threading.Event()
    operation = LongOperation(work, limit=9)
    operation.gate = gate
    yield operation
    gate.set()


def said(found):
    """Return what a result says of the job."""
    assert json.loads(found["content"][0]["text"]) == found["structuredContent"]
    return found["structuredContent"]


def ask_job(server, name, **arguments):
    """Call a tool whose parameter is called `id`, as that of a request is."""
    answer = ask(server, modern("tools/call", 5, name=name, arguments=arguments))
    if isinstance(answer, Pending):
        answer = all_of(answer)[-1]
    return answer["result"]


def test_a_job_to_its_end(operation):
    """Its status is told by id; with a wait, once it has ended."""
    server = Server([operation], as_jobs=True)
    id = said(result(server, "start_work", n=3))["id"]
    wait_until(lambda: operation.status(id).step)
    assert said(ask_job(server, "status_work", id=id))["step"] == 3
    threading.Timer(0.05, operation.gate.set).start()
    ended = ask_job(server, "status_work", id=id, wait=10)
    assert said(ended)["state"] == "completed"
    assert ended["content"][1]["text"] == '{"n":3}'
    assert said(ask_job(server, "status_work", id=id, wait=10))["state"] == "completed"


def test_a_wait_that_is_over(operation):
    """After the seconds of the wait the answer comes, whatever the job does."""
    now = [0.0]
    server = Server([operation], as_jobs=True, clock=lambda: now[0])
    id = said(result(server, "start_work"))["id"]
    wait_until(lambda: operation.status(id).step)
    pending = ask(server, modern("tools/call", name="status_work",
                                 arguments={"id": id, "wait": 500}))
    assert next(pending.items) == 60.0  # no longer than that
    now[0] = 60.0
    [answer] = pending.items
    assert said(answer["result"])["state"] == "running"


def test_a_wait_that_is_cancelled(operation):
    """Who takes the question back gets no answer; the job goes on."""
    server = Server([operation], as_jobs=True)
    id = said(result(server, "start_work"))["id"]
    pending = ask(server, modern("tools/call", 3, name="status_work",
                                 arguments={"id": id, "wait": 9}), "client")
    server.calls.cancel("client", 3)
    assert list(pending.items) == []
    assert operation.status(id).state.value == "running"


def test_a_cancel(operation):
    """A cancel stops the code, and may be repeated."""
    server = Server([operation], as_jobs=True)
    id = said(result(server, "start_work"))["id"]
    assert said(ask_job(server, "cancel_work", id=id))["state"] in ("cancelling", "cancelled")
    assert said(ask_job(server, "status_work", id=id, wait=10))["state"] == "cancelled"
    assert said(ask_job(server, "cancel_work", id=id))["state"] == "cancelled"


@pytest.mark.parametrize(("name", "arguments", "text"), [
    ("start_work", {"n": "many"}, "whole number"), ("start_work", {"m": 1}, "unknown"),
    ("status_work", {"id": "x"}, "no job x"), ("status_work", {}, "id"),
    ("status_work", {"id": []}, "id"), ("cancel_work", {"id": "x"}, "no job x")])
def test_mistakes(operation, name, arguments, text):
    """A mistake of the model's is told in words, as the result of the tool."""
    found = ask_job(Server([operation], as_jobs=True), name, **arguments)
    assert found["isError"]
    assert text in found["content"][0]["text"]


@pytest.mark.parametrize("wait", [-1, "1", True, [], None, float("nan")])
def test_a_wrong_wait(operation, wait):
    """A wait is a number of seconds."""
    server = Server([operation], as_jobs=True)
    id = said(result(server, "start_work"))["id"]
    assert ask_job(server, "status_work", id=id, wait=wait)["isError"]


def test_no_job_of_another_operation(operation):
    """A tool tells of the jobs of its own operation only."""
    history = History()
    operation = operation.replace(history=history)
    other = LongOperation(lambda callback: 1, name="other", history=history)
    job = other.start()
    job.result(10)
    found = ask_job(Server([operation, other], as_jobs=True), "status_work", id=job.id)
    assert found["isError"]
