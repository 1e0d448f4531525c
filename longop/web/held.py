"""Answers that are held until a job changes: a long poll, an event stream.

`hold` and `stream` decide what is sent, and when to wait. The doors do the waiting: the server
of ``serve/`` in its one loop, the others in the connection's own thread, with `wait`.
"""

from __future__ import annotations

import threading
import time
from typing import Callable, Generator, Iterator, NamedTuple, Union

from ..job import Job
from ..status import Status
from .wire import Response

HEARTBEAT = 15.0  # seconds of silence after which a stream shows that it is still alive
_LONGEST_HOLD = 86_400.0  # seconds: a day
_COMMENT = b":\n\n"  # an event stream's way to say nothing: clients skip it

Item = Union[float, Response, bytes]


class Held(NamedTuple):
    """An answer that depends on what a ``job`` does next.

    ``items`` yields:

    - a ``float``: wait until the job changes, for at most this many seconds;
    - a `Response`: send it; one without a body begins a stream;
    - ``bytes``: send them as the next part of the stream.

    It looks at the job each time it is resumed, so resuming it too early is harmless. One
    thread at a time may use it.
    """

    job: Job
    items: Iterator[Item]


Answer = Union[Response, Held]


def hold(job: Job, seconds: float, ready: Callable[[Status], bool],
         answer: Callable[[Status], Response]) -> Held:
    """Answer as soon as ``ready`` accepts the job's status, or after some ``seconds``.

    :param seconds: the longest wait; a day at most.
    :param answer: makes the response from the status at that moment.
    """
    return Held(job, _hold(job, seconds, ready, answer))


def stream(job: Job, seen: int, event: Callable[[Status], bytes]) -> Held:
    """Send an event for each change of a job, until its end.

    Changes that come faster than they can be sent are skipped, except for the newest.
    The format is that of server-sent events, https://html.spec.whatwg.org/#server-sent-events.

    :param seen: the version of the status that the client has already, or -1.
    :param event: formats a status as an event.
    """
    return Held(job, _stream(job, seen, event))


def wait(answer: Answer) -> Generator[Response | bytes, None, None]:
    """Yield the `Response`, and then the parts of its stream, waiting in the calling thread.

    Close it if the client leaves before the end: it watches the job until then.
    """
    if isinstance(answer, Response):
        yield answer
        return
    changed = threading.Event()
    answer.job.watch(changed.set)  # called in the thread that changes the job
    try:
        for item in answer.items:
            if isinstance(item, (Response, bytes)):
                yield item
            else:
                changed.wait(item)
                # Cleared before ``items`` looks at the job, not after: a change during that
                # look then ends the next wait at once.
                changed.clear()
    finally:
        answer.job.unwatch(changed.set)


def _hold(job: Job, seconds: float, ready: Callable[[Status], bool],
          answer: Callable[[Status], Response]) -> Iterator[Item]:
    end = time.monotonic() + min(seconds, _LONGEST_HOLD)
    while True:
        status = job.status()
        left = end - time.monotonic()
        if ready(status) or left <= 0:
            yield answer(status)
            return
        yield left


def _stream(job: Job, seen: int, event: Callable[[Status], bytes]) -> Iterator[Item]:
    # Without this header nginx would collect events before it passes them on.
    yield Response(200, None, "text/event-stream", {"X-Accel-Buffering": "no"})
    while True:
        status = job.status()
        if status.version == seen:
            yield _COMMENT
        else:
            yield event(status)
        if status.state.is_terminal:
            return
        seen = status.version
        yield HEARTBEAT
