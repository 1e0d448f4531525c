"""The jobs of some operations, and the views under ``/v1/jobs``."""

from __future__ import annotations

import contextlib
import re
from typing import Any, Callable, Iterable, Mapping, NamedTuple, Sequence

from ..errors import UnknownJob
from ..job import Job
from ..values.jsontext import dumps
from ..operation import LongOperation
from ..status import Status
from .held import Answer, hold, stream
from .parameters import numbers
from .wire import Request, Response, json_response

#: A view of one job: it gets the id from the path.
JobView = Callable[[str, Request], Answer]


class Found(NamedTuple):
    """A job by its id: its operation, the job itself while it is alive, and its status."""

    operation: LongOperation
    job: Job | None
    status: Status


def find(operations: Iterable[LongOperation], id: str) -> Found:
    """Find a job; raise `UnknownJob` or `ForgottenJob`."""
    for operation in operations:
        job = operation.live.get(id)
        if job is not None:
            return Found(operation, job, job.status())
    # The histories last: one in a file is slower than a look at what is alive.
    for operation in operations:
        with contextlib.suppress(UnknownJob):
            return Found(operation, None, operation.status(id))
    raise UnknownJob(f"there is no job {id}")


def cancel(found: Found) -> Status:
    """Cancel a job if it is alive; return its status afterwards."""
    if found.job is not None:
        found.job.cancel()
    return found.operation.status(found.status.id)


class Jobs:
    """The views under ``/v1/jobs``."""

    def __init__(self, operations: Sequence[LongOperation]) -> None:
        self._operations = operations
        self._texts = _StatusTexts()
        #: By what follows the id in the path, and by method.
        self.views: Mapping[str, Mapping[str, JobView]] = {
            "": {"GET": self._show, "DELETE": self._forget},
            "/events": {"GET": self._stream},
            "/cancel": {"POST": self._cancel},
        }

    def is_live(self, id: str) -> bool:
        """Return whether a job has not ended yet; nothing has to wait to find that out."""
        for operation in self._operations:
            if id in operation.live:
                return True
        return False

    def list(self, request: Request) -> Response:
        """Answer the jobs, newest first, without their results: together they may be large."""
        jobs: list[dict[str, Any]] = []
        for operation in self._operations:
            for status in operation.jobs():
                job = dict(vars(status), parameters=operation.parameters(status.id))
                del job["result"]
                jobs.append(job)
        jobs.sort(key=lambda job: str(job["created_at"]), reverse=True)
        return json_response({"jobs": jobs})

    def _show(self, id: str, request: Request) -> Answer:
        """Answer the status, once its version is above ``since`` or ``wait`` seconds are over."""
        found = find(self._operations, id)
        if not request.query:
            return self._answer(found.status)
        since, seconds = numbers(request.query, since=-1, wait=30)
        if found.job is None:
            return self._answer(found.status)

        def is_ready(status: Status) -> bool:
            return status.version > since or status.state.is_terminal

        return hold(found.job, seconds, is_ready, self._answer)

    def _stream(self, id: str, request: Request) -> Answer:
        """Answer an event for each change after the version in ``Last-Event-ID``."""
        found = find(self._operations, id)
        seen = _last_event_id(request)
        if request.method == "HEAD":
            return Response(200, None, "text/event-stream")
        if found.job is not None:
            return stream(found.job, seen, self._event)
        if seen == found.status.version:
            return Response(204)  # all was seen: a browser that gets this does not ask again
        return Response(200, self._event(found.status), "text/event-stream")

    def _cancel(self, id: str, request: Request) -> Response:
        return self._answer(cancel(find(self._operations, id)))

    def _forget(self, id: str, request: Request) -> Response:
        find(self._operations, id).operation.forget(id)
        return Response(204)

    def _answer(self, status: Status) -> Response:
        # A client that polls is told how long to wait while there is something to wait for.
        headers = {} if status.finished_at else {"Retry-After": "1"}
        return Response(200, self._texts.render(status), headers=headers)

    def _event(self, status: Status) -> bytes:
        text = self._texts.render(status)
        return b"event: status\nid: %d\ndata: %b\n\n" % (status.version, text)


class _StatusTexts:
    """Statuses as JSON. Of a version that was rendered before, only the times are written again.

    Polls are the most frequent requests by far, and most of them find nothing new: then ``elapsed``
    and ``eta`` are all that differs. They are cut out of the text, and put back in.
    """

    _TIMES = b'"elapsed":null,"eta":null'
    _MAX_STATUSES = 100
    _MAX_TEXT = 10_000  # characters; with the above, all texts together stay below 1 MB

    def __init__(self) -> None:
        # By the job's id: the version, and the text before and after the times. Threads share it
        # without a lock: each entry is replaced as a whole, and a lost one is only made again.
        self._known: dict[str, tuple[int, bytes, bytes]] = {}

    def render(self, status: Status) -> bytes:
        version, before, after = self._known.get(status.id, (-1, b"", b""))
        if version != status.version:
            before, after = self._split(status)
        elapsed = "null" if status.elapsed is None else str(status.elapsed)
        eta = "null" if status.eta is None else str(status.eta)
        return b"".join((before, f'"elapsed":{elapsed},"eta":{eta}'.encode(), after))

    def _split(self, status: Status) -> tuple[bytes, bytes]:
        text = dumps(vars(status.replace(elapsed=None, eta=None))).encode()
        # The last one: a result may contain the same words, and stands before the times.
        before, _, after = text.rpartition(self._TIMES)
        if len(self._known) > self._MAX_STATUSES:
            self._known.clear()
        if len(text) < self._MAX_TEXT:
            self._known[status.id] = status.version, before, after
        return before, after


def _last_event_id(request: Request) -> int:
    """Return the version that a client has seen, or -1."""
    seen = request.headers.get("last-event-id", "")
    return int(seen) if re.fullmatch("[0-9]{1,16}", seen) else -1
