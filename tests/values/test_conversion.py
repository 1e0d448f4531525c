"""`longop.values.conversion`: what an annotation makes of a value, and its JSON Schema."""

import decimal
import enum
import fractions
import json
import math
import sys
import typing  # noqa: F401  # for annotations that are evaluated here
import uuid
from collections import deque
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import (Any, Deque, Dict, FrozenSet, List, Literal, Mapping, NamedTuple, Optional,
                    Sequence, Set, Tuple, TypedDict, Union)

import pytest

from longop import BadParameters
from longop.values.conversion import kind_of
from longop.values.given import Bounds, bounded
from longop.values.jsontext import dumps
from longop.signature import Signature
from longop.values.kinds import ANYTHING, describes_file

from ..documents import DOCUMENTS, rows
from .documented import evaluated

DEEP = "[" * 50_000  # what the head of a request, or a form, has room for


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Swapped(enum.Enum):
    A = "B"
    B = "A"


class Word(str):
    """A text of somebody's own."""


class Even:
    """A class of somebody's own, made of a text."""

    def __init__(self, text):
        if int(text) % 2:
            raise KeyError(text)  # as that of ZoneInfo, which is no ValueError
        self.number = int(text)

    def __eq__(self, other):
        return isinstance(other, Even) and self.number == other.number

    __hash__ = None


@dataclass
class Point:
    x: int
    y: float = 0.5
    tags: List[str] = field(default_factory=list)

    def __post_init__(self):
        if self.x < 0:
            raise ValueError("x must not be negative")


class Line(NamedTuple):
    start: Point
    end: Optional[Point] = None


class Diary(TypedDict):
    day: date
    lines: List[Line]


@dataclass
class Tree:
    value: int
    children: "List[Tree]" = field(default_factory=list)


@dataclass
class Attachment:
    content: bytes


def of(annotation):
    """Return the signature of a function with one parameter, ``x``."""
    def function(callback, x):
        return x

    function.__annotations__["x"] = annotation
    return Signature(function)


def parse(annotation, *given):
    return of(annotation).parse({"x": list(given)})["x"]


def error(annotation, *given):
    with pytest.raises(BadParameters) as caught:
        of(annotation).parse({"x": list(given)})
    assert list(caught.value.errors) == ["x"]
    return caught.value.errors["x"]


# Values that are right


