"""``start_NAME``, ``status_NAME`` and ``cancel_NAME``: jobs for clients without tasks.

Some clients end each call after ten seconds. With these tools no call takes long.
"""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple

from ..errors import BadParameters, UnknownJob
from ..job import Job
from ..status import Status
from ..values.jsontext import dumps, loads
from ..web.found import cancel, find
from .results import content_of
from .tools import CANCEL, START, Tool

_LONGEST_WAIT = 60.0  # seconds
_SHOWN = ("id", "state", "step", "total", "progress", "message", "error", "elapsed", "eta",
          "queue_position")


class Wait(NamedTuple):
    """An answer that waits for the end of a job, for some seconds at most."""

    job: Job[Any]
    seconds: float


def answer(tool: Tool, arguments: Mapping[str, Any]) -> dict[str, Any] | Wait:
    """Return the result of a tool, or what it waits for; raise `LongOperationError`."""
    operation = tool.operation
    if tool.kind == START:
        typed = operation.signature.parse({name: [arguments[name]] for name in arguments})
        return describe(operation.submit(typed).status())
    id = _id_of(arguments)
    found = find([operation], id)
    if not tool.is_of(found.status):
        raise UnknownJob(f"there is no job {id} of {operation.name}")
    if tool.kind == CANCEL:
        return describe(cancel(found))
    seconds = _seconds_of(arguments)
    if seconds and found.job is not None:
        return Wait(found.job, seconds)
    return describe(found.status)


def describe(status: Status) -> dict[str, Any]:
    """Return how a job is doing, as the result of a tool."""
    known = {name: getattr(status, name) for name in _SHOWN}
    said = loads(dumps({name: value for name, value in known.items() if value is not None}))
    content = [{"type": "text", "text": dumps(said)}]
    if status.result is not None:
        content += content_of(loads(dumps(status.result)))
    return {"content": content, "structuredContent": said, "isError": False}


def _id_of(arguments: Mapping[str, Any]) -> str:
    id = arguments.get("id")
    if not isinstance(id, str):
        raise BadParameters({"id": "must be the id of a job, a text"})
    return id


def _seconds_of(arguments: Mapping[str, Any]) -> float:
    seconds = arguments.get("wait", 0)
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not is_number or not seconds >= 0:  # NaN is not at least anything
        raise BadParameters({"wait": "must be a number of seconds"})
    return min(float(seconds), _LONGEST_WAIT)
