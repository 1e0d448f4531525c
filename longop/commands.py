"""CodeProject.AI Server's routes: a start, ``get_command_status`` and ``cancel_command``.

They and what they answer are that server's, so that its clients work; they answer 200 where it
does. What it says that is not so, such as ``cancelled`` of code that runs, is said as it is.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from typing import Any, Iterable, Optional, Tuple

from .errors import BadParameters, Busy, ForgottenJob, LongOperationError, UnknownJob
from .job import Job
from .operation import LongOperation
from .status import State, Status
from .watch import Answer, hold
from .wire import Request, Response, http_date, json_response, parameters

Found = Tuple[LongOperation, Optional[Job], Status]

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


def start(operation: LongOperation, request: Request) -> Answer:
    """Start a job. With ``Prefer: respond-async`` or ``wait=`` (RFC 7240) the answer is plain."""
    reply = _Reply(operation, operation.name)
    prefer = request.headers.get("prefer", "").lower()
    patience = re.search(r"\bwait=([0-9]{1,9})\b", prefer)
    plain = patience or "respond-async" in prefer
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
    headers = {"Location": f"/v1/jobs/{job.id}"}
    if plain:
        headers["Preference-Applied"] = patience.group() if patience else "respond-async"

        def answer(status: Status) -> Response:
            code = 200 if status.state.is_terminal else 202
            return json_response(vars(status), code, headers=headers)

        return hold(job, float(patience.group(1)), lambda status: status.state.is_terminal,
                    answer) if patience else answer(job.status())
    state = job.state
    return reply(True, message=_STARTED if state is State.RUNNING else _MESSAGES[state],
                 commandId=job.id, commandStatus=state.value, headers=headers)


def status(operations: list[LongOperation], request: Request) -> Response:
    """Answer the status of a job, by its ``commandId``."""
    reply = _Reply(operations[0], "get_command_status")
    try:
        *_, status = _find_command(operations, request)
    except LongOperationError as error:
        word = "not started" if str(error) == _NOTHING_RUNS else "unknown"
        return reply(False, _code(error), commandStatus=word, error=str(error))
    known: dict[str, Any] = {"message": _MESSAGES[status.state], "commandId": status.id,
             "commandStatus": status.state.value}
    if not status.state.is_terminal:
        return reply(True, **known, result="" if status.result is None else status.result)
    milliseconds = int((status.elapsed or 0) * 1000)
    text = status.error and (status.error.partition(": ")[2] or status.error)
    if status.state is State.CANCELLED:
        text = _MESSAGES[State.CANCELLED]
    return reply(status.state is State.COMPLETED, **known, error=text, result=status.result,
                 stop_reason=status.stop_reason, processMs=milliseconds, inferenceMs=milliseconds)


def cancel(operations: list[LongOperation], request: Request) -> Response:
    """Cancel a job, by its ``commandId``."""
    reply = _Reply(operations[0], "cancel_command")
    try:
        status = cancel_job(*_find_command(operations, request))
    except LongOperationError as error:
        return reply(False, _code(error), error=str(error))
    state = status.state
    if state in (State.CANCELLING, State.CANCELLED):
        return reply(True, message=_MESSAGES[state], commandId=status.id, commandStatus=state.value)
    return reply(False, commandId=status.id, commandStatus=state.value,
                 error=f"The command has already {state.value}")


def _find_command(operations: list[LongOperation], request: Request) -> Found:
    """Find the job of a request's commandId; raise `UnknownJob` in that server's words."""
    given = parameters(request).get("commandId", [""])[0]
    if not given:
        raise UnknownJob("No command ID provided")
    try:
        return find(operations, str(given))
    except (UnknownJob, ForgottenJob):
        known = any(operation.jobs() for operation in operations)
        raise UnknownJob(_OTHER_ID if known else _NOTHING_RUNS) from None


def _code(error: LongOperationError) -> int:
    """Return the status that an error has on that server's routes: 200 for what it knows."""
    return 200 if isinstance(error, UnknownJob) else error.status


class _Reply:
    """Answers with fields, and round them what that server says with every answer."""

    def __init__(self, operation: LongOperation, command: str) -> None:
        self._began = time.perf_counter()
        self._operation, self._command = operation, command

    def __call__(self, success: bool, status: int = 200, headers: Any = None,
                 **fields: Any) -> Response:
        name, module = self._operation.name, self._operation.module
        started = fields.get("commandId") if self._command == name and success else None
        return json_response({
            "success": success, **fields, "moduleId": module, "moduleName": module,
            "code": 200 if success else 500 if status == 200 else status,
            "command": self._command, "requestId": started or os.urandom(16).hex(),
            "inferenceDevice": "CPU",
            "analysisRoundTripMs": int((time.perf_counter() - self._began) * 1000),
            "processedBy": "localhost", "timestampUTC": http_date(time.time())},
            status, headers=headers or {})


def find(operations: Iterable[LongOperation], id: str) -> Found:
    """Return a job's operation, the job if it is alive, and its status.

    Raises `UnknownJob` or `ForgottenJob`.
    """
    for operation in operations:
        job = operation.live.get(id)
        if job is not None:
            return operation, job, job.status()
    for operation in operations:
        with contextlib.suppress(UnknownJob):
            return operation, None, operation.status(id)
    raise UnknownJob(f"there is no job {id}")


def cancel_job(operation: LongOperation, job: Job | None, status: Status) -> Status:
    """Cancel a job if it is alive; return its status then."""
    if job is not None:
        job.cancel()
    return operation.status(status.id)
