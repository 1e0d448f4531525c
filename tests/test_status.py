"""`longop.status`: the states, the record, and how a job's ending is judged."""

import dataclasses
import json

import pytest

from longop.errors import DeadlineExceeded, OperationCancelled, ReportCancelled, WorkerLost
from longop.status import TRANSITIONS, State, Status, describe, estimate, judge, timestamp

WRONG, CANCELLED, OVERDUE = ValueError("wrong"), OperationCancelled(), DeadlineExceeded("late")


def lost(means=None):
    error = WorkerLost("its process was killed")
    error.means = means
    return error


def test_every_state_can_be_reached_and_left():
    """Each state but the first follows another, and each that is not terminal has an end."""
    reached = set().union(*TRANSITIONS.values())
    assert reached == set(State)
    for followers in TRANSITIONS.values():
        assert any(state.is_terminal for state in followers)


def test_state_in_json_is_its_value():
    """In JSON a state is its plain value, in every version of Python."""
    assert json.dumps([*State]) == json.dumps([state.value for state in State])


def test_status_is_frozen():
    """A snapshot cannot be changed; `replace` makes a new one."""
    status = Status("id", "module", "name", result=[1])
    with pytest.raises(dataclasses.FrozenInstanceError):
        status.result = 2
    changed = status.replace(result=2, version=1)
    assert changed == dataclasses.replace(status, result=2, version=1)
    assert (status.result, status.version) == ([1], 0)
    assert hash(changed) == hash(dataclasses.replace(status, result=2, version=1))


@pytest.mark.parametrize(("error", "facts", "expected"), [
    (None, {}, (State.COMPLETED, "completed", None)),
    (WRONG, {}, (State.FAILED, "error", "ValueError: wrong")),
    (CANCELLED, {}, (State.CANCELLED, "cancelled", None)),
    (None, {"reason": "cancelled"}, (State.COMPLETED, "completed", None)),
    (WRONG, {"reason": "cancelled"}, (State.FAILED, "error", "ValueError: wrong")),
    (None, {"reason": "cancelled", "told": True}, (State.CANCELLED, "cancelled", None)),
    (WRONG, {"reason": "cancelled", "told": True},
     (State.CANCELLED, "cancelled", "ValueError: wrong")),
    (ReportCancelled(), {"reason": "cancelled", "told": True},
     (State.CANCELLED, "cancelled", None)),
    (ReportCancelled("of another"), {},
     (State.FAILED, "error", "ReportCancelled: of another")),
    (CANCELLED, {"reason": "interrupted"}, (State.INTERRUPTED, "interrupted", None)),
    (None, {"reason": "interrupted"}, (State.COMPLETED, "completed", None)),
    (lost(), {}, (State.FAILED, "error", "WorkerLost: its process was killed")),
    (lost(), {"reason": "cancelled", "means": "SIGKILL"},
     (State.CANCELLED, "cancelled", "stopped by SIGKILL")),
    (lost("SIGTERM"), {"reason": "cancelled", "means": "SIGKILL"},
     (State.CANCELLED, "cancelled", "stopped by SIGTERM")),
    (WRONG, {"reason": "cancelled", "means": "stop"},
     (State.CANCELLED, "cancelled", "ValueError: wrong; stopped by stop")),
    (CANCELLED, {"reason": "timeout", "overdue": OVERDUE},
     (State.FAILED, "timeout", "DeadlineExceeded: late")),
    (None, {"reason": "stalled", "overdue": OVERDUE, "means": "SIGTERM"},
     (State.FAILED, "stalled", "DeadlineExceeded: late; stopped by SIGTERM")),
])
def test_endings(error, facts, expected):
    """How a job ended follows from its error, what it was told, and what was done to it."""
    known = {"told": False, "means": None, "reason": None, "overdue": None, **facts}
    ending = judge(error, **known)
    assert (ending.state, ending.reason, describe(ending.error, ending.means)) == expected
    assert ending.cause is (error if known["overdue"] and error is WRONG else None)


def test_error_behind_a_deadline():
    """The function's own error is kept as the cause where a deadline takes its place."""
    ending = judge(WRONG, told=True, means=None, reason="timeout", overdue=OVERDUE)
    assert (ending.error, ending.cause) == (OVERDUE, WRONG)


@pytest.mark.parametrize(("step", "total", "elapsed", "expected"), [
    (1, 4, 10, (0.25, 30)), (1, 4, None, (0.25, None)), (1, 4, 0, (0.25, None)),
    (0, 4, 10, (0, None)), (4, 4, 10, (1, 0)), (None, 4, 10, (None, None)),
    (1, 10**9, 10, (1e-9, None))])
def test_estimate(step, total, elapsed, expected):
    """The time left follows from the time so far, once there is progress to tell it from."""
    assert estimate(step, total, elapsed) == expected


def test_timestamp(monkeypatch):
    """A time is shown in UTC to the millisecond."""
    monkeypatch.setattr("time.time", lambda: 86_400.0075)
    assert timestamp() == "1970-01-02T00:00:00.007Z"
