"""CodeProject's HTTP routes over operations: an extension of `longop.web`.

They answer as CodeProject.AI Server does: with its keys, and with status 200 where it has
that. A start with a ``Prefer`` header is answered as `longop.web` does.
"""

from __future__ import annotations

import os
import re
import time
from functools import partial
from typing import Any, Callable, Mapping, Sequence
from urllib.parse import quote, unquote

from ..errors import BadParameters, LongOperationError, RequestError
from ..job import Job
from ..operation import LongOperation
from ..web import start
from ..web.held import Answer
from ..web.parameters import parameters
from ..web.request import Request
from ..web.routes import Route, key_of
from ..web.wire import Response, http_date, json_response
from . import explorer
from .module import Begun, Module, StartRequest, is_rejection, modules_of, say_error


def routes(operations: Sequence[LongOperation]) -> list[Route]:
    """Return CodeProject's routes over operations.

    Raises ``ValueError`` if two modules have the same id.
    """
    modules = modules_of(operations)
    # By the form in which paths are compared: a module's two names may be the same path.
    found: dict[str, Route] = {}
    for path, view in explorer.views(modules).items():
        found[key_of(path)] = Route(path, {"GET": view})
    for module in modules:
        for route in _command_routes(module):
            found[route.key] = route
    starts: list[Route] = []
    for module in modules:
        starts += _start_routes(module)
    return [*found.values(), *starts]


def describe(operation: LongOperation) -> dict[str, Any]:
    """Return the page of an operation's module, if it has one."""
    module = operation.owner
    if isinstance(module, Module) and explorer.has_page(module):
        return {"page": explorer.page_path(module)}
    return {}


def document(whole: dict[str, Any], operations: Sequence[LongOperation]) -> None:
    """Add the routes to an OpenAPI document: see `openapi.document`."""
    from . import openapi  # late: few clients ask for it

    openapi.document(whole, operations)


def _command_routes(module: Module) -> list[Route]:
    """Return the routes of the commands about jobs, by each name that the module has."""
    status = partial(_status, module)
    cancel = partial(_cancel, module)
    found = []
    for name in (module.id, *(operation.module for operation in module.operations)):
        found.append(Route(f"/v1/{name}/get_command_status", {"GET": status, "POST": status},
                           is_open=True))
        found.append(Route(f"/v1/{name}/cancel_command", {"POST": cancel}, is_open=True))
    return found


def _start_routes(module: Module) -> list[Route]:
    found = []
    for operation in module.operations:
        keys = [key_of(f"/v1/{path}") for path in module.paths(operation)]
        for path in dict.fromkeys(keys):  # each once
            view = partial(_start, module, operation, path.count("/") + 1)
            found.append(Route(path, {"POST": view}, operation, is_open=True))
    return found


# Views


def _start(module: Module, operation: LongOperation, depth: int, request: Request) -> Answer:
    """Start a job, or answer at once if the module does.

    :param depth: how many parts of the path are the route; the rest is for the module.
    """
    preference = start.preference_of(request)
    key = start.key_of(request)
    id = os.urandom(16).hex()

    def begin() -> Begun:
        return module.begin(operation, StartRequest(
            values=_values_of(request),
            id=id,
            key=key,
            segments=_segments_of(request, depth),
            must_be_job=preference is not None))

    if preference is not None:
        job = begin()
        assert isinstance(job, Job)  # as the request says it must be
        return start.answer(job, preference)
    return _reply(module, module.command_of(operation), id,
                  lambda: module.say_begun(begin(), is_new=not key), is_start=True)


def _status(module: Module, request: Request) -> Response:
    """Answer with the status of a job, by its ``commandId``."""
    return _reply(module, "get_command_status", os.urandom(16).hex(),
                  lambda: module.status(_command_id_of(request)))


def _cancel(module: Module, request: Request) -> Response:
    """Cancel a job, by its ``commandId``."""
    return _reply(module, "cancel_command", os.urandom(16).hex(),
                  lambda: module.cancel(_command_id_of(request)))


def _reply(module: Module, command: str, id: str, ask: Callable[[], Mapping[str, Any]],
           is_start: bool = False) -> Response:
    """Answer with what a module says to the request ``id``, and what CodeProject adds to it.

    :param ask: asks the module; it may raise `LongOperationError`.
    """
    began = time.perf_counter()
    code = 200
    headers: Mapping[str, str] = {}
    answer: dict[str, Any]
    try:
        answer = dict(ask())
        if is_start:
            headers = _location(answer)
    except LongOperationError as error:
        answer = say_error(error)
        if isinstance(error, BadParameters):
            answer["errors"] = error.errors
        if not is_rejection(error):  # CodeProject answers that with 200
            code = error.status
            headers = error.headers
    whole = module.wrap(answer, command, id)
    whole["analysisRoundTripMs"] = int((time.perf_counter() - began) * 1000)
    whole["processedBy"] = "localhost"
    whole["timestampUTC"] = http_date(time.time())
    if code != 200:
        whole["code"] = code
    return json_response(whole, code, headers=headers)


def _location(answer: Mapping[str, Any]) -> dict[str, str]:
    """Return the ``Location`` of the job that an answer names; it may be an adapter's."""
    if answer["success"] is not True or "commandId" not in answer:
        return {}
    return {"Location": f"/v1/jobs/{quote(str(answer['commandId']))}"}


# Requests


def _values_of(request: Request) -> dict[str, list[Any]]:
    """Return the values of a request. JSON may be a payload of CodeProject's."""
    values = parameters(request)
    if not _is_payload(values):
        return values
    from .request import unfold  # late: only CodeProject's own clients send this

    try:
        return unfold({name: given[0] for name, given in values.items()})
    except (KeyError, TypeError, ValueError) as error:
        raise RequestError(400, "the values or the files are not as CodeProject.AI Server has "
                                f"them: {error!r}") from error


def _is_payload(values: Mapping[str, list[Any]]) -> bool:
    """Return whether values are a payload of CodeProject's.

    That is ``{"values": [{"key": ..., "value": [...]}, ...], "files": [...]}``. A function may
    have a list called ``values`` among its own parameters.
    """
    for given in values.get("values", ()):
        if not isinstance(given, list) or not (given or "files" in values):
            continue
        if all(isinstance(entry, dict) and isinstance(entry.get("value"), list)
               for entry in given):
            return True
    return False


def _segments_of(request: Request, depth: int) -> list[str]:
    """Return what follows the route in the path. As in CodeProject, %2F is not decoded."""
    rest = request.path.split("/")[depth:]
    if rest in ([], [""]):
        return []
    return [unquote(re.sub("%2F", "%252F", part, flags=re.IGNORECASE)).strip() for part in rest]


def _command_id_of(request: Request) -> str:
    return str(_values_of(request).get("commandId", [""])[0])
