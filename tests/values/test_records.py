"""`longop.values.records`: the fields of records. Annotations here are text, as in many files."""

from __future__ import annotations

import collections
import sys
import typing
from dataclasses import dataclass, field
from typing import Any, List, NamedTuple, TypedDict

import pytest

from longop.values.records import Field, fields_of, is_record, is_typed_dict


@dataclass
class Base:
    a: int
    b: NoSuchName = None  # noqa: F821  # one for a type checker only


@dataclass
class Derived(Base):
    c: List[Derived] = field(default_factory=list)  # noqa: UP006  # Python 3.8
    made: int = field(init=False, default=0)


class Pair(NamedTuple):
    left: int
    right: str = ""


class Total(TypedDict):
    a: int


class Partial(TypedDict, total=False):
    a: int


@pytest.mark.parametrize(("wanted", "expected"), [
    (Derived, {"a": Field(int, True), "b": Field(Any, False), "c": Field(List[Derived], False)}),
    (Pair, {"left": Field(int, True), "right": Field(str, False)}),
    (collections.namedtuple("Old", "a b", defaults=[1]),
     {"a": Field(Any, True), "b": Field(Any, False)}),
    (Total, {"a": Field(int, True)}), (Partial, {"a": Field(int, False)})])
def test_fields(wanted, expected):
    """A record tells what it is made of; an annotation that cannot be read takes anything."""
    assert is_record(wanted)
    assert fields_of(wanted) == expected


@pytest.mark.skipif(sys.version_info < (3, 11), reason="came with Python 3.11")
def test_keys_that_are_not_required():
    """NotRequired and Required count, also where annotations are text."""
    space = {"__name__": __name__, **vars(typing)}
    for start in "", "from __future__ import annotations\n":
        exec(start + "class Some(TypedDict):\n a: int\n b: NotRequired[int]\n"
                     "class Few(TypedDict, total=False):\n a: int\n b: Required[int]", space)
        assert {name: one.is_required for name, one in fields_of(space["Some"]).items()} == {
            "a": True, "b": False}
        assert {name: one.is_required for name, one in fields_of(space["Few"]).items()} == {
            "a": False, "b": True}


def test_what_is_no_record():
    """Tuples, dicts and other classes are no records."""
    assert not any(map(is_record, (int, tuple, dict, collections.OrderedDict, object)))
    assert is_typed_dict(Total)
    assert not is_typed_dict(dict)
