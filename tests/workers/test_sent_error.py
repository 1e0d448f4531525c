"""An error on its way to another process."""

import pickle
import sys
import threading
import types

import pytest

from longop import LongOperationError
from longop.status import describe
from longop.workers.sent_error import SentError

from . import far

NEEDS_GROUPS = pytest.mark.skipif(sys.version_info < (3, 11), reason="needs Python 3.11")


def caught(error):
    """Return an error with the traceback of having been raised."""
    try:
        raise error
    except BaseException as raised:
        return raised


def sent(error):
    """Return what arrives of an error that was raised."""
    return pickle.loads(pickle.dumps(SentError.describe(caught(error)))).revive()


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
    """An error that cannot be pickled, or not be read again, keeps its class and its text."""
    error = sent(kind("wrong"))
    assert isinstance(error, (far.Unpicklable, far.Unreadable))
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


class Coded(Exception):
    """Has a text that is made of what it holds."""

    def __init__(self, code, lock):
        super().__init__()
        self.code = code
        self.lock = lock

    def __str__(self):
        return f"code {self.code}"


class Locked(Exception):
    """Has a text that cannot be had from what can be sent of it."""

    def __init__(self, lock):
        super().__init__(lock)

    def __str__(self):
        return "locked" if self.args[0].locked() else "unlocked"


class File(OSError):
    """An error of the system, with a lock."""

    def __init__(self, *args):
        super().__init__(*args)
        self.lock = threading.Lock()


def test_attributes_are_kept_one_by_one():
    """An error that holds a lock keeps its class, its text and its other attributes."""
    error = sent(Coded([7], threading.Lock()))
    assert (type(error), str(error), error.code) == (Coded, "code [7]", [7])
    assert error.lock.startswith("<unlocked")


def test_text_that_cannot_be_made_again():
    """An error whose text is made of what was lost is still of its class, and has the text."""
    error = sent(Locked(threading.Lock()))
    assert isinstance(error, Locked)
    assert (type(error).__name__, str(error)) == ("Locked", "unlocked")


def test_error_of_the_system():
    """An OSError that cannot be pickled has its number and its text."""
    error = sent(File(2, "no such thing"))
    assert (type(error), error.errno, str(error)) == (File, 2, "[Errno 2] no such thing")


def test_class_that_cannot_be_imported():
    """An error of a class that only exists where it comes from is of a class of its name."""
    class Local(Exception):
        pass

    error = sent(Local("wrong"))
    assert isinstance(error, LongOperationError)
    assert (type(error).__name__, str(error)) == ("Local", "wrong")


def test_class_that_is_missing_on_the_other_side(monkeypatch):
    """An error that can be read where it comes from, but not where it arrives, has its text."""
    module = types.ModuleType("only_there")
    exec("class Bad(Exception): pass", vars(module))
    monkeypatch.setitem(sys.modules, "only_there", module)
    described = SentError.describe(module.Bad("wrong"))
    monkeypatch.delitem(sys.modules, "only_there")
    lost = []
    error = described.revive(lost.append)
    assert isinstance(error, LongOperationError)
    assert (type(error).__name__, str(error)) == ("Bad", "wrong")
    assert lost == ["ModuleNotFoundError: No module named 'only_there'"]


def chained():
    try:
        try:
            raise far.Unpicklable("first")
        except far.Unpicklable as first:
            raise far.Wrong("second", 2) from first
    except far.Wrong as second:
        return KeyError("third"), second


def test_causes_are_kept():
    """The causes of an error follow it, the traceback from the worker after the last of them."""
    third, second = chained()
    third.__cause__ = second
    error = sent(third)
    assert (type(error), error.args) == (KeyError, ("third",))
    assert (type(error.__cause__), error.__cause__.number) == (far.Wrong, 2)
    first = error.__cause__.__cause__
    assert (type(first), str(first)) == (far.Unpicklable, "first")
    assert "in chained\n" in str(first.__cause__)


def test_causes_in_a_circle():
    """An error that is its own cause arrives."""
    error = ValueError("wrong")
    error.__cause__ = error
    assert str(sent(error)) == "wrong"


@pytest.mark.parametrize("kind", [ValueError, far.Unpicklable, lambda text: Noted(text)],
                         ids=["pickled", "rebuilt", "forgetful"])
def test_notes_are_kept(kind):
    """The notes of an error are kept, however it arrives."""
    error = kind("wrong")
    error.__notes__ = ["a note"]  # as `add_note` does, since Python 3.11
    assert sent(error).__notes__ == ["a note"]


class Noted(Exception):
    """Is pickled without its notes."""

    def __reduce__(self):
        return Noted, self.args


@NEEDS_GROUPS
def test_group_keeps_its_members():
    """The members of a group arrive each by itself, with its cause, in groups as they were."""
    third, second = chained()
    third.__cause__ = second
    group = ExceptionGroup("all", [  # noqa: F821
        third, ExceptionGroup("some", [far.Unpicklable("wrong")])])  # noqa: F821
    error = sent(group)
    assert (type(error), str(error)) == (type(group), "all (2 sub-exceptions)")
    assert type(error.exceptions[0].__cause__) is far.Wrong
    assert type(error.exceptions[1].exceptions[0]) is far.Unpicklable


# What was being handled


def raised_while_handling(error, context, cause=None):
    """Return an error that was raised while another one was handled."""
    try:
        try:
            raise context
        except BaseException:
            if cause is None:
                raise error  # noqa: B904  # as people do it
            raise error from cause
    except BaseException as raised:
        return raised


def test_error_that_was_being_handled():
    """The error that was being handled is sent too, and is shown where it arrives."""
    error = sent(raised_while_handling(ValueError("wrong"), far.Wrong("first", 7)))
    assert error.__cause__ is None
    assert not error.__suppress_context__
    assert type(error.__context__) is far.Wrong
    assert error.__context__.number == 7
    assert "in raised_while_handling\n" in str(error.__context__.__cause__)
    assert describe(error, None) == "ValueError: wrong\nwhile handling: Wrong: ('first', 7)"


def test_error_that_was_being_handled_in_another_one():
    """That of a cause, and of an error that cannot be pickled, is sent as well."""
    cause = raised_while_handling(far.Unpicklable("cause"), KeyError("first"))
    error = sent(raised_while_handling(ValueError("wrong"), OSError("hidden"), cause))
    assert isinstance(error.__cause__, far.Unpicklable)
    assert isinstance(error.__cause__.__context__, KeyError)
    assert error.__context__ is None  # a traceback does not show it beside the cause


def test_error_from_none():
    """What ``from None`` hides is not sent."""
    error = raised_while_handling(ValueError("wrong"), KeyError("hidden"))
    error.__suppress_context__ = True
    assert sent(error).__context__ is None


@pytest.mark.parametrize("length", [100, 1000])
def test_long_chain_is_cut(length):
    """However many errors were being handled, a few are sent, the newest."""
    error = ValueError("0")
    for number in range(1, length):
        error = raised_while_handling(ValueError(str(number)), error)
    data = pickle.dumps(SentError.describe(error)._replace(traceback=""))
    assert len(data) < 5000
    arrived = pickle.loads(data).revive()
    texts = []
    while arrived.__context__ is not None:
        texts.append(str(arrived))
        arrived = arrived.__context__
    assert texts == [str(number) for number in range(length - 1, length - 21, -1)]


def test_errors_that_were_handled_in_a_circle():
    """Errors that lead to each other are sent a few times, and no more."""
    first, second = caught(ValueError("first")), caught(ValueError("second"))
    first.__context__, second.__context__ = second, first
    assert str(sent(first).__context__) == "second"
