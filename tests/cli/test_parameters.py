"""`longop.cli.parameters`: what an operation takes, as help."""

import datetime
import enum
from typing import List, Optional, Tuple

import pytest

from longop import LongOperation
from longop.cli import parameters
from longop.cli.columns import width
from longop.cli.parameters import entry, page


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 5


def takes(callback, n: int, rate: float = 0.5, data: bytes = b"", size: Size = Size.LARGE,
          level: Level = Level.HIGH, day: Optional[datetime.date] = None,
          several: List[int] = [], pair: Tuple[int, str] = (1, "x"),  # noqa: B006
          fast: bool = False, any="x" * 100, **more):
    """Take all.

    Of this the second paragraph tells more.

    - a list is
    - as it was

    :param n: how many of them, in words that go on and on and do not fit into a single line
        of any terminal
    :returns: nothing
    """


LINES = [
    "  n=WHOLE-NUMBER              how many of them, in words that go on and on and",
    "                              do not fit into a single line of any terminal",
    "                              (required)",
    "  rate=NUMBER                 (default: 0.5)",
    "  data=@FILE                  (default: empty)",
    "  size=small|large            (default: large)",
    "  level=LOW|HIGH              (default: HIGH)",
    "  day=YYYY-MM-DD              (default: none)",
    "  several=WHOLE-NUMBER        (may be repeated, default: none)",
    '  pair=JSON-LIST              (WHOLE-NUMBER and TEXT, default: [1,"x"])',
    "  fast=yes|no                 (default: no)",
    "  any=TEXT                    (default:",
    f"                              {'x' * 37}...)",
    "  NAME=VALUE                  any other parameter"]
SCHEMA = LongOperation(takes).signature.schema()
DOCUMENTATION = LongOperation(takes).documentation


def test_entry():
    """Each parameter has a type, its help and its default, written as they are given."""
    assert entry("takes", "Take all.", SCHEMA, 78) == ["takes - Take all.", *LINES]


def test_page():
    """The help of one operation has all of its docstring but what the parameters repeat."""
    assert page("run it", DOCUMENTATION, SCHEMA, 78) == [
        "usage: run it", "", "Take all.", "", "Of this the second paragraph tells more.", "",
        "- a list is", "- as it was", "", ":returns: nothing", "", "parameters:", *LINES]
    assert page("run it", "", {}, 78) == ["usage: run it", "", "parameters:", "  none"]
    google = "Take all.\n\nArgs:\n    n: how many\n\nReturns:\n    nothing"
    assert page("x", google, {}, 78)[2:7] == ["Take all.", "", "Returns:", "    nothing", ""]


def test_narrow_page():
    """Where there is no room beside it, the help of a parameter is below."""
    assert page("run it", "Take all.", SCHEMA, 38)[4:9] == [
        "parameters:", "  n=WHOLE-NUMBER", "      how many of them, in words that",
        "      go on and on and do not fit into", "      a single line of any terminal"]


@pytest.mark.parametrize("columns", [20, 38, 60, 78, 98])
def test_never_too_wide(columns):
    """No line is wider than the terminal, whatever its letters are."""
    schema = {"properties": {"汉字" * 30: {"description": "汉字 " * 90, "default": "汉" * 39}}}
    for one in (SCHEMA, schema):
        lines = page("x" * 100, DOCUMENTATION + "\n\n    " + "汉" * 90, one, columns)
        assert max(map(width, lines)) <= columns
        assert max(map(width, entry("名" * 90, "字" * 90, one, columns))) <= columns


@pytest.mark.parametrize(("given", "columns"), [("80", 78), ("40", 38), ("3", 20), ("300", 98)])
def test_columns(monkeypatch, given, columns):
    """The help is as wide as the terminal, within reason."""
    monkeypatch.setenv("COLUMNS", given)
    assert parameters.columns_of_help() == columns


def test_schema_of_another_server():
    """Any schema is shown, and none controls the terminal."""
    lines = entry("a\x1b[2J", "", {"properties": {
        "a": True, "b\x1b": {"type": ["x"], "enum": []}, "c": {"enum": list(range(50))},
        "d": {"minimum": 1, "maximum": 5, "type": "integer", "description": "\x1b[0m"}}}, 78)
    assert lines[0] == "a[2J"
    assert lines[1:3] == ["  a=VALUE", "  b=VALUE"]
    assert lines[-1] == "  d=WHOLE-NUMBER              [0m (at least 1, at most 5)"
    assert page("a\x1b[2J", "b\x1b[0m", {}, 78)[:3] == ["usage: a[2J", "", "b[0m"]
