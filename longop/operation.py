"""`LongOperation`: one function and its options, to start jobs of it and to find them again.

    start ─▶ signature ─▶ Call ─▶ dispatcher ─▶ Job

Knows nothing of HTTP. Which job runs when is `dispatcher`'s; the life of one run is `job`'s.
"""

from __future__ import annotations

import functools
import inspect
import os
import types
from concurrent.futures import Executor
from typing import (TYPE_CHECKING, Any, AsyncIterator, Callable, Coroutine, Generator, Generic,
                    Iterable, Iterator, Mapping, TypeVar, Union, overload)

from .functions import methods
from .callback import Callback
from . import dispatcher
from .dispatcher import WHEN_BUSY, Dispatcher, Owner, WhenBusy, stop_all
from .errors import LongOperationError
from .executors import Call, hears_by_itself, make_backend
from .guard import NEVER, Clock, Guard
from .history import HistoryBase, Listed, open_history
from .job import Job, logger
from .functions.adapted import AdaptedCallback, Report, check_report
from .functions.shapes import block_size_total
from .signature import (CallbackName, Parameters, module_name, parameters_of,
                        unwrap_partial)
from .status import State, Status

__all__ = ["WHEN_BUSY", "LongOperation", "Owner", "close_all", "list_jobs",
           "long_operation"]

if TYPE_CHECKING:
    # Every type checker brings this module along; at run time it is not needed.
    import typing_extensions

    # The defaults let ``LongOperation`` stand for ``LongOperation[..., Any]``.
    P = typing_extensions.ParamSpec("P", default=...)
    T = typing_extensions.TypeVar("T", default=Any)
    V = typing_extensions.TypeVar("V", covariant=True, default=Any)
    Q = typing_extensions.ParamSpec("Q")
    S = TypeVar("S")

    class _Generic(Generic[P, V]):
        pass
else:
    P = TypeVar("P")
    T = TypeVar("T")
    V = TypeVar("V")

    class _Generic:
        """Lets ``LongOperation[..., str]`` be written; Python 3.8 has no ``ParamSpec``."""

        def __class_getitem__(cls, parameters):
            return cls

_LOWEST = {"limit": 1, "max_queued": 0, "timeout": 0, "stall_timeout": 0, "grace": 0}

# What functions return that do not return the value of their job: see `LongOperation.start`.
_Nothing = Union[None, Coroutine[Any, Any, None]]
_Items = Union[Generator[T, Any, None], AsyncIterator[T]]
_Unfinished = Union[Generator[Any, Any, T], Coroutine[Any, Any, T]]


