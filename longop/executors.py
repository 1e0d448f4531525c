"""Where a function's code runs. So far: in a daemon thread of its own for each job.

An executor takes a `Job` and a `Call`, and sees to it that ``job.finish`` is called once, when
the code has ended. Knows nothing of HTTP.
"""

from __future__ import annotations

import contextlib
import inspect
import itertools
import threading
from dataclasses import dataclass
from typing import Any, AsyncGenerator, Awaitable, Callable, Generator, Mapping

from .callback import AdaptedCallback, Callback
from .job import Job, logger
from .signature import Signature


@dataclass(frozen=True)
class Call:
    """One call of a function, ready to be made wherever its code is to run.

    ``cancel`` is the function's companion or None. It is called when a cancel has not taken hold
    after ``grace`` seconds; at once if the function takes no callback.
    """

    function: Callable[..., Any]
    signature: Signature
    parameters: Mapping[str, Any]
    cancel: Callable[[], object] | None
    grace: float

    def run(self, callback: Callback) -> Any:
        """Make the call and return the function's value, whatever shape the function has."""
        ended = threading.Event()
        if self.cancel is not None:
            # In a thread, for it waits, may block, and must not hold up whoever cancels.
            companion = threading.Thread(target=self._companion, args=(callback, ended),
                                         name="longop-cancel", daemon=True)
            callback.on_cancel(companion.start)
        try:
            args, kwargs = self.signature.bind(self.parameters, callback)
            value = self.function(*args, **kwargs)
            # A generator or a coroutine has only begun here, and is brought to its end.
            if inspect.isgenerator(value):
                return _drive_generator(value, callback)
            if inspect.isasyncgen(value):
                value = _drain(value, callback)
            if inspect.isawaitable(value):
                return _drive_coroutine(value, callback, self.grace)
            return value
        finally:
            ended.set()

    def _companion(self, callback: Callback, ended: threading.Event) -> None:
        if self.cancel and not ended.wait(self.grace if self.signature.callback else 0):
            callback.told = True
            try:
                self.cancel()
            except Exception:
                logger.exception("%r, called to stop %r, raised", self.cancel, self.function)


def run_in_thread(job: Job, call: Call) -> None:
    """Run a call in a daemon thread of its own.

    Not in a pool: a job that is stuck must hold up neither another one nor the interpreter's exit.
    """
    threading.Thread(target=_run, args=(job, call), name=f"longop-{job.id}", daemon=True).start()


def _run(job: Job, call: Call) -> None:
    logger.info("%r", job)
    try:
        value = call.run(job.callback)
    except BaseException as error:  # SystemExit too: whatever it is, the code has ended
        job.finish(error=error)
    else:
        job.finish(value)


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


def _drive_coroutine(awaitable: Awaitable[Any], callback: Callback, grace: float) -> Any:
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
