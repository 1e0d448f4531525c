"""`longop.values.annotations`: what is annotated with a name that is not there is ignored.

The sources here have no ``from __future__ import annotations``: since Python 3.14 it is not
needed. On older ones it stands before them, since the annotations would not even be read there.
"""

import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest

import longop
from longop.signature import Signature
from longop.values.annotations import annotations_of, evaluate, signature_of
from longop.values.records import Field, fields_of

LATE = sys.version_info >= (3, 14)
SOURCE = """
import collections
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, Dict, List, NamedTuple, Optional, TypedDict

if TYPE_CHECKING:
    from somewhere import Unknown, module


def work(callback: Unknown, n: int, a: Unknown = 3, b: Optional[Unknown] = None,
         c: List[Unknown] = None, d: Dict[str, "Unknown"] = None, e: module.Unknown = None,
         f: Optional["module.Unknown"] = None, g: collections.Unknown = None,
         h: "1 +" = None, m: "int" = None) -> Unknown:
    return n


class Adapter:
    def __init__(self, scale: Unknown = 1) -> Unknown: ...

    def __call__(self, done: Unknown, rest: int) -> Unknown: ...


class Able:
    def __call__(self, n: int, callback: Unknown): ...


@dataclass
class Data:
    n: int
    a: Unknown
    b: Optional[Unknown] = None


class Tuple(NamedTuple):
    n: int
    a: Unknown
    b: Optional[Unknown] = None


class Typed(TypedDict):
    n: int
    a: Unknown
    b: Optional[Unknown]


class Inherited(Typed):
    c: Unknown
    m: List[int]


class Methods:
    def work(self, n: int, callback: Unknown): ...
"""


@pytest.fixture(name="space")
def make_space():
    """Return what the module has whose annotations are evaluated late."""
    space: Dict[str, Any] = {"__name__": __name__}
    future = "" if LATE else "from __future__ import annotations\n"
    exec(compile(future + SOURCE, "late", "exec", dont_inherit=True), space)
    return space


def kinds(signature):
    return {name: parameter.kind.schema for name, parameter in signature.by_name.items()}


def test_a_function(space):
    """An annotation with an unknown name takes any value; the others count."""
    signature = Signature(space["work"])
    assert signature.callback == "callback"
    assert signature.certain
    integer = {"type": "integer"}
    assert kinds(signature) == {
        "n": integer, "a": integer,  # by its default
        **{name: {} for name in "bcdefgh"}, "m": {"anyOf": [integer, {"type": "null"}]}}


@pytest.mark.parametrize("name", ["Able", "Data", "Methods.work"])
def test_other_callables(space, name):
    """It is the same for an object that can be called, a class, and a method."""
    made = {"Able": lambda: space["Able"](), "Methods.work": lambda: space["Methods"]().work}
    function = made.get(name, lambda: space[name])()
    assert kinds(Signature(function, False))["n"] == {"type": "integer"}


def test_an_operation(make, space):
    """An operation is made of such a function, and runs."""
    assert make(space["work"], "thread").start(n=3).result(10) == 3


def test_an_adapter(make, space):
    """A class is ``report=`` although its annotations are unknown."""
    operation = make(lambda callback: callback(1, 2), "thread", report=space["Adapter"])
    assert operation.start().result(10) is None


@pytest.mark.parametrize("name", ["Data", "Tuple"])
def test_records(space, name):
    """The fields of a record are there although the annotations of some are unknown."""
    assert fields_of(space[name]) == {
        "n": Field(int, True), "a": Field(Any, True), "b": Field(Any, False)}


def test_a_typed_dict(space):
    """So are those of a dict with types, and what it inherits."""
    known = {"n": Field(int, True), "a": Field(Any, True), "b": Field(Any, True)}
    assert fields_of(space["Typed"]) == known
    if sys.version_info >= (3, 9):  # until then it did not say where its names come from
        known["m"] = Field(List[int], True)
        assert fields_of(space["Inherited"]) == {**known, "c": Field(Any, True)}


def test_a_class_has_its_own():
    """What a base is annotated with is not read again, with the names of another module."""
    class Base:
        n: int

    class Derived(Base):
        pass

    assert evaluate(annotations_of(Base), {}) == {"n": int}
    assert annotations_of(Derived) == {}


def test_what_has_none():
    """Where there are no annotations, there are none: no error."""
    assert annotations_of(print) == {}
    assert annotations_of(3) == {}


@pytest.mark.skipif(not LATE, reason="annotations are evaluated late since Python 3.14")
def test_an_annotation_that_fails():
    """One that raises, whatever its names are, is the fault of its function, and nothing else."""
    space: Dict[str, Any] = {}
    exec("def f(a: {}[1], callback): ...", space)
    assert annotations_of(space["f"]) == {}
    with pytest.raises(TypeError, match=r"has an annotation that raises KeyError\(1\)"):
        signature_of(space["f"])


def test_evaluate():
    """Each annotation is evaluated by itself; one that is known in part is not known."""
    annotations = {"a": "int", "b": "Unknown", "c": str, "d": Optional["Unknown"]}  # noqa: F821
    assert evaluate(annotations, {}) == {"a": int, "c": str}


def test_nothing_else_reads_annotations():
    """No other file looks at annotations, or asks for a signature, in a way that may fail."""
    for file in Path(longop.__file__).parent.rglob("*.py"):
        if file.name != "annotations.py":
            text = file.read_text("utf-8")
            assert "__annotations__" not in text, file
            assert "inspect.signature(" not in text, file