class LongOperation(_Generic[P, V]):
    """A function that takes long: start it, watch it, cancel it.

    Decorators use `long_operation`. Calling the operation calls the plain function.

    In a class it is a method: ``thing.method`` is the operation bound to an object, with the
    limit, queue, history, jobs and keys of ``Class.method``, which all objects share. A class
    method's decorator stands above ``@classmethod``.

    :param function: anything that can be called: a function that takes a callback, a generator
        function (each item it yields is a report), a coroutine function, or one that never
        reports.
    :param name: the operation's name at every door. Default: the function's name.
    :param callback: name of the parameter that takes the callback, or False if there is none.
        By default it is found: it is annotated with a ``Callable`` or a class such as
        `Callback`, or is called ``callback``, ``progress``, ``reporthook``, ``on_progress``,
        ``progress_callback``, ``hook``, ``cb``, ``progress_hook``, ``progress_cb``,
        ``callback_fn``, ``on_step``, ``on_update``, ``update``, ``reporter``, ``monitor`` or
        ``listener``. Any other parameter without a default and an annotation is in doubt: that
        is a ``TypeError``.
    :param report: converts whatever the function passes to its callback, or yields, to a
        mapping with some of ``result, step, total, message``, and ``returns``: what the
        callback returns. A class is called once for each job, so that its object can keep
        something from report to report. A ``reporthook`` needs none.
    :param cancel: the function's companion, called without arguments when a cancel has not
        taken hold after ``grace`` seconds.
    :param executor: where the code runs: ``"thread"``, ``"process"`` (which can be killed), or
        any ``concurrent.futures.Executor``.
    :param report_to: host and port at which the workers of such an executor reach this
        machine. Port 0 is any free port.
    :param timeout: seconds that a job's code may run, from when it begins where it runs. None
        or 0: no limit.
    :param stall_timeout: seconds that it may run without a report. None or 0: no limit.
    :param grace: seconds between the steps of a cancel: the callback, the companion, and, for
        a process, SIGTERM and SIGKILL. A signal reaches the process and all that it has
        started, but for what has begun a session of its own: a daemon, or a child with
        ``start_new_session=True``, lives on.
    :param limit: number of jobs that may run at once.
    :param when_busy: what a start does when that many run: ``"queue"`` the new job,
        ``"reject"`` it, ``"replace"`` the oldest job, which is cancelled first, or ``"join"``:
        return the oldest job that was not told to stop. Without one, the new job is queued.
    :param max_queued: number of jobs that may wait.
    :param history: remembers finished jobs: a `History`, or the name of an sqlite3 file.
        Default: the newest 100 jobs, at most 16 MiB, in memory.
    :param show_tracebacks: whether the log of a job that fails ends with the traceback, which
        tells clients about files and code here.
    :param owner: what the operation is a part of, such as an adapter.
    :param clock: tells the time for deadlines.

    Raises ``TypeError`` or ``ValueError`` for an option that does not fit, `HistoryError`, and
    `LongOperationError` if an option needs a part of longop that is not in this copy.
    """

    def __init__(self, function: Callable[P, V], *, name: str | None = None,
                 callback: CallbackName = None, report: Report | None = None,
                 cancel: Callable[[], object] | None = None,
                 executor: str | Executor = "thread",
                 report_to: tuple[str, int] = ("127.0.0.1", 0), timeout: float | None = None,
                 stall_timeout: float | None = None, grace: float = 2.0, limit: int = 1,
                 when_busy: WhenBusy = "queue", max_queued: int = 100,
                 history: HistoryBase | str | os.PathLike[str] | None = None,
                 show_tracebacks: bool = False, owner: Owner | None = None,
                 clock: Clock | None = None) -> None:
        # For `replace` too, which makes another operation.
        self._options: dict[str, Any] = {
            "name": name, "callback": callback, "report": report, "cancel": cancel,
            "executor": executor, "report_to": report_to, "timeout": timeout,
            "stall_timeout": stall_timeout, "grace": grace, "limit": limit,
            "when_busy": when_busy, "max_queued": max_queued, "history": history,
            "show_tracebacks": show_tracebacks, "owner": owner, "clock": clock}
        self._given = function
        function, self._binding = methods.binding_of(function)
        # Of one that is bound to an object: the operation itself, and the object.
        self._unbound: LongOperation[..., V] | None = None
        self._receiver: Any = None
        _check(function, self._options)
        self.owner = owner
        self.limit = limit
        self.when_busy = when_busy
        self.max_queued = max_queued
        self._describe(function)
        self.signature = parameters_of(function, callback)
        self._report = report
        if report is None and self.signature.callback == "reporthook":
            self._report = block_size_total
        self._dispatcher = self._make_dispatcher()
        #: The jobs that have not ended, by id: running and queued, oldest first.
        self.live = self._dispatcher.live
        self._requeue()

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> V:
        """Call the plain function."""
        value: V = self.function(*args, **kwargs)
        return value

    def __repr__(self) -> str:
        text = f"LongOperation {self.module}/{self.name}"
        if self._unbound is not None:
            text += f" of {methods.name_of(self._receiver)}"
        return f"<{text}>"

    def __reduce__(self) -> Any:
        # Pickled, it is the operation of that name if it decorates a function, else a plain
        # call of the function.
        if self._unbound is not None:
            return methods.bound_to, (self._unbound, self._receiver)
        found = methods.find(self.__module__, getattr(self, "__qualname__", ""))
        named = getattr(found, "unbound", None)
        if named is not None and named.function is self.function:
            return methods.operation_of, (named._plain, named._binding)
        return functools.partial, (self.function,)

    # A method's operation is bound as its function would be: ``thing.method``.

    # For type checkers; the last one is for what is no method, as a field of a dataclass.

    @overload
    def __get__(self, receiver: None,
                owner: type[Any] | None = None) -> LongOperation[P, V]: ...
    @overload
    def __get__(self: LongOperation[typing_extensions.Concatenate[S, Q], V], receiver: S,
                owner: type[Any] | None = None) -> LongOperation[Q, V]: ...
    @overload
    def __get__(self, receiver: object,
                owner: type[Any] | None = None) -> LongOperation[P, V]: ...

    def __get__(self, receiver: Any, owner: type[Any] | None = None) -> Any:
        """Return the operation bound to an object; on its class, the operation itself."""
        if self._binding is methods.Binding.CLASS:
            receiver = type(receiver) if owner is None else owner
        if self._binding is methods.Binding.NONE or receiver is None:
            return self
        return self.bound_to(receiver)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LongOperation):
            return NotImplemented
        return self.unbound is other.unbound and self._receiver is other._receiver

    def __hash__(self) -> int:
        return hash((id(self.unbound), id(self._receiver)))

    def bound_to(self, receiver: Any) -> LongOperation[..., V]:
        """Return this operation, with its jobs, for one object that it is a method of."""
        root = self.unbound
        bound = object.__new__(type(self))
        vars(bound).update(vars(root))  # the same dispatcher: the same jobs, limit and queue
        bound._unbound = root
        bound._receiver = receiver
        bound._binding = methods.Binding.NONE
        bound.function = types.MethodType(root.function, receiver)
        bound._given = bound.function
        bound.__wrapped__ = bound.function  # type: ignore[attr-defined]
        bound.signature = root._bound_signature
        return bound

    @property
    def unbound(self) -> LongOperation[..., V]:
        """The operation whose jobs these are: itself, unless it is bound to an object."""
        return self if self._unbound is None else self._unbound

    @functools.cached_property
    def _bound_signature(self) -> Parameters:
        # That of any object's method: the first parameter is left out.
        method = types.MethodType(self.function, self)
        return parameters_of(method, self._options["callback"])

    @property
    def companion(self) -> Callable[[], object] | None:
        """The function's own means of stopping; ``replace(cancel=...)`` gives it another."""
        companion: Callable[[], object] | None = self._options["cancel"]
        return companion

    @property
    def hears_cancel(self) -> str | None:
        """What of a running job hears a cancel first, or None if nothing does.

        ``"callback"`` is the function's own; else its ``"companion"`` is called, or its
        ``"process"`` ends.
        """
        if self.signature.callback or hears_by_itself(self.function):
            return "callback"
        if self.companion is not None:
            return "companion"
        return "process" if self._options["executor"] == "process" else None

    def replace(self, **options: Any) -> LongOperation[P, V]:
        """Return the same operation with some options changed, and without its jobs."""
        return type(self)(self._given, **{**self._options, **options})

    # For type checkers: a coroutine function or a generator function is run to its end, and a
    # function that returns None has its last report as its value.
    @overload
    def start(self: LongOperation[P, _Nothing], /, **parameters: Any) -> Job[Any]: ...
    @overload
    def start(self: LongOperation[P, _Items[T]], /, **parameters: Any) -> Job[T]: ...
    @overload
    def start(self: LongOperation[P, _Unfinished[T]], /, **parameters: Any) -> Job[T]: ...
    @overload
    def start(self: LongOperation[P, Iterator[T]], /, **parameters: Any) -> Job[T]: ...
    @overload
    def start(self: LongOperation[P, T], /, **parameters: Any) -> Job[T]: ...

    def start(self, /, **parameters: Any) -> Job[Any]:
        """Start a job with the function's parameters, without the callback.

        In a thread it runs in a copy of the caller's context (``contextvars``), as with
        ``asyncio.to_thread``, also if it has to wait for its turn first.

        Raises `BadParameters` if one is missing or unknown, `TargetError` for a function that
        another process cannot import, and `Busy`.
        """
        return self.submit(parameters)

    @overload
    def start_once(self: LongOperation[P, _Nothing], key: str, /,
                   **parameters: Any) -> Job[Any]: ...
    @overload
    def start_once(self: LongOperation[P, _Items[T]], key: str, /,
                   **parameters: Any) -> Job[T]: ...
    @overload
    def start_once(self: LongOperation[P, _Unfinished[T]], key: str, /,
                   **parameters: Any) -> Job[T]: ...
    @overload
    def start_once(self: LongOperation[P, Iterator[T]], key: str, /,
                   **parameters: Any) -> Job[T]: ...
    @overload
    def start_once(self: LongOperation[P, T], key: str, /, **parameters: Any) -> Job[T]: ...

    def start_once(self, key: str, /, **parameters: Any) -> Job[Any]:
        """Start a job, or return the one that was started with this key before.

        A key whose start joined another job means that job: until this operation ends, or with a
        history in a file, beyond that.

        Raises as `start` does, `KeyReused` if that job was started with other parameters, and
        `ForgottenJob` if it is no longer kept.
        """
        return self._dispatcher.start_once(key, parameters, self.submit)

    def submit(self, parameters: Mapping[str, Any], id: str | None = None,
               earlier: Status | None = None) -> Job[Any]:
        """Start a job as `start` does, with these parameters and, if given, this id.

        :param earlier: what it was when the last server ended, if it waited then.
        """
        self.signature.check(parameters)
        callback = Callback() if self._report is None else AdaptedCallback(self._report)
        arguments, keywords = self.signature.bind(parameters, callback)
        call = Call(self, arguments, keywords, callback, self.companion,
                    self._dispatcher.guard.grace)
        return self._dispatcher.submit(call, parameters, id, earlier)

    def jobs(self) -> list[Status]:
        """Return the status of each known job, newest first.

        Of a history in a file these are the newest 1,000, without their results.
        """
        return self._dispatcher.statuses()

    def find_alive(self, id: str) -> Job[Any] | None:
        """Return a job that has not ended, or None.

        A job that is no longer among `live`, but whose Future is not done yet, is one too.
        """
        return self._dispatcher.find_alive(id)

    def status(self, id: str) -> Status:
        """Return a job's status; raise `UnknownJob` or `ForgottenJob`."""
        return self._dispatcher.status(id)

    def parameters(self, id: str) -> Any:
        """Return a job's parameters, as JSON has them, or None if they are unknown or large.

        Uploaded files are left out.
        """
        return self.shown(self._dispatcher.history.parameters(id))

    def shown(self, known: Any) -> Any:
        """Return what is shown of a job's parameters, as the history has them."""
        if not isinstance(known, dict):
            return None
        return {name: value for name, value in known.items()
                if not self.signature.takes_file(name)}

    def log(self, id: str) -> str:
        """Return the last lines that a job printed: see `Job.log`."""
        return self._dispatcher.extras(id).log

    def series(self, id: str) -> Mapping[str, Any]:
        """Return the numbers that a job reported: see `Job.series`."""
        return self._dispatcher.extras(id).series

    def forget(self, id: str) -> None:
        """Drop a finished job; raise `Busy` for a live one, `UnknownJob` or `ForgottenJob`."""
        self._dispatcher.forget(id)

    def kill(self) -> None:
        """End the processes of its jobs at once; what runs in a thread cannot be killed."""
        self._dispatcher.backend.close()

    def close(self) -> None:
        """End the jobs, and close the processes, owner and history: see `close_all`.

        A method's operation ends for all objects, because they share its jobs. The owner and
        the history are closed even if other operations share them: nobody knows whether those
        will be used again. To end several operations, close them together.
        """
        close_all([self])

    def _describe(self, function: Callable[P, V]) -> None:
        # Copies the function's name and docstring, but not what an object that can be called
        # holds: that might hide methods of ours.
        functools.update_wrapper(self, function, updated=())
        self.function: Any = function
        plain = unwrap_partial(function)
        self.module = module_name(plain)
        name = getattr(self, "__qualname__", "")
        self._plain = methods.plain_of(function, self.__module__, name)
        usual = getattr(plain, "__name__", type(plain).__name__)
        self.name: str = self._options["name"] or str(usual)
        documentation = inspect.getdoc(plain) or ""  # None under ``python -OO``
        #: The whole docstring, and its first paragraph.
        self.documentation = documentation
        self.description = documentation.partition("\n\n")[0]

    def _make_dispatcher(self) -> Dispatcher:
        options = self._options
        history = open_history(options["history"])
        if options["history"] is not None:
            options["history"] = history  # so that `replace` does not open a file again
        guard = Guard(
            options["grace"], options["timeout"] or NEVER, options["stall_timeout"] or NEVER,
            history.interval, history.track, options["clock"] or Clock())
        return Dispatcher(
            (self.module, self.name), history=history, guard=guard,
            backend=make_backend(options["executor"], options["report_to"]),
            owner=self.owner, limit=options["limit"], when_busy=options["when_busy"],
            max_queued=options["max_queued"], show_tracebacks=options["show_tracebacks"])

    def _requeue(self) -> None:
        """Start the jobs that waited when the last server ended, as they were."""
        history = self._dispatcher.history
        for status, values in history.requeued.pop((self.module, self.name), ()):
            given = {name: [value] for name, value in values.items()}
            try:
                self.submit(self.signature.parse(given), earlier=status)
            except LongOperationError as error:
                logger.error("job %s does not wait again: %s", status.id, error)
                history.interrupt(status)


