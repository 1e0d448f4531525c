"""A request in, an answer out: routes, answers and errors. Knows nothing of sockets.

The routes under a module's name are CodeProject.AI Server's: see `commands`. Everything under
``/v1/jobs`` is our own.
"""

from __future__ import annotations

import re
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Callable, Iterable
from urllib.parse import parse_qsl, quote, unquote

from ..codeproject import commands

from ..codeproject import explorer
from ..codeproject.commands import cancel_job, find
from ..errors import BadParameters, LongOperationError, RequestError
from . import page
from .gate import Gate
from ..job import logger
from ..jsontext import dumps, loads
from ..operation import LongOperation
from ..status import Status
from .watch import Answer, hold, stream
from .wire import Limits, Request, Response, json_response

View = Callable[[Request], Answer]
_KINDS = "application/json", "application/x-www-form-urlencoded", "multipart/form-data"


class Api:
    """The HTTP face of some operations; ``page`` is the path of the page, or None for none.

    ``alone`` says that what has another path is nobody else's either. Raises ``ValueError`` if two
    operations have the same route.
    """

    def __init__(self, operations: Iterable[LongOperation], page: str | None = "/",
                 gate: Gate | None = None, limits: Limits | None = None,
                 alone: bool = True) -> None:
        self._page, self._gate, self.limits = page, gate or Gate(), limits or Limits()
        self._alone = alone
        self._operations = list(operations)
        self._views: dict[str, dict[str, View]] = {
            "/v1": {"GET": self._describe}, "/v1/jobs": {"GET": self._list},
            "/openapi.json": {"GET": self._openapi}}
        common = set(self._views)
        modules = commands.modules_of(self._operations)
        for module, operation in ((one, other) for one in modules for other in one.operations):
            for root in {f"/v1/{_key(module.id)}", f"/v1/{_key(operation.module)}"}:
                self._views[f"{root}/get_command_status"] = dict.fromkeys(
                    ("GET", "POST"), partial(commands.status, module))
                self._views[f"{root}/cancel_command"] = {"POST": partial(commands.cancel, module)}
            for path in dict.fromkeys(f"/v1/{_key(one)}" for one in module.routes(operation)):
                if path in self._views:
                    raise ValueError(f"{operation!r}: its route is taken; give it another name=...")
                self._views[path] = {"POST": partial(commands.start, module, operation,
                                                     path.count("/") + 1)}
        self._open = set(self._views) - common  # may go on, as on that server
        self._views.update({_key(path): {"GET": view}
                            for path, view in explorer.views(modules).items()})
        self._shown: dict[str, tuple[int, bytes, bytes]] = {}
        self._known_head = lru_cache(maxsize=256)(self._read_head)

    def read_head(self, head: bytes) -> Request:
        """Return a request with the view that answers it, which is None for what is not ours.

        Raises `RequestError` where it cannot be served, and its body need not be read.
        """
        # Whoever polls sends the same head each time: to know it saves most of the work.
        return (self._known_head if len(head) < 2_000 else self._read_head)(head)

    def is_quick(self, request: Request) -> bool:
        """Return whether a request reads of a job that is alive, for which nothing has to wait.

        Others may have to, for a disk or a process.
        """
        id = request.path[9:41]  # /v1/jobs/...
        for operation in self._operations:
            if id in operation.live:
                return request.method == "GET"
        return False

    def answer(self, request: Request) -> Answer:
        """Answer a request that `read_head` made; raise nothing."""
        try:
            if request.view is None:
                raise RequestError(404, f"there is nothing at {request.path}")
            answer: Answer = request.view(request)
            return answer
        except LongOperationError as error:
            return problem(error)
        except Exception:
            logger.exception("%s %s", request.method, request.path)
            return problem(RequestError(500, "an error of the server's own; its log says more"))

    def _read_head(self, head: bytes) -> Request:
        request = Request(head, self.limits)
        views = self._find_views(request.path)
        if views or self._alone:
            request.check()
            try:
                request.extra = self._gate.cors(request)  # of a refusal too
                self._gate.check(request)
                request.view = self._choose(request, views)
            except RequestError as error:
                if request.length:
                    error.headers = {**error.headers, **request.extra}
                    raise
                answer = problem(error)
                request.view = lambda request: answer
        return request

    def _choose(self, request: Request, views: dict[str, View]) -> View | None:
        view = views.get("GET" if request.method == "HEAD" else request.method)
        allow = {"Allow": ", ".join(sorted(views))}
        if views and request.method == "OPTIONS":
            return lambda request: Response(204, headers=allow)
        if views and view is None:
            raise RequestError(405, f"{request.path} takes {allow['Allow']} only", **allow)
        cookie = self._gate.cookie(request) if request.path == self._page else None
        if cookie:  # without the token in its address, which people copy
            return lambda request: Response(303, headers={"Location": request.path,
                                                          "Set-Cookie": cookie})
        return view

    def _find_views(self, path: str) -> dict[str, View]:
        """Return what answers at a path, by method."""
        if path == self._page:
            return {"GET": page.show}
        path = _key(unquote(path)).rstrip("/")
        job = re.fullmatch("/v1/jobs/([^/]+)(/events|/cancel|)", path)
        if job and path not in self._views:
            of_job: dict[str, dict[str, Callable[..., Answer]]] = {
                "": {"GET": self._show, "DELETE": self._forget},
                "/events": {"GET": self._stream}, "/cancel": {"POST": self._cancel}}
            return {method: partial(view, job[1]) for method, view in of_job[job[2]].items()}
        whole = path
        while path and not (path in self._views and (path in self._open or path == whole)):
            path = path.rpartition("/")[0]  # what follows a module's is for its function
        return self._views.get(path, {})

    def _describe(self, request: Request) -> Response:
        return json_response({"operations": [
            {"module": operation.module, "name": operation.name,
             "description": operation.description,
             "start": quote(f"/v1/{operation.module}/{operation.name}"),
             "parameters": operation.signature.schema(),
             **({"page": page} if page else {})} for operation in self._operations
            for page in [operation.owner and explorer.page_of(operation.owner)[0]]]})

    def _openapi(self, request: Request) -> Response:
        """Describe it all in OpenAPI 3.1: what is the same everywhere is in a file."""
        from ..version import __version__

        document = loads((pkgutil.get_data(__package__, "openapi.json") or b"").decode())
        document["info"]["version"] = __version__
        templates = document.pop("x-templates")
        paths = document["paths"]
        for operation in self._operations:
            start = {**templates["start"], "summary": operation.description or operation.name,
                     "operationId": f"start_{operation.module}_{operation.name}"}
            schema = operation.signature.schema()
            start["requestBody"] = {"required": bool(schema["required"]), "content": {
                kind: {"schema": schema} for kind in _KINDS}}
            root = quote(f"/v1/{operation.module}")
            paths[f"{root}/{quote(operation.name)}"] = {"post": start}
            for command in "get_command_status", "cancel_command":
                paths[f"{root}/{command}"] = templates[command]
        return json_response(document)

    def _list(self, request: Request) -> Response:
        """Answer the jobs, newest first, without their results: all together may be large."""
        jobs = [{**vars(status), "parameters": operation.parameters(status.id)}
                for operation in self._operations for status in operation.jobs()]
        for job in jobs:
            del job["result"]
        return json_response({"jobs": sorted(jobs, key=lambda job: str(job["created_at"]),
                                             reverse=True)})

    def _show(self, id: str, request: Request) -> Answer:
        """Answer the status, once its version is above ``since`` or ``wait`` seconds are over."""
        _, job, status = find(self._operations, id)
        if not request.query:
            return self._status(status)
        since, seconds = _numbers(request.query, since=-1, wait=30)
        if job is None:
            return self._status(status)
        return hold(job, seconds, lambda status: status.version > since or status.state.is_terminal,
                    self._status)

    def _stream(self, id: str, request: Request) -> Answer:
        """Answer with an event for each status from now on, or after the one that was seen."""
        _, job, status = find(self._operations, id)
        seen = request.headers.get("last-event-id", "")
        last = int(seen) if re.fullmatch("[0-9]{1,16}", seen) else -1
        if request.method == "HEAD":
            return Response(200, None, "text/event-stream")
        if job is not None:
            return stream(job, last, self._event)
        if last == status.version:  # all was seen: a page that got this does not ask again
            return Response(204)
        return Response(200, self._event(status), "text/event-stream")

    def _event(self, status: Status) -> bytes:
        data = self._status(status).body or b""
        return b"event: status\nid: %d\ndata: %b\n\n" % (status.version, data)

    def _status(self, status: Status) -> Response:
        """Answer a status. Of one that was shown before only the times are written anew."""
        version, before, after = self._shown.get(status.id, (-1, b"", b""))
        if version != status.version:
            text = dumps(vars(status.replace(elapsed=None, eta=None))).encode()
            before, _, after = text.rpartition(b'"elapsed":null,"eta":null')
            if len(self._shown) > 100:
                self._shown.clear()
            if len(text) < 10_000:  # so that they hold 1 MB at most
                self._shown[status.id] = status.version, before, after
        times = f'"elapsed":{status.elapsed},"eta":{status.eta}'.replace("None", "null")
        headers = {} if status.finished_at else {"Retry-After": "1"}
        return Response(200, b"".join((before, times.encode(), after)), headers=headers)

    def _cancel(self, id: str, request: Request) -> Response:
        return self._status(cancel_job(*find(self._operations, id)))

    def _forget(self, id: str, request: Request) -> Response:
        find(self._operations, id)[0].forget(id)
        return Response(204)


def problem(error: LongOperationError) -> Response:
    """Answer with an error as RFC 9457 says it; its type is described in ``/openapi.json``."""
    fields = {"type": f"/openapi.json#/components/responses/{type(error).__name__}",
              "title": HTTPStatus(error.status).phrase, "status": error.status,
              "detail": str(error)}
    if isinstance(error, BadParameters):
        fields["errors"] = error.errors
    return json_response(fields, error.status, content_type="application/problem+json",
                         headers=error.headers)


def _numbers(query: str, **defaults: float) -> list[float]:
    """Return the numbers that a query has under these names."""
    given = {**{name: str(number) for name, number in defaults.items()}, **dict(parse_qsl(query))}
    wrong = {name: "must be a number" for name in defaults
             if not re.fullmatch(r"-?[0-9]{1,16}(\.[0-9]*)?", given[name])}
    if wrong:
        raise BadParameters(wrong)
    return [float(given[name]) for name in defaults]


def _key(name: str) -> str:
    return name.lower().replace("-", "_")
