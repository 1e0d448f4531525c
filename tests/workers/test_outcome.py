"""The outcome of a call in a form that can be sent."""

import pickle
import threading
import types

import pytest

from longop import Callback, LongOperationError
from longop.workers.outcome import Outcome, PortableOutcome, SentError, pickled

from . import far

LATEST = (3, "partial", 1, 2, "message")


def caught(error):
    """Return an error with the traceback of having been raised."""
    try:
        raise error
    except BaseException as raised:
        return raised


def sent(error):
    """Return what arrives of an error that was raised."""
    return pickle.loads(pickle.dumps(SentError.describe(caught(error)))).revive()


def job():
    return types.SimpleNamespace(callback=Callback())


def test_error_arrives_as_it_was():
    """An error that can be pickled keeps its class and what it holds."""
    error = sent(far.Wrong("wrong", 7))
    assert type(error) is far.Wrong
    assert error.number == 7


def test_error_says_where_it_was_raised():
    """The cause of an error that arrived is the traceback from where it was raised."""
    assert "in caught\n" in str(sent(ValueError("wrong")).__cause__)


@pytest.mark.parametrize("kind", [far.Unpicklable, lambda text: far.Unreadable(text, 7)],
                         ids=["Unpicklable", "Unreadable"])
def test_error_that_cannot_be_pickled(kind):
    """An error that cannot be pickled, or not be read again, keeps its name and its text."""
    error = sent(kind("wrong"))
    assert isinstance(error, LongOperationError)
    assert type(error).__name__ in ("Unpicklable", "Unreadable")
    assert str(error) == "wrong"


def test_error_that_is_no_exception():
    """A BaseException arrives as well."""
    assert isinstance(sent(SystemExit(3)), SystemExit)


def test_error_without_a_text():
    """An error whose text cannot be had is named all the same."""
    class Mute(Exception):
        def __str__(self):
            raise ValueError

    assert str(sent(Mute())) == "<Mute>"


def test_settling_returns_the_value():
    """The job's callback has the last report, and the value is returned."""
    watched = job()
    assert Outcome(LATEST, False, "value").settle(watched) == "value"
    assert watched.callback.latest == LATEST
    assert not watched.callback.told


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


def test_portable_outcome_is_an_outcome():
    """An executor that pickles it delivers an equal outcome of the plain class."""
    arrived = pickle.loads(pickle.dumps(PortableOutcome(LATEST, True, {1})))
    assert type(arrived) is Outcome
    assert arrived == Outcome(LATEST, True, {1})


def test_portable_outcome_with_any_value():
    """A value that cannot be pickled arrives as JSON would show it."""
    outcome = PortableOutcome(LATEST, False, [threading.Lock(), 1])
    text, one = pickle.loads(pickle.dumps(outcome)).value
    assert text.startswith("<unlocked _thread.lock")
    assert one == 1


def test_error_beside_a_report_that_cannot_be_pickled():
    """A report that cannot be pickled leaves the error as it is."""
    latest = (1, threading.Lock(), None, None, None)
    outcome = Outcome(latest, False, None, SentError.describe(far.Wrong("wrong", 7)))
    arrived = pickle.loads(pickle.dumps(PortableOutcome(*outcome)))
    with pytest.raises(far.Wrong):
        arrived.settle(job())
    assert arrived.latest[1].startswith("<unlocked")


def test_pickled_keeps_what_it_can():
    """Only the field that cannot be pickled is replaced."""
    kind, value, text = pickle.loads(pickled(("kind", {1}, threading.Lock())))
    assert (kind, value) == ("kind", {1})
    assert text.startswith("<unlocked")
