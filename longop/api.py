"""A request in, a response out: routes, answers and errors. Knows nothing of sockets.

The routes under a module's name, and what they answer, are CodeProject.AI Server's, so that its
clients work; they answer 200 where it does. What it says that is not so, such as ``cancelled`` of
code that runs, is said as it is. Everything under ``/v1/jobs`` is our own.
"""

from __future__ import annotations

import os
import pkgutil
import time
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any, Callable, Iterable
from urllib.parse import quote, unquote

from .errors import (BadParameters, Busy, ForgottenJob, LongOperationError, RequestError,
                     UnknownJob)
from .job import logger
from .jsontext import dumps
from .operation import LongOperation
from .status import State, Status
from .wire import Request, Response, http_date, json_response, parameters

View = Callable[[Request], Response]

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
    State.INTERRUPTED: "The command was interrupted: its server ended",
}


class Api:
    """The HTTP face of some operations; ``page`` is the path of the page, or None for none.

    Raises ``ValueError`` if two of them have the same route.
    """

    def __init__(self, operations: Iterable[LongOperation], page: str | None = "/") -> None:
        self._page = page
        self._operations = list(operations)
        self._modules: dict[str, dict[str, LongOperation]] = {}
        for operation in self._operations:
            module = self._modules.setdefault(_key(operation.module), {})
            name = _key(operation.name)
            if name in (*module, "get_command_status", "cancel_command"):
                raise ValueError(f"{operation!r}: its route is taken; give it another name=...")
            module[name] = operation
        self._shown: dict[str, tuple[int, bytes, bytes]] = {}
        self._views_of = lru_cache(maxsize=256)(self._find_views)  # who polls, polls one path

    def find(self, request: Request) -> View | None:
        """Return what answers a request once its body is there, or None if its path is not ours.

        Raises `RequestError` if the path is ours but not the method.
        """
        views = self._views_of(request.path)
        view = views.get("GET" if request.method == "HEAD" else request.method)
        if views and view is None:
            allowed = ", ".join(sorted(views))
            raise RequestError(405, f"{request.path} takes {allowed} only", Allow=allowed)
        return view

    def answer(self, request: Request, view: View | None) -> Response:
        """Answer a request with what `find` found for it; raise nothing."""
        try:
            if view is None:
                raise RequestError(404, f"there is nothing at {request.path}")
            return view(request)
        except LongOperationError as error:
            return problem(error)
        except Exception:
            logger.exception("%s %s", request.method, request.path)
            return problem(RequestError(500, "an error of the server's own; its log says more"))

    def _find_views(self, path: str) -> dict[str, View]:
        """Return what answers at a path, by method."""
        if path == self._page:
            return {"GET": _show_page}
        root, *parts = _key(unquote(path)).rstrip("/").split("/")
        if root or parts[:1] != ["v1"]:
            return {}
        module = self._modules.get(parts[1], {}) if parts[2:] else {}
        if module and parts[2] == "get_command_status":
            return dict.fromkeys(("GET", "POST"), partial(_command_status, [*module.values()]))
        if module and parts[2] == "cancel_command":
            return {"POST": partial(_cancel_command, [*module.values()])}
        if module and parts[2] in module:
            return {"POST": partial(_start, module[parts[2]])}
        if parts[1:2] == ["jobs"] and len(parts) == 3:
            return {"GET": partial(self._show, parts[2]), "DELETE": partial(self._forget, parts[2])}
        if parts[1:2] == ["jobs"] and parts[3:] == ["cancel"]:
            return {"POST": partial(self._cancel, parts[2])}
        own = {"v1": self._describe, "v1/jobs": self._list, "v1/status/ping": _ping}
        view = own.get("/".join(parts))
        return {"GET": view} if view else {}

    def _describe(self, request: Request) -> Response:
        return json_response({"operations": [
            {"module": operation.module, "name": operation.name,
             "description": operation.description,
             "start": quote(f"/v1/{operation.module}/{operation.name}"),
             "parameters": operation.signature.schema()} for operation in self._operations]})

    def _list(self, request: Request) -> Response:
        """Answer the jobs, newest first, without their results: all together may be large."""
        jobs = [dict(vars(status)) for operation in self._operations for status in operation.jobs()]
        for job in jobs:
            del job["result"]
        return json_response({"jobs": sorted(jobs, key=lambda job: str(job["created_at"]),
                                             reverse=True)})

    def _show(self, id: str, request: Request) -> Response:
        """Answer the status. Of one that was shown before only the times are written anew."""
        status = _find(self._operations, id)[1]
        version, before, after = self._shown.get(id, (-1, b"", b""))
        if version != status.version:
            text = dumps(vars(status.but(elapsed=None, eta=None))).encode()
            before, _, after = text.rpartition(b'"elapsed":null,"eta":null')
            if len(self._shown) > 100:
                self._shown.clear()
            if len(text) < 10_000:  # so that they hold 1 MB at most
                self._shown[id] = status.version, before, after
        times = f'"elapsed":{status.elapsed},"eta":{status.eta}'.replace("None", "null")
        return Response(200, b"".join((before, times.encode(), after)))

    def _cancel(self, id: str, request: Request) -> Response:
        _cancel(*_find(self._operations, id))
        return self._show(id, request)

    def _forget(self, id: str, request: Request) -> Response:
        _find(self._operations, id)[0].forget(id)
        return Response(204)


