"""A request in, a response out: routes, answers and errors. Knows nothing of sockets.

The routes under a module's name, and what they answer, are CodeProject.AI Server's, so that its
clients work; they answer 200 where it does. What it says that is not so, such as ``cancelled`` of
code that runs, is said as it is. Everything under ``/v1/jobs`` is our own.
"""

from __future__ import annotations

import logging
import os
import pkgutil
import re
import time
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any, Callable, Iterable, Mapping
from urllib.parse import quote, unquote

from .errors import (BadParameters, Busy, ForgottenJob, LongOperationError, RequestError,
                     UnknownJob)
from .jsontext import dumps
from .operation import LongOperation
from .status import State, Status
from .wire import Request, Response, http_date, parameters

logger = logging.getLogger("longop")
View = Callable[..., Response]

# That server's words. Its page reads on until a status is `completed`, `failed` or not a success.
_STARTED = "Command is running in the background"
_NOTHING_RUNS = "No long running command is currently in progress"
_OTHER_ID = "The command ID provided does not match the current long running command"
_MESSAGES = {
    State.QUEUED: "The command is waiting for its turn",
    State.RUNNING: "The long running command is still in progress",
    State.CANCELLING: "The command is being cancelled",
    State.COMPLETED: "Command has completed",
    State.FAILED: "The command has failed",
    State.CANCELLED: "The command has been cancelled",
}


class Api:
    """The HTTP face of some operations; ``page`` is the path of the page, or None for none.

    Raises ``ValueError`` if two of them have the same route.
    """

    def __init__(self, operations: Iterable[LongOperation], page: str | None = "/") -> None:
        self._page = page
        self._operations = list(operations)
        job = "/v1/jobs/([0-9a-f]{32})"
        routes: dict[tuple[str, str], View] = {
            ("GET", job): self._show, ("DELETE", job): self._forget,
            ("POST", job + "/cancel"): self._cancel, ("GET", "/v1/jobs"): self._list,
            ("GET", "/v1"): self._describe, ("GET", "/v1/status/ping"): _ping}
        modules: dict[str, list[LongOperation]] = {}
        for operation in self._operations:
            module = modules.setdefault(_key(operation.module), [])
            module.append(operation)
            path = "/v1/" + re.escape(_key(operation.module))
            for method in ("GET", "POST"):
                routes[method, path + "/get_command_status(?:/.*)?"] = partial(
                    _command_status, module)
            routes["POST", path + "/cancel_command(?:/.*)?"] = partial(_cancel_command, module)
            path += f"/{re.escape(_key(operation.name))}(?:/.*)?"
            if ("POST", path) in routes:
                raise ValueError(f"{operation!r}: its route is taken; give it another name=...")
            routes["POST", path] = partial(_start, operation)
        self._routes = [(method, re.compile(path), view)
                        for (method, path), view in routes.items()]
        self._shown: dict[str, tuple[int, bytes, bytes]] = {}
        self._views = lru_cache(maxsize=256)(self._find_views)  # for polls, of the same path

    def find(self, request: Request) -> Callable[[], Response] | None:
        """Return what answers a request once its body is there, or None if its path is not ours.

        Raises `RequestError` if the path is ours but not the method.
        """
        method = "GET" if request.method == "HEAD" else request.method
        if request.path == self._page and method == "GET":
            return _show_page
        views = self._views(request.path)
        if views and method not in views:
            allowed = ", ".join(sorted(views))
            raise RequestError(405, f"{request.path} takes {allowed} only", Allow=allowed)
        return partial(views[method], request) if views else None

    def _find_views(self, path: str) -> Mapping[str, View]:
        path = _key(unquote(path)).rstrip("/")
        views: dict[str, View] = {}
        for method, pattern, view in self._routes:
            match = pattern.fullmatch(path)
            if match:
                views.setdefault(method, partial(view, *match.groups()))
        return views

    def answer(self, request: Request, view: Callable[[], Response] | None) -> Response:
        """Answer a request with what `find` found for it; raise nothing."""
        try:
            if view is None:
                raise RequestError(404, f"there is nothing at {request.path}")
            return view()
        except LongOperationError as error:
            return problem(error)
        except Exception:
            logger.exception("%s %s", request.method, request.path)
            return problem(RequestError(500, "an error of the server's own; its log says more"))

    def _describe(self, request: Request) -> Response:
        return Response.json({"operations": [
            {"module": operation.module, "name": operation.name,
             "description": operation.description,
             "start": quote(f"/v1/{operation.module}/{operation.name}"),
             "parameters": operation.signature.schema()}
            for operation in self._operations]})

    def _list(self, request: Request) -> Response:
        """Answer the jobs, newest first, without their results: all together may be large."""
        jobs = [status for operation in self._operations for status in operation.jobs()]
        jobs.sort(key=lambda status: status.created_at, reverse=True)
        return Response.json({"jobs": [
            {name: value for name, value in vars(status).items() if name != "result"}
            for status in jobs]})

    # What a route's group stands for comes first, then the request.

    def _show(self, id: str, request: Request) -> Response:
        """Answer the status. Of one that was shown before only the times are written anew."""
        status = _find(self._operations, id)[1]
        version, before, after = self._shown.get(id, (-1, b"", b""))
        if version != status.version:
            text = dumps(vars(status.but(elapsed=None, eta=None))).encode()
            before, _, after = text.rpartition(b'"elapsed":null,"eta":null')
            if len(self._shown) > 100:
                self._shown.clear()
            self._shown[id] = status.version, before, after
        times = f'"elapsed":{status.elapsed},"eta":{status.eta}'.replace("None", "null")
        return Response(200, b"".join((before, times.encode(), after)))

    def _cancel(self, id: str, request: Request) -> Response:
        _cancel(_find(self._operations, id)[0], id)
        return self._show(id, request)

    def _forget(self, id: str, request: Request) -> Response:
        _find(self._operations, id)[0].forget(id)
        return Response(204)


