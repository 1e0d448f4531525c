"""The route ``POST /mcp``: an extension of `longop.web`. What is answered is `http`'s."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Mapping, Sequence

from ..operation import LongOperation
from ..web.held import Answer
from ..web.request import Request
from ..web.routes import Route

if TYPE_CHECKING:
    from .http import Endpoint

PATH = "/mcp"


def routes(operations: Sequence[LongOperation]) -> list[Route]:
    """Return the one route of the protocol."""
    return [Route(PATH, {"POST": View(operations)}, may_start=True)]


def describe(operation: LongOperation) -> Mapping[str, Any]:
    """Return nothing: ``GET /v1`` says all of an operation already."""
    return {}


def document(whole: dict[str, Any], operations: Sequence[LongOperation]) -> None:
    """Add the route to an OpenAPI document, which cannot tell what the messages mean."""
    whole["paths"][PATH] = {"post": {
        "summary": "The Model Context Protocol (Streamable HTTP)",
        "operationId": "mcp",
        "requestBody": {"required": True,
                        "content": {"application/json": {"schema": _MESSAGE_SCHEMA}}},
        "responses": {
            "200": {"description": "A message, or a stream of them",
                    "content": {"application/json": _OBJECT,
                                "text/event-stream": {"schema": {"type": "string"}}}},
            "202": {"description": "A notification was taken"},
            "4XX": {"description": "An error, as a message, or as a problem if there is none",
                    "content": {"application/json": _OBJECT,
                                "application/problem+json": _OBJECT}},
        },
    }}


class View:
    """Answers at the route. The protocol is loaded with the first message: most get none."""

    def __init__(self, operations: Sequence[LongOperation]) -> None:
        self._operations = operations
        self._lock = threading.Lock()  # two threads may have the first message
        self._endpoint: Endpoint | None = None

    def __call__(self, request: Request) -> Answer:
        """Answer one message. Called in any thread."""
        with self._lock:
            if self._endpoint is None:
                from .http import Endpoint

                self._endpoint = Endpoint(self._operations)
        return self._endpoint.answer(request)


_OBJECT = {"schema": {"type": "object"}}
_MESSAGE_SCHEMA = {
    "type": "object",
    "properties": {
        "jsonrpc": {"const": "2.0"},
        "id": {"type": ["string", "integer"], "description": "missing in a notification"},
        "method": {"type": "string", "examples": ["tools/list"]},
        "params": {"type": "object"},
    },
    "required": ["jsonrpc", "method"],
}
