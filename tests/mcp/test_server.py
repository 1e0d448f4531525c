
import pytest

from longop import History, LongOperation, State
from longop.mcp.message import (INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST,
                                METHOD_NOT_FOUND, MISSING_CAPABILITY, RpcError)
from longop.mcp.server import Pending, Server

from ..waiting import end_of, wait_until
from .rpc import META, TASKS, all_of, ask, call, legacy, modern, result


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def operation(gate):
    def work(callback, n: int = 1, fail: bool = False):
        """Work until the gate opens."""
        callback("begun", 0, n)
        gate.wait(10)
        callback("half", 1, n)
        if fail:
            raise ValueError("no luck")
        return {"n": n}

    return LongOperation(work, limit=20)


def refused(server, message, client=None):
    with pytest.raises(RpcError) as caught:
        ask(server, message, client)
    return caught.value


# Lists


def test_discover(operation):
    """A server tells its versions, what it can, who it is and how long that holds."""
    found = ask(Server([operation]), modern("server/discover"))["result"]
    assert found["supportedVersions"][0] == "2026-07-28"
    assert found["capabilities"] == {"tools": {}, "extensions": {TASKS: {}}}
    assert found["resultType"] == "complete"
    assert found["_meta"][f"{META}serverInfo"]["name"] == "longop"
    assert (found["ttlMs"], found["cacheScope"]) == (60_000, "private")


@pytest.mark.parametrize(("asked", "answered"), [
    ("2025-11-25", "2025-11-25"), ("2025-06-18", "2025-06-18"), ("2025-03-26", "2025-03-26"),
    ("2024-11-05", "2025-11-25"), ("2026-07-28", "2025-11-25"), ("x", "2025-11-25")])
def test_initialize(operation, asked, answered):
    """An older client gets the version that it asks for, or the newest of the older ones."""
    found = ask(Server([operation]), legacy("initialize", protocolVersion=asked))["result"]
    assert found == {"protocolVersion": answered, "capabilities": {"tools": {}},
                     "serverInfo": found["serverInfo"]}


def test_initialize_without_a_version(operation):
    """A version must be asked for."""
    assert refused(Server([operation]), legacy("initialize")).code == INVALID_PARAMS


def test_the_tools(operation):
    """The tools are listed in both eras, with what belongs to each."""
    server = Server([operation])
    new = ask(server, modern("tools/list"))["result"]
    old = ask(server, legacy("tools/list"))["result"]
    assert new["tools"] == old["tools"]
    assert set(new) == {"tools", "resultType", "ttlMs", "cacheScope", "_meta"}
    assert set(old) == {"tools"}
    assert refused(server, modern("tools/list", cursor="x")).code == INVALID_PARAMS


@pytest.mark.parametrize("message", [
    *map(modern, ["initialize", "ping", "tasks/list", "tasks/result", "prompts/list", "x", ""]),
    *map(legacy, ["server/discover", "tasks/get", "prompts/list", "logging/setLevel", "x"])])
def test_unknown_methods(operation, message):
    """A method that the era of a request does not have is unknown."""
    assert refused(Server([operation]), message).code == METHOD_NOT_FOUND


def test_a_method_is_looked_for_first(operation):
    """An unknown method is told before what else is wrong."""
    server = Server([operation])
    with pytest.raises(RpcError) as caught:
        server.admit(legacy("nonsense"), True)
    assert caught.value.code == METHOD_NOT_FOUND
    with pytest.raises(RpcError) as caught:
        server.admit(legacy("tools/list"), True)
    assert caught.value.code == INVALID_PARAMS


def test_ping(operation):
    """An older client may ask whether anybody is there."""
    assert ask(Server([operation]), legacy("ping"))["result"] == {}


# Calls


