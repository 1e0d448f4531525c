"""`Adapter`: a module made of an adapter, a class that derives from ``ModuleRunner``.

    request ──▶ ModuleRunner.process ─┬─ a mapping ──▶ the answer
                                      └─ a function ──▶ a job, which calls it

Each route in the settings is an operation. The adapter knows nothing of jobs: it reports, and
is stopped, at `checkpoints`.
"""

from __future__ import annotations

import contextlib
import inspect
import threading
from typing import Any, Callable, Dict, Iterator, Mapping, Sequence

from ..callback import Callback
from ..dispatcher import Dispatcher
from ..errors import Busy, TargetError
from ..executors import ThreadBackend, drive_coroutine
from ..operation import LongOperation
from ..status import State, Status
from . import checkpoints
from .checkpoints import Checkpoints
from .hosted import HostedModule
from .module import Begun, StartRequest, say_unable
from .request import RequestData
from .sdk import ModuleRunner
from .settings import Inputs, RouteMap

#: The keys that an adapter cannot set.
_RESERVED = ("commandId", "commandStatus")


class Adapter(HostedModule):
    """A module made of an adapter. Its commands are what `ModuleRunner.process` makes of them.

    Begins the adapter. Raises `TargetError` if it cannot begin.
    """

    def __init__(self, runner: ModuleRunner) -> None:
        super().__init__(runner)
        # Of all its operations, also those that `LongOperation.replace` has made others of.
        self._adopted: list[Dispatcher] = []
        with beginning(type(runner)):
            _initialise(runner)
            # After that, because an adapter may set it when it begins.
            runner.parallelism = max(1, runner.parallelism)
        self._turns = Turns(runner.parallelism)

    @property
    def device(self) -> str:
        """What the adapter says that it computes on."""
        return self.runner.inference_device

    def load(self) -> list[LongOperation]:
        """Return an operation for each route; without settings there is one, ``run``."""
        by_path = {route.path.lower(): route for route in self.settings.routes}
        routes = list(by_path.values())
        if not routes:
            routes = [RouteMap(f"{self.id}/run", self.name, "run", "", Inputs())]
        commands = [Command(self, route, name)
                    for route, name in zip(routes, _names_of(routes))]
        return [LongOperation(command, when_busy="reject", owner=self) for command in commands]

    # As the owner of its operations: an adapter has one long command at a time.

    def adopt(self, dispatcher: Dispatcher) -> None:
        """Take in the jobs of a route."""
        name = "/".join(dispatcher.name)
        if not isinstance(dispatcher.backend, ThreadBackend):
            raise ValueError(f"{name}: an adapter's commands run where the adapter is, in "
                             "this process: another executor cannot be given to them")
        if (dispatcher.limit, dispatcher.when_busy) != (1, "reject"):
            raise ValueError(f"{name}: an adapter has one long command at a time, and "
                             "rejects others: limit and when_busy cannot change that")
        self._adopted.append(dispatcher)

    def admit(self) -> None:
        """Let nothing start while any command runs. Called with the lock held."""
        for other in self._adopted:
            for job in other.live.values():
                raise Busy("A long running command is already in progress", job.id)

    # As a module

    def paths(self, operation: LongOperation) -> list[str]:
        """Return the path from the settings, then our own."""
        return [operation.function.route.path, *super().paths(operation)]

    def command_of(self, operation: LongOperation) -> str:
        """Return the command of the operation's route."""
        command: str = operation.function.route.command
        return command

    def begin(self, operation: LongOperation, request: StartRequest) -> Begun:
        """Ask the adapter; start a job if that takes long, or to ask it once for a key."""
        if request.key or request.must_be_job:
            return super().begin(operation, request)  # its job asks the adapter
        values = operation.function.signature.receive(request.values)
        command = self.command_of(operation)
        data = RequestData.of(values, command, request.segments, request.id)
        return self._ask(data, operation)

    def process(self, data: RequestData) -> Begun:
        """Ask the adapter for what a request from the queue wants."""
        for operation in self.operations:
            if self.command_of(operation) == data.command:
                return self._ask(data, operation)
        # No route has this command, but process() may know it.
        return self._ask(data, self.operations[0])

    def progress(self, status: Status) -> dict[str, Any]:
        """Return what the adapter says of a job that is alive."""
        try:
            return _without_reserved(self.runner.command_status() or {})
        except Exception as error:
            self.runner.report_error(error, self.id)
            return {}

    def seen(self, status: Status) -> Status:
        """Return a command that ended by itself after a cancel as completed.

        CodeProject's SDK says so of it, and public pages poll until it does. What a command
        returns has a ``success``; what it was stopped at, its last report, never has.
        """
        result = status.result
        if status.state is State.CANCELLED and isinstance(result, dict) and \
                result.get("success") is True:
            return status.replace(state=State.COMPLETED, error=None)
        return status

    def outcome(self, status: Status) -> dict[str, Any]:
        """Return what a long command returned, or, if it did not, what it last reported.

        If it was told to stop, that is added where it does not say so; and, if it was stopped,
        how long it took.
        """
        said = _outcome_of(status.result)
        if status.stop_reason in ("completed", "error"):
            return said
        facts = super().outcome(status)
        del facts["result"]
        if status.state is State.COMPLETED:  # see `seen`
            facts = {"stop_reason": status.stop_reason}
        return {**said, **{key: fact for key, fact in facts.items() if key not in said}}

    def run(self, method: Callable[..., Any] | None, data: RequestData,
            callback: Callback) -> Any:
        """Do what takes long, with checkpoints in it. Called in the thread of a job.

        :param method: what ``process()`` has returned, or None if it was not asked yet.
        """
        answer: dict[str, Any] = {"success": False}
        try:
            with Checkpoints(self.runner, callback) as force:
                output = self._process(data, force) if method is None else method
                while callable(output):  # what `process` returns may have to be called in turn
                    output = _call(output, data, force)
            answer = _as_answer({} if output is None else output)
            return output
        finally:
            self.count(answer)

    def _ask(self, data: RequestData, operation: LongOperation) -> Begun:
        """Return the adapter's answer, or the job of what takes long."""
        try:
            output = self._process(data, Callback())
            if not callable(output):
                answer = _as_answer(output)
                self.count(answer)
                return answer
        except BaseException as error:  # SystemExit too: a request does not end the module
            self.runner.report_error(error, self.id)
            with contextlib.suppress(Exception):  # it may be update_statistics() that raised
                self.count({"success": False})
            return say_unable(data.request_id)
        prepared = _Prepared(data, output)
        return self.after_stopping(
            lambda: operation.submit(prepared, data.request_id or None))

    def _process(self, data: RequestData, force: Callback) -> Any:
        """Call ``process()`` when it is its turn."""
        with self._turns.take(force):
            return _call(self.runner.process, data, force)


