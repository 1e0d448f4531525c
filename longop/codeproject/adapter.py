"""An adapter, as its operations: `runner` has what it is written with.

What takes long becomes a job. Its code reports by what it sets in the adapter, and that, and what
it asks of the adapter, are the checkpoints at which a cancel takes hold.
"""

from __future__ import annotations

import contextlib
import inspect
import itertools
import threading
import time
from typing import Any, Callable, Dict, Iterator, Mapping, Sequence

from ..callback import Callback
from .commands import Module, unable
from ..errors import Busy, LongOperationError, TargetError
from ..executors import drive_coroutine
from ..job import Job, logger
from ..operation import LongOperation
from .sdk import ModuleRunner, RequestData, running
from .settings import Inputs, Route, prepare, read
from ..status import State, Status

PERIOD = 0.02  # seconds from what a long command does until that is reported
GRACE = 2.0  # seconds that a command has which ends by itself, and then for its ``finally``


class Functions(Module):
    """A module of functions: a command starts the operation of its name, or the only one."""

    def __init__(self, runner: ModuleRunner) -> None:
        super().__init__(runner.module_id, runner.module_name)
        self.runner, self.settings = runner, read(runner.module_path)
        self.version = self.settings.version
        self._counting = threading.Lock()
        prepare(self.settings)

    def routes(self, operation: LongOperation) -> list[str]:
        """Return the routes of that server, and ours."""
        routes, alone = self.settings.routes, len(self.operations) == 1
        mine = [one.path for one in routes if one.command == operation.name or alone]
        return [*mine, f"{self.id}/{operation.name}", *super().routes(operation)]

    def process(self, data: RequestData) -> dict[str, Any]:
        """Start a job."""
        found = [one for one in self.operations if one.name == data.command] or self.operations
        if len(found) > 1:
            known = ", ".join(one.name for one in found)
            raise LongOperationError(f"there is no command {data.command!r}; known are: {known}")
        return self.start(found[0], data.parameters(), data.request_id)

    def count(self, answer: Mapping[str, Any]) -> None:
        """Count an answer in the statistics."""
        with self._counting:
            self.runner.update_statistics(answer)

    def close(self) -> None:
        """Have the adapter clean up."""
        try:
            self.runner.cleanup()
        except Exception as error:
            self.runner.report_error(error, self.id)

    def started(self, job: Job, is_new: bool = True) -> dict[str, Any]:
        """Answer that a job was started, and count how it ends."""
        if is_new:
            job.add_done_callback(self._count)
        return super().started(job, is_new)

    def _count(self, job: Any) -> None:
        status = job.status()
        self.count({"success": status.state is State.COMPLETED,
                    "inferenceMs": (status.elapsed or 0) * 1000})


class Adapter(Functions):
    """A module made of an adapter; its commands are what `ModuleRunner.process` makes of them."""

    def __init__(self, runner: ModuleRunner) -> None:
        super().__init__(runner)
        self._adopted: list[LongOperation] = []  # its operations, and those they replace
        with beginning(type(runner)):
            usual = type(runner).initialize is ModuleRunner.initialize
            (runner.initialise if usual else runner.initialize)()

    @property
    def device(self) -> str:
        """What the adapter says that it computes on."""
        return self.runner.inference_device

    def load(self) -> list[LongOperation]:
        """Return an operation for each route; where no file says any there is one, ``run``."""
        routes = {route.path.lower(): route for route in self.settings.routes} or {
            "": Route(f"{self.id}/run", self.name, "run", "", Inputs([]))}
        names = [path.rpartition("/")[2] for path in routes]
        return self.own(LongOperation(self._function(route, names.count(name) > 1),
                                      when_busy="reject", owner=self)
                        for route, name in zip(routes.values(), names))

    def adopt(self, operation: LongOperation) -> None:
        """Take in a route's operation."""
        if (operation.limit, operation.when_busy) != (1, "reject"):
            raise ValueError(f"{operation!r}: an adapter has one long command at a time, and "
                             "rejects others: limit and when_busy cannot change that")
        self._adopted.append(operation)

    def admit(self, operation: LongOperation) -> None:
        """Let nothing start while any command runs."""
        for other in self._adopted:
            for job in other.live.values():
                raise Busy("A long running command is already in progress", job.id)

    def routes(self, operation: LongOperation) -> list[str]:
        """Return the route of that server, and ours."""
        return [operation.function.route.path, *Module.routes(self, operation)]

    def start(self, operation: LongOperation, values: Mapping[str, list[Any]],
              id: str | None = None, key: str | None = None,
              segments: Sequence[str] = ()) -> dict[str, Any]:
        """Ask the adapter; start a job if that takes long, or to ask it once for a key."""
        typed = operation.signature.parse(values)
        if key:
            return self.started(operation.start_once(key, **typed), is_new=False)
        command = operation.function.route.command
        return self.process(RequestData.of(values, command, segments, id or ""), operation)

    def process(self, data: RequestData, operation: LongOperation | None = None) -> dict[str, Any]:
        """Answer what the adapter answers; start a job, of this operation, if that takes long."""
        try:
            output = _call(self.runner.process, data)
            if not callable(output):
                answer = _as_answer(output)
                self.count(answer)
                return answer
        except BaseException as error:  # SystemExit too
            self.runner.report_error(error, self.id)
            with contextlib.suppress(Exception):
                self.count({"success": False})
            return unable(data.request_id)
        found = [operation] if operation else [
            one for one in self.operations if one.function.route.command == data.command]
        try:
            return self.started((found or self.operations)[0].submit(
                _Values(data, output), data.request_id))
        except Busy as error:
            return {"success": False, "commandId": error.job_id, "error": str(error)}

    def started(self, job: Job, is_new: bool = True) -> dict[str, Any]:
        """Answer that a job was started; `_run` counts how it ends."""
        return Module.started(self, job, is_new)

    def progress(self, status: Status) -> dict[str, Any]:
        """Return what the adapter says of a job that is alive."""
        try:
            return _but_for_id(self.runner.command_status() or {})
        except Exception as error:
            self.runner.report_error(error, self.id)
            return {}

    def outcome(self, status: Status) -> dict[str, Any]:
        """Return what a long command has returned, or, if it has not, what it last reported."""
        if status.result is None:
            return {}
        return _but_for_id(status.result if isinstance(status.result, dict)
                           else {"result": status.result})

    def _function(self, route: Route, whole: bool) -> Any:
        """Return what an operation's jobs call: with the values, or with what was made of them."""
        def function(callback: Callback, values: Mapping[str, Any]) -> Any:
            if not isinstance(values, _Values):
                values = _Values(RequestData.of(
                    {name: value if isinstance(value, list) else [value]
                     for name, value in values.items()}, route.command, []), self.runner.process)
            return self._run(values.method, values.data, callback)

        function.__module__, function.__doc__ = self.id.replace(".", "_"), (
            route.description or route.name)
        function.__name__ = route.path.replace("/", "_") if whole else route.path.rpartition("/")[2]
        vars(function).update(adapter=self, route=route, signature=route.signature)
        return function

    def _run(self, method: Callable[..., Any], data: RequestData, callback: Callback) -> Any:
        """Do what takes long, with checkpoints in it."""
        answer: dict[str, Any] = {"success": False}
        try:
            with _Checkpoints(self.runner, callback) as force:
                output: Any = method
                while callable(output):  # what `process` returns may have to be called in turn
                    output = _call(output, data, force)
            answer = _as_answer({} if output is None else output)
            return output
        finally:
            self.count(answer)