@pytest.mark.parametrize("ask_as", [modern, legacy])
def test_a_call(operation, gate, ask_as):
    """A call is answered with the result of its job."""
    gate.set()
    found = result(Server([operation]), "work", ask_as=ask_as, n=3)
    assert found["structuredContent"] == {"n": 3}
    assert found["isError"] is False
    assert ("resultType" in found) == (ask_as is modern)


def test_a_call_that_fails(operation, gate):
    """An error of the function is one of the tool, with what it had reported."""
    gate.set()
    found = result(Server([operation]), "work", fail=True)
    assert found["isError"]
    assert [block["text"] for block in found["content"]] == ["ValueError: no luck", "half"]


@pytest.mark.parametrize(("arguments", "text"), [
    ({"n": "many"}, "whole number"), ({"m": 1}, "unknown"), ({"callback": 1}, "unknown")])
def test_wrong_arguments(operation, arguments, text):
    """Wrong arguments are told in words, so that the model may do better."""
    found = result(Server([operation]), "work", **arguments)
    assert found["isError"]
    assert text in found["content"][0]["text"]


def test_a_busy_operation(gate):
    """A start that is refused is told in words."""
    operation = LongOperation(lambda callback: gate.wait(10), name="one", when_busy="reject")
    server = Server([operation])
    first = call(server, "one")
    assert "in progress" in result(server, "one", id=2)["content"][0]["text"]
    gate.set()
    all_of(first)


@pytest.mark.parametrize("params", [
    {}, {"name": 1}, {"name": "nope"}, {"name": "wo/rk"}, {"name": "work", "arguments": []},
    {"name": "work", "arguments": "n"}, {"name": "work", "arguments": None},
    {"name": "work", "_meta": {"progressToken": []}}])
def test_a_wrong_call(operation, params):
    """An unknown tool, and a call that is no call, is an error of the protocol."""
    server = Server([operation])
    for _ in range(2):  # the id is free again
        assert refused(server, legacy("tools/call", 1)._replace(params=params),
                       "client").code == INVALID_PARAMS


def test_an_id_twice(operation, gate):
    """A call with the id of one that is under way is refused."""
    server = Server([operation])
    first = call(server, "work", client="a")
    assert refused(server, modern("tools/call", name="work"), "a").code == INVALID_REQUEST
    gate.set()
    all_of(first)
    assert isinstance(call(server, "work", client="a"), Pending)


def test_an_error_of_our_own(operation, caplog):
    """What goes wrong here is logged, and told as an internal error; the id is free again."""
    class Broken(LongOperation):
        def submit(self, parameters, id=None):
            raise SystemExit("a property of the user's")

    server = Server([operation.replace(), Broken(lambda callback: 1, name="broken")])
    for _ in range(2):
        error = refused(server, modern("tools/call", name="broken"), "client")
        assert error.code == INTERNAL_ERROR
    assert "tools/call" in caplog.text


def test_progress(operation, gate):
    """With a token, reports are sent until the answer, which comes last."""
    pending = call(Server([operation]), "work", token="t", n=2)
    wait_until(lambda: pending.job.status().step == 0)
    assert next(pending.items)["params"] == {
        "progressToken": "t", "progress": 0, "total": 2, "message": "begun"}
    gate.set()
    *_, answer = all_of(pending)
    assert answer["result"]["structuredContent"] == {"n": 2}


def test_no_progress_without_a_token(operation, gate):
    """Without a token nothing is sent but the answer."""
    gate.set()
    assert len(all_of(call(Server([operation]), "work"))) == 1


# Cancels


def test_a_cancel(operation, gate):
    """A cancelled call has no answer, and its job is told to stop."""
    server = Server([operation])
    pending = call(server, "work", id=5, client="a", token=1)
    server.notify(legacy("notifications/cancelled", None, requestId=5), "a")
    gate.set()
    assert [item for item in pending.items if not isinstance(item, float)] == []
    assert end_of(pending.job).state is State.CANCELLED


