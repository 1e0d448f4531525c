"""Messages through a connection, as pickles and as JSON."""

import multiprocessing
import pickle
import threading

import pytest

from longop.workers.channel import JSON, PICKLE, Channel
from longop.workers.messages import Begun, Check, Ended, Reported
from longop.workers.outcome import Outcome

from ..waiting import WAIT
from .remote_functions import Bomb
from .test_messages import ALL, ANYWHERE

CODECS = pytest.mark.parametrize("codec", [PICKLE, JSON], ids=["pickle", "JSON"])


@pytest.fixture
def ends():
    """The two ends of a connection."""
    here, there = multiprocessing.Pipe()
    with here, there:
        yield here, there


def through(ends, codec, message):
    """Send a message, and return what arrives."""
    assert Channel(ends[0], codec).send(message)
    return Channel(ends[1], codec).receive()


@CODECS
@pytest.mark.parametrize("message", ANYWHERE, ids=repr)
def test_message_arrives_as_it_was(ends, codec, message):
    """Both codecs carry the same messages."""
    assert through(ends, codec, message) == message


@pytest.mark.parametrize("message", ALL, ids=repr)
def test_pickle_carries_everything(ends, message):
    """Between processes any message goes through, outcomes and errors included."""
    assert through(ends, PICKLE, message) == message


def test_pickle_keeps_types(ends):
    """A pipe keeps the type of each value that was reported."""
    report = Reported("a", 1, {1}, 1j, (1, 2), b"bytes")
    assert through(ends, PICKLE, report).latest == report.latest


def test_json_shows_what_it_cannot_hold(ends):
    """A network carries each value that was reported as JSON shows it."""
    assert through(ends, JSON, Reported("a", 1, {1}, float("nan"), (1, 2), None)).latest == (
        1, [1], None, [1, 2], None)


@CODECS
def test_report_that_cannot_be_sent(ends, codec):
    """A part that cannot be sent goes as its text, and the rest as it is."""
    arrived = through(ends, codec, Reported("a", 1, threading.Lock(), 2, 3, "text"))
    assert arrived.result.startswith("<unlocked")
    assert (arrived.count, arrived.step, arrived.total, arrived.message) == (1, 2, 3, "text")


def test_outcome_that_cannot_be_sent(ends):
    """A value that cannot be pickled goes as its text, the rest of its outcome as it is."""
    outcome = Outcome((1, {1}, None, None, None), True, threading.Lock())
    arrived = through(ends, PICKLE, Ended("a", outcome)).outcome
    assert isinstance(arrived, Outcome)
    assert (arrived.latest, arrived.told) == (outcome.latest, True)
    assert arrived.value.startswith("<unlocked")


def test_json_is_never_unpickled(ends, tmp_path):
    """A pickle that comes over a network is an error, and nothing in it happens."""
    ends[0].send_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    with pytest.raises(UnicodeDecodeError):
        Channel(ends[1], JSON).receive()
    assert [*tmp_path.iterdir()] == []


@CODECS
def test_other_side_is_gone(ends, codec):
    """A send to a closed end returns False and raises nothing; receiving raises."""
    ends[1].close()
    channel = Channel(ends[0], codec)
    assert not channel.send(Begun("a"))
    with pytest.raises((EOFError, OSError)):
        channel.receive()


@CODECS
def test_closed_here(ends, codec):
    """A send through a connection that was closed at this end returns False too."""
    ends[0].close()
    assert not Channel(ends[0], codec).send(Begun("a"))


def test_threads_do_not_mix_their_messages(ends):
    """Each message of several threads arrives whole, though none fits the pipe."""
    channel = Channel(ends[0], PICKLE)
    calls = [bytes([number]) * 300_000 for number in range(8)]
    threads = [threading.Thread(target=channel.send, args=(Check(call),)) for call in calls]
    for thread in threads:
        thread.start()
    reader = Channel(ends[1], PICKLE)
    assert sorted(reader.receive().call for _ in calls) == calls
    for thread in threads:
        thread.join(WAIT)
