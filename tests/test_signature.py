"""`longop.signature`: which parameter takes the callback, and what becomes of the others."""

import collections.abc
import functools
import inspect
import math
import sys
import typing
import urllib.request
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import List, Optional
from uuid import UUID

import pytest

from longop import BadParameters, LongOperation
from longop.values.conversion import kind_of
from longop.signature import CALLBACK_NAMES, Parameter, Parameters, Signature, parameters_of

from .pythons import has_c_signatures
from .values.test_conversion import Colour, Level, Line, Point, Word, json_schema, of

CALLBACK = object()
def call(function, values, callback=None):
    """Call a function as an executor does, with what a door was given."""
    signature = Signature(function, callback)
    arguments, keywords = signature.bind(
        signature.parse({name: [value] for name, value in values.items()}), CALLBACK)
    return function(*arguments, **keywords)


# Which parameter takes the callback


class Reporter:
    """A class whose objects can be called."""

    def __call__(self, percent):
        pass


def last(n: int, callback):
    return n, callback


def keyword_only(n: int, *, callback):
    return n, callback


CALLABLES = ["Callable", "Callable[..., Any]", "Callable[[int], None]", "'Callable'", "Reporter",
             "Optional[Callable[..., Any]]", "Union[None, Callable[[], None]]",
             "'typing.Callable[..., None]'"]
if sys.version_info >= (3, 9):
    CALLABLES.append("collections.abc.Callable[[int], None]")


@pytest.mark.parametrize(("parameters", "name", "certain"), [
    *[(shape.format(name), name, True) for name in CALLBACK_NAMES
      for shape in ("n: int, {}", "{}, n=1", "n: int, {}=None", "n: int, *, {}", "{}, /, n=1",
                    "n: int, {}=print", "path, {}")],
    *[(f"n: int, tell: {annotation}", "tell", True) for annotation in CALLABLES],
    ("tell, n, m=1", None, False), ("n: int", None, False), ("", None, False),
    ("function: Callable, tell: Callable", None, False),
    *[(parameters, None, False) for parameters in (
        "n: int, progress: bool = True", "n: int, progress=True", "n: int, progress=0.5",
        "n: int, callback: str = 'x'", "n: int, hook: str", "n: int, progress: bool = None")],
])
def test_callback_is_found(parameters, name, certain):
    """It has a usual name, or an annotation to call; in doubt none is taken for it."""
    space = {**vars(typing), "typing": typing, "collections": collections, "Reporter": Reporter}
    exec(f"def function({parameters}): pass", space)
    signature = Signature(space["function"])
    assert (signature.callback, signature.certain) == (name, certain)
    given = [p for p in inspect.signature(space["function"]).parameters if p != name]
    assert list(signature.schema()["properties"]) == given


def test_usual_names_are_the_documented_ones():
    """The names in the documentation of LongOperation are the names that are known."""
    assert len(CALLBACK_NAMES) == 16
    assert all(f"``{name}``" in LongOperation.__doc__ for name in CALLBACK_NAMES)


@pytest.mark.parametrize(("parameters", "asked"), [
    ("path", ["path"]), ("path, /", ["path"]), ("n: int, path", ["path"]),
    ("path, tell, m=1", ["path", "tell"]), ("*, path: Any, n=1", ["path"]),
    ("function: Callable, tell: Callable", ["function", "tell"]), ("self, path", ["path"])])
def test_parameter_that_may_be_the_callback(parameters, asked):
    """A parameter that may take the callback is an error that shows how to say what it is."""
    space = dict(vars(typing))
    exec(f"def ocr({parameters}): pass", space)
    with pytest.raises(TypeError) as caught:
        LongOperation(space["ocr"])
    text = str(caught.value)
    assert text.startswith(f"ocr: does {' or '.join(asked)} take the callback? ")
    assert [name for name in asked if f'callback="{name}"' in text] == asked
    assert "callback=False" in text
    for name in asked:
        assert LongOperation(space["ocr"], callback=name).signature.callback == name
    assert LongOperation(space["ocr"], callback=False).signature.callback is None


