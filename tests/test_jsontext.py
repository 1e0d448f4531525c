"""`longop.jsontext`: any value as JSON."""

import base64
import collections
import dataclasses
import enum
import json
import math
import types

import pytest

from longop.jsontext import dumps, to_text


def broken(reason):
    """Mark what the library does wrong now."""
    return pytest.mark.xfail(strict=True, reason=reason)


def no_constant(name):
    raise AssertionError(f"{name} is no JSON")


def loads(text):
    """Read what must be JSON in ASCII, without the words that only Python's json knows."""
    assert text.isascii()
    return json.loads(text, parse_constant=no_constant)


def seen(value):
    return loads(dumps(value))


class Colour(enum.Enum):
    RED = "red"
    NOTHING = math.nan
    PAIR = (1, 2)


class Level(enum.IntEnum):
    LOW = 1


class Word(str, enum.Enum):
    HELLO = "hello"


@dataclasses.dataclass
class Point:
    x: object
    y: object = None


@dataclasses.dataclass
class Slotted:
    __slots__ = ("x",)
    x: object


class Array:
    """What numpy's arrays and scalars have."""

    def __init__(self, value):
        self.value = value

    def tolist(self):
        return self.value


class Mute:
    """An object that is broken."""

    def __str__(self):
        raise RuntimeError("mute")


class Wrong:
    """An object whose __str__ returns no text."""

    def __str__(self):
        return 3


class Plain:
    def __str__(self):
        return "plain \u00e9"


def nested(make, depth=100_000):
    value = make(None)
    for _ in range(depth):
        value = make(value)
    return value


@pytest.mark.parametrize("value", [
    None, True, 0, -1, 1.5, 1e300, "", "a\u00e9\u20ac\U0001f600\0\x7f\"\\", [], {},
    [1, [2, {"a": None}]],
    {"a": {"b": [True, False]}}, 10 ** 100])
def test_json_stays_as_it_is(value):
    """What JSON knows comes back as it was."""
    assert seen(value) == value


def test_text_is_compact():
    """No space is spent between the parts, with or without what JSON does not know."""
    assert dumps({"a": [1, 2], "b": None}) == '{"a":[1,2],"b":null}'
    assert dumps({"a": [1, math.nan], "b": None}) == '{"a":[1,null],"b":null}'


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_nan_and_the_infinities_are_null(number):
    """NaN and the infinities are null, wherever they are, and what is beside them stays."""
    assert dumps(number) == "null"
    assert seen({"a": [number, 1.5, "NaN"], "b": {"c": (number,)}}) == {
        "a": [None, 1.5, "NaN"], "b": {"c": [None]}}
    assert seen([Point(number), Array([number]), {number}]) == [{"x": None, "y": None}, [None],
                                                                [None]]
    assert isinstance(seen({number: 1}), dict)


@pytest.mark.parametrize(("value", "expected"), [
    ((1, 2), [1, 2]), ({1}, [1]), (frozenset("a"), ["a"]), (set(), []),
    (b"\0\xff", "AP8="), (bytearray(b"ab"), "YWI="), (b"", ""),
    (Colour.RED, "red"), (Colour.NOTHING, None), (Colour.PAIR, [1, 2]), (Level.LOW, 1),
    (Word.HELLO, "hello"), (Point(1, Point("a")), {"x": 1, "y": {"x": "a", "y": None}}),
    (Point, str(Point)), (Array([[1.5], [2]]), [[1.5], [2]]), (Array(3), 3),
    (collections.namedtuple("Pair", "a b")(1, 2), [1, 2]), (collections.OrderedDict(a=1), {"a": 1}),
    (Plain(), "plain \u00e9"), (ValueError("wrong"), "wrong"), (1j, "1j"),
    (range(2), "range(0, 2)"),
    (types.MappingProxyType({"a": 1}), "{'a': 1}"),
])
def test_what_json_does_not_know(value, expected):
    """Values of Python's own become the nearest thing in JSON, alone and inside others."""
    assert seen(value) == expected
    assert seen([{"a": value}]) == [{"a": expected}]
    assert seen([value, math.nan]) == [expected, None]


def test_every_byte_survives():
    """Bytes are base64, from which they come back."""
    assert base64.b64decode(seen(bytes(range(256)))) == bytes(range(256))


def test_set_of_what_json_does_not_know():
    """A set may hold sets and bytes."""
    assert seen({frozenset([b"a"])}) == [["YQ=="]]


