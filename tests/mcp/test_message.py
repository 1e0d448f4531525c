import json

import pytest

from longop.mcp.message import (INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, Message, RpcError,
                                failure, notification, object_param, read, reply, text_param)


def refused(text, max_depth=100):
    with pytest.raises(RpcError) as caught:
        read(text, max_depth)
    return caught.value


def test_a_request():
    """A request has an id, a method and parameters, which may be missing."""
    assert read(b'{"jsonrpc":"2.0","id":1,"method":"ping"}', 9) == Message(1, "ping", {})
    assert not read(b'{"jsonrpc":"2.0","id":0,"method":"ping"}', 9).is_notification


def test_a_notification():
    """A message without an id wants no answer."""
    assert read(b'{"jsonrpc":"2.0","method":"x","params":{"a":1}}', 9).is_notification


def test_a_response_is_nothing():
    """A response of a client is no message for us: nothing was asked."""
    assert read(b'{"jsonrpc":"2.0","id":1,"result":{}}', 9) is None
    assert read(b'{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}', 9) is None


@pytest.mark.parametrize("text", [
    b"", b"{", b"\xff", b'{"a":NaN}', b"[" * 100_000, b'{"id":' + b"[" * 100_000, b"nonsense",
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","para'])
def test_not_json(text):
    """What is not JSON is a parse error, however deep."""
    assert refused(text).code == PARSE_ERROR


@pytest.mark.parametrize("value", [
    [], [{"jsonrpc": "2.0", "id": 1, "method": "ping"}], 1, "text", None, True,
    {"id": 1, "method": "ping"}, {"jsonrpc": "1.0", "id": 1, "method": "ping"},
    {"jsonrpc": "2.0", "id": None, "method": "ping"},
    {"jsonrpc": "2.0", "id": True, "method": "ping"},
    {"jsonrpc": "2.0", "id": 1.5, "method": "ping"},
    {"jsonrpc": "2.0", "id": {}, "method": "ping"},
    {"jsonrpc": "2.0", "id": 1}, {"jsonrpc": "2.0", "id": 1, "method": 2}])
def test_not_a_message(value):
    """A batch, and an object that is no message, is an invalid request."""
    assert refused(json.dumps(value).encode()).code == INVALID_REQUEST


@pytest.mark.parametrize("params", [[], None, 1, "text"])
def test_wrong_parameters(params):
    """Parameters are an object; the error has the id of the request."""
    text = json.dumps({"jsonrpc": "2.0", "id": 7, "method": "ping", "params": params}).encode()
    error = refused(text)
    assert (error.code, error.id) == (INVALID_PARAMS, 7)


def nested(depth):
    value = {}
    for _ in range(depth):
        value = {"a": value}
    return json.dumps({"jsonrpc": "2.0", "id": 7, "method": "m", "params": value}).encode()


def test_depth():
    """A message may be nested so many levels, and not one more."""
    assert read(nested(3), 5).method == "m"
    error = refused(nested(4), 4)
    assert (error.code, error.id) == (INVALID_REQUEST, 7)


def test_answers():
    """Answers have the id of their request, and an error what is known of it."""
    assert reply("a", {"b": 1}) == {"jsonrpc": "2.0", "id": "a", "result": {"b": 1}}
    assert failure(3, RpcError(-1, "no")) == {
        "jsonrpc": "2.0", "id": 3, "error": {"code": -1, "message": "no"}}
    assert failure(None, RpcError(-1, "no", [1], id=4)) == {
        "jsonrpc": "2.0", "id": 4, "error": {"code": -1, "message": "no", "data": [1]}}
    assert failure(None, RpcError(-1, "no"))["id"] is None
    assert notification("n", {}) == {"jsonrpc": "2.0", "method": "n", "params": {}}


def test_parameters():
    """A parameter of another kind than it must be is refused."""
    message = Message(1, "m", {"text": "a", "object": {"b": 1}})
    assert text_param(message, "text") == "a"
    assert object_param(message, "object") == {"b": 1}
    assert object_param(message, "missing") == {}
    for read_param, name in ((text_param, "object"), (text_param, "missing"),
                             (object_param, "text")):
        with pytest.raises(RpcError, match=name):
            read_param(message, name)
