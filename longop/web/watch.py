"""Answers that wait for a job: a long poll, an event stream.

Each door waits in its own way: the server in its one loop, the others in the connection's thread.
"""

from __future__ import annotations

import threading
import time
from typing import Callable, Iterator, NamedTuple, Union

from ..job import Job
from ..status import Status
from .wire import Response

HEARTBEAT = 15.0  # seconds of silence after which a stream says that it is still there
Item = Union[float, Response, bytes]


class Watch(NamedTuple):
    """An answer that comes as a job goes on.

    ``items`` yields how many seconds to wait for the job to change, at most, the `Response`, and,
    if that is a stream, what is in it.
    """

    job: Job
    items: Iterator[Item]


Answer = Union[Response, Watch]


def hold(job: Job, seconds: float, ready: Callable[[Status], bool],
         answer: Callable[[Status], Response]) -> Watch:
    """Answer as soon as a job's status is ready, or after so many seconds, a day at most."""
    def items() -> Iterator[Item]:
        end = time.monotonic() + min(seconds, 86_400.0)
        while True:
            status, left = job.status(), end - time.monotonic()
            if ready(status) or left <= 0:
                yield answer(status)
                return
            yield left

    return Watch(job, items())


def stream(job: Job, seen: int, event: Callable[[Status], bytes]) -> Watch:
    """Send an event for each change of a job, the newest only, until its end.

    That is the format of server-sent events, https://html.spec.whatwg.org/#server-sent-events.
    """
    def items() -> Iterator[Item]:
        # Nginx would else keep the events together until there are many.
        yield Response(200, None, "text/event-stream", {"X-Accel-Buffering": "no"})
        last = seen
        while True:
            status = job.status()
            yield b":\n\n" if status.version == last else event(status)
            if status.state.is_terminal:
                return
            last = status.version
            yield HEARTBEAT

    return Watch(job, items())


def wait(answer: Answer) -> Iterator[Response | bytes]:
    """Yield the `Response`, and what is in it if it is a stream, waiting in this thread."""
    if isinstance(answer, Response):
        yield answer
        return
    changed = threading.Event()
    answer.job.watch(changed.set)
    try:
        for item in answer.items:
            if isinstance(item, float):
                changed.wait(item)
                changed.clear()  # before the next look, so that no change is missed
            else:
                yield item
    finally:
        answer.job.unwatch(changed.set)
