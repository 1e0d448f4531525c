"""A request in, an answer out: which view answers what, and errors as answers. No sockets.

    head ── read_head ──▶ Request, with the view that answers it ── answer ──▶ Response, or Held

The doors call `read_head` before there is a body, so that what may not come in, or is too large,
is refused before it is read. The views are called afterwards, in any thread.
"""

from __future__ import annotations

import re
from functools import lru_cache, partial
from typing import Collection, Iterable, Mapping
from urllib.parse import quote, unquote

from ..errors import LongOperationError, RequestError
from ..job import logger
from ..operation import LongOperation
from ..values import given
from . import description, listing, start
from .found import JobView
from .gate import Gate
from .held import Answer
from .jobs import Jobs
from .limits import InFlight, Limits
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
    :param root_path: the path below which a proxy serves this, whether the proxy strips it or
        passes it on.
    :param left_out: extensions that are not wanted, named as in `routes.EXTENSIONS`.

    Raises ``ValueError`` if two operations have the same route.
    """

    def __init__(self, operations: Iterable[LongOperation], page: str | None = "/",
                 gate: Gate | None = None, limits: Limits | None = None,
                 alone: bool = True, root_path: str = "",
                 left_out: Collection[str] = ()) -> None:
        self.limits = limits or Limits()
        self._bounds = given.Bounds(self.limits.max_depth, self.limits.max_values)
        self.in_flight = InFlight(self.limits.max_in_flight)
        self._page = page
        self._gate = gate or Gate()
        self._alone = alone
        self._root_path = _normal(root_path)
        self._roots = [*dict.fromkeys(["", self._root_path])]  # each once
        self._operations = list(operations)
        self._extensions = extensions(left_out)
        self._jobs = Jobs(self._operations)
        self._routes: dict[str, Route] = {}
        self._depth = 0  # slashes in the deepest of the open routes
        for route in self._all_routes():
            self._add(route)
        # Clients that poll send the same head each time, and parsing it is most of the work.
        self._known_head = lru_cache(maxsize=_KNOWN_HEADS)(self._read_head)

    def read_head(self, head: bytes, mount: str = "", is_secure: bool = False) -> Request:
        """Return a request with the view that answers it, which is None for a path not ours.

        The request is remembered and shared by all requests with the same head, in any thread:
        a view must not change it. (`Request.with_body` makes a copy.)

        :param mount: the path below which the server has put this one, if it knows.
        :param is_secure: whether the request came over TLS.

        Raises `RequestError` if the request cannot be served and its body need not be read.
        """
        if len(head) < _LONG_HEAD:
            return self._known_head(head, mount, is_secure)
        return self._read_head(head, mount, is_secure)

    def answer(self, request: Request) -> Answer:
        """Answer a request that `read_head` made. Called in any thread.

        Raises nothing but ``KeyboardInterrupt``.
        """
        # For JSON inside of a text, too: there the views do not know the limits.
        with given.bounded(self._bounds):
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
            Route("/v1/jobs", {"GET": partial(listing.answer, self._operations)}),
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
        if route.is_open:
            self._depth = max(self._depth, route.key.count("/"))

    def _enter(self, request: Request, mount: str) -> Route | None:
        """Return what answers a request; take off its path what is above that.

        The whole path comes first: the proxy may have stripped what was above, and a WSGI
        server may have put us at a path of our own, such as ``/v1``.
        """
        roots = _parents(_normal(mount)) if mount else self._roots
        for root in roots:
            request.root = root or self._root_path
            path = request.path[len(root):]
            if request.path != root + path:
                continue
            # Of a path that is too long, the beginning tells whether it is ours to refuse.
            route = self._find_route(path[:self.limits.max_url])
            if route is not None:
                request.path = path
                return route
        return None

    def _find_route(self, path: str) -> Route | None:
        """Return what answers at a path, or None if the path is not ours."""
        if path == self._page:
            return Route(path, {"GET": _show_page})
        if not path:  # the root without its slash: the page's addresses would be wrong there
            return Route(path, {"GET": _redirect_to_page}) if self._page == "/" else None
        plain = unquote(path).rstrip("/")
        key = key_of(plain)
        route = self._routes.get(key)
        if route is not None:
            return route
        job = _JOB.fullmatch(plain)  # not the key: in an id, case and dashes count
        views = self._jobs.views(job[1], key_of(job[2])) if job else {}
        return Route(path, views) if views else self._find_open(key)

    def _find_open(self, key: str) -> Route | None:
        """Return the longest open route that a path begins with.

        A path may have thousands of parts: only as many are tried as an open route has.
        """
        parts = key.split("/", self._depth + 1)[:self._depth + 1]
        while parts:
            route = self._routes.get("/".join(parts))
            if route is not None and route.is_open:
                return route
            parts.pop()
        return None

    # From a head to a view

    def _read_head(self, head: bytes, mount: str, is_secure: bool) -> Request:
        request = Request(head, self.limits, is_secure)
        route = self._enter(request, mount)
        if route is None and not self._alone:
            return request
        request.check()
        request.extra = self._gate.cors(request)  # before the checks: refusals need it too
        request.starts = route is not None and route.starts
        request.view = self._check_and_choose(request, {} if route is None else route.views)
        return request

    def _check_and_choose(self, request: Request, views: Mapping[str, View]) -> View | None:
        """Return the view that answers a request, which may be a refusal.

        Raises `RequestError` for a refusal if a body is still to come.
        """
        try:
            self._gate.check(request)
            request.is_known = request.method != "OPTIONS"  # which needs no token
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
        document = description.openapi(self._operations, self._extensions, request.root)
        return json_response(document)


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


def _redirect_to_page(request: Request) -> Response:
    query = f"?{request.query}" if request.query else ""
    return Response(303, headers={"Location": f"/{query}"})


def _redirect_with_cookie(cookie: str, request: Request) -> Response:
    """Answer the page's address with the token in it: people copy addresses, so take it out."""
    return Response(303, headers={"Location": request.path, "Set-Cookie": cookie})


def _normal(path: str) -> str:
    """Return a root path as it stands in addresses: encoded, with a slash only before it."""
    inner = path.strip("/")
    return "/" + quote(inner, safe="/%") if inner else ""


def _parents(path: str) -> list[str]:
    """Return the paths above a path, the highest first, and the path itself."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