@pytest.mark.parametrize(("annotation", "given", "expected"), [
    (int, "3", 3), (int, "-3", -3), (int, 3, 3), (int, "9" * 50, int("9" * 50)),
    (float, "3", 3.0), (float, "-1e-3", -0.001), (float, 3, 3.0), (float, 2.5, 2.5),
    *[(bool, given, True) for given in ("true", "True", "yes", "on", "1", True)],
    *[(bool, given, False) for given in ("false", "FALSE", "no", "off", "0", False)],
    *[(str, given, given) for given in ("x", "", "3", "null", "[1]", "\u00e9\u20ac\U0001f600")],
    (str, b"caf\xc3\xa9", "caf\u00e9"), (bytes, b"\x00\xff", b"\x00\xff"),
    (bytes, "AAEC", b"\0\1\2"), (bytes, "", b""), (bytes, b"", b""), (bytes, b"AAEC", b"AAEC"),
    (list, "[1, 2]", [1, 2]), (list, [1, None], [1, None]), (list, "[]", []), (list, "x", ["x"]),
    (list, '["x"]', ["x"]), (List[int], "[1, 2]", [1, 2]), (List[int], [1, 2], [1, 2]),
    (List[int], "3", [3]), (List[int], ["1", "2"], [1, 2]), (List[str], ["1", "2"], ["1", "2"]),
    (List[str], "[draft] chapter one", ["[draft] chapter one"]), (List[Any], "x", ["x"]),
    (List[List[int]], "[[1], [2, 3]]", [[1], [2, 3]]), (Sequence[str], "a", ["a"]),
    (List[Colour], '["red", "BLUE"]', [Colour.RED, Colour.BLUE]),
    (Tuple[int, ...], "[1, 2]", (1, 2)), (Set[int], [1, 2, 2], {1, 2}),
    (FrozenSet[str], ["a", "b"], frozenset("ab")), (set, ["x", "y"], {"x", "y"}),
    (dict, '{"a": 1}', {"a": 1}), (dict, {"a": 1}, {"a": 1}),
    (Dict[str, int], '{"a": 1}', {"a": 1}), (Mapping[str, int], {"a": 1}, {"a": 1}),
    (Optional[int], "3", 3), (Optional[int], None, None), (Optional[int], "", None),
    (Optional[int], 0, 0), (Optional[bool], "no", False), (Optional[bool], None, None),
    (Optional[str], "x", "x"), (Optional[str], "", ""), (Optional[str], None, None),
    (Optional[Colour], "red", Colour.RED), (Optional[Colour], "", None), (Optional[Path], "", None),
    (Optional[List[int]], None, None), (Optional[List[int]], "[]", []),
    (Optional[list], None, None),
    (Union[int, str], "3", 3), (Union[int, str], "x", "x"), (Union[str, int], "3", "3"),
    (Union[str, int], 3, 3), (Union[int, float], "3", 3), (Union[int, float], "3.5", 3.5),
    (Literal["a", "b"], "b", "b"), (Literal[1, 2, "x"], "1", 1), (Literal[1, 2, "x"], 2, 2),
    (Literal[1, 2, "x"], "x", "x"), (Literal["auto", True], "true", True),
    (Colour, "red", Colour.RED), (Colour, "BLUE", Colour.BLUE), (Level, "2", Level.HIGH),
    (Level, 2, Level.HIGH), (Level, "LOW", Level.LOW),
    (Swapped, "A", Swapped.B), (Swapped, "B", Swapped.A),
    (Path, "a b", Path("a b")), (Word, "abc", Word("abc")), (Even, "4", Even("4")),
    (decimal.Decimal, "1.10", decimal.Decimal("1.10")),
    *[(int, given, expected) for given, expected in (
        ("007", 7), ("1e3", 1000), ("1E+2", 100), ("+5", 5), (" 5 ", 5), ("-0", 0))],
    *[(float, given, expected) for given, expected in (
        (".5", 0.5), ("007", 7.0), ("1e3", 1000.0), ("+5", 5.0), (" 5 ", 5.0), ("5.", 5.0))],
    *[(decimal.Decimal, given, decimal.Decimal(expected)) for given, expected in (
        (" .50 ", ".50"), (3, "3"), (1.1, "1.1"), ("1e3", "1e3"), ("9" * 50, "9" * 50))],
    (bytearray, "AAEC", bytearray(b"\0\1\2")), (bytearray, b"\xff", bytearray(b"\xff")),
    (date, " 2026-11-28 ", date(2026, 11, 28)), (time, "14:30", time(14, 30)),
    (datetime, "2026-11-28T14:30Z", datetime(2026, 11, 28, 14, 30, tzinfo=timezone.utc)),
    (Optional[date], "", None), (List[date], ["2026-11-28"], [date(2026, 11, 28)]),
    *[(timedelta, given, timedelta(seconds=90)) for given in (90, 90.0, "90", "PT90S", "0:01:30")],
    (Deque[int], ["1"], deque([1])), (complex, "1+2j", 1 + 2j),
    (fractions.Fraction, "1/3", fractions.Fraction(1, 3)),
    (Tuple[int, str], '[1, "2"]', (1, "2")), (Tuple[int], "3", (3,)),
    (Tuple[date, Tuple[int, int]], ["2026-11-28", ["1", 2]], (date(2026, 11, 28), (1, 2))),
    (object, "x", "x"), (object, 3, 3), (Any, "x", "x"), (Optional[Any], "x", "x"),
])
def test_right_value(annotation, given, expected):
    """Text, JSON and uploads become what the annotation asks for, and of that type."""
    value = parse(annotation, given)
    assert value == expected
    assert type(value) is type(expected)


