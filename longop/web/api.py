"""A request in, an answer out: which view answers what, and errors as answers. No sockets.

    head ── read_head ──▶ Request, with the view that answers it ── answer ──▶ Response, or Held

The doors call `read_head` before there is a body, so that what may not come in, or is too large,
is refused before it is read. The views are called afterwards, in any thread.
"""

from __future__ import annotations

import re
from functools import lru_cache, partial
from typing import Iterable, Mapping
from urllib.parse import unquote

from ..errors import LongOperationError, RequestError
from ..job import logger
from ..operation import LongOperation
from . import description, start
from .gate import Gate
from .held import Answer
from .jobs import Jobs, JobView
from .limits import Limits
from .problem import problem
from .request import Request
from .routes import Route, View, extensions, key_of
from .wire import Response, json_response

_JOB = re.compile("/v1/jobs/([^/]+)(/[^/]+|)", re.I)
_KNOWN_HEADS = 256
_LONG_HEAD = 2_000  # bytes: longer heads are not remembered


class Api:
    """The HTTP face of some operations.

    :param page: the path of the page, or None for no page.
    :param gate: who may come in; by default a `Gate` without a token.
    :param limits: what a client may send.
    :param alone: whether all other paths are ours to refuse too. An embedded door sets it to False,
        and serves those paths itself.

    Raises ``ValueError`` if two operations have the same route.
    """

    def __init__(self, operations: Iterable[LongOperation], page: str | None = "/",
                 gate: Gate | None = None, limits: Limits | None = None,
                 alone: bool = True) -> None:
        self.limits = limits or Limits()
        self._page = page
        self._gate = gate or Gate()
        self._alone = alone
        self._operations = list(operations)
        self._extensions = extensions()
        self._jobs = Jobs(self._operations)
        self._routes: dict[str, Route] = {}
        for route in self._all_routes():
            self._add(route)
        # Clients that poll send the same head each time, and parsing it is most of the work.
        self._known_head = lru_cache(maxsize=_KNOWN_HEADS)(self._read_head)

    def read_head(self, head: bytes) -> Request:
        """Return a request with the view that answers it, which is None for a path not ours.

        The request is remembered and shared by all requests with the same head, in any thread:
        a view must not change it. (`Request.with_body` makes a copy.)

        Raises `RequestError` if the request cannot be served and its body need not be read.
        """
        if len(head) < _LONG_HEAD:
            return self._known_head(head)
        return self._read_head(head)

    def answer(self, request: Request) -> Answer:
        """Answer a request that `read_head` made. Called in any thread.

        Raises nothing but ``KeyboardInterrupt``.
        """
        return _call(request.view or _refuse_unknown, request)

    def answer_live(self, request: Request) -> Answer | None:
        """Answer a request that only reads a job that is alive; return None for any other one.

        That never waits for a disk or a process, so an event loop may do it itself. Otherwise
        like `answer`.
        """
        if request.method != "GET" or not isinstance(request.view, JobView):
            return None
        view = request.view.of_live()
        return None if view is None else _call(view, request)

    # Routes

    def _all_routes(self) -> list[Route]:
        routes = [
            Route("/v1", {"GET": self._describe}),
            Route("/v1/jobs", {"GET": self._jobs.list}),
            Route("/openapi.json", {"GET": self._openapi}),
        ]
        for extension in self._extensions:
            routes += extension.routes(self._operations)
        started = {id(route.operation) for route in routes}
        for operation in self._operations:
            if id(operation) not in started:  # no extension starts it in words of its own
                view = partial(start.start, operation)
                routes.append(Route(description.start_path(operation), {"POST": view}, operation,
                                    is_open=True))
        return routes

    def _add(self, route: Route) -> None:
        if route.key in self._routes:
            who = repr(route.operation or route.path)
            raise ValueError(f"{who}: its route is taken; give it another name=...")
        self._routes[route.key] = route

    def _find_views(self, path: str) -> Mapping[str, View]:
        """Return what answers at a path, by method; nothing if the path is not ours."""
        if path == self._page:
            return {"GET": _show_page}
        plain = unquote(path).rstrip("/")
        key = key_of(plain)
        route = self._routes.get(key)
        if route is not None:
            return route.views
        job = _JOB.fullmatch(plain)  # not the key: in an id, case and dashes count
        views = self._jobs.views(job[1], key_of(job[2])) if job else {}
        return views or self._find_open(key)

    def _find_open(self, key: str) -> Mapping[str, View]:
        """Return the views of the longest open route that a path begins with."""
        while key:
            key = key.rpartition("/")[0]
            route = self._routes.get(key)
            if route is not None and route.is_open:
                return route.views
        return {}

    # From a head to a view

    def _read_head(self, head: bytes) -> Request:
        request = Request(head, self.limits)
        views = self._find_views(request.path)
        if not views and not self._alone:
            return request
        request.check()
        request.extra = self._gate.cors(request)  # before the checks: refusals need it too
        request.view = self._check_and_choose(request, views)
        return request

    def _check_and_choose(self, request: Request, views: Mapping[str, View]) -> View | None:
        """Return the view that answers a request, which may be a refusal.

        Raises `RequestError` for a refusal if a body is still to come.
        """
        try:
            self._gate.check(request)
            return self._choose(request, views)
        except RequestError as error:
            if request.length:
                error.headers = {**error.headers, **request.extra}
                raise
            # Without a body the connection can go on: the refusal is an answer like any other.
            refusal = problem(error)
            return lambda request: refusal

    def _choose(self, request: Request, views: Mapping[str, View]) -> View | None:
        """Return the view that answers a request which may come in."""
        if not views:
            return None
        allow = {"Allow": ", ".join(sorted(views))}
        if request.method == "OPTIONS":
            return lambda request: Response(204, headers=allow)
        view = views.get("GET" if request.method == "HEAD" else request.method)
        if view is None:
            raise RequestError(405, f"{request.path} takes {allow['Allow']} only", **allow)
        if request.path == self._page:
            cookie = self._gate.cookie(request)
            if cookie:
                return partial(_redirect_with_cookie, cookie)
        return view

    # Views

    def _describe(self, request: Request) -> Response:
        return json_response(description.describe(self._operations, self._extensions))

    def _openapi(self, request: Request) -> Response:
        return json_response(description.openapi(self._operations, self._extensions))


def _call(view: View, request: Request) -> Answer:
    """Return what a view answers; its errors are answers too."""
    try:
        return view(request)
    except LongOperationError as error:
        return problem(error)
    except KeyboardInterrupt:
        raise
    except BaseException:  # SystemExit too: a view may run code of the user's
        logger.exception("%s %s", request.method, request.path)
        return problem(RequestError(500, "an error of the server's own; its log says more"))


def _refuse_unknown(request: Request) -> Answer:
    raise RequestError(404, f"there is nothing at {request.path}")


def _show_page(request: Request) -> Response:
    from . import page  # late: a server that only programs use never needs it

    return page.show(request)


def _redirect_with_cookie(cookie: str, request: Request) -> Response:
    """Answer the page's address with the token in it: people copy addresses, so take it out."""
    return Response(303, headers={"Location": request.path, "Set-Cookie": cookie})
