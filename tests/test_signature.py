"""`longop.signature`: which parameter takes the callback, and what becomes of the others."""

import datetime
import decimal
import enum
import functools
import json
import math
import sys
import typing
import urllib.request
import uuid
from collections import OrderedDict, deque
from pathlib import Path
from typing import (Any, Callable, Dict, FrozenSet, Iterable, List, Mapping, Optional, Sequence,
                    Set, Tuple, Union)

import pytest

from longop import BadParameters, LongOperation
from longop.signature import CALLBACK_NAMES, Signature

CALLBACK = object()
ANY_IS_A_CLASS = sys.version_info >= (3, 11)
DEEP = "[" * 50_000  # what the head of a request, or a form, has room for


def broken(reason, when=True):
    """Mark what the library does wrong now."""
    return pytest.mark.xfail(when, strict=True, reason=reason)


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
            raise ValueError("must be even")
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


def call(function, values, callback=None):
    """Call a function as an executor does, with what a door was given."""
    signature = Signature(function, callback)
    arguments, keywords = signature.bind(
        signature.parse({name: [value] for name, value in values.items()}), CALLBACK)
    return function(*arguments, **keywords)


# Which parameter takes the callback


def first(callback, n=1):
    return callback, n


def last(n: int, callback):
    return n, callback


def keyword_only(n: int, *, callback):
    return n, callback


def positional_only(callback, /, n: int = 1):
    return callback, n


def with_default(n: int, callback=None):
    return n, callback


def default_is_a_function(n: int, progress=print):
    return n, progress


@pytest.mark.parametrize("function", [first, last, keyword_only, positional_only, with_default])
def test_callback_is_found_wherever_it_stands(function):
    """The parameter called callback is found in every place and kind."""
    signature = Signature(function)
    assert (signature.callback, signature.certain) == ("callback", True)


@pytest.mark.parametrize("name", CALLBACK_NAMES)
@pytest.mark.parametrize("shape", ["n: int, {}", "{}, n=1", "n: int, {}=None", "n: int, *, {}"])
def test_every_usual_name_is_known(name, shape):
    """Each usual name is found, before and after other parameters, with and without a default."""
    space = {}
    exec(f"def function({shape.format(name)}): pass", space)
    signature = Signature(space["function"])
    assert (signature.callback, signature.certain) == (name, True)


def test_usual_names_are_the_documented_ones():
    """The names in the documentation of LongOperation are the names that are known."""
    assert set(CALLBACK_NAMES) == {"callback", "progress", "reporthook", "on_progress",
                                   "progress_callback", "hook"}
    assert all(name in LongOperation.__doc__ for name in CALLBACK_NAMES)


def test_default_that_can_be_called_is_replaced():
    """A usual name whose default is a function takes the callback."""
    assert call(default_is_a_function, {"n": "3"}) == (3, CALLBACK)


@pytest.mark.parametrize("annotation", [
    Callable, Callable[..., Any], Callable[[int], None], Optional[Callable[..., Any]],
    Union[None, Callable[[], None]], "typing.Callable[..., None]", "Callable"])
def test_callable_annotation_finds_the_callback(annotation):
    """A parameter annotated as something to call takes the callback, whatever its name."""
    def function(n: int, tell):
        pass

    function.__annotations__["tell"] = annotation
    signature = Signature(function)
    assert (signature.callback, signature.certain) == ("tell", True)


@pytest.mark.skipif(sys.version_info < (3, 9), reason="collections.abc has no [] on Python 3.8")
def test_callable_of_collections_abc_finds_the_callback():
    """The Callable of collections.abc is as good as typing's."""
    def function(n: int, tell):
        pass

    import collections.abc
    function.__annotations__["tell"] = collections.abc.Callable[[int], None]
    assert Signature(function).callback == "tell"


def test_class_with_a_call_method_finds_the_callback():
    """A parameter annotated as a class whose objects can be called takes the callback."""
    class Reporter:
        def __call__(self, percent):
            pass

    def function(n: int, tell: Reporter):
        pass

    signature = Signature(function)
    assert (signature.callback, signature.certain) == ("tell", True)


def test_first_parameter_without_a_default_is_a_guess():
    """Without a usual name or an annotation it is the first without a default, uncertainly."""
    def function(tell, n, m=1):
        pass

    signature = Signature(function)
    assert (signature.callback, signature.certain) == ("tell", False)


