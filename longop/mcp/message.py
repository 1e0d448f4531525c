"""Messages of JSON-RPC 2.0 as the protocol has them, and its errors. No input or output.

    text ── read ──▶ Message, or RpcError        result ── reply ──▶ a dict to send

What the methods mean is `server`'s.
"""

from __future__ import annotations

from typing import Any, Iterator, Mapping, NamedTuple, Union

from ..values.jsontext import loads

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
HEADER_MISMATCH = -32020
MISSING_CAPABILITY = -32021
UNSUPPORTED_VERSION = -32022

Id = Union[str, int, None]


class RpcError(Exception):
    """A request that cannot be served: an error of the protocol, not one of a tool.

    :param data: what the error has beside its code and message.
    :param id: the id of the request, where that is known when this is raised.
    """

    def __init__(self, code: int, message: str, data: Any = None, id: Id = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data
        self.id = id


class Message(NamedTuple):
    """A request, or a notification, which has no ``id``."""

    id: Id
    method: str
    params: Mapping[str, Any]

    @property
    def is_notification(self) -> bool:
        """True if no answer is wanted."""
        return self.id is None

    @property
    def meta(self) -> Any:
        """The ``_meta`` of the parameters; None if there is none."""
        return self.params.get("_meta")


def read(text: bytes, max_depth: int) -> Message | None:
    """Return the message of a text, or None if it is a client's response: we ask nothing.

    :param max_depth: levels of nesting that are allowed.

    Raises `RpcError`.
    """
    try:
        value = loads(text.decode())
    except ValueError as error:  # bytes that are not UTF-8 are one, too
        raise RpcError(PARSE_ERROR, f"this is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise RpcError(INVALID_REQUEST, "send one message at a time, as an object; there are "
                                        "no batches")
    id = _id_of(value)
    if _is_deeper(value, max_depth):
        raise RpcError(INVALID_REQUEST, "the message is nested too deeply", id=id)
    if value.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, 'a message has "jsonrpc": "2.0"', id=id)
    if "method" not in value and ("result" in value or "error" in value):
        return None
    return _message_of(value, id)


def reply(id: Id, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to a request."""
    return {"jsonrpc": "2.0", "id": id, "result": result}


def failure(id: Id, error: RpcError) -> dict[str, Any]:
    """Return an error as the answer to a request; without an id if that is not known."""
    described: dict[str, Any] = {"code": error.code, "message": str(error)}
    if error.data is not None:
        described["data"] = error.data
    return {"jsonrpc": "2.0", "id": error.id if id is None else id, "error": described}


def notification(method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message that wants no answer."""
    return {"jsonrpc": "2.0", "method": method, "params": params}


def text_param(message: Message, name: str) -> str:
    """Return a parameter that must be there, and be text; raise `RpcError`."""
    value = message.params.get(name)
    if not isinstance(value, str):
        raise RpcError(INVALID_PARAMS, f"{message.method} needs {name}, a text")
    return value


def object_param(message: Message, name: str) -> dict[str, Any]:
    """Return a parameter that is an object if it is there; raise `RpcError`."""
    value = message.params.get(name, {})
    if not isinstance(value, dict):
        raise RpcError(INVALID_PARAMS, f"{name} of {message.method} must be an object")
    return value


def _message_of(value: dict[str, Any], id: Id) -> Message:
    method = value.get("method")
    params = value.get("params", {})
    if not isinstance(method, str):
        raise RpcError(INVALID_REQUEST, "a message has a method, a text", id=id)
    if not isinstance(params, dict):
        raise RpcError(INVALID_PARAMS, "params must be an object", id=id)
    return Message(id, method, params)


def _id_of(value: dict[str, Any]) -> Id:
    """Return a message's id, or None if there is none; raise `RpcError` for a wrong one."""
    if "id" not in value:
        return None
    id = value["id"]
    if isinstance(id, str) or type(id) is int:  # True is an int of another type
        return id
    raise RpcError(INVALID_REQUEST, "an id is a string or an integer")


def _is_deeper(value: Any, limit: int) -> bool:
    """Return whether a value of JSON has more than ``limit`` levels within it.

    Level by level, so that no depth can exhaust the stack.
    """
    level = [value]
    for _ in range(limit + 1):
        level = [item for outer in level for item in _items_of(outer)]
        if not level:
            return False
    return True


def _items_of(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value
