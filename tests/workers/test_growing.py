"""`longop.workers.growing`: results that grow, between processes."""

import contextlib
import json
import pickle
import random

import pytest

from longop import Callback, LongOperation
from longop.values.growth import settled
from longop.workers.channel import JSON, PICKLE
from longop.workers.growing import Received, Rest, Sent
from longop.workers.messages import Grown, Reported, from_wire, to_wire

from . import remote_functions
from ..memory import peak_below
from ..waiting import WAIT


class Line:
    """A worker's side and an operation's side, with the bytes that went over."""

    def __init__(self, codec=PICKLE):
        self._codec = codec
        self._sent, self._received = Sent(), Received()
        self.sizes = []
        self.kinds = []

    def carry(self, result):
        """Send the newest result; return what the other side has then."""
        rest = self._sent.rest_of(result)
        if rest is None:
            message = Reported("a", 1, result, None, None, None)
        else:
            message = Grown("a", 1, *rest, None, None, None)
        data = self._codec.dumps(to_wire(message))
        self.sizes.append(len(data))
        self.kinds.append(message.kind)
        message = from_wire(self._codec.loads(data))
        if isinstance(message, Reported):
            return settled(self._received.set(message.result))
        return settled(self._received.add(Rest(message.form, message.start, message.result)))


@pytest.mark.parametrize("codec", [PICKLE, JSON], ids=["pickle", "json"])
@pytest.mark.parametrize("pieces", [["a", "", "é\ud800", "\U0001f600"], [b"a", b"\xff"],
                                    [{"row": 1}, [2], None, "x"]])
def test_what_is_appended_arrives(codec, pieces):
    """Text, bytes and items that a function appends arrive, whatever carries them."""
    line, callback = Line(codec), Callback()
    if not isinstance(pieces[0], (str, bytes)):
        pieces = [piece for piece in pieces if not isinstance(piece, str) and piece is not None]
    for piece in pieces:
        callback.append(piece)
        result = callback.latest[1]
        assert line.carry(result) == settled(result)
    assert set(line.kinds) == {"grown"}


@pytest.mark.parametrize("codec", [PICKLE, JSON], ids=["pickle", "json"])
def test_any_text_arrives(codec):
    """A text that grows, shrinks, changes in its middle or becomes something else arrives."""
    chance = random.Random(1)
    line, text = Line(codec), ""
    for _ in range(300):
        kind = chance.randrange(6)
        if kind < 3:
            text += "new" * chance.randrange(3)
        elif kind == 3:
            text = text[:len(text) // 2]
        elif kind == 4 and text:
            at = chance.randrange(len(text))
            text = text[:at] + "x" + text[at + 1:]
        else:
            assert line.carry([text]) == [text]
        assert line.carry(text) == text


def test_a_callback_that_begins_anew():
    """After a result that was set, appending begins with that one."""
    line, callback = Line(), Callback()
    for report in ["append", "set", "append", "append", "set"]:
        getattr(callback, "append" if report == "append" else "__call__")("ab")
        assert line.carry(callback.latest[1]) == settled(callback.latest[1])


@pytest.mark.parametrize("way", ["append", "whole"])
def test_each_character_is_sent_once(way):
    """The bytes on the way grow as the text does: reported whole or piece by piece."""
    totals = []
    for count in (400, 4_000):
        line, callback, text = Line(), Callback(), ""
        for _ in range(count):
            if way == "append":
                callback.append("x" * 200)
            else:
                text += "x" * 200
                callback(text)
            line.carry(callback.latest[1])
        totals.append(sum(line.sizes) / (count * 200))
    assert totals[1] < 1.1 * totals[0] < 1.5


def test_what_was_compared_is_told():
    """Of a text that is reported whole, all that was there before is compared; else nothing."""
    sent, callback = Sent(), Callback()
    compared = []
    for result in ["ab", "abc", "x", b"xy", b"xyz", 7, "abc", "abcd"]:
        sent.rest_of(result)
        compared.append(sent.compared)
    assert compared == [0, 2, 3, 0, 2, 0, 0, 3]
    for _ in range(3):
        callback.append("abc")
        sent.rest_of(callback.latest[1])
        assert sent.compared == 0


class Unsendable:
    """Something that cannot be pickled."""

    def __reduce__(self):
        raise pickle.PicklingError("no")


def test_an_item_that_cannot_be_sent():
    """An item that does not survive is shown as JSON has it; the others are themselves."""
    line, callback = Line(), Callback()
    callback.append({1, 2})
    callback.append(Unsendable())
    first, second = line.carry(callback.latest[1])
    callback.append(3)
    assert line.carry(callback.latest[1])[2:] == [3]
    assert "Unsendable" in json.dumps(second)
    assert first in ([1, 2], {1, 2})


@pytest.mark.parametrize("way", ["append", "whole", "append and return", "whole and return"])
def test_memory_of_the_parent(way):
    """However a text comes from a process, the parent needs three times its size at most."""
    size = 4_000_000
    with contextlib.closing(LongOperation(remote_functions.write_text, executor="process")) as far:
        far.start(way=way, size=200).result(WAIT)
        with peak_below(3 * size):
            job = far.start(way=way, size=size)
            assert len(job.result(WAIT)) == size