def test_a_cancel_at_the_end(operation, gate):
    """A cancel that comes between the end of the job and its answer is one: nothing is sent."""
    gate.set()
    server = Server([operation])
    pending = call(server, "work", id=5, client="a")
    end_of(pending.job)
    server.calls.cancel("a", 5)
    assert list(pending.items) == []


def test_a_cancel_after_the_answer(operation, gate):
    """A cancel that comes too late is ignored."""
    gate.set()
    server = Server([operation])
    all_of(call(server, "work", id=5, client="a"))
    server.notify(legacy("notifications/cancelled", None, requestId=5), "a")
    server.notify(legacy("notifications/cancelled", None), "a")
    server.notify(legacy("notifications/unknown", None), "a")


def test_a_cancel_before_the_start(operation, gate):
    """A call that is cancelled before its job has started stops as soon as it has."""
    server = Server([operation])
    message = legacy("tools/call", 5, name="work")
    begun = server.begin(message, "a")
    server.calls.cancel("a", 5)
    pending = server.answer(message, server.admit(message, False), begun)
    gate.set()
    assert list(pending.items) == []
    assert end_of(pending.job).state is State.CANCELLED


def test_a_job_that_is_cancelled_elsewhere(operation, gate):
    """Cancelled on the page, a call is answered with that, and what was reported."""
    pending = call(Server([operation]), "work")
    wait_until(lambda: pending.job.status().step == 0)
    pending.job.cancel()
    gate.set()
    [answer] = all_of(pending)
    assert [block["text"] for block in answer["result"]["content"]] == ["cancelled", "half"]


def test_calls_of_one_job(operation, gate):
    """A job that two calls wait for goes on until the second one is cancelled."""
    joining = operation.replace(when_busy="join", limit=1)
    server = Server([joining])
    first = call(server, "work", id=1, client="a")
    second = call(server, "work", id=2, client="a")
    assert first.job is second.job
    server.calls.cancel("a", 1)
    assert list(first.items) == []
    assert not first.job.is_stopping
    server.calls.cancel("a", 2)
    assert first.job.is_stopping
    gate.set()
    end_of(first.job)


def test_a_call_that_joins_another_door_s_job(operation, gate):
    """A job that was started on the page is not cancelled with a call that joined it."""
    joining = operation.replace(when_busy="join", limit=1)
    job = joining.start()
    server = Server([joining])
    assert call(server, "work", client="a").job is job
    server.calls.cancel("a", 1)
    assert not job.is_stopping
    gate.set()
    assert end_of(job).state is State.COMPLETED


def test_nothing_is_kept(operation, gate):
    """Of calls that were answered, cancelled, refused, or left, nothing is kept."""
    clock = Clock()
    server = Server([operation], clock=clock)
    jobs = [begin_task(server, clock, id=1)[0]]
    cancelled = call(server, "work", id=2, client="a")
    server.calls.cancel("a", 2)
    assert list(cancelled.items) == []
    left = call(server, "work", id=3, client="a")
    next(left.items)
    left.items.close()
    result(server, "work", id=4, client="a", n="many")
    refused(server, modern("tools/call", 5, name="nope"), "a")
    gate.set()
    all_of(call(server, "work", id=6, client="a"))
    for job in (*jobs, cancelled.job, left.job):
        end_of(job)
    assert server.calls._by_id == {}
    assert server.calls._waiting == {}


# Tasks


def begin_task(server, clock, **more):
    """Call `work`, and let a second pass; return the task."""
    pending = call(server, "work", tasks=True, client="a", **more)
    assert next(pending.items) == 1.0
    clock.now += 1.0
    [answer] = [item for item in pending.items if not isinstance(item, float)]
    return pending.job, answer["result"]


def task(server, method, id, tasks=True, **more):
    return ask(server, modern(f"tasks/{method}", 9, tasks, taskId=id, **more))["result"]


