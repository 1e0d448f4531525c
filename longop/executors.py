"""A call of a function, and where its code runs: here, in a thread.

The `workers` wing runs it elsewhere. Knows nothing of HTTP.
"""

from __future__ import annotations

import abc
import contextlib
import functools
import inspect
import itertools
from typing import Any, AsyncGenerator, Awaitable, Callable, Generator

from . import wings
from .callback import NOTHING, Callback
from .errors import OperationCancelled
from .guard import Guard, Rung
from .job import Job
from .functions.adapted import AdaptedCallback
from .functions.output import going_to


_KINDS_THAT_HEAR = (
    inspect.isgeneratorfunction, inspect.isasyncgenfunction, inspect.iscoroutinefunction)


class _Place:
    """Stands itself where the callback stood among the arguments, while a call travels."""


class Call:
    """One call of a function, ready to be made where its code is to run.

    Pickled, it leaves its callback behind and has a twin of it where it arrives. A callback
    that is inside an argument, such as a partial, is not replaced: pickling it raises.

    :param callback: is among the arguments too, if the function takes one.
    :param stop: the function's companion, or None.
    :param grace: seconds that a coroutine has to end by itself once it has seen the cancel.
    :param data: the pickled call, for a backend that sends it.
    """

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...],
                 kwargs: dict[str, Any], callback: Callback, stop: Callable[[], object] | None,
                 grace: float, data: bytes = b"") -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.callback = callback
        self.stop = stop
        self.grace = grace
        self.data = data

    def __reduce__(self) -> Any:
        args = tuple(self._to_place(argument) for argument in self.args)
        kwargs = {name: self._to_place(value) for name, value in self.kwargs.items()}
        rest = self.stop, self.grace, self.data
        return _rebuild, (self.callback.recipe(), self.function, args, kwargs, rest)

    def run(self) -> Any:
        """Make the call in this thread; return the function's value, whatever its kind."""
        self.callback.begin()
        value = self._make()
        return None if value is NOTHING else value

    def _make(self) -> Any:
        value = self.function(*self.args, **self.kwargs)
        if value is NOTHING:  # from ``return callback(...)``; it need not be awaited
            return None
        # A generator or a coroutine has only been made so far, and is now run to its end.
        if inspect.isgenerator(value):
            return _drive_generator(value, self.callback)
        if inspect.isasyncgen(value):
            value = _drain(value, self.callback)
        if inspect.isawaitable(value):
            return drive_coroutine(value, self.callback, self.grace)
        return value

    @property
    def stop_name(self) -> str:
        """What a job's error calls its companion."""
        return str(getattr(self.stop, "__name__", repr(self.stop)))

    def hears_cancel(self) -> bool:
        """Return whether a cancel can reach the function without its companion.

        It can by the callback, in a generator where it yields, in a coroutine where it waits.
        """
        arguments = (*self.args, *self.kwargs.values())
        if any(argument is self.callback for argument in arguments):
            return True
        return hears_by_itself(self.function)

    def _to_place(self, argument: Any) -> Any:
        return _Place if argument is self.callback else argument


def hears_by_itself(function: Any) -> bool:
    """Return whether a cancel reaches a function without a callback, where it yields or waits."""
    code = _code_of(function)
    return any(is_of_kind(code) for is_of_kind in _KINDS_THAT_HEAR)


def _code_of(function: Any) -> Any:
    """Return what runs when a function is called that may be wrapped, or a partial."""
    inner = inspect.unwrap(function)
    while isinstance(inner, functools.partial):
        inner = inspect.unwrap(inner.func)
    return inner if inspect.isroutine(inner) else type(inner).__call__


def _rebuild(recipe: tuple[Callable[..., Callback], tuple[Any, ...]],
             function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any],
             rest: tuple[Any, ...]) -> Call:
    """Return the call that was pickled, with a new callback. Runs where it arrives."""
    make, parts = recipe
    callback = make(*parts)

    def fill(argument: Any) -> Any:
        return callback if argument is _Place else argument

    args = tuple(map(fill, args))
    kwargs = {name: fill(value) for name, value in kwargs.items()}
    return Call(function, args, kwargs, callback, *rest)