def test_repeated_name_is_a_list():
    """A name that was given several times makes a list."""
    assert parse(List[int], "1", "2", "3") == [1, 2, 3]
    assert parse(List[bytes], b"a", b"b") == [b"a", b"b"]
    assert parse(Set[str], "a", "b", "a") == {"a", "b"}
    assert parse(object, "1", "2") == ["1", "2"]


@pytest.mark.parametrize(("since", "annotation", "same"), [
    (9, "list[int]", List[int]), (9, "tuple[int, ...]", Tuple[int, ...]),
    (9, "dict[str, int]", Dict[str, int]), (10, "int | None", Optional[int]),
    (9, "typing.Annotated[int, 'in metres']", int)])
def test_annotations_of_later_pythons(since, annotation, same):
    """list[int], int | None and Annotated are as good as what Python 3.8 has for them."""
    if sys.version_info < (3, since):
        pytest.skip(f"came with Python 3.{since}")
    signature = of(eval(annotation))
    assert signature.schema() == of(same).schema()
    for given in ("[1, 2]", '{"a": 1}', "3", None):
        try:
            expected = parse(same, given)
        except BadParameters:
            with pytest.raises(BadParameters):
                signature.parse({"x": [given]})
        else:
            assert signature.parse({"x": [given]})["x"] == expected


# Values that are wrong


@pytest.mark.parametrize(("annotation", "given", "must_be"), [
    *[(int, wrong, "a whole number") for wrong in
      ("x", "", "3.0", "1e-3", "1e9999", "nan", "inf", "1.5", ".5", "5 5", "0x10",
       "1_000", "\u0663", "true", "null", "[1]", "9" * 5000,
       3.5, 3.0, True, None, [1], {}, b"3")],
    *[(float, wrong, "a number") for wrong in
      ("x", "", "0x1p3", "true", "inf", "NaN", "Infinity", "-Infinity", True, None, [1.0], b"3",
       "9" * 400, "9" * 5000, "nan", "-inf", "1e999", ".", "e3", math.nan, math.inf)],
    *[(bool, wrong, "true or false") for wrong in ("x", "", "2", 2, None, [], {}, "y", b"1")],
    *[(str, wrong, "text") for wrong in (3, 3.5, True, None, ["a"], {}, b"\xff")],
    *[(bytes, wrong, "an uploaded file or base64 text") for wrong in
      ("AAE", "****", "\u00e9", "AAEC\n", 3, None, [1], {})],
    *[(dict, wrong, "a JSON object") for wrong in ("x", "", "[1]", '{"a":', "3", 3, None, [1])],
    *[(List[int], wrong, "a whole number") for wrong in ("x", "1,2", "[1.5]", [1, "x"])],
    *[(List[int], wrong, f"a whole number, not {wrong!r}") for wrong in ("[", "[1] x")],
    *[(kind, wrong, "a list") for kind in (list, List[int]) for wrong in (3, {}, None, True)],
    (List[List[int]], "[[1], [2.5]]", "a whole number"),
    *[(Optional[int], wrong, "a whole number") for wrong in ("x", "null", False, 1.5)],
    (Union[int, float], "x", "a number"),
    *[(Literal["a", 2], wrong, "one of a, 2") for wrong in ("c", "", None, 3, b"a", ["a"])],
    *[(Colour, wrong, "one of RED, BLUE, red, blue")
      for wrong in ("green", "Red", "", None, 3, b"red")],
    *[(Level, wrong, "one of LOW, HIGH, 1, 2") for wrong in ("3", 3, True, "low", None)],
    *[(Path, wrong, "a path") for wrong in
      (3, True, None, ["a"], {}, b"a", ["a", "b"])],
    (int, "y" * 10_000, "a whole number, not 'yyyyyyyy"),
    (Even, "3", "a text that Even takes, not '3'"),
    *[(decimal.Decimal, wrong, "a number such as 1.10")
      for wrong in ("x", "", "nan", "Infinity", "0x1", True, None, b"1")],
    *[(date, wrong, "a date such as 2026-11-28, not")
      for wrong in ("tomorrow", "", "20261128", "2026-13-01", "2026-11-28T14:30", 3, None, b"x")],
    *[(datetime, wrong, "a date and time such as 2026-11-28T14:30, not")
      for wrong in ("now", "", "2026-11-28T25:00", "14:30", 1_000_000, None)],
    *[(time, wrong, "a time such as 14:30, not") for wrong in ("noon", "", "24:30", "2:30", 3)],
    *[(timedelta, wrong, "a duration such as 1:30:00 or PT1H30M, not")
      for wrong in ("long", "", "1:30", "P", "PT", "nan", "1e300", "9" * 5000, True, None, [1])],
    (uuid.UUID, "x", "a UUID such as 123e4567-e89b-12d3-a456-426614174000, not 'x'"),
    (fractions.Fraction, "1/0", "a fraction such as 1/3, not"),
    (fractions.Fraction, "1e999999999", "a fraction such as 1/3, not"),
    (fractions.Fraction, "1/" + "9" * 5_000_000, "a fraction such as 1/3, not"),
    (int, "9" * 5_000_000, "a whole number, not"),
    (bytearray, "*", "an uploaded file or base64 text"),
    *[(Tuple[int, str], wrong, "a list of 2 values") for wrong in ("x", "[1]", [1, "a", 2], [])],
    *[(Tuple[int, str], wrong, "a list, not") for wrong in (3, None, {})],
    (Tuple[int, str], ["a", "b"], "a whole number, not 'a'"),
], ids=lambda value: ascii(value)[:40])
def test_wrong_value(annotation, given, must_be):
    """A value that does not fit is refused, and the error says what it must be."""
    message = error(annotation, given)
    assert message.startswith(f"must be {must_be}")
    assert message.isprintable()
    assert len(message) < 200


