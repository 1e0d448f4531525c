"""A job as a task of the extension ``io.modelcontextprotocol/tasks``: its id is the job's.

What becomes of the states is a table here; what a client asks is answered by `server`.
"""

from __future__ import annotations

from typing import Any, Mapping

from ..status import State, Status
from .message import INTERNAL_ERROR
from .progress import message_of
from .results import result_of

POLL_INTERVAL = 1_000  # milliseconds

# A function that raised has completed its task: ``failed`` is for errors of the protocol.
_STATES = {
    State.QUEUED: "working",
    State.RUNNING: "working",
    State.CANCELLING: "working",
    State.COMPLETED: "completed",
    State.FAILED: "completed",
    State.CANCELLED: "cancelled",
    State.INTERRUPTED: "failed",
}


def task_of(status: Status) -> dict[str, Any]:
    """Return a job as a task, without what it has come to.

    The last update is the last change of its state: when it last reported is not recorded.
    """
    updated = status.finished_at or status.cancel_requested_at or status.started_at
    task: dict[str, Any] = {
        "taskId": status.id,
        "status": _STATES[status.state],
        "createdAt": status.created_at,
        "lastUpdatedAt": updated or status.created_at,
        "ttlMs": None,  # a history has bounds, but none of time
        "pollIntervalMs": POLL_INTERVAL,
    }
    message = _message_of(status)
    if message:
        task["statusMessage"] = message
    return task


def detailed(status: Status, schema: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a job as a task, with its result or error if it has ended.

    :param schema: the ``outputSchema`` of its tool, if that has one.
    """
    task = task_of(status)
    if task["status"] == "completed":
        task["result"] = {"resultType": "complete", **result_of(status, schema)}
    elif task["status"] == "failed":
        task["error"] = {"code": INTERNAL_ERROR, "message": status.error or "interrupted"}
    return task


def _message_of(status: Status) -> str:
    if status.state is State.QUEUED:
        return f"waits in the queue, at {status.queue_position}"
    if status.state is State.CANCELLING:
        return "told to stop, and still running"
    if status.state.is_terminal:
        return (status.error or "").partition("\n")[0]
    return message_of(status)