def test_a_call_becomes_a_task(operation, gate):
    """A call that takes longer than a second is answered with a task, whose id is the job's."""
    clock = Clock()
    server = Server([operation], clock=clock)
    job, found = begin_task(server, clock)
    assert (found["resultType"], found["taskId"], found["status"]) == ("task", job.id, "working")
    assert task(server, "get", job.id)["status"] == "working"
    gate.set()
    end_of(job)
    ended = task(server, "get", job.id)
    assert (ended["resultType"], ended["status"]) == ("complete", "completed")
    assert ended["result"]["structuredContent"] == {"n": 1}


def test_a_task_outlives_its_call(operation, gate):
    """A cancel of the call that became a task comes too late; the task has its own."""
    clock = Clock()
    server = Server([operation], clock=clock)
    job, _ = begin_task(server, clock)
    server.calls.cancel("a", 1)
    assert not job.is_stopping
    first = task(server, "cancel", job.id)
    assert set(first) == {"resultType", "_meta"}
    assert "told to stop" in task(server, "get", job.id)["statusMessage"]
    gate.set()
    end_of(job)
    assert task(server, "get", job.id)["status"] == "cancelled"
    assert task(server, "cancel", job.id) == first


def test_a_quick_call_is_no_task(operation, gate):
    """A call that ends in time is answered as ever."""
    gate.set()
    assert result(Server([operation]), "work", tasks=True)["resultType"] == "complete"


def test_tasks_are_for_those_who_know_them(operation, gate):
    """A client that does not declare the extension gets no task, and may ask for none."""
    clock = Clock()
    server = Server([operation], clock=clock)
    pending = call(server, "work")
    assert next(pending.items) > 1
    for method in ("get", "update", "cancel"):
        error = refused(server, modern(f"tasks/{method}", taskId=pending.job.id))
        assert error.code == MISSING_CAPABILITY
    gate.set()
    all_of(pending)


def test_an_update(operation, gate):
    """Answers to questions that were never asked are taken and ignored."""
    clock = Clock()
    server = Server([operation], clock=clock)
    job, _ = begin_task(server, clock)
    assert set(task(server, "update", job.id, inputResponses={"x": {}})) == {"resultType", "_meta"}
    assert refused(server, modern("tasks/update", 9, True, taskId=job.id,
                                  inputResponses=[])).code == INVALID_PARAMS


@pytest.mark.parametrize("method", ["get", "update", "cancel"])
@pytest.mark.parametrize("id", ["unknown", None, 1, [], "../x"])
def test_an_unknown_task(operation, method, id):
    """A task that nobody knows is a wrong parameter."""
    error = refused(Server([operation]), modern(f"tasks/{method}", 9, True, taskId=id))
    assert error.code == INVALID_PARAMS


def test_a_forgotten_task(operation, gate):
    """A task that is no longer kept says so."""
    gate.set()
    forgetful = operation.replace(history=History(max_jobs=1))
    jobs = [forgetful.start() for _ in range(3)]
    for job in jobs:
        end_of(job)
    server = Server([forgetful])
    errors = [str(refused(server, modern("tasks/get", 9, True, taskId=job.id))) for job in jobs
              if job.id not in {status.id for status in forgetful.jobs()}]
    assert errors
    assert all("no longer kept" in error for error in errors)


def test_a_task_in_a_shared_history(gate):
    """Operations may share a history; a task is held against the schema of its own tool."""
    def promises(callback) -> dict:
        return {}

    def says(callback):
        return "a text"

    history = History()
    operations = [LongOperation(one, history=history) for one in (promises, says)]
    job = operations[1].start()
    end_of(job)
    assert not task(Server(operations), "get", job.id)["result"]["isError"]


def test_a_task_of_an_annotated_function(gate):
    """The result of a task is held against the schema of its tool."""
    def lie(callback) -> dict:
        return "no dict"

    operation = LongOperation(lie)
    job = operation.start()
    end_of(job)
    assert task(Server([operation]), "get", job.id)["result"]["isError"]