@pytest.mark.parametrize("annotation", [int, float, bool, dict, Optional[int], Colour])
def test_deep_and_repeated_text(annotation):
    """Text that is too deep for JSON, or came twice, is a wrong value, also of a list."""
    for wanted in annotation, List[int]:
        assert error(wanted, DEEP).startswith(("must be ", "is nested too deeply"))
    assert error(annotation, "1", "1").startswith("must be ")


def test_text_that_only_begins_like_json():
    """It is an item of a list of anything, but Python up to 3.13 cannot read one that is deep."""
    assert parse(list, "[" * 200) == ["[" * 200]
    if sys.version_info >= (3, 14):
        assert parse(list, DEEP) == [DEEP]
    else:
        assert error(list, DEEP).startswith("is nested too deeply")


@pytest.mark.parametrize("wanted", [list, dict, Tree, List[Tree]])
@pytest.mark.parametrize(("text", "says"), [
    ("[" * 101 + "]" * 101, "is nested too deeply (more than 100 levels)"),
    ('["\\ud800"]', "has half of a character (a lone surrogate)"),
    ("[1e999]", "has a number that is out of range"),
    ("[" + "[]," * 400_000 + "[]]", "has more than 1,000,000 values")])
def test_json_in_a_text_that_is_not_fit(wanted, text, says):
    """JSON in a text has the bounds of JSON in a body, and the error says which."""
    assert error(wanted, text) == says


@pytest.mark.parametrize(("annotation", "given", "expected"), [
    pytest.param(evaluated(annotation), json.loads(sent.strip("`")), evaluated(value),
                 id=f"{annotation} {sent}")
    for annotation, sent, value in rows(DOCUMENTS["docs/values.md"], "annotation")])
def test_the_documented_table(annotation, given, expected):
    """What the table in docs/values.md says is sent becomes what it says the function gets."""
    value = parse(annotation, given)
    assert value == expected
    assert type(value) is type(expected)
    assert parse(annotation, given if isinstance(given, str) else dumps(given)) == expected