def test_usual_name_wins_over_the_first_parameter():
    """A usual name is taken before the first parameter without a default."""
    def function(path, progress):
        pass

    assert Signature(function).callback == "progress"


@pytest.mark.parametrize("shape", [
    "n: int, progress: bool = True", "n: int, progress=True", "n: int, progress=0.5",
    "n: int, callback: str = 'x'", "n: int, hook: str", "n: int, progress: bool = None"])
def test_usual_name_of_another_type_is_no_callback(shape):
    """A parameter that only has the name, but asks for a bool or a text, is left alone."""
    space = {}
    exec(f"def function({shape}): pass", space)
    signature = Signature(space["function"])
    assert (signature.callback, signature.certain) == (None, False)
    assert len(signature.schema()["properties"]) == 2


def test_annotated_first_parameter_is_no_callback():
    """A function whose first parameter is a number reports nothing."""
    def function(n: int):
        return n

    assert Signature(function).callback is None
    assert call(function, {"n": "3"}) == 3


def test_no_parameters_at_all():
    """A function without parameters has no callback and binds to no arguments."""
    signature = Signature(lambda: 1)
    assert signature.callback is None
    assert signature.bind({}, CALLBACK) == ((), {})
    assert signature.schema()["properties"] == {}


def test_callback_can_be_named():
    """callback= names a parameter that would not be found."""
    def function(path, tell, n=1):
        return path, tell, n

    assert Signature(function, "tell").callback == "tell"
    assert call(function, {"path": "a"}, "tell") == ("a", CALLBACK, 1)


def test_callback_can_be_denied():
    """callback=False leaves a parameter with a usual name to the caller."""
    def function(progress):
        return progress

    signature = Signature(function, callback=False)
    assert signature.callback is None
    assert call(function, {"progress": "half"}, False) == "half"


def test_callback_that_is_not_there():
    """Naming a parameter that the function has not says which it has."""
    with pytest.raises(TypeError, match=r"no parameter 'tell'.*n, callback"):
        Signature(last, "tell")


def test_callback_can_be_one_of_the_rest():
    """A callback that **rest takes can be named, and gets there."""
    def function(n: int, **options):
        return n, options

    assert call(function, {"n": "1"}, "tell") == (1, {"tell": CALLBACK})


def test_generator_function_needs_no_callback():
    """A generator function reports by yielding: its first parameter is not taken."""
    def function(path):
        yield path

    signature = Signature(function)
    assert signature.callback is None
    assert list(signature.schema()["properties"]) == ["path"]


def test_generator_function_with_a_usual_name_gets_a_callback():
    """A generator function with a parameter called callback is handed one."""
    def function(path, callback):
        yield path

    assert Signature(function).callback == "callback"


def test_coroutine_function():
    """A coroutine function is read as any other."""
    async def function(n: int, callback):
        return n

    signature = Signature(function)
    assert signature.callback == "callback"
    assert signature.bind(signature.parse({"n": ["4"]}), CALLBACK) == ((4, CALLBACK), {})


def test_certain_is_about_what_was_found():
    """What was named is not said to be found for certain."""
    assert Signature(last, "callback").certain is False


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
    """Whatever can be called is called with its typed parameters and the callback."""
    assert Signature(function).certain
    assert call(function, {"n": "7"}) == (7, CALLBACK)


def test_class_is_called_right():
    """A class is read by its __init__."""
    assert call(Machine, {"n": "7"}).made_of == (CALLBACK, 7)


@broken("the annotations of a class are only looked for at __init__, not at __new__")
def test_class_with_new_only():
    """A class is read by its __new__ where it has no __init__."""
    class Made:
        def __new__(cls, callback, n: int):
            return n

    assert call(Made, {"n": "7"}) == 7


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


def test_c_function_without_a_signature_must_be_told():
    """A function in C that does not tell its parameters asks for callback=."""
    with pytest.raises(TypeError, match="callback=False"):
        LongOperation(max)
    signature = LongOperation(max, callback="key").signature
    assert signature.callback == "key"
    assert signature.bind({"default": 1}, CALLBACK) == ((), {"default": 1, "key": CALLBACK})


def test_c_function_without_a_signature_takes_anything():
    """With callback=False a function that does not tell is handed whatever was given."""
    signature = Signature(dict, callback=False)
    assert signature.callback is None
    assert call(dict, {"a": "1"}, False) == {"a": "1"}
    assert signature.schema()["additionalProperties"] is True