@overload
def long_operation(function: Callable[P, T], /) -> LongOperation[P, T]: ...
@overload
def long_operation(
    *, name: str | None = None, callback: CallbackName = None, report: Report | None = None,
    cancel: Callable[[], object] | None = None, executor: str | Executor = "thread",
    report_to: tuple[str, int] = ..., timeout: float | None = None,
    stall_timeout: float | None = None, grace: float = 2.0, limit: int = 1,
    when_busy: WhenBusy = "queue", max_queued: int = 100,
    history: HistoryBase | str | os.PathLike[str] | None = None, show_tracebacks: bool = False,
    owner: Owner | None = None, clock: Clock | None = None,
) -> Callable[[Callable[P, T]], LongOperation[P, T]]: ...


def long_operation(function: Any = None, /, **options: Any) -> Any:
    """Make a `LongOperation` of a function: a decorator, with or without options.

    ``@long_operation`` and ``@long_operation(limit=2)``; the options are `LongOperation`'s.
    """
    if function is None:
        return functools.partial(LongOperation, **options)
    return LongOperation(function, **options)


def close_all(operations: Iterable[LongOperation]) -> None:
    """End operations: nothing starts any more, and what runs is told to stop.

    What still runs after the grace period is killed if it is in a process; a thread cannot be.
    What waits is `interrupted`. Then each owner is closed, and after them each history.
    """
    operations = list(operations)
    stop_all(operation._dispatcher for operation in operations)
    # Each once, in the order of the operations, which may share them.
    for owner in dict.fromkeys(operation.owner for operation in operations):
        if owner is not None:
            _close(owner)
    for history in dict.fromkeys(operation._dispatcher.history for operation in operations):
        _close(history)


