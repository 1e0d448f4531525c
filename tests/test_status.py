"""`longop.status`: the states, the record, and how a job's ending is judged."""

import dataclasses
import json
import sys

import pytest

from longop.errors import DeadlineExceeded, OperationCancelled, ReportCancelled, WorkerLost
from longop.status import (MAX_ERROR, TRANSITIONS, State, Status, describe, estimate, judge,
                           version_after_restart,
                           timestamp)

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


# An error as text


class Group(Exception):
    """What a backport of ExceptionGroup has."""

    def __init__(self, message, exceptions):
        super().__init__(f"{message} ({len(exceptions)} sub-exceptions)")
        self.exceptions = exceptions


class Noted(Exception):
    """An error with notes, as in Python 3.11."""

    def __init__(self, text, *notes):
        super().__init__(text)
        self.__notes__ = [*notes]


class Broken(Exception):
    """An error that raises when it is looked at."""

    __notes__ = property(lambda self: 1 / 0)
    exceptions = property(lambda self: 1 / 0)

    def __str__(self):
        raise RuntimeError


def raised(act):
    with pytest.raises((LookupError, OSError)) as caught:
        act()
    return caught.value


def cause():
    try:
        int("x")
    except ValueError as error:
        raise KeyError("a") from error


def context():
    try:
        cause()
    except KeyError:
        [].pop()


def hidden():
    try:
        cause()
    except KeyError:
        raise OSError from None


def cleanup():
    try:
        raise OperationCancelled
    finally:
        [].pop()


INT = "ValueError: invalid literal for int() with base 10: 'x'"


@pytest.mark.parametrize(("error", "lines"), [
    (raised(cause), ["KeyError: 'a'", f"cause: {INT}"]),
    (raised(context), ["IndexError: pop from empty list", "while handling: KeyError: 'a'",
                       f"cause: {INT}"]),
    (raised(hidden), ["OSError"]), (raised(cleanup), ["IndexError: pop from empty list"]),
    (Noted("wrong", "a", "b\nc", 3), ["Noted: wrong", "a", "b", "c", "3"]),
    (Group("two", [WRONG, Noted("x", "note")]),
     ["Group: two (2 sub-exceptions)", "- ValueError: wrong", "- Noted: x", "  note"]),
    (Group("out", [Group("in", [WRONG, raised(cause)]), KeyError("b")]),
     ["Group: out (2 sub-exceptions)", "- ValueError: wrong", "- KeyError: 'a'",
      f"  cause: {INT}", "- KeyError: 'b'"]),
    (Group("many", [ValueError(number) for number in range(2005)]),
     ["Group: many (2005 sub-exceptions)", *(f"- ValueError: {n}" for n in range(5)),
      "and 2,000 more"]),
    (Broken(), ["Broken: <Broken>"]), (Group("none", []), ["Group: none (0 sub-exceptions)"]),
    (Group("no errors", ["a", 1]), ["Group: no errors (2 sub-exceptions)"]),
])
def test_error_says_why(error, lines):
    """The lines below the first are the notes, the members of a group, and the causes."""
    assert describe(error, None).splitlines() == lines
    stopped = describe(error, "SIGKILL").splitlines()
    assert stopped == [f"{lines[0]}; stopped by SIGKILL", *lines[1:]]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="came with Python 3.11")
def test_exception_group_of_python():
    """An ExceptionGroup with notes says what is in it."""
    group = ExceptionGroup("several", [WRONG, ExceptionGroup("inner", [KeyError("a")])])  # noqa: F821
    group.add_note("while saving")
    assert describe(group, None).splitlines() == [
        "ExceptionGroup: several (2 sub-exceptions)", "while saving", "- ValueError: wrong",
        "- KeyError: 'a'"]


def test_rings_and_long_chains_of_errors():
    """Causes and groups that go in a circle end, and so does a chain that is too long."""
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert describe(first, None) == "ValueError: a\ncause: ValueError: b"
    ring = Group("ring", [WRONG])
    ring.exceptions.append(ring)
    assert describe(ring, None).splitlines()[1:] == ["- ValueError: wrong"]
    chain = None
    for number in range(100_000):
        error = ValueError(number)
        error.__cause__ = chain
        chain = error
    assert len(describe(chain, None).splitlines()) == 20


@pytest.mark.parametrize("text", [
    "\nTraceback (most recent call last):\n  ...", '\n"""\nTraceback (most recent call last):\n'])
def test_traceback_of_another_process_is_not_in_the_text(text):
    """A cause that only brings a traceback is for the log."""
    error = ValueError("wrong")
    error.__cause__ = RuntimeError(text)
    assert describe(error, None) == "ValueError: wrong"


def test_long_error_is_cut_in_the_middle():
    """An error has at most 10,000 characters: its beginning, and its end with the cause."""
    error = ValueError("x" * 3_000_000)
    error.__cause__ = KeyError("why")
    text = describe(error, "SIGKILL")
    assert MAX_ERROR - 2 <= len(text) <= MAX_ERROR == 10_000
    assert text.startswith("ValueError: xxx")
    assert text.endswith("x; stopped by SIGKILL\ncause: KeyError: 'why'")
    assert "\n... 2,990," in text
    exact = ValueError("x" * (MAX_ERROR - len("ValueError: ")))
    assert describe(exact, None) == f"ValueError: {exact}"


def test_a_status_of_json():
    """A status is read again from its JSON, without what this version does not know."""
    status = Status("a", "m", "o", State.RUNNING, result=[1], elapsed=1.5, version=3)
    text = json.dumps(dict(vars(status), colour="red"))
    assert Status.of(json.loads(text)) == status
    assert Status.of(json.loads(text)).state is State.RUNNING


@pytest.mark.parametrize("change", [
    {"id": 5}, {"module": None}, {"state": "lost"}, {"version": "3"}, {"version": None},
    {"created_at": None}, {"elapsed": "long"}, {"error": 5}])
def test_what_is_no_status(change):
    """What is no status is a ValueError."""
    fields = vars(Status("a", "m", "o", State.RUNNING))
    with pytest.raises(ValueError, match="|".join(change) + "|lost"):
        Status.of({**fields, **change})
    for value in ([], None, 5, {}, {"id": "a"}):
        with pytest.raises(ValueError):  # noqa: PT011
            Status.of(value)


@pytest.mark.parametrize("version", [0, 1, 999_999_999_999, 10 ** 12])
def test_version_after_restart(version):
    """After a restart a version is above all that may have been seen, and JavaScript counts it."""
    for _ in range(1_000):
        after = version_after_restart(version)
        assert after > version
        version = after
    assert version < 2 ** 53
