"""The outcome of a call in a form that can be sent."""

import pickle
import threading
import types

import pytest

from longop import Callback
from longop.workers.outcome import Outcome
from longop.workers.sent_error import SentError

from ..pythons import NO_PICKLE_OF_A_LOCK
from . import far

LATEST = (3, "partial", 1, 2, "message")


def travelled(outcome):
    """Return an outcome as it arrives."""
    return pickle.loads(pickle.dumps(outcome))


def job():
    return types.SimpleNamespace(callback=Callback())


def test_settling_returns_the_value():
    """The job's callback has the last report, and the value is returned."""
    watched = job()
    assert Outcome(LATEST, False, "value").settle(watched) == "value"
    assert watched.callback.latest == LATEST
    assert not watched.callback.told


def test_a_report_that_is_known_is_not_a_new_one():
    """The last report came by itself already, so watchers are not told of it once more."""
    watched = job()
    watched.callback.receive(LATEST)
    known = watched.callback.latest
    told = []
    watched.callback.notify = lambda: told.append(watched.callback.latest)
    Outcome((3, "partial", 1, 2, "message"), False, "value").settle(watched)
    assert watched.callback.latest is known
    assert told == []
    Outcome((4, "newer", 2, 2, "message"), False, "value").settle(watched)
    assert told == [(4, "newer", 2, 2, "message")]


def test_settling_raises_the_error():
    """The job's callback has the last report, and the error is raised."""
    watched = job()
    with pytest.raises(ValueError, match="wrong"):
        Outcome(LATEST, True, None, SentError.describe(ValueError("wrong"))).settle(watched)
    assert watched.callback.latest == LATEST
    assert watched.callback.told


def test_settling_forgets_no_cancel():
    """A function that was told here stays told, though the worker does not say so."""
    watched = job()
    watched.callback.told = True
    Outcome(LATEST, False).settle(watched)
    assert watched.callback.told


def test_outcome_is_portable():
    """An executor that pickles it delivers an equal outcome."""
    arrived = travelled(Outcome(LATEST, True, {1}))
    assert type(arrived) is Outcome
    assert arrived == Outcome(LATEST, True, {1})


def test_value_that_cannot_be_pickled():
    """A value that cannot be pickled arrives as JSON would show it."""
    text, one = travelled(Outcome(LATEST, False, [threading.Lock(), 1])).value
    assert text.startswith("<unlocked _thread.lock")
    assert one == 1


def test_error_beside_a_report_that_cannot_be_pickled():
    """A report that cannot be pickled leaves the error as it is."""
    latest = (1, threading.Lock(), None, None, None)
    outcome = Outcome(latest, False, None, SentError.describe(far.Wrong("wrong", 7)))
    arrived = travelled(outcome)
    with pytest.raises(far.Wrong):
        arrived.settle(job())
    assert arrived.latest[1].startswith("<unlocked")


class Unreadable:
    """Can be pickled, but not read again."""

    def __reduce__(self):
        return int, ("this is not a number",)


def test_each_part_is_tried_by_itself():
    """A part that cannot be sent or read is replaced by its JSON; its neighbours stay."""
    latest = (4, {1}, Unreadable(), (1, 2), [threading.Lock()])
    arrived = travelled(Outcome(latest, False, (1, {2})))
    count, result, step, total, message = arrived.latest
    assert (count, result, total, arrived.value) == (4, {1}, (1, 2), (1, {2}))
    assert step.startswith("<tests.workers.test_outcome.Unreadable")
    assert message[0].startswith("<unlocked")
    assert arrived.lost == (
        ("step", "ValueError: invalid literal for int() with base 10: 'this is not a number'"),
        ("message", NO_PICKLE_OF_A_LOCK))


def test_log_names_what_was_lost(caplog):
    """A warning names each part that is not what it was, and why."""
    error = SentError.describe(far.Unpicklable("wrong"))
    arrived = travelled(Outcome((1, threading.Lock(), 2, 3, 4), False, None, error))
    with pytest.raises(far.Unpicklable):
        arrived.settle(job())
    assert [record.levelname for record in caplog.records] == 2 * ["WARNING"]
    first, second = (record.getMessage() for record in caplog.records)
    assert f"its result could not be sent as it is: {NO_PICKLE_OF_A_LOCK}" in first
    assert f"its error could not be sent as it is: {NO_PICKLE_OF_A_LOCK}" in second


def test_outcome_that_has_not_travelled():
    """Where nothing is pickled, as in threads, every part is the very object."""
    value = [threading.Lock()]
    assert Outcome(LATEST, False, value).settle(job()) is value