@pytest.mark.parametrize("value", [
    date(2026, 11, 28), datetime(2026, 11, 28, 14, 30, 15, 500_000, timezone(-timedelta(hours=3))),
    time(14, 30, 15), timedelta(days=-2, seconds=7.25), decimal.Decimal("1.10"), uuid.UUID(int=7),
    fractions.Fraction(-1, 3), 1 - 2j, b"\xff", bytearray(b"\xff"), Colour.RED, Path("a b"),
    Point(1, 2.5, ["a"]), Line(Point(1), Point(2)), Tree(1, [Tree(2)]), Attachment(b"\xff"),
    deque([1]), {1}], ids=lambda value: type(value).__name__)
def test_what_is_written_is_read_again(value):
    """A value that a door has written as JSON is taken as a parameter, and is the same again."""
    again = kind_of(type(value)).convert(json.loads(dumps(value)))
    assert again == value
    assert type(again) is type(value)


# Records


@dataclass
class Exits:
    x: int

    def __post_init__(self):
        sys.exit("no good")


def test_record_that_exits():
    """A class that calls sys.exit() for what it is given has refused it, no more."""
    assert error(Exits, {"x": 1}) == "is wrong: no good"


def test_records():
    """Dataclasses, named tuples and TypedDicts are made of objects, with their parts converted."""
    assert parse(Point, '{"x": "3", "y": 1, "tags": ["a"]}') == Point(3, 1.0, ["a"])
    assert parse(Line, {"start": {"x": 1}}) == Line(Point(1))
    assert parse(Line, [{"x": 1}, {"x": 2}]) == Line(Point(1), Point(2))
    assert parse(Diary, {"day": "2026-11-28", "lines": [[{"x": 1}]]}) == {
        "day": date(2026, 11, 28), "lines": [Line(Point(1))]}
    assert parse(Optional[Point], "") is None
    assert parse(List[Point], [{"x": 1}]) == [Point(1)]
    assert parse(Tree, {"value": 1, "children": [{"value": "2"}]}) == Tree(1, [Tree(2)])
    assert parse(Attachment, {"content": "/w=="}) == Attachment(b"\xff")


@pytest.mark.parametrize(("annotation", "given", "message"), [
    *[(Point, wrong, f"must be a JSON object, not {wrong!r}")
      for wrong in ("x", "", "[1]", "3", 3, None, [1], b"{}", DEEP[:20])],
    (Line, [1, 2, 3], "must be a JSON object, not [1, 2, 3]"),
    (Point, {"x": "a"}, "is wrong: 'x' must be a whole number, not 'a'"),
    (Point, {}, "is wrong: 'x' is missing"),
    (Point, {"y": "b"}, "is wrong: 'x' is missing, 'y' must be a number, not 'b'"),
    (Point, {"x": 1, "z": 2}, "is wrong: 'z' is unknown; known are: x, y, tags"),
    (Point, {"x": -1}, "is wrong: x must not be negative"),
    (Line, {"start": {"x": None}},
     "is wrong: 'start' is wrong: 'x' must be a whole number, not None"),
    (Diary, {"day": "2026"}, "is wrong: 'lines' is missing, 'day' must be a date such as "
                             "2026-11-28, not '2026'"),
])
def test_wrong_record(annotation, given, message):
    """The error names each field that is wrong, also in a record inside a record."""
    assert error(annotation, given) == message


def test_error_of_a_record_is_short():
    """However much is wrong, one unknown name is enough."""
    assert len(error(Point, {"z" * 1000 + str(index): 1 for index in range(1000)})) < 300


def test_schema_of_records():
    """A record is an object with its own properties; a tree is an object of objects."""
    point = {"type": "object", "properties": {
        "x": {"type": "integer"}, "y": {"type": "number"},
        "tags": {"type": "array", "items": {"type": "string"}}},
        "required": ["x"], "additionalProperties": False}
    assert kind_of(Point).schema == point
    assert kind_of(Line).schema["properties"] == {
        "start": point, "end": {"anyOf": [point, {"type": "null"}]}}
    assert kind_of(Diary).schema["required"] == ["day", "lines"]
    assert kind_of(Tree).schema["properties"]["children"] == {
        "type": "array", "items": {"type": "object"}}


