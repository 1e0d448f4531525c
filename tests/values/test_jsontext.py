"""`longop.values.jsontext`: any value as JSON."""

import collections
import collections.abc
import dataclasses
import datetime
import enum
import json
import math
import sys
import threading
import types

import pytest

from longop.values.jsontext import dumps, fields_of, to_text

from ..documents import DOCUMENTS, rows
from ..pythons import has_plain_recursion_errors
from .documented import evaluated


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


class Plain:
    def __str__(self):
        return "plain \u00e9"


class Mute:
    """An object that is broken."""

    def __str__(self):
        raise RuntimeError("mute")


class Wrong:
    """An object whose __str__ returns no text."""

    def __str__(self):
        return 3


def nested(make, depth=100_000):
    value = make(None)
    for _ in range(depth):
        value = make(value)
    return value


@pytest.mark.parametrize("value", [
    None, True, 0, -1, 1.5, 1e300, 10 ** 100, "", "a\u00e9\u20ac\U0001f600\0\x7f\"\\", [], {},
    "".join(map(chr, range(0x3000))), "\ud800", "\udfff\ud800", "a\udc80b",  # as in names of files
    [1, [2, {"a": None}]], {"a": {"b": [True, False]}}])
def test_json_stays_as_it_is(value):
    """What JSON knows comes back as it was, alone, as a key and beside what JSON does not know."""
    assert seen(value) == value
    assert seen([value, math.nan]) == [value, None]
    if isinstance(value, str):
        assert seen({value: 1}) == {value: 1}
        assert seen({value: math.nan}) == {value: None}


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
    ({frozenset([b"a"])}, [["YQ=="]]), (b"\0\xff", "AP8="), (bytearray(b"ab"), "YWI="), (b"", ""),
    (Colour.RED, "red"), (Colour.NOTHING, None), (Colour.PAIR, [1, 2]), (Level.LOW, 1),
    (Word.HELLO, "hello"), (Point(1, Point("a")), {"x": 1, "y": {"x": "a", "y": None}}),
    (Point, str(Point)), (Array([[1.5], [2]]), [[1.5], [2]]), (Array(3), 3),
    (collections.namedtuple("Pair", "a b")(1, 2), [1, 2]), (collections.OrderedDict(a=1), {"a": 1}),
    (Plain(), "plain \u00e9"), (ValueError("wrong"), "wrong"), (1j, "1j"),
    (range(2), [0, 1]), (range(10 ** 30), f"range(0, {10 ** 30})"), (range(0), []),
    (types.MappingProxyType({"a": 1}), {"a": 1}), (collections.ChainMap({"a": 1}), {"a": 1}),
    (collections.UserString("ab"), "ab"), ({"a": 1}.values(), [1]), ({"a": 1}.items(), [["a", 1]]),
    (datetime.timedelta(seconds=-1.5), "-PT1.5S"), (Slotted(1), {"x": 1}),
    (Array, str(Array)),
])
def test_what_json_does_not_know(value, expected):
    """Values of Python's own become the nearest thing in JSON, alone and inside others."""
    assert seen(value) == expected
    assert seen([{"a": value}]) == [{"a": expected}]
    assert seen([value, math.nan]) == [expected, None]


@pytest.mark.parametrize("value", [Mute(), Wrong(), pytest.param(10 ** 5000, id="long")])
def test_object_without_a_text(value):
    """What has no ``str`` is shown as its type's name, and does not keep the rest."""
    name = f"<{type(value).__name__}>"
    assert seen({"a": value, "b": [1]}) == {"a": name, "b": [1]}
    assert seen({value: 1}) == {name: 1}
    assert to_text(value) == name
    assert [to_text(other) for other in (1, None, Plain())] == ["1", "None", "plain \u00e9"]


@pytest.mark.parametrize(("key", "shown"), [
    ((1, 2), "(1, 2)"), (b"a", "b'a'"), (frozenset(), "frozenset()"), (1, "1"), (1.5, "1.5"),
    (Colour.RED, "Colour.RED")])
def test_key_that_is_no_text(key, shown):
    """A key that is no text is shown as its text, whatever is beside it."""
    assert seen({key: "a", "b": [key]})[shown] == "a"
    assert list(seen({key: math.nan})) == [shown]


@pytest.mark.parametrize(("key", "shown"), [
    (None, "null"), (True, "true"), (False, "false"), (1, "1"), (1.5, "1.5"), (Level.LOW, "1"),
    (Word.HELLO, "hello")])
def test_key_is_the_same_whatever_is_beside_it(key, shown):
    """A key that json knows has json's text, also where a value beside it has to be changed."""
    assert list(seen({key: 2})) == list(seen({key: math.nan})) == [shown]


