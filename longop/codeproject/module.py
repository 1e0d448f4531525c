"""`Module`: operations under one name, and what CodeProject's clients are told about them.

The answers have the keys and texts that CodeProject's SDK uses, so that its clients work.
They differ where the SDK says something untrue, such as ``cancelled`` of code that still runs.
Knows nothing of HTTP, nor of the queue.
"""

from __future__ import annotations

import re
import time
from concurrent.futures import wait
from typing import Any, Callable, Iterable, Mapping, NamedTuple, Sequence, Union

from ..errors import Busy, ForgottenJob, LongOperationError, UnknownJob
from ..job import Job
from ..operation import LongOperation, Owner
from ..status import State, Status
from ..web.found import Found, cancel, find
from .settings import Settings

# The texts of CodeProject's SDK. Its page polls until a status is `completed`, `failed`, or
# not a success.
_STARTED = "Command is running in the background"
_NOTHING_RUNS = "No long running command is currently in progress"
_STILL_STOPPING = "The command before this one is still being stopped: try again in a moment"
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

#: Seconds that starts wait for the end of a command that is being stopped: its two seconds of
#: grace, and one for its ``finally`` blocks.
STOPPING = 3.0

#: The outcome of a start: a job, or the answer of an adapter that needed no job.
Begun = Union["Job[Any]", Mapping[str, Any]]


class StartRequest(NamedTuple):
    """A request to start something.

    :param values: the values that were given for each name.
    :param id: the id that the job is to have; by default it gets a new one.
    :param key: starts with the same key start one job.
    :param segments: what follows the route in the path.
    :param must_be_job: whether a job is needed even where the module could answer at once.
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
        #: The contents of its ``modulesettings.json``; a plain module has no such file.
        self.settings = Settings(id, self.name)
        #: The folder of its files, or an empty string.
        self.folder = ""
        #: Those of its operations that are served: see `modules_of`.
        self.operations: list[LongOperation] = []
        # The job whose end starts wait for, and until when; guarded by the owner's lock.
        self._awaited: Job[Any] | None = None
        self._await_until = 0.0  # time.monotonic()

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

    def command_of(self, operation: LongOperation) -> str:
        """Return the command that CodeProject knows an operation by."""
        return operation.name

    def begin(self, operation: LongOperation, request: StartRequest) -> Begun:
        """Start a job, or answer at once.

        Raises `BadParameters`, `Busy`, and whatever else `LongOperation.start_once` raises.
        """
        typed = operation.signature.parse(request.values)
        key = request.key
        if key:
            return self.after_stopping(lambda: operation.start_once(key, **typed))
        return self.after_stopping(lambda: operation.submit(typed, request.id or None))

    def after_stopping(self, start: Callable[[], Job[Any]]) -> Job[Any]:
        """Start a job; if one that is being stopped is in its way, wait for its end first.

        A page says "stopped" once it has asked for that, and may start the next command at
        once. It takes the id in a refusal for that of its own command, and so would show the
        old one.

        :param start: starts the job; called again after a wait.

        Raises `Busy`, without the id of a job that is still being stopped.
        """
        while True:
            try:
                return start()
            except Busy as busy:
                job = self._stopping(busy)
                if job is not None and wait([job], self._patience_with(job)).not_done:
                    raise Busy(_STILL_STOPPING, "") from busy

    def _patience_with(self, job: Job[Any]) -> float:
        """Return for how long to wait for a job's end, in seconds.

        It counts from the first start that had to wait: a command that does not stop holds up
        the threads that answer only once.
        """
        with self.lock:
            if self._awaited is not job:
                self._awaited = job
                self._await_until = time.monotonic() + STOPPING
            return max(0.0, self._await_until - time.monotonic())

    def _stopping(self, busy: Busy) -> Job[Any] | None:
        """Return the job that is in the way of a start, or None if it has just ended.

        Raises the refusal again if that job is not being stopped.
        """
        try:
            found = find(self.operations, busy.job_id)
        except (UnknownJob, ForgottenJob):
            raise busy from None
        if not is_rejection(busy) or (found.job is not None and not found.job.is_stopping):
            raise busy
        return found.job

    # Answers

    def say_begun(self, begun: Begun, is_new: bool = True) -> Mapping[str, Any]:
        """Answer a start. ``is_new`` is False if the job may have been started earlier."""
        if not isinstance(begun, Job):
            return begun
        state = begun.state
        if is_new and state is not State.QUEUED:
            state = State.RUNNING  # even if it has just ended: its status will say so
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
        """Return the keys about the progress of a job that is alive."""
        return {"result": "" if status.result is None else status.result}

    def seen(self, status: Status) -> Status:
        """Return the status of a job that has ended as CodeProject's clients are to see it."""
        return status

    def outcome(self, status: Status) -> dict[str, Any]:
        """Return the keys about the outcome of a job that has ended."""
        milliseconds = int((status.elapsed or 0) * 1000)
        return {
            "result": status.result,
            "stop_reason": status.stop_reason,
            "processMs": milliseconds,
            "inferenceMs": milliseconds,
        }

    def wrap(self, answer: Mapping[str, Any], command: str, request_id: str) -> dict[str, Any]:
        """Return an answer with the keys that every answer of a module has."""
        return {
            **answer,
            "moduleId": self.id,
            "moduleName": self.name,
            # Compared with 1, as CodeProject's SDK does: True counts, and "true" does not.
            "code": 200 if answer.get("success") == 1 else 500,
            "command": command,
            "requestId": request_id,
            "inferenceDevice": self.device,
        }

    def _say_ended(self, status: Status) -> dict[str, Any]:
        status = self.seen(status)
        is_completed = status.state is State.COMPLETED
        answer = {
            "success": is_completed,
            **_words(status),
            "error": _error_of(status),
            **self.outcome(status),
        }
        # An outcome may have a ``success`` of its own, but a failed job is no success.
        return answer if is_completed else {**answer, "success": False}

    def _find(self, id: str) -> Found:
        """Find the job of a commandId; raise `UnknownJob` with the SDK's text."""
        if not id:
            raise UnknownJob("No command ID provided")
        try:
            return find(self.operations, id)
        except (UnknownJob, ForgottenJob):
            was_started = any(operation.jobs() for operation in self.operations)
            raise UnknownJob(_OTHER_ID if was_started else _NOTHING_RUNS) from None


