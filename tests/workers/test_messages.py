"""The messages between an operation and its worker."""

import pytest

from longop.workers.messages import (Begun, Bye, Cancel, Check, Checked, Companion, Ended,
                                     Grown, Hello, Message, Ready, Reported, Start, Welcome,
                                     from_wire, to_wire)
from longop.workers.outcome import Outcome
from longop.workers.sent_error import SentError

LATEST = (2, "result", 1, 4, "text")
# A network carries these as well. The others hold a pickle or an outcome.
ANYWHERE = [
    Welcome("a"), Cancel("a"), Companion("a"), Bye("a"), Ready(), Hello("a"), Begun("a"),
    Reported("a", *LATEST), Grown("a", 2, "text", 6, " and more", 1, 4, "text"),
    Ended("a", None)]
BETWEEN_PROCESSES = [
    Check(b"call"), Start("a", b"call"), Checked(None),
    Checked(SentError(b"", "", "builtins", "ValueError", "wrong", "lines")),
    Ended("a", Outcome(LATEST, False, {1}))]
ALL = ANYWHERE + BETWEEN_PROCESSES


def test_every_message_is_tried():
    """The lists here name every kind of message there is."""
    assert {type(message) for message in ALL} == set(Message.__subclasses__())


@pytest.mark.parametrize("message", ALL, ids=repr)
def test_to_the_wire_and_back(message):
    """A message comes from the wire as it went, of the same class."""
    arrived = from_wire(to_wire(message))
    assert type(arrived) is type(message)
    assert arrived == message


@pytest.mark.parametrize("message", ALL, ids=repr)
def test_kind_comes_first(message):
    """On the wire a message begins with its kind, and is a plain tuple."""
    wire = to_wire(message)
    assert type(wire) is tuple
    assert wire[0] == message.kind == type(message).__name__.lower()


def test_classes_differ():
    """Messages of the same job are equal only if they are of the same class."""
    assert Cancel("a") == Cancel("a")
    assert Cancel("a") != Companion("a")
    assert Cancel("a") != Cancel("b")


def test_report_has_the_callbacks_order():
    """A report is what a callback holds, in the same order."""
    assert Reported("a", *LATEST).latest == LATEST


@pytest.mark.parametrize("wire", [
    ("shout", "a"), ("", "a"), (None, "a"), (["bye"], "a"), ("bye",), ("bye", "a", "b"), (), 7,
    None])
def test_what_is_no_message(wire):
    """An unknown kind, missing or extra fields, or no tuple at all is an error."""
    with pytest.raises((ValueError, TypeError)):
        from_wire(wire)