class Turns:
    """Lets so many threads work at once, in whatever order.

    A semaphore with a wait that a cancel ends.
    """

    def __init__(self, count: int) -> None:
        self._free = count  # guarded by the condition
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def take(self, callback: Callback) -> Iterator[None]:
        """Wait for a turn. Raises `OperationCancelled` if the callback is cancelled first."""
        with self._changed:
            callback.on_cancel(self._wake)
            while not self._free:
                callback.check()
                self._changed.wait()
            self._free -= 1
        try:
            yield
        finally:
            with self._changed:
                self._free += 1
                self._changed.notify()

    def _wake(self) -> None:
        """Have those that wait look again. Called in the thread that cancels."""
        with self._changed:
            self._changed.notify_all()


class Command:
    """What the operation of a route calls, in the thread of a job."""

    def __init__(self, adapter: Adapter, route: RouteMap, name: str) -> None:
        self.adapter = adapter
        self.route = route
        self.signature = route.inputs
        # The operation is named after these. A dot would be read as one of a package's name.
        self.__module__ = adapter.id.replace(".", "_")
        self.__name__ = name
        self.__doc__ = route.description or route.name

    def __call__(self, callback: Callback, values: Mapping[str, Any]) -> Any:
        """Run the function that `process` returned; if it was not asked yet, ask it first."""
        if isinstance(values, _Prepared):
            return self.adapter.run(values.method, values.data, callback)
        lists = {name: value if isinstance(value, list) else [value]
                 for name, value in values.items()}
        data = RequestData.of(lists, self.route.command, [])
        return self.adapter.run(None, data, callback)

    def __reduce__(self) -> Any:
        raise TypeError("an adapter's commands need their adapter, which is in this process")


class _Prepared(Dict[str, Any]):
    """The values of a request, with the request, and the function that `process` returned."""

    def __init__(self, data: RequestData, method: Callable[..., Any]) -> None:
        super().__init__()
        for name, given in data.parameters().items():
            self[name] = given[0] if len(given) == 1 else given
        self.data = data
        self.method = method


def _initialise(runner: ModuleRunner) -> None:
    """Have an adapter begin, by either spelling of the method."""
    if type(runner).initialize is not ModuleRunner.initialize:
        begun: Any = runner.initialize
    else:
        begun = runner.initialise
    value = begun()
    if inspect.isawaitable(value):
        drive_coroutine(value, Callback(), checkpoints.GRACE)


@contextlib.contextmanager
def beginning(kind: type) -> Iterator[None]:
    """Turn an error at the beginning of an adapter into a `TargetError`."""
    try:
        yield
    except (Exception, SystemExit) as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise TargetError(f"{kind.__name__} cannot begin: {what}") from error


def _names_of(routes: Sequence[RouteMap]) -> list[str]:
    """Return a name for each route: the last part of its path, or the whole if others share it."""
    last_parts = [route.path.rpartition("/")[2] for route in routes]
    return [route.path.replace("/", "_") if last_parts.count(last_part) > 1 else last_part
            for route, last_part in zip(routes, last_parts)]


def _call(method: Callable[..., Any], data: RequestData, force: Callback) -> Any:
    """Call a function of an adapter; run it to its end if it is a coroutine function."""
    value = method(data)
    if inspect.isawaitable(value):
        return drive_coroutine(value, force, checkpoints.GRACE)
    return value


def _as_answer(output: Any) -> dict[str, Any]:
    """Return an adapter's output as an answer, which has a ``success``."""
    if output is None:
        raise ValueError("process() returned None")
    if not isinstance(output, dict):
        return {"success": True, "result": output}
    if "success" in output:
        return dict(output)
    return {"success": True, **output}


def _outcome_of(result: Any) -> dict[str, Any]:
    if result is None:
        return {}
    return _without_reserved(result) if isinstance(result, dict) else {"result": result}


def _without_reserved(said: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in said.items() if key not in _RESERVED}
