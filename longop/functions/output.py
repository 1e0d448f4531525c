"""`Output`: where one job's prints go. Which of the threads print for that job.

    the job's thread ─┬─ a copy of its context ─────▶ asyncio.to_thread
                      ├─ Thread.start ──────────────▶ a thread, and those that it starts
                      └─ ThreadPoolExecutor.submit ─▶ one task, whichever thread makes it

A context (PEP 567) is not carried over to threads and pools. So while a command captures what
is printed, three functions of Python are replaced by ones that carry it over. Without that they
are Python's own, and cost nothing. Knows nothing of streams.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Callable, Iterator

from ..values.log import logger
from .threads import has_interpreters

if TYPE_CHECKING:
    from logging import LogRecord

#: Takes what is printed.
Sink = Callable[[bytes], object]

# What holds the output of a thread's starter, among the attributes of the thread.
_MARK = "_longop_output"


class Output:
    """Where the prints of a job go; nowhere once the job has ended.

    Threads that outlive the job hold this, and so nothing of the job itself.
    """

    def __init__(self, sink: Sink | None) -> None:
        self._sink = sink
        self._process = os.getpid()

    def write(self, data: bytes) -> None:
        """Pass on what was printed. Called in the thread that prints."""
        sink = self._sink  # read once: the job may end at any moment
        # In a fork it is a copy that nobody reads; a lock of it may be held there for ever.
        if sink is not None and self._process == os.getpid():
            sink(data)

    def close(self) -> None:
        """Pass on nothing more."""
        self._sink = None


_NOBODYS = Output(None)
_of_context: ContextVar[Output | None] = ContextVar("longop_output", default=None)


def current() -> Output:
    """Return the output that this thread prints to."""
    of_context = _of_context.get()
    if of_context is not None:
        return of_context
    output: Output = vars(threading.current_thread()).get(_MARK, _NOBODYS)
    return output


@contextlib.contextmanager
def printing_to(output: Output) -> Iterator[None]:
    """Have this context print to an output."""
    token = _of_context.set(output)
    try:
        yield
    finally:
        _of_context.reset(token)


@contextlib.contextmanager
def going_to(sink: Sink) -> Iterator[None]:
    """Have what this context prints, and the threads it starts, taken by a sink until then."""
    output = Output(sink)
    try:
        with printing_to(output):
            yield
    finally:
        output.close()


# What replaces functions of Python. Each factory is given the usual function.


def _starting(usual: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(usual)
    def start(thread: threading.Thread) -> None:
        # An attribute, so that it does not matter what the class of the thread makes of `run`.
        vars(thread)[_MARK] = current()
        usual(thread)

    return start


def _submitting(usual: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(usual)
    def submit(pool: Any, /, *task: Any, **named: Any) -> Any:
        # The threads of a pool serve several jobs, so it does not matter who has started them.
        # Interpreters of their own are sent theirs, and print for nobody.
        if task and not has_interpreters(pool):
            task = (_make_task, current(), *task)
        return usual(pool, *task, **named)

    return submit


def _logging(usual: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(usual)
    def handle(record: LogRecord) -> None:
        # What longop logs in the thread of a job, with tracebacks, is not what the job prints.
        with printing_to(_NOBODYS):
            usual(record)

    return handle


def _make_task(output: Output, function: Callable[..., Any], /, *args: Any,
               **named: Any) -> Any:
    with printing_to(output):
        return function(*args, **named)


class _Replacement:
    """A function of Python that can be replaced, and put back."""

    def __init__(self, holder: Any, name: str,
                 make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        self._holder = holder
        self._name = name
        self._make = make
        self._usual: Any = None
        self._ours: Any = None  # there while it is in place

    def put_in(self) -> None:
        """Replace the function. Harmless if that is so."""
        if self._ours is None:
            self._usual = getattr(self._holder, self._name)
            self._ours = self._make(self._usual)
            setattr(self._holder, self._name, self._ours)

    def take_out(self) -> None:
        """Put the usual one back, unless somebody has replaced ours: then ours is behind it."""
        if getattr(self._holder, self._name) is self._ours:
            setattr(self._holder, self._name, self._usual)
            self._ours = None


_replacements: list[_Replacement] = []


def follow_threads() -> None:
    """Have threads, and the tasks of pools, print for the job that they come from.

    One thread at a time may call this, and `leave_threads`.
    """
    from concurrent.futures import ThreadPoolExecutor  # which Python loads when it is needed

    if not _replacements:
        _replacements.append(_Replacement(threading.Thread, "start", _starting))
        _replacements.append(_Replacement(ThreadPoolExecutor, "submit", _submitting))
        _replacements.append(_Replacement(logger, "handle", _logging))
    for replacement in _replacements:
        replacement.put_in()


def leave_threads() -> None:
    """Undo `follow_threads`."""
    for replacement in _replacements:
        replacement.take_out()
