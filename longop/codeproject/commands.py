"""The commands of a module of CodeProject.AI Server, which every operation is part of here.

They and what they answer are that server's, so that its clients work; they answer 200 where it
does. What it says that is not so, such as ``cancelled`` of code that runs, is said as it is.
"""

from __future__ import annotations

import base64
import os
import re
import time
from typing import Any, Callable, Iterable, Mapping, Sequence
from urllib.parse import quote, unquote

from ..errors import BadParameters, Busy, ForgottenJob, LongOperationError, RequestError, UnknownJob
from ..job import Job
from ..operation import LongOperation, Owner
from ..status import State, Status
from ..web import start as start_
from ..web.jobs import Found, cancel as cancel_job, find
from ..web.held import Answer
from ..web.parameters import Upload, parameters
from ..web.wire import Request, Response, http_date, json_response

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


class Module(Owner):
    """Some operations under one name; an answer is a mapping, `wrap` makes it whole."""

    def __init__(self, id: str, name: str = "") -> None:
        super().__init__()
        self.id, self.name, self.version = id, name or id, ""
        self.operations: list[LongOperation] = []

    @property
    def device(self) -> str:
        """What the module computes on."""
        return "CPU"

    def own(self, operations: Iterable[LongOperation]) -> list[LongOperation]:
        """Return the operations, which are this module's from now on."""
        found = [*operations]
        for operation in found:
            operation.owner = self
        return found

    def routes(self, operation: LongOperation) -> list[str]:
        """Return the paths below ``/v1`` at which an operation is started."""
        return [f"{operation.module}/{operation.name}"]

    def start(self, operation: LongOperation, values: Mapping[str, list[Any]],
              id: str | None = None, key: str | None = None,
              segments: Sequence[str] = ()) -> dict[str, Any]:
        """Start a job, perhaps with this ``id`` or once for a ``key``.

        Raises `BadParameters` and what else a start may raise, but for the `Busy` that is known.
        """
        typed = operation.signature.parse(values)
        try:
            job = operation.start_once(key, **typed) if key else operation.submit(typed, id)
        except Busy as error:
            if error.status != 409:
                raise
            return {"success": False, "commandId": error.job_id, "error": str(error)}
        return self.started(job, is_new=not key)

    def started(self, job: Job, is_new: bool = True) -> dict[str, Any]:
        """Answer that a job was started: that it has ended since is for its status to say."""
        state = State.RUNNING if is_new and job.state is not State.QUEUED else job.state
        return {"success": True,
                "message": _STARTED if state is State.RUNNING else _MESSAGES[state],
                "commandId": job.id, "commandStatus": state.value}

    def status(self, id: str) -> dict[str, Any]:
        """Answer the status of a job."""
        try:
            *_, status = self._find(id)
        except UnknownJob as error:
            word = "not started" if str(error) == _NOTHING_RUNS else "unknown"
            return {"success": False, "commandStatus": word, "error": str(error)}
        state = status.state
        known = {"message": _MESSAGES[state], "commandId": id, "commandStatus": state.value}
        if not state.is_terminal:
            return {"success": True, **known, **self.progress(status)}
        text = status.error and (status.error.partition(": ")[2] or status.error)
        if state is State.CANCELLED:
            text = _MESSAGES[state]
        answer = {"success": state is State.COMPLETED, **known, "error": text,
                  **self.outcome(status)}
        return answer if state is State.COMPLETED else {**answer, "success": False}

    def cancel(self, id: str) -> dict[str, Any]:
        """Cancel a job."""
        try:
            status = cancel_job(self._find(id))
        except UnknownJob as error:
            return {"success": False, "error": str(error)}
        state = status.state
        known = {"commandId": id, "commandStatus": state.value}
        if state in (State.CANCELLING, State.CANCELLED):
            return {"success": True, "message": _MESSAGES[state], **known}
        return {"success": False, **known, "error": f"The command has already {state.value}"}

    def progress(self, status: Status) -> dict[str, Any]:
        """Return what is said of a job that is alive."""
        return {"result": "" if status.result is None else status.result}

    def outcome(self, status: Status) -> dict[str, Any]:
        """Return what is said of a job that has ended."""
        milliseconds = int((status.elapsed or 0) * 1000)
        return {"result": status.result, "stop_reason": status.stop_reason,
                "processMs": milliseconds, "inferenceMs": milliseconds}

    def wrap(self, answer: Mapping[str, Any], command: str, request_id: str) -> dict[str, Any]:
        """Return an answer with what a module says with each."""
        return {**answer, "moduleId": self.id, "moduleName": self.name,
                "code": 200 if answer.get("success") == 1 else 500, "command": command,
                "requestId": request_id, "inferenceDevice": self.device}

    def _find(self, id: str) -> Found:
        """Find the job of a commandId; raise `UnknownJob` in that server's words."""
        if not id:
            raise UnknownJob("No command ID provided")
        try:
            return find(self.operations, id)
        except (UnknownJob, ForgottenJob):
            known = any(operation.jobs() for operation in self.operations)
            raise UnknownJob(_OTHER_ID if known else _NOTHING_RUNS) from None