def problem(error: LongOperationError) -> Response:
    """Answer with an error as RFC 9457 says it."""
    fields = {"type": "about:blank", "title": HTTPStatus(error.status).phrase,
              "status": error.status, "detail": str(error)}
    return Response.json(fields, error.status, "application/problem+json", error.headers)


def _key(name: str) -> str:
    return name.lower().replace("-", "_")


def _find(operations: Iterable[LongOperation], id: str) -> tuple[LongOperation, Status]:
    for operation in operations:
        try:
            return operation, operation.status(id)
        except UnknownJob:
            pass
    raise UnknownJob(f"there is no job {id}")


def _cancel(operation: LongOperation, id: str) -> Status:
    job = operation.job(id)
    if job is not None:
        job.cancel()
    return operation.status(id)


def _ping(request: Request) -> Response:
    from . import __version__

    return Response.json({"success": True, "message": f"longop {__version__}", "code": 200})


def _show_page() -> Response:
    page = pkgutil.get_data(__package__, "page.html") or b""  # from a zip too
    return Response(200, page, "text/html; charset=utf-8")


# CodeProject.AI Server's routes


def _start(operation: LongOperation, request: Request) -> Response:
    reply = partial(_reply, request, operation, operation.name)
    try:
        job = operation.start(**operation.signature.parse(parameters(request)))
    except LongOperationError as error:
        if isinstance(error, Busy) and error.status == 409:  # which that server knows
            return reply({"commandId": error.job_id, "error": str(error)})
        fields: dict[str, Any] = {"error": str(error)}
        if isinstance(error, BadParameters):
            fields["errors"] = error.errors
        return reply(fields, status=error.status, headers=error.headers)
    queued = job.state is State.QUEUED
    return reply({"message": _MESSAGES[State.QUEUED] if queued else _STARTED,
                  "commandId": job.id, "commandStatus": "queued" if queued else "running"},
                 success=True, headers={"Location": f"/v1/jobs/{job.id}"}, request_id=job.id)


def _command_status(operations: list[LongOperation], request: Request) -> Response:
    reply = partial(_reply, request, operations[0], "get_command_status")
    try:
        _, status = _find_command(operations, request)
    except UnknownJob as error:
        known = "not started" if str(error) == _NOTHING_RUNS else "unknown"
        return reply({"commandStatus": known, "error": str(error)})
    fields: dict[str, Any] = {"message": _MESSAGES[status.state], "commandId": status.id,
                              "commandStatus": status.state.value}
    if not status.state.is_terminal:
        fields["result"] = "" if status.result is None else status.result
        return reply(fields, success=True)
    milliseconds = int((status.elapsed or 0) * 1000)
    fields.update(error=_error(status), result=status.result, stop_reason=status.stop_reason,
                  processMs=milliseconds, inferenceMs=milliseconds)
    return reply(fields, success=status.state is State.COMPLETED)


def _cancel_command(operations: list[LongOperation], request: Request) -> Response:
    reply = partial(_reply, request, operations[0], "cancel_command")
    try:
        operation, status = _find_command(operations, request)
    except UnknownJob as error:
        return reply({"error": str(error)})
    status = _cancel(operation, status.id)
    fields = {"commandId": status.id, "commandStatus": status.state.value}
    if status.state in (State.CANCELLING, State.CANCELLED):
        return reply({"message": _MESSAGES[status.state], **fields}, success=True)
    return reply({**fields, "error": f"The command has already {status.state.value}"})


def _find_command(operations: list[LongOperation],
                  request: Request) -> tuple[LongOperation, Status]:
    """Find the job of a request's commandId; raise `UnknownJob` in that server's words."""
    given = parameters(request).get("commandId", [""])[0]
    if not given:
        raise UnknownJob("No command ID provided")
    try:
        return _find(operations, str(given))
    except (UnknownJob, ForgottenJob):
        known = any(operation.jobs() for operation in operations)
        raise UnknownJob(_OTHER_ID if known else _NOTHING_RUNS) from None


def _error(status: Status) -> str | None:
    if status.state is State.CANCELLED:
        return _MESSAGES[State.CANCELLED]
    return status.error and (status.error.partition(": ")[2] or status.error)


def _reply(request: Request, operation: LongOperation, command: str, fields: Mapping[str, Any], *,
           success: bool = False, status: int = 200, headers: Mapping[str, str] | None = None,
           request_id: str | None = None) -> Response:
    """Answer with the fields, and round them what that server says with every answer."""
    body = {"success": success, **fields}
    body.update(
        moduleId=operation.module, moduleName=operation.module,
        code=200 if success else 500 if status == 200 else status, command=command,
        requestId=request_id or os.urandom(16).hex(), inferenceDevice="CPU",
        analysisRoundTripMs=int((time.perf_counter() - request.arrived) * 1000),
        processedBy="localhost", timestampUTC=http_date(int(time.time())))
    return Response.json(body, status, headers=headers or {})
