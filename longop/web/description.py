"""What the server says of itself: ``GET /v1``, and OpenAPI 3.1 at ``/openapi.json``."""

from __future__ import annotations

import pkgutil
from typing import Any, Sequence
from urllib.parse import quote

from ..values.jsontext import loads
from ..operation import LongOperation
from ..wings import __version__
from .routes import Extension

#: The ways in which parameters may come.
_KINDS = "application/json", "application/x-www-form-urlencoded", "multipart/form-data"


def describe(operations: Sequence[LongOperation],
             extensions: Sequence[Extension]) -> dict[str, Any]:
    """Return what ``GET /v1`` answers: the operations, with their parameters as JSON Schema."""
    return {"operations": [_describe(operation, extensions) for operation in operations]}


def _describe(operation: LongOperation, extensions: Sequence[Extension]) -> dict[str, Any]:
    fields = {
        "module": operation.module,
        "name": operation.name,
        "description": operation.description,
        "documentation": operation.documentation,
        "cancel": operation.hears_cancel,
        "start": quote(start_path(operation)),
        "parameters": operation.signature.schema(),
    }
    for extension in extensions:
        fields.update(extension.describe(operation))
    return fields


def start_path(operation: LongOperation) -> str:
    """Return the path at which an operation is started."""
    return f"/v1/{operation.module}/{operation.name}"


def openapi(operations: Sequence[LongOperation], extensions: Sequence[Extension],
            root: str = "") -> dict[str, Any]:
    """Return the OpenAPI document. What does not depend on the operations stands in a file.

    :param root: the path below which the server is reached, or an empty text.
    """
    document: dict[str, Any] = loads(
        (pkgutil.get_data(__package__, "openapi.json") or b"").decode())
    document["info"]["version"] = __version__
    if root:
        document["servers"] = [{"url": root}]
    template = document.pop("x-start")
    for operation in operations:
        schema = operation.signature.schema()
        content = {kind: {"schema": schema} for kind in _KINDS}
        document["paths"][quote(start_path(operation))] = {"post": {
            **template,
            "summary": operation.description or operation.name,
            "operationId": f"start_{operation.module}_{operation.name}",
            "requestBody": {"required": bool(schema["required"]), "content": content},
        }}
    for extension in extensions:
        extension.document(document, operations)
    return document
