"""The routes in that server's words, as a part of ``/openapi.json``."""

from __future__ import annotations

import pkgutil
from typing import Any, Sequence
from urllib.parse import quote

from ..jsontext import loads
from ..operation import LongOperation
from ..web.description import start_path


def document(document: dict[str, Any], operations: Sequence[LongOperation]) -> None:
    """Add the routes to an OpenAPI document, which has the plain ones already."""
    ours = loads((pkgutil.get_data(__package__, "openapi.json") or b"").decode())
    paths = document["paths"]
    paths.update(ours["paths"])
    document["components"]["schemas"].update(ours["components"]["schemas"])
    for operation in operations:
        # The same start, which without a preference is answered in that server's words.
        paths[quote(start_path(operation))]["post"].update(ours["x-start"])
        for command in "get_command_status", "cancel_command":
            paths[quote(f"/v1/{operation.module}/{command}")] = ours[f"x-{command}"]