def test_c_function_with_a_signature():
    """A function in C that tells its parameters needs no help."""
    signature = Signature([].append, callback=False)
    assert signature.schema()["required"] == ["object"]


# Values that are right


@pytest.mark.parametrize(("annotation", "given", "expected"), [
    (int, "3", 3), (int, "-3", -3), (int, "0", 0), (int, 3, 3), (int, "9" * 50, int("9" * 50)),
    (float, "3", 3.0), (float, "3.5", 3.5), (float, "-1e-3", -0.001), (float, 3, 3.0),
    (float, 2.5, 2.5),
    (bool, "true", True), (bool, "True", True), (bool, "yes", True), (bool, "on", True),
    (bool, "1", True), (bool, "false", False), (bool, "FALSE", False), (bool, "no", False),
    (bool, "off", False), (bool, "0", False), (bool, True, True), (bool, False, False),
    (str, "x", "x"), (str, "", ""), (str, "3", "3"), (str, "null", "null"), (str, "[1]", "[1]"),
    (str, "\u00e9\u20ac\U0001f600", "\u00e9\u20ac\U0001f600"), (str, b"caf\xc3\xa9", "caf\u00e9"),
    (bytes, b"\x00\xff", b"\x00\xff"), (bytes, "AAEC", b"\0\1\2"), (bytes, "", b""),
    (bytes, b"", b""), (bytes, b"AAEC", b"AAEC"),
    (list, "[1, 2]", [1, 2]), (list, [1, None], [1, None]), (list, "[]", []), (list, [], []),
    (List[int], "[1, 2]", [1, 2]), (List[int], [1, 2], [1, 2]), (List[int], "3", [3]),
    (List[int], ["1", "2"], [1, 2]), (List[str], ["1", "2"], ["1", "2"]),
    (List[List[int]], "[[1], [2, 3]]", [[1], [2, 3]]), (Sequence[str], "a", ["a"]),
    (List[Colour], '["red", "BLUE"]', [Colour.RED, Colour.BLUE]),
    (Tuple[int, ...], "[1, 2]", (1, 2)), (Set[int], [1, 2, 2], {1, 2}),
    (FrozenSet[str], ["a", "b"], frozenset("ab")),
    (dict, '{"a": 1}', {"a": 1}), (dict, {"a": 1}, {"a": 1}), (dict, "{}", {}),
    (Dict[str, int], '{"a": 1}', {"a": 1}), (Mapping[str, int], {"a": 1}, {"a": 1}),
    (Optional[int], "3", 3), (Optional[int], None, None), (Optional[int], "", None),
    (Optional[int], 0, 0), (Optional[bool], "no", False), (Optional[bool], None, None),
    (Optional[str], "x", "x"), (Optional[str], "", ""), (Optional[str], None, None),
    (Optional[Colour], "red", Colour.RED), (Optional[Colour], "", None),
    (Optional[List[int]], None, None), (Optional[List[int]], "[]", []),
    (Union[int, str], "3", 3), (Union[int, str], "x", "x"), (Union[str, int], "3", "3"),
    (Union[str, int], 3, 3), (Union[int, float], "3", 3), (Union[int, float], "3.5", 3.5),
    (typing.Literal["a", "b"], "b", "b"), (typing.Literal[1, 2, "x"], "1", 1),
    (typing.Literal[1, 2, "x"], 2, 2), (typing.Literal[1, 2, "x"], "x", "x"),
    (Colour, "red", Colour.RED), (Colour, "BLUE", Colour.BLUE), (Level, "2", Level.HIGH),
    (Level, 2, Level.HIGH), (Level, "LOW", Level.LOW),
    (Swapped, "A", Swapped.B), (Swapped, "B", Swapped.A),
    (Path, "/tmp/a", Path("/tmp/a")), (Path, "a b", Path("a b")),
    (Even, "4", Even("4")), (decimal.Decimal, "1.10", decimal.Decimal("1.10")),
    (uuid.UUID, "00000000-0000-0000-0000-0000000000ff", uuid.UUID(int=255)),
    (object, "x", "x"), (object, 3, 3), (None, None, None),
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


@pytest.mark.parametrize(("annotation", "given", "expected"), [
    (Any, ["x"], "x"), (list, ["x"], ["x"]), (list, ["x", "y"], ["x", "y"]),
    (list, [[1, "x"]], [1, "x"]), (list, ['["x"]'], ["x"]), (List[Any], ["x"], ["x"]),
    (set, ["x", "y"], {"x", "y"}),
    (Optional[Any], ["x"], "x")])
def test_any_takes_text(annotation, given, expected):
    """Any, and a list of anything, take a text as it is."""
    assert parse(annotation, *given) == expected


@pytest.mark.skipif(sys.version_info < (3, 9), reason="list[int] came with Python 3.9")
def test_builtin_generics():
    """list[int] is as good as List[int]."""
    assert parse(list[int], "[1, 2]") == [1, 2]
    assert parse(tuple[int, ...], "1", "2") == (1, 2)
    assert parse(dict[str, int], '{"a": 1}') == {"a": 1}


@pytest.mark.skipif(sys.version_info < (3, 10), reason="int | None came with Python 3.10")
def test_union_with_a_bar():
    """int | None is as good as Optional[int]."""
    annotation = eval("int | None")
    assert parse(annotation, "3") == 3
    assert parse(annotation, None) is None
    assert of(annotation).schema()["properties"]["x"] == {
        "anyOf": [{"type": "integer"}, {"type": "null"}]}


@pytest.mark.skipif(sys.version_info < (3, 9), reason="Annotated came with Python 3.9")
def test_annotated_is_what_it_annotates():
    """What Annotated says beside the type does not matter."""
    assert parse(typing.Annotated[int, "in metres"], "3") == 3


@pytest.mark.parametrize(("default", "given", "expected"), [
    (1, "3", 3), (0.5, "3", 3.0), (False, "yes", True), ("a", "3", "3"), (b"", "AAEC", b"\0\1\2"),
    ({}, '{"a": 1}', {"a": 1}), (Colour.RED, "blue", Colour.BLUE), ([], [1], [1]),
    (None, "3", "3"), ((), "3", "3"), (Level.LOW, "2", Level.HIGH)])
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


def test_rest_keeps_what_it_is_given():
    """**rest takes what no other parameter does, as it came."""
    def function(callback, n: int, **rest):
        return n, rest

    assert call(function, {"n": "1", "a": "2", "b": [3]}) == (1, {"a": "2", "b": [3]})
    assert Signature(function).parse({"n": ["1"], "a": ["2", "3"]}) == {"n": 1, "a": ["2", "3"]}
    assert Signature(function).schema()["additionalProperties"] is True


@pytest.mark.parametrize("values", [{"rest": "1"}, {"rest": "1", "a": "2"}, {"args": "1"}])
def test_rest_takes_its_own_name(values):
    """**rest takes a parameter that is called rest, and one that is called as *args are."""
    def function(callback, *args, **rest):
        return args, rest

    assert call(function, values) == ((), values)


def test_null_for_an_optional_list():
    """null for an optional list is None."""
    assert parse(Optional[list], None) is None


def test_empty_field_for_an_optional_path():
    """An empty field of a form is no path, where None will do."""
    assert parse(Optional[Path], "") is None


@broken("each item of a tuple is converted to the type of the first one")
def test_tuple_of_different_types():
    """Each item of a tuple has a type of its own."""
    assert parse(Tuple[int, str], '[1, "x"]') == (1, "x")


def test_text_of_a_class_of_its_own():
    """A class derived from str is made of a text."""
    value = parse(Word, "abc")
    assert (value, type(value)) == ("abc", Word)


@broken("an Iterable is no Collection, and is instantiated")
def test_iterable_is_a_list():
    """Iterable[int] takes a list."""
    assert list(parse(Iterable[int], "[1, 2]")) == [1, 2]
    assert list(parse(Iterable[int], "1", "2")) == [1, 2]


def test_literal_bool_as_text():
    """A Literal's True can be given as its schema shows it."""
    assert parse(typing.Literal["auto", True], "true") is True


@broken("a Literal's choices are told apart by their str alone")
def test_literal_of_a_text_and_a_number():
    """A Literal with "1" and 1 tells JSON's 1 from its "1"."""
    value = of(typing.Literal[1, "1"]).parse({"x": [1]})["x"]
    assert type(value) is int


@broken("a NewType is not looked into")
def test_new_type_is_what_it_is_of():
    """A NewType of int takes what an int does."""
    assert parse(typing.NewType("Metres", int), "3") == 3


@broken("only tuple, set and frozenset are made of what was given")
@pytest.mark.parametrize("kind", [deque, OrderedDict, bytearray])
def test_other_collections_are_what_was_asked_for(kind):
    """A collection is of the class that the annotation names."""
    given = {deque: [1], OrderedDict: {"a": 1}, bytearray: b"ab"}[kind]
    assert type(parse(kind, given)) is kind


# Values that are wrong


@pytest.mark.parametrize(("annotation", "given", "must_be"), [
    *[(int, wrong, "a whole number") for wrong in
      ("x", "", "3.0", "1e3", "0x10", "1_000", "\u0663", "true", "null", "[1]", "9" * 5000,
       3.5, 3.0, True, None, [1], {}, b"3")],
    *[(float, wrong, "a number") for wrong in ("x", "", "0x1p3", "true", "inf", True, None, [1.0],
                                               b"3", "9" * 5000)],
    *[(bool, wrong, "true or false") for wrong in ("x", "", "2", 2, None, [], {}, "y", b"1")],
    *[(str, wrong, "text") for wrong in (3, 3.5, True, None, ["a"], {})],
    *[(bytes, wrong, "an uploaded file or base64 text") for wrong in
      ("AAE", "****", "\u00e9", "AAEC\n", 3, None, [1], {})],
    *[(dict, wrong, "a JSON object") for wrong in ("x", "", "[1]", '{"a":', "3", 3, None, [1])],
    *[(List[int], wrong, "a whole number") for wrong in ("x", "1,2", "[1.5]", [1, "x"])],
    *[(List[int], wrong, "a list") for wrong in (3, {}, None, True, "[", "[1] x")],
    (List[List[int]], "[[1], [2.5]]", "a whole number"),
    *[(Optional[int], wrong, "a whole number") for wrong in ("x", "null", False, 1.5)],
    (Union[int, float], "x", "a whole number, not 'x' or must be a number"),
    *[(typing.Literal["a", 2], wrong, "one of a, 2") for wrong in ("c", "", None, 3, b"a", ["a"])],
    *[(Colour, wrong, "one of red, blue") for wrong in ("green", "Red", "", None, 3, b"red")],
    *[(Level, wrong, "one of 1, 2") for wrong in ("3", 3, True, "low", None)],
    (Even, "3", "a text that Even takes"),
])
def test_wrong_value(annotation, given, must_be):
    """A value that does not fit is refused, and the error says what it must be."""
    message = error(annotation, given)
    assert message.startswith(f"must be {must_be}")
    assert message.isprintable()
    assert len(message) < 200


def test_repeated_name_for_a_single_value():
    """A name that was given twice is wrong for a parameter that takes one value."""
    for annotation in (int, float, bool, str, bytes, dict, Colour):
        assert error(annotation, "1", "1").startswith("must be ")


def test_long_wrong_value_is_cut():
    """A long wrong value is not repeated in full."""
    message = error(int, "y" * 10_000)
    assert "yyyy" in message
    assert message.endswith("...")
    assert len(message) < 150


@pytest.mark.parametrize(("annotation", "given"), [
    (str, b"\xff"), (List[int], "["), (List[int], "[1] x"), (float, "9" * 400),
    (decimal.Decimal, "x"), (uuid.UUID, "x"), (complex, "x")])
def test_wrong_value_of_which_the_error_is_not_ours(annotation, given):
    """Every error says what the value must be."""
    assert error(annotation, given).startswith("must be ")


@pytest.mark.parametrize("given", [[3], [True], [None], [["a"]], [{}], [b"a"], ["a", "b"]])
def test_what_is_no_text_is_no_path(given):
    """A Path is made of a text, and of nothing else."""
    assert error(Path, *given).startswith("must be ")


@pytest.mark.parametrize("given", [3, None, {"a": 1}, True])
def test_one_value_of_json_is_no_list(given):
    """A JSON value that is no list is wrong for a list."""
    assert error(list, given).startswith("must be ")


@pytest.mark.parametrize("annotation", [int, float, bool, dict, list, List[int], Optional[int]])
def test_deeply_nested_text(annotation):
    """Text that is too deep for JSON is a wrong value as any other."""
    assert error(annotation, DEEP).startswith("must be ")


@pytest.mark.parametrize("given", ["NaN", "Infinity", "-Infinity"])
def test_nan_is_no_number(given):
    """NaN is literally not a number."""
    assert error(float, given).startswith("must be a number")


def test_class_that_raises_something_else():
    """Whatever a class raises about its text is said of the parameter, as of ZoneInfo."""
    class Zone:
        def __init__(self, key):
            raise KeyError(f"No time zone found with key {key}")

    assert "Nowhere" in error(Zone, "Nowhere")


@broken("a date cannot be made of a text")
def test_date():
    """A date is given as in ISO 8601."""
    assert parse(datetime.date, "2024-02-29") == datetime.date(2024, 2, 29)


@broken("a list of texts takes a text that begins with a bracket for JSON")
def test_text_in_brackets_in_a_list_of_texts():
    """A text that begins with a bracket is a text, in a list of them."""
    assert parse(List[str], "[draft] chapter one") == ["[draft] chapter one"]


# Missing, unknown, several


def everything(callback, a: int, b: float, c: str = "c", *, d: bool, e: List[int] = ()):
    return callback, a, b, c, d, e


def test_missing():
    """Each parameter without a default that is missing is named."""
    with pytest.raises(BadParameters) as caught:
        Signature(everything).parse({"b": ["1"]})
    assert caught.value.errors == {"a": "is missing", "d": "is missing"}
    assert caught.value.status == 400


def test_unknown():
    """A parameter that the function has not is named, with those that it has."""
    with pytest.raises(BadParameters) as caught:
        Signature(last).check({"n": 1, "m": 2})
    assert caught.value.errors == {"m": "is unknown; known are: n"}
    with pytest.raises(BadParameters, match="known are: none"):
        Signature(lambda: 1).check({"m": 2})


def test_callback_cannot_be_given():
    """The parameter that takes the callback is none that can be given."""
    with pytest.raises(BadParameters) as caught:
        Signature(last).parse({"n": ["1"], "callback": ["x"]})
    assert list(caught.value.errors) == ["callback"]


def test_callback_cannot_be_given_to_the_rest():
    """The parameter that takes the callback cannot be given beside **rest either."""
    def function(callback, **rest):
        pass

    with pytest.raises(BadParameters):
        Signature(function).check({"callback": "x"})


def test_star_args_cannot_be_given():
    """*args have no name by which they can be given."""
    def function(callback, *args):
        return args

    with pytest.raises(BadParameters) as caught:
        Signature(function).check({"args": [1]})
    assert list(caught.value.errors) == ["args"]
    assert call(function, {}) == ()


def test_missing_and_unknown_at_once():
    """What is missing and what is unknown is said in one go."""
    with pytest.raises(BadParameters) as caught:
        Signature(last).check({"m": 2})
    assert set(caught.value.errors) == {"n", "m"}


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


def test_check_takes_python_values():
    """check, which a start in Python uses, looks at the names and not at the values."""
    assert Signature(last).check({"n": object()}) is None


# Annotations that are of no use


def test_annotation_that_cannot_be_resolved_is_no_type():
    """A name that is not there does not keep the function from being used."""
    def function(callback, x: "NoSuchName"):  # noqa: F821
        return x

    assert Signature(function).callback == "callback"
    assert call(function, {"x": "3"}) == "3"


def test_callback_annotation_that_cannot_be_resolved():
    """A callback whose annotation was imported for the type checker only is still found."""
    def function(n, callback: "longop.Callback"):  # noqa: F821
        return n, callback

    assert Signature(function).certain
    assert call(function, {"n": "3"}) == ("3", CALLBACK)


@broken("one annotation that cannot be resolved loses those of all the other parameters")
def test_one_bad_annotation_leaves_the_others():
    """One annotation that cannot be resolved takes nothing from the others."""
    def function(callback: "NoSuchName", n: int, flag: "bool" = False):  # noqa: F821
        return n, flag

    assert call(function, {"n": "3", "flag": "yes"}) == (3, True)


@pytest.mark.parametrize("annotation", ["a sentence about it", "1 +", 3, "len"])
def test_annotation_that_is_no_type(annotation):
    """An annotation that is no type at all is ignored."""
    def function(callback, x):
        return x

    function.__annotations__["x"] = annotation
    assert call(function, {"x": "3"}) == "3"


@pytest.mark.parametrize("annotation", [[int], {"type": "integer"}])
def test_annotation_that_cannot_be_hashed(annotation):
    """An annotation such as [int] is ignored."""
    assert parse(annotation, "3") == "3"


@broken("Optional[...] of an annotation that is no type raises out of Signature", ANY_IS_A_CLASS)
def test_annotation_that_is_a_tuple():
    """An annotation such as (int, str) is ignored, with a default of None too."""
    def function(callback, x=None):
        return x

    function.__annotations__["x"] = (int, str)
    assert call(function, {"x": "3"}) == "3"


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
    (positional_only, {"n": 9}, (CALLBACK, 9)), (keyword_only, {"n": 9}, (9, CALLBACK)),
    (lambda self, callback, **rest: (self, rest), {"self": 1, "values": 2}, (1, {"values": 2})),
])
def test_bind_calls_parameters_of_every_kind(function, values, expected):
    """The arguments that bind returns call the function, whatever kind its parameters are."""
    arguments, keywords = Signature(function).bind(values, CALLBACK)
    assert function(*arguments, **keywords) == expected


