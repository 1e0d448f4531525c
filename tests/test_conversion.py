"""`longop.conversion`: what an annotation makes of text, JSON and uploads, and its JSON Schema."""

import decimal
import enum
import json
import math
import sys
import typing  # noqa: F401  # for annotations that are evaluated here
from pathlib import Path
from typing import (Any, Dict, FrozenSet, List, Literal, Mapping, Optional, Sequence, Set, Tuple,
                    Union)

import pytest

from longop import BadParameters
from longop.conversion import ANYTHING, describes_file, kind_of
from longop.jsontext import dumps
from longop.signature import Signature

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
      ("x", "", "3.0", "1e3", "0x10", "1_000", "\u0663", "true", "null", "[1]", "9" * 5000,
       3.5, 3.0, True, None, [1], {}, b"3")],
    *[(float, wrong, "a number") for wrong in
      ("x", "", "0x1p3", "true", "inf", "NaN", "Infinity", "-Infinity", True, None, [1.0], b"3",
       "9" * 400, "9" * 5000)],
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
    *[(Path, wrong, "a text that Path takes") for wrong in
      (3, True, None, ["a"], {}, b"a", ["a", "b"])],
    (int, "y" * 10_000, "a whole number, not 'yyyyyyyy"),
    (Even, "3", "a text that Even takes, not '3'"),
    (decimal.Decimal, "x", "a text that Decimal takes"),
], ids=lambda value: ascii(value)[:40])
def test_wrong_value(annotation, given, must_be):
    """A value that does not fit is refused, and the error says what it must be."""
    message = error(annotation, given)
    assert message.startswith(f"must be {must_be}")
    assert message.isprintable()
    assert len(message) < 200


@pytest.mark.parametrize("annotation", [int, float, bool, dict, Optional[int], Colour])
def test_deep_and_repeated_text(annotation):
    """Text that is too deep for JSON, or came twice, is a wrong value, or an item of a list."""
    assert error(annotation, DEEP).startswith("must be ")
    assert error(annotation, "1", "1").startswith("must be ")
    assert error(List[int], DEEP).startswith("must be a whole number")
    assert parse(list, DEEP) == [DEEP]


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
    (Level, {"enum": [1, 2]}), (Path, {"type": "string"}), (object, {}),
    (Any, {}), (list, {"type": "array", "items": {}}), (Word, {"type": "string"}),
    (Odd, {"enum": [[1, 2], None]}), (Literal[Colour.RED], {"enum": ["red"]}),
    (Literal[b"x"], {"enum": ["eA=="]}),
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
    (Literal["contentEncoding"], False)])
def test_is_file(annotation, expected):
    """A kind is one of files if a value, or a part of it, may be an upload."""
    assert kind_of(annotation).is_file is expected
    assert describes_file(json.loads(dumps(kind_of(annotation).schema))) is expected
