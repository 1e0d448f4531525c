"""Answers that are held until a job changes: a long poll, an event stream.

`hold` and `stream` decide what is sent, and when to wait. The doors do the waiting: the server
of ``serve/`` in its one loop, the others in the connection's own thread, with `wait`.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import Any, Callable, Generator, Iterator, NamedTuple, TypeVar, Union

from ..job import Job
from ..status import Status
from ..values.jsontext import dumps
from ..values.waits import wait_for
from .wire import Response

HEARTBEAT = 15.0  # seconds of silence after which a stream shows that it is still alive
_LONGEST_HOLD = 86_400.0  # seconds: a day
_COMMENT = b":\n\n"  # an event stream's way to say nothing: clients skip it

T = TypeVar("T")


class Later:
    """Something that takes long to make. It is made once, however many wait for it."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make: Callable[[], Any] | None = make
        self._unclaimed = threading.Lock()
        #: What was made, or the error that came of it.
        self.made: Future[Any] = Future()

    def claim(self) -> bool:
        """Return whether this caller has to have it made by `run`: only the first one has."""
        return self._unclaimed.acquire(blocking=False)

    def run(self) -> None:
        """Make it in this thread. Who has claimed it calls this once."""
        make = self._make
        assert make is not None
        self._make = None  # what it holds may be large
        try:
            value = make()
        except BaseException as error:  # SystemExit too: those who wait must not wait for ever
            self.made.set_exception(error)
        else:
            self.made.set_result(value)


Item = Union[float, Response, bytes, Later]


class Held(NamedTuple):
    """An answer that depends on what a ``job`` does next, or that takes long to make.

    ``items`` yields:

    - a ``float``: wait until the job changes, for at most this many seconds;
    - a `Response`: send it; one without a body begins a stream;
    - ``bytes``: send them as the next part of the stream;
    - a `Later`: go on when it was made, in a thread that may take long.

    Without a job there is nothing to watch.
    It looks at the job each time it is resumed, so resuming it too early is harmless. One
    thread at a time may use it.
    """

    job: Job | None
    items: Iterator[Item]

    def close(self) -> None:
        """End it; who uses it calls this, also when the client has gone before the end."""
        if isinstance(self.items, Generator):
            self.items.close()


Answer = Union[Response, Held]


def hold(job: Job, seconds: float, ready: Callable[[Status], bool],
         answer: Callable[[Status], Answer]) -> Held:
    """Answer as soon as ``ready`` accepts the job's status, or after some ``seconds``.

    :param seconds: the longest wait; a day at most.
    :param answer: makes the answer from the status at that moment; it waits for no change.
    """
    return Held(job, _hold(job, seconds, ready, answer))


def stream(job: Job, seen: int, event: Callable[[Status], Iterator[Item]]) -> Held:
    """Send an event for each change of a job, until its end, and what the job prints.

    Changes that come faster than they can be sent are skipped, except for the newest.
    The format is that of server-sent events, https://html.spec.whatwg.org/#server-sent-events.

    :param seen: the version of the status that the client has already, or -1.
    :param event: yields a status as an event, which may be in several parts.
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
    if answer.job is not None:
        answer.job.watch(changed.set)  # called in the thread that changes the job
    try:
        for item in answer.items:
            if isinstance(item, (Response, bytes)):
                yield item
            elif isinstance(item, Later):
                _make(item)
            else:
                wait_for(changed, item)
                # Cleared before ``items`` looks at the job, not after: a change during that
                # look then ends the next wait at once.
                changed.clear()
    finally:
        if answer.job is not None:
            answer.job.unwatch(changed.set)
        answer.close()


def items_of(answer: Answer) -> Iterator[Item]:
    """Yield the items of an answer, whichever it is."""
    if isinstance(answer, Response):
        yield answer
    else:
        yield from answer.items


def later(respond: Callable[[], Response]) -> Iterator[Item]:
    """Yield a response, which may take long to make."""
    making = Later(respond)
    yield making
    yield making.made.result()


def made(value: T | Later) -> T:
    """Return a value, or what a `Later` that was run has made."""
    if isinstance(value, Later):
        result: T = value.made.result()
        return result
    return value


def _make(later: Later) -> None:
    """Make something in this thread, or wait for the thread that does."""
    if later.claim():
        later.run()
    later.made.exception()  # who needs it raises the error, if there was one


def _hold(job: Job, seconds: float, ready: Callable[[Status], bool],
          answer: Callable[[Status], Answer]) -> Iterator[Item]:
    end = time.monotonic() + min(seconds, _LONGEST_HOLD)
    while True:
        status = job.growing_status()
        left = end - time.monotonic()
        if ready(status) or left <= 0:
            yield from items_of(answer(status))
            return
        yield left


def _stream(job: Job, seen: int,
            event: Callable[[Status], Iterator[Item]]) -> Iterator[Item]:
    # Without this header nginx would collect events before it passes them on.
    yield Response(200, None, "text/event-stream", {"X-Accel-Buffering": "no"})
    printed = 0  # how far the log was sent
    while True:
        status = job.growing_status()
        # After the status, so that all that was printed before the end is sent before it.
        text, printed = job.printed.lines_after(printed)
        items: Iterator[Item] = iter(())
        if status.version != seen:
            items = event(status)
        elif not text:
            items = iter([_COMMENT])
        seen = status.version
        has_ended = status.state.is_terminal
        del status  # its result may be large, and the client may take nothing for long
        if text:
            yield _log_event(text, printed)
        yield from items
        if has_ended:
            return
        yield HEARTBEAT


def _log_event(text: str, end: int) -> bytes:
    """Return whole lines that were printed as an event; ``end`` counts bytes from the first on."""
    return b"event: log\ndata: %b\n\n" % dumps({"text": text, "end": end}).encode()