def problem(error: LongOperationError) -> Response:
    """Answer with an error as RFC 9457 says it."""
    fields = {"type": "about:blank", "title": HTTPStatus(error.status).phrase,
              "status": error.status, "detail": str(error)}
    return json_response(fields, error.status, content_type="application/problem+json",
                         headers=error.headers)


def _key(name: str) -> str:
    return name.lower().replace("-", "_")


def _find(operations: Iterable[LongOperation], id: str) -> tuple[LongOperation, Status]:
    live = [operation for operation in operations if id in operation.live]
    for operation in live or operations:
        try:
            return operation, operation.status(id)
        except UnknownJob:
            pass
    raise UnknownJob(f"there is no job {id}")


def _cancel(operation: LongOperation, status: Status) -> Status:
    job = operation.live.get(status.id)
    if job is not None:
        job.cancel()
    return operation.status(status.id)


def _ping(request: Request) -> Response:
    from . import __version__

    return json_response({"success": True, "message": f"longop {__version__}", "code": 200})


def _show_page(request: Request) -> Response:
    page = pkgutil.get_data(__package__, "page.html") or b""  # from a zip too
    return Response(200, page, "text/html; charset=utf-8")


# CodeProject.AI Server's routes


def _start(operation: LongOperation, request: Request) -> Response:
    reply = partial(_reply, request, operation, operation.name)
    plain = "respond-async" in request.headers.get("prefer", "").lower()  # RFC 7240
    key = request.headers.get("idempotency-key")
    try:
        values = operation.signature.parse(parameters(request))
        job = operation.start_once(key, **values) if key else operation.start(**values)
    except LongOperationError as error:
        if plain:
            raise
        if isinstance(error, Busy) and error.status == 409:  # which that server knows
            return reply(False, commandId=error.job_id, error=str(error))
        more = {"errors": error.errors} if isinstance(error, BadParameters) else {}
        return reply(False, error.status, error.headers, error=str(error), **more)
    status, headers = job.status(), {"Location": f"/v1/jobs/{job.id}"}
    if plain:
        return json_response(vars(status), 202, headers=headers)
    began = status.state is State.RUNNING
    return reply(True, message=_STARTED if began else _MESSAGES[status.state], commandId=job.id,
                 commandStatus=status.state.value, headers=headers)


def _command_status(operations: list[LongOperation], request: Request) -> Response:
    reply = partial(_reply, request, operations[0], "get_command_status")
    try:
        _, status = _find_command(operations, request)
    except LongOperationError as error:
        known = "not started" if str(error) == _NOTHING_RUNS else "unknown"
        return reply(False, _code(error), commandStatus=known, error=str(error))
    reply = partial(reply, message=_MESSAGES[status.state], commandId=status.id,
                    commandStatus=status.state.value)
    if not status.state.is_terminal:
        return reply(True, result="" if status.result is None else status.result)
    milliseconds = int((status.elapsed or 0) * 1000)
    text = status.error and (status.error.partition(": ")[2] or status.error)
    if status.state is State.CANCELLED:
        text = _MESSAGES[State.CANCELLED]
    return reply(status.state is State.COMPLETED, error=text, result=status.result,
                 stop_reason=status.stop_reason, processMs=milliseconds, inferenceMs=milliseconds)


def _cancel_command(operations: list[LongOperation], request: Request) -> Response:
    reply = partial(_reply, request, operations[0], "cancel_command")
    try:
        status = _cancel(*_find_command(operations, request))
    except LongOperationError as error:
        return reply(False, _code(error), error=str(error))
    state = status.state
    if state in (State.CANCELLING, State.CANCELLED):
        return reply(True, message=_MESSAGES[state], commandId=status.id, commandStatus=state.value)
    return reply(False, commandId=status.id, commandStatus=state.value,
                 error=f"The command has already {state.value}")


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


def _code(error: LongOperationError) -> int:
    """Return the status that an error has on that server's routes: 200 for what it knows."""
    return 200 if isinstance(error, UnknownJob) else error.status


def _reply(request: Request, operation: LongOperation, command: str, success: bool,
           status: int = 200, headers: Any = None, **fields: Any) -> Response:
    """Answer with the fields, and round them what that server says with every answer."""
    started = fields.get("commandId") if command == operation.name and success else None
    return json_response({
        "success": success, **fields, "moduleId": operation.module,
        "moduleName": operation.module,
        "code": 200 if success else 500 if status == 200 else status, "command": command,
        "requestId": started or os.urandom(16).hex(), "inferenceDevice": "CPU",
        "analysisRoundTripMs": int((time.perf_counter() - request.arrived) * 1000),
        "processedBy": "localhost", "timestampUTC": http_date(int(time.time()))},
        status, headers=headers or {})