@pytest.mark.parametrize("parameters", [
    "", "path: str", "path='a'", "path=None", "*paths", "**rest", "self", "cls", "path, callback",
    "path, tell: Callable", "path, key: Optional[Callable] = None, *, cb=None"])
def test_parameters_that_leave_no_doubt(parameters):
    """With an annotation, a default or a callback beside it, no parameter is asked about."""
    space = dict(vars(typing))
    exec(f"def ocr({parameters}): pass", space)
    LongOperation(space["ocr"])
    exec(f"def pages({parameters}): yield", space)
    LongOperation(space["pages"])


def test_callback_can_be_named_or_denied():
    """callback= names a parameter, also one that **rest takes; False leaves it to the caller."""
    def function(path, tell, progress=None, **rest):
        return path, tell, progress, rest

    assert Signature(function).callback == "progress"
    assert Signature(function, "tell").certain is False
    assert call(function, {"path": "a"}, "tell") == ("a", CALLBACK, None, {})
    values = {"path": "a", "tell": "b"}
    assert call(function, values, "more") == ("a", "b", None, {"more": CALLBACK})
    assert Signature(function, callback=False).callback is None
    assert call(function, {**values, "progress": "c"}, False) == ("a", "b", "c", {})


def test_generator_function():
    """A generator function reports by yielding; only a usual name takes the callback."""
    def without(path):
        yield path

    def with_one(path, callback):
        yield path

    assert Signature(without).callback is None
    assert list(Signature(without).schema()["properties"]) == ["path"]
    assert Signature(with_one).callback == "callback"


def test_callback_that_is_not_there():
    """Naming a parameter that the function has not says which it has."""
    with pytest.raises(TypeError, match=r"no parameter 'tell'.*n, callback"):
        Signature(last, "tell")


# Everything that can be called


class Machine:
    """A class, a callable object and a bound method in one."""

    def __init__(self, callback, n: int = 0):
        self.made_of = callback, n

    def __call__(self, n: int, callback):
        return n, callback

    def method(self, n: int, callback):
        return n, callback

    @classmethod
    def class_method(cls, n: int, callback):
        return n, callback

    @staticmethod
    def static_method(n: int, callback):
        return n, callback


MACHINE = Machine(None)


@pytest.mark.parametrize("function", [
    MACHINE, MACHINE.method, Machine.class_method, Machine.static_method,
    functools.partial(MACHINE.method), functools.partial(MACHINE), last])
def test_bound_methods_objects_and_partials_are_called_right(function):
    """Whatever can be called, a class too, is called with its typed parameters and the callback."""
    assert Signature(function).certain
    assert call(function, {"n": "7"}) == (7, CALLBACK)
    assert call(Machine, {"n": "7"}).made_of == (CALLBACK, 7)


def test_partial_hides_what_it_gives():
    """What a partial gives by position is no parameter; what by keyword has a default."""
    def function(a: int, b: int, callback, c: int = 3):
        return a, b, callback, c

    given = functools.partial(function, 1)
    assert list(Signature(given).schema()["properties"]) == ["b", "c"]
    assert call(given, {"b": "2"}) == (1, 2, CALLBACK, 3)
    given = functools.partial(functools.partial(function, 1), c=9)
    assert call(given, {"b": "2"}) == (1, 2, CALLBACK, 9)
    assert call(given, {"b": "2", "c": "4"}) == (1, 2, CALLBACK, 4)


def test_decorated_function_is_read_through():
    """A decorator that uses functools.wraps does not hide the parameters."""
    def twice(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs), function(*args, **kwargs)
        return wrapper

    assert call(twice(last), {"n": "1"}) == ((1, CALLBACK), (1, CALLBACK))


