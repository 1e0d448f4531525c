"""CodeProject's routes in the OpenAPI document, ``/openapi.json`` of `longop.web`."""

from __future__ import annotations

import pkgutil
from typing import Any, Sequence
from urllib.parse import quote

from ..values.jsontext import loads
from ..operation import LongOperation
from ..web.description import start_path

_COMMANDS = ("get_command_status", "cancel_command")


def document(whole: dict[str, Any], operations: Sequence[LongOperation]) -> None:
    """Add CodeProject's routes to the document, which already has the plain ones."""
    ours = loads((pkgutil.get_data(__package__, "openapi.json") or b"").decode())
    paths = whole["paths"]
    paths.update(ours["paths"])
    whole["components"]["schemas"].update(ours["components"]["schemas"])
    for operation in operations:
        # The same start; without a ``Prefer`` header it is answered as CodeProject does.
        paths[quote(start_path(operation))]["post"].update(ours["x-start"])
        for command in _COMMANDS:
            paths[quote(f"/v1/{operation.module}/{command}")] = ours[f"x-{command}"]
