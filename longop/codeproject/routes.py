"""That server's routes over the operations."""

from __future__ import annotations

from functools import partial
from typing import Any, Sequence

from ..operation import LongOperation
from ..web.routes import Route, key_of
from . import commands, explorer
from .openapi import document

__all__ = ["describe", "document", "routes"]


def routes(operations: Sequence[LongOperation]) -> list[Route]:
    """Return the routes of the operations in that server's words."""
    found: dict[str, Route] = {}
    starts: list[Route] = []
    modules = commands.modules_of(operations)
    for module in modules:
        for operation in module.operations:
            for root in (f"/v1/{module.id}", f"/v1/{operation.module}"):
                status, cancel = partial(commands.status, module), partial(commands.cancel, module)
                for one in (
                        Route(f"{root}/get_command_status", {"GET": status, "POST": status},
                              is_open=True),
                        Route(f"{root}/cancel_command", {"POST": cancel}, is_open=True)):
                    found[one.key] = one
            for path in dict.fromkeys(key_of(f"/v1/{one}") for one in module.routes(operation)):
                view = partial(commands.start, module, operation, path.count("/") + 1)
                starts.append(Route(path, {"POST": view}, operation, is_open=True))
    for path, view in explorer.views(modules).items():
        found[key_of(path)] = Route(path, {"GET": view})
    return [*found.values(), *starts]


def describe(operation: LongOperation) -> dict[str, Any]:
    """Return the page of the operation's module, if it has one."""
    owner: Any = operation.owner
    page = owner and explorer.page_of(owner)[0]
    return {"page": page} if page else {}