def test_urlretrieve():
    """urlretrieve of the standard library is taken as it is."""
    signature = Signature(urllib.request.urlretrieve)
    assert (signature.callback, signature.certain) == ("reporthook", True)
    assert signature.schema()["required"] == ["url"]
    assert signature.bind(signature.parse({"url": ["http://x"]}), CALLBACK) == (
        ("http://x", None, CALLBACK, None), {})


@has_c_signatures
def test_c_function_without_a_signature():
    """A function in C that does not tell its parameters asks for callback=, and takes any."""
    with pytest.raises(TypeError, match="callback=False"):
        LongOperation(max)
    signature = LongOperation(max, callback="key").signature
    assert signature.callback == "key"
    assert signature.bind({"default": 1}, CALLBACK) == ((), {"default": 1, "key": CALLBACK})
    assert call(dict, {"a": "1"}, False) == {"a": "1"}
    signature = Signature(dict, callback=False)
    assert signature.callback is None
    assert signature.schema()["additionalProperties"] is True


@pytest.mark.parametrize(("default", "given", "expected"), [
    (1, "3", 3), (0.5, "3", 3.0), (False, "yes", True), ("a", "3", "3"), (b"", "AAEC", b"\0\1\2"),
    ({}, '{"a": 1}', {"a": 1}), (Colour.RED, "blue", Colour.BLUE), ([], [1], [1]),
    (None, "3", "3"), ((), "3", "3"), (Level.LOW, "2", Level.HIGH),
    (bytearray(), "AAEC", bytearray(b"\0\1\2")), ({1}, ["a"], {"a"}), (1j, "2j", 2j),
    (date(2026, 1, 1), "2026-11-28", date(2026, 11, 28)), (time(1), "14:30", time(14, 30)),
    (datetime(2026, 1, 1), "2026-11-28T14:30", datetime(2026, 11, 28, 14, 30)),
    (timedelta(1), "PT90S", timedelta(seconds=90)), (Decimal(1), "1.10", Decimal("1.10")),
    (Path("x"), "y", Path("y")), (UUID(int=1), str(UUID(int=2)), UUID(int=2)),
    (Point(1), {"x": "2"}, Point(2)), (Line(Point(1)), [{"x": 2}], Line(Point(2))),
    (object(), "3", "3")])
def test_type_is_taken_from_the_default(default, given, expected):
    """A parameter without an annotation has the type of its default."""
    def function(callback, x=default):
        return x

    value = call(function, {"x": given})
    assert value == expected
    assert type(value) is type(expected)
    assert call(function, {}) is default


def test_annotation_wins_over_the_default():
    """The annotation says the type, also where the default has another one."""
    def function(callback, x: float = 1, y: str = None):  # noqa: RUF013
        return x, y

    assert call(function, {"x": "2", "y": "3"}) == (2.0, "3")
    assert call(function, {"y": None}) == (1, None)


@pytest.mark.parametrize("rest", [{"a": "2", "b": [3]}, {"rest": "1"}, {"rest": "1", "a": "2"},
                                  {"args": "1"}, {}])
def test_rest_keeps_what_it_is_given(rest):
    """**rest takes what no other parameter does, as it came, also what is called as it is."""
    def function(callback, n: int, *args, **rest):
        return n, args, rest

    assert call(function, {"n": "1", **rest}) == (1, (), rest)
    assert Signature(function).parse({"n": ["1"], "a": ["2", "3"]}) == {"n": 1, "a": ["2", "3"]}
    assert Signature(function).schema()["additionalProperties"] is True


# Missing, unknown, several


def everything(callback, a: int, b: float, c: str = "c", *, d: bool, e: List[int] = ()):
    return callback, a, b, c, d, e


def with_rest(callback, **rest):
    return rest


def with_args(callback, *args):
    return args