def list_jobs(operations: Iterable[LongOperation], limit: int, state: State | None = None,
              before: str | None = None) -> list[Listed]:
    """Return jobs of some operations, as `dispatcher.list_jobs` does, with what is shown."""
    by_name = {operation._dispatcher.name: operation for operation in operations}
    dispatchers = [operation._dispatcher for operation in by_name.values()]
    found = []
    for status, parameters in dispatcher.list_jobs(dispatchers, limit, state, before):
        operation = by_name[status.module, status.operation]
        found.append(Listed(status, operation.shown(parameters)))
    return found


def _close(part: Owner | HistoryBase) -> None:
    try:
        part.close()
    except Exception:  # its mistake must not keep the others from being closed
        logger.exception("closing %r raised", part)


def _check(function: object, options: Mapping[str, Any]) -> None:
    """Raise ``TypeError`` or ``ValueError`` for what no other module looks at."""
    if not callable(function):
        raise TypeError(f"{function!r} is not a function")
    for name, lowest in _LOWEST.items():
        value = options[name]
        if value is not None and not value >= lowest:  # NaN is not at least anything
            raise ValueError(f"{name} must be at least {lowest}, not {value}")
    if options["when_busy"] not in WHEN_BUSY:
        raise ValueError(f"when_busy must be one of {WHEN_BUSY}, not {options['when_busy']!r}")
    if options["report"] is not None:
        check_report(options["report"])
