"""A message in, an answer out: which method answers what, in both eras. No input or output.

    Message ── admit ─▶ Peer ── answer ─▶ a dict, or Pending: a job, and what is sent of it

The doors read and write, and wait for jobs; they call this in any thread.
"""

from __future__ import annotations

import math
import os
import time
from functools import partial
from typing import Any, Callable, Generator, Iterable, Mapping, NamedTuple, Union

from ..errors import ForgottenJob, LongOperationError, UnknownJob
from ..job import Job, logger
from ..operation import LongOperation
from ..web.found import Found, cancel, find
from ..wings import __version__
from . import eras, job_tools, tasks
from .calls import Call, Calls
from .eras import Peer
from .message import (INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND, Message, RpcError,
                      notification, object_param, reply, text_param)
from .progress import Progress
from .results import error_result, result_of
from .tools import CALL, Tool, tools_of

TASK_AFTER = 1.0  # seconds until a call becomes a task
_LONGEST_WAIT = 3_600.0  # seconds
_TTL = 60_000  # milliseconds a client may keep a list: a server that starts again may differ

Item = Union[float, Mapping[str, Any]]


class Pending(NamedTuple):
    """An answer that depends on what a ``job`` does next.

    ``items`` yields a ``float``: wait until the job changes, for at most this many seconds; or
    a message to send. The last one is the answer, unless the call was cancelled. Resuming it
    too early is harmless. One thread at a time may use it.
    """

    job: Job[Any]
    items: Generator[Item, None, None]


Answer = Union[Mapping[str, Any], Pending, None]