@pytest.mark.parametrize(("function", "values", "errors"), [
    (everything, {"b": 1}, {"a": "is missing", "d": "is missing"}),
    (last, {"n": 1, "m": 2}, {"m": "is unknown; known are: n"}),
    (last, {"m": 2}, {"n": "is missing", "m": "is unknown; known are: n"}),
    (last, {"n": 1, "callback": 2}, {"callback": "is unknown; known are: n"}),
    (with_rest, {"callback": 2}, {"callback": "is unknown; known are: none"}),
    (with_args, {"args": [1]}, {"args": "is unknown; known are: none"}),
])
def test_missing_and_unknown(function, values, errors):
    """All that is missing or unknown is said in one go; the callback and *args cannot be given."""
    with pytest.raises(BadParameters) as caught:
        Signature(function).check(values)
    assert caught.value.errors == errors
    assert caught.value.status == 400
    Signature(last).check({"n": object()})  # of a start in Python: the value is not looked at
    with pytest.raises(BadParameters) as caught:
        Signature(function).parse({name: [value] for name, value in values.items()})
    assert caught.value.errors == errors


def test_several_wrong_values_at_once():
    """Every wrong value is said in one go, and the message names them all."""
    with pytest.raises(BadParameters) as caught:
        Signature(everything).parse({"a": ["x"], "b": ["y"], "d": ["z"], "c": ["fine"]})
    assert caught.value.errors == {"a": "must be a whole number, not 'x'",
                                   "b": "must be a number, not 'y'",
                                   "d": "must be true or false, not 'z'"}
    assert str(caught.value) == ("parameter 'a' must be a whole number, not 'x'; "
                                 "parameter 'b' must be a number, not 'y'; "
                                 "parameter 'd' must be true or false, not 'z'")


def test_wrong_values_in_a_users_words():
    """The message of a wrong date, or of a wrong field in an object, says what was expected."""
    def function(callback, day: date, where: Point):
        pass

    with pytest.raises(BadParameters) as caught:
        Signature(function).parse({"day": ["soon"], "where": ['{"x": "a"}']})
    assert str(caught.value) == (
        "parameter 'day' must be a date such as 2026-11-28, not 'soon'; "
        "parameter 'where' is wrong: 'x' must be a whole number, not 'a'")


# Annotations that are of no use


@pytest.mark.parametrize("annotation", ["NoSuchName", "longop.Callback", "a sentence about it",
                                        "1 +", 3, "len", [int], {"type": "integer"}])
def test_annotation_that_is_no_type(annotation):
    """An annotation that is no type at all is ignored, and takes nothing from the others."""
    def function(callback, x, n: int, flag: "bool" = False):
        return callback, x, n, flag

    function.__annotations__["x"] = annotation
    values = {"x": "3", "n": "3", "flag": "yes"}
    assert call(function, values) == (CALLBACK, "3", 3, True)
    del function.__annotations__["x"]
    function.__annotations__["callback"] = "NoSuchName"  # one for the type checker only
    assert Signature(function).certain
    assert call(function, values) == (CALLBACK, "3", 3, True)


# bind


def kinds(a, b=2, *args, callback, c=3, **rest):
    return a, b, args, callback, c, rest


def gap(n=1, callback=None, m=3):
    return n, callback, m


def behind_a_gap(n=1, m=2, callback=None, /):
    return n, m, callback


@pytest.mark.parametrize(("function", "values", "expected"), [
    (kinds, {"a": 1}, (1, 2, (), CALLBACK, 3, {})),
    (kinds, {"a": 1, "c": 4, "z": 5}, (1, 2, (), CALLBACK, 4, {"z": 5})),
    (gap, {}, (1, CALLBACK, 3)), (gap, {"m": 9}, (1, CALLBACK, 9)),
    (behind_a_gap, {}, (1, 2, CALLBACK)), (behind_a_gap, {"m": 9}, (1, 9, CALLBACK)),
    (keyword_only, {"n": 9}, (9, CALLBACK)),
    (lambda self, callback, **rest: (self, rest), {"self": 1, "values": 2}, (1, {"values": 2})),
])
def test_bind_calls_parameters_of_every_kind(function, values, expected):
    """The arguments that bind returns call the function, whatever kind its parameters are."""
    before = dict(values)
    arguments, keywords = Signature(function).bind(values, CALLBACK)
    assert function(*arguments, **keywords) == expected
    assert values == before


