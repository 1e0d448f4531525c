"""The jobs of some operations, and the views under ``/v1/jobs``."""

from __future__ import annotations

import contextlib
import re
from functools import partial
from typing import Any, Callable, Iterable, Mapping, NamedTuple, Sequence

from ..errors import UnknownJob
from ..job import Job
from ..values.jsontext import dumps
from ..operation import LongOperation
from ..status import Status
from .held import Answer, hold, stream
from .parameters import numbers
from .request import Request
from .wire import Response, json_response


class Found(NamedTuple):
    """A job by its id: its operation, the job itself while it is alive, and its status."""

    operation: LongOperation
    job: Job | None
    status: Status


#: What answers a request about one job.
FoundView = Callable[[Found, Request], Answer]


def find_live(operations: Iterable[LongOperation], id: str) -> Found | None:
    """Find a job that is alive; nothing has to wait for that."""
    for operation in operations:
        job = operation.live.get(id)
        if job is not None:
            return Found(operation, job, job.status())
    return None


def find(operations: Iterable[LongOperation], id: str) -> Found:
    """Find a job; raise `UnknownJob` or `ForgottenJob`."""
    found = find_live(operations, id)
    if found is not None:
        return found
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


class JobView:
    """The view of a path that names a job: it finds the job when it is called."""

    def __init__(self, operations: Sequence[LongOperation], id: str, view: FoundView) -> None:
        self._operations = operations
        self._id = id
        self._view = view

    def __call__(self, request: Request) -> Answer:
        """Find the job and answer; raise `UnknownJob` or `ForgottenJob`."""
        return self._view(find(self._operations, self._id), request)

    def of_live(self) -> Callable[[Request], Answer] | None:
        """Return a view of the job as it is now, or None if it is not alive.

        That view knows its job: it asks no history, even if the job ends before it is called.
        """
        found = find_live(self._operations, self._id)
        return None if found is None else partial(self._view, found)


class Jobs:
    """The views under ``/v1/jobs``."""

    def __init__(self, operations: Sequence[LongOperation]) -> None:
        self._operations = operations
        self._texts = _StatusTexts()
        # By what follows the id in the path, and by method.
        self._views: Mapping[str, Mapping[str, FoundView]] = {
            "": {"GET": self._show, "DELETE": self._forget},
            "/events": {"GET": self._stream},
            "/cancel": {"POST": self._cancel},
        }

    def views(self, id: str, rest: str) -> Mapping[str, JobView]:
        """Return the views of a job by method, or none if there are none at ``rest``.

        :param rest: what follows the id in the path.
        """
        return {method: JobView(self._operations, id, view)
                for method, view in self._views.get(rest, {}).items()}

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

    def _show(self, found: Found, request: Request) -> Answer:
        """Answer the status, once its version is above ``since`` or ``wait`` seconds are over."""
        if not request.query:
            return self._answer(found.status)
        since, seconds = numbers(request.query, since=-1, wait=30)
        if found.job is None:
            return self._answer(found.status)

        def is_ready(status: Status) -> bool:
            return status.version > since or status.state.is_terminal

        return hold(found.job, seconds, is_ready, self._answer)

    def _stream(self, found: Found, request: Request) -> Answer:
        """Answer an event for each change after the version in ``Last-Event-ID``."""
        seen = _last_event_id(request)
        if request.method == "HEAD":
            return Response(200, None, "text/event-stream")
        if found.job is not None:
            return stream(found.job, seen, self._event)
        if seen == found.status.version:
            return Response(204)  # all was seen: a browser that gets this does not ask again
        return Response(200, self._event(found.status), "text/event-stream")

    def _cancel(self, found: Found, request: Request) -> Response:
        return self._answer(cancel(found))

    def _forget(self, found: Found, request: Request) -> Response:
        found.operation.forget(found.status.id)
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
