"""`longop.values.pieces`: a large value as JSON, in pieces that each take little time."""

import collections
import dataclasses
import enum
import json
import math

import pytest

from longop.values import pieces as module
from longop.values.jsontext import dumps
from longop.values.pieces import SHORT, is_short, pieces

LARGE = 3 * SHORT


class Colour(str, enum.Enum):
    RED = "red" * LARGE


class Items(list):
    pass


@dataclasses.dataclass
class Record:
    name: str
    items: list


class Odd:
    def __str__(self):
        return "odd" * LARGE


def name_of(value):
    return type(value).__name__


Point = collections.namedtuple("Point", "x y")
WIDE = list(range(5_000))
NESTED = [{"a": WIDE, 5: [1, [2, (3, WIDE)]], None: {}}, [], {}, "x"] * 5


@pytest.mark.parametrize("value", [
    1, "a", None, [], {}, [1, 2], {"a": 1}, WIDE, tuple(WIDE), NESTED, "x" * LARGE,
    "\u6570\U0001f600\ud800\"\\\n" * SHORT, {str(n): n for n in WIDE},
    {n: [n, None] for n in WIDE}, [math.nan, 1.5, math.inf] * 2_000, b"ab" * LARGE, 10 ** 3_000,
    [10 ** 3_000, *WIDE], Colour.RED, Items(WIDE), Point(WIDE, "y" * LARGE),
    Record("x" * LARGE, WIDE), Odd(), range(5_000), set(WIDE), collections.UserDict(a=WIDE),
    collections.OrderedDict(a=WIDE, b=1), collections.deque(WIDE), {"a" * LARGE: WIDE},
    [Record("x", [1])] * 2_000, {math.nan: WIDE, (1, 2): WIDE}], ids=name_of)
def test_the_same_text(value):
    """The pieces are together what `dumps` returns for the whole."""
    text = "".join(pieces(value))
    assert text == dumps(value)
    json.loads(text)


def test_cycles_and_depth():
    """What contains itself, or is nested very deeply, has an end."""
    cycle = [*range(5_000)]
    cycle.append(cycle)
    assert "".join(pieces(cycle)) == dumps(cycle)
    small = []
    small.append(small)
    wide = [cycle, small] * 100
    assert "".join(pieces(wide)).startswith("[[0,1,")
    deep = WIDE
    for _ in range(100_000):
        deep = [deep]
    json.loads("".join(pieces(deep)))


@pytest.mark.parametrize("value", [
    WIDE * 20, "x" * LARGE * 20, [WIDE] * 20, {"a": ["x" * LARGE] * 20}, dict.fromkeys(WIDE, 1),
    [["x" * 100] * 100] * 100, [math.nan] * 100_000], ids=name_of)
def test_no_call_takes_long(monkeypatch, value):
    """No call of json's gets more than a small part of a large value."""
    sizes = []

    def dumps_and_note(value, above=()):
        text = dumps(value, above)
        sizes.append(len(text))
        return text

    monkeypatch.setattr(module, "dumps", dumps_and_note)
    "".join(pieces(value))
    assert max(sizes) < 2 * SHORT


class Asked(list):
    """A list that must not be asked how long it is, or what it contains."""

    def __iter__(self):
        raise AssertionError

    __len__ = __iter__


@pytest.mark.parametrize(("value", "short"), [
    (None, True), ("x" * 60_000, True), ("x" * 70_000, False), ([1.5] * 900, True),
    ([1.5] * 6_000_000, False), ({"a": [{"b": "x"}] * 100}, True), (b"x" * 70_000, False),
    (["x" * 700] * 100, False), (10 ** 300_000, False), (Asked(), False), ([Asked()], False),
    (object(), False), ({n: n for n in WIDE}, False)], ids=name_of)
def test_is_short(value, short):
    """A value is short only if that is sure; nothing of the user's is called to find out."""
    assert is_short(value) is short


def test_is_short_costs_little(monkeypatch):
    """However large and deep a value is, few parts of it are looked at."""
    looked = []
    length_of = module._length_of
    monkeypatch.setattr(module, "_length_of", lambda item: looked.append(0) or length_of(item))
    for size in 10_000, 100_000:
        for value in ([0] * size, [[0] * 900] * size, [[[0]]] * size, {"a": [0] * size}):
            looked.clear()
            assert not is_short(value)
            assert len(looked) <= 1_001