@pytest.mark.parametrize("as_text", [False, True])
def test_deep_tree(as_text):
    """A tree of records has fifty levels at most; one that is too deep harms no later one."""
    def tree(depth):
        value = {"value": depth}
        for _ in range(depth):
            value = {"value": 1, "children": [value]}
        return json.dumps(value) if as_text else value

    with bounded(Bounds(depth=1_000)):
        assert parse(Tree, tree(50)).value == 1
        for depth in (51, 200):
            assert error(Tree, tree(depth)).endswith("is nested too deeply")
        assert parse(Tree, tree(50)).value == 1


# Schemas


class Odd(enum.Enum):
    PAIR = (1, 2)
    NOTHING = math.nan


def json_schema(signature):
    """Return the schema as a client gets it, which must be strict JSON."""
    return json.loads(dumps(signature.schema()), parse_constant=pytest.fail)


@pytest.mark.parametrize(("annotation", "expected"), [
    (int, {"type": "integer"}), (float, {"type": "number"}), (bool, {"type": "boolean"}),
    (str, {"type": "string"}), (bytes, {"type": "string", "contentEncoding": "base64"}),
    (List[int], {"type": "array", "items": {"type": "integer"}}),
    (List[List[str]], {"type": "array", "items": {"type": "array", "items": {"type": "string"}}}),
    (dict, {"type": "object"}), (Dict[str, int], {"type": "object"}),
    (Optional[int], {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
    (Union[int, str], {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
    (Literal["a", 2], {"enum": ["a", 2]}), (Colour, {"enum": ["red", "blue"]}),
    (Level, {"enum": [1, 2], "x-enum-varnames": ["LOW", "HIGH"]}),
    (Path, {"type": "string"}), (object, {}),
    (Any, {}), (list, {"type": "array", "items": {}}), (Word, {"type": "string"}),
    (Odd, {"enum": [[1, 2], None], "x-enum-varnames": ["PAIR", "NOTHING"]}),
    (Literal[Colour.RED], {"enum": ["red"]}),
    (Literal[b"x"], {"enum": ["eA=="]}),
    *[(annotation, {"type": "string", "format": name}) for annotation, name in (
        (date, "date"), (datetime, "date-time"), (time, "time"), (timedelta, "duration"),
        (decimal.Decimal, "decimal"), (uuid.UUID, "uuid"))],
    (bytearray, {"type": "string", "contentEncoding": "base64"}),
    (Tuple[int, date], {"type": "array", "minItems": 2, "maxItems": 2, "prefixItems": [
        {"type": "integer"}, {"type": "string", "format": "date"}]}),
])
def test_schema_of_an_annotation(annotation, expected):
    """The schema says in JSON Schema's words what the annotation asks for."""
    assert json_schema(of(annotation)) == {
        "type": "object", "properties": {"x": expected}, "required": ["x"],
        "additionalProperties": False}


# The kind itself


def test_kind():
    """A kind has a schema, and a converter that says what a value must be."""
    kind = kind_of(int)
    assert kind.schema == {"type": "integer"}
    assert kind.convert("3") == 3
    with pytest.raises(ValueError, match="must be a whole number, not 'x'"):
        kind.convert("x")
    assert kind_of(Any) is ANYTHING


@pytest.mark.parametrize(("annotation", "expected"), [
    (bytes, True), (Optional[bytes], True), (List[bytes], True), (Union[int, List[bytes]], True),
    (str, False), (Any, False), (List[str], False), (Optional[int], False),
    (Literal["contentEncoding"], False), (bytearray, True), (Tuple[str, bytes], True),
    (Tuple[int, str], False), (Attachment, False)])
def test_is_file(annotation, expected):
    """A kind is one of files if a value, or a part of it, may be an upload."""
    assert kind_of(annotation).is_file is expected
    assert describes_file(json.loads(dumps(kind_of(annotation).schema))) is expected
