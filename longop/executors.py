"""A call of a function, and where its code runs: here, in a thread.

`processes` and `remote` run it elsewhere. Knows nothing of HTTP.
"""

from __future__ import annotations

import abc
import contextlib
import inspect
import itertools
from dataclasses import dataclass
from typing import Any, AsyncGenerator, Awaitable, Callable, Generator

from .callback import AdaptedCallback, Callback
from .guard import Rung
from .job import Job


@dataclass
class Call:
    """One call of a function, ready to be made wherever its code is to run.

    The ``callback`` is among the arguments, if the function takes one; ``stop`` is its companion,
    or None. Pickled, the call has a new callback.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    callback: Callback
    stop: Callable[[], object] | None
    grace: float
    data: bytes = b""  # of the pickled call, for whoever sends it

    def run(self) -> Any:
        """Make the call and return the function's value, whatever shape the function has."""
        value = self.function(*self.args, **self.kwargs)
        # A generator or a coroutine has only begun here, and is brought to its end.
        if inspect.isgenerator(value):
            return _drive_generator(value, self.callback)
        if inspect.isasyncgen(value):
            value = _drain(value, self.callback)
        if inspect.isawaitable(value):
            return drive_coroutine(value, self.callback, self.grace)
        return value


class Backend(abc.ABC):
    """Where calls are made. One belongs to one operation, and is used by the threads of its jobs."""

    @property
    def closed(self) -> bool:
        """True once nothing can be run any more."""
        return False

    def check(self, call: Call) -> None:
        """Raise if a call cannot be made."""

    def callback_of(self, call: Call) -> Callback:
        """Return the callback that a call's job hears; where the code runs it may have a twin."""
        return Callback()

    @abc.abstractmethod
    def perform(self, job: Job, call: Call) -> Any:
        """Make a call for a job; return its value once the code has ended."""

    def rungs(self, job: Job, call: Call) -> list[Rung]:
        """Return what stops a job, beyond its callback: the companion, if there is one.

        It is not kept waiting where there is no callback to stop the function.
        """
        if call.stop is None:
            return []
        reports = any(arg is call.callback for arg in (*call.args, *call.kwargs.values()))
        name = getattr(call.stop, "__name__", repr(call.stop))
        # Looked up when it is called: what runs elsewhere has changed it to a message by then.
        return [(reports, name, lambda: call.stop and call.stop())]

    def close(self) -> None:
        """End what runs, if it can be ended, and what was kept for the next call."""


class ThreadBackend(Backend):
    """Makes calls in this process, in the thread of the job."""

    def callback_of(self, call: Call) -> Callback:
        """Return the very callback that the function is handed."""
        return call.callback

    def perform(self, job: Job, call: Call) -> Any:
        """Make the call in this thread."""
        return call.run()


def _drive_generator(generator: Generator[Any, Any, Any], callback: Callback) -> Any:
    """Report what it yields; return what it returns. On a cancel its ``finally`` runs."""
    report = _reporter(callback)
    with contextlib.closing(generator):
        while True:
            try:
                item = next(generator)
            except StopIteration as stop:
                return stop.value
            report(item)


async def _drain(generator: AsyncGenerator[Any, Any], callback: Callback) -> None:
    report = _reporter(callback)
    async for item in generator:
        report(item)


def _reporter(callback: Callback) -> Callable[[Any], None]:
    """Return what reports an item: as its adapter has it, else with the count of the items."""
    if isinstance(callback, AdaptedCallback):
        return callback
    steps = itertools.count(1)
    return lambda item: callback(item, next(steps))


def drive_coroutine(awaitable: Awaitable[Any], callback: Callback, grace: float) -> Any:
    """Run it in a loop of its own. On a cancel its task is cancelled where it waits."""
    import asyncio  # costs more than all of longop, and few need it

    async def main() -> Any:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(awaitable)

        def stop() -> None:
            if callback.told:  # the callback has raised, here or in a task beside this one
                loop.call_later(grace, task.cancel)
            else:
                callback.told = task.cancel()  # False if it has ended

        callback.on_cancel(lambda: loop.call_soon_threadsafe(stop))
        return await task

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        callback.check()
        raise