def unable(request_id: str) -> dict[str, Any]:
    """Answer that something has raised, in that server's words."""
    return {"success": False, "error": f"unable to process the request (#reqid {request_id})"}


def modules_of(operations: Iterable[LongOperation]) -> list[Module]:
    """Return the modules that operations are part of, each with those of them that are its own.

    Raises ``ValueError`` if two have the same id.
    """
    found: dict[str, Module] = {}
    for operation in operations:
        usual = found.get(operation.module)
        module = operation.owner or (usual if type(usual) is Module else Module(operation.module))
        if module.id not in found:
            found[module.id], module.operations = module, []
        elif found[module.id] is not module:
            raise ValueError(f"there are two modules called {module.id}: serve one at a time")
        module.operations.append(operation)
    return [*found.values()]


def close_modules(operations: Iterable[LongOperation]) -> None:
    """Have the modules clean up that operations are part of."""
    for module in {operation.owner for operation in operations} - {None}:
        module.close()


# Over HTTP


def start(module: Module, operation: LongOperation, depth: int, request: Request) -> Answer:
    """Start a job; what follows the ``depth`` parts of the route is for the function."""
    preference = start_.preference_of(request)
    key = start_.key_of(request)
    if preference:
        return start_.answer(start_.begin(operation, _values(request), key), preference)

    def begin(id: str) -> dict[str, Any]:
        rest = "/".join(request.path.split("/")[depth:])
        segments = [unquote(re.sub("%2f", "%252F", part, flags=re.I)).strip()
                    for part in (rest.split("/") if rest else ())]
        return module.start(operation, _values(request), id, key, segments)

    return _reply(module, operation.name, begin, starts=True)


def status(module: Module, request: Request) -> Response:
    """Answer the status of a job, by its ``commandId``."""
    return _reply(module, "get_command_status", lambda _: module.status(_command_id(request)))


def cancel(module: Module, request: Request) -> Response:
    """Cancel a job, by its ``commandId``."""
    return _reply(module, "cancel_command", lambda _: module.cancel(_command_id(request)))


def unfold(payload: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the parameters in a request as that server writes it: a list of keys and values."""
    found: dict[str, list[Any]] = {}
    for one in payload.get("values") or ():
        found.setdefault(one["key"], []).extend(one["value"])
    for one in payload.get("files") or ():
        upload = Upload(base64.b64decode(one["data"]))
        upload.filename, upload.content_type = (
            str(one.get(key) or "") for key in ("filename", "contentType"))
        found.setdefault(one["name"], []).append(upload)
    return found


def _values(request: Request) -> dict[str, list[Any]]:
    values = parameters(request)
    for listed in values.get("values", ()):
        if isinstance(listed, list) and (listed or "files" in values) and all(
                isinstance(one, dict) and isinstance(one.get("value"), list) for one in listed):
            try:
                return unfold({name: given[0] for name, given in values.items()})
            except (KeyError, TypeError, ValueError) as error:
                raise RequestError(400, f"the values or the files are not as that server has "
                                        f"them: {error!r}") from error
    return values


def _command_id(request: Request) -> str:
    return str(_values(request).get("commandId", [""])[0])


def _reply(module: Module, command: str, ask: Callable[[str], Mapping[str, Any]],
           starts: bool = False) -> Response:
    """Answer with what the module says to a request of a new id, and what that server adds."""
    began, id = time.perf_counter(), os.urandom(16).hex()
    headers: Mapping[str, str] = {}
    try:
        answer, code = ask(id), 200
        if starts and answer["success"] is True and "commandId" in answer:
            headers = {"Location": f"/v1/jobs/{quote(str(answer['commandId']))}"}
    except LongOperationError as error:
        more = {"errors": error.errors} if isinstance(error, BadParameters) else {}
        answer, code = {"success": False, "error": str(error), **more}, error.status
        headers = error.headers
    whole = module.wrap(answer, command, id)
    whole.update(analysisRoundTripMs=int((time.perf_counter() - began) * 1000),
                 processedBy="localhost", timestampUTC=http_date(time.time()),
                 code=whole["code"] if code == 200 else code)
    return json_response(whole, code, headers=headers)