# schema


def test_schema_of_a_whole_function():
    """The schema has every parameter but the callback, with its default, and what is required."""
    def function(callback, a: int, b=0.5, c: Colour = Colour.BLUE, d: Path = Path("x"), e=None,
                 f: Optional[int] = None, g=True):
        pass

    assert json_schema(Signature(function)) == {
        "type": "object",
        "properties": {
            "a": {"type": "integer"}, "b": {"type": "number", "default": 0.5},
            "c": {"enum": ["red", "blue"], "default": "blue"},
            "d": {"type": "string", "default": "x"},
            "e": {"default": None},
            "f": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
            "g": {"type": "boolean", "default": True}},
        "required": ["a"], "additionalProperties": False}


def test_schema_is_the_callers_to_change():
    """Writing into a schema, and into what is in it, changes no later one."""
    signature = of(Colour)  # not one of the types whose schema every signature shares
    signature.schema()["properties"]["x"]["type"] = "changed"
    assert signature.schema()["properties"]["x"] == {"enum": ["red", "blue"]}


@pytest.mark.parametrize(("default", "shown"), [
    (math.nan, None), (-math.inf, None), ([Word("a"), b"x"], ["a", "eA=="]),
    ({"a": b""}, {"a": ""}), ({(1, 2): 3}, {"(1, 2)": 3}), (Path("x"), "x")])
def test_schema_of_a_default_that_is_no_json(default, shown):
    """A default that is no JSON is shown as a result would be."""
    def function(callback, x=default):
        pass

    assert json_schema(Signature(function))["properties"]["x"]["default"] == shown


def test_an_attribute_that_is_called_signature():
    """A function's own attribute of that name, which is none of ours, does no harm."""
    def function(callback, n: int):
        pass

    function.signature = "(callback, n)"
    assert list(LongOperation(function).signature.schema()["properties"]) == ["n"]


# Parameters made of records


class Together(Parameters):
    """Parameters that the function gets all together."""

    def bind(self, values, callback):
        return (callback, values), {}


RECORDS = [Parameter("n", kind_of(int), description="how many"), Parameter("rest", default=None)]


def test_parameters_of_records():
    """Records say what a call takes where no signature does, and bind may be overridden."""
    parameters = Parameters(RECORDS, callback="tell")
    assert parameters.parse({"n": ["3"], "rest": [b"x"]}) == {"n": 3, "rest": b"x"}
    assert parameters.bind({"n": 3}, CALLBACK) == ((), {"n": 3, "tell": CALLBACK})
    assert Together(RECORDS).bind({"n": 3}, CALLBACK) == ((CALLBACK, {"n": 3}), {})
    with pytest.raises(BadParameters) as caught:
        parameters.check({"tell": 1, "m": 2})
    assert set(caught.value.errors) == {"n", "tell", "m"}
    Parameters(RECORDS, takes_more=True).check({"n": 1, "m": 2})
    assert parameters.schema() == {
        "type": "object",
        "properties": {"n": {"type": "integer", "description": "how many"},
                       "rest": {"default": None}},
        "required": ["n"], "additionalProperties": False}


def test_a_functions_own_parameters():
    """An operation takes the parameters that its function has as an attribute."""
    def function(callback, values):
        return values

    function.signature = Together(RECORDS)
    assert parameters_of(function) is function.signature
    assert LongOperation(function).start(n=3).result(10) == {"n": 3}


def test_descriptions_of_the_docstring():
    """What Sphinx's and Google's docstrings say of a parameter is its description."""
    def sphinx(callback, n, m):
        """Do it.

        :param n: how many,
            and of what
        :param int m: how often
        """

    def google(callback, n, m):
        """Do it.

        Args:
            n (int): how many,
                and of what
            m: how often
        """

    for function in sphinx, google:
        properties = Signature(function).schema()["properties"]
        assert properties == {"n": {"description": "how many, and of what"},
                              "m": {"description": "how often"}}