class Backend(abc.ABC):
    """Where calls are made. It belongs to one operation; the threads of its jobs use it."""

    @property
    def closed(self) -> bool:
        """True once nothing can be run any more."""
        return False

    def check(self, call: Call) -> None:  # noqa: B027  # most can make any call
        """Raise if a call cannot be made. Called in the thread that starts the job."""

    def callback_of(self, call: Call) -> Callback:
        """Return the callback that a call's job listens to; where the code runs is a twin."""
        return Callback()

    @abc.abstractmethod
    def perform(self, job: Job[Any], call: Call, guard: Guard) -> Any:
        """Make a call; return its value once its code has ended. Runs in the job's thread.

        The guard is told what can stop the job beyond its callback and, when the code begins,
        that it does.
        """

    def close(self) -> None:  # noqa: B027  # a thread has nothing to close
        """End what runs, if it can be ended, and what was kept for the next call."""


class ThreadBackend(Backend):
    """Makes calls in this process, in the job's thread."""

    def callback_of(self, call: Call) -> Callback:
        """Return the very callback that the function is handed."""
        return call.callback

    def perform(self, job: Job[Any], call: Call, guard: Guard) -> Any:
        """Make the call in this thread."""
        def stop() -> None:  # what the companion returns says nothing
            assert call.stop is not None
            with going_to(job.take_print):
                call.stop()

        act = functools.partial(job.stop_by, call.stop_name, stop)
        begun = guard(job, companion_rungs(call, act))
        begun()
        with going_to(job.take_print):
            return call.run()


def companion_rungs(call: Call, act: Callable[[], object]) -> list[Rung]:
    """Return the rung that has a call's companion called, if it has one.

    The grace period is for a function that may stop by itself; for another one there is none.
    """
    return [] if call.stop is None else [Rung(call.hears_cancel(), act)]


def make_backend(executor: Any, report_to: tuple[str, int]) -> Backend:
    """Return what makes calls in ``"thread"``, ``"process"`` or an ``Executor``.

    Raises ``ValueError`` for anything else, and `LongOperationError` if `workers` is missing.
    """
    backend: Backend
    if executor == "thread":
        backend = ThreadBackend()
    elif executor == "process":
        processes = wings.require("workers.processes", 'executor="process"')
        backend = processes.ProcessBackend()
    elif hasattr(executor, "submit") and not isinstance(executor, type):
        remote = wings.require("workers.remote", f"executor={executor!r}")
        backend = remote.ExecutorBackend(executor, report_to)
    else:
        raise ValueError("executor must be one of 'thread', 'process' or a "
                         f"concurrent.futures.Executor, not {executor!r}")
    return backend


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
    try:
        async for item in generator:
            report(item)
    finally:
        # Here, and not by the loop when it ends: an error in its ``finally`` is the job's.
        await generator.aclose()


def _reporter(callback: Callback) -> Callable[[Any], None]:
    """Return what reports an item: its adapter if it has one, else with the count of items."""
    if isinstance(callback, AdaptedCallback):
        return callback
    callback.hints = False  # an item and its number are no (done, total)
    steps = itertools.count(1)
    return lambda item: callback(item, next(steps))


def drive_coroutine(awaitable: Awaitable[Any], callback: Callback, grace: float) -> Any:
    """Run it in an event loop of its own, in this thread; return its value.

    On a cancel its task is cancelled where it waits. If it has seen the cancel itself, it has
    ``grace`` seconds to end first.
    """
    import asyncio  # costs more than all of longop, and few need it

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(awaitable)

        def stop() -> None:  # in the loop
            if callback.told:  # the callback has raised, here or in another task
                loop.call_later(grace, task.cancel)
            else:
                callback.told = task.cancel()  # False if the task has ended

        def wake() -> None:  # in the thread that cancels
            with contextlib.suppress(RuntimeError):  # the loop is closed: the function has ended
                loop.call_soon_threadsafe(stop)

        callback.on_cancel(wake)
        return await task

    try:
        return asyncio.run(main())
    except asyncio.CancelledError as error:
        if callback.cancelled:  # it was our cancel
            raise OperationCancelled("the job was cancelled") from error
        raise
