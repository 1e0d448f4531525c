import pytest

from longop import State, Status
from longop.mcp.tasks import detailed, task_of


def status(state, **more):
    return Status("7", "m", "o", state=state, created_at="2026-11-28T10:00:00.000Z", **more)


@pytest.mark.parametrize(("state", "word"), [
    (State.QUEUED, "working"), (State.RUNNING, "working"), (State.CANCELLING, "working"),
    (State.COMPLETED, "completed"), (State.FAILED, "completed"), (State.CANCELLED, "cancelled"),
    (State.INTERRUPTED, "failed")])
def test_states(state, word):
    """Each state of a job is one of a task; a tool that raised has completed."""
    assert task_of(status(state))["status"] == word


def test_a_task_that_works():
    """A live job tells its times, when to ask again, and what it reports."""
    task = detailed(status(State.RUNNING, started_at="2026-11-28T10:00:01.000Z", message="so far",
                           result="a part"), None)
    assert task == {
        "taskId": "7", "status": "working", "statusMessage": "so far",
        "createdAt": "2026-11-28T10:00:00.000Z", "lastUpdatedAt": "2026-11-28T10:00:01.000Z",
        "ttlMs": None, "pollIntervalMs": 1000}


def test_a_task_that_waits():
    """A job in the queue tells its place, and one that is told to stop tells that."""
    assert task_of(status(State.QUEUED, queue_position=2))["statusMessage"].endswith("at 2")
    assert "told to stop" in task_of(status(State.CANCELLING))["statusMessage"]
    assert task_of(status(State.QUEUED))["lastUpdatedAt"] == "2026-11-28T10:00:00.000Z"


def test_a_completed_task():
    """The result is in the task, with the kind that a result has."""
    task = detailed(status(State.COMPLETED, result={"a": 1}, finished_at="then"), None)
    assert task["result"]["structuredContent"] == {"a": 1}
    assert task["result"]["resultType"] == "complete"
    assert task["lastUpdatedAt"] == "then"
    assert "error" not in task


def test_a_tool_that_raised():
    """The result of a tool that raised is an error of the tool, not of the protocol."""
    task = detailed(status(State.FAILED, error="ValueError: no\ncause: x"), None)
    assert task["result"]["isError"]
    assert task["statusMessage"] == "ValueError: no"


def test_an_interrupted_task():
    """The end of the server is an error of the protocol."""
    task = detailed(status(State.INTERRUPTED, error="the server ended"), None)
    assert task["error"] == {"code": -32603, "message": "the server ended"}
    assert "result" not in task


def test_a_cancelled_task():
    """A cancelled task has neither a result nor an error."""
    task = detailed(status(State.CANCELLED, result="a part"), None)
    assert not {"result", "error"} & set(task)