@pytest.mark.parametrize("value", [Mute(), Wrong()])
def test_object_without_a_text(value):
    """An object whose __str__ raises, or returns no text, is shown as its type's name."""
    name = f"<{type(value).__name__}>"
    assert seen({"a": value}) == {"a": name}
    assert seen({value: 1}) == {name: 1}
    assert to_text(value) == name


def test_to_text():
    """to_text is str, where that works."""
    assert [to_text(value) for value in (1, "a", None, Plain())] == ["1", "a", "None",
                                                                     "plain \u00e9"]


@pytest.mark.parametrize(("key", "shown"), [
    ((1, 2), "(1, 2)"), (b"a", "b'a'"), (frozenset(), "frozenset()"), (1, "1"), (1.5, "1.5"),
    (Colour.RED, "Colour.RED"), pytest.param(10 ** 5000, "<int>", id="long")])
def test_key_that_is_no_text(key, shown):
    """A key that is no text is shown as its text."""
    assert seen({key: "a", "b": [key]})[shown] == "a"


@pytest.mark.parametrize("key", [
    "a", 1, 1.5,
    pytest.param(None, marks=broken("null becomes None where anything else is NaN")),
    pytest.param(True, marks=broken("true becomes True where anything else is NaN")),
    pytest.param(Word.HELLO, marks=broken("a text becomes Word.HELLO where anything else is NaN"))])
def test_key_does_not_depend_on_the_values(key):
    """A key is shown the same, whatever JSON does not know is beside it."""
    assert list(seen({key: 1})) == list(seen({key: math.nan}))


def test_rings():
    """What contains itself is cut where it begins again."""
    ring = [1]
    ring.append(ring)
    assert seen(ring) == [1, "..."]
    ring = {"a": 1}
    ring["b"] = [ring]
    assert seen(ring) == {"a": 1, "b": ["..."]}
    ring = Point(1)
    ring.y = ring
    assert seen(ring) == {"x": 1, "y": "..."}
    ring = Array(None)
    ring.value = ring
    assert seen([ring]) == ["..."]


def test_what_is_there_twice_is_no_ring():
    """What only occurs twice is shown twice."""
    part = [1]
    assert seen({"a": part, "b": [part, part], "c": math.nan}) == {"a": [1], "b": [[1], [1]],
                                                                   "c": None}


@pytest.mark.parametrize("make", [lambda inner: [inner], lambda inner: (inner,),
                                  lambda inner: {"a": inner}, Point, Array],
                         ids=["list", "tuple", "dict", "dataclass", "tolist"])
def test_deep_nesting(make):
    """A hundred thousand levels are cut, and not too soon."""
    text = dumps(nested(make))
    assert len(text) < 10_000
    assert "..." in str(loads(text))
    assert seen([nested(lambda inner: [inner], 50), math.nan])[0] == nested(lambda inner: [inner],
                                                                             50)


def test_number_of_5000_digits():
    """A whole number that is too long for str does not keep the rest from being shown."""
    assert seen({"a": 10 ** 5000, "b": 1}) == {"a": "<int>", "b": 1}


@pytest.mark.parametrize("text", ["\ud800", "\udfff\ud800", "a\udc80b"])
def test_lone_surrogates(text):
    """A lone surrogate, as in the name of a file, is escaped, in keys too."""
    assert seen([text, {text: 1}]) == [text, {text: 1}]
    assert seen([text, math.nan]) == [text, None]


def test_every_character():
    """The text is ASCII and comes back, whatever characters there are."""
    text = "".join(map(chr, range(0x3000)))
    assert seen(text) == text
    assert seen({text: math.nan}) == {text: None}


class Raising:
    def tolist(self):
        raise RuntimeError("no list")


class Other:
    def tolist(self, order):
        return []


class Property:
    @property
    def tolist(self):
        raise ValueError("not now")


class Opaque:
    def __getattr__(self, name):
        raise RuntimeError(name)


class Dict(dict):
    def items(self):
        raise RuntimeError("closed")


class List(list):
    def __iter__(self):
        raise RuntimeError("closed")


@broken("dumps raises what an object of the function's own raises")
@pytest.mark.parametrize("value", [
    Slotted(1), Raising(), Other(), Property(), Opaque(), Dict(a=math.nan), List([math.nan])],
    ids=lambda value: type(value).__name__)
def test_nothing_is_raised(value):
    """Whatever an object does when it is looked at, there is JSON, and the rest is in it."""
    found = seen({"a": value, "b": 1})
    assert set(found) == {"a", "b"}
    assert found["b"] == 1


@broken("a dataclass with slots has no vars")
def test_dataclass_with_slots():
    """A dataclass with slots is an object as any other dataclass."""
    assert seen(Slotted(1)) == {"x": 1}
