"""A request that starts a job: its parameters, its key, and how it wants to be answered."""

from __future__ import annotations

import re
from typing import Any, Mapping, NamedTuple

from ..job import Job
from ..operation import LongOperation
from ..status import Status
from .held import Answer, Held, hold, later
from .parameters import parameters
from .request import Request
from .texts import is_short_status
from .wire import Response, json_response

_WAIT = re.compile(r"\bwait=([0-9]{1,9})\b")


class Preference(NamedTuple):
    """What the ``Prefer`` header of a start asks for (RFC 7240).

    ``wait`` is how many seconds the answer may wait for the end of the job (section 4.3), or None
    for ``respond-async``: an answer at once (section 4.1). ``applied`` is what the answer says in
    ``Preference-Applied``.
    """

    wait: float | None
    applied: str


RESPOND_ASYNC = Preference(None, "respond-async")


def preference_of(request: Request) -> Preference | None:
    """Return what a request prefers, or None if it says nothing of it."""
    prefer = request.headers.get("prefer", "").lower()
    wait = _WAIT.search(prefer)
    if wait:
        return Preference(float(wait[1]), wait[0])
    if "respond-async" in prefer:
        return RESPOND_ASYNC
    return None


def key_of(request: Request) -> str | None:
    """Return the ``Idempotency-Key``: two starts with the same key are one."""
    return request.headers.get("idempotency-key")


def begin(operation: LongOperation, values: Mapping[str, list[Any]], key: str | None) -> Job:
    """Start a job with the values that a request gave, a list for each name.

    With a key, a job that was started with it before is returned. Raises `BadParameters`, `Busy`,
    `KeyReused` and anything else that `LongOperation.start_once` raises.
    """
    typed = operation.signature.parse(values)
    if key:
        return operation.start_once(key, **typed)
    return operation.submit(typed)


def answer(job: Job, preference: Preference) -> Answer:
    """Answer with the status of a job: 202 while it is alive, 200 once it has ended."""
    headers = {"Location": f"/v1/jobs/{job.id}", "Preference-Applied": preference.applied}

    def respond(status: Status) -> Response:
        code = 200 if status.state.is_terminal else 202
        return json_response(vars(status), code, headers=headers)

    def respond_or_later(status: Status) -> Answer:
        if is_short_status(status):
            return respond(status)
        return Held(None, later(lambda: respond(status)))

    if preference.wait is None:
        return respond(job.status())
    return hold(job, preference.wait, lambda status: status.state.is_terminal, respond_or_later)


def start(operation: LongOperation, request: Request) -> Answer:
    """Start a job and answer with its status. This is the view of a plain start route."""
    job = begin(operation, parameters(request), key_of(request))
    return answer(job, preference_of(request) or RESPOND_ASYNC)