class _Values(Dict[str, Any]):
    """What a request has, with what its job is to call."""

    def __init__(self, data: RequestData, method: Callable[..., Any]) -> None:
        super().__init__({name: given[0] if len(given) == 1 else given
                          for name, given in data.parameters().items()})
        self.data, self.method = data, method


@contextlib.contextmanager
def beginning(kind: type) -> Iterator[None]:
    """Turn what goes wrong at the beginning of an adapter into a `TargetError`."""
    try:
        yield
    except (Exception, SystemExit) as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise TargetError(f"{kind.__name__} cannot begin: {what}") from error


class _Checkpoints:
    """While a long command runs in this thread, a checkpoint is wherever it uses its adapter.

    Gives a callback, which is told to stop as soon as the adapter leaves it to us to stop the
    command: at once, or if it wants to do so itself, and has not, after `GRACE`.
    """

    def __init__(self, runner: ModuleRunner, callback: Callback) -> None:
        self._runner, self._callback, self._force = runner, callback, Callback()
        self._looks = False  # soon
        self._looking, self._turns, self._seen = threading.Lock(), itertools.count(1), 0
        self._raises_at = 0.0  # not before then
        callback.on_cancel(self._cancel)

    def __enter__(self) -> Callback:
        running.checkpoint = self._check
        return self._force

    def __exit__(self, *error: object) -> None:
        running.checkpoint = None
        self._look()

    def _cancel(self) -> None:
        self._callback.told = True
        _later(GRACE, self._force.cancel)
        _later(0, self._cancel_task)  # which may wait for what it likes

    def _cancel_task(self) -> None:
        try:
            self._runner.cancel_command_task()
        except (Exception, SystemExit):
            logger.exception("%s.cancel_command_task", type(self._runner).__name__)
        if self._runner.force_shutdown:
            self._force.cancel()

    def _check(self) -> None:
        if not self._looks:
            self._looks = True
            _later(PERIOD, self._look)  # when all that belongs together is set
        if self._force.cancelled and time.monotonic() >= self._raises_at:
            self._raises_at = time.monotonic() + GRACE
            self._force.check()

    def _look(self) -> None:
        """Report what the adapter says of its command, if that is something new."""
        self._looks = False  # before the look, so that what changes after it is not missed
        turn = next(self._turns)
        with contextlib.suppress(Exception):  # it may not have begun to know
            said = self._runner.command_status() or {}
            with self._looking:
                count, *old = self._callback.latest
                new = [said.get(key) for key in ("result", "step", "total", "message")]
                new = [one if other is None else other for one, other in zip(old, new)]
                if turn > self._seen and new != old:  # else a later one was quicker
                    latest: Any = (count + 1, *new)
                    self._callback.receive(latest)
                self._seen = max(turn, self._seen)


def _later(seconds: float, function: Callable[[], object]) -> None:
    timer = threading.Timer(seconds, function)
    timer.daemon = True
    timer.start()


def _call(method: Callable[..., Any], data: RequestData, force: Callback | None = None) -> Any:
    value = method(data)
    if inspect.isawaitable(value):
        value = drive_coroutine(value, force or Callback(), GRACE)
    return value


def _as_answer(output: Any) -> dict[str, Any]:
    if output is None:
        raise ValueError("process() returned None")
    if not isinstance(output, dict):
        output = {"result": output}
    return {**({} if "success" in output else {"success": True}), **output}


def _but_for_id(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an adapter says of a command, but for what it has no say in."""
    return {key: value for key, value in said.items() if key not in ("commandId", "commandStatus")}
