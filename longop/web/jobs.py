"""The views of a job: what is under ``/v1/jobs/``."""

from __future__ import annotations

import itertools
import re
from functools import partial
from typing import Callable, Iterator, Mapping, Sequence
from weakref import WeakKeyDictionary

from ..job import Job
from ..operation import LongOperation
from ..status import Status
from ..values.pieces import SHORT
from .deltas import Place, Trail
from .found import Found, FoundView, JobView, cancel
from .held import Answer, Held, Item, Later, hold, made, stream
from .parameters import numbers
from .request import Request
from .texts import Split, StatusTexts
from .wire import Response, json_response


class Jobs:
    """The views of the jobs of some operations."""

    def __init__(self, operations: Sequence[LongOperation]) -> None:
        self._operations = operations
        self._texts = StatusTexts()
        # Of the jobs that somebody asks for deltas; a job that is gone takes its own along.
        self._trails: WeakKeyDictionary[Job, Trail] = WeakKeyDictionary()
        # By what follows the id in the path, and by method.
        self._views: Mapping[str, Mapping[str, FoundView]] = {
            "": {"GET": self._show, "DELETE": self._forget},
            "/events": {"GET": self._stream},
            "/log": {"GET": self._log},
            "/series": {"GET": self._series},
            "/cancel": {"POST": self._cancel},
        }

    def views(self, id: str, rest: str) -> Mapping[str, JobView]:
        """Return the views of a job by method, or none if there are none at ``rest``.

        :param rest: what follows the id in the path.
        """
        return {method: JobView(self._operations, id, view)
                for method, view in self._views.get(rest, {}).items()}

    def _show(self, found: Found, request: Request) -> Answer:
        """Answer the status, once its version is above ``since`` or ``wait`` seconds are over.

        With ``have``, how much of the result the client has, only what it lacks.
        """
        if not request.query:
            return self._answer_again(found) or self._answer(found.status)
        since, seconds, have = numbers(request, since=-1, wait=30, have=-1)
        if found.job is None:
            return self._answer(found.status)

        def is_ready(status: Status) -> bool:
            return status.version > since or status.state.is_terminal

        answer = self._answer
        if have >= 0:
            place = Place(int(since), int(have))
            answer = partial(self._answer_delta, self._trail(found.job), place)
        return hold(found.job, seconds, is_ready, answer)

    def _stream(self, found: Found, request: Request) -> Answer:
        """Answer an event for each change after the version in ``Last-Event-ID``.

        With ``delta=1``, each but the first has only what has changed.
        """
        seen = _last_event_id(request)
        (delta,) = numbers(request, delta=0)
        if request.method == "HEAD":
            return Response(200, None, "text/event-stream")
        if found.job is not None:
            event = self._event
            if delta:
                event = _DeltaEvents(self._trail(found.job))
            return stream(found.job, seen, event)
        if seen == found.status.version:
            return Response(204)  # all was seen: a browser that gets this does not ask again
        text = self._texts.get(found.status)
        if isinstance(text, Later):
            begin = Response(200, None, "text/event-stream")
            return Held(None, itertools.chain([begin], self._event(found.status)))
        parts = _event_of(found.status.version, text.before, text.end(found.status))
        return Response(200, b"".join(parts), "text/event-stream")

    def _log(self, found: Found, request: Request) -> Response:
        """Answer the last lines that the function printed."""
        # A live job is asked itself: a history may be slow.
        log = found.operation.log(found.id) if found.job is None else found.job.log()
        return Response(200, log.encode(), "text/plain; charset=utf-8")

    def _series(self, found: Found, request: Request) -> Response:
        """Answer the numbers that were reported, thinned."""
        if found.job is not None:
            return json_response(found.job.series())
        return json_response(found.operation.series(found.id))

    def _cancel(self, found: Found, request: Request) -> Answer:
        return self._answer(cancel(found))

    def _forget(self, found: Found, request: Request) -> Response:
        found.operation.forget(found.id)
        return Response(204)

    def _trail(self, job: Job) -> Trail:
        # If two threads make one, a client that gets the other one is sent all again.
        return self._trails.setdefault(job, Trail())

    def _answer_again(self, found: Found) -> Response | None:
        """Answer for a job without news: only the times in its text are written again.

        Returns None if there may be news. Most polls find none, and are many.
        """
        times = found.job.times() if found.job is not None else None
        if times is None:
            return None
        text = self._texts.known(found.id, times.version)
        return text and _answer_with(text.before, text.end(times))

    def _answer_delta(self, trail: Trail, place: Place, status: Status) -> Answer:
        delta, _ = trail.delta(status, place)
        has_ended = bool(status.finished_at)
        if isinstance(delta, Later):
            return Held(None, _after(delta, lambda: _answer_with(made(delta), has_ended=has_ended)))
        return _answer_with(delta, has_ended=has_ended)

    def _answer(self, status: Status) -> Answer:
        text = self._texts.get(status)
        if isinstance(text, Later):
            return Held(None, _after(text, lambda: _answer_text(status, made(text))))
        return _answer_text(status, text)

    def _event(self, status: Status) -> Iterator[Item]:
        text = self._texts.get(status)
        if isinstance(text, Later):
            yield text
        split = made(text)
        parts = _event_of(status.version, split.before, split.end(status))
        del status, text, split  # see `_DeltaEvents`
        yield from parts


class _DeltaEvents:
    """The events of one client that asked for deltas."""

    def __init__(self, trail: Trail) -> None:
        self._trail = trail
        self._place = Place()  # where the client is

    def __call__(self, status: Status) -> Iterator[Item]:
        """Yield what the client lacks of a status as an event, or two if the first one lags."""
        version = status.version
        delta, self._place = self._trail.delta(status, self._place, may_lag=True)
        del status  # its result may be large, and the client may take nothing for long
        yield from self._send(delta)
        if self._place.version < version:
            delta, self._place = self._trail.rest(self._place)
            yield from self._send(delta)

    def _send(self, delta: bytes | Later) -> Iterator[Item]:
        if isinstance(delta, Later):
            yield delta
        yield from _event_of(self._place.version, made(delta))


def _event_of(version: int, text: bytes, end: bytes = b"") -> list[bytes]:
    """Return an event, in parts if its text is large: all who watch the job share that."""
    begin = b"event: status\nid: %d\ndata: " % version
    end += b"\n\n"
    if len(text) < SHORT:
        return [b"".join((begin, text, end))]
    return [begin, text, end]


def _after(later: Later, respond: Callable[[], Response]) -> Iterator[Item]:
    """Yield what has to be made first, and then the response."""
    yield later
    yield respond()


def _answer_text(status: Status, text: Split) -> Response:
    return _answer_with(text.before, text.end(status), bool(status.finished_at))


def _answer_with(text: bytes, end: bytes = b"", has_ended: bool = False) -> Response:
    # A client that polls is told how long to wait while there is something to wait for.
    headers = {} if has_ended else {"Retry-After": "1"}
    if len(text) < SHORT:
        return Response(200, text + end, headers=headers)
    return Response(200, text, headers=headers, end=end)  # all share the large part


def _last_event_id(request: Request) -> int:
    """Return the version that a client has seen, or -1."""
    seen = request.headers.get("last-event-id", "")
    return int(seen) if re.fullmatch("[0-9]{1,16}", seen) else -1