def test_bind_leaves_what_it_is_given():
    """bind does not write into the caller's parameters."""
    values = {"a": 1}
    Signature(kinds).bind(values, CALLBACK)
    assert values == {"a": 1}


# schema


@pytest.mark.parametrize(("annotation", "expected"), [
    (int, {"type": "integer"}), (float, {"type": "number"}), (bool, {"type": "boolean"}),
    (str, {"type": "string"}), (bytes, {"type": "string", "contentEncoding": "base64"}),
    (List[int], {"type": "array", "items": {"type": "integer"}}),
    (List[List[str]], {"type": "array", "items": {"type": "array", "items": {"type": "string"}}}),
    (dict, {"type": "object"}), (Dict[str, int], {"type": "object"}),
    (Optional[int], {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
    (Union[int, str], {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
    (typing.Literal["a", 2], {"enum": ["a", 2]}), (Colour, {"enum": ["red", "blue"]}),
    (Level, {"enum": [1, 2]}), (Path, {"type": "string"}), (object, {}),
    (Any, {}), (list, {"type": "array", "items": {}}), (Word, {"type": "string"}),
])
def test_schema_of_an_annotation(annotation, expected):
    """The schema says in JSON Schema's words what the annotation asks for."""
    schema = of(annotation).schema()
    assert schema == {"type": "object", "properties": {"x": expected}, "required": ["x"],
                      "additionalProperties": False}
    assert json.loads(json.dumps(schema)) == schema


@broken("defaults are put in as they are, so that json.dumps fails on an Enum's and a Path's")
def test_schema_of_a_whole_function():
    """The schema has every parameter but the callback, with its default, and what is required."""
    def function(callback, a: int, b=0.5, c: Colour = Colour.BLUE, d: Path = Path("x"), e=None,
                 f: Optional[int] = None, g=True):
        pass

    schema = Signature(function).schema()
    assert json.loads(json.dumps(schema, allow_nan=False)) == {
        "type": "object",
        "properties": {
            "a": {"type": "integer"}, "b": {"type": "number", "default": 0.5},
            "c": {"enum": ["red", "blue"], "default": "blue"}, "d": {"type": "string"},
            "e": {"default": None},
            "f": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
            "g": {"type": "boolean", "default": True}},
        "required": ["a"], "additionalProperties": False}


@broken("schema() hands out the dicts that it, and every other signature, goes on using")
def test_schema_is_the_callers_to_change():
    """Writing into a schema, and into what is in it, changes no later one."""
    signature = of(Colour)  # not one of the types whose schema every signature shares
    signature.schema()["properties"]["x"]["type"] = "changed"
    assert signature.schema()["properties"]["x"] == {"enum": ["red", "blue"]}


class Odd(enum.Enum):
    PAIR = (1, 2)
    THING = object()


@broken("the schema holds values that JSON has no word for")
@pytest.mark.parametrize("annotation", [Odd, typing.Literal[Colour.RED], typing.Literal[b"x"]])
def test_schema_is_json(annotation):
    """The schema is JSON, whatever the annotation holds, and shows what can be given."""
    schema = json.loads(json.dumps(of(annotation).schema()))
    for value in schema["properties"]["x"]["enum"]:
        of(annotation).parse({"x": [value]})


@broken("a default that JSON has no word for is put into the schema")
@pytest.mark.parametrize("default", [math.nan, math.inf, [object()], {"a": b""}, {(1, 2): 3}])
def test_schema_of_a_default_that_is_no_json(default):
    """A default that is no JSON is left out of the schema."""
    def function(callback, x=default):
        pass

    json.dumps(Signature(function).schema(), allow_nan=False)