def is_rejection(error: LongOperationError) -> bool:
    """Return whether a start was refused because a job is running, as CodeProject's SDK does.

    It knows no other refusal. One because too many jobs wait, for example, is longop's own.
    """
    return isinstance(error, Busy) and error.status == 409


def say_error(error: LongOperationError) -> dict[str, Any]:
    """Answer that a request was refused; name the job that is running, if that is why."""
    answer: dict[str, Any] = {"success": False}
    if isinstance(error, Busy) and is_rejection(error) and error.job_id:
        answer["commandId"] = error.job_id
    return {**answer, "error": str(error)}


def say_unable(request_id: str) -> dict[str, Any]:
    """Answer that the module raised an exception."""
    return {"success": False, "error": f"unable to process the request (#reqid {request_id})"}


def modules_of(operations: Iterable[LongOperation]) -> list[Module]:
    """Return the modules of operations that are served together.

    Sets ``operations`` of each. Operations without an owner are put into a module that is
    named after their Python module. Raises ``ValueError`` if two modules have the same id, or
    need different working directories.
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
    _check_folders(found.values())
    return list(found.values())


def _check_folders(modules: Iterable[Module]) -> None:
    """Raise ``ValueError`` if modules stand in different folders.

    Each works in its own, where it looks for its models, and a process has one.
    """
    ids = {module.folder: module.id for module in modules if module.folder}
    if len(ids) > 1:
        first, second, *_ = ids.values()
        raise ValueError(f"{first} and {second} each need their own folder as the working "
                         "directory: serve each in a process of its own")


def _words(status: Status) -> dict[str, Any]:
    """Return the keys about a job's state."""
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
    # CodeProject's SDK says the error without its type.
    return re.sub(r"^\w+: ", "", status.error)