def test_rings():
    """What contains itself is cut where it begins again; what only occurs twice is no ring."""
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
    part = [1]
    assert seen({"a": part, "b": [part, part], "c": math.nan}) == {
        "a": [1], "b": [[1], [1]], "c": None}


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


@pytest.mark.parametrize("value", [Slotted(1), Raising(), Other(), Property(), Opaque()],
                         ids=lambda value: type(value).__name__)
def test_nothing_is_raised(value):
    """Whatever an object does when it is looked at, there is JSON, and the rest is in it."""
    for beside in (1, None):
        found = seen({"a": value, "b": beside, "c": math.nan if beside else 2})
        assert set(found) == {"a", "b", "c"}
        assert found["b"] == beside


# The table in docs/values.md


@pytest.mark.parametrize(("value", "expected"), [
    pytest.param(evaluated(python), json.loads(text.strip("`")), id=python)
    for python, text, _ in rows(DOCUMENTS["docs/values.md"], "Python")])
def test_the_documented_table(value, expected):
    """Each value in the table is written as the table says, alone and inside others."""
    assert seen(value) == expected
    assert seen({"a": [value], "b": math.nan}) == {"a": [expected], "b": None}


# Dataclasses


@dataclasses.dataclass
class Late:
    x: int
    y: int = dataclasses.field(init=False)


def test_field_that_was_never_set():
    """A field without a value is left out, with slots or without."""
    late = Late(1)
    assert seen(late) == fields_of(late) == {"x": 1}
    late.y = 2
    assert seen(late) == {"x": 1, "y": 2}
    empty = Slotted.__new__(Slotted)
    assert seen([empty]) == [{}]


@pytest.mark.skipif(sys.version_info < (3, 10), reason="slots=True came with Python 3.10")
def test_dataclass_with_slots():
    """The fields of a dataclass made with slots=True are written, inherited ones too."""
    base = dataclasses.make_dataclass("Base", ["a"], slots=True)
    made = dataclasses.make_dataclass("Made", ["b"], bases=(base,), slots=True)
    assert seen(made(1, {2})) == {"a": 1, "b": [2]}


# Values that change while they are shown


class Trigger:
    """A value that, when it is written, has another thread change its container."""

    def __init__(self, change):
        self.change = change

    def __str__(self):
        thread = threading.Thread(target=self.change)
        thread.start()
        thread.join()
        return "seen"


def growing_dict():
    value = {}
    value["a"] = Trigger(lambda: value.update({len(value): math.nan}))
    value["b"] = math.nan
    return value, {"a": "seen", "b": None}


def growing_list():
    value = []
    value += [Trigger(lambda: value.append(value[0])), math.nan]
    return value, ["seen", None]


def growing_instance():
    value = Point(1, math.nan)
    value.x = Trigger(lambda: setattr(value, f"more{len(vars(value))}", 1))
    return value, {"x": "seen", "y": None}


def growing_deque():
    value = collections.deque()
    value += [Trigger(lambda: value.append(value[0])), math.nan]
    return value, ["seen", None]


@pytest.mark.parametrize("make", [growing_dict, growing_list, growing_instance, growing_deque])
def test_container_that_another_thread_fills(make):
    """What grows while it is written is written as it was at one moment; nothing is raised."""
    for _ in range(2):
        value, expected = make()
        assert seen({"shared": value})["shared"] == expected


class Restless(collections.abc.Mapping):
    """A mapping whose first readers find that another thread has changed it meanwhile."""

    def __init__(self, times):
        self.data = {"a": 1}
        self.times = times

    def __getitem__(self, key):
        return self.data[key]

    def __len__(self):
        return len(self.data)

    def __str__(self):
        return "restless"

    def __iter__(self):
        for key in self.data:
            if self.times:
                self.times -= 1
                Trigger(lambda: self.data.update({f"b{self.times}": 2})).__str__()
            yield key


def test_mapping_that_changes_under_its_reader():
    """A copy is tried again; what never holds still is shown as its text."""
    assert seen([Restless(0)]) == [{"a": 1}]
    assert seen([Restless(3)]) == [{"a": 1, "b2": 2, "b1": 2, "b0": 2}]
    assert seen([Restless(10 ** 6)]) == ["restless"]


@has_plain_recursion_errors
def test_full_stack():
    """A value is written as its type's name where the caller's stack has no room for more."""
    def fill(depth):
        try:
            return fill(depth + 1)
        except RecursionError:
            return dumps({"a": {1}})

    assert json.loads(fill(0)) in ("<dict>", {"a": [1]})
