"""`Functions`: a module of plain functions, which know nothing of CodeProject."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

from ..errors import LongOperationError
from ..job import Job
from ..operation import LongOperation
from ..status import State
from .hosted import HostedModule
from .module import Begun, StartRequest
from .request import RequestData
from .settings import RouteMap


class Functions(HostedModule):
    """A module of functions. A command starts the operation of that name, or the only one."""

    def paths(self, operation: LongOperation) -> list[str]:
        """Return the paths from the settings, then our own."""
        of_server = [route.path for route in self._routes_of(operation)]
        return [*of_server, f"{self.id}/{operation.name}", *super().paths(operation)]

    def command_of(self, operation: LongOperation) -> str:
        """Return the command of an operation's route; without one, its name."""
        commands = [route.command for route in self._routes_of(operation) if route.command]
        return commands[0] if commands else super().command_of(operation)

    def begin(self, operation: LongOperation, request: StartRequest) -> Begun:
        """Start a job, and count how it ends."""
        begun = super().begin(operation, request)
        if isinstance(begun, Job) and not request.key:  # else it may have been counted before
            begun.add_done_callback(self._count_end)
        return begun

    def process(self, data: RequestData) -> Begun:
        """Start a job of the operation that a request from the queue names."""
        operation = self._find_operation(data.command)
        return self.begin(operation, StartRequest(data.parameters(), data.request_id))

    def _routes_of(self, operation: LongOperation) -> list[RouteMap]:
        is_only_one = len(self.operations) == 1
        return [route for route in self.settings.routes
                if is_only_one or route.command == operation.name]

    def _find_operation(self, command: str) -> LongOperation:
        if len(self.operations) == 1:
            return self.operations[0]
        for operation in self.operations:
            if operation.name == command:
                return operation
        known = ", ".join(operation.name for operation in self.operations)
        raise LongOperationError(f"there is no command {command!r}; known are: {known}")

    def _count_end(self, job: Future[Any]) -> None:
        """Count a job that has ended. Called in the thread that ends it."""
        assert isinstance(job, Job)
        status = job.status()
        self.count({
            "success": status.state is State.COMPLETED,
            "inferenceMs": (status.elapsed or 0) * 1000,
        })