class Server:
    """What the operations are in this protocol.

    :param as_jobs: offer the jobs of the operations as tools: see `tools_of`.
    :param task_after: seconds until a call becomes a task, for a client that takes tasks.
    :param clock: tells these seconds.
    """

    def __init__(self, operations: Iterable[LongOperation], as_jobs: bool = False,
                 task_after: float = TASK_AFTER,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._operations = list(operations)
        self._tools = tools_of(self._operations, as_jobs)
        self._task_after = task_after
        self._clock = clock
        self.calls = Calls()
        self._modern: Mapping[str, Callable[[Message], Mapping[str, Any]]] = {
            "server/discover": self._discover,
            "tools/list": self._list,
            "tasks/get": self._get_task,
            "tasks/update": self._update_task,
            "tasks/cancel": self._cancel_task,
        }
        self._legacy: Mapping[str, Callable[[Message], Mapping[str, Any]]] = {
            "initialize": _initialize,
            "ping": lambda message: {},
            "tools/list": self._list,
        }

    def admit(self, message: Message, is_modern: bool, version: str = eras.LEGACY[0],
              check_headers: Callable[[Message], None] | None = None) -> Peer:
        """Return who sent a request; raise `RpcError` if it may not be answered.

        :param is_modern: whether the request is to be one of 2026-07-28.
        :param version: the version of an older request.
        :param check_headers: raises `RpcError` for headers that differ from the message.
        """
        methods = self._modern if is_modern else self._legacy
        if message.method != "tools/call" and message.method not in methods:
            raise RpcError(METHOD_NOT_FOUND, f"there is no method {message.method}")
        if not is_modern:
            return Peer(version)
        eras.check_meta(message)
        if check_headers is not None:
            check_headers(message)
        return eras.modern_peer(message)

    def begin(self, message: Message, client: str | None) -> Call | None:
        """Return the call that a request begins, or None if it is not one of a tool.

        :param client: under which name it is found by `notify`, if at all.

        Raises `RpcError` if its id is taken.
        """
        if message.method != "tools/call":
            return None
        return self.calls.begin(client, message.id)

    def answer(self, message: Message, peer: Peer, call: Call | None) -> Answer:
        """Answer a request that was admitted; raise `RpcError`.

        A call is stopped by `Call.cancel`, also while this is starting its job.
        """
        try:
            if call is None:
                return self._tell(message, peer)
            return self._call(message, peer, call)
        except BaseException as error:  # SystemExit too: this may run code of the user's
            if call is not None:
                self.calls.end(call)
            if isinstance(error, (RpcError, KeyboardInterrupt)):
                raise
            logger.exception("%s", message.method)
            raise RpcError(INTERNAL_ERROR, "an error of the server's own; its log says "
                                           "more") from error

    def notify(self, message: Message, client: str) -> None:
        """Take a notification; those that mean nothing here are ignored."""
        if message.method == "notifications/cancelled":
            self.calls.cancel(client, message.params.get("requestId"))

    # Methods

    def _tell(self, message: Message, peer: Peer) -> Mapping[str, Any]:
        """Answer a request that waits for nothing."""
        methods = self._modern if peer.is_modern else self._legacy
        if message.method.startswith("tasks/"):
            peer.require_tasks()
        return _reply(message, peer, methods[message.method](message))

    def _discover(self, message: Message) -> dict[str, Any]:
        return {
            "supportedVersions": list(eras.SUPPORTED),
            "capabilities": {"tools": {}, "extensions": {eras.TASKS: {}}},
            **_CACHEABLE,
        }

    def _list(self, message: Message) -> dict[str, Any]:
        if message.params.get("cursor") is not None:
            raise RpcError(INVALID_PARAMS, "there is one page of tools: leave out the cursor")
        return {"tools": [tool.describe() for tool in self._tools.values()], **_CACHEABLE}

    def _call(self, message: Message, peer: Peer, call: Call) -> Answer:
        name = text_param(message, "name")
        arguments = object_param(message, "arguments")
        token = eras.progress_token(message)
        tool = self._tools.get(name)
        if tool is None:
            raise RpcError(INVALID_PARAMS, f"there is no tool {name}; see tools/list")
        try:
            if tool.kind == CALL:
                return self._start(message, peer, call, tool, arguments, token)
            begun = job_tools.answer(tool, arguments)
        except LongOperationError as error:
            begun = error_result(str(error))
        if isinstance(begun, job_tools.Wait):
            items = self._wait(message, peer, call, begun)
            return Pending(begun.job, items)
        self.calls.end(call)
        return _reply(message, peer, begun)

    def _start(self, message: Message, peer: Peer, call: Call, tool: Tool,
               arguments: Mapping[str, Any], token: str | int | None) -> Pending:
        typed = tool.operation.signature.parse({name: [arguments[name]] for name in arguments})
        id = os.urandom(16).hex()
        job = tool.operation.submit(typed, id)
        self.calls.wait_for(job, is_own=job.id == id)
        call.stop_with(partial(self._leave, job))
        progress = None if token is None else Progress(token)
        return Pending(job, self._follow(message, peer, call, tool, job, progress))

    def _follow(self, message: Message, peer: Peer, call: Call, tool: Tool, job: Job[Any],
                progress: Progress | None) -> Generator[Item, None, None]:
        """Yield what is sent of a job, and how long to wait."""
        due = self._clock() + self._task_after if peer.takes_tasks else math.inf
        try:
            while True:
                status = job.status()
                # After the status: a cancel is noted before the job ends of it.
                if call.is_cancelled:
                    return
                if status.state.is_terminal:
                    yield _reply(message, peer, result_of(status, tool.output_schema))
                    return
                params = None if progress is None else progress.of(status)
                if params is not None:
                    yield notification("notifications/progress", params)
                left = due - self._clock()
                if left <= 0:
                    self._release(call, job)  # before the answer: from then on it is a task
                    yield _reply(message, peer, tasks.task_of(status), "task")
                    return
                yield min(left, _LONGEST_WAIT)
        finally:
            self._release(call, job)
            self.calls.end(call)

    def _wait(self, message: Message, peer: Peer, call: Call,
              wait: job_tools.Wait) -> Generator[Item, None, None]:
        """Answer with a job's status at its end, or when the time is over."""
        due = self._clock() + wait.seconds
        try:
            while not call.is_cancelled:
                status = wait.job.status()
                left = due - self._clock()
                if status.state.is_terminal or left <= 0:
                    yield _reply(message, peer, job_tools.describe(status))
                    return
                yield left
        finally:
            self.calls.end(call)

    def _leave(self, job: Job[Any]) -> None:
        """Cancel the job of a call, unless other calls wait for it too."""
        if self.calls.leave(job):
            job.cancel()

    def _release(self, call: Call, job: Job[Any]) -> None:
        if call.release():
            self.calls.leave(job)

    # Tasks

    def _get_task(self, message: Message) -> dict[str, Any]:
        status = self._find_task(message).status
        schema = next((tool.output_schema for tool in self._tools.values()
                       if tool.is_of(status)), None)
        return tasks.detailed(status, schema)

    def _update_task(self, message: Message) -> dict[str, Any]:
        """Take answers to questions that a task has asked: ours ask none."""
        object_param(message, "inputResponses")
        self._find_task(message)
        return {}

    def _cancel_task(self, message: Message) -> dict[str, Any]:
        cancel(self._find_task(message))
        return {}

    def _find_task(self, message: Message) -> Found:
        id = text_param(message, "taskId")
        try:
            return find(self._operations, id)
        except UnknownJob:
            raise RpcError(INVALID_PARAMS, f"there is no task {id}") from None
        except ForgottenJob:
            raise RpcError(INVALID_PARAMS,
                           f"task {id} has ended and is no longer kept") from None


def _initialize(message: Message) -> dict[str, Any]:
    """Begin an older era, with the version that was asked for, or else the newest of them."""
    version = text_param(message, "protocolVersion")
    return {
        "protocolVersion": version if version in eras.LEGACY else eras.LEGACY[0],
        "capabilities": {"tools": {}},
        "serverInfo": _SERVER,
    }


def _reply(message: Message, peer: Peer, result: Mapping[str, Any],
           kind: str = "complete") -> dict[str, Any]:
    """Return a result as the answer to a request, in the words of its era."""
    if not peer.is_modern:
        return reply(message.id, {name: value for name, value in result.items()
                                  if name not in _CACHEABLE})
    meta = {"_meta": {eras.SERVER_KEY: _SERVER}}
    return reply(message.id, {"resultType": kind, **result, **meta})


_SERVER = {"name": "longop", "version": __version__}
_CACHEABLE = {"ttlMs": _TTL, "cacheScope": "private"}  # what a token protects is not public
