import dataclasses
import functools
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

import pytest

from longop import LongOperation
from longop.mcp.tools import tools_of


@dataclasses.dataclass
class Point:
    x: int
    label: str = ""


class Pair(NamedTuple):
    a: int
    b: int


def count(callback, n: int, data: bytes = b""):
    """Count on and on.

    The rest is for programmers.

    :param n: how far.
    """


def named(name, module="m"):
    operation = LongOperation(count, name=name)
    operation.module = module
    return operation


def test_a_tool():
    """A tool has the name, the first paragraph and the parameters of its operation."""
    [tool] = tools_of([LongOperation(count)]).values()
    assert tool.describe() == {
        "name": "count", "title": "Count", "description": "Count on and on.",
        "inputSchema": {
            "type": "object", "required": ["n"], "additionalProperties": False,
            "properties": {
                "n": {"type": "integer", "description": "how far."},
                "data": {"type": "string", "contentEncoding": "base64", "default": b""}}}}


def test_a_function_without_a_docstring():
    """Without a docstring there is no description."""
    [tool] = tools_of([LongOperation(lambda callback: 1, name="long_process")]).values()
    assert tool.describe()["title"] == "Long process"
    assert "description" not in tool.describe()


def test_names():
    """Names have the characters that every client takes, and few enough of them."""
    names = list(tools_of([named("a/b c.d-e"), named("größe"), named("x" * 200), named("")]))
    assert names[:2] == ["a_b_c_d-e", "gr__e"]
    assert all(0 < len(name) <= 64 for name in names)


def test_two_of_a_name():
    """Operations of one name have the module in theirs; a number tells apart what is left."""
    tools = tools_of([named("go", "a"), named("go", "b"), named("b_go"), named("go", "b")])
    assert list(tools) == ["a_go", "b_go", "b_go_2", "b_go_3"]


def test_job_tools():
    """As jobs, an operation has three tools: to start, to look and to cancel."""
    tools = tools_of([named("go")], as_jobs=True)
    assert [(name, tool.kind) for name, tool in tools.items()] == [
        ("start_go", "start"), ("status_go", "status"), ("cancel_go", "cancel")]
    described = {name: tool.describe() for name, tool in tools.items()}
    assert "n" in described["start_go"]["inputSchema"]["properties"]
    assert described["status_go"]["annotations"]["readOnlyHint"]
    assert list(described["cancel_go"]["inputSchema"]["properties"]) == ["id"]
    assert described["start_go"]["title"] == "Start go"


def schema_of(annotation):
    def function(callback):
        pass

    function.__annotations__ = {"return": annotation}
    [tool] = tools_of([LongOperation(function)]).values()
    return tool.output_schema


def test_the_schema_of_a_result():
    """An annotation that surely stands for objects is the schema of the result."""
    assert schema_of(Dict[str, int]) == {"type": "object"}
    assert schema_of("Dict[str, int]") == {"type": "object"}
    assert schema_of(Point)["required"] == ["x"]


@pytest.mark.parametrize("annotation", [
    int, str, None, Any, List[int], Optional[Point], Pair, Iterator[Point], "Unknown", 3])
def test_no_schema_of_a_result(annotation):
    """Any other annotation gives none: a last report may be anything."""
    assert schema_of(annotation) is None


def test_the_schema_of_other_callables():
    """A partial function has its function's; an object that can be called tells nothing."""
    def function(n: int, callback) -> Point:
        return Point(n)

    class Callable:
        def __call__(self, callback) -> Point:
            return Point(1)

    [tool] = tools_of([LongOperation(functools.partial(function, 1))]).values()
    assert tool.output_schema["type"] == "object"
    [tool] = tools_of([LongOperation(Callable())]).values()
    assert tool.output_schema is None
