"""`Module`: operations under one name, and what that server's clients are told about them.

What is said is said in that server's words, so that its clients work. What it says that is not
true, such as ``cancelled`` of code that still runs, is said as it is. Knows nothing of HTTP, nor
of the server's queue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable, Mapping, Sequence, Union

from ..errors import Busy, ForgottenJob, LongOperationError, UnknownJob
from ..job import Job
from ..operation import LongOperation, Owner
from ..status import State, Status
from ..web.jobs import Found, cancel, find
from .settings import Settings

# That server's words. Its page polls until a status is `completed`, `failed` or not a success.
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

#: What comes of a start: a job, or the answer of an adapter that needed none.
Begun = Union["Job[Any]", Mapping[str, Any]]


@dataclass(frozen=True)
class StartRequest:
    """A request to start something: the values of each name, and how to start it.

    :param id: the id of the job, if there is one; by default a new one.
    :param key: starts with the same key are one start.
    :param segments: what follows the route in the path.
    :param must_be_job: whether a job is wanted even where the answer could come at once.
    """

    values: Mapping[str, list[Any]]
    id: str = ""
    key: str | None = None
    segments: Sequence[str] = ()
    must_be_job: bool = False


class Module(Owner):
    """Some operations under one name."""

    def __init__(self, id: str, name: str = "") -> None:
        super().__init__()
        self.id = id
        self.name = name or id
        #: What its ``modulesettings.json`` says. A plain module has none.
        self.settings = Settings(id, self.name)
        #: The folder that its files are in, or an empty text.
        self.folder = ""
        #: Those of its operations that are served: see `modules_of`.
        self.operations: list[LongOperation] = []

    @property
    def device(self) -> str:
        """What the module computes on."""
        return "CPU"

    def own(self, operations: Iterable[LongOperation]) -> list[LongOperation]:
        """Return the operations as this module's own."""
        return [operation.replace(owner=self) for operation in operations]

    def paths(self, operation: LongOperation) -> list[str]:
        """Return the paths below ``/v1`` at which an operation is started."""
        return [f"{operation.module}/{operation.name}"]

    def begin(self, operation: LongOperation, request: StartRequest) -> Begun:
        """Start a job, or answer at once.

        Raises `BadParameters`, `Busy` and what else `LongOperation.start_once` may raise.
        """
        typed = operation.signature.parse(request.values)
        if request.key:
            return operation.start_once(request.key, **typed)
        return operation.submit(typed, request.id or None)

    # Answers

    def say_begun(self, begun: Begun, is_new: bool = True) -> Mapping[str, Any]:
        """Answer a start. ``is_new`` is False if the job may have been started before."""
        if not isinstance(begun, Job):
            return begun
        state = begun.state
        if is_new and state is not State.QUEUED:
            state = State.RUNNING  # if it has ended since, its status says so
        return {
            "success": True,
            "message": _STARTED if state is State.RUNNING else _MESSAGES[state],
            "commandId": begun.id,
            "commandStatus": state.value,
        }

    def status(self, id: str) -> dict[str, Any]:
        """Answer with the status of a job."""
        try:
            status = self._find(id).status
        except UnknownJob as error:
            word = "not started" if str(error) == _NOTHING_RUNS else "unknown"
            return {"success": False, "commandStatus": word, "error": str(error)}
        if status.state.is_terminal:
            return self._say_ended(status)
        return {"success": True, **_words(status), **self.progress(status)}

    def cancel(self, id: str) -> dict[str, Any]:
        """Cancel a job, and answer."""
        try:
            status = cancel(self._find(id))
        except UnknownJob as error:
            return {"success": False, "error": str(error)}
        if status.state in (State.CANCELLING, State.CANCELLED):
            return {"success": True, **_words(status)}
        return {
            "success": False,
            "commandId": status.id,
            "commandStatus": status.state.value,
            "error": f"The command has already {status.state.value}",
        }

    def progress(self, status: Status) -> dict[str, Any]:
        """Return what is said of a job that is alive, beside its state."""
        return {"result": "" if status.result is None else status.result}

    def outcome(self, status: Status) -> dict[str, Any]:
        """Return what is said of a job that has ended, beside its state."""
        milliseconds = int((status.elapsed or 0) * 1000)
        return {
            "result": status.result,
            "stop_reason": status.stop_reason,
            "processMs": milliseconds,
            "inferenceMs": milliseconds,
        }

    def wrap(self, answer: Mapping[str, Any], command: str, request_id: str) -> dict[str, Any]:
        """Return an answer with what a module adds to each."""
        return {
            **answer,
            "moduleId": self.id,
            "moduleName": self.name,
            # Compared with 1, as that server's SDK does: True counts, and "true" does not.
            "code": 200 if answer.get("success") == 1 else 500,
            "command": command,
            "requestId": request_id,
            "inferenceDevice": self.device,
        }

    def _say_ended(self, status: Status) -> dict[str, Any]:
        is_completed = status.state is State.COMPLETED
        answer = {
            "success": is_completed,
            **_words(status),
            "error": _error_of(status),
            **self.outcome(status),
        }
        # An outcome may have a success of its own, but not that of a job that has failed.
        return answer if is_completed else {**answer, "success": False}

    def _find(self, id: str) -> Found:
        """Find the job of a commandId; raise `UnknownJob` in that server's words."""
        if not id:
            raise UnknownJob("No command ID provided")
        try:
            return find(self.operations, id)
        except (UnknownJob, ForgottenJob):
            was_started = any(operation.jobs() for operation in self.operations)
            raise UnknownJob(_OTHER_ID if was_started else _NOTHING_RUNS) from None


def is_rejection(error: LongOperationError) -> bool:
    """Return whether a start was refused because of a job that runs, as that server refuses it.

    It knows no other refusals: one because a queue is full, for example, is ours.
    """
    return isinstance(error, Busy) and error.status == 409


def say_error(error: LongOperationError) -> dict[str, Any]:
    """Answer that a request was refused; say which job is in the way, if one is."""
    answer: dict[str, Any] = {"success": False}
    if isinstance(error, Busy) and is_rejection(error):
        answer["commandId"] = error.job_id
    return {**answer, "error": str(error)}


def say_unable(request_id: str) -> dict[str, Any]:
    """Answer that something has raised, in that server's words."""
    return {"success": False, "error": f"unable to process the request (#reqid {request_id})"}


def modules_of(operations: Iterable[LongOperation]) -> list[Module]:
    """Return the modules of operations that are served together.

    Each module gets those that are its own as ``operations``. Operations that no module owns are
    in one that is called as their Python module. Raises ``ValueError`` if two modules have the
    same id.
    """
    found: dict[str, Module] = {}
    plain: dict[str, Module] = {}
    for operation in operations:
        if isinstance(operation.owner, Module):
            module = operation.owner
        else:
            module = plain.setdefault(operation.module, Module(operation.module))
        known = found.get(module.id)
        if known is None:
            found[module.id] = module
            module.operations = []
        elif known is not module:
            raise ValueError(f"there are two modules called {module.id}: serve one at a time")
        module.operations.append(operation)
    return list(found.values())


def _words(status: Status) -> dict[str, Any]:
    """Return a job's state in that server's words."""
    return {
        "message": _MESSAGES[status.state],
        "commandId": status.id,
        "commandStatus": status.state.value,
    }


def _error_of(status: Status) -> str | None:
    if status.state is State.CANCELLED:
        return _MESSAGES[State.CANCELLED]
    if not status.error:
        return status.error
    # That server's SDK says the text of the error without its type.
    return status.error.partition(": ")[2] or status.error
