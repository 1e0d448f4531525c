"""Routes: which view answers at which path. Wings may add their own.

`api` knows the plain routes. A wing that speaks another protocol over the same operations, such as
CodeProject.AI Server's, is an `Extension`: it is found by its name, and adds a table of routes.
"""

from __future__ import annotations

from typing import Any, Callable, Collection, Mapping, NamedTuple, Protocol, Sequence

from .. import wings
from ..operation import LongOperation
from .held import Answer
from .request import Request


View = Callable[[Request], Answer]

#: The modules of other wings that add routes, where the wing is there.
EXTENSIONS = ("codeproject.routes", "mcp.routes")


class Route(NamedTuple):
    """A path, and the views that answer there, by method.

    In the path, case does not matter, and ``-`` is the same as ``_``. ``operation`` is the one
    that a request starts, if it starts one. Where the route ``is_open``, longer paths that begin
    with it belong to it too, unless they are routes themselves. It ``may_start`` a job of any
    operation, if its requests say which.
    """

    path: str
    views: Mapping[str, View]
    operation: LongOperation | None = None
    is_open: bool = False
    may_start: bool = False

    @property
    def starts(self) -> bool:
        """True if a view may run code of the user's: it starts a job."""
        return self.may_start or self.operation is not None

    @property
    def key(self) -> str:
        """The path as it is looked up."""
        return key_of(self.path)


class Extension(Protocol):
    """What a wing's module in `EXTENSIONS` offers."""

    def routes(self, operations: Sequence[LongOperation]) -> list[Route]:
        """Return the routes of the operations in this protocol.

        Raises ``ValueError`` if the operations cannot be served together.
        """
        ...

    def describe(self, operation: LongOperation) -> Mapping[str, Any]:
        """Return what ``GET /v1`` says of an operation beyond the usual keys."""
        ...

    def document(self, document: dict[str, Any], operations: Sequence[LongOperation]) -> None:
        """Add the routes to an OpenAPI document."""
        ...


def extensions(left_out: Collection[str] = ()) -> list[Extension]:
    """Return the extensions that this copy of longop has, but for some, named as in the above."""
    wanted = [module for module in EXTENSIONS if module not in left_out]
    found: list[Any] = [wings.find(module) for module in wanted]
    return [module for module in found if module is not None]


def key_of(path: str) -> str:
    """Return a path in the form in which paths are compared."""
    return path.lower().replace("-", "_")
