import dataclasses

import pytest

from longop import State, Status
from longop.mcp.results import content_of, error_result, result_of

PIXEL = "data:image/png;base64,AAAA"


def completed(value):
    return Status("1", "m", "o", state=State.COMPLETED, result=value)


@pytest.mark.parametrize(("value", "text"), [
    ("a\nb", "a\nb"), (3, "3"), (True, "true"), ([1, "a"], '[1,"a"]'), (None, "(no result)"),
    (float("nan"), "(no result)"), (b"abc", "YWJj")])
def test_a_value_is_text(value, text):
    """A text is text as it is, and another value its JSON."""
    assert result_of(completed(value)) == {"content": [{"type": "text", "text": text}],
                                           "isError": False}


def test_a_picture():
    """A picture is shown as one, and a sound too."""
    assert content_of(PIXEL) == [{"type": "image", "data": "AAAA", "mimeType": "image/png"}]
    assert content_of("data:audio/wav;base64,BB==") == [
        {"type": "audio", "data": "BB==", "mimeType": "audio/wav"}]
    assert content_of("data:text/plain;base64,AAAA")[0]["type"] == "text"


def test_a_list_with_a_picture():
    """Of a list with a picture in it, each item is a piece of content."""
    assert [block["type"] for block in content_of(["a", PIXEL, {"b": 1}])] == [
        "text", "image", "text"]
    assert len(content_of(["a", "b"])) == 1


def test_an_object():
    """An object comes as data, and as text for clients that know no data."""
    @dataclasses.dataclass
    class Point:
        x: int = 1

    assert result_of(completed(Point())) == {
        "content": [{"type": "text", "text": '{"x":1}'}],
        "structuredContent": {"x": 1}, "isError": False}


def test_an_object_that_was_promised():
    """A result that is not what the annotation says is an error, and is not lost."""
    schema = {"type": "object", "required": ["x"]}
    assert result_of(completed({"x": 1, "y": 2}), schema)["structuredContent"] == {"x": 1, "y": 2}
    for value in ("text", {"y": 2}, None, [1]):
        result = result_of(completed(value), schema)
        assert result["isError"]
        assert "structuredContent" not in result
        assert len(result["content"]) == 2


def test_an_error():
    """An error comes first, then what was reported until then."""
    status = Status("1", "m", "o", state=State.FAILED, error="ValueError: no", result=PIXEL)
    assert result_of(status) == {"isError": True, "content": [
        {"type": "text", "text": "ValueError: no"},
        {"type": "image", "data": "AAAA", "mimeType": "image/png"}]}


@pytest.mark.parametrize("state", [State.CANCELLED, State.INTERRUPTED, State.FAILED])
def test_no_result(state):
    """A job that did not complete is an error, even without a text of its own."""
    result = result_of(Status("1", "m", "o", state=state))
    assert result == error_result(state.value)
    assert result["isError"]
